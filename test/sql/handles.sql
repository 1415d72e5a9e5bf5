-- Handles: an ended job once more, one job deleted, many waited for, states by id and by key, parameters without types.
SELECT format('ALTER DATABASE %I SET sync_job.enabled = off', current_database()) \gexec
CREATE EXTENSION pg_sync_job;
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE TABLE source (id int PRIMARY KEY, v text);
CREATE TABLE target (id int PRIMARY KEY, v text);
INSERT INTO source VALUES (1, 'a'), (2, 'b');
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
VALUES ('Copy', 'source', 'target', '{"id": "id"}', '{"v": {"expr": "source.v || coalesce(context->>''more'', '''')"}}');
CREATE VIEW jobs AS SELECT id, parent_sync_job AS of, status, operation, target_document_name AS target, context, queue, priority FROM sync_job;

-- ---- rerun_sync_job ----

SELECT enqueue_sync_job('Copy', '1', context => '{"more": "!"}', queue => 'long', priority => 7, job_id => 'mine', verbose_logging => true) AS job \gset
SELECT rerun_sync_job(:job);
CALL run_sync_jobs();
SELECT worker_pid = pg_backend_pid() AS by_me FROM sync_job WHERE id = :job;
UPDATE source SET v = 'A' WHERE id = 1;
SELECT rerun_sync_job(:job) AS again \gset
SELECT rerun_sync_job(:job, '{"more": "?"}') AS other \gset
SELECT worker_pid FROM sync_job WHERE id = :again;
SELECT * FROM jobs WHERE id >= :job ORDER BY id;
SELECT job_id, verbose_logging, trigger_type FROM sync_job WHERE id = :again;
CALL run_sync_jobs();
SELECT * FROM jobs WHERE id >= :job ORDER BY id;
TABLE target;
-- What has ended in any way; what was given to a job that has not ended well is given again.
SELECT enqueue_sync_job('Copy', '2', operation => 'Delete', target_document_name => '1') AS canceled \gset
SELECT status FROM cancel_sync_job(:canceled);
SELECT rerun_sync_job(:canceled) AS again \gset
SELECT operation, target_document_name FROM sync_job WHERE id = :again;
SELECT status FROM cancel_sync_job(:again);
SELECT enqueue_sync_job('Copy', '3', max_retries => 0) AS failed \gset
SELECT enqueue_sync_job('Copy', '3') AS retried \gset
CALL run_sync_jobs();
SELECT rerun_sync_job(:failed) > :failed AS done;
SELECT rerun_sync_job(:retried);
SELECT rerun_sync_job(0);
SELECT rerun_sync_job(NULL);
SELECT rerun_sync_job(:failed, '[1]');
-- The record of a replay is no job of a controller.
SELECT enqueue_sync_job('Copy', '2') AS job \gset
CALL run_sync_jobs();
SELECT enqueue_sync_job('Copy', '2', dry_run => true, context => '{"more": "#"}') AS dry \gset
CALL run_sync_jobs();
SELECT apply_sync_job(:dry) AS applied \gset
SELECT rerun_sync_job(:applied);
SELECT rerun_sync_job(:dry) AS again \gset
SELECT dry_run, context FROM sync_job WHERE id = :again;
-- Background work.
CREATE FUNCTION add(a int, b int) RETURNS int LANGUAGE sql AS 'SELECT a + b';
SELECT enqueue_background_job('add', '{"a": 1, "b": 2}', job_group => 'sums', title => 'a sum') AS sum \gset
CALL run_sync_jobs();
SELECT rerun_sync_job(:sum, '{"a": 3, "b": 4}') AS again \gset
CALL run_sync_jobs();
SELECT title, status, result, job_group, procedure FROM sync_job WHERE id IN (:sum, :again) ORDER BY id;

-- ---- Rights: those of enqueueing, and of reading the job ----

CREATE ROLE handles_clerk; CREATE ROLE handles_reader;
SELECT grant_sync_job_type('Copy', 'handles_clerk');
SET SESSION AUTHORIZATION handles_clerk;
SELECT enqueue_sync_job('Copy', '1') AS own \gset
RESET SESSION AUTHORIZATION;
CALL run_sync_jobs();
GRANT SELECT ON target TO handles_clerk;
SET SESSION AUTHORIZATION handles_clerk;
SELECT rerun_sync_job(:own) > :own AS done;
SELECT rerun_sync_job(:job);
SELECT rerun_sync_job(:sum);
SELECT delete_sync_job(:own);
RESET SESSION AUTHORIZATION;
SELECT grant_sync_job_access('handles_reader', 'viewer');
SET SESSION AUTHORIZATION handles_reader;
SELECT rerun_sync_job(:own);
SELECT rerun_sync_job(:sum);
RESET SESSION AUTHORIZATION;
CALL run_sync_jobs();

-- ---- delete_sync_job ----

SELECT count(*) FROM sync_job_error WHERE sync_job = :failed;
SELECT delete_sync_job(:failed);
SELECT count(*) FROM sync_job_error WHERE sync_job = :failed;
SELECT delete_sync_job(:failed);
SELECT delete_sync_job(:sum);
SELECT enqueue_background_job('add', '{"a": 1, "b": 2}') AS waits \gset
SELECT delete_sync_job(:waits);
SELECT delete_sync_job(NULL);
SELECT enqueue_background_job('add', '{"a": 1, "b": 2}', after => ARRAY[:again]) AS after \gset
SELECT delete_sync_job(:again);
CALL run_sync_jobs();
SELECT delete_sync_job(:again);
SELECT count(*) FROM sync_job WHERE id IN (:failed, :sum, :again);

-- ---- wait_for_sync_jobs ----

CALL wait_for_sync_jobs(ARRAY[:own, :dry]::bigint[]);
CALL wait_for_sync_jobs(job_group => 'nobody');
CALL wait_for_sync_jobs('{}');
CALL wait_for_sync_jobs();
CALL wait_for_sync_jobs(ARRAY[:own, 0]::bigint[]);
CALL wait_for_sync_jobs(ARRAY[:own, NULL]::bigint[]);
SELECT enqueue_background_job('add', '{"a": 1, "b": 2}', job_group => 'sums') AS first \gset
SELECT enqueue_background_job('add', '{"a": 1, "b": 2}', job_group => 'sums') AS second \gset
\set VERBOSITY terse
CALL wait_for_sync_jobs(job_group => 'sums', timeout => '10 ms');
\set VERBOSITY default
CALL wait_for_sync_jobs(job_group => 'sums', timeout => '-10 ms');
BEGIN;
SELECT enqueue_background_job('add', '{"a": 1, "b": 2}', job_group => 'others') > 0 AS done;
\set VERBOSITY sqlstate
CALL wait_for_sync_jobs(job_group => 'others');
\set VERBOSITY default
ROLLBACK;
SET SESSION AUTHORIZATION handles_clerk;
CALL wait_for_sync_jobs(job_group => 'sums'); -- those of others are none of its business
\set VERBOSITY sqlstate
CALL wait_for_sync_jobs(ARRAY[:first]::bigint[]);
\set VERBOSITY default
RESET SESSION AUTHORIZATION;
CALL run_sync_jobs();
CALL wait_for_sync_jobs(job_group => 'sums', timeout => '10 s');
CALL wait_for_sync_jobs(ARRAY[:first, :second]::bigint[], 'sums');

-- ---- get_sync_job_status: an answer, or an error ----

SELECT status, retry_count FROM get_sync_job_status(:first);
SELECT status FROM get_sync_job_status('mine');
SELECT * FROM get_sync_job_status(0);
SELECT * FROM get_sync_job_status('nobody');
SELECT * FROM get_sync_job_status(NULL);
SELECT * FROM get_sync_job_status(NULL::bigint);

-- ---- Parameters without types, as many drivers send them ----

PREPARE status AS SELECT status FROM get_sync_job_status($1);
EXECUTE status(:first);
EXECUTE status('mine');
EXECUTE status('99999999');
SELECT enqueue_sync_job('Copy', '1', queue_on_insert => false) AS pending \gset
PREPARE start AS SELECT status FROM start_sync_job($1);
EXECUTE start(:pending);
PREPARE cancel AS SELECT status, cancel_reason FROM cancel_sync_job($1, $2);
EXECUTE cancel(:pending, 'no more');
SELECT enqueue_sync_job('Copy', '3', max_retries => 0) AS failed \gset
CALL run_sync_jobs();
PREPARE retry AS SELECT status FROM retry_sync_job($1);
EXECUTE retry(:failed);
PREPARE retry_with AS SELECT status FROM retry_sync_job($1, $2);
EXECUTE retry_with(:failed, '{}');
EXECUTE start('x');
EXECUTE start(NULL);
PREPARE rerun AS SELECT rerun_sync_job($1) > 0 AS done;
EXECUTE rerun(:pending);
PREPARE remove AS SELECT delete_sync_job($1);
EXECUTE remove(:pending);
PREPARE execution AS SELECT status FROM execute_sync_job($1);
EXECUTE execution(:failed);
-- Names of relations and roles beside their numbers, to compare with text.
PREPARE of_source AS SELECT source_document_type_name, target_document_type_name, run_as_name FROM sync_job_recent WHERE source_document_type_name = $1 AND id = $2;
EXECUTE of_source('source', :failed);
PREPARE history AS SELECT status FROM sync_job_document_history WHERE source_document_type_name = $1 AND target_document_type_name = $2 AND sync_job = $3;
EXECUTE history('source', 'target', :failed);
SET search_path = pg_catalog;
SELECT source_document_type_name FROM public.sync_job_recent WHERE id = :failed;
RESET search_path;
PREPARE workers AS SELECT pid FROM sync_job_activity WHERE run_as_name = $1;
EXECUTE workers('nobody');
PREPARE schedules AS SELECT name FROM sync_job_schedules WHERE owner_name = $1;
EXECUTE schedules('nobody');
-- Several at once have names of their own.
SELECT enqueue_sync_job('Copy', '1', queue_on_insert => false) AS pending \gset
SELECT status FROM start_sync_jobs(ARRAY[:pending, 0]::bigint[]);
SELECT status FROM cancel_sync_jobs(ARRAY[:pending, 0]::bigint[], 'enough');
SELECT status FROM retry_sync_jobs(ARRAY[:pending, :failed]::bigint[]);
SELECT revoke_sync_job_access('handles_reader', 'viewer'), revoke_sync_job_type('Copy', 'handles_clerk');
DROP OWNED BY handles_clerk, handles_reader;
DROP ROLE handles_clerk, handles_reader;
