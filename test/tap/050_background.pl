# Background jobs run by workers: crashes and callbacks, time limits, cancellation, jobs inside jobs, chains that outlive
# restarts and prepared transactions, events.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use Listener;
use SyncJob;

my $node = new_cluster('background',
	conf => "restart_after_crash = on\nmax_prepared_transactions = 5\nsync_job.poll_interval = 1s\nsync_job.progress_interval = 20ms\n");
sub value { return $node->safe_psql('postgres', $_[0]); }
sub until_true { return $node->poll_query_until('postgres', $_[0]); }
sub wait_for { my ($job) = @_; value("CALL wait_for_sync_job($job, '1 min')"); return value("SELECT status FROM get_sync_job_status($job)"); }

value(q{
	CREATE ROLE ann LOGIN; CREATE ROLE bea LOGIN; CREATE ROLE olga LOGIN;
	SELECT grant_sync_job_access('olga', 'operator');
	GRANT CREATE ON SCHEMA public TO ann;
	CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY, who text DEFAULT current_user, what text);
	GRANT SELECT, INSERT ON log TO PUBLIC;
	CREATE FUNCTION note(what text) RETURNS void LANGUAGE sql AS 'INSERT INTO log (what) VALUES (what)';
	CREATE FUNCTION nap(seconds numeric) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(seconds); END';
	CREATE FUNCTION note_failure(sync_job bigint, error jsonb) RETURNS void LANGUAGE sql AS
		$$ INSERT INTO log (what) VALUES ('failed ' || (error->>'sqlstate')) $$;
	CREATE PROCEDURE chunks(chunks int, seconds numeric) LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN coalesce((get_sync_job_checkpoint())::int, 0) + 1 .. chunks LOOP
			INSERT INTO log (what) VALUES ('chunk ' || i);
			PERFORM set_sync_job_checkpoint(to_jsonb(i));
			COMMIT;
			PERFORM report_sync_job_progress(100.0 * i / chunks, 'Chunks', 'chunk ' || i);
			PERFORM pg_sleep(seconds);
		END LOOP;
	END $$;});

# ---- A worker killed for good: the callback is the job's role's, though a superuser's process records the end ----

my $job = value(q{SET SESSION AUTHORIZATION ann; SELECT enqueue_background_job('nap', '{"seconds": 600}', on_failure => 'note_failure')});
until_true("SELECT count(*) = 1 FROM sync_job_activity WHERE sync_job = $job");
my $pid = value("SELECT pid FROM sync_job_activity WHERE sync_job = $job");
kill 'KILL', $pid;
until_true("SELECT status = 'Failed' FROM sync_job WHERE id = $job");
ok(until_true(q{SELECT count(*) = 1 FROM log WHERE what = 'failed 57P02'}), 'the callback of a job whose worker was killed is called')
  or diag(value('SELECT id, title, status, run_as, error_message FROM sync_job'));
is(value(q{SELECT who FROM log WHERE what ~ 'failed'}), 'ann', 'as the role of the job');
is(value("SELECT run_as, owner, enqueued_by FROM sync_job WHERE parent_sync_job = $job"), 'ann|ann|ann', 'to which it belongs');

# ---- Time limits ----

$job = value(q{SELECT enqueue_background_job('nap', '{"seconds": 600}', timeout => '200 ms')});
is(wait_for($job), 'Failed', 'a function that takes too long fails');
like(value("SELECT error_message FROM sync_job WHERE id = $job"), qr/canceled because of its timeout of 00:00:00.2/, 'and says so');
value('TRUNCATE log');
$job = value(q{SELECT enqueue_background_job('chunks', '{"chunks": 1000, "seconds": 0.05}', timeout => '1 s')});
is(wait_for($job), 'Failed', 'so does a procedure that commits: the limit is for all its chunks');
like(value("SELECT error_message FROM sync_job WHERE id = $job"), qr/canceled because of its timeout/, 'and says so');
is(value("SELECT checkpoint = to_jsonb((SELECT count(*) FROM log)), checkpoint <> '1' FROM sync_job WHERE id = $job"), 't|t',
	'what was committed stays, with its checkpoint');
value(q{CREATE FUNCTION ignores_limit() RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_sleep(600);
	EXCEPTION WHEN query_canceled THEN RETURN 'so what';
	END $$});
$job = value(q{SELECT enqueue_background_job('ignores_limit', timeout => '200 ms')});
is(wait_for($job), 'Failed', 'a time limit that is caught counts all the same');

# ---- Cancel ----

value('TRUNCATE log');
$job = value(q{SELECT enqueue_background_job('chunks', '{"chunks": 10000, "seconds": 0.01}')});
until_true("SELECT count(*) >= 3 FROM log");
is(value("SELECT (cancel_sync_job($job, 'enough', running => true)).status"), 'Canceled', 'a procedure is stopped between its chunks');
is(value("SELECT status, cancel_reason, checkpoint = to_jsonb((SELECT count(*) FROM log)) FROM sync_job WHERE id = $job"), 'Canceled|enough|t',
	'what was committed stays');
is(wait_for(value(q{SELECT enqueue_background_job('note', '{"what": "next"}')})), 'Finished', 'its worker goes on');

# ---- A job inside a job: seen, limited and canceled as a part of it ----

value(q{CREATE FUNCTION outer_job(inner_seconds numeric, own_seconds numeric) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM report_sync_job_progress(10);
		PERFORM enqueue_background_job('nap', jsonb_build_object('seconds', inner_seconds), now => true);
		PERFORM report_sync_job_progress(20);
		PERFORM pg_sleep(own_seconds);
		RETURN 'done';
	END $$});
$job = value(q{SELECT enqueue_background_job('outer_job', '{"inner_seconds": 0, "own_seconds": 600}')});
ok(until_true("SELECT coalesce((SELECT percent = 20 FROM sync_job_activity WHERE sync_job = $job), false)"), 'after the inner job the outer one is still seen');
is(value("SELECT (cancel_sync_job($job, running => true)).status"), 'Canceled', 'and can be stopped');
$job = value(q{SELECT enqueue_background_job('outer_job', '{"inner_seconds": 600, "own_seconds": 0}')});
until_true("SELECT coalesce((SELECT percent = 10 FROM sync_job_activity WHERE sync_job = $job), false)");
is(value("SELECT (cancel_sync_job($job, running => true)).status"), 'Canceled', 'so it can during the inner one');
$job = value(q{SELECT enqueue_background_job('outer_job', '{"inner_seconds": 0, "own_seconds": 600}', timeout => '300 ms')});
is(wait_for($job), 'Failed', 'its time limit holds after the inner job');
$job = value(q{SELECT enqueue_background_job('outer_job', '{"inner_seconds": 600, "own_seconds": 0}', timeout => '300 ms')});
is(wait_for($job), 'Failed', 'and during it');
like(value("SELECT error_message FROM sync_job WHERE id = $job"), qr/^canceled because of its timeout of 00:00:00.3/, 'the error is of its limit');

# ---- Who sees what runs ----

$job = value(q{SET SESSION AUTHORIZATION ann; SELECT enqueue_background_job('chunks', '{"chunks": 2, "seconds": 600}')});
ok(until_true("SELECT coalesce((SELECT percent = 50 FROM sync_job_activity WHERE sync_job = $job), false)"), 'progress is seen before the end');
my $look = q{SELECT count(*), max(title) FROM sync_job_activity WHERE run_as = 'ann'::regrole AND state = 'running'};
is(value("SET SESSION AUTHORIZATION ann; $look"), '1|Chunks', 'by whoever it belongs to');
is(value("SET SESSION AUTHORIZATION bea; $look"), '1|', 'others see that something runs, not what');
is(value("SET SESSION AUTHORIZATION olga; $look"), '1|Chunks', 'operators see all');
is(value("SET SESSION AUTHORIZATION olga; SELECT percent FROM sync_job_recent WHERE id = $job"), '50', 'in sync_job_recent, too');
is(value("SET SESSION AUTHORIZATION bea; SELECT count(*) FROM sync_job_recent WHERE id = $job"), '0', 'where others see nothing');
value("SELECT cancel_sync_job($job, running => true)");

# ---- A second request while it runs waits for nothing ----

my $click = q{SET statement_timeout = '20 s'; SELECT enqueue_background_job('nap', '{"seconds": 600}', job_id => 'nap', deduplicate => true%s)};
$job = value(sprintf $click, '');
until_true("SELECT status = 'Started' FROM sync_job WHERE id = $job");
is(value(sprintf $click, ''), $job, 'the one that runs has absorbed it');
is(value(sprintf $click, ', now => true'), $job, 'also where it was to run at once');
is(value("SELECT status FROM get_sync_job_status($job)"), 'Started', 'it runs on');
value("SELECT cancel_sync_job($job, running => true)");

# ---- ROLLBACK in a procedure lets go of locks: nobody else takes the job for lost ----

value(q{TRUNCATE log; CREATE PROCEDURE rolls_back() LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO log (what) VALUES ('rolled back'); ROLLBACK;
		INSERT INTO log (what) VALUES ('run'); COMMIT;
		INSERT INTO log (what) VALUES ('rolled back'); ROLLBACK;
		PERFORM pg_sleep(2.5);
	END $$});
$job = value(q{SELECT enqueue_background_job('rolls_back')});
until_true(q{SELECT count(*) = 1 FROM log WHERE what = 'run'});
value(qq{SELECT enqueue_background_job('note', '{"what": "round"}')}) for 1 .. 3;    # the scheduler looks
is(wait_for($job), 'Finished', 'a procedure that rolls back');
until_true(q{SELECT count(*) = 3 FROM log WHERE what = 'round'});
is(value(q{SELECT count(*) FROM log WHERE what IN ('run', 'rolled back')}), '1', 'runs once');

# ---- Chains ----

my $chain = q{SELECT enqueue_background_job('note', '{"what": "%s"}', after => ARRAY[%s])};
value('TRUNCATE log');
my $first = value(q{SELECT enqueue_background_job('nap', '{"seconds": 0}', scheduled_at => now() + interval '1 h')});
my $second = value(sprintf $chain, 'second', $first);
my $third = value(sprintf $chain, 'third', $second);
$node->restart;
is(value("SELECT string_agg(status, ' ' ORDER BY id) FROM sync_job WHERE id >= $first"), 'Queued Pending Pending', 'chains outlive a restart');
value("SELECT cancel_sync_job($first)");
ok(until_true("SELECT count(*) = 3 FROM sync_job WHERE id >= $first AND status = 'Canceled'"), 'a cancellation goes all the way');

$first = value(q{SELECT enqueue_background_job('note', '{"what": "first"}', scheduled_at => now() + interval '1 s')});
$second = value(sprintf $chain, 'second', $first);
$third = value(sprintf $chain, 'third', $second);
is(wait_for($third), 'Finished', 'a chain comes to its end');
is(value("SELECT string_agg(what, ' ' ORDER BY id) FROM log"), 'first second third', 'in its order');

# Enqueued by a prepared transaction, whose commit is another session's.
$first = value(q{SELECT enqueue_background_job('note', '{"what": "first"}')});
wait_for($first);
value("BEGIN; SELECT enqueue_background_job('note', '{\"what\": \"prepared\"}', after => ARRAY[$first]); PREPARE TRANSACTION 'chain'");
value("COMMIT PREPARED 'chain'");
ok(until_true(q{SELECT count(*) = 1 FROM log WHERE what = 'prepared'}), 'a job of a prepared transaction is let go');

# Somebody cancels it while the first one ends, and thinks better of it.
$first = value(q{SELECT enqueue_background_job('nap', '{"seconds": 0}', scheduled_at => now() + interval '1 h')});
$second = value(sprintf $chain, 'kept', $first);
value("BEGIN; SELECT cancel_sync_job($second); PREPARE TRANSACTION 'cancel'");
value("SELECT execute_sync_job($first)");
is(wait_for(value(q{SELECT enqueue_background_job('note', '{"what": "round"}')})), 'Finished', 'the scheduler has been there');
until_true(q{SELECT count(*) = 0 FROM sync_job_activity WHERE sync_job IS NOT NULL});
value(q{SELECT pg_sleep(1.5)});    # and polls
value("ROLLBACK PREPARED 'cancel'");
is(wait_for($second), 'Finished', 'a waiting job that was locked at the moment is not forgotten');

# A group: side by side, then one.
value('TRUNCATE log');
my $group = value(q{SELECT enqueue_background_job('note', '{"what": "all"}', after => array_agg(
	enqueue_background_job('note', jsonb_build_object('what', 'part'), queue => CASE WHEN i % 2 = 0 THEN 'short' ELSE 'long' END)))
	FROM generate_series(1, 200) AS i});
is(wait_for($group), 'Finished', 'a group comes to its end');
is(value(q{SELECT count(*) FILTER (WHERE what = 'part' AND id < (SELECT id FROM log WHERE what = 'all')), count(*) FROM log}), '200|201',
	'its last job after all the others, once');

# ---- More queues than workers may run at a time: each gets its turn, and the log says once what is short ----

value(q{INSERT INTO sync_job_queue (name) SELECT 'queue ' || i FROM generate_series(1, 12) AS i});
value(q{SELECT enqueue_background_job('note', '{"what": "turn"}', queue => 'queue ' || i) FROM generate_series(1, 12) AS i});
ok(until_true(q{SELECT count(*) = 12 FROM log WHERE what = 'turn'}), 'every queue gets its turn');
like(slurp_file($node->logfile), qr/all background workers for sync jobs are taken: queue "queue \d+" and role "postgres" wait/, 'the log says what is short');

# ---- Events ----

my $listener = Listener->new($node, 'postgres', 'sync_job', 'sync_job_progress');
value(q{INSERT INTO sync_job_queue (name, publish_events) VALUES ('loud', true)});
wait_for(value(q{SELECT enqueue_background_job('note', '{"what": "quiet"}')}));
my $asked = value(q{SELECT enqueue_background_job('note', '{"what": "x"}', publish_event => true, job_id => 'mine')});
my $by_queue = value(q{SELECT enqueue_background_job('nap', '{"seconds": null}', queue => 'loud')});
my $fails = value(q{SELECT enqueue_background_job('nap', '{"seconds": 600}', timeout => '100 ms', publish_event => true)});
my $canceled = value(q{SELECT enqueue_background_job('note', '{"what": "x"}', scheduled_at => '2100-01-01', publish_event => true)});
value("SELECT cancel_sync_job($canceled)");
ok(defined $listener->wait_for('sync_job', qr/"sync_job": $fails, "sync_job_type": "Background Job"/), 'the end of a job is told');
$listener->wait_for('sync_job', qr/"sync_job": $_,/) for ($asked, $by_queue, $canceled);
my %ended;
for my $payload ($listener->payloads('sync_job'))
{
	my ($id) = $payload =~ /"sync_job": (\d+)/ or next;
	my ($status) = $payload =~ /"status": "(\w+)"/;
	$ended{$id} = $status;
}
is_deeply(\%ended, { $asked => 'Finished', $by_queue => 'Finished', $fails => 'Failed', $canceled => 'Canceled' },
	'of the jobs that ask for it, or whose queue does, and no others');
like(join("\n", $listener->payloads('sync_job')), qr/"job_id": "mine"/, 'with their job_id');

value(q{SELECT publish_sync_job_event('long', to_jsonb(repeat('x', 20000)))});
my $long = $listener->wait_for('sync_job', qr/"event": "long"/);
my ($event_id) = $long =~ /"event_id": (\d+)/;
is(value("SELECT length(message #>> '{}'), event FROM sync_job_event WHERE id = $event_id"), '20000|long', 'a message too long for NOTIFY is in sync_job_event');
value(q{SELECT publish_sync_job_event('near ' || n, to_jsonb(repeat('x', n))) FROM generate_series(7840, 7990, 10) AS n});
$listener->wait_for('sync_job', qr/near 7990/);
is(scalar(grep { /near \d/ } $listener->payloads('sync_job')), 16, 'near the limit of NOTIFY either way works');
value(q{BEGIN; SELECT publish_sync_job_event('undone'); ROLLBACK});
$job = value(q{SELECT enqueue_background_job('publish_sync_job_event', '{"event": "from a job", "message": {"a": [1]}}')});
is($listener->wait_for('sync_job', qr/from a job/), '{"event": "from a job", "message": {"a": [1]}}', 'a job may publish');
ok(!grep({ /undone/ } $listener->payloads('sync_job')), 'what is rolled back is not told');

# Progress is told while it runs, only now and then, and not of what reports none.
value(q{CREATE FUNCTION reports(times int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. times LOOP PERFORM report_sync_job_progress(100.0 * i / times); END LOOP;
	END $$});
$job = value(q{SELECT enqueue_background_job('reports', '{"times": 300000}')});
is(wait_for($job), 'Finished', 'a job that reports 300000 times');
my @told = grep { /"sync_job": $job,/ } $listener->payloads('sync_job_progress');
my $seconds = value("SELECT extract(epoch FROM time_taken) FROM sync_job WHERE id = $job");
cmp_ok(scalar(@told), '<=', $seconds / 0.02 + 2, 'is told of no more often than sync_job.progress_interval says');
$listener->stop;

is(value(q{SELECT count(*) FROM sync_job WHERE status IN ('Started', 'Pending')}), '0', 'nothing is left hanging');
$node->stop('fast');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|terminated by signal (?!9)|reference leak|non-empty SPI stack|a round failed/,
	'the log tells of no other accident');
done_testing();
