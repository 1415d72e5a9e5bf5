# An upgrade with jobs in every state: new files, restart, ALTER EXTENSION UPDATE in each database, at different times. Between
# the last two the new library meets the old tables: all but the workers goes on. Nothing is lost.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use Upgrade;

my $node = released_cluster('main', no_extension => 1, conf => "sync_job.poll_interval = '1s'\nmax_prepared_transactions = 2");
my @databases = ('first', 'later');
my $waits = 'waits for ALTER EXTENSION pg_sync_job UPDATE';
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE ROLE reader LOGIN');

sub as
{
	my ($role, $database, $sql) = @_;
	return $node->safe_psql($database, $sql, extra_params => [ '-U', $role ]);
}

# What the statement fails with.
sub error_of
{
	my ($role, $database, $sql) = @_;
	my ($stdout, $stderr);
	$node->psql($database, $sql, stdout => \$stdout, stderr => \$stderr, extra_params => [ '-U', $role ]);
	return $stderr;
}

my $rows = q{SELECT j::text FROM sync_job AS j ORDER BY id};
my $rights = q{
	SELECT p.oid::regprocedure, p.proowner::regrole, (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(p.proacl) AS a)
	FROM pg_proc AS p WHERE p.proname ~ 'sync_job|background_job' AND p.pronamespace = 'public'::regnamespace ORDER BY p.oid::regprocedure::text};
# Of the functions that were there before: others have come since, and some have more arguments.
sub rights_as_before
{
	my ($now, $before) = @_;
	my %before = map { (split /\|/)[0] => 1 } split /\n/, $before;
	my @now;
	for my $line (split /\n/, $now)
	{
		my ($signature) = split /\|/, $line;
		my $shorter = $signature =~ s/,[^,]+\)$/)/r;
		$line =~ s/^\Q$signature\E/$shorter/ if !$before{$signature};
		push @now, $line if $before{ (split /\|/, $line)[0] };
	}
	return join "\n", @now;
}
my $grants = q{SELECT * FROM sync_job_internal.access ORDER BY 1, 2; SELECT * FROM sync_job_internal.type_grant ORDER BY 1, 2;
	SELECT relacl FROM pg_class WHERE oid = 'sync_job_error'::regclass};
my $ids = q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM sync_job WHERE id <= %s AND job_id IS DISTINCT FROM 'prepared'};

# --- The old version, with jobs in each state ---

my (%expected, %rights, %grants);
for my $database (@databases)
{
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE EXTENSION pg_sync_job');
	load_probe($node, 100, $database);
	load_example($node, $database);
	$node->safe_psql($database, q{
		UPDATE sync_job_queue SET max_workers = 4;
		SELECT attach_sync_job_triggers('SAP Customer Sync', 'customer');
		SELECT grant_sync_job_type('SAP Customer Sync', 'app');
		SELECT grant_sync_job_access('reader', 'viewer');
		REVOKE EXECUTE ON FUNCTION enqueue_background_job FROM PUBLIC;
		GRANT EXECUTE ON FUNCTION enqueue_background_job TO app;
		REVOKE EXECUTE ON FUNCTION attach_sync_job_triggers FROM PUBLIC;
		GRANT EXECUTE ON FUNCTION attach_sync_job_triggers TO app WITH GRANT OPTION;
		GRANT SELECT ON sync_job_error, effect TO app;
		CREATE FUNCTION count_effects() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM effect';
		INSERT INTO customer SELECT 'C-' || i, 'Customer ' || i, 'North' FROM generate_series(1, 50) AS i;
		DELETE FROM customer WHERE name = 'C-50';
		SELECT count(enqueue_sync_job('Probe', d)) FROM doc AS d WHERE id <= 20;
		SELECT enqueue_sync_job('Probe', '21', context => '{"fail": "for good"}', max_retries => 0);
		SELECT cancel_sync_job(enqueue_sync_job('Probe', '22', queue_on_insert => false))});
	$node->poll_query_until($database, q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started')});
	$node->safe_psql($database, q{
		SELECT pause_sync_job_queue('long');
		SELECT enqueue_sync_job('Probe', '31', queue_on_insert => false, job_id => 'pending');
		SELECT enqueue_sync_job('Probe', '32', queue => 'long', job_id => 'queued');
		SELECT enqueue_sync_job('Probe', '33', scheduled_at => now() + '1 day', job_id => 'scheduled');
		SELECT enqueue_sync_job('Probe', '34', context => '{"fail": "for now"}', retry_delay => '1 day', job_id => 'retry');
		SELECT enqueue_background_job('count_effects', queue => 'long', job_id => 'before');
		SELECT enqueue_background_job('count_effects', after => ARRAY[(SELECT id FROM sync_job WHERE job_id = 'before')], job_id => 'after')});
	$node->poll_query_until($database, q{SELECT status = 'Failed' FROM sync_job WHERE job_id = 'retry'});
	close_gate($node, $database);
	wait_until_running($node, enqueue($node, 'Probe Alone', 41, q{context => '{"gate": "closed"}', job_id => 'running'}, $database), $database);
	$node->safe_psql($database, q{BEGIN; SELECT enqueue_sync_job('Probe', '42', job_id => 'prepared'); PREPARE TRANSACTION 'later'}) if $database eq 'later';
}
# Killed, so that what runs is found as Started by the new library.
$node->stop('immediate');
install_files($node, 'new');
my $offset = -s $node->logfile;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->start;
for my $database (@databases)
{
	is($node->safe_psql($database, q{SELECT status FROM sync_job WHERE job_id = 'running'}), 'Started', "$database: one job is Started");
	$expected{$database} = $node->safe_psql($database, $rows);
	$rights{$database} = $node->safe_psql($database, $rights);
	$grants{$database} = $node->safe_psql($database, $grants);
}
$node->stop('fast');

# --- The new library, the old tables ---

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_sync_job'");
$node->start;
for my $database (@databases)
{
	ok($node->wait_for_log(qr/LOG:  sync jobs of database "$database" wait: extension pg_sync_job has version 0\.1\.0, but the library has version \S+\n.*HINT:  Use ALTER EXTENSION pg_sync_job UPDATE in it/, $offset),
		"$database: the log says that its jobs wait, and for what");
	poll($node, qq{SELECT bool_and(note = '$waits') FROM sync_job_queue_status}, 'so does the view', $database);
	is($node->safe_psql($database, $rows), $expected{$database}, 'the jobs are as they were');

	# Triggers, enqueueing, reading, control.
	$node->safe_psql($database, q{
		INSERT INTO customer SELECT 'N-' || i, 'New ' || i, 'South' FROM generate_series(1, 20) AS i;
		UPDATE customer SET territory = 'West' WHERE name IN ('C-1', 'C-2');
		DELETE FROM customer WHERE name = 'C-3'});
	is($node->safe_psql($database, q{SELECT count(*) FROM sync_job WHERE sync_job_type = 'SAP Customer Sync' AND status = 'Queued'}), '23', 'triggers enqueue');
	like(as('app', $database, q{SELECT enqueue_sync_job('SAP Customer Sync', 'C-4')}), qr/^\d+$/, 'so does whoever has the right');
	is($node->safe_psql($database, q{SELECT enqueue_sync_jobs('Probe', ARRAY['51', '52', '53'])}), '3', 'many at once');
	$node->safe_psql($database, q{SELECT enqueue_sync_job('Probe', d.*) FROM doc AS d WHERE id = 54; SELECT enqueue_sync_job('{"sync_job_type": "Probe", "source_document_name": 55}'::jsonb)});
	like(as('app', $database, q{SELECT enqueue_background_job('count_effects', job_id => 'mine')}), qr/^\d+$/, 'background work');
	my $same = q{SELECT enqueue_sync_job('Probe', '56', deduplicate => true)};
	is($node->safe_psql($database, $same), $node->safe_psql($database, $same), 'deduplicated');
	like(error_of('reader', $database, q{SELECT enqueue_background_job('count_effects')}), qr/permission denied for function enqueue_background_job/, 'a right that was taken away stays away');
	is($node->safe_psql($database, q{SELECT (start_sync_job(id)).status FROM sync_job WHERE job_id = 'pending'}), 'Queued', 'a pending job is started');
	is($node->safe_psql($database, q{SELECT (cancel_sync_job(enqueue_sync_job('Probe', '57'))).status}), 'Canceled', 'one is canceled');
	is($node->safe_psql($database, q{SELECT get_sync_document('customer', 'C-3') ->> 'territory'}), 'North', 'a deleted document is read');
	cmp_ok($node->safe_psql($database, q{SELECT count(*) FROM sync_job_stats}), '>', 4, 'views are read');
	is(as('reader', $database, q{SELECT count(*) > 50 FROM sync_job}), 't', 'by a viewer, too');
	$node->safe_psql($database, q{INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
		VALUES ('Made Between', 'customer', 'sap_customer', '{"erp_customer": "name"}', '{"territory": "territory"}')});

	# What runs jobs waits.
	for my $statement ('CALL run_sync_jobs()', q{SELECT execute_sync_job(id) FROM sync_job WHERE job_id = 'pending'})
	{
		like(error_of('postgres', $database, $statement), qr/ERROR:  sync jobs .*wait: extension pg_sync_job has version 0\.1\.0.*HINT:  Use ALTER EXTENSION pg_sync_job UPDATE/s, "$statement says so, too");
	}
	my $last = $node->safe_psql($database, 'SELECT max(id) FROM sync_job');
	$expected{$database} = { last => $last, ids => $node->safe_psql($database, sprintf $ids, $last) };
}
# Some rounds later.
$node->safe_psql('later', q{INSERT INTO customer VALUES ('N-99', 'Last', 'East')});
my $session = $node->background_psql('first');
$session->query_safe(q{SELECT enqueue_sync_job('Probe', '60')});
my $rounds = $node->safe_psql('postgres', 'SELECT now()');
poll($node, qq{SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'sync job scheduler' AND state_change > '$rounds'::timestamptz + '2 s'}, 'the schedulers look again');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'sync job worker'}), '0', 'no worker runs');
like_log($node, $offset, qr/LOG:  sync jobs of database "$_" wait/, 1, "$_: it was said once") for @databases;

# --- ALTER EXTENSION UPDATE, in one database, then in the other ---

for my $database (@databases)
{
	# A transaction that has enqueued holds its locks, prepared, too: the update would wait for it.
	$node->safe_psql($database, q{COMMIT PREPARED 'later'}) if $database eq 'later';
	$node->psql($database, 'ALTER EXTENSION pg_sync_job UPDATE', stderr => \my $told, on_error_die => 1);
	like($told, qr/NOTICE:  jobs that have ended are not cleared in this database until sync_job\.log_retention_days is set\n.*HINT:  Set it/s, "$database: the update says that old jobs stay");
	open_gate($node, $database);
	if ($database eq 'first')
	{
		is($node->safe_psql('later', q{SELECT DISTINCT note FROM sync_job_queue_status}), $waits, 'the other database still waits');
		$session->query_safe(q{SELECT enqueue_sync_job('Probe', '61'); INSERT INTO customer VALUES ('N-100', 'In an older session', 'East')});
		$session->quit;
	}
	is(rights_as_before($node->safe_psql($database, $rights), $rights{$database}), $rights{$database}, "$database: rights on functions are as they were");
	is($node->safe_psql($database, $grants), $grants{$database}, 'and levels and grants');
	poll($node, q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started') AND scheduled_at IS NULL AND queue <> 'long'}, 'the workers go on', $database);
	# While they worked, a role may have waited for its turn.
	poll($node, q{SELECT string_agg(DISTINCT note, ',') = 'paused' FROM sync_job_queue_status}, 'and nothing waits any more but what is paused', $database);
	$node->safe_psql($database, q{
		SELECT resume_sync_job_queue('long');
		SELECT retry_sync_job(id, '{}') FROM sync_job WHERE job_id = 'retry'});
	poll($node, q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Pending', 'Queued', 'Started') AND scheduled_at IS NULL}, 'until all has ended', $database);
	is($node->safe_psql($database, q{SELECT string_agg(concat_ws(' ', job_id, status, source_document_name), ', ' ORDER BY id) FROM sync_job WHERE status NOT IN ('Finished', 'Skipped')}),
		'Failed 21, Canceled 22, scheduled Queued 33, Canceled 57', 'well, but for what failed or was canceled before, or is scheduled');
	is($node->safe_psql($database, q{SELECT count(*) FROM customer AS c FULL JOIN sap_customer AS s ON s.erp_customer = c.name
		WHERE (c.customer_name, c.territory) IS DISTINCT FROM (s.customer_name, s.territory)}), '2',
		'customers and their copies agree, but for the deleted ones, which this controller leaves');
	is($node->safe_psql($database, q{SELECT count(*) FROM effect WHERE changes <> 1}), '0', 'each job had its effect once');
	is($node->safe_psql($database, sprintf $ids, $expected{$database}{last}), $expected{$database}{ids}, 'each is there, once');
}

# --- Old jobs: kept as before, until the setting says how long ---

my $old = $node->safe_psql('first', q{UPDATE sync_job SET ended_at = now() - interval '40 days' WHERE id = (SELECT min(id) FROM sync_job WHERE status = 'Finished') RETURNING id});
my $looked = $node->safe_psql('first', q{SELECT coalesce(max(at), '-infinity') FROM sync_job_internal.last_success});
$node->safe_psql('first', q{SELECT enqueue_sync_job('Probe', '62')});
poll($node, "SELECT max(at) > '$looked' FROM sync_job_internal.last_success", 'the scheduler has looked', 'first');
is(status_of($node, $old, 'first'), 'Finished', 'an old job is kept');
$node->safe_psql('postgres', 'ALTER DATABASE first SET sync_job.log_retention_days = 30');
poll($node, "SELECT count(*) = 0 FROM sync_job WHERE id = $old", 'and cleared once the setting is set', 'first');

$node->stop('fast');
unlike_accidents($node);
done_testing();
