# The extension comes and goes while the server runs: who serves it comes and goes with it, without a restart.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', no_extension => 1, conf => "max_prepared_transactions = 5\nsync_job.poll_interval = '1s'");

sub processes
{
	my ($database) = @_;
	return "SELECT string_agg(DISTINCT backend_type, ', ' ORDER BY backend_type) FROM pg_stat_activity WHERE datname = '$database' AND backend_type LIKE 'sync job%'";
}

sub nobody { return '(' . processes($_[0]) . ') IS NULL' }

poll($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'sync job launcher'}, 'the launcher runs');
$node->safe_psql('postgres', 'CREATE DATABASE app');
poll($node, 'SELECT ' . nobody('app'), 'nobody serves a database without the extension');
is($node->safe_psql('postgres', processes('postgres')), '', 'nor that of the superuser');

# Created and rolled back.
$node->safe_psql('app', 'BEGIN; CREATE EXTENSION pg_sync_job; ROLLBACK');
poll($node, 'SELECT ' . nobody('app'), 'nobody serves what was rolled back');

# Created: jobs run, soon.
$node->safe_psql('app', 'CREATE EXTENSION pg_sync_job');
load_probe($node, 50, 'app');
my $first = enqueue($node, 'Probe', 1, undef, 'app');
$node->poll_query_until('app', "SELECT status = 'Finished' FROM sync_job WHERE id = $first");
is($node->safe_psql('app', "SELECT status, ended_at - created_at < '8 s' FROM sync_job WHERE id = $first"), 'Finished|t', 'a new extension is served without a restart');
diag('the first job ended after ' . $node->safe_psql('app', "SELECT ended_at - created_at FROM sync_job WHERE id = $first"));
is($node->safe_psql('app', processes('app')), 'sync job scheduler, sync job worker', 'by a scheduler and a worker');

# Extension and jobs in one transaction.
$node->safe_psql('postgres', 'CREATE DATABASE at_once');
$node->safe_psql('at_once', 'BEGIN; CREATE EXTENSION pg_sync_job; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 42$$; SELECT enqueue_background_job(\'f\'); COMMIT');
is(wait_for_jobs($node, 'at_once'), 'Finished=1', 'a job enqueued by the transaction that creates the extension is run');

# A prepared transaction.
$node->safe_psql('app', q{BEGIN; SELECT enqueue_sync_job('Probe', '2', job_id => 'prepared'); PREPARE TRANSACTION 'p'});
my $later = enqueue($node, 'Probe', 4, undef, 'app');
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $later", 'a later job is run', 'app');
is($node->safe_psql('app', q{SELECT count(*) FROM sync_job WHERE job_id = 'prepared'}), '0', 'what is prepared is not seen');
$node->safe_psql('app', q{COMMIT PREPARED 'p'});
poll($node, q{SELECT status = 'Finished' FROM sync_job WHERE job_id = 'prepared'}, 'a prepared transaction brings its job', 'app');

# Dropped, first with idle, then with busy workers; rolled back.
$node->safe_psql('app', 'BEGIN; DROP EXTENSION pg_sync_job CASCADE; ROLLBACK');
is($node->safe_psql('app', "SELECT status FROM sync_job WHERE id = $first"), 'Finished', 'a DROP that is rolled back leaves all');
my $after = enqueue($node, 'Probe', 3, undef, 'app');
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $after", 'and jobs run on', 'app');

# A scheduler that starts meanwhile waits for the extension itself, and not with some of its tables locked: that would be a deadlock.
my $open = $node->background_psql('app');
$open->query_safe('SET client_min_messages = warning; BEGIN; DROP EXTENSION pg_sync_job CASCADE');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'sync job scheduler' AND datname = 'app'});
my $starting = q{FROM pg_locks WHERE pid IN (SELECT pid FROM pg_stat_activity WHERE backend_type = 'sync job scheduler' AND datname = 'app')};
poll($node, "SELECT count(*) > 0 $starting AND NOT granted", 'a scheduler that starts while the extension is dropped waits');
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT locktype, ' ') $starting AND NOT granted"), 'object', 'for the extension');
is($node->safe_psql('postgres', "SELECT count(*) $starting AND granted AND relation > 16383"), '0', 'without a lock on a table of it');
$open->query_safe('ROLLBACK');
$open->quit;

sub enqueue_load
{
	$node->safe_psql('app', q{
		UPDATE sync_job_queue SET max_workers = 4;
		SELECT count(enqueue_sync_job(t, (1 + i % 50)::text, context => '{"sleep": 0.01}'))
		FROM generate_series(1, 3000) AS i, unnest(ARRAY['Probe', 'Probe Alone', 'Probe Committing']) AS t});
	$node->poll_query_until('app', q{SELECT count(*) > 1 FROM sync_job_activity WHERE state = 'running'});
	return;
}

my $again = q{
	DROP TABLE doc, effect, part, gate CASCADE; DROP SEQUENCE probe_run;
	DROP SCHEMA probe, probe_committing CASCADE};

for my $drop ('DROP EXTENSION pg_sync_job CASCADE',
	'BEGIN; DROP EXTENSION pg_sync_job CASCADE; CREATE EXTENSION pg_sync_job; COMMIT')
{
	enqueue_load();
	my $offset = -s $node->logfile;
	is($node->psql('app', "SET statement_timeout = '40 s'; $drop"), 0, "under load: $drop");
	if ($drop =~ /CREATE/)
	{
		is($node->safe_psql('app', 'SELECT count(*) FROM sync_job'), '0', 'the new extension has no jobs');
	}
	else
	{
		poll($node, 'SELECT ' . nobody('app'), 'its processes end');
		$node->safe_psql('app', 'CREATE EXTENSION pg_sync_job');
	}
	$node->safe_psql('app', $again);
	load_probe($node, 50, 'app');
	my $job = enqueue($node, 'Probe', 1, undef, 'app');
	poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $job", 'the extension that came after it is served', 'app');
	like_log($node, $offset, qr/(LOG|ERROR|FATAL|WARNING): .*(cache lookup failed|could not open relation|damaged)/, 0, 'no error tells of it');
}

# A job under way is finished before its extension goes.
close_gate($node, 'app');
my $last = enqueue($node, 'Probe Alone', 5, q{context => '{"gate": "closed"}'}, 'app');
wait_until_running($node, $last, 'app');
my $dropper = $node->background_psql('app');
$dropper->query_until(qr/start/, "\\echo start\nDROP EXTENSION pg_sync_job CASCADE;\n");
poll($node, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'DROP EXTENSION%' AND wait_event_type = 'Lock'}, 'DROP EXTENSION waits for the job');
open_gate($node, 'app');
$dropper->quit;
is($node->safe_psql('app', q{SELECT count(*) FROM effect WHERE id = 'Probe Alone 5'}), '1', 'the job is finished');
is($node->safe_psql('app', q{SELECT count(*) FROM pg_extension WHERE extname = 'pg_sync_job'}), '0', 'then the extension goes');
poll($node, 'SELECT ' . nobody('app'), 'and its processes');

# DROP OWNED by its owner.
$node->safe_psql('app', "$again; CREATE ROLE owner SUPERUSER LOGIN");
$node->safe_psql('app', 'SET SESSION AUTHORIZATION owner; CREATE EXTENSION pg_sync_job');
load_probe($node, 50, 'app');
enqueue_load();
is($node->psql('app', q{SET statement_timeout = '40 s'; DROP OWNED BY owner CASCADE}), 0, 'DROP OWNED takes the extension under load');
poll($node, 'SELECT ' . nobody('app'), 'and its processes end');
poll($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'sync job scheduler'}, 'the other database is still served');

# Updated from an older version it is the same as a new one, in another schema, too; from the other side of the upgrade, with that
# version's library, see test/upgrade.
for my $schema ('public', 'jobs')
{
	for my $version ('', q{VERSION '0.1.0'})
	{
		my $database = join '_', 'same', $schema, $version ? 'updated' : 'new';
		$node->safe_psql('postgres', "CREATE DATABASE $database");
		$node->safe_psql($database, qq{
			CREATE SCHEMA IF NOT EXISTS $schema;
			CREATE EXTENSION pg_sync_job SCHEMA $schema $version;
			ALTER EXTENSION pg_sync_job UPDATE});
	}
	my ($new, $updated) = map { catalog($node, "same_${schema}_$_") } 'new', 'updated';
	cmp_ok(length $new, '>', 100_000, 'there is something to compare');
	same_catalog($updated, $new, "an update of 0.1.0 in the schema $schema leads to the same as CREATE EXTENSION");
	$node->safe_psql("same_${schema}_updated", qq{COMMENT ON COLUMN $schema.sync_job.id IS 'changed'});
	isnt(catalog($node, "same_${schema}_updated"), $new, 'a comment would be seen');
}

# An update locks none of the tables before the transactions of scheduler and workers are over, which hold the extension: with
# one that has locked some of them it would deadlock. COMMENT holds it, too.
$node->safe_psql('postgres', 'CREATE DATABASE held');
$node->safe_psql('held', q{CREATE EXTENSION pg_sync_job VERSION '0.1.0'});
my $holder = $node->background_psql('held');
for my $change ('UPDATE', 'SET SCHEMA public')
{
	$holder->query_safe(q{BEGIN; COMMENT ON EXTENSION pg_sync_job IS 'held'});
	my $changer = $node->background_psql('held');
	$changer->query_until(qr/start/, "\\echo start\nALTER EXTENSION pg_sync_job $change;\n");
	my $waiting = qq{pid FROM pg_stat_activity WHERE query = 'ALTER EXTENSION pg_sync_job $change;' AND wait_event_type = 'Lock'};
	poll($node, "SELECT count(*) = 1 FROM (SELECT $waiting) AS w", "ALTER EXTENSION $change waits for who holds the extension");
	is($node->safe_psql('held', qq{SELECT string_agg(relation::regclass::text, ' ') FROM pg_locks WHERE granted AND relation > 16384 AND pid IN (SELECT $waiting)}), '', 'and holds nothing meanwhile');
	$holder->query_safe('COMMIT');
	$changer->quit;
}
is($node->safe_psql('held', q{SELECT extversion <> '0.1.0' FROM pg_extension WHERE extname = 'pg_sync_job'}), 't', 'then it updates');
$holder->quit;

# Not preloaded: said once, and all but the workers works.
$node->safe_psql('app', $again);
$node->stop('fast');
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->start;
$node->safe_psql('app', 'CREATE EXTENSION pg_sync_job');
load_probe($node, 50, 'app');
my ($code, $out, $err) = $node->psql('app', q{
	SELECT enqueue_sync_job('Probe', '1'); SELECT enqueue_sync_job('Probe', '2'); SELECT enqueue_sync_job('Probe Committing', '3')});
my $notices = () = $err =~ /NOTICE/g;
is($notices, 1, 'a session that enqueues is told once');
like($err, qr/NOTICE: .*preload/, 'what is missing');
is($node->safe_psql('app', q{SELECT status FROM execute_sync_job((SELECT min(id) FROM sync_job))}), 'Finished', 'execute_sync_job works');
$node->safe_psql('app', q{CALL run_sync_jobs()});
is($node->safe_psql('app', q{SELECT string_agg(status, ',') FROM sync_job}), 'Finished,Finished,Finished', 'and so does run_sync_jobs');
is($node->safe_psql('app', q{SELECT note FROM sync_job_queue_status WHERE queue = 'default'}), 'pg_sync_job is not preloaded', 'the view says why nothing runs by itself');

$node->stop('fast');
unlike_accidents($node);
done_testing();
