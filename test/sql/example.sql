-- The example of the documentation, run by workers; and the same controller with jsonb, in other languages, and as a
-- bypass controller: all give the same target.
SET client_min_messages = warning;
CREATE EXTENSION pg_sync_job;
CREATE EXTENSION plpython3u;
CREATE EXTENSION plperl;
RESET client_min_messages;
UPDATE sync_job_queue SET max_workers = 1; -- so that the ids of the target do not depend on who is faster

CREATE TABLE customer (name text PRIMARY KEY, customer_name text, territory text);
CREATE TABLE sap_customer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, erp_customer text UNIQUE,
    customer_name text, territory text);
INSERT INTO customer VALUES ('CUST-00001', 'Grün & Söhne', 'North'), ('CUST-00002', 'O''Hara "and" Co', NULL),
    ('CUST-00003', NULL, 'South');

-- ---- As it is printed ----

CREATE SCHEMA sap_customer_sync;

CREATE FUNCTION sap_customer_sync.get_target_document(sync_job sync_job, source_doc customer)
RETURNS sync_job_target LANGUAGE sql STABLE AS $$
  SELECT sync_job_target(CASE WHEN t.id IS NULL THEN 'insert' ELSE 'update' END, target_document_name => t.id::text)
  FROM (SELECT 1) one LEFT JOIN sap_customer t ON t.erp_customer = source_doc.name
$$;

CREATE FUNCTION sap_customer_sync.update_target_doc(sync_job sync_job, source_doc customer, INOUT target_doc sap_customer)
LANGUAGE plpgsql AS $$
BEGIN
  target_doc.erp_customer  := source_doc.name;
  target_doc.customer_name := source_doc.customer_name;
  target_doc.territory     := source_doc.territory;
END $$;

INSERT INTO sync_job_type (name, source_document_type, target_document_type)
VALUES ('SAP Customer Sync', 'customer', 'sap_customer');
SELECT * FROM validate_sync_job_type('SAP Customer Sync');

-- Waits for all jobs there are, and shows what came of the newest three.
CREATE PROCEDURE wait_for_all() LANGUAGE plpgsql AS $$
DECLARE
    job bigint;
BEGIN
    FOR job IN SELECT id FROM sync_job ORDER BY id LOOP
        CALL wait_for_sync_job(job, '60 s');
    END LOOP;
END $$;
CREATE VIEW newest AS
    SELECT source_document_name AS source, status, operation, target_document_name AS target, diff_summary
    FROM (SELECT * FROM sync_job ORDER BY id DESC LIMIT 3) AS j ORDER BY id;

SELECT enqueue_sync_job('SAP Customer Sync', c) FROM customer c ORDER BY name;
CALL wait_for_all();
SELECT * FROM newest;
SELECT erp_customer, customer_name, territory FROM sap_customer ORDER BY erp_customer;

-- Nothing has changed; then one document has.
SELECT enqueue_sync_job('SAP Customer Sync', c) FROM customer c ORDER BY name;
CALL wait_for_all();
SELECT * FROM newest;
UPDATE customer SET territory = 'West', customer_name = NULL WHERE name = 'CUST-00002';
SELECT enqueue_sync_job('SAP Customer Sync', c) FROM customer c ORDER BY name;
CALL wait_for_all();
SELECT * FROM newest;
SELECT erp_customer, customer_name, territory FROM sap_customer ORDER BY erp_customer;

-- What the job is.
SELECT id, title, status, source_document_type, target_document_type, trigger_type, queue, priority, timeout,
    retry_count, run_as, owner, enqueued_by, error_message,
    started_at >= created_at AS started, ended_at >= started_at AS ended, time_taken = ended_at - started_at AS taken
FROM sync_job WHERE id = 1 \gx

-- ---- The same in other forms: each begins with an empty target ----

CREATE PROCEDURE show_same(job_type text) LANGUAGE plpgsql AS $$
DECLARE
    job sync_job;
    target sap_customer;
    finding record;
BEGIN
    FOR finding IN SELECT * FROM validate_sync_job_type(job_type) LOOP RAISE NOTICE '%', finding; END LOOP;
    TRUNCATE sap_customer RESTART IDENTITY;
    UPDATE customer SET territory = NULL WHERE name = 'CUST-00002';
    COMMIT;
    FOR round IN 1 .. 3 LOOP
        PERFORM enqueue_sync_job(job_type, c) FROM customer AS c ORDER BY name;
        COMMIT;
        CALL wait_for_all();
        FOR job IN SELECT * FROM (SELECT * FROM sync_job ORDER BY id DESC LIMIT 3) AS j ORDER BY id LOOP
            RAISE NOTICE '% % % % % %', round, job.source_document_name, job.status, job.operation, job.target_document_name,
                coalesce(job.diff_summary::text, job.error_message);
        END LOOP;
        UPDATE customer SET territory = 'West' WHERE name = 'CUST-00002' AND round = 2;
        COMMIT;
    END LOOP;
    FOR target IN SELECT * FROM sap_customer ORDER BY erp_customer LOOP RAISE NOTICE '%', target; END LOOP;
END $$;

-- With jsonb.
CREATE SCHEMA customer_json;
CREATE FUNCTION customer_json.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('operation', CASE WHEN t.id IS NULL THEN 'Insert' ELSE 'Update' END, 'target_document_name', t.id)
    FROM (SELECT) AS one LEFT JOIN sap_customer AS t ON t.erp_customer = source_doc ->> 'name'
$$;
CREATE FUNCTION customer_json.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT target_doc || jsonb_build_object('erp_customer', source_doc -> 'name', 'customer_name', source_doc -> 'customer_name',
        'territory', source_doc -> 'territory')
$$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Customer JSON', 'customer', 'sap_customer');
CALL show_same('Customer JSON');

-- In Python: rows are dicts.
CREATE SCHEMA customer_python;
CREATE FUNCTION customer_python.get_target_document(sync_job sync_job, source_doc customer) RETURNS sync_job_target
LANGUAGE plpython3u AS $$
found = plpy.execute(plpy.prepare("SELECT id FROM sap_customer WHERE erp_customer = $1", ["text"]), [source_doc["name"]])
return {"operation": "update" if found else "insert", "target_document_type": None,
        "target_document_name": found[0]["id"] if found else None, "context": None}
$$;
CREATE FUNCTION customer_python.update_target_doc(sync_job sync_job, source_doc customer, target_doc sap_customer)
RETURNS sap_customer LANGUAGE plpython3u AS $$
target_doc.update(erp_customer=source_doc["name"], customer_name=source_doc["customer_name"], territory=source_doc["territory"])
return target_doc
$$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Customer Python', 'customer', 'sap_customer');
CALL show_same('Customer Python');

-- In Perl, with rows.
CREATE SCHEMA customer_perl;
CREATE FUNCTION customer_perl.get_target_document(sync_job, customer) RETURNS sync_job_target LANGUAGE plperl AS $$
my ($job, $source) = @_;
my $found = spi_exec_query("SELECT id FROM sap_customer WHERE erp_customer = " . quote_literal($source->{name}));
return { operation => 'insert' } unless $found->{processed};
return { operation => 'update', target_document_name => $found->{rows}[0]{id} };
$$;
CREATE FUNCTION customer_perl.update_target_doc(sync_job, customer, sap_customer) RETURNS sap_customer LANGUAGE plperl AS $$
my ($job, $source, $target) = @_;
$target->{erp_customer} = $source->{name};
$target->{$_} = $source->{$_} for qw(customer_name territory);
return $target;
$$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Customer Perl', 'customer', 'sap_customer');
CALL show_same('Customer Perl');

-- As bypass function, which does all by itself, and says what it did.
CREATE SCHEMA customer_bypass;
CREATE FUNCTION customer_bypass.execute(sync_job sync_job, source_doc customer) RETURNS sync_job_result LANGUAGE plpgsql AS $$
DECLARE
    existing sap_customer;
    target bigint;
BEGIN
    SELECT * INTO existing FROM sap_customer AS t WHERE t.erp_customer = source_doc.name;
    IF existing.id IS NULL THEN
        INSERT INTO sap_customer (erp_customer, customer_name, territory) VALUES (source_doc.*) RETURNING id INTO target;
        RETURN sync_job_result('sap_customer', target::text, 'insert');
    END IF;
    UPDATE sap_customer SET customer_name = source_doc.customer_name, territory = source_doc.territory WHERE id = existing.id;
    RETURN sync_job_result('sap_customer', existing.id::text, 'update',
        jsonb_build_object('territory', jsonb_build_array(existing.territory, source_doc.territory)));
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Customer Bypass', 'customer', 'sap_customer');
CALL show_same('Customer Bypass');

-- As bypass procedure, which commits as it goes.
CREATE SCHEMA customer_procedure;
CREATE PROCEDURE customer_procedure.execute(sync_job sync_job, source_doc customer, INOUT result jsonb) LANGUAGE plpgsql AS $$
DECLARE
    target bigint;
BEGIN
    SELECT id INTO target FROM sap_customer AS t WHERE t.erp_customer = source_doc.name;
    result := jsonb_build_object('operation', CASE WHEN target IS NULL THEN 'insert' ELSE 'update' END);
    IF target IS NULL THEN
        INSERT INTO sap_customer (erp_customer) VALUES (source_doc.name) RETURNING id INTO target;
        COMMIT;
    END IF;
    UPDATE sap_customer SET customer_name = source_doc.customer_name WHERE id = target;
    COMMIT;
    UPDATE sap_customer SET territory = source_doc.territory WHERE id = target;
    result := result || jsonb_build_object('target_document_type', 'sap_customer', 'target_document_name', target);
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Customer Procedure', 'customer', 'sap_customer');
CALL show_same('Customer Procedure');
