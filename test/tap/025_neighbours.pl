# sync_job.neighbour_share: a busy worker pauses after each round while a session is at work, and only then, and only for
# the time of a processor that it has used. What is counted is how often the worker has gone to sleep.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep time);
use SyncJob;

# Each round is one job. Nobody else wakes the worker, or is at work.
my $node = new_cluster('main', conf => <<'END');
autovacuum = off
sync_job.batch_jobs = 1
sync_job.batch_time = '10 s'
sync_job.worker_idle_timeout = '10 min'
END
my $done = $node->basedir . '/done';
my $rounds = 40;
$node->safe_psql('postgres', qq{
	UPDATE sync_job_queue SET max_workers = 1;
	CREATE TABLE doc (id int PRIMARY KEY);
	INSERT INTO doc SELECT generate_series(1, $rounds + 1);
	CREATE SCHEMA load;
	-- Takes a processor for 15 ms, or sleeps once; the last job makes a file, as to ask with SQL would be work.
	CREATE FUNCTION load.execute(sync_job sync_job, source_doc doc, context jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
	DECLARE
		until timestamptz := clock_timestamp() + '15 ms';
	BEGIN
		IF source_doc.id > $rounds THEN
			COPY (SELECT) TO '$done';
		ELSIF context ? 'sleep' THEN
			PERFORM pg_sleep(0.015);
		ELSE
			WHILE clock_timestamp() < until LOOP END LOOP;
		END IF;
		RETURN NULL;
	END \$\$;
	INSERT INTO sync_job_type (name, source_document_type, module, batchable) VALUES ('Load', 'doc', 'load', true)});

my $session = $node->background_psql('postgres');
my $busy = $node->background_psql('postgres', on_error_stop => 0);

# How often the process has slept: has given up the processor by itself.
sub sleeps
{
	my ($pid) = @_;
	slurp_file("/proc/$pid/status") =~ /^voluntary_ctxt_switches:\s*(\d+)/m or BAIL_OUT('no count of context switches');
	return $1;
}

# Runs so many rounds and returns how often the worker has slept meanwhile.
sub run
{
	my ($share, $context, $while_busy) = @_;
	unlink $done;
	$session->query_safe("ALTER SYSTEM SET sync_job.neighbour_share = $share");
	$session->query_safe('SELECT pg_reload_conf()');
	# A job that wakes the worker, which has the setting then, and says who it is.
	$session->query_safe(q{SELECT enqueue_sync_job('Load', '1')});
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM sync_job_activity WHERE state = 'idle'
		AND NOT EXISTS (SELECT FROM sync_job WHERE status = 'Queued')}) or BAIL_OUT('the worker does not come to rest');
	my $pid = $node->safe_psql('postgres', q{SELECT pid FROM sync_job_activity});
	if ($while_busy)
	{
		$busy->query_until(qr/busy/, "\\echo busy\nDO 'BEGIN LOOP END LOOP; END';\n");
		$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^DO' AND state = 'active' AND backend_xmin IS NOT NULL});
	}
	my $before = sleeps($pid);
	$session->query_safe(qq{SELECT count(enqueue_sync_job('Load', d.*::doc, context => '$context')) FROM (SELECT * FROM doc ORDER BY id) AS d});
	my $until = time + $PostgreSQL::Test::Utils::timeout_default;
	usleep(10_000) until -e $done || time > $until;
	ok(-e $done, 'the jobs have run');
	my $slept = sleeps($pid) - $before;
	if ($while_busy)
	{
		$session->query_safe(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query ~ '^DO'});
		$busy->query('SELECT 1');
		$busy->{stderr} = '';
	}
	is(wait_for_jobs($node) =~ s/\d+/n/r, 'Finished=n', 'all are finished');
	diag("share $share, " . ($while_busy ? 'a busy session' : 'none') . ", $context: slept $slept times in $rounds rounds");
	return $slept;
}

cmp_ok(run(90, '{}', 1), '>=', 0.8 * $rounds, 'a worker pauses after each round while a session is at work');
cmp_ok(run(90, '{}', 0), '<=', 0.4 * $rounds, 'it does not when none is');
cmp_ok(run(0, '{}', 1), '<=', 0.4 * $rounds, 'nor when the setting says that it need not');
my $slept = run(90, '{"sleep": true}', 1);
cmp_ok($slept, '>=', $rounds, 'jobs that sleep');
cmp_ok($slept, '<=', 1.4 * $rounds, 'are followed by no pause');

$_->quit for $session, $busy;
$node->stop('fast');
unlike_accidents($node);
done_testing();
