# Too few workers, and workers that do not come up: the server log says which queue and role wait, once, and the others go on.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => 'sync_job.max_workers = 1');
load_example($node);

# One worker for two queues: it serves the one, then makes room for the other.
$node->safe_psql('postgres', q{
	INSERT INTO customer VALUES ('CUST-1', 'Miller', 'North');
	SELECT enqueue_sync_job('SAP Customer Sync', 'CUST-1');
	SELECT enqueue_sync_job('SAP Customer Sync', 'CUST-1', queue => 'long');});
is(wait_for_jobs($node), 'Finished=1 Skipped=1', 'one worker serves two queues in turn');
my $log = slurp_file($node->logfile);
like($log, qr/all background workers for sync jobs are taken: queue "\w+" and role "postgres" wait/, 'the log says who waits');
like($log, qr/HINT:  Raise sync_job\.max_workers\./, 'and what to do');

# A role that may no longer connect: its worker does not come up, and that of another role does.
$node->safe_psql('postgres', q{
	CREATE ROLE clerk LOGIN;
	GRANT SELECT ON customer TO clerk;
	GRANT ALL ON sap_customer TO clerk;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, run_as)
	VALUES ('Sync of a Clerk', 'customer', 'sap_customer', 'sap_customer_sync', 'clerk');
	REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;});
my $from = -s $node->logfile;
my $job = $node->safe_psql('postgres', q{SELECT enqueue_sync_job('Sync of a Clerk', 'CUST-1')});
$node->wait_for_log(qr/a sync job worker for queue "default" and role "clerk" did not come up/, $from);
my $other = $node->safe_psql('postgres', q{SELECT enqueue_sync_job('SAP Customer Sync', 'CUST-1')});
$node->safe_psql('postgres', qq{CALL wait_for_sync_job($other, '60 s')});
is($node->safe_psql('postgres', "SELECT status FROM sync_job WHERE id = $job"), 'Queued', 'its jobs wait, and are not failed');

# An idle worker of another role goes when a group whose workers are busy could use one more: of the queue's two, and of
# all there may be.
$node->append_conf('postgresql.conf', "sync_job.worker_idle_timeout = '10 min'");
$node->safe_psql('postgres', q{
	CREATE FUNCTION nap(seconds float8) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(seconds); END'});
for my $limit ([2, 8], [8, 2]) {
	my ($of_queue, $of_all) = @$limit;
	$node->append_conf('postgresql.conf', "sync_job.max_workers = $of_all");
	$node->restart;
	$node->safe_psql('postgres', qq{
		UPDATE sync_job_queue SET max_workers = $of_queue WHERE name = 'default';
		GRANT CONNECT ON DATABASE postgres TO PUBLIC;
		SET SESSION AUTHORIZATION clerk;
		SELECT enqueue_background_job('version');});
	my $idle = q{SELECT count(*) = 1 FROM sync_job_activity WHERE run_as = 'clerk'::regrole AND state = 'idle'};
	ok($node->poll_query_until('postgres', $idle), 'a worker waits for jobs of its role');
	$job = $node->safe_psql('postgres', q{SELECT enqueue_background_job('nap', '{"seconds": 600}')});
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM sync_job_activity WHERE sync_job = $job");
	$other = $node->safe_psql('postgres', q{SELECT enqueue_background_job('version')});
	$node->safe_psql('postgres', qq{CALL wait_for_sync_job($other, '60 s')});
	is($node->safe_psql('postgres', "SELECT status FROM sync_job WHERE id = $job"), 'Started', "another role's job does not wait behind a long one");
	$node->safe_psql('postgres', "SELECT cancel_sync_job($job, running => true)");
}

# While workers of some queues and roles are busy, work of every other one is seen: of queues before, between and after
# theirs, and of other roles in theirs.
$node->append_conf('postgresql.conf', "sync_job.max_workers = 30\nmax_worker_processes = 60");
$node->restart;
$node->safe_psql('postgres', q{
	INSERT INTO sync_job_queue (name, max_workers) SELECT unnest('{a,g,m,s,z}'::text[]), 10;
	CREATE ROLE first LOGIN; CREATE ROLE second LOGIN; CREATE ROLE third LOGIN;});
sub enqueue_as
{
	my ($role, $queue, $call) = @_;
	return $node->safe_psql('postgres', "SET SESSION AUTHORIZATION $role; SELECT enqueue_background_job($call, queue => '$queue')");
}
my @busy = map { enqueue_as('second', $_, q{'nap', '{"seconds": 600}'}) } qw(g s);
my $busy = join ',', @busy;
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM sync_job WHERE id IN ($busy) AND status = 'Started'"), 'two workers are busy');
my @others = map { my $queue = $_; map { [$_, $queue] } qw(first second third) } qw(a g m s z);
my @jobs = map { enqueue_as(@$_, q{'version'}) } @others;
my $jobs = join ',', @jobs;
ok($node->poll_query_until('postgres', "SELECT count(*) = 15 FROM sync_job WHERE id IN ($jobs) AND status = 'Finished'"), 'all others are served');
is($node->safe_psql('postgres', "SELECT count(*) FROM sync_job WHERE id IN ($busy) AND status = 'Started'"), '2', 'beside them');
$node->safe_psql('postgres', "SELECT cancel_sync_job(id, running => true) FROM sync_job WHERE id IN ($busy)");

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|was terminated by signal|reference leak/, 'the log tells of no accident');

done_testing();
