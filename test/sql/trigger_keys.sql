-- Changes of keys that the command does not name, under statement-level triggers: by triggers, also of inheritance children, and
-- of generated columns. Each is a delete of the old name and an insert of the new.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- jobs are run by hand
\set SHOW_CONTEXT never

-- A command, and what it has enqueued.
CREATE PROCEDURE try(command text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
    RAISE NOTICE E'%\n        %', regexp_replace(command, '\s+', ' ', 'g'),
        coalesce((SELECT string_agg(format('%s %s', context ->> 'trigger_operation', source_document_name), ', ' ORDER BY id)
                  FROM sync_job WHERE status = 'Queued'), '-');
    PERFORM cancel_sync_job(ARRAY(SELECT id FROM sync_job WHERE status = 'Queued'));
END $$;
CREATE FUNCTION next_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.id := new.id + 100;
    RETURN new;
END $$;

-- The table's own BEFORE trigger, and one that is disabled.
CREATE TABLE thing (id int PRIMARY KEY, note text);
INSERT INTO thing VALUES (1, 'a'), (2, 'b');
INSERT INTO sync_job_type (name, source_document_type) VALUES ('Thing', 'thing');
SELECT trigger_name FROM attach_sync_job_triggers('Thing', 'thing', level => 'statement', deduplicate => false) ORDER BY 1;
CALL try('UPDATE thing SET note = upper(note)');
CREATE TRIGGER before BEFORE UPDATE ON thing FOR EACH ROW WHEN (new.note = 'move') EXECUTE FUNCTION next_key();
CALL try($$UPDATE thing SET note = 'move' WHERE id = 1$$);
CALL try($$INSERT INTO thing VALUES (2, 'x') ON CONFLICT (id) DO UPDATE SET note = 'move'$$);
CALL try($$UPDATE thing SET note = 'stay'$$);
ALTER TABLE thing DISABLE TRIGGER before;
CALL try($$UPDATE thing SET note = 'move'$$);
TABLE thing ORDER BY id;

-- Inheritance: a child's BEFORE trigger changes the keys of rows that are documents of the parent. The child's own AFTER triggers do
-- not fire for a command on the parent.
CREATE TABLE parent (id int PRIMARY KEY, note text);
CREATE TABLE child (extra text, PRIMARY KEY (id)) INHERITS (parent);
CREATE TABLE grandchild (PRIMARY KEY (id)) INHERITS (child);
INSERT INTO parent VALUES (1, 'parent'), (2, 'parent');
INSERT INTO child VALUES (11, 'child'), (12, 'child');
INSERT INTO grandchild VALUES (21, 'grandchild'), (22, 'grandchild');
INSERT INTO sync_job_type (name, source_document_type) VALUES ('Parent', 'parent'), ('Child', 'child');
SELECT trigger_name FROM attach_sync_job_triggers('Parent', 'parent', level => 'statement', deduplicate => false) ORDER BY 1;
CALL try($$UPDATE parent SET note = note$$);
CREATE TRIGGER before BEFORE UPDATE ON grandchild FOR EACH ROW EXECUTE FUNCTION next_key();
CALL try($$UPDATE parent SET note = note || '!' WHERE id <> 1$$);
CALL try($$UPDATE parent SET id = id + 1000 WHERE id IN (1, 11)$$);
CALL try($$UPDATE ONLY parent SET note = note$$);
CALL try($$DELETE FROM parent WHERE id IN (2, 12, 122)$$);
CALL try($$MERGE INTO parent USING (VALUES (1001), (1011), (121), (5)) AS new (id) ON parent.id = new.id
    WHEN MATCHED THEN UPDATE SET note = 'merged' WHEN NOT MATCHED THEN INSERT VALUES (new.id, 'new')$$);
-- A command on the child is none on the parent: it is to have triggers of its own, of a type whose source it is.
CALL try($$UPDATE child SET note = note$$);
SELECT trigger_name FROM attach_sync_job_triggers('Child', 'child', level => 'statement', deduplicate => false) ORDER BY 1;
CALL try($$UPDATE child SET note = note || '!'$$);
CALL try($$UPDATE parent SET note = note WHERE id > 100$$);
SELECT attach_sync_job_triggers('Parent', 'child');
SELECT tableoid::regclass, id, note FROM parent ORDER BY id;
-- The child is gone: the catalog may not have noticed.
DROP TABLE child CASCADE;
CALL try($$UPDATE parent SET note = 'alone'$$);

-- A key that is a generated column follows the columns it is made of.
CREATE TABLE generated (code text UNIQUE, note text, key text GENERATED ALWAYS AS (upper(code)) STORED PRIMARY KEY);
INSERT INTO sync_job_type (name, source_document_type) VALUES ('Generated', 'generated');
SELECT trigger_name FROM attach_sync_job_triggers('Generated', 'generated', level => 'statement', deduplicate => false) ORDER BY 1;
CALL try($$INSERT INTO generated VALUES ('a', 'x'), ('b', 'x'), ('c', 'x')$$);
CALL try($$UPDATE generated SET note = 'y'$$);
CALL try($$UPDATE generated SET code = 'A' WHERE code = 'a'$$);
CALL try($$UPDATE generated SET code = code || 2 WHERE code = 'b'$$);
CALL try($$INSERT INTO generated VALUES ('c', 'y') ON CONFLICT (code) DO UPDATE SET code = 'c2'$$);
CALL try($$INSERT INTO generated VALUES ('c2', 'y'), ('d', 'y') ON CONFLICT (code) DO UPDATE SET note = excluded.note$$);
CALL try($$INSERT INTO generated VALUES ('other', 'x') ON CONFLICT (key) DO UPDATE SET code = 'o2'$$);
CALL try($$INSERT INTO generated VALUES ('OTHER', 'x') ON CONFLICT (key) DO UPDATE SET code = 'o2'$$);
CALL try($$MERGE INTO generated AS g USING (VALUES ('A'), ('b2'), ('c2'), ('e')) AS new (code) ON g.code = new.code
    WHEN MATCHED AND g.code = 'A' THEN DELETE WHEN MATCHED AND g.code = 'b2' THEN UPDATE SET code = 'b3'
    WHEN MATCHED THEN UPDATE SET note = 'merged' WHEN NOT MATCHED THEN INSERT VALUES (new.code, 'new')$$);
CALL try($$MERGE INTO generated AS g USING (VALUES ('d'), ('e')) AS new (code) ON g.code = new.code WHEN MATCHED THEN UPDATE SET code = g.code || 'f'$$);
TABLE generated ORDER BY key;
-- One of the columns of the key.
CREATE TABLE half (a int, b int GENERATED ALWAYS AS (c * 2) STORED, c int UNIQUE, PRIMARY KEY (a, b));
INSERT INTO sync_job_type (name, source_document_type) VALUES ('Half', 'half');
SELECT trigger_name FROM attach_sync_job_triggers('Half', 'half', level => 'statement', deduplicate => false) ORDER BY 1;
CALL try($$INSERT INTO half VALUES (1, DEFAULT, 5), (1, DEFAULT, 6)$$);
CALL try($$INSERT INTO half VALUES (1, DEFAULT, 5) ON CONFLICT (c) DO UPDATE SET c = 7$$);
CALL try($$MERGE INTO half USING (VALUES (6)) AS new (c) ON half.c = new.c WHEN MATCHED THEN UPDATE SET c = 8$$);
CALL try($$UPDATE half SET a = 2 WHERE c = 8$$);
TABLE half ORDER BY a, b;
-- At row level all is seen.
SELECT trigger_name FROM detach_sync_job_triggers('Half', 'half') ORDER BY 1;
SELECT trigger_name FROM attach_sync_job_triggers('Half', 'half', deduplicate => false) ORDER BY 1;
CALL try($$INSERT INTO half VALUES (1, DEFAULT, 7) ON CONFLICT (c) DO UPDATE SET c = 9$$);
CALL try($$MERGE INTO half USING (VALUES (9)) AS new (c) ON half.c = new.c WHEN MATCHED THEN UPDATE SET c = 10$$);
