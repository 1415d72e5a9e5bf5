# Servers killed at the worst moments, between PREPARE TRANSACTION and COMMIT PREPARED: no job is lost, none is made up, and what one job does is
# done once.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);
use SyncJob;
use Citus;

my ($coordinator, @workers) = citus_cluster(2, "citus.recover_2pc_interval = 1s\nsync_job.max_workers = 4");
load_documents();

# A row whose note is "gated" keeps its node in PREPARE TRANSACTION as long as somebody has the lock there.
$coordinator->safe_psql('postgres', $_) for q{
	CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF NEW.note = 'gated' THEN PERFORM pg_advisory_xact_lock(4711); END IF;
		RETURN NULL;
	END $$}, q{
	CREATE TABLE far_target (id text PRIMARY KEY, times int NOT NULL, note text)}, q{
	SELECT create_distributed_table('far_target', 'id', colocate_with => 'customer')}, q{
	CREATE SCHEMA far_sync}, q{
	CREATE FUNCTION far_sync.execute(sync_job sync_job, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		UPDATE far_target SET times = times + 1 WHERE id = source_doc ->> 'note';
		RETURN NULL;
	END $$};
$coordinator->safe_psql('postgres', qq{SET citus.enable_unsafe_triggers = on;
	CREATE CONSTRAINT TRIGGER gate AFTER INSERT OR UPDATE ON $_ DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_gate()})
  for qw(customer far_target);
on_all_nodes(q{INSERT INTO sync_job_type (name, source_document_type, module) VALUES ('far', 'customer', 'far_sync')});

my ($near, $far) = map { name_on($_, 'gate') } @workers;
$coordinator->safe_psql('postgres', qq{INSERT INTO customer (name, city, note) VALUES ('$near', 'start', NULL), ('$far', 'start', 'gated')});
wait_everywhere('the documents');

# A transaction over both nodes has been prepared on the first, and is about to be on the second.
sub half_prepared
{
	my ($city) = @_;
	my $gate = $workers[1]->background_psql('postgres');
	$gate->query_safe('SELECT pg_advisory_lock(4711)');
	my $session = $coordinator->background_psql('postgres', on_error_stop => 0);
	$session->query_until(qr/committing/, qq{BEGIN;
		UPDATE customer SET city = '$city' WHERE name = '$near';
		UPDATE customer SET city = '$city' WHERE name = '$far';
		\\echo committing
		COMMIT;
		\\echo ended
	});
	poll($workers[0], q{SELECT count(*) = 1 FROM pg_prepared_xacts}, "$city: prepared on one node");
	return ($gate, $session);
}

sub kill_node
{
	my ($node) = @_;
	$node->kill9;
	return start_after_kill($node);
}

# Nothing is prepared any more: the transaction has ended on all nodes as on the coordinator.
sub recovered
{
	my ($name) = @_;
	everywhere(q{SELECT count(*) = 0 FROM pg_prepared_xacts}, "$name: nothing is left prepared");
	wait_everywhere($name);
	targets_equal("$name: $_", "${_}_target") for qw(plpgsql sql declared bypass);
	return;
}

my ($gate, $session) = half_prepared('node killed');
kill_node($workers[0]);
$gate->quit;
$session->query_until(qr/ended/, '');
$session->quit;
recovered('the prepared node was killed');
is($coordinator->safe_psql('postgres', q{SELECT count(*) FROM plpgsql_target WHERE city = 'node killed'}), '2', 'the transaction and its jobs were done');

($gate, $session) = half_prepared('coordinator killed');
kill_node($coordinator);
$gate->quit;
eval { $session->quit };
recovered('the coordinator was killed');
is($coordinator->safe_psql('postgres', q{SELECT count(*) FROM plpgsql_target WHERE city = 'coordinator killed'}), '0', 'the transaction and its jobs were not');

($gate, $session) = half_prepared('other killed');
kill_node($workers[1]);
eval { $gate->quit };
$session->query_until(qr/ended/, '');
$session->quit;
recovered('the node that was preparing was killed');
is($coordinator->safe_psql('postgres', q{SELECT count(*) FROM plpgsql_target WHERE city = 'other killed'}), '0', 'the transaction and its jobs were not');

# A job that writes on another node, which is preparing as the job's own node is killed: it runs again, and has written once.
$coordinator->safe_psql('postgres', qq{INSERT INTO far_target VALUES ('$far', 0, 'gated')});
$gate = $workers[1]->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(4711)');
$coordinator->safe_psql('postgres', qq{UPDATE customer SET note = '$far' WHERE name = '$near'});
my $job = $workers[0]->safe_psql('postgres', qq{SELECT enqueue_sync_job('far', '$near')});
poll($workers[1], q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'PREPARE TRANSACTION%' AND wait_event = 'advisory'}, 'the job is being prepared on the other node');
kill_node($workers[0]);
$gate->quit;
recovered('the node of a job that writes elsewhere was killed');
is($workers[0]->safe_psql('postgres', qq{SELECT status FROM sync_job WHERE id = $job}), 'Finished', 'its job has run again');
is($coordinator->safe_psql('postgres', q{SELECT times FROM far_target}), '1', 'and written once');

# Under load: each job of the type with PL/pgSQL adds one where it writes.
$coordinator->safe_psql('postgres', q{INSERT INTO customer (name, city) SELECT 'load' || n, 'start' FROM generate_series(1, 100) AS n});
wait_everywhere('the documents of the load');
my $rounds = $ENV{LOAD} || 6;
for my $round (1 .. $rounds)
{
	my @sessions = map { $_->background_psql('postgres', on_error_stop => 0) } $coordinator, @workers;
	my $number = 0;
	for my $writer (@sessions)
	{
		my $own = $number++;
		$writer->query_until(qr/writing/, "\\echo writing\n" . join('', map {
			"UPDATE customer SET city = 'r$round w$own u$_' WHERE name IN (SELECT 'load' || n FROM generate_series(1, 100) AS n WHERE n % 3 = $own AND n % 5 = @{[$_ % 5]});\n" } 1 .. 40));
	}
	my $victim = ($coordinator, @workers)[$round % 3];
	usleep(1000 * (200 + int(rand(1500))));
	kill_node($victim);
	for my $writer (@sessions)
	{
		eval { $writer->quit };
	}
	recovered("round $round");
}
is($coordinator->safe_psql('postgres', q{SELECT sum(written) FROM plpgsql_target WHERE customer LIKE 'load%'}),
	eval(join('+', split / /, values_everywhere(q{SELECT count(*) FROM sync_job WHERE sync_job_type = 'plpgsql' AND status = 'Finished' AND source_document_name LIKE 'load%'}))),
	'each job that has ended has written once');
like(values_everywhere(q{SELECT count(*) FROM sync_job_activity WHERE sync_job IS NOT NULL}), qr/^0 0 0$/, 'none is under way');

done_testing();
