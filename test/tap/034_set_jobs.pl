# Set jobs: many documents, one job. The same end as job by job; what is busy, fails or is locked is no concern of the others;
# kept order; cancellation, kill -9, keys that change, limits, rights.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => "sync_job.poll_interval = '2 s'\nsync_job.batch_time = '500 ms'\nrestart_after_crash = on\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub clear { sql(q{SELECT clear_all_sync_jobs()}); return }

# `witness` is where each document is read: an error tells of two jobs of one document at once. A lock is free a moment after the
# document.
sql(q{
	UPDATE sync_job_queue SET max_workers = 3 WHERE name = 'default';
	CREATE TABLE source (id int PRIMARY KEY, v text, w int DEFAULT 0);
	CREATE TABLE target (source int PRIMARY KEY, v text CHECK (v <> 'bad'), w int, writes int DEFAULT 0);
	CREATE TABLE written (n serial, job bigint, source int);
	CREATE FUNCTION witness(id int, v text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. 20 LOOP
			IF pg_try_advisory_xact_lock(1, id) THEN RETURN v; END IF;
			PERFORM pg_sleep(0.002);
		END LOOP;
		RAISE EXCEPTION 'two jobs of document % at once', id;
	END $$;
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF NEW.v = 'hang' THEN PERFORM pg_sleep(600); END IF;
		IF NEW.v = 'slow' THEN PERFORM pg_sleep(0.01); END IF;
		INSERT INTO written (job, source) VALUES (current_sync_job(), NEW.source);
		NEW.writes := OLD.writes + 1;
		RETURN NEW;
	END $$;
	CREATE TRIGGER note BEFORE UPDATE ON target FOR EACH ROW EXECUTE FUNCTION note();
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, retry_delay, set_size)
	VALUES ('Set', 'source', 'target', '{"source": "id"}', '{"v": {"expr": "witness(source.id, source.v)"}, "w": "w"}', '10 ms', 1000);
	SELECT attach_sync_job_triggers('Set', 'source', level => 'statement');
});
my $wrong = q{SELECT count(*) FROM source AS s FULL JOIN target AS t ON t.source = s.id WHERE (s.v, s.w) IS DISTINCT FROM (t.v, t.w)};
my $sets = q{SELECT count(*) || ' ' || sum(documents) FROM sync_job WHERE documents IS NOT NULL};
sub total { return sql(qq{SELECT coalesce(sum((result ->> '$_[0]')::int), 0) FROM sync_job WHERE documents IS NOT NULL}) }

# Statements, from end to end.
sql(q{INSERT INTO source SELECT i, 'first' FROM generate_series(1, 3000) AS i});
is(wait_for_jobs($node), 'Finished=3', 'a statement of 3000 rows is three jobs');
is(sql($wrong), '0', 'and arrives');
is(sql(q{SELECT count(*) || ' ' || count(fingerprint) FROM sync_job_document WHERE operation = 'Insert' AND status = 'Finished'}),
	'3000 3000', 'what was done to each document is there');
sql(q{UPDATE source SET w = 1 WHERE id % 2 = 0});
wait_for_jobs($node);
is(total('updated'), '1500', 'an update');
is(sql(q{SELECT (diff_summary - 'writes')::text || ' ' || operation FROM sync_job_document_history WHERE source_document_name = '8' AND operation = 'Update'}),
	'{"w": {"new": 1, "old": 0}} Update', 'with its diff');
sql(q{SELECT enqueue_sync_jobs('Set', array_agg(id::text) || array_agg(id::text)) FROM source});
wait_for_jobs($node);
is(total('skipped'), '3000', 'asked for twice at once a document is in one set; in step it is skipped');
is(sql(q{SELECT count(*) FROM sync_job_document}), '4500', 'which leaves nothing but the count');
sql(q{UPDATE source SET w = 2 WHERE id <= 7});
is(wait_for_jobs($node), 'Finished=15', 'few documents are jobs of their own');
sql(q{SELECT pause_sync_job_queue('default'); SELECT enqueue_sync_jobs('Set', array_agg(id::text), job_group => 'all') FROM source WHERE id <= 1500;
	SELECT enqueue_sync_jobs('Set', ARRAY['1'], job_group => 'all'); SELECT resume_sync_job_queue('default'); CALL wait_for_sync_jobs(job_group => 'all', timeout => '3 min')});
is(sql(q{SELECT string_agg(status || ' ' || coalesce(documents::text, '-'), ', ' ORDER BY id) FROM sync_job WHERE job_group = 'all'}), 'Finished 1000, Finished 500, Skipped -', 'a group of sets and jobs');
sql(q{UPDATE source SET id = id + 10000 WHERE id <= 1000});
sql(q{DELETE FROM source WHERE id BETWEEN 1001 AND 2000});
wait_for_jobs($node);
is(sql($wrong), '0', 'keys that change and rows that are deleted arrive');
is(total('deleted'), '2000', 'as deletes');
is(sql(q{SELECT count(*) FROM sync_job_document WHERE operation = 'Delete' AND diff_summary -> 'w' ? 'old'}), '2000', 'the rows are kept');
is(sql(q{SELECT count(*) FROM sync_job WHERE source_documents IS NOT NULL}), '0', 'the names of what has ended are not');
clear();

# After a statement that has inserted all its documents the next one expects to. It need not be so. Five are gone, unseen by triggers.
sql(q{BEGIN;
	UPDATE sync_job_type SET max_retries = 0;
	INSERT INTO target SELECT i, CASE WHEN i > 20410 THEN 'new' END, 0 FROM generate_series(20401, 20420) AS i;
	INSERT INTO source SELECT i, CASE i WHEN 20600 THEN 'bad' ELSE 'new' END FROM generate_series(20001, 21000) AS i;
	SET LOCAL session_replication_role = replica;
	DELETE FROM source WHERE id BETWEEN 20700 AND 20704;
	COMMIT});
wait_for_jobs($node);
is(join(' ', map { total($_) } qw(inserted updated skipped failed)), '974 10 10 6', 'inserts, with others among them');
is(sql($wrong), '1', 'arrive');
is(sql(q{SELECT count(*) || ' ' || count(DISTINCT source_document_name) || ' ' || sum((source_document_name = target_document_name)::int)
	FROM sync_job_document}), '984 984 984', 'and are recorded, each with its target');
# Nor may those that are gone be taken for others, where nothing else is wrong with the statement.
clear();
sql(q{BEGIN;
	INSERT INTO source SELECT i, 'new' FROM generate_series(25001, 25900) AS i;
	SET LOCAL session_replication_role = replica;
	DELETE FROM source WHERE id BETWEEN 25700 AND 25704;
	COMMIT});
wait_for_jobs($node);
is(join(' ', map { total($_) } qw(inserted failed)), '895 5', 'inserts, without those that are gone');
is(sql(q{SELECT count(*) || ' ' || sum((source_document_name = target_document_name)::int) FROM sync_job_document}), '895 895', 'and each is recorded with its own target');
sql(q{UPDATE sync_job_type SET max_retries = 3; DELETE FROM source WHERE id > 20000 AND id < 30000});
wait_for_jobs($node);
is(sql($wrong), '0', 'and go again');
clear();
is(sql(q{SELECT count(*) FROM sync_job_document}), '0', 'clearing takes the documents along');

# After a statement that has updated all its documents the next one expects to, in the same columns. It need not be so either.
sql(q{UPDATE source SET w = 70});
wait_for_jobs($node);
clear();
sql(q{BEGIN;
	UPDATE sync_job_type SET max_retries = 0;
	TRUNCATE written;
	UPDATE target SET w = 77 WHERE source BETWEEN 2401 AND 2410;
	DELETE FROM target WHERE source BETWEEN 2501 AND 2505;
	TRUNCATE written;
	UPDATE source SET w = 77, v = CASE WHEN id BETWEEN 2601 AND 2603 THEN 'other' WHEN id = 2700 THEN 'bad' ELSE v END;
	COMMIT});
wait_for_jobs($node);
is(join(' ', map { total($_) } qw(inserted updated skipped failed)), '5 1984 10 1', 'updates, with others among them');
is(sql($wrong), '1', 'arrive');
is(sql(q{SELECT count(*) || ' ' || count(DISTINCT source) FROM written}), '1984 1984', 'each target is written once');
is(sql(q{SELECT string_agg(diff || ' ' || n, ', ' ORDER BY n) FROM (SELECT (diff_summary - 'writes')::text AS diff, count(*) AS n
	FROM sync_job_document WHERE operation = 'Update' AND source_document_name = target_document_name GROUP BY 1) AS diffs}),
	'{"v": {"new": "other", "old": "first"}, "w": {"new": 77, "old": 70}} 3, {"w": {"new": 77, "old": 70}} 1981', 'with the diff of each');
sql(q{UPDATE sync_job_type SET max_retries = 3; UPDATE source SET v = 'first' WHERE v IN ('bad', 'other')});
wait_for_jobs($node);
is(sql($wrong), '0', 'and are all in step in the end');
clear();

# What fails leaves the set, and is tried again by itself.
sql(q{UPDATE sync_job_type SET retry_delay = '1 hour'; UPDATE source SET v = CASE WHEN id % 500 = 1 THEN 'bad' ELSE 'good' END});
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started')});
is(total('updated') . ' ' . total('failed'), '1996 4', 'four documents fail');
is(sql(q{SELECT string_agg(source_document_name || ' ' || status || ' ' || relation || ' ' || retry_count || ' ' || (retry_after > now()), ', ' ORDER BY source_document_name::int)
	FROM sync_job WHERE parent_sync_job IN (SELECT id FROM sync_job WHERE documents > 1)}),
	join(', ', map { "$_ Failed set 0 true" } 2001, 2501, 10001, 10501), 'as jobs of their own, counted');
is(sql(q{SELECT count(*) FROM sync_job_error WHERE attempt = 1 AND sqlstate = '23514' AND counted}), '4', 'with their errors');
sql(q{UPDATE source SET v = 'mended' WHERE v = 'bad'; SELECT retry_sync_job(array_agg(id)) FROM sync_job WHERE status = 'Failed';
	UPDATE sync_job_type SET retry_delay = '10 ms'});
wait_for_jobs($node);
is(sql($wrong), '0', 'mended and tried again they are in step');
clear();

# A target that somebody has locked.
my $writer = $node->background_psql('postgres');
$writer->query_safe(q{BEGIN; UPDATE target SET w = w WHERE source = 2500});
sql(q{UPDATE source SET v = 'beside'});
poll($node, q{SELECT count(*) = 1999 FROM target WHERE v = 'beside'}, 'a locked target keeps none of the others back');
$writer->query_safe('COMMIT');
$writer->quit;
wait_for_jobs($node);
is(sql($wrong) . ' ' . sql(q{SELECT count(*) FROM sync_job_error}), '0 0', 'and has its turn, which is no failure');
clear();

# A document that is with another job, and what comes after the set.
sql(q{UPDATE source SET v = 'hang' WHERE id = 2600});
poll($node, q{SELECT count(*) = 1 FROM sync_job WHERE status = 'Started'}, 'a job of a document hangs');
sql(q{TRUNCATE written; UPDATE source SET v = 'passes'});
poll($node, q{SELECT count(*) = 1999 FROM target WHERE v = 'passes'}, 'the others of its set are done');
is(sql(q{SELECT string_agg(source_documents::text || ' ' || documents, ', ') FROM sync_job WHERE source_documents IS NOT NULL}),
	'{2600} 1000', 'the set waits with the one that is left, in its place');
sql(q{UPDATE source SET w = 60 WHERE id = 2600});
sql(q{UPDATE source SET w = 61 WHERE id BETWEEN 2001 AND 2100});
poll($node, q{SELECT count(*) = 100 FROM target WHERE w = 61}, 'jobs of other documents run');
is(sql(q{SELECT count(*) FROM sync_job WHERE status = 'Queued'}), '2', 'and a later job of the document waits, too');
sql(q{SELECT cancel_sync_job(id, running => true) FROM sync_job WHERE status = 'Started'});
wait_for_jobs($node);
is(sql($wrong), '0', 'all in step when the document is free');
is(sql(q{SELECT (array_agg(j.documents ORDER BY n))[1] FROM written AS w JOIN sync_job AS j ON j.id = w.job WHERE w.source = 2600}),
	'1000', 'the set had it before the later job');
clear();

# Canceled: while it waits, and while it runs.
sql(q{SELECT pause_sync_job_queue('default'); UPDATE source SET v = 'never', w = 99});
is(sql(q{SELECT DISTINCT waiting FROM compare_sync_documents('Set', max_rows => 10000)}), 't', 'a comparison knows that the documents of a set wait');
is(sql(q{SELECT string_agg(DISTINCT c.status, ' ') FROM sync_job AS j, cancel_sync_job(j.id) AS c WHERE j.status = 'Queued'}), 'Canceled',
	'sets that wait are canceled');
sql(q{SELECT resume_sync_job_queue('default'); UPDATE source SET v = 'slow'});
poll($node, q{SELECT count(*) > 10 FROM target WHERE v = 'slow'}, 'slow ones run');
sql(q{SELECT cancel_sync_job(array_agg(id), running => true) FROM sync_job WHERE status IN ('Queued', 'Started')});
is(wait_for_jobs($node) =~ /Queued|Started|Failed/, '', 'and are canceled as they run');
is(sql(q{SELECT count(*) FROM target WHERE v = 'slow'}), sql(q{SELECT count(*) FROM sync_job_document_history WHERE operation = 'Update'}),
	'what had been committed stays');
clear();

# Under load no document is with two jobs at once; a worker is killed now and then.
sql(q{UPDATE sync_job_type SET retry_delay = '10 ms', max_retries = 100});
my $load = "$PostgreSQL::Test::Utils::tmp_check/set_load.sql";
append_to_file($load, q{
\set from random(2001, 2900)
\set one random(2001, 3000)
UPDATE source SET w = w + 1 WHERE id IN (SELECT id FROM source WHERE id BETWEEN :from AND :from + 100 ORDER BY id FOR UPDATE);
UPDATE source SET w = w + 1 WHERE id = :one;
});
for my $round (1 .. 3)
{
	$node->command_ok([ 'pgbench', '-n', '-c', 3, '-t', 30, '-f', $load, 'postgres' ], "load, round $round");
	sql(q{UPDATE source SET w = w + 1});
	$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM sync_job_activity WHERE state = 'running' OR NOT EXISTS (SELECT FROM sync_job WHERE status = 'Queued')});
	next if $round == 3;
	my $pid = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'sync job worker' LIMIT 1});
	kill 'KILL', $pid if $pid;
	$node->poll_query_until('postgres', 'SELECT true');
}
unlike(wait_for_jobs($node), qr/Failed|Canceled|Started|Queued/, 'all has ended well');
is(sql($wrong), '0', 'every target is right');
is(sql(q{SELECT string_agg(DISTINCT message, ', ') FROM sync_job_error WHERE message ~ 'two jobs'}), '', 'no document was with two jobs at once');
cmp_ok(sql(q{SELECT count(*) FROM sync_job WHERE relation = 'set'}), '>', 0, 'after the crashes documents have run by themselves');
clear();

# Constraints that are checked at the commit.
sql(q{ALTER TABLE target ADD CONSTRAINT w_once UNIQUE (source, w) DEFERRABLE INITIALLY DEFERRED;
	CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.v = 'late' THEN RAISE 'too late'; END IF; RETURN NULL; END $$;
	CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON target DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late();
	UPDATE sync_job_type SET max_retries = 0;
	UPDATE source SET v = CASE id WHEN 2222 THEN 'late' ELSE 'in time' END WHERE id BETWEEN 2201 AND 2300});
wait_for_jobs($node);
is(sql(q{SELECT count(*) FROM target WHERE v = 'in time'}), '99', 'where the commit fails all others are done');
is(sql(q{SELECT string_agg(source_document_name, ' ') FROM sync_job WHERE status = 'Failed'}), '2222', 'and the one whose fault it is has failed');
sql(q{DROP TRIGGER late ON target});
clear();

# Limits.
sql(q{SELECT pause_sync_job_queue('default');
	CREATE TABLE long_named (name text PRIMARY KEY); CREATE TABLE long_target (name text PRIMARY KEY);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, set_size)
	VALUES ('Long', 'long_named', 'long_target', '{"name": "name"}', '{}', 1000);
	SELECT enqueue_sync_jobs('Long', array_agg(repeat('x', 200000) || i)) FROM generate_series(1, 100) AS i});
is(sql(q{SELECT string_agg(documents::text, ' ' ORDER BY id) FROM sync_job WHERE sync_job_type = 'Long'}), '83 17', 'no set has more than 16 MB of names');
sql(q{SELECT cancel_sync_job(array_agg(id)) FROM sync_job WHERE status = 'Queued'; SELECT resume_sync_job_queue('default')});
foreach my $size (0, 1001)
{
	my ($ret, $out, $err) = $node->psql('postgres', "UPDATE sync_job_type SET set_size = $size");
	like($err, qr/set_size must be between 1 and 1000: $size/, "set_size $size is refused");
}

# In a session.
sql(q{UPDATE sync_job_queue SET paused = true WHERE name = 'default'; UPDATE source SET v = 'here'});
is(sql(q{SELECT e.status || ' ' || (e.result ->> 'updated') FROM sync_job AS j, execute_sync_job(j.id) AS e WHERE j.status = 'Queued' ORDER BY j.id LIMIT 1}),
	'Finished 1000', 'execute_sync_job() runs a set');
sql(q{UPDATE sync_job_queue SET paused = false WHERE name = 'default'});
wait_for_jobs($node);
my $set = sql(q{SELECT max(id) FROM sync_job WHERE documents IS NOT NULL});
sql("SELECT revert_sync_job($set)");
is(sql(q{SELECT count(*) FROM target WHERE v = 'here'}), sql("SELECT (SELECT count(*) FROM source) - documents FROM sync_job WHERE id = $set"), 'revert_sync_job() undoes a set');
sql(q{SELECT enqueue_sync_jobs('Set', array_agg(id::text)) FROM source});
wait_for_jobs($node);

# Types with functions. One that keeps a checkpoint leaves the set, as do those that fail; waiting for the set is waiting for them.
clear();
sql(q{CREATE TABLE copy (source int PRIMARY KEY, v text, w int);
	CREATE FUNCTION nothing() RETURNS void LANGUAGE sql AS 'SELECT';
	CREATE SCHEMA by_code;
	CREATE FUNCTION by_code.get_target_document(sync_job sync_job, source_doc source) RETURNS sync_job_target LANGUAGE plpgsql AS $$
	BEGIN
		IF source_doc.id = 2500 THEN
			PERFORM set_sync_job_checkpoint('{"at": 1}');
			IF (get_sync_job_checkpoint() ->> 'at') IS NULL THEN RAISE 'no checkpoint'; END IF;
		END IF;
		RETURN sync_job_target(CASE WHEN EXISTS (SELECT FROM copy WHERE source = source_doc.id) THEN 'update' ELSE 'insert' END,
			target_document_name => source_doc.id::text);
	END $$;
	CREATE FUNCTION by_code.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc copy) LANGUAGE plpgsql AS $$
	BEGIN
		IF sync_job.source_document_name IS DISTINCT FROM source_doc.id::text THEN RAISE 'another document'; END IF;
		IF source_doc.id = 2600 THEN RAISE 'not this one'; END IF;
		target_doc.v := source_doc.v;
		target_doc.w := source_doc.w;
	END $$;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, max_retries, set_size)
	VALUES ('Code', 'source', 'copy', 'by_code', 0, 1000);
	SELECT pause_sync_job_queue('default');
	SELECT enqueue_sync_jobs('Code', array_agg(id::text)) FROM source WHERE id BETWEEN 2401 AND 2700});
$set = sql(q{SELECT id FROM sync_job WHERE documents = 300});
my $after = sql(qq{SELECT enqueue_background_job('public.nothing', after => ARRAY[$set])});
my $always = sql(qq{SELECT enqueue_background_job('public.nothing', after => ARRAY[$set], after_failure => 'run')});
sql(q{SELECT resume_sync_job_queue('default')});
sql(qq{CALL wait_for_sync_job($set, '60 s')});
is(sql(q{SELECT string_agg(source_document_name || ' ' || status, ', ' ORDER BY source_document_name) FROM sync_job WHERE relation = 'set'}),
	'2500 Finished, 2600 Failed', 'whoever waits for a set waits for the documents that have left it');
is(sql(qq{SELECT (result ->> 'inserted') || ' ' || (result ->> 'failed') || ' ' || (result ->> 'handed_over') FROM sync_job WHERE id = $set}),
	'298 1 1', 'functions run for each document of a set');
is(sql(q{SELECT count(*) FROM source AS s JOIN copy AS c ON c.source = s.id AND (c.v, c.w) = (s.v, s.w)}), '299', 'which is in step then');
cmp_ok(sql(q{SELECT count(DISTINCT xmin::text) FROM copy}), '<', 100, 'many documents share a subtransaction');
is(sql(q{SELECT count(DISTINCT fingerprint) || ' ' || count(*) FROM sync_job_document}), '298 298', 'with a fingerprint of each row');
is(sql(q{SELECT checkpoint ->> 'at' FROM sync_job WHERE source_document_name = '2500' AND sync_job_type = 'Code'}), '1', 'the checkpoint is with the job of the document');
poll($node, qq{SELECT status = 'Canceled' FROM sync_job WHERE id = $after}, 'a job after the set is canceled, as one of its documents has failed');
poll($node, qq{SELECT status = 'Finished' FROM sync_job WHERE id = $always}, 'or runs, where it asks for that');

# One locked target, one in three wrong, and a hook that is called when a document is done.
sql(q{SELECT pause_sync_job_queue('default'); UPDATE source SET v = CASE WHEN id % 3 = 0 THEN 'wrong' ELSE 'shared' END;
	ALTER TABLE copy ADD CHECK (v <> 'wrong'); SELECT clear_all_sync_jobs();
	SELECT enqueue_sync_jobs('Code', array_agg(id::text)) FROM source WHERE id BETWEEN 2401 AND 2499});
$writer = $node->background_psql('postgres');
$writer->query_safe(q{BEGIN; UPDATE copy SET w = w WHERE source = 2450});
sql(q{SELECT resume_sync_job_queue('default')});
poll($node, q{SELECT count(*) = 65 FROM copy WHERE v = 'shared'}, 'a locked target keeps none of the others back');
$writer->query_safe('COMMIT');
$writer->quit;
wait_for_jobs($node);
is(sql(q{SELECT count(*) FILTER (WHERE v = 'shared') || ' ' || (SELECT count(*) FROM sync_job WHERE status = 'Failed' AND sync_job_type = 'Code') FROM copy}),
	'66 33', 'nor does one that fails');
sql(q{CREATE TABLE heard (document text);
	CREATE FUNCTION by_code.finished(sync_job sync_job, source_doc source, target_doc copy) RETURNS void LANGUAGE sql
	AS 'INSERT INTO heard VALUES (sync_job.source_document_name)';
	UPDATE source SET v = 'heard'; SELECT enqueue_sync_jobs('Code', array_agg(id::text)) FROM source WHERE id BETWEEN 2401 AND 2499});
wait_for_jobs($node);
is(sql(q{SELECT count(*) || ' ' || count(DISTINCT document) FROM heard}), '99 99', 'the hook is called once for each');
clear();

sql(q{UPDATE sync_job_type SET batchable = false WHERE name = 'Code'});
is(sql(q{SELECT string_agg(severity || ' ' || message, ', ') FROM validate_sync_job_type('Code')}),
	'warning set_size has no effect: each document gets a job of its own', 'validate_sync_job_type() says where set_size has no effect');

# How far a set is.
sql(q{UPDATE source SET v = 'slow' WHERE id IN (SELECT id FROM source ORDER BY id LIMIT 300)});
poll($node, q{SELECT EXISTS (SELECT FROM sync_job_activity WHERE percent BETWEEN 1 AND 99)}, 'sync_job_activity has the percent of a set');
wait_for_jobs($node);

# Who sees what was done.
sql(q{CREATE ROLE keeper LOGIN; CREATE ROLE guest; GRANT SELECT ON source TO keeper, guest; GRANT ALL ON target, written, written_n_seq TO keeper;
	ALTER TABLE source OWNER TO keeper; ALTER TABLE target OWNER TO keeper; UPDATE sync_job_type SET run_as = 'keeper'});
is(sql(q{SET ROLE guest; SELECT count(*) FROM sync_job_document}), '0', 'a guest sees none of the documents');
sql(q{UPDATE source SET v = 'owned'});
wait_for_jobs($node);
is(sql(q{SET ROLE keeper; SELECT count(*) FROM sync_job_document_history WHERE diff_summary -> 'v' ->> 'new' = 'owned'}), '2000', 'whose table it is sees them');
is(sql(q{SET ROLE guest; SELECT count(*) FROM sync_job_document_history}), '0', 'the guest does not');
sql(q{REVOKE SELECT ON target FROM keeper});
is(sql(q{SET ROLE keeper; SELECT count(*) FROM sync_job_document}), '0', 'nor who may not read the target');

unlike_accidents($node, kill => 1);
$node->stop;
done_testing();
