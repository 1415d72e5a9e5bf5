-- Background jobs: what may be called and how, by whom, at once or later, one after the other.
SELECT format('ALTER DATABASE %I SET sync_job.enabled = off', current_database()) \gexec
CREATE EXTENSION pg_sync_job;
\set VERBOSITY default
\set SHOW_CONTEXT never
-- Nothing runs by itself here: what is enqueued is looked at, and run by hand. (Workers: test/tap.)
CREATE VIEW jobs AS SELECT id, title, status, context AS args, result FROM sync_job ORDER BY id;

-- ---- Arguments by name, checked against the signature ----

CREATE FUNCTION add(a int, b int DEFAULT 10) RETURNS int LANGUAGE sql AS 'SELECT a + b';
SELECT enqueue_background_job('add', '{"a": 1}') AS job \gset
SELECT * FROM jobs;
SELECT queue, timeout, priority, max_retries, run_as = current_user::regrole AS mine, procedure FROM sync_job;
SELECT status, result FROM execute_sync_job(:job);

-- Wrong input is said at once.
SELECT enqueue_background_job(NULL);
SELECT enqueue_background_job('');
SELECT enqueue_background_job('no_such_thing');
SELECT enqueue_background_job('nothing(1, 2)');
SELECT enqueue_background_job('no_such_schema.add');
SELECT enqueue_background_job('add; DROP TABLE x');
SELECT enqueue_background_job('add', '{"b": 2}');
SELECT enqueue_background_job('add', '{"a": 1, "c": 2}');
SELECT enqueue_background_job('add', '{"a": "one"}');
SELECT enqueue_background_job('add', '{"a": 3000000000}');
SELECT enqueue_background_job('add', '{"a": {}}');
SELECT enqueue_background_job('add', '[1, 2]');
SELECT enqueue_background_job('add', '1');
SELECT enqueue_background_job('add', '{"a": 1}', queue => 'fast');
SELECT enqueue_background_job('add', '{"a": 1}', timeout => '-1 s');
SELECT enqueue_background_job('add', '{"a": 1}', max_retries => -1);
SELECT enqueue_background_job('add', '{"a": 1}', retry_delay => '-1 s');
SELECT enqueue_background_job('add', '{"a": 1}', deduplicate => true);
SELECT enqueue_background_job('add', '{"a": 1}', after_failure => 'wait');
SELECT enqueue_sync_job('Background Job');
SELECT count(*) AS none_was_enqueued FROM sync_job WHERE id <> :job;

-- The three queues and their time limits.
SELECT enqueue_background_job('add', '{"a": 1}', queue => 'short'), enqueue_background_job('add', '{"a": 1}'),
    enqueue_background_job('add', '{"a": 1}', queue => 'long'), enqueue_background_job('add', '{"a": 1}', timeout => '1 h');
SELECT queue, timeout, title FROM sync_job WHERE status = 'Queued' ORDER BY id;
SELECT count(cancel_sync_job(id)) FROM sync_job WHERE status = 'Queued';

-- What kinds there are of parameters and results. now => true runs it here, in this transaction.
CREATE FUNCTION run(procedure text, args jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    job bigint := enqueue_background_job(run.procedure, run.args, now => true);
BEGIN
    RETURN (SELECT coalesce(j.result::text, 'NULL') FROM sync_job AS j WHERE j.id = job);
END $$;
CREATE FUNCTION try(procedure text, args jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN run(procedure, args);
EXCEPTION WHEN OTHERS THEN
    RETURN format('%s: %s', sqlstate, sqlerrm);
END $$;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TABLE outlet (id int PRIMARY KEY, name text, opened date);
CREATE FUNCTION many(m mood, p positive, t timestamptz, a int[], n numeric, b bytea, o outlet, j jsonb, x text DEFAULT 'none')
    RETURNS text LANGUAGE sql SET timezone = 'UTC' AS 'SELECT concat_ws('' '', m, p, t, a, n, b, o, j, x)';
SELECT try('many', '{"m": "ok", "p": 3, "t": "2024-05-01T10:00:00Z", "a": [1, 2], "n": 1.50, "b": "\\x01ff",
    "o": {"id": 5, "name": "North"}, "j": {"k": [null, 1]}, "x": null}');
SELECT try('many', '{"m": "great", "p": 3, "t": null, "a": null, "n": null, "b": null, "o": null, "j": null}');
SELECT try('many', '{"m": "ok", "p": 0, "t": null, "a": null, "n": null, "b": null, "o": null, "j": null}');
CREATE FUNCTION "Odd name"("The Argument" text) RETURNS text LANGUAGE sql AS 'SELECT "The Argument"';
SELECT try('"Odd name"', '{"The Argument": "it''s \"quoted\""}'), try('odd name', '{}');
CREATE FUNCTION total(VARIADIC list int[]) RETURNS bigint LANGUAGE sql AS 'SELECT sum(x) FROM unnest(list) AS x';
SELECT try('total', '{"list": [1, 2, 3]}'), try('total', '{"list": []}'), try('total');
CREATE FUNCTION same(value anyelement) RETURNS anyelement LANGUAGE sql AS 'SELECT value';
SELECT try('same', '{"value": 1}');
CREATE FUNCTION unnamed(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
SELECT try('unnamed', '{}'), try('unnamed', '{"a": 1}'), try('unnamed', '{"": 1}');
CREATE FUNCTION two(OUT x int, OUT y text) LANGUAGE sql AS $$ SELECT 1, 'one' $$;
CREATE FUNCTION nothing() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION rows() RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE in_and_out(IN a int, OUT c text, INOUT b int DEFAULT 5) LANGUAGE plpgsql AS $$ BEGIN b := a + b; c := 'done'; END $$;
CREATE PROCEDURE one_out(a int, INOUT result jsonb DEFAULT NULL) LANGUAGE plpgsql AS $$ BEGIN result := jsonb_build_object('a', a); END $$;
CREATE PROCEDURE quiet() LANGUAGE plpgsql AS 'BEGIN END';
CREATE AGGREGATE largest(int) (sfunc = int4larger, stype = int);
CREATE FUNCTION a_row() RETURNS outlet LANGUAGE sql AS $$ SELECT 1, 'North', DATE '2024-05-01' $$;
SELECT try('two'), try('nothing'), try('rows'), try('quiet'), try('one_out', '{"a": 1}');
SELECT try('in_and_out', '{"a": 1, "b": 2}'), try('in_and_out', '{"a": 1}');
SELECT try('in_and_out', '{"a": 1, "c": "x"}');
SELECT try('largest', '{}'), try('a_row');
CREATE FUNCTION which(a int) RETURNS text LANGUAGE sql AS $$ SELECT 'int' $$;
CREATE FUNCTION which(a text, b text DEFAULT '') RETURNS text LANGUAGE sql AS $$ SELECT 'text' $$;
SELECT try('which', '{"a": 1}'), try('which', '{"a": 1, "b": 2}'), try('which', '{"c": 1}');
SELECT try('pg_catalog.upper', '{}'), try('current_database');
CREATE PROCEDURE commits() LANGUAGE plpgsql AS 'BEGIN COMMIT; END';
SELECT enqueue_background_job('commits', now => true); -- says what to do instead

-- ---- now: as a plain call, with its error, and with a record of it ----

CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY, line text);
CREATE FUNCTION write(line text, fails boolean DEFAULT false) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log (line) VALUES (write.line || ' in job ' || current_sync_job());
    IF fails THEN RAISE EXCEPTION '% fails', line USING ERRCODE = 'AB123'; END IF;
END $$;
TRUNCATE log RESTART IDENTITY;
SELECT max(id) AS last FROM sync_job \gset
BEGIN;
SELECT enqueue_background_job('write', '{"line": "first"}', now => true) > :last AS enqueued;
SELECT status, result, started_at IS NOT NULL AS started FROM sync_job WHERE id > :last;
ROLLBACK;
SELECT (SELECT count(*) FROM log) AS lines, count(*) AS jobs FROM sync_job WHERE id > :last;
SELECT enqueue_background_job('write', '{"line": "second", "fails": true}', now => true);
SELECT (SELECT count(*) FROM log) AS lines, count(*) AS jobs FROM sync_job WHERE id > :last;
SELECT enqueue_background_job('write', '{"line": "third"}', now => true, scheduled_at => '2100-01-01');
SELECT enqueue_background_job('write', '{"line": "third"}', now => true, after => '{1}');
-- Inside a job: that one goes on as the one that runs.
CREATE FUNCTION nested() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    outside bigint := current_sync_job();
    inside bigint;
BEGIN
    PERFORM set_sync_job_checkpoint('"outside"');
    inside := enqueue_background_job('set_sync_job_checkpoint', '{"checkpoint": "inside"}', now => true);
    RETURN concat_ws(' ', outside = current_sync_job(), outside < inside, get_sync_job_checkpoint());
END $$;
SELECT run('nested');
SELECT title, checkpoint, status FROM sync_job ORDER BY id DESC LIMIT 2;

-- ---- job_id, deduplicate ----

TRUNCATE log RESTART IDENTITY;
SELECT enqueue_background_job('write', '{"line": "once"}', job_id => 'click', deduplicate => true) AS job \gset
SELECT enqueue_background_job('write', '{"line": "once"}', job_id => 'click', deduplicate => true) = :job AS absorbed;
SELECT enqueue_background_job('write', '{"line": "once"}', job_id => 'click') = :job AS absorbed_unasked;
SELECT enqueue_background_job('write', '{"line": "twice"}', job_id => 'click', deduplicate => true) = :job AS other_args;
SELECT enqueue_background_job('write', '{"line": "once"}', job_id => 'Click', deduplicate => true) = :job AS other_job_id;
CREATE FUNCTION write_too(line text) RETURNS void LANGUAGE sql AS '';
SELECT enqueue_background_job('write_too', '{"line": "once"}', job_id => 'click', deduplicate => true) = :job AS other_procedure;
SELECT enqueue_background_job('write', '{"line": "once"}', job_id => 'click', deduplicate => true, on_success => 'nothing') = :job
    AS other_callback;
-- With now it is the waiting one that runs.
SELECT enqueue_background_job('write', '{"line": "once"}', job_id => 'click', deduplicate => true, now => true) = :job AS absorbed;
SELECT status FROM sync_job WHERE id = :job;
SELECT enqueue_background_job('write', '{"line": "once"}', job_id => 'other', deduplicate => true) AS later \gset
SELECT (get_sync_job_status('click')).id > :job AS newest, (get_sync_job_status('click')).status;
SELECT count(cancel_sync_job(id)) FROM sync_job WHERE status = 'Queued';

-- ---- Order: priority, at_front, scheduled_at ----

TRUNCATE log RESTART IDENTITY;
SELECT enqueue_background_job('write', '{"line": "default"}') AS a \gset
SELECT enqueue_background_job('write', '{"line": "later"}', priority => 5) AS b \gset
SELECT enqueue_background_job('write', '{"line": "sooner"}', priority => -5) AS c \gset
SELECT enqueue_background_job('write', '{"line": "front"}', at_front => true) AS d \gset
SELECT enqueue_background_job('write', '{"line": "scheduled"}', scheduled_at => '2100-01-01') AS e \gset
CALL run_sync_jobs();
SELECT regexp_replace(line, ' in job.*', '') AS line FROM log ORDER BY id;
SELECT status, scheduled_at = '2100-01-01' AS waits FROM sync_job WHERE id = :e;
SELECT (cancel_sync_job(:e)).status;

-- ---- Callbacks ----

CREATE FUNCTION on_good(sync_job bigint, args jsonb, result jsonb) RETURNS void LANGUAGE sql AS
    $$ INSERT INTO log (line) VALUES (concat_ws(' ', 'good', args, coalesce(result, 'null'))) $$;
CREATE FUNCTION on_bad(args jsonb, error jsonb) RETURNS void LANGUAGE sql AS
    $$ INSERT INTO log (line) VALUES (concat_ws(' ', 'bad', args, error->>'sqlstate', error->>'message')) $$;
CREATE FUNCTION on_asks_too_much(sync_job bigint, weather text) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION on_any(sync_job bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the callback fails'; END $$;
CREATE FUNCTION divide(a int, b int) RETURNS int LANGUAGE sql AS 'SELECT a / b';
SELECT enqueue_background_job('divide', '{"a": 1, "b": 1}', on_success => 'no_such_callback');
SELECT enqueue_background_job('divide', '{"a": 1, "b": 1}', on_success => 'on_asks_too_much');
SELECT enqueue_background_job('divide', '{"a": 1, "b": 1}', on_failure => 'rows');
TRUNCATE log RESTART IDENTITY;
SELECT enqueue_background_job('divide', '{"a": 6, "b": 2}', on_success => 'on_good', on_failure => 'on_bad', queue => 'short') AS good \gset
SELECT enqueue_background_job('divide', '{"a": 6, "b": 0}', on_success => 'on_good', on_failure => 'on_bad') AS bad \gset
SELECT enqueue_background_job('divide', '{"a": 6, "b": 0}', on_failure => 'on_bad', max_retries => 1, retry_delay => '1 h') AS again \gset
SELECT enqueue_background_job('divide', '{"a": 6, "b": 3}', on_success => 'on_any') AS fails \gset
SELECT enqueue_background_job('nothing', on_success => 'on_good') AS void \gset
CALL run_sync_jobs();
SELECT line FROM log ORDER BY id;
SELECT title, status, split_part(error_message, E'\n', 1) AS error, parent_sync_job - :good AS parent, queue
FROM sync_job WHERE id >= :good ORDER BY id;
-- Not before the last retry.
SELECT (retry_sync_job(:again)).status;
CALL run_sync_jobs();
SELECT line FROM log ORDER BY id DESC LIMIT 1;
SELECT retry_count, retry_after, status FROM sync_job WHERE id = :again;
-- A callback that is gone by then costs a warning, not the job.
CREATE FUNCTION on_gone(sync_job bigint) RETURNS void LANGUAGE sql AS '';
SELECT enqueue_background_job('divide', '{"a": 6, "b": 3}', on_success => 'on_gone') AS job \gset
DROP FUNCTION on_gone;
SELECT status FROM execute_sync_job(:job);
-- So does a procedure that is gone, or has changed: an error that says so.
CREATE FUNCTION gone(a int) RETURNS void LANGUAGE sql AS '';
SELECT enqueue_background_job('gone', '{"a": 1}') AS job \gset
SELECT enqueue_background_job('gone', '{"a": 1}') AS job2 \gset
DROP FUNCTION gone;
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(:job);
CREATE FUNCTION gone(b int) RETURNS void LANGUAGE sql AS '';
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(:job2);

-- ---- Chains ----

-- A job enqueued inside a job comes into being with it, or not at all.
CREATE FUNCTION parent(fails boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM enqueue_background_job('write', '{"line": "child"}');
    IF fails THEN RAISE EXCEPTION 'parent fails'; END IF;
END $$;
TRUNCATE log RESTART IDENTITY;
SELECT enqueue_background_job('parent', '{"fails": true}') AS job \gset
CALL run_sync_jobs();
SELECT count(*) AS lines FROM log;
SELECT enqueue_background_job('parent', '{"fails": false}') AS job \gset
CALL run_sync_jobs();
SELECT count(*) AS lines FROM log;

-- after: not before all of them have ended; if one fails, canceled or run all the same.
TRUNCATE log RESTART IDENTITY;
SELECT enqueue_background_job('write', '{"line": "1"}') AS one \gset
SELECT enqueue_background_job('write', '{"line": "2"}') AS two \gset
SELECT enqueue_background_job('write', '{"line": "bad", "fails": true}') AS bad \gset
SELECT enqueue_background_job('write', '{"line": "both"}', after => ARRAY[:one, :two]) AS after_both \gset
SELECT enqueue_background_job('write', '{"line": "cancel"}', after => ARRAY[:one, :bad]) AS after_bad \gset
SELECT enqueue_background_job('write', '{"line": "cancel too"}', after => ARRAY[:after_bad]) AS after_after \gset
SELECT enqueue_background_job('write', '{"line": "run"}', after => ARRAY[:one, :bad], after_failure => 'RUN') AS run_after_bad \gset
SELECT id - :one AS nr, status, after_failure FROM sync_job WHERE id >= :one ORDER BY id;
CALL run_sync_jobs(max_jobs => 1);
SELECT id - :one AS nr, status FROM sync_job WHERE id >= :one ORDER BY id;
CALL run_sync_jobs();
SELECT id - :one AS nr, status, replace(cancel_reason, :'bad', 'BAD') AS reason FROM sync_job
WHERE id >= :one AND id <> :after_after ORDER BY id;
SELECT status, replace(cancel_reason, :'after_bad', 'AFTER_BAD') AS reason FROM sync_job WHERE id = :after_after;
SELECT regexp_replace(line, ' in job.*', '') AS line FROM log ORDER BY id;
SELECT count(*) AS still_waiting FROM sync_job_internal.dependency;

-- After what has ended already, was canceled, does not exist, or is the job itself.
SELECT enqueue_background_job('write', '{"line": "at once"}', after => ARRAY[:one]) AS job \gset
SELECT enqueue_background_job('write', '{"line": "never"}', after => ARRAY[:after_bad]) AS job2 \gset
SELECT enqueue_background_job('write', '{"line": "x"}', after => ARRAY[987654321]);
SELECT enqueue_background_job('write', '{"line": "x"}', after => ARRAY[NULL::bigint]);
SELECT enqueue_background_job('write', '{"line": "no group"}', after => '{}') AS job3 \gset
CALL run_sync_jobs();
SELECT status FROM sync_job WHERE id IN (:job, :job2, :job3) ORDER BY id;
-- A failed one with a retry to come has not ended.
SELECT enqueue_background_job('divide', '{"a": 1, "b": 0}', max_retries => 1, retry_delay => '1 h') AS flaky \gset
SELECT enqueue_background_job('write', '{"line": "flaky"}', after => ARRAY[:flaky]) AS job \gset
CALL run_sync_jobs();
SELECT id - :flaky AS nr, status FROM sync_job WHERE id >= :flaky ORDER BY id;
SELECT (retry_sync_job(:flaky, '{"a": 1, "b": 1}')).status;
CALL run_sync_jobs();
SELECT id - :flaky AS nr, status FROM sync_job WHERE id >= :flaky ORDER BY id;
-- Canceled, started by hand, or cleared away: the others know.
SELECT enqueue_background_job('write', '{"line": "1"}') AS one \gset
SELECT enqueue_background_job('write', '{"line": "2"}', after => ARRAY[:one]) AS two \gset
SELECT enqueue_background_job('write', '{"line": "3"}', after => ARRAY[:two]) AS three \gset
SELECT enqueue_background_job('write', '{"line": "4"}', after => ARRAY[:one]) AS four \gset
SELECT (start_sync_job(:four)).status, (cancel_sync_job(:two)).status;
CALL run_sync_jobs();
SELECT id - :one AS nr, status FROM sync_job WHERE id >= :one ORDER BY id;
SELECT enqueue_background_job('write', '{"line": "5"}') AS five \gset
SELECT (execute_sync_job(:five)).status;
SELECT enqueue_background_job('write', '{"line": "6"}', after => ARRAY[:five]) AS six \gset
SELECT clear_all_sync_jobs() > 0 AS cleared;
CALL run_sync_jobs();
SELECT id - :five AS nr, status FROM sync_job ORDER BY id;

-- A group, with one job when all have ended, and a group of none.
TRUNCATE log RESTART IDENTITY;
CREATE FUNCTION group_of(size int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    members bigint[] := ARRAY(SELECT enqueue_background_job('write', jsonb_build_object('line', 'part ' || i, 'fails', i = 2),
                                                            job_group => 'all') FROM generate_series(1, size) AS i);
BEGIN
    RETURN enqueue_background_job('write', '{"line": "finished"}', after => members, after_failure => 'run', job_group => 'all');
END $$;
SELECT group_of(3) AS finished \gset
CALL run_sync_jobs();
SELECT regexp_replace(line, ' in job.*', '') AS line FROM log ORDER BY id;
SELECT status, count(*) FROM sync_job WHERE job_group = 'all' GROUP BY status ORDER BY status;
SELECT group_of(0) AS finished \gset
SELECT status, after FROM sync_job WHERE id = :finished;
CALL run_sync_jobs();
SELECT group_of(2000) AS finished \gset
CALL run_sync_jobs();
SELECT status FROM sync_job WHERE id = :finished;

-- Cycles: a job knows only jobs that are there before it; and a job does not wait for one that waits for it.
CREATE PROCEDURE waits_for_itself() LANGUAGE plpgsql AS 'BEGIN CALL wait_for_sync_job(current_sync_job()); END';
CREATE PROCEDURE waits_for_its_follower() LANGUAGE plpgsql AS $$
DECLARE
    next bigint := enqueue_background_job('nothing', after => ARRAY[current_sync_job()]);
BEGIN
    next := enqueue_background_job('nothing', after => ARRAY[next]);
    COMMIT;
    CALL wait_for_sync_job(next);
END $$;
SELECT enqueue_background_job('waits_for_itself') AS itself \gset
SELECT enqueue_background_job('waits_for_its_follower') AS follower \gset
CALL run_sync_jobs();
SELECT status, regexp_replace(split_part(error_message, E'\n', 1), '\d+', 'N') AS error,
    regexp_replace(split_part(error_message, E'\n', 2), '\d+', 'N') AS detail
FROM sync_job WHERE id IN (:itself, :follower) ORDER BY id;
DO $$
BEGIN  -- the number the job is about to have
    PERFORM enqueue_background_job('nothing', after => ARRAY[(SELECT last_value + 1 FROM sync_job_internal.sync_job_id_seq)]);
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE '%', regexp_replace(sqlerrm, '\d+', 'N');
END $$;

-- ---- Checkpoints, progress and events belong to a job ----

SELECT get_sync_job_checkpoint();
SELECT set_sync_job_checkpoint('1');
SELECT report_sync_job_progress(50, 'outside a job nothing happens');
SELECT report_sync_job_progress(-1);
SELECT report_sync_job_progress(100.01);
SELECT report_sync_job_progress('NaN');
SELECT report_sync_job_progress(NULL);
SELECT publish_sync_job_event(NULL);
SELECT publish_sync_job_event('');
SELECT publish_sync_job_event(repeat('x', 201));

-- Chunk by chunk: what is rolled back was not reached; a second attempt goes on from there.
CREATE TABLE chunk (n int PRIMARY KEY, seen bigint);
CREATE PROCEDURE in_chunks(fail_at int) LANGUAGE plpgsql AS $$
DECLARE
    done int := coalesce((get_sync_job_checkpoint()->>'done')::int, 0);
BEGIN
    FOR i IN done + 1 .. 5 LOOP
        INSERT INTO chunk VALUES (i, current_sync_job());
        PERFORM set_sync_job_checkpoint(jsonb_build_object('done', i));
        IF i = 2 THEN ROLLBACK; INSERT INTO chunk VALUES (i, current_sync_job()); PERFORM set_sync_job_checkpoint('{"done": 2}'); END IF;
        IF i = fail_at THEN RAISE EXCEPTION 'stopped at %', i; END IF;
        COMMIT;
    END LOOP;
END $$;
SELECT enqueue_background_job('in_chunks', '{"fail_at": 4}') AS job \gset
SELECT status FROM execute_sync_job(:job);
CALL run_sync_jobs();
SELECT status, checkpoint, split_part(error_message, E'\n', 1) AS error FROM sync_job WHERE id = :job;
SELECT (retry_sync_job(:job, '{"fail_at": 9}')).checkpoint;
CALL run_sync_jobs();
SELECT status, checkpoint FROM sync_job WHERE id = :job;
SELECT count(*), count(DISTINCT seen) FROM chunk;
-- An error from deep within, or one that the procedure rolled back before, is the job's.
CREATE PROCEDURE fails_deep(chunks int) LANGUAGE plpgsql AS $$
DECLARE
    row record;
BEGIN
    FOR i IN 1 .. chunks LOOP
        PERFORM set_sync_job_checkpoint(to_jsonb(i));
        COMMIT;
    END LOOP;
    FOR row IN SELECT write('deep', g = 2) FROM generate_series(1, 3) AS g LOOP
        NULL;
    END LOOP;
END $$;
CREATE PROCEDURE fails_deeper() LANGUAGE plpgsql AS 'BEGIN COMMIT; CALL fails_deep(2); END';
SELECT enqueue_background_job('fails_deeper', on_failure => 'on_bad') AS job \gset
CALL run_sync_jobs();
SELECT status, checkpoint, split_part(error_message, E'\n', 1) AS error FROM sync_job WHERE id = :job;
SELECT enqueue_background_job('fails_deep', '{"chunks": 0}') AS job \gset
DO $$
BEGIN
    CALL run_sync_jobs();
    RAISE NOTICE 'and on it goes';
END $$;
SELECT status, checkpoint, split_part(error_message, E'\n', 1) AS error FROM sync_job WHERE id = :job;

-- In a function the checkpoint goes with what it did; NULL takes it away.
CREATE FUNCTION notes_down(note jsonb, fails boolean) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_sync_job_checkpoint(note);
    IF fails THEN RAISE EXCEPTION 'fails'; END IF;
    RETURN get_sync_job_checkpoint();
END $$;
SELECT status, checkpoint FROM execute_sync_job(enqueue_background_job('notes_down', '{"note": {"a": 1}, "fails": true}'));
SELECT status, checkpoint, result FROM execute_sync_job(enqueue_background_job('notes_down', '{"note": {"a": 1}, "fails": false}'));
SELECT status, checkpoint, result FROM execute_sync_job(enqueue_background_job('notes_down', '{"note": null, "fails": false}'));

-- An event is a notification; a long one leaves its message in a table. (Who hears it: test/tap.)
SELECT publish_sync_job_event('short', '{"a": 1}'), publish_sync_job_event('no message');
SELECT publish_sync_job_event('long', to_jsonb(repeat('x', 9000)));
SELECT publish_sync_job_event('wide', to_jsonb(repeat('ü', 3950)));
SELECT event, length(message #>> '{}') FROM sync_job_event ORDER BY id;
-- The end of a job, too, whatever its texts grow to in JSON; also as it is canceled.
SELECT status FROM execute_sync_job(enqueue_background_job('nothing', job_id => repeat('k', 9000), publish_event => true));
SELECT status FROM execute_sync_job(enqueue_background_job('nothing', job_id => repeat(chr(1), 1400), publish_event => true));
SELECT status FROM cancel_sync_job(enqueue_background_job('nothing', job_id => repeat('"', 4000), publish_event => true));
SELECT message->>'status' AS status, length(message->>'job_id') FROM sync_job_event WHERE event = 'sync_job_ended' ORDER BY id;

-- Errors and messages longer than anybody reads are cut, and the job ends.
CREATE FUNCTION talks(bytes int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '%', repeat('n', bytes);
    RAISE '%', repeat('m', bytes) USING detail = repeat('ü', bytes), hint = repeat('h', bytes);
END $$;
SET client_min_messages = warning;
SELECT status, length(error_message) BETWEEN 2600000 AND 2700000 AS cut, length(messages) BETWEEN 1000000 AND 1100000 AS messages_cut
FROM execute_sync_job(enqueue_background_job('talks', '{"bytes": 20000000}', verbose_logging => true));
RESET client_min_messages;
SELECT length(message), length(detail), length(hint) FROM sync_job_error WHERE length(message) > 10000;

-- Large arguments and results.
CREATE FUNCTION size_of(a text) RETURNS text LANGUAGE sql AS 'SELECT a || a';
SELECT status, length(result #>> '{}') FROM execute_sync_job(enqueue_background_job('size_of', jsonb_build_object('a', repeat('x', 10000000))));

-- ---- Rights ----

CREATE ROLE sync_job_ann LOGIN;
CREATE ROLE sync_job_bea LOGIN;
GRANT CREATE ON SCHEMA public TO sync_job_ann;
GRANT INSERT, SELECT ON log TO sync_job_ann;
CREATE FUNCTION secret() RETURNS int LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION secret() FROM PUBLIC;
CREATE SCHEMA hidden;
CREATE FUNCTION hidden.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
TRUNCATE log RESTART IDENTITY;
SELECT enqueue_background_job('secret') AS job_of_superuser \gset
SET SESSION AUTHORIZATION sync_job_ann;
SELECT enqueue_background_job('secret');
SELECT enqueue_background_job('hidden.f');
SELECT enqueue_background_job('nothing', on_success => 'secret');
SELECT enqueue_background_job('nothing', after => ARRAY[:job_of_superuser]);
SELECT enqueue_background_job('clear_all_sync_jobs');
CREATE FUNCTION who() RETURNS text LANGUAGE sql AS 'SELECT current_user || '' '' || session_user';
SELECT enqueue_background_job('who', job_id => 'who') AS job \gset
CALL run_sync_jobs();
SELECT id = :job AS mine, status, result FROM get_sync_job_status('who');
SELECT title, status FROM sync_job_recent;
-- Taken back before it ran.
SELECT enqueue_background_job('write', '{"line": "x"}') AS job \gset
RESET SESSION AUTHORIZATION;
REVOKE EXECUTE ON FUNCTION write(text, boolean) FROM PUBLIC;
SET SESSION AUTHORIZATION sync_job_ann;
SELECT status, split_part(error_message, E'\n', 1) AS error FROM execute_sync_job(:job);
SET SESSION AUTHORIZATION sync_job_bea;
SELECT * FROM sync_job_recent;
SELECT * FROM get_sync_job_status('who');
SELECT * FROM get_sync_job_status(:job);
SELECT cancel_sync_job(:job);
RESET SESSION AUTHORIZATION;
SELECT enqueue_background_job('who');
SELECT grant_sync_job_access('sync_job_bea', 'operator');
SET SESSION AUTHORIZATION sync_job_bea;
SELECT count(*) > 1 AS sees_all FROM sync_job_recent;
SELECT status FROM get_sync_job_status('who');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION sync_job_ann;
-- A canceled job has no callback.
SELECT enqueue_background_job('nothing', on_failure => 'on_any') AS job \gset
SET SESSION AUTHORIZATION sync_job_bea;
SELECT (cancel_sync_job(:job)).status;
RESET SESSION AUTHORIZATION;
SELECT count(*) AS callbacks FROM sync_job WHERE parent_sync_job = :job;
-- Whoever is to be kept from workers.
REVOKE EXECUTE ON FUNCTION enqueue_background_job FROM PUBLIC;
SET SESSION AUTHORIZATION sync_job_ann;
SELECT enqueue_background_job('nothing');
RESET SESSION AUTHORIZATION;
DROP OWNED BY sync_job_ann, sync_job_bea;
DROP ROLE sync_job_ann, sync_job_bea;

-- JSON stays what it is on its way: strings and nulls of a result, the context of a document that has been deleted.
CREATE TABLE arrived (what text, value jsonb);
CREATE FUNCTION says() RETURNS text LANGUAGE sql AS $$ SELECT 'a "word"'::text $$;
CREATE FUNCTION hears(result jsonb) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.arrived VALUES ('result', result) $$;
SELECT status, result FROM execute_sync_job(enqueue_background_job('says', on_success => 'hears'));
CALL run_sync_jobs();
CREATE TABLE goes (name text PRIMARY KEY);
CREATE SCHEMA goes_sync;
CREATE FUNCTION goes_sync.execute(sync_job sync_job, source_doc goes) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.arrived VALUES ('context', sync_job.context);
    RETURN NULL;
END $$;
INSERT INTO sync_job_type (name, source_document_type, module) VALUES ('Goes', 'goes', 'goes_sync');
SELECT attach_sync_job_triggers('Goes', 'goes');
INSERT INTO goes VALUES ('g');
DELETE FROM goes;
SELECT status FROM execute_sync_job(enqueue_sync_job('Goes', 'g', '{"text": "a \"word\"", "none": null, "deep": {"text": "t"}}'));
SELECT * FROM arrived ORDER BY what COLLATE "C", value;
