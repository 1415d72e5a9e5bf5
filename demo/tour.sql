-- The tour that run shows: psql echoes each statement, then its result. What the tour promises is checked as it goes
-- (pg_temp.expect), which is not shown; nor are the waits of a person who looks again (pg_temp.wait_until).
-- Variables: countries and subdivisions, the files with the lists; bold and plain, terminal sequences or empty.
-- Environment: DEMO, this folder.
\pset footer off

CREATE FUNCTION pg_temp.expect(fulfilled boolean, expectation text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF fulfilled IS NOT TRUE THEN
        RAISE EXCEPTION 'the demo expected: %', expectation;
    END IF;
END $$;

CREATE FUNCTION pg_temp.wait_until(condition text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    fulfilled boolean;
BEGIN
    FOR attempt IN 1 .. 1500 LOOP
        EXECUTE 'SELECT ' || condition INTO fulfilled;
        IF fulfilled THEN
            RETURN;
        END IF;
        PERFORM pg_sleep(0.02);
    END LOOP;
    RAISE EXCEPTION 'the demo has waited 30 s for: %', condition;
END $$;

\echo :bold'-- The countries of the world, kept in step with an ERP\'s territories --------------------------':plain
\echo '-- Source: the lists of ISO 3166. Target: a tree of territories, as an ERP has it. Background workers inside the'
\echo '-- server carry each change over.'
\echo
\set ECHO queries
CREATE EXTENSION pg_sync_job;
\set ECHO none
\echo
\echo `cat "$DEMO/schema.sql"`
\echo
\ir schema.sql
\set ECHO queries
INSERT INTO iso.country
SELECT alpha_2, name
FROM jsonb_to_recordset(pg_read_file(:'countries')::jsonb -> '3166-1')
    AS c(alpha_2 text, name text);
\echo
INSERT INTO iso.subdivision
SELECT code, left(code, 2), CASE WHEN parent LIKE '%-%' THEN parent ELSE left(code, 3) || parent END, name, type
FROM jsonb_to_recordset(pg_read_file(:'subdivisions')::jsonb -> '3166-2')
    AS s(code text, parent text, name text, type text);
\set ECHO none
SELECT pg_temp.expect((SELECT count(*) > 200 FROM iso.country), 'some 250 countries') \g /dev/null
SELECT pg_temp.expect((SELECT count(*) > 4000 FROM iso.subdivision), 'some 5,000 subdivisions') \g /dev/null

\echo
\echo :bold'-- How to sync: two functions ------------------------------------------------------------------':plain
\echo
\echo `cat "$DEMO/subdivision_sync.sql"`
\ir subdivision_sync.sql
\ir country_sync.sql
\echo
\echo '-- Countries have the same two functions, in the schema country_sync. What is missing is a job type each, and a'
\echo '-- queue. One worker runs its jobs by priority, then in the order they were enqueued in: so parents come before'
\echo '-- children. With more workers a child may be early: it fails as in step 5, and its retry succeeds.'
\echo
\set ECHO queries
INSERT INTO sync_job_queue (name, max_workers) VALUES ('territories', 1);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, queue, retry_delay) VALUES
    ('Country Sync',     'iso.country',     'erp.territory', 'territories', '5 seconds'),
    ('Subdivision Sync', 'iso.subdivision', 'erp.territory', 'territories', '5 seconds');
\echo
CREATE TRIGGER sync AFTER INSERT OR UPDATE OR DELETE ON iso.country
    FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('Country Sync');
CREATE TRIGGER sync AFTER INSERT OR UPDATE OR DELETE ON iso.subdivision
    FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('Subdivision Sync');
\set ECHO none

\echo
\echo :bold'-- 1. The first sync ---------------------------------------------------------------------------':plain
\echo '-- The triggers see what changes from now on. What is there already is enqueued by hand: one job a document. The'
\echo '-- lower number of priority runs first, so it is the level in the tree.'
\echo
\set ECHO queries
SELECT count(enqueue_sync_job('Country Sync', c)) AS jobs FROM iso.country c;
SELECT count(enqueue_sync_job('Subdivision Sync', s, priority => num_nonnulls(s.parent, p.parent))) AS jobs
FROM iso.subdivision s LEFT JOIN iso.subdivision p ON p.code = s.parent;
\set ECHO none
SELECT pg_temp.wait_until('NOT EXISTS (SELECT FROM sync_job WHERE ended_at IS NULL OR retry_after IS NOT NULL)')
\g /dev/null
\echo '-- A moment later:'
\echo
\set ECHO queries
SELECT sync_job_type, operation, status, count(*) AS jobs,
    round(extract(epoch FROM max(ended_at) - min(started_at)), 3) AS seconds,
    round(count(*) / extract(epoch FROM max(ended_at) - min(started_at))) AS jobs_per_second
FROM sync_job
GROUP BY sync_job_type, operation, status ORDER BY sync_job_type;
\set ECHO none
SELECT pg_temp.expect((SELECT count(*) = (SELECT count(*) FROM iso.country) + (SELECT count(*) FROM iso.subdivision)
                       FROM sync_job WHERE status = 'Finished' AND operation = 'Insert'),
                      'each document inserted') \g /dev/null
SELECT pg_temp.expect((SELECT count(*) FROM sync_job) = (SELECT count(*) - 1 FROM erp.territory),
                      'as many territories as jobs, and the root') \g /dev/null
SELECT pg_temp.expect((SELECT bool_and((t.territory_name = d.name AND coalesce(p.iso_code, p.name) = d.parent) IS TRUE)
                       FROM (SELECT code, name, 'All Territories' AS parent FROM iso.country
                             UNION ALL SELECT code, name, coalesce(parent, country) FROM iso.subdivision) d
                           LEFT JOIN erp.territory t ON t.iso_code = d.code
                           LEFT JOIN erp.territory p ON p.name = t.parent_territory),
                      'each territory with its name, below its parent') \g /dev/null
\echo '-- The ERP has its tree; one branch of it:'
\echo
\set ECHO queries
WITH RECURSIVE tree AS (
    SELECT name, territory_name, 0 AS level FROM erp.territory WHERE iso_code = 'BE'
    UNION ALL
    SELECT t.name, t.territory_name, level + 1 FROM erp.territory t JOIN tree ON t.parent_territory = tree.name
) SEARCH DEPTH FIRST BY territory_name SET path
SELECT repeat('    ', level) || territory_name AS territory, name FROM tree ORDER BY path;
\set ECHO none

\echo :bold'-- 2. The source changes -----------------------------------------------------------------------':plain
\echo '-- The trigger enqueues one job. It writes what differs, and keeps the difference.'
\echo
\set ECHO queries
UPDATE iso.subdivision SET name = 'Antwerp' WHERE code = 'BE-VAN';
\set ECHO none
SELECT max(id) AS job FROM sync_job \gset
\set ECHO queries
CALL wait_for_sync_job(:job, '30 s');
\echo
SELECT id, status, operation, source_document_name AS source, target_document_name AS target, diff_summary
FROM sync_job WHERE id = :job;
\set ECHO none
SELECT pg_temp.expect((SELECT status = 'Finished' AND operation = 'Update' AND trigger_type = 'Document Hook'
                           AND diff_summary #>> '{territory_name,new}' = 'Antwerp'
                           AND diff_summary - 'territory_name' = '{}'
                       FROM sync_job WHERE id = :job), 'the new name, by an update') \g /dev/null
SELECT pg_temp.expect((SELECT territory_name = 'Antwerp' FROM erp.territory WHERE iso_code = 'BE-VAN'),
                      'the new name in the target') \g /dev/null

\echo :bold'-- 3. Nothing to do ----------------------------------------------------------------------------':plain
\echo '-- The same document again. It is as it should be: nothing is written.'
\echo
\set ECHO queries
SELECT enqueue_sync_job('Subdivision Sync', 'BE-VAN');
\set ECHO none
SELECT max(id) AS job FROM sync_job \gset
\set ECHO queries
CALL wait_for_sync_job(:job, '30 s');
\echo
SELECT id, status, operation, source_document_name AS source, target_document_name AS target, diff_summary
FROM sync_job WHERE id = :job;
\set ECHO none
SELECT pg_temp.expect((SELECT status = 'Skipped' AND diff_summary IS NULL FROM sync_job WHERE id = :job),
                      'a Skipped job') \g /dev/null

\echo :bold'-- 4. A dry run --------------------------------------------------------------------------------':plain
\echo '-- Somebody has edited the ERP. What would a sync do about it? The diff says; the target stays as it is.'
\echo
\set ECHO queries
UPDATE erp.territory SET territory_name = 'Luik (sales office)' WHERE iso_code = 'BE-WLG';
SELECT enqueue_sync_job('Subdivision Sync', 'BE-WLG', dry_run => true);
\set ECHO none
SELECT max(id) AS job FROM sync_job \gset
\set ECHO queries
CALL wait_for_sync_job(:job, '30 s');
\echo
SELECT id, status, operation, dry_run, diff_summary FROM sync_job WHERE id = :job;
SELECT name, territory_name FROM erp.territory WHERE iso_code = 'BE-WLG';
\set ECHO none
SELECT pg_temp.expect((SELECT status = 'Finished' AND operation = 'Update' AND dry_run
                           AND diff_summary #>> '{territory_name,new}' =
                               (SELECT name FROM iso.subdivision WHERE code = 'BE-WLG')
                       FROM sync_job WHERE id = :job), 'the diff of a dry run') \g /dev/null
SELECT pg_temp.expect((SELECT territory_name = 'Luik (sales office)' FROM erp.territory WHERE iso_code = 'BE-WLG'),
                      'a target that a dry run leaves alone') \g /dev/null
\echo '-- It is as it should be: make it real. Exactly these values are written, if nobody has changed them since.'
\echo
\set ECHO queries
SELECT apply_sync_job(:job);
SELECT name, territory_name FROM erp.territory WHERE iso_code = 'BE-WLG';
\set ECHO none
SELECT pg_temp.expect((SELECT t.territory_name = s.name FROM erp.territory t JOIN iso.subdivision s ON s.code = t.iso_code
                       WHERE s.code = 'BE-WLG'), 'a dry run made real') \g /dev/null

\echo :bold'-- 5. A failure, and its retry -----------------------------------------------------------------':plain
\echo '-- A subdivision of a country that is on no list. The controller raises an error; it is kept with the job.'
\echo
\set ECHO queries
INSERT INTO iso.subdivision VALUES ('XA-1', 'XA', NULL, 'Poseidonis', 'Island');
\set ECHO none
SELECT max(id) AS job FROM sync_job \gset
SELECT pg_temp.wait_until(format('EXISTS (SELECT FROM sync_job_error WHERE sync_job = %s)', :job)) \g /dev/null
\echo
\echo '-- A moment later:'
\echo
\set ECHO queries
SELECT id, status, retry_count, max_retries, round(extract(epoch FROM retry_after - ended_at)) AS retry_after_seconds
FROM sync_job WHERE id = :job;
\x on
SELECT attempt, sqlstate, message, detail, hint FROM sync_job_error WHERE sync_job = :job;
\x off
\set ECHO none
SELECT pg_temp.expect((SELECT status = 'Failed' AND operation IS NULL AND target_document_name IS NULL
                           AND error_message LIKE 'there is no territory for "XA" yet%'
                       FROM sync_job WHERE id = :job), 'a Failed job with the controller''s message') \g /dev/null
SELECT pg_temp.expect((SELECT count(*) = 1 AND min(message) = 'there is no territory for "XA" yet'
                           AND min(detail) = 'Island "Poseidonis" belongs below it.'
                           AND min(hint) LIKE 'Sync the parent%'
                       FROM sync_job_error WHERE sync_job = :job AND attempt = 1),
                      'the error with detail and hint') \g /dev/null
\echo '-- Mend the cause. The job needs no push: it is retried after 5 seconds (then 10, then 15), and succeeds.'
\echo
\set ECHO queries
INSERT INTO iso.country VALUES ('XA', 'Atlantis');
CALL wait_for_sync_job(:job, '30 s');
\echo
SELECT id, status, operation, retry_count, error_message FROM sync_job WHERE id = :job;
SELECT t.territory_name, p.territory_name AS parent
FROM erp.territory t JOIN erp.territory p ON p.name = t.parent_territory WHERE t.iso_code = 'XA-1';
\set ECHO none
SELECT pg_temp.expect((SELECT status = 'Finished' AND operation = 'Insert' AND retry_count >= 1
                       FROM sync_job WHERE id = :job), 'success on a retry') \g /dev/null
SELECT pg_temp.expect((SELECT p.iso_code = 'XA'
                       FROM erp.territory t JOIN erp.territory p ON p.name = t.parent_territory
                       WHERE t.iso_code = 'XA-1'),
                      'Poseidonis in Atlantis') \g /dev/null

\echo :bold'-- 6. A job for later, canceled ----------------------------------------------------------------':plain
\echo '-- It waits for tomorrow, and is not wanted any more.'
\echo
\set ECHO queries
SELECT enqueue_sync_job('Country Sync', 'BE', scheduled_at => now() + interval '1 day');
\set ECHO none
SELECT max(id) AS job FROM sync_job \gset
\set ECHO queries
SELECT id, status, cancel_reason FROM cancel_sync_job(:job, reason => 'entered twice');
\set ECHO none
SELECT pg_temp.expect((SELECT status = 'Canceled' AND cancel_reason = 'entered twice' AND started_at IS NULL
                       FROM sync_job WHERE id = :job), 'a Canceled job') \g /dev/null

\echo :bold'-- 7. A document is deleted --------------------------------------------------------------------':plain
\echo '-- The trigger keeps the deleted row for the job; the territory goes.'
\echo
\set ECHO queries
DELETE FROM iso.subdivision WHERE code = 'XA-1';
\set ECHO none
SELECT max(id) AS job FROM sync_job \gset
\set ECHO queries
CALL wait_for_sync_job(:job, '30 s');
\echo
SELECT id, status, operation, source_document_name AS source, target_document_name AS target
FROM sync_job WHERE id = :job;
SELECT count(*) AS territories FROM erp.territory WHERE iso_code = 'XA-1';
\set ECHO none
SELECT pg_temp.expect((SELECT status = 'Finished' AND operation = 'Delete' FROM sync_job WHERE id = :job),
                      'a Finished delete') \g /dev/null
SELECT pg_temp.expect(NOT EXISTS (SELECT FROM erp.territory WHERE iso_code = 'XA-1'), 'no territory XA-1') \g /dev/null

\echo :bold'-- 8. The numbers ------------------------------------------------------------------------------':plain
\echo '-- What the jobs of the last hour came to, what waits in the queues, and what each worker does right now.'
\echo
\set ECHO queries
SELECT sync_job_type, status, jobs, wait_p50, wait_p95, run_p50, run_p95 FROM sync_job_stats ORDER BY 1, 2;
SELECT queue, paused, workers, max_workers, waiting, scheduled FROM sync_job_queue_status;
SELECT pid, queue, run_as, state, sync_job FROM sync_job_activity;
\set ECHO none
SELECT pg_temp.expect((SELECT sum(jobs) FROM sync_job_stats) = (SELECT count(*) FROM sync_job),
                      'each job in the statistics') \g /dev/null
SELECT pg_temp.expect((SELECT jobs = 1 FROM sync_job_stats WHERE status = 'Skipped'), 'one Skipped job') \g /dev/null
SELECT pg_temp.expect((SELECT workers = 1 AND waiting = 0 AND scheduled = 0
                       FROM sync_job_queue_status WHERE queue = 'territories'),
                      'one worker, and nothing left to do') \g /dev/null
SELECT pg_temp.expect((SELECT count(*) = 1 FROM sync_job_activity), 'one worker in the activity') \g /dev/null
