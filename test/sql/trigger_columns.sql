-- Triggers enqueue an update only where a column changed that the type reads: of a declarative type as its texts say at the time,
-- of a type with code as the trigger says.
\set VERBOSITY terse
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;
CREATE FUNCTION enqueued() RETURNS text LANGUAGE plpgsql AS $$  -- since the last time
DECLARE
    jobs text := (SELECT string_agg(source_document_name || ' ' || (context ->> 'trigger_operation'), ', ' ORDER BY id) FROM sync_job WHERE status = 'Queued');
BEGIN
    PERFORM cancel_sync_job(ARRAY(SELECT id FROM sync_job WHERE status = 'Queued'));
    DELETE FROM sync_job_deleted_document;
    RETURN jobs;
END $$;
CREATE PROCEDURE try(commands text[]) LANGUAGE plpgsql AS $$
DECLARE
    command text;
BEGIN
    FOREACH command IN ARRAY commands LOOP
        EXECUTE command;
        COMMIT;
        RAISE NOTICE '%: %', command, coalesce(enqueued(), '-');
    END LOOP;
END $$;

CREATE TABLE src (id int PRIMARY KEY, code text, a text, b numeric, c text, context text, "Odd ""Name""" text, whole text, unread text,
    gen text GENERATED ALWAYS AS (c || '!') STORED);
CREATE TABLE dst (id int PRIMARY KEY, code text UNIQUE, a text, b numeric, c text, d text);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('T', 'src', 'dst', '{"code": "code"}', '{"a": "a"}');
CREATE FUNCTION declare_(map jsonb, condition text DEFAULT NULL) RETURNS void LANGUAGE sql AS $$ UPDATE sync_job_type SET field_map = map, source_condition = condition WHERE name = 'T' $$;
CREATE PROCEDURE by_both(commands text[]) LANGUAGE plpgsql AS $$
DECLARE
    level text;
BEGIN
    FOREACH level IN ARRAY ARRAY['row', 'statement'] LOOP
        TRUNCATE src;
        INSERT INTO src (id, code, a, b, c) SELECT i, 'c' || i, 'a' || i, i, 'c' || i FROM generate_series(1, 3) AS i;
        PERFORM attach_sync_job_triggers('T', 'src', level => level);
        COMMIT;
        RAISE NOTICE 'by %:', level;
        CALL try(commands);
        PERFORM detach_sync_job_triggers('T', 'src');
        COMMIT;
    END LOOP;
END $$;

-- What match and field_map read, and nothing else; compared by image; whatever the statement names. A changed key is what it was.
CALL by_both(ARRAY['UPDATE src SET unread = a', 'UPDATE src SET a = a', 'UPDATE src SET a = CASE id WHEN 2 THEN ''new'' ELSE a END, unread = ''x''', 'UPDATE src SET code = ''other'' WHERE id = 1',
    'UPDATE src SET id = id + 10, unread = ''y'' WHERE id = 3', 'INSERT INTO src (id, unread) VALUES (2, ''w'') ON CONFLICT (id) DO UPDATE SET unread = excluded.unread', 'INSERT INTO src (id, a) VALUES (2, ''w'') ON CONFLICT (id) DO UPDATE SET a = excluded.a',
    'DELETE FROM src WHERE id = 13', 'UPDATE src SET a = NULL WHERE false']);
-- Equal is not the same: 1.0 and 1.00.
SELECT declare_('{"b": "b"}');
CALL by_both(ARRAY['UPDATE src SET b = 1.00 WHERE id = 1', 'UPDATE src SET b = 1.00 WHERE id = 1', 'UPDATE src SET a = ''none''']);
-- Expressions: behind source and alone, quoted, in any depth; the whole row, a subquery, functional notation and what is no column may be anything. The context is no column.
SELECT declare_('{"c": {"expr": "coalesce(upper(source.c), CASE WHEN b > 1 THEN context ->> ''x'' END) || source.\"Odd \"\"Name\"\"\""}}');
CALL by_both(ARRAY['UPDATE src SET unread = ''x''', 'UPDATE src SET b = b + 1 WHERE id = 1', 'UPDATE src SET c = ''C'' WHERE id = 2', 'UPDATE src SET "Odd ""Name""" = ''o'' WHERE id = 3']);
SELECT declare_('{"c": {"expr": "(SELECT max(code) FROM dst)"}}');
CALL by_both(ARRAY['UPDATE src SET unread = ''x'' WHERE id = 1', 'UPDATE src SET unread = ''x'' WHERE id = 1']);
SELECT declare_('{"c": {"expr": "source.*::text"}}');
CALL by_both(ARRAY['UPDATE src SET unread = ''x'' WHERE id = 1']);
SELECT declare_('{"c": {"expr": "to_jsonb(source) ->> ''unread''"}}');
CALL by_both(ARRAY['UPDATE src SET unread = ''x'' WHERE id = 1']);
SELECT declare_('{"c": {"expr": "(source).unread"}}');
CALL by_both(ARRAY['UPDATE src SET unread = ''x'' WHERE id = 1']);
SELECT declare_('{"c": {"expr": "unread(source)"}}');
CALL by_both(ARRAY['UPDATE src SET unread = ''x'' WHERE id = 1']);
-- A generated column is as what it is made of; a constant reads nothing; what does not parse, or is not there, fails the job and no write.
SELECT declare_('{"c": "gen"}');
CALL by_both(ARRAY['UPDATE src SET c = ''y'' WHERE id = 1']);
SELECT declare_('{"c": {"value": "v"}, "d": "unread"}');
CALL by_both(ARRAY['UPDATE src SET unread = ''x'' WHERE id = 1', 'UPDATE src SET b = 7']);
SELECT declare_('{"c": {"expr": "upper("}}');
CALL by_both(ARRAY['UPDATE src SET unread = ''x'' WHERE id = 1']);
SELECT declare_('{"c": "nowhere", "d": {"expr": "nothing || a"}}');
CALL by_both(ARRAY['UPDATE src SET unread = ''x'' WHERE id = 1']);
-- The condition is read, too; and what leaves it is kept.
SELECT declare_('{"a": "a"}', 'source.c <> ''out''');
CALL by_both(ARRAY['UPDATE src SET unread = ''x''', 'UPDATE src SET c = ''out'' WHERE id = 1']);
-- Looked up at each firing.
SELECT declare_('{"a": "a"}');
SELECT attach_sync_job_triggers('T', 'src');
CALL try(ARRAY['UPDATE src SET unread = ''1'' WHERE id = 1', 'SELECT declare_(''{"a": "unread"}'')', 'UPDATE src SET unread = ''2'' WHERE id = 1', 'UPDATE src SET a = ''2'' WHERE id = 1',
    'ALTER TABLE src RENAME unread TO renamed', 'UPDATE src SET renamed = ''3'' WHERE id = 1']);
SELECT detach_sync_job_triggers('T', 'src');
-- A BEFORE trigger that changes what the statement does not name.
CREATE FUNCTION normalise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.a := NEW.code; RETURN NEW; END $$;
CREATE TRIGGER normalise BEFORE UPDATE ON src FOR EACH ROW EXECUTE FUNCTION normalise();
SELECT declare_('{"a": "a"}');
CALL by_both(ARRAY['UPDATE src SET renamed = ''4'' WHERE id = 1', 'UPDATE src SET renamed = ''5'' WHERE id = 1']);

-- Keys that are exchanged: the document of a name is another row.
CREATE TABLE swapped (id int PRIMARY KEY DEFERRABLE, a text, unread text);
INSERT INTO swapped VALUES (1, 'a', 'u'), (2, 'b', 'v'), (3, 'c', 'w');
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('S', 'swapped', 'dst', '{"id": "id"}', '{"a": "a"}');
SELECT attach_sync_job_triggers('S', 'swapped', level => 'statement');
CALL try(ARRAY['UPDATE swapped SET id = CASE id WHEN 1 THEN 2 WHEN 2 THEN 1 ELSE id END, unread = ''z''', 'UPDATE swapped SET id = id + 0, a = CASE id WHEN 3 THEN ''new'' ELSE a END']);

-- Partitions: rows that lie differently, and move.
CREATE TABLE parted (id int, region text, unread text, a text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE north PARTITION OF parted FOR VALUES IN ('n');
CREATE TABLE south (a text, dropped int, unread text, region text NOT NULL, id int NOT NULL);
ALTER TABLE south DROP COLUMN dropped, ADD PRIMARY KEY (id, region);
ALTER TABLE parted ATTACH PARTITION south FOR VALUES IN ('s');
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('P', 'parted', 'dst', '{"id": "id"}', '{"a": "a"}');
INSERT INTO parted VALUES (1, 'n', 'u', 'a'), (2, 's', 'u', 'a');
SELECT attach_sync_job_triggers('P', 'parted');
CALL try(ARRAY['UPDATE parted SET unread = ''x''', 'UPDATE parted SET a = ''x''', 'UPDATE parted SET region = ''s'' WHERE id = 1']);
SELECT detach_sync_job_triggers('P', 'parted');
SELECT attach_sync_job_triggers('P', 'parted', level => 'statement');
CALL try(ARRAY['UPDATE parted SET unread = ''y''', 'UPDATE parted SET a = ''y''', 'UPDATE parted SET region = ''n'' WHERE id = 1']);

-- A type with code reads what it wants, unless the trigger says what.
CREATE TABLE item (id int PRIMARY KEY, a text, b text, unread text);
INSERT INTO item VALUES (1), (2);
INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Code', 'item', 'dst');
SELECT attach_sync_job_triggers('Code', 'item');
CALL try(ARRAY['UPDATE item SET unread = ''x'' WHERE id = 1']);
SELECT detach_sync_job_triggers('Code', 'item');
SELECT attach_sync_job_triggers('Code', 'item', columns => '{a,b}', level => level) FROM (VALUES ('row')) AS v (level);
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'item'::regclass ORDER BY tgname;
CALL try(ARRAY['UPDATE item SET unread = ''y'' WHERE id = 1', 'UPDATE item SET b = ''y'' WHERE id = 1', 'UPDATE item SET b = ''y'' WHERE id = 1', 'DELETE FROM item WHERE id = 2']);
SELECT detach_sync_job_triggers('Code', 'item');
SELECT attach_sync_job_triggers('Code', 'item', columns => '{a,b}', level => 'statement');
CALL try(ARRAY['UPDATE item SET unread = ''z''', 'UPDATE item SET a = ''z'', unread = a', 'UPDATE item SET a = ''z'', unread = a', 'ALTER TABLE item DROP b', 'UPDATE item SET unread = ''any'' WHERE id = 1']);
\set VERBOSITY default
SELECT attach_sync_job_triggers('Code', 'item', columns => '{a,nowhere}');
SELECT attach_sync_job_triggers('Code', 'item', columns => '{}');
SELECT attach_sync_job_triggers('T', 'src', columns => '{a}');
CREATE TRIGGER by_hand AFTER UPDATE ON item FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('Code', 'columns=a');
UPDATE item SET a = 'b';
