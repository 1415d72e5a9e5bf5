# All nodes at once: numbers, set-up from the coordinator, views over all, a job canceled from another node.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use SyncJob;
use Citus;

my ($coordinator, @workers) = citus_cluster(2);
sub sql { return $coordinator->safe_psql('postgres', $_[0]) }
sql(q{SELECT run_command_on_all_nodes('SELECT set_sync_job_node((SELECT groupid + 1 FROM pg_dist_local_group))')});
is(values_everywhere('SELECT sync_job_internal.this_node()'), '1 2 3', 'numbers of the groups');
sql('CREATE EXTENSION dblink');
sql('CREATE EXTENSION postgres_fdw');
for my $node (2, 3)
{
	sql(qq{CREATE SERVER node$node FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '@{[$workers[$node - 2]->port]}', dbname 'postgres')});
	sql("CREATE USER MAPPING FOR CURRENT_USER SERVER node$node");
	sql("INSERT INTO sync_job_node (node, server) VALUES ($node, 'node$node')");
}
is(sql(q{SELECT count(*), count(note) FROM sync_job_node_status}), '3|0', 'each is what it is said to be');
$coordinator->safe_psql('postgres', slurp_file("$ENV{TESTDIR}/citus/documents.sql"));
sql(q{INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
	VALUES ('declared', 'customer', 'declared_target', '{"customer": "name"}', '{"city": "city"}')});
is(sql(q{SELECT string_agg(node || coalesce(problem, ''), ' ' ORDER BY node) FROM propagate_sync_job_setup()}), '2 3', 'the type is brought to all');
sql(q{SELECT attach_sync_job_triggers('declared', 'customer', level => 'statement')});
sql(q{INSERT INTO customer (name, city) SELECT 'c' || i, 'a' FROM generate_series(1, 200) AS i});
wait_everywhere('jobs run');
targets_equal('inserted', 'declared_target');
is(sql(q{SELECT count(DISTINCT node), count(*) = count(DISTINCT id), bool_and(id >> 40 = node) FROM sync_job_everywhere}), '2|t|t', 'and are seen together');
my $job = $workers[1]->safe_psql('postgres', q{SELECT enqueue_sync_job('declared', 'c1', scheduled_at => now() + '1 hour')});
is(sql("SELECT status FROM cancel_sync_job($job)"), 'Canceled', 'a job is canceled from another node');

$_->stop('fast') for $coordinator, @workers;
done_testing();
