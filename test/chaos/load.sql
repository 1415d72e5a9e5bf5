-- What the chaos suite works on: job types of every kind, and tables in which their effects can be counted afterwards.
--
-- ledger   what a committed transaction has enqueued, written by that transaction, and how many effects each job is to have
-- effect   one row for each part of a job that was done; no key, so that what is done twice is there twice
-- item     the source of four syncs, followed by triggers: `copy` (declarative, partitioned) and `note` (PL/pgSQL) get a job a document,
--          `mirror` (declarative) and `shadow` (PL/pgSQL) sets of documents, and `mirror` full syncs, too
-- touched  each write of these targets, counted against the jobs that say they have written
CREATE EXTENSION amcheck;
CREATE TABLE ledger (job bigint PRIMARY KEY, kind text NOT NULL, effects int NOT NULL DEFAULT 1);
CREATE TABLE effect (job bigint NOT NULL, part int NOT NULL);
CREATE TABLE doc (id int PRIMARY KEY);
INSERT INTO doc SELECT generate_series(1, 60);

CREATE TABLE item (id int PRIMARY KEY, v text, w int);
CREATE TABLE copy (id int PRIMARY KEY, v text, w int, label text) PARTITION BY HASH (id);
CREATE TABLE copy_0 PARTITION OF copy FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE copy_1 PARTITION OF copy FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE copy_2 PARTITION OF copy FOR VALUES WITH (MODULUS 3, REMAINDER 2);
CREATE TABLE note (id int PRIMARY KEY, v text, w int);
CREATE TABLE mirror (id int PRIMARY KEY, v text, w int, label text);
CREATE TABLE shadow (id int PRIMARY KEY, v text, w int);
CREATE TABLE touched (target text, id int, operation text);
-- When a partition of `copy` was away: what deletes in that time could not find.
CREATE TABLE detached (part regclass, since timestamptz, until timestamptz);

CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO touched VALUES (TG_ARGV[0], coalesce(NEW.id, OLD.id), initcap(TG_OP));
  RETURN NULL;
END $$;
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON copy FOR EACH ROW EXECUTE FUNCTION touch('copy');
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON note FOR EACH ROW EXECUTE FUNCTION touch('note');
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON mirror FOR EACH ROW EXECUTE FUNCTION touch('mirror');
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON shadow FOR EACH ROW EXECUTE FUNCTION touch('shadow');

-- context: sleep (seconds), once (true: the first attempt fails), fail (true: each does), parts
CREATE FUNCTION misbehave(context jsonb, retry_count int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_sleep((context->>'sleep')::float) WHERE context ? 'sleep';
  IF context ? 'fail' OR context ? 'once' AND retry_count = 0 THEN
    RAISE 'as the test wants it';
  END IF;
END $$;

CREATE SCHEMA counted;
CREATE FUNCTION counted.execute(sync_job sync_job, source_doc doc, context jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  -- A session that rolls back lets go of the document just before its locks.
  IF NOT pg_try_advisory_xact_lock(hashtext((sync_job).sync_job_type), source_doc.id)
     AND (SELECT NOT pg_try_advisory_xact_lock(hashtext((sync_job).sync_job_type), source_doc.id) FROM pg_sleep(0.03)) THEN
    RAISE 'two jobs of document % run at once', source_doc.id USING errcode = 'assert_failure';
  END IF;
  INSERT INTO effect VALUES ((sync_job).id, 1);
  PERFORM misbehave(context, (sync_job).retry_count);
  RETURN NULL;
END $$;

CREATE SCHEMA committing;
CREATE PROCEDURE committing.execute(sync_job sync_job, source_doc doc, context jsonb) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN coalesce(get_sync_job_checkpoint()::int, 0) + 1 .. (context->>'parts')::int LOOP
    INSERT INTO effect VALUES ((sync_job).id, i);
    PERFORM misbehave(context, (sync_job).retry_count);
    PERFORM set_sync_job_checkpoint(to_jsonb(i));
    COMMIT;
    INSERT INTO effect VALUES ((sync_job).id, -i);
    ROLLBACK;
  END LOOP;
END $$;

CREATE TABLE parcel (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, job bigint);
CREATE SCHEMA relayed;
CREATE FUNCTION relayed.get_multiple_target_documents(sync_job sync_job, source_doc doc) RETURNS SETOF sync_job_target
LANGUAGE sql STABLE AS $$
  SELECT sync_job_target('insert') FROM generate_series(1, (sync_job.context->>'parts')::int)
$$;
CREATE FUNCTION relayed.update_target_doc(sync_job sync_job, source_doc doc, INOUT target_doc parcel) LANGUAGE plpgsql AS $$
BEGIN
  target_doc.job := (sync_job).id;
  PERFORM misbehave((sync_job).context, (sync_job).retry_count);
END $$;

CREATE SCHEMA noted;
CREATE FUNCTION noted.get_target_document(sync_job sync_job, source_doc item) RETURNS sync_job_target LANGUAGE sql STABLE AS $$
  SELECT sync_job_target(CASE WHEN sync_job.context->>'trigger_operation' = 'Delete' THEN 'delete' WHEN n.id IS NULL THEN 'insert' ELSE 'update' END,
                         target_document_name => n.id::text)
  FROM (SELECT 1) AS one LEFT JOIN note AS n ON n.id = source_doc.id
$$;
CREATE FUNCTION noted.update_target_doc(sync_job sync_job, source_doc item, INOUT target_doc note) LANGUAGE plpgsql AS $$
BEGIN
  target_doc.id := source_doc.id;
  target_doc.v := source_doc.v;
  target_doc.w := source_doc.w;
END $$;

CREATE SCHEMA shadowed;
CREATE FUNCTION shadowed.get_target_document(sync_job sync_job, source_doc item) RETURNS sync_job_target LANGUAGE plpgsql AS $$
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('Shadowed'), source_doc.id)
     AND (SELECT NOT pg_try_advisory_xact_lock(hashtext('Shadowed'), source_doc.id) FROM pg_sleep(0.03)) THEN
    RAISE 'two jobs of item % run at once', source_doc.id USING errcode = 'assert_failure';
  END IF;
  RETURN (SELECT sync_job_target(CASE WHEN sync_job.context->>'trigger_operation' = 'Delete' THEN 'delete' WHEN s.id IS NULL THEN 'insert' ELSE 'update' END,
                                 target_document_name => s.id::text)
    FROM (SELECT 1) AS one LEFT JOIN shadow AS s ON s.id = source_doc.id);
END $$;
CREATE FUNCTION shadowed.update_target_doc(sync_job sync_job, source_doc item, INOUT target_doc shadow) LANGUAGE plpgsql AS $$
BEGIN
  target_doc.id := source_doc.id;
  target_doc.v := source_doc.v;
  target_doc.w := source_doc.w;
END $$;

-- Background work.
CREATE FUNCTION count_it(context jsonb DEFAULT NULL) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO effect VALUES (current_sync_job(), 1);
  PERFORM misbehave(context, (SELECT retry_count FROM sync_job WHERE id = current_sync_job()));
  RETURN 1;
END $$;
CREATE FUNCTION called_back(sync_job bigint) RETURNS void LANGUAGE sql AS $$ INSERT INTO effect VALUES ($1, 100) $$;

-- A crash that a job is charged with is a retry: there are enough of them.
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, batchable, match, field_map) VALUES
  ('Counted', 'doc', NULL, 'counted', true, NULL, NULL),
  ('Counted Alone', 'doc', NULL, 'counted', false, NULL, NULL),
  ('Counted Limited', 'doc', NULL, 'counted', true, NULL, NULL),
  ('Counted of a Clerk', 'doc', NULL, 'counted', true, NULL, NULL),
  ('Committing', 'doc', NULL, 'committing', NULL, NULL, NULL),
  ('Relayed', 'doc', 'parcel', 'relayed', NULL, NULL, NULL),
  ('Noted', 'item', 'note', 'noted', NULL, NULL, NULL),
  ('Copied', 'item', 'copy', NULL, NULL, '{"id": "id"}',
   '{"v": "v", "w": "w", "label": {"expr": "source.v || ''/'' || source.w"}}'),
  ('Mirrored', 'item', 'mirror', NULL, NULL, '{"id": "id"}',
   '{"v": "v", "w": "w", "label": {"expr": "source.v || ''/'' || source.w"}}'),
  ('Shadowed', 'item', 'shadow', 'shadowed', NULL, NULL, NULL);
UPDATE sync_job_type SET set_size = 25 WHERE name IN ('Mirrored', 'Shadowed');
CREATE ROLE clerk LOGIN;
GRANT USAGE ON SCHEMA counted TO clerk;
GRANT SELECT ON doc TO clerk;
GRANT INSERT ON effect TO clerk;
UPDATE sync_job_type SET max_retries = 100000, retry_delay = '300 ms', retry_backoff = 'constant';
UPDATE sync_job_type SET run_as = 'clerk', queue = 'short' WHERE name = 'Counted of a Clerk';
UPDATE sync_job_type SET concurrency_limit = 1 WHERE name = 'Counted Limited';
UPDATE sync_job_queue SET max_workers = 4;
SELECT attach_sync_job_triggers('Copied', 'item', level => 'statement');
SELECT attach_sync_job_triggers('Noted', 'item');
SELECT attach_sync_job_triggers('Mirrored', 'item', level => 'statement');
SELECT attach_sync_job_triggers('Shadowed', 'item', level => 'statement');
