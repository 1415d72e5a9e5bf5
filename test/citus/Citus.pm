# Servers with Citus for the tests: a coordinator and workers on the loopback interface, all with this extension.
package Citus;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

our @EXPORT = qw(citus_cluster on_all_nodes everywhere values_everywhere wait_everywhere targets_equal jobs_of move_shard name_on load_documents);

my @nodes;

# The coordinator, then the workers; only these have shards. Jobs that nothing announces are looked for every second.
sub citus_cluster
{
	my ($workers, $conf) = @_;
	for my $number (0 .. $workers)
	{
		my $node = new_cluster($number == 0 ? 'coordinator' : "worker_$number", no_extension => 1, conf => join("\n",
			q{shared_preload_libraries = 'citus,pg_sync_job'}, q{listen_addresses = '127.0.0.1'}, 'wal_level = logical',
			'max_connections = 100', 'max_worker_processes = 48', 'max_wal_senders = 20', 'max_replication_slots = 20', 'citus.shard_count = 6',
			'citus.node_connection_timeout = 60000', 'sync_job.poll_interval = 1000', 'sync_job.log_retention_days = -1',
			q{log_line_prefix = '%m [%p] %b %q%a '}, $conf // ''));
		$node->safe_psql('postgres', 'CREATE EXTENSION citus');
		push @nodes, $node;
	}
	my $coordinator = $nodes[0];
	$coordinator->safe_psql('postgres', qq{SELECT citus_set_coordinator_host('127.0.0.1', @{[$coordinator->port]})});
	$coordinator->safe_psql('postgres', qq{SELECT citus_add_node('127.0.0.1', @{[$_->port]})}) for @nodes[1 .. $#nodes];
	$coordinator->safe_psql('postgres', 'CREATE EXTENSION pg_sync_job');
	return @nodes;
}

# Runs a statement on each node, as Citus does not propagate it.
sub on_all_nodes
{
	my ($sql) = @_;
	$_->safe_psql('postgres', $sql) for @nodes;
	return;
}

# The answer of each node, in the order of the nodes.
sub values_everywhere
{
	my ($query) = @_;
	return join(' ', map { $_->safe_psql('postgres', $query) } @nodes);
}

# Waits until the query returns true on each node; a test by itself.
sub everywhere
{
	my ($query, $name) = @_;
	my $held = 1;
	$held &&= $_->poll_query_until('postgres', $query) for @nodes;
	diag(values_everywhere(q{SELECT coalesce(string_agg(DISTINCT error_message, '; '), '-') FROM sync_job WHERE error_message IS NOT NULL})) if !$held;
	return ok($held, $name);
}

# Waits until no job waits or runs anywhere, and checks that none has failed.
sub wait_everywhere
{
	my ($name) = @_;
	everywhere(q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started') OR status = 'Failed' AND retry_after IS NOT NULL}, $name);
	return is(values_everywhere(q{SELECT coalesce(string_agg(DISTINCT error_message, '; '), '-') FROM sync_job WHERE status = 'Failed'}),
		join(' ', map { '-' } @nodes), "$name: none has failed");
}

# How many jobs of the type each node has, in which states.
sub jobs_of
{
	my ($type) = @_;
	return values_everywhere(qq{SELECT coalesce(string_agg(status || '=' || n, ',' ORDER BY status), '-') FROM
		(SELECT status, count(*) AS n FROM sync_job WHERE sync_job_type = '$type' GROUP BY status) AS s});
}

# Each target equals its source: a test by itself.
sub targets_equal
{
	my ($name, $target) = @_;
	my $difference = $nodes[0]->safe_psql('postgres', qq{
		SELECT count(*) FILTER (WHERE t.customer IS NULL), count(*) FILTER (WHERE s.name IS NULL), count(*) FILTER (WHERE s.city IS DISTINCT FROM t.city)
		FROM customer AS s FULL JOIN $target AS t ON t.customer = s.name});
	return is($difference, '0|0|0', "$name: missing, surplus, different");
}

# Moves the document's shard, with those of its colocation group, to the other worker.
sub move_shard
{
	my ($name, $mode) = @_;
	my ($from, $to);
	my ($shard, $port) = split /\|/, $nodes[0]->safe_psql('postgres', qq{
		SELECT shardid, nodeport FROM citus_shards WHERE shardid = get_shard_id_for_distribution_column('customer', '$name')});
	($to) = grep { $_->port != $port } @nodes[1 .. $#nodes];
	$nodes[0]->safe_psql('postgres', qq{SELECT citus_move_shard_placement($shard, '127.0.0.1', $port, '127.0.0.1', @{[$to->port]}, shard_transfer_mode => '$mode')});
	return;
}

# The first name with that prefix whose customer is on this worker.
sub name_on
{
	my ($worker, $prefix) = @_;
	return $nodes[0]->safe_psql('postgres', qq{
		SELECT name FROM (SELECT '$prefix' || n AS name, n FROM generate_series(1, 100) AS n) AS s
		WHERE (SELECT nodeport FROM citus_shards WHERE shardid = get_shard_id_for_distribution_column('customer', name)) = @{[$worker->port]}
		ORDER BY n LIMIT 1});
}

# Customers as a source, and a target each for types with functions in PL/pgSQL, with functions in SQL, with a declaration, and for one that
# writes its target itself. All are distributed by the name of the customer.
sub load_documents
{
	$nodes[0]->safe_psql('postgres', slurp_file("$ENV{TESTDIR}/citus/documents.sql"));
	on_all_nodes(slurp_file("$ENV{TESTDIR}/citus/types.sql"));
	$nodes[0]->safe_psql('postgres', qq{SELECT attach_sync_job_triggers('$_', 'customer', level => 'statement')}) for qw(plpgsql sql declared bypass);
	return;
}

1;
