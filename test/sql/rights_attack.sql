-- Mallory may create functions, tables, types, operators, casts, triggers, and enqueue. Whatever she defines, its code runs
-- with her own rights, or with those of a role that has chosen to use it, and never as the extension's owner.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET paused = true; -- what runs is run by hand
CREATE ROLE regress_app LOGIN;
CREATE ROLE regress_mallory LOGIN;
SELECT grant_sync_job_access('regress_app', 'manager'), grant_sync_job_access('regress_mallory', 'manager');
CREATE SCHEMA app AUTHORIZATION regress_app;
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE SCHEMA mallory AUTHORIZATION regress_mallory;
CREATE SCHEMA mallory_sync AUTHORIZATION regress_mallory;
CREATE SCHEMA mallory_moves AUTHORIZATION regress_mallory;
CREATE SCHEMA mallory_leaves AUTHORIZATION regress_mallory;

-- Every piece of hers notes who runs it, and with which rights.
\c - regress_mallory
GRANT USAGE ON SCHEMA mallory, mallory_sync TO PUBLIC;
CREATE TABLE mallory.caught (what text, as_role name, session name, superuser boolean);
GRANT INSERT, SELECT ON mallory.caught TO PUBLIC;
CREATE FUNCTION mallory.catch(what text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO mallory.caught VALUES (what, current_user, session_user, current_setting('is_superuser')::boolean);
    RETURN true;
END $$;

-- ---- What the engine does with a document by itself: to and from text and jsonb, comparing, keying ----
CREATE TYPE mallory.pair AS (a integer, b text);
CREATE TYPE mallory.mood AS ENUM ('fine', 'bad');
CREATE DOMAIN mallory.word AS text CHECK (mallory.catch('domain check'));
CREATE TYPE mallory.words AS (w mallory.word);
CREATE FUNCTION mallory.pair_to_json(mallory.pair) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mallory.catch('cast to json');
    RETURN '1';
END $$;
CREATE FUNCTION mallory.mood_to_json(mallory.mood) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mallory.catch('cast to json');
    RETURN '1';
END $$;
CREATE FUNCTION mallory.mood_to_jsonb(mallory.mood) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mallory.catch('cast to jsonb');
    RETURN '1';
END $$;
CREATE FUNCTION mallory.mood_to_text(mallory.mood) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mallory.catch('cast to text');
    RETURN '1';
END $$;
CREATE CAST (mallory.pair AS json) WITH FUNCTION mallory.pair_to_json(mallory.pair) AS IMPLICIT;
CREATE CAST (mallory.mood AS json) WITH FUNCTION mallory.mood_to_json(mallory.mood) AS IMPLICIT;
CREATE CAST (mallory.mood AS jsonb) WITH FUNCTION mallory.mood_to_jsonb(mallory.mood) AS IMPLICIT;
CREATE CAST (mallory.mood AS text) WITH FUNCTION mallory.mood_to_text(mallory.mood) AS IMPLICIT;
CREATE FUNCTION mallory.equal(mallory.mood, mallory.mood) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN mallory.catch('operator =');
END $$;
CREATE OPERATOR mallory.= (FUNCTION = mallory.equal, LEFTARG = mallory.mood, RIGHTARG = mallory.mood);
CREATE FUNCTION mallory.equal_pair(mallory.pair, mallory.pair) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN mallory.catch('operator =');
END $$;
CREATE OPERATOR mallory.= (FUNCTION = mallory.equal_pair, LEFTARG = mallory.pair, RIGHTARG = mallory.pair);
CREATE TABLE mallory.bait (mood mallory.mood, pair mallory.pair, word mallory.word, words mallory.words[], t integer,
    PRIMARY KEY (mood, pair));
GRANT SELECT, INSERT, UPDATE, DELETE ON mallory.bait TO PUBLIC;
ALTER TABLE mallory.bait OWNER TO regress_mallory;
INSERT INTO mallory.bait VALUES ('fine', '(1,x)', 'w', ARRAY['(v)']::mallory.words[], 7);
TRUNCATE mallory.caught;
SELECT to_jsonb(b) IS NOT NULL AS ok FROM mallory.bait AS b; -- what the engine must not do
SELECT DISTINCT what FROM mallory.caught ORDER BY what;
TRUNCATE mallory.caught;
-- Anybody who asks for the document, a superuser, too. An implicit cast of a key's type must not choose the operator.
\c - postgres
SELECT get_sync_document('mallory.bait', '["fine", "(1,x)"]');
\c - regress_mallory
DROP CAST (mallory.mood AS jsonb);
\c - postgres
SELECT get_sync_document('mallory.bait', '["fine", "(1,x)"]');
\c - regress_mallory
SELECT * FROM mallory.caught;
DROP CAST (mallory.mood AS text);
CREATE CAST (mallory.mood AS text) WITH FUNCTION mallory.mood_to_text(mallory.mood) AS ASSIGNMENT;
CREATE CAST (mallory.mood AS jsonb) WITH FUNCTION mallory.mood_to_jsonb(mallory.mood) AS ASSIGNMENT;
\c - postgres
SELECT get_sync_document('mallory.bait', '["fine", "(1,x)"]');
\c - regress_mallory
SELECT * FROM mallory.caught;
-- Enqueueing and triggers: the key is made canonical as who asks, by type I/O only.
CREATE FUNCTION mallory_sync.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS sync_job_target LANGUAGE sql AS $$
    SELECT sync_job_target('insert')
$$;
CREATE FUNCTION mallory_sync.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT (source_doc || '{"mood": "bad"}'::jsonb) - 'word'::text - 'words'::text
$$;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, verbose_logging)
VALUES ('Bait', 'mallory.bait', 'mallory.bait', 'mallory_sync', true);
SELECT attach_sync_job_triggers('Bait', 'mallory.bait');
SELECT attach_sync_job_triggers('Bait', 'mallory.bait', level => 'statement');
DELETE FROM mallory.caught;
\c - postgres
UPDATE mallory.bait SET t = 8;
DELETE FROM mallory.bait;
INSERT INTO mallory.bait (mood, pair) VALUES ('fine', '(1,x)');
SELECT enqueue_sync_job('Bait', '["fine", "(1,x)"]') IS NOT NULL AS ok;
SELECT count(enqueue_sync_job('Bait', b)) FROM mallory.bait AS b;
SELECT get_sync_document('mallory.bait', '["fine", "(1,x)"]');
SELECT status FROM cancel_sync_job(ARRAY(SELECT id FROM sync_job WHERE status = 'Queued' ORDER BY id OFFSET 1));
SELECT severity, message FROM validate_sync_job_type('Bait');
SELECT clear_old_sync_jobs(0), auto_retry_failed_sync_jobs();
\c - regress_mallory
SELECT * FROM mallory.caught WHERE what <> 'domain check'; -- that is what INSERT does
-- The job itself, with her own rights; its diff and snapshots are made without her casts.
SELECT status, operation, diff_summary -> 'mood' AS mood FROM execute_sync_job((SELECT min(id) FROM sync_job WHERE status = 'Queued'));
SELECT DISTINCT what, as_role, superuser FROM mallory.caught;

-- ---- An operator on a domain, found by the name of the base type's ----
\c - postgres
SET client_min_messages = warning; -- the notices differ from server to server
CREATE TYPE mallory.number; -- a base type, as an extension's is: its = is the real one
CREATE FUNCTION mallory.number_in(cstring) RETURNS mallory.number LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION mallory.number_out(mallory.number) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE mallory.number (INPUT = mallory.number_in, OUTPUT = mallory.number_out, LIKE = integer);
RESET client_min_messages;
CREATE FUNCTION mallory.number_eq(mallory.number, mallory.number) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int4eq';
CREATE FUNCTION mallory.number_cmp(mallory.number, mallory.number) RETURNS integer LANGUAGE internal IMMUTABLE STRICT AS 'btint4cmp';
CREATE OPERATOR mallory.= (FUNCTION = mallory.number_eq, LEFTARG = mallory.number, RIGHTARG = mallory.number);
CREATE OPERATOR CLASS mallory.number_ops DEFAULT FOR TYPE mallory.number USING btree AS
    OPERATOR 3 mallory.=, FUNCTION 1 mallory.number_cmp(mallory.number, mallory.number);
\c - regress_app
CREATE DOMAIN app.number AS mallory.number;
CREATE TABLE app.numbers (n app.number, v text);
INSERT INTO app.numbers VALUES ('1', 'one');
GRANT SELECT ON app.numbers TO PUBLIC;
\c - regress_mallory
CREATE FUNCTION mallory.number_trap(app.number, mallory.number) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN mallory.catch('operator of a domain');
END $$;
CREATE OPERATOR mallory.= (FUNCTION = mallory.number_trap, LEFTARG = app.number, RIGHTARG = mallory.number);
CREATE FUNCTION mallory.number_trap(app.number, app.number) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN mallory.catch('operator of a domain');
END $$;
CREATE OPERATOR mallory.= (FUNCTION = mallory.number_trap, LEFTARG = app.number, RIGHTARG = app.number);
TRUNCATE mallory.caught;
\c - regress_app
CREATE FUNCTION app.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('diff', source_doc) $$;
INSERT INTO sync_job_type (name, source_document_type, source_key, module) VALUES ('Numbers', 'app.numbers', '{n}', 'app');
SELECT status, diff_summary FROM execute_sync_job(enqueue_sync_job('Numbers', '1'));
SELECT * FROM mallory.caught;

-- ---- Names ----
-- A column that is called like the row.
\c - regress_mallory
CREATE TABLE mallory.t (id integer PRIMARY KEY, t integer, t_ text);
INSERT INTO mallory.t VALUES (1, 2, 'three');
SELECT get_sync_document('mallory.t', '1');
-- Names that end a comment, a quote, a dollar quote.
CREATE TABLE mallory."x
SELECT mallory.catch('boilerplate'); --" (id integer PRIMARY KEY, "$function$; SELECT mallory.catch('boilerplate'); --" text);
CREATE TABLE mallory.y (id integer PRIMARY KEY, "$function$; SELECT mallory.catch('boilerplate'); --" text, "$target$" text);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES (E'y\nSELECT mallory.catch(''boilerplate''); --',
    E'mallory."x\nSELECT mallory.catch(''boilerplate''); --"', 'mallory.y', E'z\nSELECT mallory.catch(''boilerplate''); --');
\c - postgres
BEGIN;
SELECT create_sync_job_boilerplate(name) FROM sync_job_type WHERE name LIKE 'y%' \gexec
SELECT count(*) AS functions FROM pg_proc WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname LIKE 'z%');
SELECT * FROM mallory.caught;
ROLLBACK;
SELECT create_sync_job_boilerplate(name, 'plpython3u') FROM sync_job_type WHERE name LIKE 'y%';
-- A name that is SQL, where the engine makes SQL of names.
\c - regress_mallory
CREATE TABLE mallory."a"";SELECT mallory.catch('name');--" ("k"";SELECT mallory.catch('name');--" text PRIMARY KEY);
INSERT INTO mallory."a"";SELECT mallory.catch('name');--" VALUES ('''); SELECT mallory.catch(''name''); --');
INSERT INTO sync_job_type (name, source_document_type, module, run_as)
VALUES ('''); SELECT mallory.catch(''name''); --', 'mallory."a"";SELECT mallory.catch(''name'');--"', 'mallory_sync', 'regress_mallory');
SELECT attach_sync_job_triggers(name, source_document_type) FROM sync_job_type WHERE name LIKE '''%';
SELECT enqueue_sync_job(name, '''); SELECT mallory.catch(''name''); --') IS NOT NULL AS ok FROM sync_job_type WHERE name LIKE '''%';
SELECT detach_sync_job_triggers(name, source_document_type) FROM sync_job_type WHERE name LIKE '''%';
SELECT * FROM mallory.caught;

-- ---- Domains and ranges within a type: whoever looks, or names a document, runs none of their code with his rights ----
\c - regress_mallory
CREATE TYPE mallory.inner AS (a integer, w mallory.word);
CREATE DOMAIN mallory.checked_row AS mallory.inner CHECK (mallory.catch('domain over a row'));
CREATE DOMAIN mallory.narrow AS mallory.word CHECK (mallory.catch('domain over a domain'));
CREATE TYPE mallory.deep AS (r mallory.checked_row, gone integer, list mallory.word[], rows mallory.checked_row[], n mallory.narrow, plain integer);
ALTER TYPE mallory.deep DROP ATTRIBUTE gone;
CREATE TABLE mallory.nested (k mallory.deep PRIMARY KEY, words mallory.word[], single mallory.narrow, v integer);
CREATE TABLE mallory.target (id integer PRIMARY KEY, deep mallory.deep);
INSERT INTO mallory.nested SELECT ROW(ROW(i, 'x')::mallory.checked_row, '{a,b}', ARRAY[ROW(2, 'y, "z"')::mallory.checked_row], 'n', i)::mallory.deep, '{c,NULL}', 's', i
FROM generate_series(1, 2) AS i;
GRANT SELECT ON mallory.nested TO PUBLIC;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
VALUES ('Nested', 'mallory.nested', 'mallory.target', '{"id": "v"}', '{"deep": {"value": {"r": {"a": 1, "w": "x"}, "list": ["a"], "n": "n"}}}');
SELECT attach_sync_job_triggers('Nested', 'mallory.nested');
DELETE FROM mallory.nested WHERE v = 2;
SELECT (k).* FROM mallory.nested;
SELECT k AS name FROM mallory.nested \gset
TRUNCATE mallory.caught;
\c - postgres
SELECT jsonb_pretty(get_sync_document('mallory.nested', :'name'));
SELECT get_sync_document('mallory.nested', document_name) FROM sync_job_deleted_document WHERE document_type = 'mallory.nested'::regclass;
SELECT enqueue_sync_job('Nested', :'name') AS job \gset
SELECT source_document_name = :'name' AS same_name FROM sync_job WHERE id = :job;
SELECT get_sync_document('mallory.nested', '((one,x),{},{},n,1)');
SELECT * FROM mallory.caught;
SELECT severity, message FROM validate_sync_job_type('Nested');
SELECT DISTINCT as_role FROM mallory.caught; -- the constant is hers, and read as she reads it
TRUNCATE mallory.caught;
-- A range reads its bounds itself, and makes them canonical.
\c - regress_mallory
CREATE TYPE mallory.span AS RANGE (subtype = mallory.word);
CREATE TABLE mallory.spans (s mallory.span PRIMARY KEY, m mallory.span_multirange, v integer);
INSERT INTO mallory.spans VALUES ('[a,c)', '{[a,b),[c,d)}', 1);
GRANT SELECT ON mallory.spans TO PUBLIC;
TRUNCATE mallory.caught;
\c - postgres
SELECT get_sync_document('mallory.spans', '[a,c)');
SELECT DISTINCT what, as_role FROM mallory.caught;
\c - regress_app
SELECT get_sync_document('mallory.spans', '[a,c)');
SELECT DISTINCT what, as_role FROM mallory.caught;
-- Of several owners none gets the rights of another, and the range is not read.
CREATE DOMAIN app.lower_word AS text CHECK (VALUE = lower(VALUE));
GRANT USAGE ON TYPE app.lower_word TO PUBLIC;
\c - regress_mallory
CREATE TYPE mallory.other_span AS RANGE (subtype = app.lower_word);
CREATE DOMAIN mallory.checked_span AS mallory.span CHECK (mallory.catch('domain over a range'));
CREATE TYPE mallory.both AS (s mallory.span, o mallory.other_span, c mallory.checked_span);
CREATE TABLE mallory.boths (b mallory.both PRIMARY KEY);
INSERT INTO mallory.boths VALUES ('("[a,b)","[c,d)","[e,f)")');
GRANT SELECT ON mallory.boths TO PUBLIC;
TRUNCATE mallory.caught;
\c - postgres
SELECT get_sync_document('mallory.boths', '("[a,b)","[c,d)","[e,f)")');
SELECT * FROM mallory.caught;
-- Nothing changes the session from within: a restricted operation.
\c - regress_mallory
CREATE FUNCTION mallory.escape(text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RESET ROLE;
    RETURN true;
END $$;
CREATE DOMAIN mallory.escaping AS text CHECK (mallory.escape(VALUE));
CREATE TYPE mallory.escaping_span AS RANGE (subtype = mallory.escaping);
CREATE TABLE mallory.escapes (s mallory.escaping_span PRIMARY KEY);
GRANT SELECT ON mallory.escapes TO PUBLIC;
\c - postgres
SELECT get_sync_document('mallory.escapes', '[a,c)');

-- ---- Functions planted on the search_path ----
CREATE SCHEMA regress_shared;
GRANT USAGE, CREATE ON SCHEMA regress_shared TO PUBLIC;
CREATE TABLE regress_shared.src (id integer PRIMARY KEY, name varchar(40));
CREATE TABLE regress_shared.dst (id integer PRIMARY KEY, name varchar(40), b bigint);
INSERT INTO regress_shared.src VALUES (1, 'a');
\c - regress_mallory
CREATE FUNCTION regress_shared.upper(varchar) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mallory.catch('upper');
    RETURN 'planted';
END $$;
CREATE FUNCTION regress_shared.plus(integer, bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mallory.catch('operator +');
    RETURN -1;
END $$;
CREATE OPERATOR regress_shared.|| (FUNCTION = regress_shared.plus, LEFTARG = integer, RIGHTARG = bigint);
TRUNCATE mallory.caught;
\c - postgres
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
VALUES ('Planted', 'regress_shared.src', 'regress_shared.dst', '{"id": "id"}', '{"name": {"expr": "upper(source.name)"}}');
SELECT severity, object, message, detail, hint FROM validate_sync_job_type('Planted');
SELECT status FROM execute_sync_job(enqueue_sync_job('Planted', '1'));
SELECT name FROM regress_shared.dst;
SELECT * FROM mallory.caught;
-- What the author means by a name of that schema has to be said; the error says why.
CREATE FUNCTION regress_shared.tidy(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1 || ' is tidy' $$;
UPDATE sync_job_type SET field_map = '{"name": {"expr": "tidy(source.name)"}}' WHERE name = 'Planted';
SELECT status, error_message FROM execute_sync_job(enqueue_sync_job('Planted', '1'));
UPDATE sync_job_type SET field_map = '{"name": {"expr": "regress_shared.tidy(source.name)"}}' WHERE name = 'Planted';
SELECT status FROM execute_sync_job(enqueue_sync_job('Planted', '1'));
-- One of a function of the type's own author, whose schema somebody else may create in.
CREATE SCHEMA regress_module;
GRANT USAGE, CREATE ON SCHEMA regress_module TO regress_mallory;
CREATE FUNCTION regress_module.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_build_object('diff', jsonb_build_object('name', upper((source_doc ->> 'name')::varchar),
        'path', (SELECT array_agg(n::text) FROM unnest(current_schemas(false)) AS n WHERE n LIKE 'regress%' OR n LIKE 'public')));
END $$;
INSERT INTO sync_job_type (name, source_document_type, module) VALUES ('Planted Module', 'regress_shared.src', 'regress_module');
\c - regress_mallory
CREATE FUNCTION regress_module.upper(varchar) RETURNS text LANGUAGE sql AS $$ SELECT mallory.catch('upper')::text $$;
\c - postgres
SELECT object, message, detail FROM validate_sync_job_type('Planted Module');
SELECT status, diff_summary FROM execute_sync_job(enqueue_sync_job('Planted Module', '1'));
-- What nobody else may create in is on it.
REVOKE CREATE ON SCHEMA regress_shared FROM PUBLIC;
REVOKE CREATE ON SCHEMA regress_module FROM regress_mallory;
DROP FUNCTION regress_shared.upper(varchar), regress_module.upper(varchar);
SELECT * FROM validate_sync_job_type('Planted Module');
SELECT status, diff_summary FROM execute_sync_job(enqueue_sync_job('Planted Module', '1'));
-- Nor does it matter by which way the right comes: as owner, by membership, as the owner of the database.
CREATE ROLE regress_group;
GRANT regress_group TO regress_mallory;
ALTER SCHEMA regress_shared OWNER TO regress_group;
SELECT message, detail FROM validate_sync_job_type('Planted');
UPDATE sync_job_type SET run_as = 'regress_app' WHERE name = 'Planted';
SELECT message, detail FROM validate_sync_job_type('Planted') WHERE object = 'search_path';
REVOKE regress_group FROM regress_mallory;
GRANT regress_group TO regress_app; -- a role that nobody but he can be
SELECT message, detail FROM validate_sync_job_type('Planted') WHERE object = 'search_path';
REVOKE regress_group FROM regress_app;
ALTER SCHEMA regress_shared OWNER TO regress_app;
SELECT message, detail FROM validate_sync_job_type('Planted') WHERE object = 'search_path';
SELECT * FROM mallory.caught;

-- ---- Partitions and children that belong to others ----
CREATE TABLE regress_shared.parts (id integer PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE regress_shared.middle PARTITION OF regress_shared.parts FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
CREATE TABLE regress_shared.low PARTITION OF regress_shared.middle FOR VALUES FROM (0) TO (10);
CREATE TABLE regress_shared.parent (id integer PRIMARY KEY, v text);
CREATE TABLE regress_shared.child () INHERITS (regress_shared.parent);
GRANT USAGE ON SCHEMA regress_shared TO regress_mallory;
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, run_as) VALUES
    ('Parts', 'regress_shared.src', 'regress_shared.parts', '{"id": "id"}', '{"v": "name"}', 'postgres'),
    ('Children', 'regress_shared.src', 'regress_shared.parent', '{"id": "id"}', '{"v": "name"}', 'postgres');
ALTER TABLE regress_shared.low OWNER TO regress_mallory;
ALTER TABLE regress_shared.child OWNER TO regress_mallory;
\c - regress_mallory
CREATE FUNCTION mallory.on_part() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mallory.catch('trigger of a part');
    RETURN NEW;
END $$;
CREATE TRIGGER t BEFORE INSERT ON regress_shared.low FOR EACH ROW EXECUTE FUNCTION mallory.on_part();
\c - postgres
SELECT status, split_part(error_message, E'\n', 1) AS error, split_part(error_message, E'\n', 2) AS detail
FROM execute_sync_job(enqueue_sync_job('Parts', '1'));
SELECT status, split_part(error_message, E'\n', 1) AS error, split_part(error_message, E'\n', 2) AS detail
FROM execute_sync_job(enqueue_sync_job('Children', '1'));
UPDATE sync_job_type SET priority = 1 WHERE name = 'Parts';
SELECT * FROM mallory.caught;

-- ---- A row that row-level security hides stays hidden when it is deleted ----
\c - regress_app
CREATE TABLE app.docs (id integer PRIMARY KEY, tenant name, secret text);
ALTER TABLE app.docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON app.docs USING (tenant = current_user);
GRANT SELECT ON app.docs TO PUBLIC;
CREATE TABLE app.docs_copy (id integer PRIMARY KEY, secret text);
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
VALUES ('Docs', 'app.docs', 'app.docs_copy', '{"id": "id"}', '{"secret": "secret"}');
SELECT attach_sync_job_triggers('Docs', 'app.docs');
INSERT INTO app.docs SELECT i, 'somebody', 'the secret of another tenant' FROM generate_series(1, 3) AS i;
INSERT INTO app.docs_copy SELECT i, 'x' FROM generate_series(1, 3) AS i;
\c - postgres
DELETE FROM app.docs;
INSERT INTO sync_job_queue (name, max_workers) VALUES ('peek', 0);
\c - regress_mallory
CREATE FUNCTION mallory_moves.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('diff', source_doc) $$;
CREATE TABLE mallory.docs_copy (id integer PRIMARY KEY, secret text);
INSERT INTO sync_job_type (name, source_document_type, module, run_as) VALUES ('Peek', 'app.docs', 'mallory_moves', 'regress_mallory');
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, run_as, queue)
VALUES ('Peek Set', 'app.docs', 'mallory.docs_copy', '{"id": "id"}', '{"secret": "secret"}', 'regress_mallory', 'peek');
SELECT get_sync_document('app.docs', '1');
SELECT status, diff_summary, error_message FROM execute_sync_job(enqueue_sync_job('Peek', '1'));
SELECT severity, object, message FROM validate_sync_job_type('Peek');
SELECT enqueue_sync_jobs('Peek Set', ARRAY['1', '2', '3']);
CALL run_sync_jobs('peek');
SELECT status, count(*), min(split_part(error_message, E'\n', 1)) AS error FROM sync_job WHERE sync_job_type = 'Peek Set' GROUP BY status;
DROP FUNCTION mallory_moves.execute;
\c - regress_app
SELECT get_sync_document('app.docs', '1'); -- the owner's, to whom no policy applies
SELECT status, operation FROM execute_sync_job(enqueue_sync_job('Docs', '1'));

-- ---- A table that changes while a row of it is in use: no row is read as what it is not ----
\c - regress_mallory
CREATE TABLE mallory.moving (id integer PRIMARY KEY, v text, w text);
INSERT INTO mallory.moving VALUES (1, repeat('a', 50), repeat('b', 3000));
CREATE FUNCTION mallory_moves.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS sync_job_target LANGUAGE sql AS $$
    SELECT sync_job_target('update', target_document_name => '1')
$$;
CREATE FUNCTION mallory_moves.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc mallory.moving) RETURNS mallory.moving LANGUAGE plpgsql AS $$
DECLARE
    r mallory.moving;
BEGIN
    EXECUTE 'ALTER TABLE mallory.moving ALTER v TYPE bigint USING 81985529216486895';
    EXECUTE 'SELECT * FROM mallory.moving' INTO r;
    RETURN r;
END $$;
INSERT INTO sync_job_type (name, target_document_type, module) VALUES ('Moves', 'mallory.moving', 'mallory_moves');
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('Moves'));
CREATE OR REPLACE FUNCTION mallory_moves.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc mallory.moving) RETURNS mallory.moving LANGUAGE plpgsql AS $$
BEGIN
    target_doc.w := 'changed';
    RETURN target_doc;
END $$;
CREATE FUNCTION mallory_moves.before_sync(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'ALTER TABLE mallory.moving ALTER v TYPE bigint USING 81985529216486895';
END $$;
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('Moves'));
CREATE OR REPLACE FUNCTION mallory_moves.before_sync(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'ALTER TABLE mallory.moving ADD x text';
    EXECUTE 'CREATE INDEX ON mallory.moving (w)';
END $$;
-- Some servers refuse to take the row apart after that ("using outdated tuple descriptor"), some can.
SELECT status IN ('Finished', 'Failed') AS ended FROM execute_sync_job(enqueue_sync_job('Moves'));
SELECT id, v, w IN (repeat('b', 3000), 'changed') AS w_is_whole, to_jsonb(m)->>'x' AS x FROM mallory.moving AS m;
UPDATE mallory.moving SET w = repeat('b', 3000);
CREATE OR REPLACE FUNCTION mallory_moves.before_sync(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'CREATE INDEX ON mallory.moving (w)'; -- as good as no change
END $$;
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(enqueue_sync_job('Moves'));

-- ---- What a job leaves behind in the session that runs it by hand ----
\c - postgres
GRANT regress_app TO regress_mallory;
\c - regress_mallory
CREATE FUNCTION mallory_leaves.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    SET search_path = mallory;
    SET statement_timeout = '1h';
    SET ROLE regress_app;
    RETURN jsonb_build_object('diff', current_user);
END $$;
INSERT INTO sync_job_type (name, module) VALUES ('Leaves', 'mallory_leaves');
SELECT status, diff_summary FROM execute_sync_job(enqueue_sync_job('Leaves'));
SELECT current_user, current_setting('search_path') AS path, current_setting('statement_timeout') AS timeout, current_sync_job();
-- More rights than her own are not to be had by it.
CREATE OR REPLACE FUNCTION mallory_leaves.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        SET SESSION AUTHORIZATION postgres;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'session: %', SQLERRM;
    END;
    BEGIN
        SET ROLE postgres;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'role: %', SQLERRM;
    END;
    BEGIN
        SET sync_job.enabled = off;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'setting: %', SQLERRM;
    END;
    BEGIN
        SET sync_job.max_workers = 64;
    EXCEPTION WHEN cant_change_runtime_param THEN
        RAISE NOTICE 'setting: %', SQLERRM;
    END;
    BEGIN
        SET sync_job.no_such = 'x';
    EXCEPTION WHEN invalid_name OR undefined_object THEN
        RAISE NOTICE 'setting: %', SQLERRM;
    END;
    BEGIN
        CALL sync_job_internal.run_committing_job((sync_job ->> 'id')::bigint);
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'committing: %', SQLERRM;
    END;
    BEGIN
        PERFORM sync_job_internal.wake_launcher();
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'launcher: %', SQLERRM;
    END;
    RESET ROLE;
    RESET SESSION AUTHORIZATION;
    RETURN jsonb_build_object('diff', current_user);
END $$;
SELECT status, diff_summary, error_message FROM execute_sync_job(enqueue_sync_job('Leaves'));
SELECT current_user, session_user;
ALTER ROLE regress_mallory SET sync_job.enabled = off;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET sync_job.enabled = off', current_database()); END $$;
\c - postgres
REVOKE regress_app FROM regress_mallory;

-- ---- Functions that are the engine's own ----
\c - regress_mallory
CALL sync_job_internal.run_committing_job(1);
SELECT sync_job_internal.wake_launcher();
SELECT sync_job_internal.check_type();
SELECT sync_job_internal.check_queue();
SELECT sync_job_internal.types_changed();
CREATE TABLE mallory.queue (LIKE sync_job_queue);
CREATE TRIGGER t BEFORE INSERT ON mallory.queue FOR EACH ROW EXECUTE FUNCTION sync_job_internal.check_queue();
CREATE TRIGGER t AFTER INSERT ON mallory.queue FOR EACH STATEMENT EXECUTE FUNCTION sync_job_internal.types_changed();
SELECT sync_job_internal.has_level('manager'), sync_job_internal.has_level('operator', 'viewer'), sync_job_internal.has_level('no such level');
SELECT sync_job_internal.may_read('regress_app', 'regress_app', NULL), sync_job_internal.may_read('regress_mallory', 'regress_app', 'pg_authid');
SELECT sync_job_internal.waiting_elsewhere();
SELECT sync_job_internal.next_cron_time(repeat('1,', 10000) || '1 * * * *', '-infinity') IS NULL AS none;
SELECT adopt_sync_jobs();
SELECT clear_all_sync_jobs();
SELECT clear_old_sync_jobs(0);
CALL clear_sync_job_logs(0);
SELECT enable_sync_job_schedules();
SELECT disable_sync_job_schedules();
SELECT pause_sync_job_queue('default');
SELECT auto_retry_failed_sync_jobs();
SELECT grant_sync_job_access('regress_mallory', 'operator');
SELECT revoke_sync_job_access('regress_app', 'manager');
SELECT set_sync_job_checkpoint('{}');
SELECT get_sync_job_checkpoint();
SELECT report_sync_job_progress(50, 'not in a job');
CREATE TRIGGER t AFTER INSERT ON sync_job FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('Bait');
CREATE RULE r AS ON INSERT TO sync_job_event DO ALSO SELECT 1;
CREATE POLICY p ON sync_job USING (true);
CREATE INDEX ON sync_job (mallory.catch(title));
COMMENT ON TABLE sync_job IS 'mine';
ALTER TABLE sync_job_type DISABLE TRIGGER ALL;
SET session_replication_role = replica;
-- An owner's rights come with his own objects only.
CREATE FUNCTION mallory.definer() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    SELECT enqueue_background_job('pg_catalog.pg_backend_pid', scheduled_at => '2100-01-01')
$$;
CREATE FUNCTION mallory.run(bigint) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT status FROM execute_sync_job($1) $$;
CREATE FUNCTION mallory.drain() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN CALL run_sync_jobs(); END $$;
SELECT mallory.definer() AS job \gset
-- Anybody can send what looks like an event: nobody who waits for the job takes it for one.
SELECT pg_notify('sync_job', jsonb_build_object('event', 'sync_job_ended', 'sync_job', :job, 'status', 'Finished')::text);
CALL wait_for_sync_job(:job, '10 ms');
\c - postgres
SELECT run_as, owner FROM sync_job WHERE id = :job;
SELECT mallory.run(:job); -- her job, her function, a superuser's session
SELECT mallory.drain();
SET ROLE regress_mallory;
SELECT execute_sync_job(:job);
CALL run_sync_jobs();
RESET ROLE;

-- ---- A diff that somebody else has made up ----
\c - regress_mallory
CREATE TABLE mallory.victim (id integer PRIMARY KEY, v text);
INSERT INTO mallory.victim VALUES (1, 'now');
CREATE OR REPLACE FUNCTION mallory_leaves.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT '{"target_document_type": "app.target", "target_document_name": "1", "operation": "update",
             "diff": {"v": {"old": "forged", "new": "now"}}}'::jsonb
$$;
\c - regress_app
CREATE TABLE app.target (id integer PRIMARY KEY, v text);
INSERT INTO app.target VALUES (1, 'now');
\c - regress_mallory
SELECT enqueue_sync_job('Leaves') AS job \gset
SELECT status, target_document_type, diff_summary FROM execute_sync_job(:job);
SELECT revert_sync_job(:job); -- made by a bypass controller
DROP FUNCTION mallory_leaves.execute;
CREATE FUNCTION mallory_leaves.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT NULL::jsonb $$;
SELECT revert_sync_job(:job); -- as a standard one, with her own rights all the same
\c - regress_app
SELECT revert_sync_job(:job);
\c - postgres
SELECT revert_sync_job(:job);
SELECT * FROM app.target;
SELECT DISTINCT what, superuser FROM mallory.caught WHERE superuser OR as_role <> 'regress_mallory';

SET client_min_messages = warning;
DROP SCHEMA app, mallory, mallory_sync, mallory_moves, mallory_leaves, regress_shared, regress_module CASCADE;
DROP EXTENSION pg_sync_job;
DROP OWNED BY regress_app, regress_mallory;
DROP ROLE regress_app, regress_mallory, regress_group;
