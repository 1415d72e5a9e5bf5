# Schedules with a real pg_cron, in the database of the jobs and in another one: it retries a failed job, clears old logs, and
# enqueues what is scheduled, every minute; it outlives a restart; what does not fit is said clearly.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

need_pg_cron();

# Two clusters, so that both minutes pass at a time: "here" has pg_cron in the database of the jobs, "there" in another one.
# Workers retry by themselves, to the millisecond; to see that pg_cron does, they are kept from it: no worker, and no scheduler.
my $conf = "shared_preload_libraries = 'pg_sync_job, pg_cron'\ncron.database_name = 'postgres'\ncron.use_background_workers = on\nmax_worker_processes = 40\n";
my %at = (here => 'postgres', there => 'jobs');
my %node;

sub value { my ($where, $sql) = @_; return $node{$where}->safe_psql($at{$where}, $sql); }

sub fails_with
{
	my ($where, $sql, $pattern, $name) = @_;
	my $stderr;
	$node{$where}->psql($at{$where}, $sql, stderr => \$stderr);
	return like($stderr, $pattern, $name);
}

# ---- Where there is no pg_cron ----

$node{without} = new_cluster('without');
$at{without} = 'postgres';
value('without', 'CREATE FUNCTION work(fails boolean DEFAULT false) RETURNS void LANGUAGE sql AS $$SELECT$$');
my $try = q{SELECT schedule_sync_job('s', 'hourly', procedure => 'work')};
fails_with('without', $try, qr/ERROR:  pg_cron is not loaded.*HINT:  Install it, add pg_cron to shared_preload_libraries/s, 'pg_cron is not loaded');
fails_with('without', 'SELECT enable_sync_job_schedules()', qr/ERROR:  pg_cron is not loaded/, 'nor are its maintenance schedules to be had');
$node{without}->append_conf('postgresql.conf', $conf . "cron.database_name = 'elsewhere'\n");
$node{without}->restart;
fails_with('without', $try, qr/ERROR:  database "elsewhere" of pg_cron does not exist/, 'its database does not exist');
$node{without}->append_conf('postgresql.conf', "cron.database_name = 'postgres'\n");
$node{without}->restart;
fails_with('without', $try, qr/ERROR:  extension pg_cron is not installed in this database.*CREATE EXTENSION pg_cron/s, 'it is not installed');
$node{without}->safe_psql('postgres', 'CREATE DATABASE jobs');
$at{without} = 'jobs';
value('without', 'CREATE EXTENSION pg_sync_job; CREATE FUNCTION work() RETURNS void LANGUAGE sql AS $$SELECT$$');
fails_with('without', $try, qr/ERROR:  pg_cron in database "postgres" refused: extension pg_cron is not installed there.*extension pg_cron is installed there/s,
	'it is not installed in its own database');
is(value('without', 'SELECT count(*) FROM sync_job_schedule'), '0', 'no schedule is left that pg_cron does not know of');
$node{without}->stop('fast');

# ---- Here and there ----

for my $where (qw(here there))
{
	$node{$where} = new_cluster($where, conf => $conf);
	$node{$where}->safe_psql('postgres', 'CREATE EXTENSION pg_cron');
	$node{$where}->safe_psql('postgres', 'CREATE DATABASE jobs') if $where eq 'there';
	value($where, 'CREATE EXTENSION pg_sync_job') if $where eq 'there';
	value($where, q{
		CREATE TABLE log (at timestamptz DEFAULT clock_timestamp(), what text);
		CREATE TABLE source (id int PRIMARY KEY); INSERT INTO source VALUES (1);
		CREATE FUNCTION work(what text DEFAULT 'work') RETURNS text LANGUAGE sql AS 'INSERT INTO log (what) VALUES (what) RETURNING what';
		CREATE FUNCTION fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'as ever'; END $$;
		CREATE SCHEMA nightly;
		CREATE FUNCTION nightly.execute(sync_job jsonb, source_doc source, context jsonb) RETURNS jsonb LANGUAGE sql AS
			$$ INSERT INTO public.log (what) VALUES ('nightly ' || (context->>'mode')) RETURNING '{}'::jsonb $$;
		INSERT INTO sync_job_type (name, source_document_type) VALUES ('Nightly', 'source');});
}

# What is wrong is said when the schedule is made.
my $schedule = q{SELECT schedule_sync_job('bad', '%s'%s)};
for my $case (
	[ '* * * *', '', qr/ERROR:  invalid schedule "\* \* \* \*".*expected 5 fields.*not 4/s ],
	[ '61 * * * *', '', qr/ERROR:  invalid schedule.*invalid minute "61"/s ],
	[ '* 24 * * *', '', qr/invalid hour "24"/ ],
	[ '* * 0 * *', '', qr/invalid day of month "0"/ ],
	[ '* * * foo *', '', qr/invalid month "foo"/ ],
	[ '* * * * 8', '', qr/invalid day of week "8"/ ],
	[ '*/0 * * * *', '', qr/invalid minute/ ],
	[ '5-1 * * * *', '', qr/invalid minute/ ],
	[ 'fortnightly', '', qr/HINT:  Use a cron expression, or one of all, hourly, daily, weekly, monthly, each also with _long/ ],
	[ '', '', qr/ERROR:  invalid schedule ""/ ],
	[ '0 0 31 2 *', '', qr/ERROR:  schedule "0 0 31 2 \*" names a time that never comes/ ],
	[ 'daily', q{, procedure => 'no_such'}, qr/ERROR:  procedure "no_such" does not exist/ ],
	[ 'daily', q{, procedure => 'work', params => '{"who": 1}'}, qr/ERROR:  procedure work\(text\) has no parameter "who"/ ],
	[ 'daily', q{, 'No Such Type'}, qr/ERROR:  sync job type "No Such Type" does not exist/ ],
	[ 'daily', q{, 'Nightly', params => '{"sauce": 1}'}, qr/ERROR:.*"sauce"/ ],
	[ 'daily', q{, 'Nightly', procedure => 'work'}, qr/ERROR:  a schedule needs either a sync_job_type or a procedure/ ],
	[ 'daily', '', qr/ERROR:  a schedule needs either a sync_job_type or a procedure/ ],
	[ 'daily', q{, procedure => 'work', queue => 'fast'}, qr/ERROR:  queue "fast" does not exist/ ],
  )
{
	my ($cron, $arguments, $pattern) = @$case;
	$arguments = q{, procedure => 'work'} if $arguments eq '' && $cron ne 'daily';
	fails_with('here', sprintf($schedule, $cron, $arguments), $pattern, "refused: '$cron'$arguments");
}
is(value('here', 'SELECT (SELECT count(*) FROM sync_job_schedule), (SELECT count(*) FROM cron.job)'), '0|0', 'nothing of it is left');

# The words.
value('here', qq{SELECT schedule_sync_job('$_', '$_', procedure => 'work')}) for qw(all hourly daily weekly monthly);
value('here', qq{SELECT schedule_sync_job('$_', initcap('$_'), procedure => 'work')}) for qw(all_long hourly_long daily_long weekly_long monthly_long);
is( value('here', q{SELECT string_agg(format('%s=%s', jobname, schedule), ', ' ORDER BY jobid) FROM cron.job}),
	join(', ', map { my $p = $_; map { "sync_job:postgres:$_->[0]$p=$_->[1]" }
		([ all => '* * * * *' ], [ hourly => '0 * * * *' ], [ daily => '0 0 * * *' ], [ weekly => '0 0 * * 0' ], [ monthly => '0 0 1 * *' ]) } '', '_long'),
	'words are cron expressions');
is(value('here', q{SELECT count(*) FROM sync_job_schedules WHERE queue = 'long' AND name ~ '_long$'}), '5', '_long is for the queue long');
fails_with('here', q{SELECT schedule_sync_job('all', 'daily', procedure => 'work')}, qr/ERROR:  schedule "all" already exists/, 'a name is taken once');
is( value('here', q{SELECT bool_and(next_run > now() AND next_run <= now() + CASE left(name, 3) WHEN 'all' THEN interval '1 min' WHEN 'hou'
		THEN interval '1 h' WHEN 'dai' THEN interval '1 day' WHEN 'wee' THEN interval '1 week' ELSE interval '31 days' END) FROM sync_job_schedules}),
	't', 'the next runs are where they belong');
value('here', q{SELECT count(unschedule_sync_job(name)) FROM sync_job_schedule});
is(value('here', 'SELECT (SELECT count(*) FROM sync_job_schedule), (SELECT count(*) FROM cron.job)'), '0|0', 'unscheduled, they are gone');
fails_with('here', q{SELECT unschedule_sync_job('all')}, qr/ERROR:  schedule "all" does not exist/, 'and unknown');
value('here', q{BEGIN; SELECT schedule_sync_job('undone', 'daily', procedure => 'work'); ROLLBACK});
is(value('here', 'SELECT count(*) FROM cron.job'), '0', 'a schedule of a transaction that was rolled back is none');

# A full sync: its mistakes show now, one at a time, and it counts as a run of its schedule.
value('here', q{CREATE TABLE target (id int PRIMARY KEY); INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
	VALUES ('Mapped', 'source', 'target', '{"id": "id"}', '{}')});
for my $case (
	[ q{'daily', 'No Such Type'}, qr/ERROR:  sync job type "No Such Type" does not exist/ ],
	[ q{'daily', NULL}, qr/ERROR:  sync_job_type must not be null/ ],
	[ q{'daily', 'Nightly'}, qr/ERROR:  documents of sync job type "Nightly" cannot be/ ],
	[ q{'fortnightly', 'Mapped'}, qr/ERROR:  invalid schedule "fortnightly"/ ],
	[ q{'daily', 'Mapped', max_change_percent => 101}, qr/ERROR:  max_change_percent must be between 0 and 100/ ],
	[ q{'daily', 'Mapped', condition => 'id = $1'}, qr/ERROR:  an expression must not have parameters/ ])
{
	fails_with('here', "SELECT schedule_full_sync('bad', $case->[0])", $case->[1], "refused: $case->[0]");
}
value('here', q{SELECT schedule_full_sync('reconcile', 'daily_long', 'Mapped', 'source.id < 100', delete_surplus => true, max_changes => 7, priority => 3)});
is(value('here', q{SELECT enqueues, queue, next_run > now() FROM sync_job_schedules WHERE name = 'reconcile'}), 'Mapped|long|t', 'a full sync is scheduled');
is(value('here', q{SELECT command FROM cron.job WHERE jobname ~ 'reconcile'}), q{SELECT public.run_sync_job_schedule('reconcile')}, 'with pg_cron');
value('here', q{SELECT pause_sync_job_schedule('reconcile'); SELECT pause_sync_job_queue('long')});
is(value('here', q{SELECT run_sync_job_schedule('reconcile') IS NULL}), 't', 'paused, it enqueues nothing');
value('here', q{SELECT resume_sync_job_schedule('reconcile')});
my $run = value('here', q{SELECT run_sync_job_schedule('reconcile')});
is(value('here', qq{SELECT operation, queue, priority, max_retries, trigger_type, context->>'condition', context->>'delete_surplus', context->>'max_changes' FROM sync_job WHERE id = $run}),
	'Full Sync|long|3|0|Scheduler|source.id < 100|true|7', 'run, it is enqueued with its arguments');
is(value('here', q{SELECT run_sync_job_schedule('reconcile')}), $run, 'one at a time');
value('here', qq{SELECT resume_sync_job_queue('long'); CALL wait_for_sync_job($run, '3 min')});
is(value('here', q{SELECT last_sync_job, last_status, (SELECT string_agg(id::text, ' ') FROM target) FROM sync_job_schedules WHERE name = 'reconcile'}), "$run|Finished|1", 'and does its work');
fails_with('here', q{CREATE ROLE eve LOGIN; GRANT USAGE ON SCHEMA cron TO eve; SET SESSION AUTHORIZATION eve; SELECT schedule_full_sync('eves', 'daily', 'Mapped')},
	qr/ERROR:  permission denied for a full sync of sync job type "Mapped"/, 'only for who may become run_as');
value('here', q{SELECT unschedule_sync_job('reconcile')});
is(value('here', q{SELECT count(*) FROM cron.job}), '0', 'and ended like any other');

# Whose it is.
value('here', q{CREATE ROLE ann LOGIN; CREATE ROLE bea LOGIN; GRANT INSERT ON log TO ann, bea; GRANT SELECT ON log TO ann, bea});
my $as_ann = 'SET SESSION AUTHORIZATION ann; ';
fails_with('here', $as_ann . q{SELECT schedule_sync_job('anns', 'daily', procedure => 'work')}, qr/ERROR:  permission denied for schema cron/,
	'whoever may not use pg_cron may not schedule');
value('here', 'GRANT USAGE ON SCHEMA cron TO ann, bea');
fails_with('here', $as_ann . q{SELECT schedule_sync_job('anns', 'daily', 'Nightly')}, qr/ERROR:  permission denied for sync job type "Nightly"/,
	'nor what he may not enqueue');
value('here', $as_ann . q{SELECT schedule_sync_job('anns', 'all', procedure => 'work', params => '{"what": "ann"}')});
fails_with('here', q{SET SESSION AUTHORIZATION bea; SELECT unschedule_sync_job('anns')}, qr/ERROR:  permission denied for schedule "anns"/, 'others may not end it');
fails_with('here', q{SET SESSION AUTHORIZATION bea; SELECT run_sync_job_schedule('anns')}, qr/ERROR:  permission denied for schedule "anns"/, 'or run it');
is(value('here', q{SET SESSION AUTHORIZATION bea; SELECT count(*) FROM sync_job_schedules}), '0', 'or see it');
fails_with('here', q{SET SESSION AUTHORIZATION bea; SELECT pause_sync_job_schedule('anns')}, qr/ERROR:  permission denied for schedule "anns"/, 'or pause it');
value('here', $as_ann . q{SELECT pause_sync_job_schedule('anns')});
is(value('here', $as_ann . q{SELECT run_sync_job_schedule('anns') IS NULL, paused, next_run IS NULL FROM sync_job_schedules WHERE name = 'anns'}), 't|t|t', 'paused, it enqueues nothing');
value('here', $as_ann . q{SELECT resume_sync_job_schedule('anns')});
is(value('here', $as_ann . q{SELECT paused, next_run > now() FROM sync_job_schedules WHERE name = 'anns'}), 'f|t', 'resumed, it goes on');
fails_with('here', q{SELECT pause_sync_job_schedule('none')}, qr/ERROR:  schedule "none" does not exist/, 'an unknown one');
fails_with('here', $as_ann . 'SELECT enable_sync_job_schedules()', qr/ERROR:  permission denied for function enable_sync_job_schedules/,
	'the maintenance schedules are the superuser\'s');

# ---- Every minute ----

for my $where (qw(here there))
{
	my $name = $at{$where};
	is(value($where, 'SELECT * FROM enable_sync_job_schedules()'), "sync_job:$name:auto retry\nsync_job:$name:clear logs", "$where: the maintenance schedules");
	value($where, 'SELECT enable_sync_job_schedules()');
	is($node{$where}->safe_psql('postgres', q{SELECT string_agg(format('%s %s %s', schedule, command, database), E'\n' ORDER BY jobname)
		FROM cron.job WHERE jobname ~ 'auto retry|clear logs'}),
		"* * * * * SELECT public.auto_retry_failed_sync_jobs() $name\n0 3 * * * CALL public.clear_sync_job_logs() $name",
		"$where: each once, however often they are asked for");
	# Logs are cleared at night; here every minute.
	$node{$where}->safe_psql('postgres', q{UPDATE cron.job SET schedule = '* * * * *' WHERE jobname ~ 'clear logs'});
	value($where, q{SELECT schedule_sync_job('by the minute', 'all', procedure => 'work', params => '{"what": "minute"}')});
	value($where, q{SELECT schedule_sync_job('nightly', '* * * * *', 'Nightly', params => '{"source_document_name": "1", "context": {"mode": "full"}}')});
	value($where, q{SELECT schedule_sync_job('piles up', 'all', procedure => 'work', queue => 'long', params => '{"what": "long"}', overlap => true)});
	value($where, q{SELECT schedule_sync_job('does not', 'all', procedure => 'work', queue => 'long', params => '{"what": "long"}')});
	value($where, q{UPDATE sync_job_queue SET paused = true WHERE name = 'long'});
	# One of each waits already, from the minute before.
	value($where, q{SELECT run_sync_job_schedule('piles up'), run_sync_job_schedule('does not')});
	# An old job and its error, a younger one, and a failed one that is due for its retry.
	my $old = value($where, q{SELECT enqueue_background_job('fail')});
	value($where, "CALL wait_for_sync_job($old)");
	value($where, q{UPDATE sync_job SET ended_at = ended_at - interval '31 days'; SELECT enqueue_background_job('fail')});
	value($where, qq{ALTER DATABASE $name SET sync_job.enabled = off});
}
# pg_cron outlives a restart, with all that it was told.
$node{$_}->restart for qw(here there);
for my $where (qw(here there))
{
	ok($node{$where}->poll_query_until($at{$where}, q{SELECT NOT EXISTS (SELECT FROM sync_job_activity)}), "$where: no worker is there to retry");
	value($where, q{SELECT enqueue_background_job('fail', max_retries => 1, retry_delay => '1 second', job_id => 'flaky')});
	value($where, q{CALL run_sync_jobs('default')});
	is(value($where, q{SELECT status, retry_count FROM sync_job WHERE job_id = 'flaky'}), 'Failed|0', "$where: a failed job waits for its retry");
}
for my $where (qw(here there))
{
	my $what = "$where, within a minute";
	$node{$where}->poll_query_until($at{$where}, q{SELECT status = 'Queued' AND retry_count = 1 FROM sync_job WHERE job_id = 'flaky'})
	  or $node{$where}->poll_query_until($at{$where}, q{SELECT status = 'Queued' AND retry_count = 1 FROM sync_job WHERE job_id = 'flaky'});
	is(value($where, q{SELECT status, retry_count FROM sync_job WHERE job_id = 'flaky'}), 'Queued|1', "$what: it is queued again");
	ok($node{$where}->poll_query_until($at{$where}, q{SELECT NOT EXISTS (SELECT FROM sync_job WHERE ended_at < now() - interval '30 days')}),
		"$what: what is old is cleared");
	is(value($where, q{SELECT count(*) > 0 FROM sync_job_error}), 't', "$what: and what is not is there");
	ok($node{$where}->poll_query_until($at{$where}, q{SELECT count(*) = 4 FROM sync_job_schedules WHERE name <> 'anns' AND last_run > now() - interval '2 minutes'}),
		"$what: all schedules have run");
	is(value($where, q{SELECT count(*) FROM sync_job WHERE job_id = 'schedule:does not'}), '1', "$what: what waits is not enqueued again");
	cmp_ok(value($where, q{SELECT count(*) FROM sync_job WHERE job_id = 'schedule:piles up'}), '>=', 2, "$what: unless it is to overlap");
	value($where, "ALTER DATABASE $at{$where} RESET sync_job.enabled");
	value($where, q{CALL run_sync_jobs('default')});
	# A minute may have begun while a schedule of every minute was there above: its job has done "work".
	is(value($where, q{SELECT string_agg(DISTINCT what, ', ' ORDER BY what) FROM log WHERE what NOT IN ('ann', 'work')}), 'minute, nightly full', "$what: and do their work");
	is(value($where, q{SELECT last_status, last_error IS NULL, next_run > now() FROM sync_job_schedules WHERE name = 'nightly'}), 'Finished|t|t',
		"$what: the list tells of it");
	is(value($where, q{SELECT DISTINCT trigger_type FROM sync_job WHERE job_id ~ '^schedule:'}), 'Scheduler', "$what: and so do the jobs");
	is(value($where, q{SELECT string_agg(DISTINCT status, ' ') FROM cron.job_run_details WHERE status <> 'running'}), 'succeeded', "$what: pg_cron is content")
	  if $where eq 'here';
	value($where, 'SELECT disable_sync_job_schedules()');
	is($node{$where}->safe_psql('postgres', q{SELECT count(*) FROM cron.job WHERE jobname ~ 'auto retry|clear logs'}), '0', "$where: the maintenance schedules are gone");
	value($where, q{SELECT count(unschedule_sync_job(name)) FROM sync_job_schedule WHERE name <> 'anns'});
}
is(value('here', q{SELECT count(*) > 0, bool_and(run_as = 'ann'::regrole) FROM sync_job WHERE job_id = 'schedule:anns'}), 't|t', 'a role\'s schedule runs as the role');
is($node{there}->safe_psql('postgres', 'SELECT count(*) FROM cron.job'), '0', 'pg_cron in another database is told of every end, too');

for my $where (qw(here there))
{
	$node{$where}->stop('fast');
	unlike(slurp_file($node{$where}->logfile), qr/PANIC|TRAP:|was terminated by signal|reference leak/, "$where: the log tells of no accident");
}
done_testing();
