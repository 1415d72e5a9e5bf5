-- Distributed tables, and the functions of their controllers: what Citus carries to all nodes by itself.
CREATE TABLE customer (gone int, name text PRIMARY KEY, city text, note text);
CREATE TABLE plpgsql_target (customer text PRIMARY KEY, gone int, city text, written int NOT NULL DEFAULT 1);
CREATE TABLE sql_target (customer text PRIMARY KEY, city text);
CREATE TABLE declared_target (gone int, customer text PRIMARY KEY, city text);
CREATE TABLE bypass_target (customer text PRIMARY KEY, city text);
SELECT create_distributed_table('customer', 'name');
SELECT create_distributed_table('plpgsql_target', 'customer', colocate_with => 'customer');
SELECT create_distributed_table('sql_target', 'customer', colocate_with => 'customer');
SELECT create_distributed_table('declared_target', 'customer', colocate_with => 'customer');
SELECT create_distributed_table('bypass_target', 'customer', colocate_with => 'customer');

CREATE SCHEMA plpgsql_sync;
CREATE FUNCTION plpgsql_sync.get_target_document(sync_job sync_job, source_doc customer) RETURNS sync_job_target LANGUAGE plpgsql AS $$
DECLARE
    found_name text;
BEGIN
    SELECT customer INTO found_name FROM plpgsql_target WHERE customer = coalesce(source_doc.name, sync_job.source_document_name COLLATE "default");
    IF sync_job.context ->> 'trigger_operation' = 'Delete' THEN
        RETURN sync_job_target('delete', target_document_name => coalesce(source_doc.name, sync_job.source_document_name));
    END IF;
    RETURN sync_job_target(CASE WHEN found_name IS NULL THEN 'insert' ELSE 'update' END, target_document_name => found_name);
END $$;
CREATE FUNCTION plpgsql_sync.update_target_doc(sync_job sync_job, source_doc customer, INOUT target_doc plpgsql_target) LANGUAGE plpgsql AS $$
BEGIN
    target_doc.customer := source_doc.name;
    target_doc.city := source_doc.city;
    target_doc.written := coalesce(target_doc.written, 0) + 1;
END $$;

CREATE SCHEMA sql_sync;
CREATE FUNCTION sql_sync.get_target_document(sync_job sync_job, source_doc customer) RETURNS sync_job_target LANGUAGE sql STABLE AS $$
    SELECT sync_job_target(CASE WHEN sync_job.context ->> 'trigger_operation' = 'Delete' THEN 'delete' WHEN t.customer IS NULL THEN 'insert' ELSE 'update' END,
                           target_document_name => t.customer)
    FROM (SELECT 1) AS one LEFT JOIN sql_target AS t ON t.customer = source_doc.name
$$;
CREATE FUNCTION sql_sync.update_target_doc(sync_job sync_job, source_doc customer, INOUT target_doc sql_target) LANGUAGE sql STABLE AS $$
    SELECT ROW(source_doc.name, source_doc.city)::sql_target
$$;

CREATE SCHEMA bypass_sync;
CREATE FUNCTION bypass_sync.execute(sync_job sync_job, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF sync_job.context ->> 'trigger_operation' = 'Delete' THEN
        DELETE FROM bypass_target WHERE customer = sync_job.source_document_name;
    ELSE
        INSERT INTO bypass_target VALUES (sync_job.source_document_name, source_doc ->> 'city')
            ON CONFLICT (customer) DO UPDATE SET city = excluded.city;
    END IF;
    RETURN NULL;
END $$;
