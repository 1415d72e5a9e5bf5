# How the rate grows with the nodes: one database that is spread over one, two and four workers, each held to the same share of a
# processor. LOAD=40000: so many documents; without it a look at whether it works. The quotas need a control group for processors
# that may be written to; without one the nodes are not held to anything, and the test says so.
use strict;
use warnings;
use Test::More;
use List::Util qw(sum);
use PostgreSQL::Test::Utils;
use SyncJob;
use Citus;

my $documents = $ENV{LOAD} || 200;
my $percent = 20; # of one processor, for each node
my $groups = '/sys/fs/cgroup/cpu';

my ($coordinator, @workers) = citus_cluster(4, "sync_job.max_workers = 1\nsync_job.neighbour_share = 0\nautovacuum = off\ncitus.shard_count = 32");
sub has_shards { return $coordinator->safe_psql('postgres', qq{SELECT citus_set_node_property('127.0.0.1', @{[$_[0]->port]}, 'shouldhaveshards', $_[1])}) }
has_shards($_, 'false') for @workers[1 .. 3];
load_documents();
on_all_nodes(q{UPDATE sync_job_type SET disabled = name <> 'declared' WHERE source_document_type IS NOT NULL});
$coordinator->safe_psql('postgres', "INSERT INTO customer (name, city) SELECT 'c' || n, 'start' FROM generate_series(1, $documents) AS n");
wait_everywhere('the documents are there');

my $held = -w $groups;

# Each node with all its processes in a group of its own; those that it starts come into it, too.
sub hold
{
	my (@nodes) = @_;
	for my $node (@nodes)
	{
		my $group = "$groups/sync_job_" . $node->name;
		mkdir $group;
		append_to_file("$group/cpu.cfs_period_us", 20_000);
		append_to_file("$group/cpu.cfs_quota_us", 200 * $percent);
		my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
		my @processes = ($postmaster, split ' ', `pgrep -P $postmaster`);
		system(qq{echo $_ > $group/cgroup.procs 2>/dev/null}) for @processes;
	}
	return;
}

sub release
{
	my (@nodes) = @_;
	for my $node (@nodes)
	{
		my $group = "$groups/sync_job_" . $node->name;
		next if !-d $group;
		system(qq{echo $_ > $groups/cgroup.procs 2>/dev/null}) for split ' ', slurp_file("$group/cgroup.procs");
		rmdir $group;
	}
	return;
}

# Jobs a second, by the clock of the machine on which all nodes run: from the first start to the last end.
sub rate
{
	my ($round, @nodes) = @_;
	on_all_nodes('UPDATE sync_job_queue SET paused = true');
	$coordinator->safe_psql('postgres', "UPDATE customer SET city = '$round'");
	my @first = map { $_->safe_psql('postgres', q{SELECT min(id) FROM sync_job WHERE status = 'Queued'}) } @nodes;
	my $jobs = sum(map { $_->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE status = 'Queued'}) } @nodes);
	is($jobs, $documents, "$round: a job for each document");
	$_->safe_psql('postgres', 'CHECKPOINT') for @nodes;
	hold(@nodes) if $held;
	on_all_nodes('UPDATE sync_job_queue SET paused = false');
	everywhere(q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started')}, "$round: all have run");
	release(@nodes) if $held;
	my @times = map { [ split /\|/, $nodes[$_]->safe_psql('postgres', qq{
		SELECT extract(epoch FROM min(started_at)), extract(epoch FROM max(ended_at)) FROM sync_job WHERE id >= $first[$_]}) ] } 0 .. $#nodes;
	my ($began) = sort { $a <=> $b } map { $_->[0] } @times;
	my ($ended) = sort { $b <=> $a } map { $_->[1] } @times;
	targets_equal($round, 'declared_target');
	$_->safe_psql('postgres', 'VACUUM') for @nodes;
	return $jobs / ($ended - $began);
}

my %rate;
for my $count (1, 2, 4)
{
	my @nodes = @workers[0 .. $count - 1];
	has_shards($_, 'true') for @nodes;
	$coordinator->safe_psql('postgres', q{SELECT rebalance_table_shards(shard_transfer_mode => 'block_writes')}) if $count > 1;
	$_->safe_psql('postgres', 'VACUUM ANALYZE') for @nodes;
	rate("warm up, $count", @nodes);
	my @rates = sort { $a <=> $b } map { rate("$count, pass $_", @nodes) } 1 .. 3;
	$rate{$count} = $rates[1];
	note(sprintf('%d nodes%s, %d declared jobs: %.0f jobs/s, median of three (%.0f to %.0f); of linear: %.2f', $count,
		$held ? " at $percent % of a processor each" : ' that are held to nothing', $documents, $rates[1], $rates[0], $rates[2], $rate{$count} / ($count * $rate{1})));
}

unlike_accidents($_) for $coordinator, @workers;
done_testing();

END { release(@workers) if $held && @workers }
