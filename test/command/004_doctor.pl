# The doctor finds each of its conditions where it is planted, says what to do, and has nothing to say of a healthy server.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use SyncJob;
use Command;

my $node = new_cluster('doctor', conf => healthy_conf() . "max_prepared_transactions = 5\nwal_level = logical\nautovacuum = off\n");
use_node($node);
load_example($node);
load_probe($node, 3);
$node->safe_psql('postgres', q{SELECT attach_sync_job_triggers('SAP Customer Sync', 'customer'); INSERT INTO customer VALUES ('CUST-1', 'Ann', 'North')});
wait_for_jobs($node);

my ($code, $out, $err) = call('doctor', '--fail-on', 'warning');
is($code, 0, 'nothing on a healthy server') or diag($out, $err);
like($out, qr/^24 checks, 0 errors, 0 warnings$/, '… by so many checks');

# The findings of one check.
sub findings
{
	my ($check, @arguments) = @_;
	my ($code, $out, $err) = call('doctor', '--json', @arguments);
	my $report = eval { JSON::PP->new->utf8->decode($out) } // {};
	return ($code, grep { $_->{check} eq $check } @{ $report->{findings} // [] });
}

# The same once there are so many, or after a while: what processes do in the meantime, and what they learn later, comes and goes.
sub so_many_findings
{
	my ($count, @arguments) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	while (1)
	{
		my ($code, @found) = findings(@arguments);
		return ($code, @found) if @found == $count || time() > $end;
		usleep(100_000);
	}
}

# Plants something, and takes it away: between the two the check has one finding, afterwards none.
sub finds
{
	my ($check, $severity, $message, $plant, $remove, @arguments) = @_;
	ref $plant ? $plant->() : $node->safe_psql('postgres', $plant);
	my ($code, @found) = so_many_findings(1, $check, '--fail-on', $severity, @arguments);
	is(scalar @found, 1, "$check: found") or diag(explain(\@found));
	is($found[0]{severity}, $severity, "… as $severity");
	like($found[0]{message}, $message, '… in these words');
	ok($found[0]{hint} || $check eq 'alerts', '… and with what to do');
	is($code, 1, '… and it fails a deployment');
	ref $remove ? $remove->() : $node->safe_psql('postgres', $remove);
	($code, @found) = so_many_findings(0, $check, @arguments);
	is(scalar @found, 0, '… and gone with its cause') or diag(explain(\@found));
	return;
}

# A setting of the server, and its end.
sub setting
{
	my ($name, $value) = @_;
	return (sub { $node->safe_psql('postgres', "ALTER SYSTEM SET $name = $value"); reload() }, sub { $node->safe_psql('postgres', "ALTER SYSTEM RESET $name"); reload() });
}

# New sessions have the new settings once the postmaster has read them.
sub reload
{
	my $before = $node->safe_psql('postgres', 'SELECT pg_conf_load_time()');
	$node->reload;
	$node->poll_query_until('postgres', "SELECT pg_conf_load_time() > '$before'");
	return;
}

sub failing
{
	my ($statement, $message) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $statement);
	return $status;
}

# ---- the server ----

finds('enabled', 'error', qr/sync_job\.enabled is off/, 'ALTER DATABASE postgres SET sync_job.enabled = off', 'ALTER DATABASE postgres RESET sync_job.enabled');
finds('max_workers', 'error', qr/sync_job\.max_workers is 0/, setting('sync_job.max_workers', 0));
finds('max_workers', 'warning', qr/max_workers of queue "long" is 0/, q{UPDATE sync_job_queue SET max_workers = 0 WHERE name = 'long'},
	q{UPDATE sync_job_queue SET max_workers = 2 WHERE name = 'long'});
finds('worker_slots', 'warning', qr/max_worker_processes is 32, and \d+ are asked for/, setting('sync_job.max_workers', 40));
finds('paused', 'warning', qr/queue "long" is paused/, q{SELECT pause_sync_job_queue('long')}, q{SELECT resume_sync_job_queue('long')});
finds('paused', 'warning', qr/type "Probe" is paused/, q{SELECT pause_sync_job_type('Probe')}, q{SELECT resume_sync_job_type('Probe')});
finds('retention', 'warning', qr/kept for ever/, setting('sync_job.log_retention_days', -1));
finds('adopted', 'error', qr/restored or copied/, q{UPDATE sync_job_internal.home SET database = 0}, q{SELECT adopt_sync_jobs()});
finds('vacuum', 'warning', qr/transaction "left" of role "postgres" has been prepared/,
	q{BEGIN; CREATE TABLE left_over (); PREPARE TRANSACTION 'left'}, q{ROLLBACK PREPARED 'left'}, '--transaction', '0');
my $session = $node->background_psql('postgres');
finds('vacuum', 'warning', qr/transaction of role "postgres" \(idle in transaction\) has been open/,
	sub { $session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1') }, sub { $session->query_safe('COMMIT') }, '--transaction', '0');
$session->quit;
finds('vacuum', 'warning', qr/nobody uses replication slot "forgotten"/, q{SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')},
	q{SELECT pg_drop_replication_slot('forgotten')});

# A role that may not connect, or not log in.
$node->safe_psql('postgres', q{CREATE ROLE worker LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO worker;
	DO $$ BEGIN -- but for ours
		EXECUTE (SELECT format('REVOKE ALL ON %s FROM worker', string_agg(d.objid::regclass::text, ', ')) FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
			JOIN pg_class AS c ON c.oid = d.objid WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND e.extname = 'pg_sync_job' AND c.relkind IN ('r', 'p'));
	END $$;
	UPDATE sync_job_type SET run_as = 'worker' WHERE name = 'Probe Alone'});
finds('roles', 'error', qr/role "worker", as which jobs run, may not connect/, 'REVOKE CONNECT ON DATABASE postgres FROM PUBLIC', 'GRANT CONNECT ON DATABASE postgres TO PUBLIC');
if ($node->safe_psql('postgres', q{SELECT current_setting('server_version_num')::int < 170000}) eq 't')
{
	finds('roles', 'error', qr/role "worker", as which jobs run, may not log in/, 'ALTER ROLE worker NOLOGIN', 'ALTER ROLE worker LOGIN');
}
$node->safe_psql('postgres', q{UPDATE sync_job_type SET run_as = 'postgres' WHERE name = 'Probe Alone'});

# ---- the tables ----

finds('grants', 'warning', qr/role "worker" was granted DELETE, INSERT, UPDATE on table public\.sync_job_error/, 'GRANT INSERT, UPDATE, DELETE ON sync_job_error TO worker',
	'REVOKE INSERT, UPDATE, DELETE ON sync_job_error FROM worker');
finds('grants', 'warning', qr/role "worker" was granted TRUNCATE on table public\.sync_job_queue/, 'GRANT TRUNCATE ON sync_job_queue TO worker', 'REVOKE TRUNCATE ON sync_job_queue FROM worker');
$node->safe_psql('postgres', q{CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'});
finds('attached', 'warning', qr/somebody has made trigger "mine" on table public\.sync_job_queue/,
	'CREATE TRIGGER mine BEFORE UPDATE ON sync_job_queue FOR EACH ROW EXECUTE FUNCTION nothing()', 'DROP TRIGGER mine ON sync_job_queue');
finds('attached', 'warning', qr/somebody has made rule "mine"/, 'CREATE RULE mine AS ON INSERT TO sync_job_event DO ALSO NOTHING', 'DROP RULE mine ON sync_job_event');
finds('attached', 'warning', qr/foreign key "refers_queue_fkey" of table public\.refers/, 'CREATE TABLE refers (queue text COLLATE "C" REFERENCES sync_job_queue)', 'DROP TABLE refers');
finds('in_the_way', 'error', qr/.*check "mine"|mine/, 'ALTER TABLE sync_job_internal.sync_job_ended ADD CONSTRAINT mine CHECK (id > 0)',
	'ALTER TABLE sync_job_internal.sync_job_ended DROP CONSTRAINT mine');
finds('indexes', 'warning', qr/index public\.broken of table public\.sap_customer is not valid/,
	sub { $node->safe_psql('postgres', q{INSERT INTO sap_customer (erp_customer, territory) VALUES ('a', 'x'), ('b', 'x')});
		failing('CREATE UNIQUE INDEX CONCURRENTLY broken ON sap_customer (territory)') },
	q{DROP INDEX broken; DELETE FROM sap_customer WHERE erp_customer IN ('a', 'b')});
finds('bloat', 'warning', qr/index \S+ has \d+ \S+ for \d+ rows/,
	sub {
		$node->safe_psql('postgres', q{INSERT INTO sync_job_event (event, created_by) SELECT 'x', 'postgres' FROM generate_series(1, 60000)});
		$node->safe_psql('postgres', q{DELETE FROM sync_job_event});
		$node->poll_query_until('postgres', q{SELECT pg_stat_get_live_tuples('sync_job_event'::regclass) = 0});
	},
	q{REINDEX TABLE sync_job_event}, '--bloat', '1');

# ---- types ----

finds('valid', 'error', qr/update_target_doc/, 'ALTER FUNCTION sap_customer_sync.update_target_doc RENAME TO gone', 'ALTER FUNCTION sap_customer_sync.gone RENAME TO update_target_doc');
finds('valid', 'warning', qr/disabled/, q{UPDATE sync_job_type SET disabled = true WHERE name = 'Probe'}, q{UPDATE sync_job_type SET disabled = false WHERE name = 'Probe'});
finds('triggers', 'warning', qr/trigger "sync_job_sap_customer_sync" of table public\.customer is disabled/, 'ALTER TABLE customer DISABLE TRIGGER USER', 'ALTER TABLE customer ENABLE TRIGGER USER');
finds('triggers', 'warning', qr/fires only for what replication writes/, 'ALTER TABLE customer ENABLE REPLICA TRIGGER sync_job_sap_customer_sync', 'ALTER TABLE customer ENABLE TRIGGER USER');
finds('triggers', 'warning', qr/trigger "later" of table public\.doc is deferrable/,
	q{CREATE CONSTRAINT TRIGGER later AFTER INSERT ON doc DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('Probe')}, 'DROP TRIGGER later ON doc');
my $failed;
finds('failed', 'warning', qr/1 jobs? of type "Probe" ha/,
	sub { $failed = $node->safe_psql('postgres', q{SELECT enqueue_sync_job('Probe', '1', context => '{"fail": "no"}', max_retries => 0)}); wait_for_jobs($node) },
	sub { $node->safe_psql('postgres', "SELECT cancel_sync_job($failed)") });
finds('behind', 'warning', qr/oldest change for type "Probe" has waited/,
	sub { $node->safe_psql('postgres', q{SELECT pause_sync_job_queue('long')}); $failed = $node->safe_psql('postgres', q{SELECT enqueue_sync_job('Probe', '2', queue => 'long')}) },
	sub { $node->safe_psql('postgres', "SELECT cancel_sync_job($failed), resume_sync_job_queue('long')") }, '--behind', '0');
finds('set_up', 'error', qr/jobs of type "SAP Customer Sync" fail since .*update_target_doc/s,
	sub {
		$node->safe_psql('postgres', q{ALTER FUNCTION sap_customer_sync.update_target_doc RENAME TO gone});
		$failed = $node->safe_psql('postgres', q{SELECT enqueue_sync_job('SAP Customer Sync', 'CUST-1')});
		$node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM sync_job_setup_error');
		$node->safe_psql('postgres', q{ALTER FUNCTION sap_customer_sync.gone RENAME TO update_target_doc});
	},
	sub {
		$node->safe_psql('postgres', "SELECT cancel_sync_job($failed)");
		$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM sync_job_setup_error');
	});
finds('alerts', 'warning', qr/alert "any" fires since/,
	sub {
		$node->safe_psql('postgres', q{INSERT INTO sync_job_alert (name, measure, threshold) VALUES ('any', 'failed', '0')});
		$failed = $node->safe_psql('postgres', q{SELECT enqueue_sync_job('Probe', '3', context => '{"fail": "no"}', max_retries => 0)});
		$node->poll_query_until('postgres', q{SELECT state = 'firing' FROM sync_job_alert});
	},
	sub { $node->safe_psql('postgres', "DELETE FROM sync_job_alert; SELECT cancel_sync_job($failed)") });
finds('pg_cron', 'error', qr/pg_cron is not loaded/, q{INSERT INTO sync_job_schedule (name, schedule, cron, sync_job_type, params, overlap, owner)
	VALUES ('nightly', 'daily', '0 0 * * *', 'Probe', '{}', false, 'postgres')},
	'DELETE FROM sync_job_schedule');

# ---- what needs a server of its own ----

# A pooler gives its clients other processes to cancel than there are.
SKIP:
{
	my $pgbouncer = (grep { -x } '/usr/sbin/pgbouncer', '/usr/bin/pgbouncer')[0];
	skip('there is no PgBouncer', 2) if !$pgbouncer;
	my $folder = PostgreSQL::Test::Utils::tempdir_short();
	append_to_file("$folder/ini", sprintf "[databases]\npostgres = host=%s port=%s user=postgres\n[pgbouncer]\nlisten_addr =\nlisten_port = 6432\nunix_socket_dir = %s\n"
			. "auth_type = any\npool_mode = transaction\nlogfile = %s/log\npidfile = %s/pid\n", $node->host, $node->port, $folder, $folder, $folder);
	system_or_bail($pgbouncer, '-q', '-d', "$folder/ini");
	local @ENV{qw(PGHOST PGPORT)} = ($folder, 6432);
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)    # it is in the background before it listens
	{
		last if (call('list'))[0] == 0;
		usleep(100_000);
	}
	my ($code, @found) = so_many_findings(1, 'pooler');
	is(scalar @found, 1, 'pooler: found');
	is((call('list'))[0], 0, 'and the command works through it');
	kill 'TERM', slurp_file("$folder/pid") =~ /(\d+)/;
}

# Another version in the catalog, as after an update of the files.
finds('versions', 'error', qr/has loaded version 1\.0\.0, and the database has 0\.9\.0/, q{UPDATE pg_extension SET extversion = '0.9.0' WHERE extname = 'pg_sync_job'},
	q{UPDATE pg_extension SET extversion = '1.0.0' WHERE extname = 'pg_sync_job'});

$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', q{''});
$node->restart;
my @found;
($code, @found) = so_many_findings(1, 'preloaded');
is(scalar @found, 1, 'preloaded: found');
is($code, 1, '… as an error');

# The processes: no slot for the scheduler.
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', q{'pg_sync_job'});
$node->adjust_conf('postgresql.conf', 'max_worker_processes', '1');
$node->restart;
ok($node->poll_query_until('postgres', q{SELECT note IS NOT NULL FROM sync_job_queue_status WHERE queue = 'default'}), 'a server without room for the processes');
($code, @found) = so_many_findings(1, 'processes');
is(scalar @found, 1, 'processes: found') or diag($node->safe_psql('postgres', 'SELECT queue, note FROM sync_job_queue_status'));
is($code, 1, '… as an error');
is(json_of(0, 'doctor', '--skip', 'processes', '--fail-on', 'error')->{errors}, 0, 'without that check all is well');

$node->stop('fast');
done_testing();
