-- Triggers that enqueue a job for each changed row: options, levels, keys, partitions, every way to write, and what goes wrong.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- jobs are run by hand
\set SHOW_CONTEXT never

CREATE TABLE thing (id int PRIMARY KEY, note text);
CREATE TABLE copy (id int PRIMARY KEY, note text);
CREATE SCHEMA thing_copy;
CREATE FUNCTION thing_copy.get_target_document(sync_job sync_job, source_doc thing) RETURNS sync_job_target LANGUAGE sql AS $$
    SELECT sync_job_target(CASE WHEN sync_job.context ->> 'trigger_operation' = 'Delete' THEN 'delete'
        WHEN EXISTS (SELECT FROM copy WHERE id = source_doc.id) THEN 'update' ELSE 'insert' END,
        target_document_name => source_doc.id::text)
$$;
CREATE FUNCTION thing_copy.update_target_doc(sync_job sync_job, source_doc thing, INOUT target_doc copy) LANGUAGE plpgsql AS $$
BEGIN
    target_doc := ROW(source_doc.*);
END $$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES ('Thing''s "copy"', 'thing', 'copy', 'thing_copy');

-- What has been enqueued since the last look, and the look itself.
CREATE FUNCTION enqueued() RETURNS TABLE (source text, name text, operation text) LANGUAGE sql AS $$
    SELECT source_document_type::text, source_document_name, context ->> 'trigger_operation'
    FROM sync_job WHERE status = 'Queued' ORDER BY id
$$;
CREATE PROCEDURE forget() LANGUAGE sql AS $$
    SELECT cancel_sync_job(array_agg(id)) FROM sync_job WHERE status = 'Queued'
$$;
CREATE VIEW triggers AS
    SELECT tgrelid::regclass AS relation, pg_get_triggerdef(oid) AS trigger FROM pg_trigger WHERE tgfoid = 'sync_job_trigger()'::regprocedure;

-- Attached, by level; with an awkward name; twice; detached.
SELECT * FROM attach_sync_job_triggers('Thing''s "copy"', 'thing');
SELECT * FROM triggers;
SELECT * FROM attach_sync_job_triggers('Thing''s "copy"', 'thing');
SELECT * FROM detach_sync_job_triggers('Thing''s "copy"', 'thing');
SELECT * FROM detach_sync_job_triggers('Thing''s "copy"', 'thing');
SELECT * FROM attach_sync_job_triggers('Thing''s "copy"', 'thing', level => 'STATEMENT', deduplicate => false, keep_deleted => false);
SELECT * FROM triggers ORDER BY trigger;
SELECT * FROM detach_sync_job_triggers('Thing''s "copy"', 'thing');
SELECT * FROM attach_sync_job_triggers('Thing''s "copy"', 'thing', level => 'column');
SELECT * FROM attach_sync_job_triggers('Thing''s "copy"', 'copy');
SELECT * FROM attach_sync_job_triggers('Thing', 'thing');
CREATE VIEW things AS SELECT * FROM thing;
INSERT INTO sync_job_type (name, source_document_type, source_key, target_document_type) VALUES ('Of a view', 'things', '{id}', 'copy');
SELECT * FROM attach_sync_job_triggers('Of a view', 'things');
-- Names of triggers are cut where PostgreSQL would cut them.
INSERT INTO sync_job_type (name, source_document_type, target_document_type)
VALUES (repeat('Very long name ', 6), 'thing', 'copy'), (repeat('é', 30), 'thing', 'copy');
SELECT t.trigger_name, octet_length(t.trigger_name) FROM sync_job_type, attach_sync_job_triggers(name, 'thing', level => 'statement') AS t WHERE name ~ '^Very|^é' ORDER BY name, 1;
SELECT count(*) FROM sync_job_type, detach_sync_job_triggers(name, 'thing') WHERE name ~ '^Very|^é';

-- Every way to write a row, at either level. The order is that of the rows.
CREATE PROCEDURE write(level text) LANGUAGE plpgsql AS $$
DECLARE
    command text;
BEGIN
    TRUNCATE thing, sync_job_deleted_document;
    PERFORM attach_sync_job_triggers('Thing''s "copy"', 'thing', level => level, deduplicate => false);
    FOREACH command IN ARRAY ARRAY[
        $c$INSERT INTO thing VALUES (1, 'a'), (2, 'b'), (3, 'c')$c$,
        $c$INSERT INTO thing SELECT 9 WHERE false$c$,
        $c$INSERT INTO thing VALUES (1, 'x') ON CONFLICT DO NOTHING$c$,
        $c$INSERT INTO thing VALUES (1, 'x'), (4, 'd') ON CONFLICT (id) DO UPDATE SET note = excluded.note$c$,
        $c$UPDATE thing SET note = note WHERE id = 1$c$,
        $c$UPDATE thing SET note = upper(note) WHERE id > 2$c$,
        $c$UPDATE thing SET id = 5 WHERE id = 4$c$,
        $c$UPDATE thing SET id = id + 1 WHERE id = 5$c$,
        $c$MERGE INTO thing AS t USING (VALUES (1), (2), (7)) AS s (id) ON t.id = s.id
           WHEN MATCHED AND t.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET note = 'merged' WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'new')$c$,
        $c$WITH gone AS (DELETE FROM thing WHERE id = 2 RETURNING *) INSERT INTO thing SELECT id + 6, note FROM gone$c$,
        $c$DELETE FROM thing WHERE id > 6$c$,
        $c$DELETE FROM thing WHERE false$c$,
        $c$TRUNCATE thing$c$] LOOP
        EXECUTE command;
        RAISE NOTICE E'%\n        %', regexp_replace(command, '\s+', ' ', 'g'),
            coalesce((SELECT string_agg(format('%s %s', operation, name), ', ') FROM enqueued()), '-');
        CALL forget();
    END LOOP;
    RAISE NOTICE 'kept: %', (SELECT string_agg(data::text, ', ' ORDER BY id) FROM sync_job_deleted_document);
    PERFORM detach_sync_job_triggers('Thing''s "copy"', 'thing');
END $$;
CALL write('row');
CALL write('statement');
SELECT attach_sync_job_triggers('Thing''s "copy"', 'thing');
COPY thing FROM stdin;
1	one
2	two
\.
SELECT * FROM enqueued();
SELECT DISTINCT status, trigger_type, sync_job_type, owner, enqueued_by, triggered_by_document_name FROM sync_job WHERE status = 'Queued';
CALL run_sync_jobs();
-- All rows exchange their keys; a key comes back within the statement, the transaction, or before the job runs.
UPDATE thing SET note = id || ' was here';
CALL forget();
ALTER TABLE thing DROP CONSTRAINT thing_pkey, ADD PRIMARY KEY (id) DEFERRABLE;
UPDATE thing SET id = 3 - id;
SELECT * FROM enqueued();
SELECT detach_sync_job_triggers('Thing''s "copy"', 'thing');
CALL forget();
SELECT attach_sync_job_triggers('Thing''s "copy"', 'thing', level => 'statement');
UPDATE thing SET id = 3 - id;
SELECT * FROM enqueued();
UPDATE thing SET id = id + 1;
SELECT * FROM enqueued();
CALL run_sync_jobs();
TABLE thing ORDER BY id;
TABLE copy ORDER BY id;
SELECT DISTINCT status, operation FROM sync_job WHERE status <> 'Canceled' ORDER BY 1, 2;
SELECT detach_sync_job_triggers('Thing''s "copy"', 'thing');
SELECT attach_sync_job_triggers('Thing''s "copy"', 'thing');
DELETE FROM thing WHERE id = 2;
INSERT INTO thing VALUES (2, 'back');
SELECT * FROM enqueued();
CALL run_sync_jobs();
TABLE copy ORDER BY id;
SELECT operation, status, count(*) FROM sync_job WHERE source_document_name = '2' AND status <> 'Canceled' GROUP BY 1, 2 ORDER BY 1, 2;
-- A savepoint takes the job away with the change.
BEGIN;
INSERT INTO thing VALUES (10, 'kept');
SAVEPOINT s;
INSERT INTO thing VALUES (11, 'not');
DELETE FROM thing WHERE id = 10;
ROLLBACK TO s;
COMMIT;
SELECT * FROM enqueued();
-- An error in the job is not one of the write.
CALL forget();

-- Deduplication is off by hand, on when attached.
UPDATE thing SET note = '1' WHERE id = 3;
UPDATE thing SET note = '2' WHERE id = 3;
UPDATE thing SET note = '3' WHERE id = 3;
SELECT * FROM enqueued();
CALL forget();
SELECT detach_sync_job_triggers('Thing''s "copy"', 'thing');

-- By hand, with every option.
CREATE FUNCTION by_hand(arguments text, what text DEFAULT 'AFTER INSERT OR UPDATE OR DELETE', how text DEFAULT 'FOR EACH ROW')
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP TRIGGER IF EXISTS "by hand" ON thing; CREATE TRIGGER "by hand" %s ON thing %s EXECUTE FUNCTION sync_job_trigger(%s)', what, how, arguments);
    INSERT INTO thing VALUES (20, 'by hand') ON CONFLICT (id) DO NOTHING;
    UPDATE thing SET note = note WHERE id = 20;
    UPDATE thing SET note = note WHERE id = 20;
    DELETE FROM thing WHERE id = 20;
    RETURN coalesce((SELECT string_agg(operation, ' ') FROM enqueued()), '-') || ', kept ' || (SELECT count(*) FROM sync_job_deleted_document WHERE document_name = '20');
END $$;
SET client_min_messages = warning;
TRUNCATE sync_job_deleted_document;
ALTER TABLE thing DROP CONSTRAINT thing_pkey, ADD PRIMARY KEY (id);
BEGIN; SELECT by_hand($$'Thing''s "copy"'$$); ROLLBACK;
BEGIN; SELECT by_hand($$'Thing''s "copy"', 'deduplicate=true'$$); ROLLBACK;
BEGIN; SELECT by_hand($$'Thing''s "copy"', 'deduplicate=ON', 'keep_deleted=no'$$); ROLLBACK;
BEGIN; SELECT by_hand($$'Thing''s "copy"', 'deduplicate=off', 'keep_deleted=yes'$$); ROLLBACK;
BEGIN; SELECT by_hand($$'Thing''s "copy"'$$, 'AFTER DELETE'); ROLLBACK;
BEGIN; SELECT by_hand($$'Thing''s "copy"'$$, 'AFTER UPDATE OF note OR INSERT', 'FOR EACH ROW WHEN (new.id > 5)'); ROLLBACK;
BEGIN; SELECT by_hand($$'Thing''s "copy"'$$, 'AFTER INSERT', 'REFERENCING NEW TABLE AS n FOR EACH STATEMENT'); ROLLBACK;
BEGIN; SELECT by_hand($$'Thing''s "copy"'$$, 'AFTER UPDATE', 'REFERENCING NEW TABLE AS n OLD TABLE AS o FOR EACH STATEMENT'); ROLLBACK;
-- Wrong.
SELECT by_hand('');
SELECT by_hand($$'Nothing'$$);
SELECT by_hand($$'thing''s "copy"'$$);
SELECT by_hand($$'Thing''s "copy"', 'deduplicate'$$);
SELECT by_hand($$'Thing''s "copy"', 'deduplicate=maybe'$$);
SELECT by_hand($$'Thing''s "copy"', 'queue=long'$$);
SELECT by_hand($$'Thing''s "copy"'$$, 'BEFORE INSERT');
SELECT by_hand($$'Thing''s "copy"'$$, 'AFTER INSERT', 'FOR EACH STATEMENT');
SELECT by_hand($$'Thing''s "copy"'$$, 'AFTER INSERT OR UPDATE OR DELETE', 'FOR EACH STATEMENT');
SELECT by_hand($$'Thing''s "copy"'$$, 'AFTER UPDATE', 'REFERENCING NEW TABLE AS n FOR EACH STATEMENT');
SELECT by_hand($$'Thing''s "copy"'$$, 'AFTER UPDATE', 'REFERENCING OLD TABLE AS o FOR EACH STATEMENT');
SELECT by_hand($$'Thing''s "copy"'$$, 'AFTER DELETE', 'FOR EACH STATEMENT');
CREATE TRIGGER truncated AFTER TRUNCATE ON thing EXECUTE FUNCTION sync_job_trigger('Thing''s "copy"');
TRUNCATE thing;
DROP TRIGGER truncated ON thing;
CREATE TRIGGER elsewhere AFTER INSERT ON copy FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('Thing''s "copy"');
INSERT INTO copy VALUES (99);
DROP TRIGGER elsewhere ON copy;
SELECT sync_job_trigger();

-- A disabled type enqueues nothing and keeps nothing, and the write goes on. A type that a trigger names stays, also when another type's name begins alike.
TRUNCATE sync_job_deleted_document;
SELECT attach_sync_job_triggers('Thing''s "copy"', 'thing');
UPDATE sync_job_type SET disabled = true;
INSERT INTO thing VALUES (30, 'disabled');
UPDATE thing SET note = 'still' WHERE id = 30;
DELETE FROM thing WHERE id = 30;
SELECT count(*) FROM enqueued();
SELECT count(*) FROM sync_job_deleted_document;
DELETE FROM sync_job_type WHERE name ~ '^Thing';
UPDATE sync_job_type SET name = 'Renamed' WHERE name ~ '^Thing';
UPDATE sync_job_type SET disabled = false;
-- A type whose queue is gone, whose table has lost its key: the write hears of it.
ALTER TABLE thing DROP CONSTRAINT thing_pkey;
INSERT INTO thing VALUES (31, 'keyless');
ALTER TABLE thing ADD PRIMARY KEY (id);
SELECT detach_sync_job_triggers('Thing''s "copy"', 'thing');

-- A key that is null is no name: of a table without NOT NULL, by source_key.
CREATE TABLE loose (code text, note text);
INSERT INTO sync_job_type (name, source_document_type, source_key, target_document_type) VALUES ('Loose', 'loose', '{code}', 'copy');
CREATE TRIGGER sync AFTER INSERT OR UPDATE OR DELETE ON loose FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('Loose');
INSERT INTO loose VALUES ('x');
INSERT INTO loose VALUES (NULL);
UPDATE loose SET code = NULL;
SELECT * FROM enqueued();
CALL forget();
SELECT attach_sync_job_triggers('Loose', 'loose');
DROP TRIGGER sync ON loose;

-- A source that the type leaves open: the table itself.
INSERT INTO sync_job_type (name, target_document_type) VALUES ('Open', 'copy');
SELECT attach_sync_job_triggers('Open', 'thing');
INSERT INTO thing VALUES (40, 'open');
SELECT * FROM enqueued();
CALL forget();
SELECT detach_sync_job_triggers('Open', 'thing');

-- Echoes: a trigger on the target that writes the source back, unless a job wrote it.
CREATE FUNCTION back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE thing SET note = new.note WHERE id = new.id;
    RETURN NULL;
END $$;
SELECT attach_sync_job_triggers('Thing''s "copy"', 'thing');
CREATE TRIGGER back AFTER UPDATE ON copy FOR EACH ROW WHEN (current_sync_job() IS NULL) EXECUTE FUNCTION back();
TRUNCATE copy, thing;
INSERT INTO thing VALUES (50, 'there');
CALL run_sync_jobs();
UPDATE thing SET note = 'and' WHERE id = 50;
CALL run_sync_jobs();
SELECT count(*) FROM enqueued();
UPDATE copy SET note = 'back' WHERE id = 50;
SELECT * FROM enqueued();
CALL run_sync_jobs();
SELECT status, operation, diff_summary FROM sync_job WHERE source_document_name = '50' ORDER BY id;
-- Without that condition each round ends where nothing changes any more.
DROP TRIGGER back ON copy;
CREATE TRIGGER back AFTER UPDATE ON copy FOR EACH ROW EXECUTE FUNCTION back();
UPDATE thing SET note = 'echo' WHERE id = 50;
CALL run_sync_jobs();
SELECT status, operation, diff_summary FROM sync_job WHERE source_document_name = '50' ORDER BY id DESC LIMIT 2;
SELECT count(*) FROM enqueued();
DROP TRIGGER back ON copy;
-- The source's trigger may fire within a job: a controller that writes its own source enqueues the next job of it.
CREATE FUNCTION thing_copy.after_sync(sync_job sync_job, source_doc thing, target_doc copy) RETURNS void LANGUAGE sql AS $$
    UPDATE thing SET note = note || '.' WHERE id = source_doc.id AND length(note) < 8
$$;
UPDATE thing SET note = 'self' WHERE id = 50;
CALL run_sync_jobs();
TABLE thing;
TABLE copy;
SELECT count(*) FROM enqueued();
DROP FUNCTION thing_copy.after_sync;
SELECT detach_sync_job_triggers('Thing''s "copy"', 'thing');

-- Triggers that write other sources: nested, three deep, in one statement.
CREATE TABLE deep1 (id int PRIMARY KEY);
CREATE TABLE deep2 (id int PRIMARY KEY REFERENCES deep1 ON DELETE CASCADE);
CREATE TABLE deep3 (id int PRIMARY KEY REFERENCES deep2 ON DELETE CASCADE);
INSERT INTO sync_job_type (name, source_document_type, target_document_type) SELECT n, n::regclass, 'copy' FROM unnest(ARRAY['deep1', 'deep2', 'deep3']) AS n;
SELECT attach_sync_job_triggers('deep' || n, ('deep' || n)::regclass, level => CASE n WHEN 2 THEN 'statement' ELSE 'row' END) FROM generate_series(1, 3) AS n;
CREATE FUNCTION down() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO %I VALUES ($1)', tg_argv[0]) USING new.id;
    RETURN NULL;
END $$;
CREATE TRIGGER a_down AFTER INSERT ON deep1 FOR EACH ROW EXECUTE FUNCTION down('deep2');
CREATE TRIGGER z_down AFTER INSERT ON deep2 FOR EACH ROW EXECUTE FUNCTION down('deep3');
INSERT INTO deep1 VALUES (1), (2);
SELECT operation, source, name FROM enqueued() ORDER BY 1, 2, 3;
CALL forget();
DELETE FROM deep1 WHERE id = 1;
SELECT operation, source, name FROM enqueued() ORDER BY 1, 2, 3;
CALL forget();

-- Partitions: row triggers are on each of them, whoever is written to; the documents are the parent's, whatever order the columns have.
CREATE TABLE parted (region text, id int, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parted_north (id int NOT NULL, dropped int, region text NOT NULL, note text);
ALTER TABLE parted_north DROP COLUMN dropped;
ALTER TABLE parted ATTACH PARTITION parted_north FOR VALUES IN ('north');
CREATE TABLE parted_south PARTITION OF parted FOR VALUES IN ('south') PARTITION BY RANGE (id);
CREATE TABLE parted_south_1 PARTITION OF parted_south FOR VALUES FROM (0) TO (10);
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Parted', 'parted', 'copy');
SELECT attach_sync_job_triggers('Parted', 'parted');
SELECT * FROM triggers WHERE relation::text ~ '^parted' ORDER BY relation::text;
INSERT INTO parted VALUES ('north', 1, 'via parent'), ('south', 2, 'via parent');
INSERT INTO parted_north (id, region, note) VALUES (3, 'north', 'directly');
INSERT INTO parted_south_1 VALUES ('south', 4, 'directly');
UPDATE parted SET region = 'south' WHERE id = 1;
UPDATE parted SET id = 5 WHERE id = 3;
DELETE FROM parted_north;
SELECT * FROM enqueued();
SELECT document_type, document_name, data FROM sync_job_deleted_document WHERE document_type = 'parted'::regclass ORDER BY id;
CALL forget();
SELECT detach_sync_job_triggers('Parted', 'parted_north');
SELECT detach_sync_job_triggers('Parted', 'parted');
-- At statement level the parent's see what goes through the parent; a partition may have its own.
SELECT attach_sync_job_triggers('Parted', 'parted', level => 'statement');
SELECT attach_sync_job_triggers('Parted', 'parted_north', level => 'statement');
TRUNCATE parted, sync_job_deleted_document;
INSERT INTO parted VALUES ('north', 1, 'via parent'), ('south', 2, 'via parent');
INSERT INTO parted_north (id, region, note) VALUES (3, 'north', 'directly');
INSERT INTO parted_south_1 VALUES ('south', 4, 'directly, unseen');
UPDATE parted_north SET note = 'directly' WHERE id = 1;
UPDATE parted SET region = 'south' WHERE id = 1;
DELETE FROM parted WHERE id <> 2;
SELECT * FROM enqueued();
SELECT document_type, document_name, data FROM sync_job_deleted_document ORDER BY id;
CALL forget();

-- Who wrote, and whose job it is: the right asked for is that of the table's owner.
CREATE ROLE trigger_owner LOGIN;
CREATE ROLE trigger_writer LOGIN;
CREATE TABLE owned (id int PRIMARY KEY);
ALTER TABLE owned OWNER TO trigger_owner;
GRANT INSERT ON owned TO trigger_writer;
CREATE TABLE owned_copy (id int PRIMARY KEY);
ALTER TABLE owned_copy OWNER TO trigger_owner;
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Owned', 'owned', 'owned_copy');
SELECT run_as FROM sync_job_type WHERE name = 'Owned';
SET ROLE trigger_owner;
SELECT attach_sync_job_triggers('Owned', 'owned');
SET ROLE trigger_writer;
SELECT attach_sync_job_triggers('Owned', 'owned', level => 'statement');
INSERT INTO owned VALUES (1);
SELECT count(*) FROM sync_job;
SELECT enqueue_sync_job('Owned', '1');
RESET ROLE;
SELECT owner, enqueued_by, run_as, trigger_type FROM sync_job WHERE status = 'Queued';
UPDATE sync_job_type SET run_as = 'postgres', source_document_type = NULL, target_document_type = 'copy' WHERE name = 'Owned';
SET ROLE trigger_writer;
INSERT INTO owned VALUES (2);
RESET ROLE;
CALL forget();
SELECT detach_sync_job_triggers('Owned', 'owned');

-- enqueue_sync_jobs(): many names at once; what is wrong with one is wrong with all.
SELECT enqueue_sync_jobs('Thing''s "copy"', ARRAY['1', '02', ' 3 ', '1']);
SELECT * FROM enqueued();
CALL forget();
SELECT enqueue_sync_jobs('Thing''s "copy"', ARRAY['1', '02', '1'], '{"a": 1}', priority => 3, deduplicate => true);
SELECT source_document_name, context, priority FROM sync_job WHERE status = 'Queued' ORDER BY id;
SELECT enqueue_sync_jobs('Thing''s "copy"', ARRAY['1', '3'], '{"a": 1}', priority => 9, deduplicate => true);
SELECT source_document_name, context, priority FROM sync_job WHERE status = 'Queued' ORDER BY id;
CALL forget();
SELECT enqueue_sync_jobs('Thing''s "copy"', '{}');
SELECT enqueue_sync_jobs('Thing''s "copy"', NULL);
SELECT enqueue_sync_jobs('Thing''s "copy"', ARRAY['1', NULL]);
SELECT enqueue_sync_jobs('Thing''s "copy"', ARRAY['1', 'x']);
SELECT enqueue_sync_jobs('Thing', ARRAY['1']);
SELECT enqueue_sync_jobs('Open', ARRAY['1']);
SELECT enqueue_sync_jobs('Open', ARRAY['1'], source_document_type => 'thing');
SELECT source, name FROM enqueued();
CALL forget();

-- Bulk: one UPDATE of 10,000 rows with a statement-level trigger is 10,000 jobs, one each.
SELECT attach_sync_job_triggers('Thing''s "copy"', 'thing', level => 'statement');
TRUNCATE thing;
INSERT INTO thing SELECT n, 'bulk' FROM generate_series(1, 10000) AS n;
SELECT count(*), count(DISTINCT name), min(operation), max(operation) FROM enqueued();
CALL forget();
UPDATE thing SET note = 'changed';
SELECT count(*), count(DISTINCT name), min(operation), max(operation) FROM enqueued();
UPDATE thing SET note = 'changed again';
SELECT count(*), count(DISTINCT name) FROM enqueued();
CALL run_sync_jobs();
SELECT status, operation, count(*) FROM sync_job WHERE status <> 'Canceled' AND created_at = (SELECT max(created_at) FROM sync_job WHERE operation IS NOT NULL) GROUP BY 1, 2;
SELECT count(*), min(note), max(note) FROM copy;
DELETE FROM thing;
SELECT count(*), count(DISTINCT name), min(operation), max(operation) FROM enqueued();
DROP OWNED BY trigger_owner, trigger_writer CASCADE;
DELETE FROM sync_job_type WHERE name = 'Owned';
DROP ROLE trigger_owner, trigger_writer;
