-- Something of each kind: jobs that end well, are skipped, fail, are retried, wait, are scheduled and pending; a broken type, a paused
-- type, a comparison, an alert that fires; and a role that may only look.
CREATE ROLE monitoring LOGIN;
SELECT grant_sync_job_access('monitoring', 'viewer');
INSERT INTO doc SELECT generate_series(1, 400);
CREATE TABLE part_list (id int PRIMARY KEY, name text);
CREATE TABLE stock_list (id int PRIMARY KEY, name text);
INSERT INTO part_list SELECT i, 'part ' || i FROM generate_series(1, 20) AS i;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, set_size)
    VALUES ('Part', 'part_list', 'stock_list', '{"id": "id"}', '{"name": "name"}', 100);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES ('Broken', 'doc', 'effect', 'nowhere');
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, paused) VALUES ('Paused "type" \ ü', 'doc', 'effect', 'probe', true);
INSERT INTO sync_job_alert (name, measure, threshold) VALUES ('failures', 'failed', '0'), ('quiet', 'waiting', '1000000');
SELECT count(enqueue_sync_job('Probe', i::text)) FROM generate_series(1, 100) AS i;
SELECT enqueue_sync_job('Probe', '101', context => '{"fail": "for good"}', max_retries => 0);
SELECT enqueue_sync_job('Probe', '102', context => '{"fail": "again"}', max_retries => 3, retry_delay => '1 hour');
SELECT enqueue_sync_job('Probe', '103', scheduled_at => now() + interval '1 hour');
SELECT enqueue_sync_job('Probe', '104', queue_on_insert => false);
SELECT enqueue_sync_job('Broken', '1');
SELECT enqueue_sync_job('Paused "type" \ ü', '1');
SELECT enqueue_sync_jobs('Part', ARRAY(SELECT i::text FROM generate_series(1, 10) AS i));
CREATE SERVER shop FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'http://127.0.0.1:1', networks '127.0.0.0/8');
INSERT INTO sync_job_type (name, http, max_retries) VALUES ('Push', '{"server": "shop", "path": "/"}', 0);
SELECT enqueue_sync_job('Push');
SELECT enqueue_compare('Part') AS compare \gset
CALL wait_for_sync_job(:compare, '60 s');
DO $$
BEGIN
    FOR i IN 1 .. 600 LOOP
        EXIT WHEN (SELECT state = 'firing' FROM sync_job_alert WHERE name = 'failures')
            AND (SELECT out_of_step > 0 FROM sync_job_internal.last_success WHERE sync_job_type = 'Part')
            AND NOT EXISTS (SELECT FROM sync_job WHERE status IN ('Queued', 'Started') AND sync_job_type IN ('Probe', 'Push') AND scheduled_at IS NULL);
        COMMIT;
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;
