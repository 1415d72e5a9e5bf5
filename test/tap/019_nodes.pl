# Several servers: the recipes of docs/scaling.md, block by block as they are printed but for the addresses, and what comes of
# them: jobs run beside their rows, while a node is killed.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use SyncJob;

my %server = map {
	$_ => new_cluster($_, no_extension => 1, allows_streaming => $_ eq 'front' ? 'logical' : 0, conf => "sync_job.log_retention_days = -1\n")
} qw(front node1 node2 node3);
my $front = $server{front};
$server{$_}->safe_psql('postgres', 'CREATE DATABASE shop') for sort keys %server;
$server{$_}->safe_psql('postgres', 'CREATE DATABASE slices') for qw(front node1 node2);

# The servers of "-- on …" in a block, each with its psql variables.
my %place = (
	'the front server' => [ [ 'front', 'shop' ] ],
	'each node' => [ map { [ "node$_", 'shop', "node=$_" ] } 1 .. 3 ],
	'the publisher' => [ [ 'front', 'slices' ] ],
	'each subscriber' => [ map { [ 'node' . ($_ + 1), 'slices', "slice=$_" ] } 0 .. 1 ]);

sub addressed
{
	my ($block) = @_;
	$block =~ s{host '(node\d)\.example\.com'}{sprintf "host '%s', port '%d'", $server{$1}->host, $server{$1}->port}ge;
	$block =~ s{host=publisher\.example\.com}{sprintf 'host=%s port=%d', $front->host, $front->port}ge;
	return $block;
}

sub run_recipe
{
	my ($title) = @_;
	my ($section) = slurp_file("$ENV{CHECKOUT}/docs/scaling.md") =~ /^## \Q$title\E\n(.*?)(?=^## |\z)/ms or BAIL_OUT("no recipe $title");
	for my $block ($section =~ /^```sql\n(.*?)^```$/msg)
	{
		my ($where) = $block =~ /\A-- on ([\w ]+)/;
		my $places = $place{ $where // '' } or BAIL_OUT("where is this run? $block");
		for (@$places)
		{
			my ($name, $database, @variables) = @$_;
			my $stderr;
			my $code = $server{$name}->psql($database, addressed($block), on_error_stop => 1, stderr => \$stderr, extra_params => [ map { ('-v', $_) } @variables ]);
			is($code . $stderr =~ s{^psql:.*NOTICE:.*\n?}{}mgr, '0', "$title: runs as printed on $name") or diag($block);
		}
	}
	return;
}

sub sql { return $front->safe_psql('shop', $_[0]) }
my $unsynced = 'FROM customer AS c FULL JOIN sap_customer AS s ON s.customer = c.id WHERE (s.customer, s.name, s.region) IS DISTINCT FROM (c.id, upper(c.name), c.territory)';
sub in_step
{
	my ($name) = @_;
	wait_for_jobs($server{"node$_"}, 'shop') for 1 .. 3;
	return is(sql("SELECT count(*) $unsynced"), '0', $name);
}

run_recipe('Hash partitions over postgres_fdw');
in_step('the recipe brings all in step');
is(sql('SELECT count(*) FROM sap_customer'), '900', 'with inserts, updates and deletes');
sql('DELETE FROM customer');
in_step('emptied');

# 20,000 rows through the front server. A node dies meanwhile; who writes repeats what has failed.
my @chunks = map { [ $_ * 2000 + 1, $_ * 2000 + 2000 ] } 0 .. 9;
my @statements = (
	(map { "INSERT INTO customer SELECT i, 'Customer ' || i, 'North' FROM generate_series($_->[0], $_->[1]) AS i ON CONFLICT DO NOTHING" } @chunks),
	(map { "UPDATE customer SET territory = 'South', name = 'Customer no. ' || id WHERE id BETWEEN $_->[0] AND $_->[1]" } @chunks),
	(map { "DELETE FROM customer WHERE id BETWEEN $_->[0] AND $_->[0] + 199" } @chunks));
my $failed = 0;
for my $number (0 .. $#statements)
{
	$server{node2}->kill9 if $number == 7;
	for my $try (1 .. 100)
	{
		last if $front->psql('shop', $statements[$number], on_error_stop => 1) == 0;
		BAIL_OUT("this does not work: $statements[$number]") if $try == 100;
		bring_back() if $failed++ == 0;
		usleep(100_000);
	}
}

# What needs only other nodes goes on meanwhile.
sub bring_back
{
	my $elsewhere = sql(q{SELECT min(id) FROM generate_series(30001::bigint, 30100) AS id WHERE satisfies_hash_partition('customer'::regclass, 3, 0, id)});
	sql("INSERT INTO customer VALUES ($elsewhere, 'Elsewhere', 'West')");
	poll($server{node1}, "SELECT count(*) = 1 FROM sap_customer WHERE customer = $elsewhere", 'a row of another node is synced while one is down', 'shop');
	sql("DELETE FROM customer WHERE id = $elsewhere");
	start_after_kill($server{node2});
	return;
}
cmp_ok($failed, '>', 0, 'statements that needed the killed node have failed');
in_step('then all targets are in step');
is(sql('SELECT count(*), count(*) FILTER (WHERE region = \'South\') FROM sap_customer'), '18000|18000', 'those of all rows');
is(sql('SELECT count(DISTINCT tableoid) FROM sap_customer'), '3', 'on all nodes');
is(sql('SELECT count(*) - count(DISTINCT id) FROM all_sync_jobs'), '0', 'ids are unique over the nodes');
is(sql('SELECT count(*) FROM all_sync_jobs WHERE id >> 40 <> node'), '0', 'and say which node');
is(sql('SELECT count(DISTINCT node) FROM all_sync_jobs'), '3', 'one view shows the jobs of all');
is(sql(q{SELECT string_agg(DISTINCT status, ' ' ORDER BY status) FROM all_sync_jobs WHERE status NOT IN ('Finished', 'Skipped')}), '', 'which are done');
# Each job, and each document of a set, is at the node of its row.
for my $node (1 .. 3)
{
	my @names = split /\n/, $server{"node$node"}->safe_psql('shop', q{SELECT DISTINCT source_document_name FROM sync_job_document_history});
	my $list = join ',', @names;
	is(sql(sprintf q{SELECT count(*) FROM unnest('{%s}'::bigint[]) AS id WHERE NOT satisfies_hash_partition('customer'::regclass, 3, %d, id)}, $list, $node - 1),
		'0', "each job of node $node is at its row's node");
	cmp_ok(scalar @names, '>', 6000, 'and there are many');
}

# Slices.
my $publisher = sub { return $front->safe_psql('slices', $_[0]) };
sub slices_in_step
{
	my ($name, $rows) = @_;
	$publisher->($rows);
	for my $slice (0 .. 1)
	{
		my $right = $publisher->("SELECT md5(string_agg((id, upper(name), territory)::text, ' ' ORDER BY id)) FROM customer WHERE id % 2 = $slice");
		poll($server{ 'node' . ($slice + 1) }, "SELECT md5(string_agg((customer, name, region)::text, ' ' ORDER BY customer)) = '$right' FROM sap_customer",
			"$name: slice $slice", 'slices');
	}
	return;
}
run_recipe('Slices by logical replication');
slices_in_step('inserts', q{INSERT INTO customer SELECT i, 'Customer ' || i, 'North' FROM generate_series(1, 2000) AS i});
slices_in_step('updates', q{UPDATE customer SET territory = 'South'});
slices_in_step('deletes, and a row that moves to the other slice', q{DELETE FROM customer WHERE id > 1900; UPDATE customer SET id = id + 10001 WHERE id <= 10});
is($server{ 'node' . ($_ + 1) }->safe_psql('slices', "SELECT count(*) FROM sync_job WHERE source_document_name::bigint % 2 <> $_"), '0', "only the jobs of slice $_")
	for 0 .. 1;
$server{ 'node' . ($_ + 1) }->safe_psql('slices', "DROP SUBSCRIPTION slice_$_") for 0 .. 1;

$server{$_}->stop('fast') for sort keys %server;
unlike_accidents($server{$_}, kill => $_ eq 'node2') for sort keys %server;
done_testing();
