# Shards that move while their rows are written: no job is lost, none is made up, and each is done once.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use SyncJob;
use Citus;

my ($coordinator, @workers) = citus_cluster(2);
load_documents();
$coordinator->safe_psql('postgres', q{INSERT INTO customer (name, city) SELECT 'c' || n, 'start' FROM generate_series(1, 300) AS n});
wait_everywhere('the documents');

# A job that is writing its target keeps the shard where it is: else the move would take the row as it was before.
$coordinator->safe_psql('postgres', q{SET citus.enable_unsafe_triggers = on;
	CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END $$;
	CREATE TRIGGER gate BEFORE UPDATE ON declared_target FOR EACH ROW WHEN (new.city = 'gated') EXECUTE FUNCTION wait_at_gate()});
my $gated = name_on($workers[0], 'c');
my $holder = $workers[0]->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(4711)');
$coordinator->safe_psql('postgres', qq{UPDATE customer SET city = 'gated' WHERE name = '$gated'});
poll($workers[0], q{SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'sync job worker' AND wait_event = 'advisory'}, 'a job is writing');
my $shard = $coordinator->safe_psql('postgres', qq{SELECT get_shard_id_for_distribution_column('customer', '$gated')});
my $mover = $coordinator->background_psql('postgres');
$mover->query_until(qr/moving/, qq{\\echo moving
	SELECT citus_move_shard_placement($shard, '127.0.0.1', @{[$workers[0]->port]}, '127.0.0.1', @{[$workers[1]->port]}, shard_transfer_mode => 'block_writes');
	\\echo ended
});
poll($workers[0], q{SELECT count(*) > 0 FROM pg_stat_activity AS waits JOIN pg_stat_activity AS job ON job.pid = ANY (pg_blocking_pids(waits.pid))
	WHERE job.backend_type = 'sync job worker' AND waits.backend_type = 'client backend'}, 'the move waits for it');
$holder->quit;
$mover->query_until(qr/ended/, '');
$mover->quit;
wait_everywhere('moved after a job');
targets_equal("moved after a job: $_", "${_}_target") for qw(plpgsql sql declared bypass);

# As long as the shards move, from each node.
$coordinator->safe_psql('postgres', q{CREATE TABLE gate (closed bool); INSERT INTO gate VALUES (true)});
$coordinator->safe_psql('postgres', q{SELECT create_reference_table('gate')});
my @sessions;
for my $number (0 .. 2)
{
	my $session = ($coordinator, @workers)[$number]->background_psql('postgres', on_error_stop => 0);
	$session->query(qq{CREATE PROCEDURE pg_temp.write() LANGUAGE plpgsql AS \$\$
		DECLARE round int := 0;
		BEGIN
			WHILE (SELECT closed FROM gate) LOOP
				round := round + 1;
				UPDATE customer SET city = 'session $number round ' || round WHERE name = 'c' || (round * 3 % 300 + $number + 1);
				COMMIT;
				UPDATE customer SET city = 'session $number all ' || round WHERE round % 50 = 0 AND name LIKE 'c' || (round / 50 % 10) || '%';
				COMMIT;
			END LOOP;
		END \$\$});
	$session->query_until(qr/writing/, "\\echo writing\nCALL pg_temp.write();\n\\echo ended\n");
	push @sessions, $session;
}
for my $round (1 .. ($ENV{LOAD} || 3))
{
	move_shard("c$_", $_ % 2 ? 'force_logical' : 'block_writes') for $round, $round + 17;
}
$coordinator->safe_psql('postgres', q{SELECT rebalance_table_shards('customer', shard_transfer_mode => 'force_logical')});
$coordinator->safe_psql('postgres', q{UPDATE gate SET closed = false});
$_->query_until(qr/ended/, '') for @sessions;
$_->quit for @sessions;

wait_everywhere('moved under load');
targets_equal("moved under load: $_", "${_}_target") for qw(plpgsql sql declared bypass);
my $ended = 0;
$ended += $_ for split / /, values_everywhere(q{SELECT count(*) FROM sync_job WHERE sync_job_type = 'plpgsql' AND status = 'Finished'});
is($coordinator->safe_psql('postgres', q{SELECT sum(written) FROM plpgsql_target}), $ended, "each of $ended jobs has written once");
is(values_everywhere(q{SELECT count(*) FROM sync_job_error WHERE counted}), '0 0 0', 'none had an error that counts');

unlike_accidents($_) for $coordinator, @workers;
done_testing();
