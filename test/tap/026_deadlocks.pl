# Deadlocks: of a set of declarative jobs with a session that writes to their targets, of two sets, of the scheduler with who
# locks or truncates the tables of jobs. No job is failed for it, each has its effect once, and the scheduler goes on.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

# Who waits last finds the deadlock, where the other one is told to wait for long.
my $node = new_cluster('main', conf => <<'END');
deadlock_timeout = '10 ms'
log_lock_waits = on
sync_job.batch_time = '10 s'
sync_job.neighbour_share = 0
END
$node->safe_psql('postgres', q{
	UPDATE sync_job_queue SET max_workers = 1;
	CREATE TABLE source (id int PRIMARY KEY, v text);
	CREATE TABLE target (id int PRIMARY KEY, v text, writes int NOT NULL DEFAULT 0);
	CREATE TABLE counter (n int);
	INSERT INTO source SELECT i, 'new' FROM generate_series(1, 200) AS i;
	INSERT INTO target SELECT i, 'old' FROM generate_series(1, 200) AS i;
	INSERT INTO counter VALUES (0);
	-- Each write counts; that of target 10 waits first, and needs the counter.
	CREATE FUNCTION count_writes() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		new.writes := old.writes + 1;
		IF new.id = 10 THEN
			PERFORM pg_advisory_xact_lock_shared(1);
			UPDATE counter SET n = n + 1;
		END IF;
		RETURN new;
	END $$;
	CREATE TRIGGER count_writes BEFORE UPDATE ON target FOR EACH ROW WHEN (new.v ~ '^new') EXECUTE FUNCTION count_writes();
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, retry_delay) VALUES
		('Set', 'source', 'target', '{"id": "id"}', '{"v": "v"}', '1 hour'),
		('Other Set', 'source', 'target', '{"id": "id"}', '{"v": {"expr": "source.v || ''!''"}}', '1 hour')});

sub value { return $node->safe_psql('postgres', $_[0]) }
sub enqueue_set { return value(q{SELECT pause_sync_job_queue('default'); SELECT count(enqueue_sync_job('Set', s)) FROM (SELECT source FROM source WHERE id <= 20 ORDER BY id) AS t (s)}) }
sub resume { return value(q{SELECT resume_sync_job_queue('default')}) }
sub errors { return value(q{SELECT string_agg(DISTINCT sqlstate || ' ' || message, ', ') FROM sync_job_error}) }
my $worker_waits = q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'sync job worker' AND wait_event_type = 'Lock'};

sub session
{
	my ($name, $deadlock_timeout) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query_safe("SET application_name = '$name'; SET deadlock_timeout = '$deadlock_timeout'");
	return $session;
}

# Sends a statement that will wait.
sub send_to
{
	my ($session, $statement) = @_;
	$session->query_until(qr/sent/, "\\echo sent\n$statement;\n");
	return;
}
sub waits { return qq{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = '$_[0]' AND wait_event_type = 'Lock'} }
sub deadlocks { return "SELECT deadlocks >= $_[0] FROM pg_stat_database WHERE datname = 'postgres'" }

# ---- A set of jobs and a session ----

# The set has locked its targets, and waits for the counter, which the session has, who waits for one of the targets.
my $writer = session('writer', '100 s');
my $holder = session('holder', '100 s');
$holder->query_safe('SELECT pg_advisory_lock(1)');
$writer->query_safe('BEGIN; UPDATE counter SET n = n + 1');
enqueue_set();
resume();
$node->poll_query_until('postgres', $worker_waits);
send_to($writer, "UPDATE target SET v = 'mine' WHERE id = 5");
poll($node, waits('writer'), 'the session waits for the set');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
poll($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'writer' AND wait_event_type = 'Lock'}, 'the set steps back');
$writer->query_safe('COMMIT');
is(wait_for_jobs($node), 'Finished=20', 'a deadlock of a set with a session that goes on: all jobs are finished');
poll($node, deadlocks(1), 'there was a deadlock');
is(errors(), '', 'no failure is recorded');
is(value('SELECT count(*), min(writes), max(writes) FROM target WHERE (v = \'new\' OR id = 5) AND id <= 20'), '20|1|1', 'each has written its target once');
is(value('SELECT n FROM counter'), '2', 'the counter was raised once by the session, once by a job');
# By itself the job may come first again.
like(value(q{SELECT (diff_summary->'v'->>'old') || ', then ' || t.v FROM sync_job, target AS t WHERE source_document_name = '5' AND t.id = 5}), qr/^mine, then new|old, then mine$/,
	'whoever came second to the target of both has seen what the first wrote');

# The other way round: the session is the one to step back.
value(q{UPDATE target SET v = 'old', writes = 0; SELECT clear_all_sync_jobs()});
my $hasty = session('hasty', '10 ms');
$hasty->query_safe('BEGIN; UPDATE target SET v = \'mine\' WHERE id = 15');
my $before = -s $node->logfile;
enqueue_set();
resume();
# The set has been given up, and of the job that is left the worker has looked for a deadlock: it does so once, before there is one.
ok($node->wait_for_log(qr/still waiting for ShareLock on transaction(?:(?! LOG: ).)*\n\tsync job \d+ \(Set, source 15\)/s, $before), 'a job of the set waits for the session');
$hasty->query("UPDATE target SET v = 'mine' WHERE id = 3");
like($hasty->{stderr}, qr/deadlock detected/, 'the session is told of the deadlock');
$hasty->{stderr} = '';
$hasty->query_safe('ROLLBACK');
is(wait_for_jobs($node), 'Finished=20', 'a deadlock of a set with a session that gives up: all jobs are finished');
is(errors(), '', 'no failure is recorded');
is(value('SELECT count(*), min(writes), max(writes) FROM target WHERE v = \'new\' AND id <= 20'), '20|1|1', 'each target was written once');

# ---- Two sets ----

# Two workers, each with a half of the targets in its batch, when each comes to the half of the other.
value(q{
	CREATE SCHEMA meet;
	CREATE FUNCTION meet.execute(sync_job sync_job, source_doc source, context jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_advisory_xact_lock((context->>'me')::int);
		WHILE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = (context->>'other')::int) LOOP
			PERFORM pg_sleep(0.005);
		END LOOP;
		RETURN NULL;
	END $$;
	INSERT INTO sync_job_type (name, source_document_type, module, batchable) VALUES ('Meet', 'source', 'meet', true);
	UPDATE sync_job_queue SET max_workers = 1;
	DROP TRIGGER count_writes ON target});
my $deadlocks = value(q{SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'});
for my $round (1 .. 3)
{
	value(qq{SELECT clear_all_sync_jobs(); UPDATE source SET v = 'round $round';
		SELECT pause_sync_job_queue('default'); SELECT pause_sync_job_queue('long');
		SELECT count(enqueue_sync_job('Set', s)) FROM (SELECT source FROM source WHERE id <= 100 ORDER BY id) AS t (s);
		SELECT enqueue_sync_job('Meet', 1, context => '{"me": 11, "other": 12}');
		SELECT count(enqueue_sync_job('Set', s)) FROM (SELECT source FROM source WHERE id > 100 ORDER BY id) AS t (s);
		SELECT count(enqueue_sync_job('Other Set', s, queue => 'long')) FROM (SELECT source FROM source WHERE id > 100 ORDER BY id) AS t (s);
		SELECT enqueue_sync_job('Meet', 2, queue => 'long', context => '{"me": 12, "other": 11}');
		SELECT count(enqueue_sync_job('Other Set', s, queue => 'long')) FROM (SELECT source FROM source WHERE id <= 100 ORDER BY id) AS t (s);
		BEGIN; SELECT resume_sync_job_queue('default'); SELECT resume_sync_job_queue('long'); COMMIT});
	is(wait_for_jobs($node), 'Finished=402', "two batches that want each other's targets, round $round: all jobs are finished");
	is(errors(), '', 'none has failed on the way');
	poll($node, deadlocks($deadlocks + $round), 'there were deadlocks');
	is(value(q{SELECT count(*) FROM target AS t WHERE v <> (SELECT diff_summary->'v'->>'new' FROM sync_job
		WHERE source_document_name = t.id::text AND sync_job_type <> 'Meet' ORDER BY ended_at DESC LIMIT 1)}), '0', 'each target is as the job left it that was there last');
}

# ---- The scheduler ----

my $scheduler = value(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'sync job scheduler'});
my $scheduler_waits = q{SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE backend_type = 'sync job scheduler'};
my $offset = -s $node->logfile;

# Idle workers look for work when the settings are read again, and could be the ones that step back.
poll($node, q{SELECT count(pg_terminate_backend(pid)) = 0 FROM pg_stat_activity WHERE backend_type = 'sync job worker'}, 'there is no worker any more');

# TRUNCATE comes when it has begun to read: it waits for the scheduler, and the scheduler for nobody.
value(q{SELECT clear_all_sync_jobs()});
$holder->query_safe('BEGIN; LOCK TABLE sync_job_internal.dependency');
value(q{SELECT pg_reload_conf()});    # wakes it
poll($node, $scheduler_waits, 'the scheduler is stopped in the middle of its round');
my $truncater = session('truncater', '100 s');
send_to($truncater, 'TRUNCATE sync_job');
poll($node, waits('truncater'), 'TRUNCATE waits for it');
$holder->query_safe('COMMIT');
poll($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'truncater' AND state <> 'idle'}, 'TRUNCATE is done when the round is over');
is(value(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'sync job scheduler'}), $scheduler, 'the scheduler goes on');
is($truncater->{stderr}, '', 'without an error');
like_log($node, $offset, qr/deadlock detected|after a deadlock/, 0, 'nor a deadlock');

# In an order that leads to a deadlock, and to a scheduler that steps back. It looks for what waits for others when a job has ended, and
# may be met in a round that does not: then once more.
value(q{CREATE FUNCTION wait_for_gate() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_xact_lock_shared(2)';
	SELECT enqueue_background_job('wait_for_gate', after => ARRAY[enqueue_background_job('wait_for_gate', scheduled_at => 'infinity')])});
my $gate = session('gate', '100 s');
my $stepped_back = qr/the sync job scheduler looks again after a deadlock/;
for my $try (1 .. 10)
{
	$gate->query_safe('SELECT pg_advisory_lock(2)');
	value(q{SELECT enqueue_background_job('wait_for_gate')});
	poll($node, $worker_waits, 'a job is about to end');
	$holder->query_safe('BEGIN; LOCK TABLE sync_job_internal.sync_job_failed');
	$gate->query_safe('SELECT pg_advisory_unlock(2)');
	poll($node, $scheduler_waits, 'the scheduler is stopped in the middle of its round');
	send_to($truncater, 'BEGIN; LOCK TABLE sync_job_internal.dependency; LOCK TABLE sync_job');
	poll($node, waits('truncater'), 'a session waits for it, with a lock that it will need');
	$holder->query_safe('COMMIT');
	poll($node, q{SELECT state = 'idle in transaction' FROM pg_stat_activity WHERE application_name = 'truncater'}, 'the session has its locks');
	$truncater->query_safe('COMMIT');
	last if substr(slurp_file($node->logfile), $offset) =~ $stepped_back;
}
like_log($node, $offset, $stepped_back, 1, 'the log tells of the deadlock');
is($truncater->{stderr}, '', 'the session hears nothing of it');
value(q{UPDATE source SET v = 'last' WHERE id = 1});
my $job = enqueue($node, 'Set', 1);
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $job", 'jobs are run');
is(value(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'sync job scheduler'}), $scheduler, 'the scheduler is the same');
like_log($node, $offset, qr/ERROR:  deadlock detected/, 0, 'no error is logged');

$_->quit for $writer, $holder, $hasty, $truncater, $gate;
$node->stop('fast');
unlike_accidents($node);
done_testing();
