# Jobs are run by workers; a fast restart neither loses nor repeats one, and afterwards the workers are there again.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main');
load_example($node);

my $enqueue = q{SELECT count(enqueue_sync_job('SAP Customer Sync', c)) FROM customer AS c};

$node->safe_psql('postgres', q{INSERT INTO customer SELECT 'CUST-' || i, 'Name ' || i, 'North' FROM generate_series(1, 100) AS i});
is($node->safe_psql('postgres', $enqueue), '100', 'a job for each customer');
is(wait_for_jobs($node), 'Finished=100', 'workers run them all');
is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT erp_customer) FROM sap_customer WHERE territory = 'North'}),
	'100|100', 'each customer has arrived once');

# Stopped while they wait or run: the jobs are there after the start, and end.
$node->safe_psql('postgres', q{UPDATE customer SET territory = 'South'});
is($node->safe_psql('postgres', $enqueue), '100', 'a second job for each');
$node->stop('fast');
$node->start;
is(wait_for_jobs($node), 'Finished=200', 'they are run after the restart');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sap_customer WHERE territory = 'South'}), '100', 'each customer has changed');

# Stopped while nothing happens.
$node->stop('fast');
$node->start;
$node->safe_psql('postgres', q{UPDATE customer SET territory = 'West' WHERE name = 'CUST-7'});
$node->safe_psql('postgres', $enqueue);
is(wait_for_jobs($node), 'Finished=201 Skipped=99', 'and so after another; what has not changed is skipped');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job_error}), '0', 'no attempt has failed');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|was terminated by signal|reference leak/, 'the log tells of no accident');

done_testing();
