# No wake-up is lost: a queue that is resumed, or a job that comes while a worker ends, runs at once, not when the queues are looked at
# without being asked.
use strict;
use warnings;
use Test::More;
use SyncJob;

# Nobody looks by himself within the hour. A batch of two leaves one of the three jobs: the next one must begin there.
my $node = new_cluster('wake', conf => "sync_job.poll_interval = '1h'\nsync_job.worker_idle_timeout = '1h'\nsync_job.batch_jobs = 2\n");
load_example($node);
$node->safe_psql('postgres', q{INSERT INTO customer SELECT 'CUST-' || i, 'Customer', 'North' FROM generate_series(1, 3) AS i});

# A commit that wakes before it has sent its invalidations is met about once in twenty rounds on a busy machine.
my $stuck = 0;
for my $round (1 .. 60)
{
	$node->safe_psql('postgres', q{SELECT pause_sync_job_queue('default')});
	$node->safe_psql('postgres', q{SELECT enqueue_sync_jobs('SAP Customer Sync', ARRAY(SELECT name FROM customer))});
	$node->safe_psql('postgres', q{SELECT resume_sync_job_queue('default')});
	$stuck = $round, last unless $node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started')");
}
is($stuck, 0, 'each resumed queue runs');

# A worker that has just decided to end has its job done by another one.
$node->append_conf('postgresql.conf', 'sync_job.worker_idle_timeout = 0');
$node->reload;
my $session = $node->background_psql('postgres');
for my $round (1 .. 100)
{
	my $job = $session->query_safe(q{SELECT enqueue_sync_job('SAP Customer Sync', 'CUST-1')});
	$stuck = $round, last unless $node->poll_query_until('postgres', "SELECT status NOT IN ('Queued', 'Started') FROM sync_job WHERE id = $job");
	select undef, undef, undef, rand 0.05; # it meets the worker at another moment each time
}
is($stuck, 0, 'nor is a job left that comes when a worker ends');
$session->quit;

$node->stop;
done_testing();
