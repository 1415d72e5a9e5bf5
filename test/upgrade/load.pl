# An upgrade under load: an application goes on writing to a table with a trigger, enqueueing and reading jobs, while files are replaced, and
# while the database is updated, with jobs in every state, schedules and grants; only the restart interrupts it. No write of it is refused,
# no job is lost or done twice. LOAD=100000 make test-upgrade TESTS=load has so many jobs instead of 2,000.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use Upgrade;

need_pg_cron();
my $jobs = $ENV{LOAD} || 2000;
my $node = released_cluster('main', conf => "shared_preload_libraries = 'pg_cron, pg_sync_job'\ncron.use_background_workers = on\nsync_job.poll_interval = '1s'");
load_probe($node, $jobs);
load_example($node);
sub sql { return $node->safe_psql('postgres', $_[0]) }

# --- 0.1.0, with jobs in every state ---

sql(qq{
	CREATE EXTENSION pg_cron;
	CREATE ROLE app LOGIN;
	SELECT grant_sync_job_access('app', 'operator');
	SELECT schedule_sync_job('nightly', '0 3 * * *', 'Probe', params => '{"source_document_name": "1"}');
	INSERT INTO customer SELECT 'C-' || i, 'Customer ' || i, 'North' FROM generate_series(1, $jobs / 2) AS i;
	SELECT enqueue_sync_jobs('SAP Customer Sync', ARRAY(SELECT name FROM customer));
	SELECT count(enqueue_sync_job('Probe', i::text, context => '{"fail": "for good"}', max_retries => 0)) FROM generate_series(1, $jobs / 20) AS i;
	SELECT count(enqueue_sync_job('Probe', i::text, context => '{"fail": "for now"}', retry_delay => '1 day')) FROM generate_series($jobs / 20 + 1, $jobs / 10) AS i});
poll($node, q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started')}, 'the old version has run them');
sql(qq{
	SELECT pause_sync_job_queue('long');
	SELECT enqueue_sync_jobs('Probe', ARRAY(SELECT i::text FROM generate_series(1, $jobs / 5) AS i), queue => 'long');
	SELECT count(enqueue_sync_job('Probe', i::text, scheduled_at => now() + '1 day')) FROM generate_series(1, $jobs / 20) AS i;
	SELECT count(enqueue_sync_job('Probe', i::text, queue_on_insert => false)) FROM generate_series(1, $jobs / 20) AS i;
	SELECT count(cancel_sync_job(enqueue_sync_job('Probe', i::text, queue_on_insert => false))) FROM generate_series(1, $jobs / 20) AS i;
	SELECT attach_sync_job_triggers('SAP Customer Sync', 'customer', deduplicate => false)});
my $states = q{SELECT string_agg(concat_ws(' ', status, n), ', ' ORDER BY status) FROM (SELECT status, count(*) AS n FROM sync_job
	WHERE id <= %s GROUP BY 1) AS s};
my $last = sql('SELECT max(id) FROM sync_job');
my $expected = sql(sprintf $states, $last);
like($expected, qr/^Canceled \d+, Failed \d+, Finished \d+, Pending \d+, Queued \d+$/, "jobs in each state: $expected");

# --- What writes meanwhile ---

# Reads jobs, changes a customer, enqueues, and counts that, in one transaction; the next one has the reverse order.
sql(q{
	CREATE TABLE written (n bigint GENERATED ALWAYS AS IDENTITY, job bigint);
	CREATE TABLE stop ();
	CREATE PROCEDURE write() LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. 1000000 LOOP
			EXIT WHEN EXISTS (SELECT FROM stop);
			IF i % 2 = 0 THEN PERFORM count(*) FROM sync_job WHERE status = 'Started'; END IF;
			UPDATE customer SET customer_name = 'changed ' || i WHERE name = 'C-' || 1 + i % 100;
			INSERT INTO written (job) SELECT enqueue_sync_job('Probe', (1 + i % 100)::text);
			IF i % 2 = 1 THEN PERFORM count(*) FROM sync_job_queue_status; END IF;
			COMMIT;
			PERFORM pg_sleep(0.01);
		END LOOP;
	END $$;
	GRANT ALL ON customer, written, stop TO app; GRANT SELECT ON doc, effect TO app;
	SELECT grant_sync_job_type('Probe', 'app')});

sub start_application
{
	sql('TRUNCATE stop');
	return map {
		my ($out, $err) = ('', '');
		{ err => \$err, run => IPC::Run::start([ 'psql', '-X', '-q', '-U', 'app', '-d', $node->connstr('postgres'), '-c', 'CALL write()' ], '<', \undef, '>', \$out, '2>', \$err) }
	} 1 .. 3;
}

sub goes_on
{
	my ($name) = @_;
	my $sofar = sql('SELECT count(*) FROM written');
	return poll($node, "SELECT count(*) > $sofar + 30 FROM written", $name) || BAIL_OUT($name);
}

sub stop_application
{
	my ($name, @application) = @_;
	sql('INSERT INTO stop DEFAULT VALUES');
	for (@application)
	{
		$_->{run}->finish;
		is($_->{run}->result(0) . ${ $_->{err} }, '0', $name);
	}
	return;
}

my @application = start_application();
goes_on('the application writes');
install_files($node, 'new');
goes_on('and goes on with the new files beside the old library');
stop_application('no write was refused', @application);
$node->restart;

@application = start_application();
goes_on('it writes with the new library, to the old tables');
poll($node, q{SELECT count(*) > 0 FROM sync_job_queue_status WHERE note LIKE 'waits for ALTER EXTENSION%'}, 'whose jobs wait');
# Transactions that have read a table of the extension, and enqueue once the update has begun: none of them may be the victim of a deadlock.
my @reading = map { my $session = $node->background_psql('postgres'); $session->query_safe("BEGIN; SELECT count(*) FROM $_"); $session } qw(sync_job sync_job_type sync_job_queue);
my $update = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-v', 'ON_ERROR_STOP=1', '-c', 'ALTER EXTENSION pg_sync_job UPDATE' ], '<', \undef, '>', \my $told, '2>&1');
poll($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'ALTER EXTENSION%' AND state = 'active'}, 'the update begins');
for my $session (@reading)
{
	like($session->query_safe(q{INSERT INTO written (job) SELECT enqueue_sync_job('Probe', '1') RETURNING job; COMMIT}), qr/\d/, 'somebody who has read before enqueues meanwhile');
	$session->quit;
}
$update->finish;
is($update->result(0), 0, 'the update has ended') or diag($told);
goes_on('and after the update, in the same sessions');
stop_application('no write was refused', @application);

# --- Nothing is lost ---

poll($node, q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started') AND scheduled_at IS NULL AND queue <> 'long'}, 'what waited runs');
is(sql(sprintf $states, $last), $expected, 'what was there before is as it was');
is(sql(q{SELECT count(*) FROM written AS w LEFT JOIN sync_job AS j ON j.id = w.job WHERE j.status IS DISTINCT FROM 'Finished'}), '0', 'each job that the application has enqueued is done');
is(sql(q{SELECT count(*) - 3 FROM written}), sql(qq{SELECT count(*) FROM sync_job WHERE id > $last AND sync_job_type = 'SAP Customer Sync'}), 'each write has its job');
is(sql(q{SELECT count(*) FROM customer AS c FULL JOIN sap_customer AS s ON s.erp_customer = c.name WHERE (c.customer_name, c.territory) IS DISTINCT FROM (s.customer_name, s.territory)}),
	'0', 'all targets are in step');
is(sql(q{SELECT sum(changes) FROM effect}), sql(q{SELECT count(*) FROM sync_job WHERE sync_job_type = 'Probe' AND status IN ('Finished', 'Skipped')}), 'each job had its effect once');
is(sql(q{SELECT name FROM sync_job_schedules WHERE next_run IS NOT NULL}), 'nightly', 'the schedule is there') or diag(sql('SELECT * FROM sync_job_schedules'));
sql(q{SELECT resume_sync_job_queue('long'); SELECT count(*) FROM start_sync_jobs(ARRAY(SELECT id FROM sync_job WHERE status = 'Pending'));
	SELECT count(*) FROM retry_sync_jobs(ARRAY(SELECT id FROM sync_job WHERE retry_after IS NOT NULL), '{}')});
poll($node, q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Pending', 'Queued', 'Started') AND scheduled_at IS NULL}, 'and what waited for somebody runs when told to');
is(sql(q{SELECT count(*) FROM sync_job WHERE status = 'Failed'}), $jobs / 20, 'but what had failed for good');

$node->stop('fast');
unlike_accidents($node);
done_testing();
