# What the TAP tests share: a cluster with the extension, the example of the documentation, and waiting for jobs.
package SyncJob;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_cluster load_example wait_for_jobs);

# A running cluster with the settings of test/regression.conf (and, after them, those of `conf`) and the extension in the
# database postgres. Its superuser is always "postgres", whoever runs the test.
sub new_cluster
{
	my ($name, %options) = @_;
	$ENV{PGUSER} = 'postgres';
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(extra => [ '-U', 'postgres', '-E', 'UTF8', '--no-locale' ]);
	$node->append_conf('postgresql.conf', $options{conf}) if $options{conf};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION pg_sync_job');
	return $node;
}

# The job type "SAP Customer Sync" of test/example.sql.
sub load_example
{
	my ($node, $database) = @_;
	$node->safe_psql($database // 'postgres', slurp_file("$ENV{TESTDIR}/example.sql"));
	return;
}

# Waits until no job waits or runs any more; then tells how many there are in each state, as in "Failed=1 Finished=9".
sub wait_for_jobs
{
	my ($node, $database) = @_;
	$database //= 'postgres';
	$node->poll_query_until($database,
		"SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started')")
	  or diag($node->safe_psql($database, 'SELECT id, status, title, error_message FROM sync_job ORDER BY id LIMIT 20'));
	return $node->safe_psql($database,
		q{SELECT string_agg(status || '=' || n, ' ' ORDER BY status)
		  FROM (SELECT status, count(*) AS n FROM sync_job GROUP BY status) AS s});
}

1;
