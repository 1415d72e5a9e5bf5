# Launcher, scheduler and workers: they come back, make room for each other, rest when there is nothing to do, and tell of
# trouble once.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use SyncJob;

my $node = new_cluster('main', conf => "max_worker_processes = 7\nmax_parallel_workers = 0");
load_probe($node, 200);
$node->safe_psql('postgres', q{
	CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN;
	GRANT ALL ON doc, effect, gate, part, probe_run TO alice, bob; GRANT USAGE ON SCHEMA probe TO alice, bob;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, run_as, batchable, retry_delay)
	VALUES ('Alice', 'doc', 'effect', 'probe', 'alice', NULL, '10 ms'), ('Bob', 'doc', 'effect', 'probe', 'bob', NULL, '10 ms')});

sub finished
{
	my ($type, $name) = @_;
	my $job = enqueue($node, $type, 1);
	return poll($node, "SELECT status IN ('Finished', 'Skipped') FROM sync_job WHERE id = $job", $name);
}

# A worker is connected as its role.
finished($_, "a job of $_ is finished") for 'Alice', 'Bob', 'Probe';
$node->safe_psql('postgres', q{UPDATE sync_job_queue SET max_workers = 4});
finished($_, "again: $_") for 'Alice', 'Bob', 'Probe';
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT a.run_as || '=' || s.usename, ' ' ORDER BY a.run_as || '=' || s.usename)
	FROM sync_job_activity AS a JOIN pg_stat_activity AS s USING (pid)}), 'alice=alice bob=bob postgres=postgres', 'each worker is connected as its role');

# They share the workers of a queue, two here: a third role does not wait until one of them has been idle for long.
my $three = $node->safe_psql('postgres', q{SELECT extract(epoch FROM max(ended_at) - min(created_at)) FROM sync_job});
cmp_ok($three, '<', 30, "each has had its turn soon");

# At rest: next to no CPU, next to no wake-ups.
sub usage
{
	my ($cpu, $switches, $pids) = (0, 0, 0);
	for my $pid (split /\n/, $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'sync job%'}))
	{
		my @stat = split ' ', (slurp_file("/proc/$pid/stat") =~ s/.*\) //sr);
		$cpu += $stat[11] + $stat[12];
		slurp_file("/proc/$pid/status") =~ /^voluntary_ctxt_switches:\s*(\d+)/m and $switches += $1;
		$pids++;
	}
	return ($cpu, $switches, $pids);
}

sub rests
{
	my ($name) = @_;
	my $seconds = 4;
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM sync_job_activity WHERE state <> 'idle'});
	my ($cpu, $switches, $pids) = usage();
	sleep $seconds;    # what is measured is that nothing happens in this time
	my ($cpu_after, $switches_after, $pids_after) = usage();
	is($pids_after, $pids, "$name: the processes are the same");
	cmp_ok($cpu_after - $cpu, '<=', 10, "$name: they use less than 0.1 s of CPU in $seconds s");
	cmp_ok($switches_after - $switches, '<=', 12 * $pids, "$name: and wake up a few times at most");
	diag("$name: $pids processes, " . ($cpu_after - $cpu) . ' ticks, ' . ($switches_after - $switches) . " wake-ups in $seconds s");
	return;
}
rests('idle');

# Also while there is work that cannot be done: a paused queue, a document that is locked, a retry that is locked.
$node->safe_psql('postgres', q{SELECT pause_sync_job_queue('long'); SELECT enqueue_sync_job('Probe', '9', queue => 'long')});
my $failed = enqueue($node, 'Probe', 10, q{context => '{"fail": "broken"}', retry_delay => '2 s', max_retries => 1});
my $due = enqueue($node, 'Probe', 11, q{scheduled_at => clock_timestamp() + '2 s'});
$node->poll_query_until('postgres', "SELECT status = 'Failed' FROM sync_job WHERE id = $failed");
my $locker = $node->background_psql('postgres');
$locker->query_safe("BEGIN; SELECT status FROM cancel_sync_job(ARRAY[$failed, $due]::bigint[])");
poll($node, "SELECT clock_timestamp() > max(coalesce(retry_after, scheduled_at)) FROM sync_job WHERE id IN ($failed, $due)", 'their time has come');
rests('locked');
my $released = time;
$locker->query_safe('ROLLBACK');
$locker->quit;
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $due", 'a job whose lock is let go by a rollback is run');
poll($node, "SELECT retry_count = 1 FROM sync_job WHERE id = $failed", 'and so is a retry');
cmp_ok(time - $released, '<', 8, 'without waiting for the next poll');
$node->safe_psql('postgres', q{SELECT resume_sync_job_queue('long')});

# A request that waits, is joined by another one, which is rolled back.
my $joined = enqueue($node, 'Probe', 12, q{scheduled_at => clock_timestamp() + '2 s', deduplicate => true});
my $joiner = $node->background_psql('postgres');
$joiner->query_safe(q{BEGIN});
is($joiner->query_safe(q{SELECT enqueue_sync_job('Probe', '12', scheduled_at => clock_timestamp() + '1 h', deduplicate => true)}), $joined,
	'a request is absorbed by one that waits');
poll($node, "SELECT clock_timestamp() > scheduled_at + '0.5 s' FROM sync_job WHERE id = $joined", 'its time has come');
is(status_of($node, $joined), 'Queued', 'it waits for the one that joined it');
$released = time;
$joiner->query_safe('ROLLBACK');
$joiner->quit;
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $joined", 'and runs when that is rolled back');
cmp_ok(time - $released, '<', 8, 'without waiting for the next poll');

# From commit to start.
$node->safe_psql('postgres', q{
	DO $$ BEGIN FOR i IN 100 .. 150 LOOP PERFORM pg_sleep(0.03); COMMIT; PERFORM enqueue_sync_job('Probe', i::text, job_id => 'latency'); COMMIT; END LOOP; END $$});
wait_for_jobs($node);
my $latency = $node->safe_psql('postgres', q{SELECT round(1000 * percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - created_at))::numeric, 2)
	FROM sync_job WHERE job_id = 'latency'});
cmp_ok($latency, '<', 1000, 'a worker is woken by the commit');
diag("median from enqueueing to start: $latency ms");

# Those who serve come back.
for my $who ('launcher', 'scheduler')
{
	my $pid_of = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'sync job $who'";
	for my $signal ('terminate', 'cancel')
	{
		my $pid = $node->safe_psql('postgres', $pid_of);
		$node->safe_psql('postgres', "SELECT pg_${signal}_backend($pid)");
		finished('Probe', "pg_${signal}_backend on the $who: a job is run");
		poll($node, "SELECT count(*) = 1 AND bool_and(pid <> $pid) FROM ($pid_of) AS s", "the $who is started again") if $signal eq 'terminate';
	}
}
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'sync job%'});
finished('Probe', 'all of them at once: a job is run');

# A role that may not connect any more: said once, the jobs wait. LOGIN is no longer needed for that with PostgreSQL 17.
my $not_up = qr/a sync job worker for queue "default" and role "alice" did not come up/;
my $offset = -s $node->logfile;
$node->safe_psql('postgres', q{ALTER ROLE alice NOLOGIN; SELECT pg_terminate_backend(pid) FROM sync_job_activity WHERE run_as = 'alice'::regrole});
my $waits = enqueue($node, 'Alice', 2);
if ($node->pg_version >= 17)
{
	poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $waits", 'a role without LOGIN is served');
	$waits = undef;
}
else
{
	ok($node->wait_for_log($not_up, $offset), 'a role without LOGIN: the log says so');
	finished('Bob', 'others are served');
	is(status_of($node, $waits), 'Queued', 'its job waits');
	like_log($node, $offset, $not_up, 1, 'the log says it once');
}
$offset = -s $node->logfile;
$node->safe_psql('postgres', q{ALTER ROLE alice LOGIN; REVOKE CONNECT ON DATABASE postgres FROM PUBLIC; GRANT CONNECT ON DATABASE postgres TO bob;
	SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE backend_type = 'sync job scheduler' OR usename = 'alice'});
$waits //= enqueue($node, 'Alice', 3);
ok($node->wait_for_log($not_up, $offset), 'a role without CONNECT: the log says so');
finished('Bob', 'others are served');
is(status_of($node, $waits), 'Queued', 'its job waits');
$node->safe_psql('postgres', 'GRANT CONNECT ON DATABASE postgres TO PUBLIC');
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $waits", 'the job runs when the role may connect again');

# Too few processes: launcher, scheduler and that of logical replication leave four. A role without any worker gets the place of
# another one.
$offset = -s $node->logfile;
$node->safe_psql('postgres', q{
	UPDATE sync_job_queue SET max_workers = 8; ALTER SYSTEM SET sync_job.max_workers = 16; ALTER SYSTEM SET sync_job.worker_idle_timeout = '500 ms'; SELECT pg_reload_conf()});
poll($node, q{SELECT count(*) = 0 FROM sync_job_activity}, 'a shorter idle timeout ends the workers');
$node->safe_psql('postgres', q{SELECT count(enqueue_sync_job('Probe', i::text, context => '{"sleep": 0.05}')) FROM generate_series(1, 200) AS i});
ok($node->poll_query_until('postgres', q{SELECT count(*) >= 4 FROM sync_job_activity WHERE run_as = 'postgres'::regrole}), 'one role has all the workers there are');
finished('Alice', 'another role gets one all the same');
ok($node->wait_for_log(qr/all background workers for sync jobs are taken: queue "default" and role "alice" wait for one to be free\n.*HINT:  Raise max_worker_processes\./, $offset),
	'the log says which setting to raise');
wait_for_jobs($node);
like_log($node, $offset, qr/all background workers/, 1, 'once');

# sync_job.max_workers.
$node->safe_psql('postgres', q{ALTER SYSTEM SET sync_job.max_workers = 1; SELECT pg_reload_conf();
	SELECT pg_terminate_backend(pid) FROM sync_job_activity});
finished($_, "one worker for all, by turns: $_") for 'Alice', 'Bob', 'Alice', 'Probe';
$node->safe_psql('postgres', q{ALTER SYSTEM RESET sync_job.max_workers; SELECT pg_reload_conf()});

# sync_job.enabled, at reload.
$node->safe_psql('postgres', q{ALTER SYSTEM SET sync_job.enabled = off; SELECT pg_reload_conf()});
poll($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'sync job worker'}, 'sync_job.enabled off: the workers end');
my $off = enqueue($node, 'Probe', 3);
$node->safe_psql('postgres', q{ALTER SYSTEM RESET sync_job.enabled; SELECT pg_reload_conf()});
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $off", 'on: a job that waited is run');

$node->stop('fast');
unlike_accidents($node);
done_testing();
