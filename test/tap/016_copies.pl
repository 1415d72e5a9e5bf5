# Standby, promotion, base backup, dump and restore: jobs run in one place only, and there they go on.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', allows_streaming => 1, conf => "max_connections = 30\nwal_keep_size = '2 GB'");    # for the standby, however late it is
load_probe($node, 100);
$node->safe_psql('postgres', q{SELECT count(enqueue_sync_job('Probe', d)) FROM doc AS d WHERE id <= 50});
is(wait_for_jobs($node), 'Finished=50', 'jobs run on the primary');
$node->safe_psql('postgres', q{
	SELECT pause_sync_job_queue('long');
	SELECT enqueue_sync_job('Probe', '60', queue => 'long', job_id => 'waits');
	SELECT enqueue_sync_job('Probe', '61', scheduled_at => now() + '1 day');
	SELECT enqueue_sync_job('Probe', '62', context => '{"fail": "broken"}', max_retries => 0)});
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM sync_job WHERE status = 'Failed'});
$node->safe_psql('postgres', q{INSERT INTO sync_job_alert (name, sync_job_type, measure, threshold, hold) VALUES ('late', 'Probe', 'oldest_change', '1 day', '1 min');
	INSERT INTO sync_job_schedule (name, schedule, cron, sync_job_type, params, overlap, owner, paused) VALUES ('rests', 'daily', '0 0 * * *', 'Probe', '{}', false, 'postgres', true)});

# A dump, restored into another database: it waits until it is adopted.
my $everything = q{SELECT md5(string_agg(j::text, E'\n' ORDER BY id)), count(*) FROM sync_job AS j};
my $types = q{SELECT md5(string_agg(t::text, E'\n' ORDER BY name)) FROM sync_job_type AS t};
my $errors = q{SELECT count(*), min(message) FROM sync_job_error};
my $alerts = q{SELECT a.*::text FROM sync_job_alert AS a};
my $schedules = q{SELECT s.*::text FROM sync_job_schedule AS s};
my $history = q{SELECT md5(string_agg(c::text, E'\n' ORDER BY changed_at, sync_job_type)) FROM sync_job_type_change AS c WHERE changed_at < (SELECT min(created_at) FROM sync_job)};
my $dump = "$ENV{TESTDATADIR}/dump";
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
is($node->safe_psql('restored', $_), $node->safe_psql('postgres', $_), "the same after it: $_") for $everything, $types, $errors, $alerts, $schedules, $history;
is($node->safe_psql('restored', q{SELECT DISTINCT note FROM sync_job_queue_status}), 'waits for adopt_sync_jobs()', 'the restored database waits');
ok($node->wait_for_log(qr/sync jobs of database "restored" wait: they came with a dump or a copy/), 'the log says so');
my $highest = $node->safe_psql('restored', 'SELECT max(id) FROM sync_job');
my $old = $node->safe_psql('restored', q{UPDATE sync_job SET ended_at = now() - interval '40 days' WHERE id = (SELECT min(id) FROM sync_job WHERE status = 'Finished') RETURNING id});
my $new = enqueue($node, 'Probe', 63, undef, 'restored');
cmp_ok($new, '>', $highest, 'ids go on');
is(status_of($node, $new, 'restored'), 'Queued', 'its jobs wait');
is(status_of($node, $old, 'restored'), 'Finished', 'nor are old ones cleared');
$node->safe_psql('restored', 'SELECT adopt_sync_jobs()');
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $new", 'after adopt_sync_jobs() they run', 'restored');
poll($node, "SELECT count(*) = 0 FROM sync_job WHERE id = $old", 'and are cleared', 'restored');
is($node->safe_psql('restored', q{SELECT status, paused FROM sync_job JOIN sync_job_queue ON queue = name WHERE job_id = 'waits'}), 'Queued|t', 'a paused queue is paused there, too');
$node->safe_psql('restored', q{SELECT resume_sync_job_queue('long'); SELECT retry_sync_job(id, '{}') FROM sync_job WHERE status = 'Failed'});
poll($node, q{SELECT count(*) = 0 FROM sync_job WHERE status <> 'Finished' AND scheduled_at IS NULL}, 'and what was waiting runs', 'restored');
is($node->safe_psql('postgres', q{SELECT status FROM sync_job WHERE job_id = 'waits'}), 'Queued', 'the original has not moved');

# A parallel restore brings tables in any order, while the server's workers look on: no job runs before it is adopted.
my @not_in_dump = (q{SELECT count(*) FROM sync_job WHERE status <> 'Queued'}, q{SELECT count(*) FROM effect});
$node->safe_psql('postgres', 'CREATE DATABASE many');
$node->safe_psql('postgres', 'ALTER DATABASE many SET sync_job.enabled = off');
$node->safe_psql('many', 'CREATE EXTENSION pg_sync_job');
load_probe($node, 300, 'many');
$node->safe_psql('many', q{SELECT count(enqueue_sync_job('Probe', d)) FROM doc AS d;
	CREATE TABLE large AS SELECT repeat(md5(i::text), 10) AS text FROM generate_series(1, 50000) AS i});
my $directory = "$ENV{TESTDATADIR}/many";
$node->command_ok([ 'pg_dump', '-Fd', '-f', $directory, $node->connstr('many') ], 'pg_dump into a directory');
for my $round (1 .. 3)
{
	$node->safe_psql('postgres', "CREATE DATABASE parallel$round");
	$node->command_ok([ 'pg_restore', '--exit-on-error', '-j', '4', '-d', $node->connstr("parallel$round"), $directory ], "parallel restore $round");
	is($node->safe_psql("parallel$round", $_), '0', "nothing has run: $_") for @not_in_dump;
	is($node->safe_psql("parallel$round", q{SELECT DISTINCT note FROM sync_job_queue_status}), 'waits for adopt_sync_jobs()', 'the jobs wait');
}
$node->safe_psql('parallel3', 'SELECT adopt_sync_jobs()');
poll($node, q{SELECT count(*) = 300 FROM sync_job WHERE status = 'Finished'}, 'and run when they are adopted', 'parallel3');
# The order at its worst: all is there but the home.
my ($list) = run_command([ 'pg_restore', '-l', $directory ]);
my $without_home = "$ENV{TESTDATADIR}/without_home";
append_to_file($without_home, join("\n", grep { !/TABLE DATA sync_job_internal home/ } split(/\n/, $list)) . "\n");
$node->safe_psql('postgres', 'CREATE DATABASE homeless');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-L', $without_home, '-d', $node->connstr('homeless'), $directory ], 'a restore without the home');
is($node->safe_psql('homeless', q{SELECT DISTINCT note FROM sync_job_queue_status}), 'waits for adopt_sync_jobs()', 'its jobs wait');
ok($node->wait_for_log(qr/sync jobs of database "homeless" wait: they came with a dump or a copy/), 'the scheduler has looked');
is($node->safe_psql('homeless', $_), '0', "nothing has run: $_") for @not_in_dump;
# Nor where there is no row of it at all.
$node->safe_psql('homeless', 'DELETE FROM sync_job_internal.home');
is($node->safe_psql('homeless', 'SELECT sync_job_internal.waiting_elsewhere()'), 't', 'without a home they wait, too');

# Definitions first, data later: jobs that come into a database that is served already.
$node->safe_psql('postgres', 'CREATE DATABASE later');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-s', '-d', $node->connstr('later'), $directory ], 'a restore of the definitions');
$node->poll_query_until('later', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'sync job scheduler' AND datname = 'later'});
is($node->safe_psql('later', q{SELECT DISTINCT note IS NULL FROM sync_job_queue_status}), 't', 'is at home');
{
	local $ENV{PGOPTIONS} = '-c session_replication_role=replica';
	$node->command_ok([ 'pg_restore', '--exit-on-error', '-a', '-j', '4', '-d', $node->connstr('later'), $directory ], 'a restore of the data');
}
is($node->safe_psql('later', q{SELECT DISTINCT note FROM sync_job_queue_status}), 'waits for adopt_sync_jobs()', 'then it waits');
is($node->safe_psql('later', $_), '0', "nothing has run: $_") for @not_in_dump;
$node->safe_psql('later', q{SELECT adopt_sync_jobs()});
poll($node, q{SELECT count(*) = 300 FROM sync_job WHERE status = 'Finished'}, 'they run when they are adopted', 'later');
# Rows of jobs that a superuser writes by SQL are such data, too; a job cannot.
$node->safe_psql('later', q{INSERT INTO sync_job_internal.sync_job_live SELECT * FROM sync_job_internal.sync_job_live WHERE false});
is($node->safe_psql('later', q{SELECT DISTINCT note FROM sync_job_queue_status}), 'waits for adopt_sync_jobs()', 'whoever writes jobs by SQL');

# The owner of a database who is no superuser.
$node->safe_psql('postgres', 'CREATE ROLE plain LOGIN');
$node->safe_psql('postgres', 'CREATE ROLE saver LOGIN BYPASSRLS IN ROLE pg_read_all_data');
$node->safe_psql('postgres', 'CREATE DATABASE plain OWNER plain');
$node->safe_psql('plain', 'CREATE EXTENSION pg_sync_job');
load_probe($node, 10, 'plain');
$node->safe_psql('plain', q{GRANT SELECT ON ALL TABLES IN SCHEMA public TO plain; GRANT SELECT ON probe_run TO plain});
$node->safe_psql('plain', q{REVOKE ALL ON sync_job_deleted_document FROM plain});
my $plain_dump = "$ENV{TESTDATADIR}/plain";
my @plain = ('-d', $node->connstr('plain'), '-f', $plain_dump);
$node->command_ok([ 'pg_dump', '-U', 'plain', '-s', @plain ], 'pg_dump --schema-only as the owner of the database');
$node->command_ok([ 'pg_dump', '-U', 'plain', '--exclude-table-data=*.sync_job*', '--exclude-table-data=sync_job_internal.*', @plain ], 'pg_dump without the jobs');
like(slurp_file($plain_dump), qr/COPY public\.doc /, 'which has the tables of users');
$node->command_ok([ 'pg_dump', '-U', 'saver', @plain ], 'pg_dump by a role that reads all data and that no policy applies to');

# Roles and tables stand in a dump by name. One that has been dropped is a number, which another one may have elsewhere.
$node->safe_psql('postgres', 'CREATE ROLE gone LOGIN');
$node->safe_psql('plain', q{
	SELECT grant_sync_job_access('gone', 'operator'), grant_sync_job_access('plain', 'viewer'), grant_sync_job_type('Probe', 'gone');
	CREATE TABLE gone_table (id integer PRIMARY KEY);
	INSERT INTO gone_table VALUES (1);
	INSERT INTO sync_job_type (name, source_document_type, module, run_as) VALUES ('Gone Role', 'doc', 'probe', 'gone'), ('Gone Table', 'gone_table', 'probe', 'postgres');
	SELECT attach_sync_job_triggers('Gone Table', 'gone_table');
	SELECT enqueue_sync_job('Probe', '1', scheduled_at => now() + '1 day', job_id => 'stays'), enqueue_sync_job('Gone Role', '1', scheduled_at => now() + '1 day'),
		enqueue_sync_job('Gone Table', '1', scheduled_at => now() + '1 day');
	DELETE FROM gone_table;
	SET SESSION AUTHORIZATION gone;
	SELECT enqueue_sync_job('Probe', '2', scheduled_at => now() + '1 day');
	RESET SESSION AUTHORIZATION;
	DROP TABLE gone_table;
	DROP ROLE gone});
$node->command_ok([ 'pg_dump', '-Fc', @plain ], 'a dump after a role and a table were dropped');
$node->safe_psql('postgres', 'CREATE DATABASE without');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('without'), $plain_dump ], 'is restored');
is($node->safe_psql('without', $_->[0]), $_->[1], $_->[0]) for (
	[ q{SELECT job_id FROM sync_job}, 'stays' ],
	[ q{SELECT count(*) FROM sync_job_type WHERE name LIKE 'Gone%'}, '0' ],
	[ q{SELECT role FROM sync_job_internal.access}, 'plain' ],
	[ q{SELECT count(*) FROM sync_job_internal.type_grant}, '0' ],
	[ q{SELECT count(*) FROM sync_job_deleted_document}, '0' ]);

# A dump that takes long holds its snapshot and a lock on each table. Clean-up goes on beside it: it keeps no enqueue waiting for 100 ms, and
# takes nothing from the dump. One that is made afterwards has every job.
my $is_old = q{ended_at < now() - interval '39 days'};
$node->safe_psql('postgres', qq{
	ALTER DATABASE postgres SET sync_job.log_retention_days = -1;
	INSERT INTO sync_job_internal.sync_job_ended
	SELECT (jsonb_populate_record(j, jsonb_build_object('id', nextval('sync_job_internal.sync_job_id_seq'), 'ended_at', now() - interval '40 days'))).*
	FROM sync_job_internal.sync_job_ended AS j, generate_series(1, 20000) AS n WHERE j.id = (SELECT min(id) FROM sync_job WHERE status = 'Finished');
	INSERT INTO sync_job_error (sync_job, attempt, occurred_at, sqlstate, message, counted) SELECT id, 1, ended_at, '23514', 'an error', true FROM sync_job WHERE $is_old});
my ($before, $before_errors) = map { $node->safe_psql('postgres', $_) } $everything, $errors;
my $long = $node->background_psql('postgres');
my $snapshot = $long->query_safe(q{BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_export_snapshot()});
$long->query_safe(join ';', map { "LOCK TABLE $_ IN ACCESS SHARE MODE" } split /\n/,
	$node->safe_psql('postgres', q{SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text !~ '^(pg_|information)'}));
my $app = $node->background_psql('postgres');
$app->query_safe(q{SET lock_timeout = '100 ms'});
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET sync_job.log_retention_days');
my ($enqueued, $deadline) = (0, time + $PostgreSQL::Test::Utils::timeout_default);
while (time < $deadline)
{
	$app->query_safe(q{SELECT enqueue_sync_job('Probe', '64', scheduled_at => now() + '1 day')}) for 1 .. 20;
	$enqueued += 20;
	last if $app->query_safe("SELECT EXISTS (SELECT FROM sync_job WHERE $is_old)") eq 'f';
}
is($node->safe_psql('postgres', "SELECT count(*) FROM sync_job WHERE $is_old"), '0', "20,000 jobs were cleared beside a dump, and $enqueued enqueued");
$app->quit;
for my $one ([ 'held', "--snapshot=$snapshot" ], [ 'afterwards' ])
{
	my ($name, @options) = @$one;
	my @expected = @options ? ($before, $before_errors) : map { $node->safe_psql('postgres', $_) } $everything, $errors;
	$node->command_ok([ 'pg_dump', '-Fc', @options, '-f', "$ENV{TESTDATADIR}/$name", $node->connstr('postgres') ], "a dump, $name");
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr($name), "$ENV{TESTDATADIR}/$name" ], 'is restored');
	is_deeply([ map { $node->safe_psql($name, $_) } $everything, $errors ], \@expected, 'with each job, and each error');
}
$long->quit;

# A standby: nothing runs on it.
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
my $replicated = enqueue($node, 'Probe', 70);
$node->poll_query_until('postgres', "SELECT status = 'Finished' FROM sync_job WHERE id = $replicated");
$node->wait_for_catchup($standby);
is(status_of($standby, $replicated), 'Finished', 'a standby shows the jobs of its primary');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'sync job%'}), '0', 'and runs none of our processes');
for my $call (q{enqueue_sync_job('Probe', '1')}, q{execute_sync_job(1)}, q{cancel_sync_job(1)}, q{retry_sync_job(1)}, q{start_sync_job(1)})
{
	my ($code, $out, $err) = $standby->psql('postgres', "SELECT $call");
	like($err, qr/ERROR:  cannot execute .* during recovery|ERROR:  cannot execute .* in a read-only transaction/, "$call is refused there");
}

# Promotion, with a job under way: it is run again there.
close_gate($node);
my $under_way = enqueue($node, 'Probe Alone', 71, q{context => '{"gate": "closed"}'});
$node->poll_query_until('postgres', "SELECT status = 'Started' FROM sync_job WHERE id = $under_way");
$node->wait_for_catchup($standby);
$node->stop('immediate');
$standby->promote;
wait_until_running($standby, $under_way);
open_gate($standby);
poll($standby, "SELECT status = 'Finished' FROM sync_job WHERE id = $under_way", 'after promotion, what was under way on the primary is run');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM effect WHERE id = 'Probe Alone 71' AND changes = 1}), '1', 'once');
my $first = enqueue($standby, 'Probe', 72);
poll($standby, "SELECT status = 'Finished' FROM sync_job WHERE id = $first", 'and so is what is enqueued there');

# A server restored from a base backup is the same place.
my $twin = PostgreSQL::Test::Cluster->new('twin');
$twin->init_from_backup($node, 'copy');
$twin->start;
my $there = enqueue($twin, 'Probe', 73);
poll($twin, "SELECT status = 'Finished' FROM sync_job WHERE id = $there", 'a server restored from a base backup goes on');

$_->stop('fast') for $standby, $twin;
unlike_accidents($_) for $node, $standby, $twin;
done_testing();
