# How many may run jobs at a time: workers that are too many end when a limit is lowered, idle ones first; sessions that run
# jobs themselves take no place from workers, and are told when they are too many.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => <<'END');
max_connections = 150
sync_job.max_workers = 8
sync_job.batch_time = '10 s'
sync_job.worker_idle_timeout = '10 min'
END
load_probe($node, 100);
$node->safe_psql('postgres', q{CREATE DATABASE other});
$node->safe_psql('other', 'CREATE EXTENSION pg_sync_job');
load_probe($node, 100, 'other');
$node->safe_psql($_, 'UPDATE sync_job_queue SET max_workers = 4') for 'postgres', 'other';

sub value { return $node->safe_psql('postgres', $_[0]) }
my $workers = q{FROM pg_stat_activity WHERE backend_type = 'sync job worker'};
sub workers { return value(qq{SELECT string_agg(pid::text, ' ' ORDER BY pid) $workers}) }
sub has_workers { return poll($node, "SELECT count(*) = $_[0] $workers", $_[1]) }

my $document = 10;

# So many jobs alone, each of another document, that run until the gate is opened; each has a worker then.
sub hold
{
	my ($count, $queue, $database) = @_;
	$database //= 'postgres';
	close_gate($node, $database);
	my @jobs = map { enqueue($node, 'Probe Alone', ++$document, qq{queue => '$queue', context => '{"gate": "closed"}'}, $database) } 1 .. $count;
	wait_until_running($node, $_, $database) for @jobs;
	return @jobs;
}

sub lower
{
	my ($setting, $value) = @_;
	return $node->safe_psql('postgres', "ALTER SYSTEM SET $setting = $value; SELECT pg_reload_conf()");
}

# ---- sync_job_queue.max_workers ----

# All busy: each ends after its round, and what it runs is not harmed.
my @jobs = hold(4, 'default');
has_workers(4, 'four jobs have four workers');
value(q{UPDATE sync_job_queue SET max_workers = 1 WHERE name = 'default'});
is(value(q{SELECT count(*) FROM sync_job WHERE status = 'Started'}), '4', 'a lower limit for the queue stops no job');
my $more = enqueue($node, 'Probe Alone', 5);
open_gate($node);
has_workers(1, 'three of the workers end after them');
is(wait_for_jobs($node), 'Finished=5', 'all jobs are finished, and those that come later');
is(value('SELECT max(retry_count) FROM sync_job'), '0', 'at the first attempt');

# One busy, the others idle: it is these that go.
value(q{UPDATE sync_job_queue SET max_workers = 4 WHERE name = 'default'});
hold(4, 'default');
my $kept = enqueue($node, 'Probe Alone', 6, q{context => '{"gate": "another"}'});
value(q{INSERT INTO gate VALUES ('another')});
value(q{DELETE FROM gate WHERE name = 'closed'});
my $busy = wait_until_running($node, $kept);
poll($node, q{SELECT count(*) = 3 FROM sync_job_activity WHERE state = 'idle'}, 'one of four workers is busy');
value(q{UPDATE sync_job_queue SET max_workers = 1 WHERE name = 'default'});
has_workers(1, 'a lower limit ends the idle ones');
is(workers(), $busy, 'and not the busy one');
is(status_of($node, $kept), 'Started', 'whose job goes on');
value(q{DELETE FROM gate});
wait_for_jobs($node);
value(q{UPDATE sync_job_queue SET max_workers = 0 WHERE name = 'default'});
has_workers(0, 'max_workers = 0 ends the last one');
my $waits = enqueue($node, 'Probe Alone', 7);
is(status_of($node, $waits), 'Queued', 'jobs wait');
value(q{UPDATE sync_job_queue SET max_workers = 4 WHERE name = 'default'});
is(wait_for_jobs($node), 'Finished=11', 'until there may be workers again');

# ---- sync_job.max_workers ----

# Of all queues and databases together.
hold(2, 'default');
hold(2, 'short');
hold(2, 'default', 'other');
# One more may be on its way, which came up when the job it was for had just found another one.
poll($node, "SELECT count(*) >= 6 $workers", 'six workers in two queues and two databases');
lower('sync_job.max_workers', 2);
open_gate($node, $_) for 'postgres', 'other';
has_workers(2, 'sync_job.max_workers lowered to two: four end after their jobs');
my $left = workers();
$node->safe_psql($_, 'UPDATE sync_job_queue SET timeout = timeout') for 'postgres', 'other';    # the schedulers look again
is(wait_for_jobs($node), 'Finished=15', 'all jobs are finished');
is(wait_for_jobs($node, 'other'), 'Finished=2', 'in both databases');
is(workers(), $left, 'and no more end than are too many');
lower('sync_job.max_workers', 8);
hold(3, 'default');
value(q{DELETE FROM gate});
wait_for_jobs($node);
lower('sync_job.max_workers', 0);
has_workers(0, 'sync_job.max_workers = 0 ends all');
lower('sync_job.max_workers', 8);

# ---- A share for each role ----

# Jobs without end of an ordinary role leave a place of each queue, and one of all workers, to others; a lower limit of theirs
# ends them.
lower('sync_job.max_workers', 4);
value(q{
	UPDATE sync_job_queue SET max_workers = 3;
	CREATE ROLE greedy LOGIN; CREATE ROLE modest LOGIN; CREATE ROLE trusted LOGIN;
	CREATE SCHEMA greedy AUTHORIZATION greedy; CREATE SCHEMA modest AUTHORIZATION modest; CREATE SCHEMA trusted AUTHORIZATION trusted;
	SELECT grant_sync_job_access('trusted', 'operator');
	CREATE FUNCTION rest() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(3600)';
	CREATE FUNCTION at_once() RETURNS int LANGUAGE sql AS 'SELECT 1'});
sub as_role { return $node->safe_psql('postgres', "SET SESSION AUTHORIZATION $_[0]; $_[1]") }
as_role('greedy', q{SELECT count(enqueue_background_job('rest', queue => q)) FROM unnest(ARRAY['short', 'default', 'long']) AS q, generate_series(1, 3)});
my $started = q{FROM sync_job WHERE status = 'Started' AND run_as = 'greedy'::regrole};
poll($node, qq{SELECT count(*) = 3 AND max(n) <= 2 FROM (SELECT count(*) OVER (PARTITION BY queue) AS n $started) AS s}, 'a role has all places but one');
for my $queue ('short', 'default', 'long')
{
	my $short = as_role('modest', "SELECT enqueue_background_job('at_once', queue => '$queue')");
	poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $short", "$queue: another role's job runs beside its jobs");
}
is(value("SELECT count(*) $started"), '3', 'and they go on');
my $batched = as_role('greedy', q{SELECT enqueue_background_job('at_once')});
is(status_of($node, $batched), 'Queued', 'one more of its own waits');
value(qq{SELECT count(*) FROM cancel_sync_job((SELECT array_agg(id) FROM sync_job WHERE run_as = 'greedy'::regrole AND status IN ('Queued', 'Started') AND id <> $batched), 'enough', true)});
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $batched", 'until there is a place');
# An operator may have them all.
as_role('trusted', q{SELECT count(enqueue_background_job('rest', timeout => '0')) FROM generate_series(1, 3)});
poll($node, q{SELECT count(*) = 3 FROM sync_job WHERE status = 'Started' AND run_as = 'trusted'::regrole}, "an operator's jobs have all places of a queue");
is(value(q{SELECT DISTINCT timeout FROM sync_job WHERE run_as = 'trusted'::regrole}), '00:00:00', 'with no time limit');
value(q{SELECT count(*) FROM cancel_sync_job((SELECT array_agg(id) FROM sync_job WHERE run_as = 'trusted'::regrole), 'enough', true)});
for my $timeout ('0', '5 min 1 s')
{
	my ($code, $out, $err) = $node->psql('postgres', "SET SESSION AUTHORIZATION modest; SELECT enqueue_background_job('rest', timeout => '$timeout')", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	like($err, qr/ERROR:  42501: permission denied for a timeout of .*\nDETAIL:  The limit is 00:05:00, .*\nHINT:  Give a shorter timeout/, "no more than the queue's timeout for others: $timeout");
}
as_role('modest', q{SELECT enqueue_background_job('at_once', timeout => '5 min')});

# Retries that a role keeps locked do not keep others' from being queued.
as_role($_, qq{CREATE FUNCTION $_.fails() RETURNS int LANGUAGE sql AS 'SELECT 1 / 0 FROM pg_sleep(0)'}) for 'greedy', 'modest';
as_role('greedy', q{SELECT count(enqueue_background_job('greedy.fails', max_retries => 1, retry_delay => '1 hour', job_id => 'locked')) FROM generate_series(1, 600)});
poll($node, q{SELECT count(*) = 600 FROM sync_job WHERE job_id = 'locked' AND status = 'Failed'}, '600 jobs of a role have failed');
value(q{UPDATE sync_job SET retry_after = clock_timestamp() + interval '3 s' WHERE job_id = 'locked'});
my $holder = $node->background_psql('postgres');
$holder->query_safe(q{SET SESSION AUTHORIZATION greedy; BEGIN;
	SELECT count(*) FROM retry_sync_job((SELECT array_agg(id) FROM sync_job WHERE job_id = 'locked'))});
my $retried = as_role('modest', q{SELECT enqueue_background_job('modest.fails', max_retries => 1, retry_delay => '3500 ms')});
poll($node, "SELECT status = 'Failed' AND retry_count = 1 FROM sync_job WHERE id = $retried", "another role's retry runs while they are locked");
$holder->query_safe('ROLLBACK');
$holder->quit;
wait_for_jobs($node);

# Nor do jobs that somebody works with keep the history from being cleared.
my $locked = value(q{SELECT max(id) FROM sync_job WHERE status = 'Finished'});
$holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT FROM sync_job WHERE id = $locked FOR UPDATE");
cmp_ok(value('SELECT clear_old_sync_jobs(0)'), '>', 600, 'the history is cleared');
is(value('SELECT string_agg(id::text, \',\') FROM sync_job'), $locked, 'but for the job that is locked');
$holder->quit;
value(q{UPDATE sync_job_queue SET max_workers = 4});
lower('sync_job.max_workers', 0);
has_workers(0, 'no worker is left');

# ---- Sessions that run jobs ----

# An ordinary role may not have all the places.
my @greedy = map { $node->background_psql('postgres', on_error_stop => 0) } 0 .. 32;
$_->query_safe('SET SESSION AUTHORIZATION greedy; BEGIN; CALL run_sync_jobs()') for @greedy[0 .. 31];
my ($code, $out, $err) = $node->psql('postgres', 'SET SESSION AUTHORIZATION greedy; CALL run_sync_jobs()');
like($err, qr/too many sessions run sync jobs\n.*room for 32 at a time for a role that is not a superuser/, 'a role has half of the places for sessions');
as_role('modest', 'CALL run_sync_jobs()');
$_->quit for @greedy;
poll($node, q{SELECT count(*) = 0 FROM sync_job_activity}, 'until they end');
lower('sync_job.max_workers', 8);

# As many as there may be, each in an open transaction.
my $most = 64;
my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 0 .. $most;
for my $session (@sessions[0 .. $most - 1])
{
	$session->query_safe('BEGIN; CALL run_sync_jobs()');
}
is(value('SELECT count(*) FROM sync_job_activity'), $most, "$most sessions run jobs themselves");
my $run = enqueue($node, 'Probe', 50, 'queue_on_insert => false');
for my $statement ('CALL run_sync_jobs()', "SELECT execute_sync_job($run)", "CALL execute_sync_job($run, NULL)")
{
	my ($code, $out, $err) = $node->psql('postgres', $statement, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	like($err, qr/ERROR:  53300: too many sessions run sync jobs\nDETAIL:  There is room for $most at a time\.\nHINT:  Leave the jobs to workers/, "$statement: one more is told that there is no room");
}
is(status_of($node, $run), 'Pending', 'its job is as it was');
my $served = enqueue($node, 'Probe', 51);
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $served", 'workers have room all the same');
hold(4, 'default');
is(value(q{SELECT count(*) FROM sync_job_activity WHERE state = 'running' AND queue = 'default'}), '4', 'as many as the queue may have');
value(q{DELETE FROM gate});
$sessions[0]->query_safe('COMMIT');
my $last = $sessions[$most];
$last->query_safe('BEGIN');
like($last->query("SELECT status FROM execute_sync_job($run)"), qr/^Finished$/, 'when one transaction has ended, another one may run jobs');
$last->query_safe('COMMIT');
$_->quit for @sessions;
poll($node, q{SELECT count(*) = 0 FROM sync_job_activity WHERE pid NOT IN (SELECT pid FROM pg_stat_activity WHERE backend_type = 'sync job worker')}, 'sessions that are gone have left no trace');
wait_for_jobs($node);

$node->stop('fast');
unlike_accidents($node);
done_testing();
