-- Relaying: one source, several targets. None, one, many; what children inherit; steering them through their parent.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- jobs are run by hand
\set SHOW_CONTEXT never

CREATE TABLE item (code text PRIMARY KEY, shops int[], label text);
CREATE TABLE shelf (shop int, code text, label text, PRIMARY KEY (shop, code));
CREATE TABLE "Odd ""shelf" ("the id" int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, label text CHECK (label <> 'forbidden'));
CREATE SCHEMA shelf_sync;
CREATE FUNCTION shelf_sync.get_multiple_target_documents(sync_job sync_job, source_doc item) RETURNS SETOF sync_job_target
LANGUAGE sql AS $$
    SELECT sync_job_target(CASE WHEN s.code IS NULL THEN 'insert' ELSE 'update' END,
        target_document_name => CASE WHEN s.code IS NOT NULL THEN jsonb_build_array(s.shop::text, s.code)::text END,
        context => jsonb_build_object('shop', u.shop))
    FROM unnest(source_doc.shops) WITH ORDINALITY AS u (shop, n)
    LEFT JOIN shelf AS s ON s.shop = u.shop AND s.code = source_doc.code
    ORDER BY u.n
$$;
-- It wins over this one.
CREATE FUNCTION shelf_sync.get_target_document(sync_job sync_job, source_doc item) RETURNS sync_job_target
LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not to be called'; END $$;
CREATE FUNCTION shelf_sync.update_target_doc(sync_job sync_job, source_doc item, INOUT target_doc shelf) LANGUAGE plpgsql AS $$
BEGIN
    IF source_doc.label = 'broken' THEN
        RAISE EXCEPTION 'broken in shop %', sync_job.context ->> 'shop';
    END IF;
    target_doc.shop := sync_job.context ->> 'shop';
    target_doc.code := source_doc.code;
    target_doc.label := source_doc.label;
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, max_retries)
VALUES ('Shelves', 'item', 'shelf', 'shelf_sync', 0);
INSERT INTO item VALUES ('none', '{}', 'n'), ('one', '{1}', 'o'), ('many', '{1,2,3}', 'm'), ('null', NULL, 'n');

-- None, one, many. The last made parent and its children:
CREATE VIEW parent AS SELECT * FROM sync_job WHERE id = (SELECT max(id) FROM sync_job WHERE status = 'Relayed');
CREATE VIEW child AS SELECT c.* FROM sync_job AS c JOIN parent AS p ON c.parent_sync_job = p.id;
SELECT j.status, j.operation, j.target_document_name, j.context, j.multiple_target_documents
FROM unnest(ARRAY['none', 'null', 'one']) AS code, execute_sync_job(enqueue_sync_job('Shelves', code)) AS j;
SELECT status, title, operation, target_document_type, target_document_name, context, diff_summary,
    jsonb_pretty(multiple_target_documents) AS multiple_target_documents
FROM execute_sync_job(enqueue_sync_job('Shelves', 'many', '{"kept": "by the parent"}'));
SELECT title, status, source_document_name, operation, target_document_type, target_document_name, context FROM child ORDER BY id;
SELECT (SELECT array_agg(target ->> 'sync_job') FROM parent, jsonb_array_elements(parent.multiple_target_documents) AS target)
    = (SELECT array_agg(id::text ORDER BY id) FROM child) AS each_with_its_child;
SELECT children, waiting, finished, skipped, relayed, failed, canceled FROM sync_job_relay;
CALL run_sync_jobs();
SELECT title, status, operation, target_document_name FROM child ORDER BY id;
TABLE shelf ORDER BY shop, code;
SELECT children, waiting, finished, skipped, relayed, failed, canceled FROM sync_job_relay;

-- Children have the settings of their parent, but its job_id and schedule.
SELECT status FROM execute_sync_job(enqueue_sync_job('Shelves', 'many', '{}', queue => 'long', priority => 7, timeout => '7 s',
    retry_delay => '7 min', max_retries => 7, scheduled_at => 'infinity', trigger_type => 'API',
    triggered_by_document_type => 'item', triggered_by_document_name => 'one', insert_enabled => false,
    delete_enabled => false, update_without_changes_enabled => true, verbose_logging => true, job_id => 'my key'));
SELECT DISTINCT queue, priority, timeout, retry_delay, retry_backoff, max_retries, retry_count, scheduled_at, trigger_type,
    triggered_by_document_type, triggered_by_document_name, trigger_document_timestamp IS NOT NULL AS at, insert_enabled,
    update_enabled, delete_enabled, update_without_changes_enabled, verbose_logging, dry_run, queue_on_insert, job_id, run_as, owner, enqueued_by
FROM child \gx
SELECT count(*) FROM cancel_sync_job((SELECT array_agg(id) FROM child));

-- What a child leaves undone, another one of the family does not mind. Steering the parent means the children it fits.
UPDATE item SET label = 'broken' WHERE code = 'many';
SELECT status FROM execute_sync_job(enqueue_sync_job('Shelves', 'many'));
SELECT id AS parent FROM parent \gset
SELECT status FROM execute_sync_job((SELECT min(id) FROM child));
SELECT status FROM cancel_sync_job((SELECT max(id) FROM child));
SELECT status, error_message ~ 'broken in shop' AS own_error FROM child ORDER BY id;
SELECT children, waiting, finished, skipped, relayed, failed, canceled FROM sync_job_relay WHERE sync_job = :parent;
SELECT status FROM retry_sync_job(:parent);
SELECT status, retry_count FROM child ORDER BY id;
SELECT status, retry_count FROM retry_sync_job(ARRAY[:parent]);
SELECT status, cancel_reason FROM cancel_sync_job(:parent, 'enough');
SELECT status, cancel_reason, retry_count FROM child ORDER BY id;
SELECT status FROM cancel_sync_job(:parent);
SELECT status FROM cancel_sync_job(ARRAY[:parent]);
SELECT status FROM start_sync_job(:parent);
SELECT status FROM start_sync_job(ARRAY[:parent]);
SELECT status FROM execute_sync_job(:parent);
SELECT apply_sync_job(:parent);
SELECT revert_sync_job(:parent);
-- With the array forms the children come back, those that have changed.
UPDATE sync_job_type SET max_retries = 0;
SELECT status FROM execute_sync_job(enqueue_sync_job('Shelves', 'many'));
SELECT id AS parent FROM parent \gset
SELECT status FROM execute_sync_job((SELECT min(id) FROM child));
SELECT id - :parent AS nth, status FROM retry_sync_job(ARRAY[:parent, :parent, 999999], '{"shop": 3}');
SELECT id - :parent AS nth, status, cancel_reason FROM cancel_sync_job(ARRAY[:parent], 'all');
SELECT status, context FROM child ORDER BY id;

-- A dry run relays to dry runs.
UPDATE item SET label = 'new' WHERE code = 'many';
SELECT status, jsonb_array_length(multiple_target_documents) AS targets FROM execute_sync_job(enqueue_sync_job('Shelves', 'many', dry_run => true));
CALL run_sync_jobs();
SELECT status, dry_run, target_document_name, diff_summary FROM child ORDER BY id;
TABLE shelf ORDER BY shop, code;
SELECT count(apply_sync_job(id)) AS applied FROM child;
TABLE shelf ORDER BY shop, code;

-- Targets of different types: each as its controller says, in any case, by awkward names; a child may relay no further.
CREATE SCHEMA anywhere;
CREATE FUNCTION anywhere.get_multiple_target_documents(job jsonb, source jsonb) RETURNS SETOF jsonb LANGUAGE sql AS $$
    SELECT jsonb_array_elements(job -> 'context' -> 'targets')
$$;
CREATE FUNCTION anywhere.update_target_doc(job jsonb, source jsonb, target jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT target || jsonb_build_object('label', coalesce(job -> 'context' ->> 'label', source ->> 'label'))
$$;
INSERT INTO sync_job_type (name, source_document_type, module, max_retries) VALUES ('Any "where', 'item', 'anywhere', 0);
CREATE FUNCTION relay(targets jsonb) RETURNS TABLE (status text, children bigint, error text) LANGUAGE sql AS $$
    SELECT j.status, jsonb_array_length(j.multiple_target_documents), j.error_message
    FROM execute_sync_job(enqueue_sync_job('Any "where', 'one', jsonb_build_object('targets', targets))) AS j
$$;
SELECT * FROM relay('[{"operation": "INSERT", "target_document_type": "\"Odd \"\"shelf\"", "context": {"label": "from the context"}},
    {"operation": "update", "target_document_type": "shelf", "target_document_name": "[1, \"one\"]"},
    {"operation": "Delete", "target_document_type": "public.shelf", "target_document_name": "[2,\"many\"]"}]');
SELECT title, operation, target_document_type, target_document_name FROM child ORDER BY id;
CALL run_sync_jobs();
SELECT status, target_document_name, split_part(error_message, E'\n', 1) AS error FROM child ORDER BY id;
TABLE "Odd ""shelf";
TABLE shelf ORDER BY shop, code;
-- A target that names nothing is none: left out. One that is wrong fails the parent, and there are no children.
SELECT * FROM relay('[null, {}, {"operation": "delete", "target_document_type": "shelf"}]');
SELECT status, children, split_part(error, E'\n', 1) AS error FROM relay('[{"operation": "insert", "target_document_type": "shelf"}, {"operation": "update", "target_document_type": "shelf"}]');
SELECT status, children, split_part(error, E'\n', 1) AS error FROM relay('[{"operation": "insert", "target_document_type": "shelf"}, {"operation": "insert", "target_document_type": "nowhere"}]');
SELECT status, children, split_part(error, E'\n', 1) AS error FROM relay('[{"operation": "insert", "target_document_type": "shelf"}, {"target_document_type": "shelf"}]');
SELECT status, children, split_part(error, E'\n', 1) AS error FROM relay('[{"operation": "delete", "target_document_type": "shelf", "target_document_name": "[1]"}, {"operation": "insert", "target_document_type": "shelf"}]');
SELECT status, children, split_part(error, E'\n', 1) AS error FROM relay('[7, 8]');
SELECT status, children, error FROM relay('[{"op": "insert", "target_document_type": "shelf"}]');
SELECT status, count(*) FROM sync_job WHERE status IN ('Pending', 'Queued', 'Started') GROUP BY status;

-- The same target twice is two children, which do not meet: one after the other.
UPDATE item SET label = 'twice' WHERE code = 'one';
SELECT status, children FROM relay('[{"operation": "update", "target_document_type": "shelf", "target_document_name": "[\"1\",\"one\"]"}, {"operation": "update", "target_document_type": "shelf", "target_document_name": "[1,\"one\"]"}]');
CALL run_sync_jobs();
SELECT status, target_document_name FROM child ORDER BY id;

-- A thousand targets, each with a context of its own.
INSERT INTO item SELECT 'thousand', array_agg(n), 'big' FROM generate_series(1, 1000) AS n;
SELECT status, jsonb_array_length(multiple_target_documents) AS targets FROM execute_sync_job(enqueue_sync_job('Shelves', 'thousand'));
CALL run_sync_jobs();
SELECT status, count(*) FROM child GROUP BY status;
SELECT count(DISTINCT shop) AS shops, count(*) AS rows FROM shelf WHERE code = 'thousand';
SELECT children, waiting, finished, skipped, relayed, failed, canceled FROM sync_job_relay ORDER BY sync_job DESC LIMIT 1;

-- An empty text is a name.
CREATE TABLE named (name text PRIMARY KEY, label text);
INSERT INTO named VALUES ('', 'nameless'), ('x', 'named');
SELECT status, children FROM relay('[{"operation": "update", "target_document_type": "named", "target_document_name": ""}, {"operation": "update", "target_document_type": "named", "target_document_name": "x"}]');
SELECT multiple_target_documents -> 0 -> 'target_document_name' AS first FROM parent;
CALL run_sync_jobs();
TABLE named ORDER BY name;

-- Two jobs of one source: the second one, which may be the earlier one, waits for the children of the first, and finds what
-- they have made.
INSERT INTO item VALUES ('both', '{7,8}', 'b');
SELECT count(enqueue_sync_job('Shelves', 'both')) FROM generate_series(1, 2);
CALL run_sync_jobs();
SELECT status, operation, split_part(error_message, E'\n', 1) AS error FROM sync_job WHERE source_document_name = 'both' ORDER BY id;
SELECT shop, code FROM shelf WHERE code = 'both' ORDER BY shop;
BEGIN;
UPDATE item SET shops = '{7,8,9,10}' WHERE code = 'both';
SELECT count(enqueue_sync_job('Shelves', 'both', priority => -n)) FROM generate_series(1, 2) AS n;
CALL run_sync_jobs();
SELECT status, operation, count(*) FROM sync_job WHERE source_document_name = 'both' AND created_at = now() GROUP BY status, operation ORDER BY status, operation;
ROLLBACK;
