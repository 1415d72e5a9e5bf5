# What a job costs on a shard, and in an ordinary table of the same server: processor time of the worker, which tells on a busy machine, too.
# LOAD=20000: so many documents; without it a look at whether it works.
use strict;
use warnings;
use Test::More;
use List::Util qw(sum min max);
use PostgreSQL::Test::Utils;
use SyncJob;
use Citus;

my $documents = $ENV{LOAD} || 200;
my ($coordinator, $worker) = citus_cluster(1, "sync_job.max_workers = 1\nsync_job.neighbour_share = 0");
load_documents();

# The same without Citus, in another database.
$worker->safe_psql('postgres', 'CREATE DATABASE plain');
my $plain = slurp_file("$ENV{TESTDIR}/citus/documents.sql");
$plain =~ s/SELECT create_distributed_table.*\n//g;
$worker->safe_psql('plain', $_) for 'CREATE EXTENSION pg_sync_job', $plain, slurp_file("$ENV{TESTDIR}/citus/types.sql");
$worker->safe_psql('plain', qq{SELECT attach_sync_job_triggers('$_', 'customer', level => 'statement')}) for qw(plpgsql sql declared bypass);
my @databases = qw(postgres plain);

# Of all processes that run jobs of the database: in microseconds. A tick is a hundredth of a second.
sub processor_time
{
	my ($database) = @_;
	my $sum = 0;
	for my $pid (split /\n/, $worker->safe_psql('postgres', qq{SELECT pid FROM pg_stat_activity WHERE backend_type = 'sync job worker' AND datname = '$database'}))
	{
		my @fields = split / /, (slurp_file("/proc/$pid/stat") =~ s/^.*\) //sr);
		$sum += 10_000 * ($fields[11] + $fields[12]);
	}
	return $sum;
}

# The jobs of one type for the statement, enqueued while the queue is paused. Its worker stays, so that what it has used can be read.
sub cost
{
	my ($database, $type, $sql) = @_;
	$worker->safe_psql($database, "UPDATE sync_job_type SET disabled = name <> '$type' WHERE source_document_type IS NOT NULL; UPDATE sync_job_queue SET paused = true");
	$worker->safe_psql($database, $sql);
	my $before = processor_time($database);
	my $jobs = $worker->safe_psql($database, q{SELECT count(*) FROM sync_job WHERE status = 'Queued'});
	$worker->safe_psql($database, 'UPDATE sync_job_queue SET paused = false');
	$worker->poll_query_until($database, q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started')}) or die 'the jobs do not end';
	my $cost = (processor_time($database) - $before) / $jobs;
	$worker->safe_psql($database, 'VACUUM');
	return $cost;
}

for my $database (@databases)
{
	$worker->safe_psql($database, "INSERT INTO customer (name, city) SELECT 'c' || n, 'start' FROM generate_series(1, $documents) AS n");
	$worker->poll_query_until($database, q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started')});
	$worker->safe_psql($database, 'VACUUM ANALYZE');
}
my $asks_nothing = q{CREATE OR REPLACE FUNCTION plpgsql_sync.get_target_document(sync_job sync_job, source_doc customer) RETURNS sync_job_target LANGUAGE plpgsql AS
	$$BEGIN RETURN sync_job_target('update', target_document_name => source_doc.name); END$$};
for my $case ('declared', 'plpgsql', 'plpgsql, which asks for no table itself', 'sql')
{
	my ($type) = $case =~ /^(\w+)/;
	if ($case =~ /asks/)
	{
		$coordinator->safe_psql('postgres', $asks_nothing);
		$worker->safe_psql('plain', $asks_nothing);
	}
	my %cost;
	for my $pass (1 .. 5)
	{
		push @{ $cost{$_} }, cost($_, $type, "UPDATE customer SET city = '$case $pass'") for $pass % 2 ? @databases : reverse @databases;
	}
	my ($shard, $table) = map { (sort { $a <=> $b } @{ $cost{$_} })[2] } @databases;
	my $ratio = $table > 0 ? $shard / $table : 0;
	note(sprintf('%s, %d updates, median of five: %.1f us a job on shards, %.1f in an ordinary table: %.2f; each: %s | %s', $case, $documents, $shard, $table, $ratio,
		map { join(' ', map { sprintf('%.1f', $_) } @{ $cost{$_} }) } @databases));
	is($worker->safe_psql($_, q{SELECT count(*) FROM sync_job WHERE status = 'Failed'}), '0', "$case in $_: none has failed") for @databases;
}

unlike_accidents($_) for $coordinator, $worker;
done_testing();
