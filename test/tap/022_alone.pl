# Jobs that run alone, one after the other, where the commit that ends one starts the next: each runs once and in order,
# whatever happens to the one before it, to the queue, to the worker, or to what the next one needs.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use SyncJob;

# A chain lasts for batch_time: long, so that what waits at a gate does not end it.
my $node = new_cluster('main', conf => <<'END');
restart_after_crash = on
track_commit_timestamp = on
deadlock_timeout = '10 s'
sync_job.batch_time = '10 s'
sync_job.neighbour_share = 0
sync_job.max_workers = 6
sync_job.worker_idle_timeout = '10 min'
END
load_probe($node, 500);
# run has a row for each attempt that was kept, in their order, and when the job was marked as Started.
$node->safe_psql('postgres', q{
	CREATE TABLE run (n int GENERATED ALWAYS AS IDENTITY, job bigint, started timestamptz);
	CREATE TABLE parent (id int PRIMARY KEY);
	CREATE TABLE child (parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
	CREATE TABLE other_doc (id int PRIMARY KEY);
	INSERT INTO other_doc SELECT generate_series(1, 500);
	CREATE SCHEMA link;
	CREATE FUNCTION link.execute(sync_job sync_job, source_doc jsonb, context jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO run (job, started) SELECT id, pg_xact_commit_timestamp(xmin) FROM sync_job_internal.sync_job_live
		WHERE id = sync_job.id AND status = 'Started';
		IF context ? 'temporary' THEN CREATE TEMPORARY TABLE left_over (); END IF;
		PERFORM probe.misbehave(sync_job);
		IF context ? 'parent' THEN INSERT INTO child VALUES ((context->>'parent')::int); END IF;
		RETURN NULL;
	END $$;
	INSERT INTO sync_job_type (name, source_document_type, module, batchable, concurrency_limit, max_retries, retry_delay) VALUES
		('Link', 'doc', 'link', false, NULL, 0, '10 ms'),
		('Other Link', 'other_doc', 'link', false, NULL, 3, '10 ms'),
		('Limited Link', 'doc', 'link', false, 2, 0, '10 ms'),
		('Batched Link', 'doc', 'link', true, NULL, 0, '10 ms');
	UPDATE sync_job_queue SET max_workers = 1});

sub value { return $node->safe_psql('postgres', $_[0]) }

# The jobs as they ran, by their job_id.
sub ran
{
	my ($pattern) = @_;
	return value(qq{SELECT string_agg(job_id, ' ' ORDER BY n) FROM run JOIN sync_job ON id = job WHERE job_id ~ '^$pattern'});
}

# The job was marked as Started by the commit that ended the other.
sub linked
{
	my ($job, $other, $name) = @_;
	return is(value(qq{
		SELECT pg_xact_commit_timestamp(l.xmin) = pg_xact_commit_timestamp(e.xmin)
		FROM sync_job_internal.sync_job_live AS l, sync_job_internal.sync_job_ended AS e
		WHERE l.id = $job AND l.status = 'Started' AND e.id = $other}), 't', $name);
}

sub job
{
	my ($name, $type, $document, $context, $more) = @_;
	$context //= '{}';
	return enqueue($node, $type, $document, "job_id => '$name', context => '$context'" . ($more ? ", $more" : ''));
}

# A job that runs until its gate is opened.
sub gate { return value("INSERT INTO gate VALUES ('$_[0]')") }
sub open_one { return value("DELETE FROM gate WHERE name = '$_[0]'") }

# A job that waits at its gate, with the worker; those enqueued now come after it.
sub hold
{
	my ($name) = @_;
	gate($name);
	my $job = job($name, 'Link', 500, qq{{"gate": "$name"}});
	wait_until_running($node, $job);
	return $job;
}

sub states { return value(qq{SELECT string_agg(job_id || '=' || status, ' ' ORDER BY id) FROM sync_job WHERE job_id ~ '^$_[0]'}) }
sub at_rest { return poll($node, q{SELECT count(*) = 0 FROM sync_job_activity WHERE state <> 'idle'}, $_[0]) }
sub errors { return value(q{SELECT count(*) FROM sync_job_error}) }

# ---- Once, in order ----

value(q{SELECT pause_sync_job_queue('default');
	SELECT count(enqueue_sync_job('Link', i::text)) FROM generate_series(1, 200) AS i;
	SELECT resume_sync_job_queue('default')});
is(wait_for_jobs($node), 'Finished=200', '200 jobs alone');
is(value(q{SELECT count(*), count(DISTINCT job) FROM run}), '200|200', 'each has run once');
is(value(q{SELECT last_value FROM probe_run}), '200', 'none in vain');
is(value(q{SELECT count(*) FROM (SELECT job < lag(job) OVER (ORDER BY n) AS wrong FROM run) AS s WHERE wrong}), '0', 'in the order of their ids');
# A slow machine may need several chains.
cmp_ok(value(q{
	SELECT count(*) FROM (SELECT started, lag(pg_xact_commit_timestamp(e.xmin)) OVER (ORDER BY n) AS ended
	                      FROM run JOIN sync_job_internal.sync_job_ended AS e ON e.id = job) AS s WHERE started = ended}), '>=', 150,
	'as a rule the commit that ends one starts the next');
is(value(q{SELECT count(*) FROM sync_job WHERE started_at > ended_at OR ended_at IS NULL}), '0', 'their times are in order');

# ---- Priority ----

my $first = hold('prio-first');
job('prio-4', 'Link', 4);
job('prio-5', 'Link', 5, undef, 'priority => 1');
job('prio-2', 'Link', 2, undef, 'priority => -5');
job('prio-3', 'Link', 3, undef, 'priority => -1');
open_one('prio-first');
wait_for_jobs($node);
is(ran('prio'), 'prio-first prio-2 prio-3 prio-4 prio-5', 'those enqueued meanwhile run by priority');

# ---- A pause ----

$first = hold('pause-1');
my @paused = map { job("pause-$_", 'Link', $_) } 2 .. 4;
value(q{SELECT pause_sync_job_queue('default')});
open_one('pause-1');
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $first", 'a job runs to its end though its queue is paused');
at_rest('the worker rests');
is(states('pause'), 'pause-1=Finished pause-2=Queued pause-3=Queued pause-4=Queued', 'the next ones wait, and none is marked as Started');
value(q{SELECT resume_sync_job_queue('default')});
wait_for_jobs($node);
is(ran('pause'), 'pause-1 pause-2 pause-3 pause-4', 'and run when it is resumed');

# ---- Canceled ----

$first = hold('cancel-1');
gate('cancel-3');
my $second = job('cancel-2', 'Link', 2);
my $third = job('cancel-3', 'Link', 3, '{"gate": "cancel-3"}');
job('cancel-4', 'Link', 4);
is(value("SELECT status FROM cancel_sync_job($second)"), 'Canceled', 'a job that waits is canceled');
open_one('cancel-1');
wait_until_running($node, $third);
linked($third, $first, 'the one after it is started by the end of the one before it');
is(value("SELECT status FROM cancel_sync_job($third, 'stop', running => true)"), 'Canceled', 'which is stopped while it runs');
wait_for_jobs($node);
open_one('cancel-3');
is(states('cancel'), 'cancel-1=Finished cancel-2=Canceled cancel-3=Canceled cancel-4=Finished', 'the next one runs');
is(ran('cancel'), 'cancel-1 cancel-4', 'what was canceled has had no effect');
is(errors(), '0', 'none of all this is a failure');

# ---- Failed ----

# By an error, by a constraint at commit, by a timeout; each between jobs that are right.
my $runs = value(q{SELECT last_value FROM probe_run});
$first = hold('fail-1');
job('fail-2', 'Link', 2, '{"fail": "broken"}');
job('fail-3', 'Link', 3);
job('fail-4', 'Link', 4, '{"parent": 9}');
job('fail-5', 'Link', 5);
job('fail-6', 'Link', 6, '{"parent": 9}');
job('fail-7', 'Link', 7, '{"parent": 9}');
job('fail-8', 'Link', 8, '{"sleep": 600}', q{timeout => '100 ms'});
job('fail-9', 'Link', 9);
open_one('fail-1');
wait_for_jobs($node);
is(states('fail'), 'fail-1=Finished fail-2=Failed fail-3=Finished fail-4=Failed fail-5=Finished fail-6=Failed fail-7=Failed fail-8=Failed fail-9=Finished',
	'only those fail that are to blame');
is(value(q{SELECT string_agg(job_id || ':' || sqlstate || ':' || attempt || ':' || counted, ' ' ORDER BY id) FROM sync_job_error JOIN sync_job ON id = sync_job}),
	'fail-2:P0001:1:true fail-4:23503:1:true fail-6:23503:1:true fail-7:23503:1:true fail-8:57014:1:true', 'each once, with its own error');
is(ran('fail'), 'fail-1 fail-3 fail-5 fail-9', 'the others have had their effect once');
is(value(q{SELECT last_value FROM probe_run}) - $runs, '9', 'each was begun once');
is(value(q{SELECT max(retry_count) FROM sync_job}), '0', 'none was tried again');
at_rest('the worker rests');
is(value(q{SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 9999}), '0', 'and says of no job any more that it runs it');
value(q{DELETE FROM sync_job_error});

# ---- Nobody's fault ----

# A serialization failure: again, uncounted, before those behind it that were not started.
$first = hold('again-1');
job('again-2', 'Link', 2, '{"fail": "again", "sqlstate": "40001"}');
job('again-3', 'Link', 3);
open_one('again-1');
wait_for_jobs($node);
is(states('again'), 'again-1=Finished again-2=Failed again-3=Finished', 'one that always fails with a serialization failure ends as Failed');
is(value(q{SELECT sqlstate, attempt FROM sync_job_error}), '40001|1', 'with one failure, after its repetitions');
is(ran('again'), 'again-1 again-3', 'its neighbours are not harmed');
value(q{DELETE FROM sync_job_error});

# ---- Trouble in starting the next one ----

# Its source is locked: the one before it ends all the same.
$first = hold('locked-1');
$second = job('locked-2', 'Other Link', 2);
job('locked-3', 'Link', 3);
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE other_doc');
open_one('locked-1');
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $first", 'a job ends though the source of the next one is locked');
poll($node, "SELECT status = 'Started' FROM sync_job WHERE id = $second", 'the next one is started');
linked($second, $first, 'by its commit');
is(states('locked'), 'locked-1=Finished locked-2=Started locked-3=Queued', 'and waits');
$locker->query_safe('COMMIT');
wait_for_jobs($node);
is(ran('locked'), 'locked-1 locked-2 locked-3', 'all run in order when the lock is gone');

# The table of types is locked, and the worker does not know that of the next one; it waits no longer than its role is
# willing to. What it runs is not charged with that.
value(q{
	INSERT INTO sync_job_type (name, source_document_type, module, batchable) VALUES ('New Link', 'doc', 'link', false);
	ALTER ROLE postgres SET lock_timeout = '100 ms';
	SELECT pg_terminate_backend(pid, 10000) FROM sync_job_activity});
$first = hold('type-1');
$second = job('type-2', 'New Link', 2);
job('type-3', 'Link', 3);
$locker->query_safe('SET lock_timeout = 0; BEGIN; LOCK TABLE sync_job_type');
open_one('type-1');
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $first", 'a job ends though the type of the next one cannot be read');
is(states('type'), 'type-1=Finished type-2=Queued type-3=Queued', 'the next one waits');
$locker->query_safe('COMMIT');
value(q{ALTER ROLE postgres RESET lock_timeout});
wait_for_jobs($node);
value(q{SELECT pg_terminate_backend(pid, 10000) FROM sync_job_activity});
is(ran('type'), 'type-1 type-2 type-3', 'and runs when it can be, and those behind it after it');
is(errors(), '0', 'nobody is charged');

# Its row in the table of types is locked, which hinders nobody; that of another one is gone.
$first = hold('gone-1');
job('gone-2', 'Other Link', 2);
job('gone-3', 'New Link', 3);
job('gone-4', 'Link', 4);
$locker->query_safe(q{BEGIN; SELECT FROM sync_job_type WHERE name = 'Other Link' FOR UPDATE});
value(q{BEGIN; ALTER TABLE sync_job_type DISABLE TRIGGER check_type; DELETE FROM sync_job_type WHERE name = 'New Link';
	ALTER TABLE sync_job_type ENABLE ALWAYS TRIGGER check_type; COMMIT});
open_one('gone-1');
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM sync_job WHERE job_id ~ '^gone' AND status IN ('Queued', 'Started')});
is(states('gone'), 'gone-1=Finished gone-2=Finished gone-3=Failed gone-4=Finished', 'a job whose type has gone fails, and no other');
$locker->query_safe('COMMIT');
value(q{SELECT cancel_sync_job(ARRAY(SELECT id FROM sync_job WHERE job_id = 'gone-3'))});
wait_for_jobs($node);
is(value(q{SELECT string_agg(DISTINCT job_id || ':' || sqlstate, ' ') FROM sync_job_error JOIN sync_job ON id = sync_job}), 'gone-3:42704', 'with an error that says so');
value(q{DELETE FROM sync_job_error});

# Its controller is not there.
value(q{INSERT INTO sync_job_type (name, source_document_type, module, batchable, max_retries) VALUES ('No Link', 'doc', 'nowhere', false, 0)});
$first = hold('nowhere-1');
job('nowhere-2', 'No Link', 2);
job('nowhere-3', 'Link', 3);
open_one('nowhere-1');
wait_for_jobs($node);
is(states('nowhere'), 'nowhere-1=Finished nowhere-2=Failed nowhere-3=Finished', 'a job whose controller is not there fails, and no other');
is(value(q{SELECT string_agg(job_id || ':' || sqlstate, ' ') FROM sync_job_error JOIN sync_job ON id = sync_job}), 'nowhere-2:3F000', 'with an error that says so');
value(q{DELETE FROM sync_job_error});

# ---- Mixed with jobs that share transactions ----

value(q{SELECT pause_sync_job_queue('default');
	SELECT count(enqueue_sync_job((ARRAY['Link', 'Batched Link', 'Batched Link', 'Link', 'Link', 'Other Link', 'Batched Link'])[1 + i % 7], i::text, job_id => 'mix'))
	FROM generate_series(1, 140) AS i;
	SELECT resume_sync_job_queue('default')});
wait_for_jobs($node);
is(value(q{SELECT count(*), count(DISTINCT job) FROM run JOIN sync_job ON id = job WHERE job_id = 'mix' AND sync_job_type <> 'Batched Link'}), '80|80', 'a mix: each that runs alone has run once');
is(value(q{SELECT count(*) FROM sync_job WHERE job_id = 'mix' AND status = 'Finished'}), '140', 'all are finished');
is(value(q{SELECT count(*) FROM (
	SELECT row_number() OVER (ORDER BY started_at) AS ran, row_number() OVER (ORDER BY id) AS due FROM sync_job WHERE job_id = 'mix') AS s WHERE ran <> due}), '0',
	'in order');
is(errors(), '0', 'without a failure');

# ---- Several workers ----

value(q{UPDATE sync_job_queue SET max_workers = 4;
	SELECT count(enqueue_sync_job('Link', (1 + i % 3)::text, job_id => 'document', context => '{"sleep": 0.002}')) FROM generate_series(1, 120) AS i});
wait_for_jobs($node);
is(value(q{SELECT count(*), count(DISTINCT job) FROM run JOIN sync_job ON id = job WHERE job_id = 'document'}), '120|120', 'jobs of three documents, with four workers: each runs once');
is(value(q{
	SELECT count(*) FROM (SELECT started_at, lag(ended_at) OVER w AS before FROM sync_job
	                      WHERE job_id = 'document' WINDOW w AS (PARTITION BY source_document_name ORDER BY id)) AS s
	WHERE started_at < before}), '0', 'no two of a document side by side, and in order');

# Held at the gate, so that it is certain that they meet.
gate('meet');
my @meet = map { job("meet-$_", 'Link', 1 + $_ % 2, '{"gate": "meet"}') } 1 .. 8;
wait_until_running($node, $_) for @meet[0, 1];
is(states('meet'), 'meet-1=Started meet-2=Started meet-3=Queued meet-4=Queued meet-5=Queued meet-6=Queued meet-7=Queued meet-8=Queued',
	'one of each document runs, others wait behind them');
open_one('meet');
wait_for_jobs($node);
is(value(q{SELECT string_agg(job_id, ' ' ORDER BY n) FROM run JOIN sync_job ON id = job WHERE job_id ~ '^meet' AND source_document_name = '1'}),
	'meet-2 meet-4 meet-6 meet-8', 'and run in order');

# Of what a worker has ended it lets go when the next one begins, of its document and its type; what it runs it keeps.
gate('keep-1');
gate('keep-2');
value(q{UPDATE sync_job_queue SET max_workers = 1; UPDATE sync_job_type SET concurrency_limit = 1 WHERE name = 'Limited Link'});
poll($node, q{SELECT count(*) <= 1 FROM sync_job_activity}, 'one worker');
$first = job('keep-1', 'Limited Link', 1, '{"gate": "keep-1"}');
wait_until_running($node, $first);
$second = job('keep-2', 'Link', 2, '{"gate": "keep-2"}');
open_one('keep-1');
wait_until_running($node, $second);
linked($second, $first, 'a job is started by the end of another');
value(q{UPDATE sync_job_queue SET max_workers = 4});
my $behind = job('keep-3', 'Link', 2);
my $same = job('keep-4', 'Limited Link', 1);
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $same", 'another worker runs the next job of the document and type of the first');
is(status_of($node, $behind), 'Queued', 'and none of the document of the second');
is(status_of($node, $second), 'Started', 'which runs');
open_one('keep-2');
wait_for_jobs($node);
is(ran('keep'), 'keep-1 keep-2 keep-4 keep-3', 'until it has ended');
value(q{UPDATE sync_job_type SET concurrency_limit = 2 WHERE name = 'Limited Link'});

value(q{SELECT count(enqueue_sync_job((ARRAY['Limited Link', 'Link'])[1 + i % 2], i::text, job_id => 'limited', context => '{"sleep": 0.02}')) FROM generate_series(1, 60) AS i});
wait_for_jobs($node);
is(value(q{SELECT count(*), count(DISTINCT job) FROM run JOIN sync_job ON id = job WHERE job_id = 'limited'}), '60|60', 'a type with a concurrency_limit among others: each job runs once');
cmp_ok(value(q{
	SELECT max((SELECT count(*) FROM sync_job AS o WHERE o.job_id = 'limited' AND o.sync_job_type = 'Limited Link' AND o.started_at <= j.started_at AND o.ended_at > j.started_at))
	FROM sync_job AS j WHERE job_id = 'limited' AND sync_job_type = 'Limited Link'}), '<=', 2, 'no more of them at a time than it says');
gate('limited');
my @limited = map { job("gate-$_", 'Limited Link', 10 + $_, '{"gate": "limited"}') } 1 .. 4;
$node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM sync_job WHERE job_id ~ '^gate' AND status = 'Started'});
my $free = job('gate-5', 'Link', 20);
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $free", 'another type is not held up by the limit');
is(value(q{SELECT count(*) FROM sync_job WHERE job_id ~ '^gate' AND status = 'Started'}), '2', 'while two of the limited one run');
open_one('limited');
wait_for_jobs($node);
is(value(q{SELECT count(*) FROM sync_job WHERE job_id ~ '^gate' AND status = 'Finished'}), '5', 'in the end all have');
value(q{UPDATE sync_job_queue SET max_workers = 1});

# ---- A session ----

# run_sync_jobs() runs them the same way; no more than it was asked to, and none is left as Started.
value(q{UPDATE sync_job_queue SET max_workers = 0});
poll($node, q{SELECT count(*) = 0 FROM sync_job_activity}, 'no worker');
job("session-$_", 'Link', $_, $_ == 4 ? '{"parent": 9}' : '{}') for 1 .. 8;
value(q{CALL run_sync_jobs('default', 3)});
is(states('session'), join(' ', map { "session-$_=" . ($_ <= 3 ? 'Finished' : 'Queued') } 1 .. 8), 'a session runs three jobs alone, as it was told to');
value(q{CALL run_sync_jobs('default')});
is(states('session'), join(' ', map { "session-$_=" . ($_ == 4 ? 'Failed' : 'Finished') } 1 .. 8), 'then all the others');
is(ran('session'), join(' ', map { "session-$_" } grep { $_ != 4 } 1 .. 8), 'each once, in order');
value(q{DELETE FROM sync_job_error});
# It is ended while it runs one that was started by the end of another.
gate('ended');
$first = job('ended-1', 'Link', 1);
$second = job('ended-2', 'Link', 2, '{"gate": "ended"}');
my $runner = $node->background_psql('postgres', on_error_stop => 0);
$runner->query_until(qr/sent/, "\\echo sent\nCALL run_sync_jobs();\n");
my $session = wait_until_running($node, $second);
linked($second, $first, 'a job is started by the end of another, in a session');
value("SELECT pg_terminate_backend($session, 10000)");
eval { $runner->quit };
poll($node, "SELECT status = 'Queued' FROM sync_job WHERE id = $second", 'when the session is ended, the job is queued again');
open_one('ended');
value(q{UPDATE sync_job_queue SET max_workers = 1});
wait_for_jobs($node);
is(states('ended'), 'ended-1=Finished ended-2=Finished', 'and run by a worker');
is(ran('ended'), 'ended-1 ended-2', 'each has had its effect once');
is(errors(), '0', 'none is charged');

# ---- Between two of them ----

# The next job is Started, and its worker does not show yet that it runs it: it has to clean up after the one before, and waits
# for a lock. A scheduler that looks for orphans now finds that the number of the job is locked, and by nothing else that it
# is none.
gate('between');
gate('orphan');
my $before = value('SELECT last_value FROM probe_run');
$first = job('between-1', 'Link', 1, '{"gate": "between", "temporary": true}');
my $worker = wait_until_running($node, $first);
poll($node, "SELECT last_value > $before FROM probe_run", 'a job has made a temporary table');
$second = job('between-2', 'Link', 2);
my $orphan = job('between-3', 'Link', 3, '{"gate": "orphan"}');
$locker->query_safe('BEGIN; LOCK TABLE pg_depend IN SHARE MODE');
open_one('between');
poll($node, "SELECT status = 'Started' FROM sync_job WHERE id = $second", 'the next one is started by its end');
poll($node, "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $worker", 'before it begins, what is left over has to go');
$runner = $node->background_psql('postgres', on_error_stop => 0);
$runner->query_until(qr/sent/, "\\echo sent\nCALL execute_sync_job($orphan, NULL);\n");
$session = wait_until_running($node, $orphan);
value("SELECT pg_terminate_backend($session, 10000)");
eval { $runner->quit };
poll($node, "SELECT status = 'Queued' FROM sync_job WHERE id = $orphan", 'a session ends in a job, and the scheduler finds that one');
is(states('between-2'), 'between-2=Started', 'but leaves alone the one that is about to begin');
$locker->query_safe('COMMIT');
open_one('orphan');
wait_for_jobs($node);
is(ran('between'), 'between-1 between-2 between-3', 'each has had its effect once');

# ---- The worker ends ----

# While a job runs that the end of another has started; and while such a one has not begun, as its source is locked.
for my $how ('terminated', 'killed')
{
	for my $begun (1, 0)
	{
		value(q{SELECT pg_terminate_backend(pid, 10000) FROM sync_job_activity; DELETE FROM sync_job_error});
		my $name = "$how-$begun";
		my $what = $how . ($begun ? ' while the next job runs' : ' before the next job has begun');
		gate("$name-2");
		$first = hold("$name-1");
		$second = job("$name-2", 'Other Link', 2, qq{{"gate": "$name-2"}});
		job("$name-3", 'Link', 3);
		$locker->query_safe('BEGIN; LOCK TABLE other_doc') unless $begun;
		open_one("$name-1");
		my $pid = wait_until_running($node, $second);
		$node->poll_query_until('postgres', "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid") unless $begun;
		linked($second, $first, "$what: it was started by the end of the first");
		if ($how eq 'killed')
		{
			kill 'KILL', $pid;
			$node->poll_query_until('postgres', 'SELECT true');
			eval { $locker->quit };
			$locker = $node->background_psql('postgres');
		}
		else
		{
			value("SELECT pg_terminate_backend($pid, 10000)");
			$locker->query_safe('COMMIT') unless $begun;
		}
		open_one("$name-2");
		wait_for_jobs($node);
		is(states($name), "$name-1=Finished $name-2=Finished $name-3=Finished", "$what: all are finished");
		is(value("SELECT count(*), count(DISTINCT job) FROM run JOIN sync_job ON id = job WHERE job_id ~ '^$name'"), '3|3', 'each has had its effect once');
		my $charged = $how eq 'killed' ? "$name-2:1:57P02:true" : '';
		is(value(q{SELECT string_agg(job_id || ':' || attempt || ':' || sqlstate || ':' || counted, ' ' ORDER BY id) FROM sync_job_error JOIN sync_job ON id = sync_job}), $charged,
			$how eq 'killed' ? 'the one that was started is charged, and no other' : 'none is charged');
	}
}

# At any moment of a chain.
value(q{DELETE FROM sync_job_error});
for my $how ('terminated', 'killed')
{
	value(qq{SELECT count(enqueue_sync_job('Other Link', i::text, job_id => '$how at random', context => '{"sleep": 0.002}')) FROM generate_series(1, 300) AS i});
	for my $times (1 .. ($how eq 'killed' ? 2 : 4))
	{
		$node->poll_query_until('postgres', qq{SELECT count(*) >= 50 * $times FROM sync_job WHERE job_id = '$how at random' AND status NOT IN ('Queued', 'Started')});
		usleep(rand(20_000));
		my $pid = value(q{SELECT pid FROM sync_job_activity WHERE state = 'running'}) || next;
		$how eq 'killed' ? kill('KILL', $pid) : value("SELECT pg_terminate_backend($pid)");
		$node->poll_query_until('postgres', 'SELECT true');
	}
	wait_for_jobs($node);
	is(value("SELECT count(*) FROM sync_job WHERE job_id = '$how at random' AND status = 'Finished'"), '300', "$how at random: all jobs are finished");
	is(value("SELECT count(*), count(DISTINCT job) FROM run JOIN sync_job ON id = job WHERE job_id = '$how at random'"), '300|300', 'each has had its effect once');
	is(value(qq{SELECT count(*) FROM sync_job_error WHERE sqlstate <> '57P02'}), '0', 'no other failure than that by the crash');
	cmp_ok(value(qq{SELECT count(*) FROM sync_job_error WHERE counted}), '<=', $how eq 'killed' ? 2 : 0, 'and no more than crashes');
}

$locker->quit;
# ---- Types that have become slow ----

$node->append_conf('postgresql.conf', "sync_job.batch_time = '100ms'");
$node->reload;
at_rest('the worker rests');
value(q{SELECT pg_terminate_backend(pid, 10000) FROM sync_job_activity});  # it runs all alone, after the crash; the next one does not
my $note = q{SELECT note FROM sync_job_queue_status WHERE queue = 'default'};
my $slow = sub {
	job('slow', 'Batched Link', 1, '{"sleep": 0.3}');
	wait_for_jobs($node);
	return is(value($note), 'types that run alone: Batched Link', "a type that took too long for a batch is shown ($_[0])");
};
$slow->('to be fast');
my $tries = 0;
do { job('fast', 'Batched Link', $_) for 1 .. 30; wait_for_jobs($node) } while value($note) ne '' && $tries++ < 20;
is(value($note), '', 'after some dozen fast jobs it runs in batches again');
$slow->('to be changed');
value(q{ALTER FUNCTION link.execute(sync_job, jsonb, jsonb) COST 101});
job('changed', 'Batched Link', 1);
wait_for_jobs($node);
is(value($note), '', 'when its controller has changed, too');
$slow->('to be indexed');
value(q{CREATE INDEX ON doc (version)});
job('indexed', 'Batched Link', 1);
wait_for_jobs($node);
is(value($note), '', 'when its table has an index more, too');

$node->stop('fast');
unlike_accidents($node, kill => 1);
done_testing();
