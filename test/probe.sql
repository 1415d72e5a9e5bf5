-- Job types for the tests of workers: they count what they do, and their context says how to misbehave.
--
--   Probe             standard, shares batches     doc → effect, in which each job counts itself once
--   Probe Alone       the same, never in a batch
--   Probe Committing  a procedure that commits after each of its parts, and remembers how far it came
--
-- context: sleep (seconds), gate (waits while the table gate has it), fail (a message), sqlstate (with fail), kill (true: the worker kills itself with signal 9),
-- terminate (true: it terminates itself), parts (of Probe Committing, 3). What is rolled back is counted by the sequence probe_run alone.
CREATE TABLE doc (id int PRIMARY KEY, version int NOT NULL DEFAULT 1);
CREATE TABLE effect (id text PRIMARY KEY, version int, changes int);
CREATE TABLE part (job bigint, part int);
CREATE TABLE gate (name text PRIMARY KEY);
CREATE SEQUENCE probe_run;

CREATE SCHEMA probe;

CREATE FUNCTION probe.misbehave(sync_job sync_job) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM nextval('probe_run');
  PERFORM pg_sleep((sync_job.context->>'sleep')::float) WHERE sync_job.context ? 'sleep';
  WHILE EXISTS (SELECT FROM gate WHERE name = sync_job.context->>'gate') LOOP
    PERFORM pg_sleep(0.02);
  END LOOP;
  IF sync_job.context ? 'fail' THEN
    RAISE '%', sync_job.context->>'fail' USING errcode = coalesce(sync_job.context->>'sqlstate', 'P0001');
  END IF;
  IF sync_job.context ? 'terminate' THEN
    PERFORM pg_terminate_backend(pg_backend_pid());
    PERFORM pg_sleep(60);
  END IF;
  IF sync_job.context ? 'kill' THEN
    COPY (SELECT) TO PROGRAM 'kill -9 $PPID';
    PERFORM pg_sleep(60);
  END IF;
END $$;

CREATE FUNCTION probe.get_target_document(sync_job sync_job, source_doc doc) RETURNS sync_job_target
LANGUAGE plpgsql AS $$
DECLARE
  name text := (sync_job).sync_job_type || ' ' || source_doc.id;
BEGIN
  RETURN sync_job_target(CASE WHEN EXISTS (SELECT FROM effect WHERE id = name) THEN 'update' ELSE 'insert' END,
                         target_document_name => name);
END $$;

CREATE FUNCTION probe.update_target_doc(sync_job sync_job, source_doc doc, INOUT target_doc effect)
LANGUAGE plpgsql AS $$
BEGIN
  IF NOT pg_try_advisory_xact_lock((sync_job).id) THEN
    RAISE 'job % is run twice at once', (sync_job).id;
  END IF;
  target_doc.version := source_doc.version;
  target_doc.changes := coalesce(target_doc.changes, 0) + 1;
  PERFORM probe.misbehave(sync_job);
END $$;

CREATE SCHEMA probe_committing;

CREATE PROCEDURE probe_committing.execute(sync_job sync_job, source_doc doc, context jsonb) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN coalesce(get_sync_job_checkpoint()::int, 0) + 1 .. coalesce(context->>'parts', '3')::int LOOP
    PERFORM probe.misbehave(sync_job);
    INSERT INTO part VALUES ((sync_job).id, i);
    PERFORM set_sync_job_checkpoint(to_jsonb(i));
    COMMIT;
    INSERT INTO part VALUES ((sync_job).id, -i);
    ROLLBACK;
  END LOOP;
END $$;

INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, batchable, retry_delay)
VALUES ('Probe', 'doc', 'effect', 'probe', NULL, '10 ms'),
       ('Probe Alone', 'doc', 'effect', 'probe', false, '10 ms'),
       ('Probe Committing', 'doc', NULL, 'probe_committing', NULL, '10 ms');
