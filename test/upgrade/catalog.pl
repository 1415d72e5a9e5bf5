# What a database has after the update is what a new one has, and what a restored dump has.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use Upgrade;

my $node = released_cluster('main', no_extension => 1);
for my $schema ('public', 'jobs')
{
	$node->safe_psql('postgres', "CREATE DATABASE updated_$schema");
	$node->safe_psql("updated_$schema", "CREATE SCHEMA IF NOT EXISTS $schema; CREATE EXTENSION pg_sync_job SCHEMA $schema");
	$node->command_ok([ 'pg_dump', '-Fc', '-f', "$ENV{TESTDATADIR}/$schema", $node->connstr("updated_$schema") ], "a dump of the old version, schema $schema");
}
$node->stop('fast');
install_files($node, 'new');
$node->start;
for my $schema ('public', 'jobs')
{
	$node->safe_psql("updated_$schema", 'ALTER EXTENSION pg_sync_job UPDATE');
	$node->safe_psql('postgres', "CREATE DATABASE new_$schema; CREATE DATABASE restored_$schema");
	$node->safe_psql("new_$schema", "CREATE SCHEMA IF NOT EXISTS $schema; CREATE EXTENSION pg_sync_job SCHEMA $schema");
	$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr("restored_$schema"), "$ENV{TESTDATADIR}/$schema" ], 'restored in the new one');
	my $new = catalog($node, "new_$schema");
	cmp_ok(length $new, '>', 100_000, 'there is something to compare');
	same_catalog(catalog($node, "${_}_$schema"), $new, "$_, schema $schema: the same as a new one") for 'updated', 'restored';
	my $rows = 'SELECT q::text FROM %s.sync_job_queue AS q ORDER BY name';
	is($node->safe_psql("updated_$schema", sprintf $rows, $schema), $node->safe_psql("new_$schema", sprintf $rows, $schema), 'with the same queues');
}

$node->stop('fast');
unlike_accidents($node);
done_testing();
