# Jobs of distributed tables: on the node of their row, whoever writes it and wherever, for each kind of controller.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use SyncJob;
use Citus;

my ($coordinator, @workers) = citus_cluster(2);
load_documents();
my @types = qw(plpgsql sql declared bypass);

# All that has been enqueued has ended well, each target has what its source has, and no job lies where there are no shards.
sub in_step
{
	my ($name) = @_;
	wait_everywhere($name);
	targets_equal("$name: $_", "${_}_target") for @types;
	is($coordinator->safe_psql('postgres', 'SELECT count(*) FROM sync_job'), '0', "$name: the coordinator has no job");
	return;
}

$coordinator->safe_psql('postgres', q{INSERT INTO customer SELECT 0, 'c' || n, 'city ' || n % 7, repeat('x', 100) FROM generate_series(1, 200) AS n});
$coordinator->safe_psql('postgres', q{INSERT INTO customer VALUES (0, 'single', 'Bonn', NULL)});
in_step('inserted from the coordinator');
is(values_everywhere(q{SELECT count(DISTINCT source_document_type::regclass) || ' ' || coalesce(min(source_document_type::regclass::text), '-') FROM sync_job}),
	'0 - 1 customer 1 customer', 'jobs name the table, not the shard');
is(values_everywhere(q{SELECT count(*) FROM (SELECT source_document_name FROM sync_job WHERE sync_job_type = 'plpgsql' EXCEPT SELECT name FROM customer) AS s}),
	'0 0 0', 'and their documents');
my ($here, $there) = map { $_->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE sync_job_type = 'sql'}) } @workers;
is($here + $there, 201, 'a job for each document');
cmp_ok($here, '>', 0, "the first worker has $here of them");
cmp_ok($there, '>', 0, "the second worker has $there of them");

$workers[0]->safe_psql('postgres', q{COPY customer (name, city) FROM PROGRAM 'for i in $(seq 201 300); do printf "c%d\tcopied\n" $i; done'});
in_step('copied through a worker');
$workers[1]->safe_psql('postgres', q{UPDATE customer SET city = city || '!'});
in_step('all updated through a worker');
$coordinator->safe_psql('postgres', q{BEGIN; UPDATE customer SET city = 'a' WHERE name = 'c1'; UPDATE customer SET city = 'b' WHERE name = 'c2'; DELETE FROM customer WHERE name IN ('c3', 'c4', 'c5', 'c6', 'c7'); COMMIT});
in_step('a transaction over several nodes');
$coordinator->safe_psql('postgres', q{BEGIN; UPDATE customer SET city = 'never'; ROLLBACK});
is(values_everywhere(q{SELECT count(*) FROM sync_job WHERE status IN ('Queued', 'Started')}), '0 0 0', 'a rollback leaves no job anywhere');
$coordinator->safe_psql('postgres', q{DELETE FROM customer WHERE name LIKE 'c1%'});
in_step('deleted');

# What lies on one node is done there: nothing is sent to another one, and declared jobs run many at once.
for my $worker (@workers)
{
	$worker->safe_psql('postgres', $_) for q{ALTER SYSTEM SET citus.log_remote_commands = on}, q{ALTER SYSTEM SET log_min_messages = notice}, 'SELECT pg_reload_conf()';
}
my %logged = map { $_->name => -s $_->logfile } @workers;
$coordinator->safe_psql('postgres', q{UPDATE customer SET city = 'here'});
$coordinator->safe_psql('postgres', q{INSERT INTO customer (name, city) SELECT 'here' || n, 'here' FROM generate_series(1, 200) AS n});
$coordinator->safe_psql('postgres', q{DELETE FROM customer WHERE name LIKE 'here1%'});
in_step('jobs of one node');
like_log($_, $logged{$_->name}, qr/sync job worker .*issuing/, 0, $_->name . ' sends nothing for its jobs') for @workers;
is($coordinator->safe_psql('postgres', q{SELECT count(*) FROM run_command_on_shards('declared_target', 'SELECT count(DISTINCT xmin::text) * 3 < count(*) FROM %s') WHERE result <> 't'}),
	'0', 'targets of a shard are written many at once');

# Each shard is made anew where it moves, without what has been dropped; new columns come last.
$coordinator->safe_psql('postgres', $_)
  for 'ALTER TABLE customer DROP COLUMN gone', 'ALTER TABLE plpgsql_target DROP COLUMN gone', 'ALTER TABLE declared_target DROP COLUMN gone',
  'ALTER TABLE customer ADD COLUMN added int DEFAULT 7', 'ALTER TABLE declared_target ADD COLUMN added int DEFAULT 8';
move_shard('c20', 'block_writes');
move_shard('c21', 'force_logical');
$coordinator->safe_psql('postgres', q{UPDATE customer SET city = 'moved ' || name});
in_step('columns dropped and shards moved');
$workers[1]->safe_psql('postgres', q{INSERT INTO customer (name, city) SELECT 'late' || n, 'late' FROM generate_series(1, 50) AS n});
in_step('inserted afterwards');
$coordinator->safe_psql('postgres', q{DELETE FROM customer WHERE name LIKE 'late%'});
in_step('deleted afterwards');

unlike_accidents($_) for $coordinator, @workers;
done_testing();
