# Whose code runs with whose rights, where real workers run it: in processes of their roles, which leave nothing to the next
# job and give nothing to other roles; and that rights survive a crash and a dump.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('rights', conf => "sync_job.max_workers = 16\nrestart_after_crash = on");

sub as
{
	my ($role, $sql, $database) = @_;
	return $node->safe_psql($database // 'postgres', $sql, extra_params => [ '-U', $role ]);
}

# What the statement fails with.
sub error_as
{
	my ($role, $sql) = @_;
	my ($stdout, $stderr);
	my $code = $node->psql('postgres', $sql, stdout => \$stdout, stderr => \$stderr, extra_params => [ '-U', $role ], on_error_stop => 1);
	return $code == 0 ? 'no error' : $stderr;
}

sub ended
{
	my ($job) = @_;
	$node->poll_query_until('postgres', "SELECT status NOT IN ('Pending', 'Queued', 'Started') FROM sync_job WHERE id = $job")
	  or diag($node->safe_psql('postgres', "SELECT * FROM sync_job WHERE id = $job"));
	return $node->safe_psql('postgres', "SELECT status FROM sync_job WHERE id = $job");
}

sub result_of
{
	my ($job) = @_;
	ended($job);
	return $node->safe_psql('postgres', "SELECT coalesce(result::text, split_part(error_message, E'\\n', 1)) FROM sync_job WHERE id = $job");
}

$node->safe_psql('postgres', q{
	UPDATE sync_job_queue SET max_workers = 8; -- room for each role
	CREATE ROLE app LOGIN; CREATE ROLE mallory LOGIN; CREATE ROLE viewer LOGIN; CREATE ROLE other LOGIN;
	GRANT other TO mallory, app;
	SELECT grant_sync_job_access('app', 'manager'), grant_sync_job_access('mallory', 'manager'), grant_sync_job_access('viewer', 'viewer');
	CREATE SCHEMA app AUTHORIZATION app; CREATE SCHEMA mallory AUTHORIZATION mallory;
	GRANT USAGE ON SCHEMA app, mallory TO PUBLIC;
});

# ---- A process for each role ----
for my $role (qw(app mallory))
{
	as($role, qq{CREATE FUNCTION $role.who() RETURNS jsonb LANGUAGE sql AS \$\$
		SELECT jsonb_build_object('session', session_user, 'current', current_user, 'pid', pg_backend_pid(),
			'leader', (SELECT backend_type FROM pg_stat_activity WHERE pid = pg_backend_pid())) \$\$});
}
my $of_app = as('app', q{SELECT enqueue_background_job('app.who')});
my $of_mallory = as('mallory', q{SELECT enqueue_background_job('mallory.who')});
like(result_of($of_app), qr/"leader": "sync job worker", "current": "app", "session": "app"/, 'a worker is connected as the role of its jobs');
like(result_of($of_mallory), qr/"leader": "sync job worker", "current": "mallory", "session": "mallory"/, 'another one as the other');
my ($pid_app, $pid_mallory) = map { result_of($_) =~ /"pid": (\d+)/; $1 } $of_app, $of_mallory;
isnt($pid_app, $pid_mallory, 'two roles never share a process');

# ---- What a job leaves behind is gone for the next of its role ----
as('mallory', q{
	CREATE FUNCTION mallory.leave() RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		SET ROLE other;
		SET search_path = mallory;
		SET statement_timeout = '1h';
		SET default_transaction_isolation = 'serializable';
		PERFORM set_config('application_name', 'mallory was here', false);
		RESET ROLE;
		CREATE TEMPORARY TABLE left_behind (i integer);
		PREPARE left_behind AS SELECT 1;
		PERFORM pg_advisory_lock(4711);
		EXECUTE 'DECLARE left_behind CURSOR WITH HOLD FOR SELECT 1';
		SET ROLE other;
		RETURN current_user;
	END $$;
	CREATE PROCEDURE mallory.leave_by_commit() LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM mallory.leave();
		COMMIT;
		SET ROLE other;
		SET session_authorization = mallory;
		SET default_transaction_isolation = 'serializable';
		SET default_transaction_read_only = on;
		SET statement_timeout = '1h';
		SET ROLE other;
		COMMIT;
	END $$;
	CREATE FUNCTION mallory.look() RETURNS text LANGUAGE sql AS $$
		SELECT concat_ws(' ', current_user, session_user, current_setting('role'), current_setting('statement_timeout'), current_setting('transaction_isolation'),
			current_setting('default_transaction_read_only'), to_regclass('pg_temp.left_behind') IS NULL, (SELECT count(*) FROM pg_prepared_statements WHERE name = 'left_behind'),
			(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), (SELECT count(*) FROM pg_cursors WHERE is_holdable),
			current_setting('application_name') LIKE 'sync job %')
	$$;
});
my $clean = '"mallory mallory none 0 read committed off t 0 0 0 t"';
for my $how (qw(leave leave_by_commit))
{
	my $left = as('mallory', qq{SELECT enqueue_background_job('mallory.$how')});
	is(ended($left), 'Finished', "$how ends well");
	is(result_of(as('mallory', q{SELECT enqueue_background_job('mallory.look')})), $clean, "after $how the next job finds nothing");
}
# A role's own settings cannot have its jobs run as another.
as('mallory', q{ALTER ROLE mallory SET role = 'other'; ALTER ROLE mallory SET default_transaction_read_only = on; ALTER ROLE mallory SET search_path = mallory});
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'sync job worker' AND usename = 'mallory'});
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'sync job worker' AND usename = 'mallory'});
is(result_of(as('mallory', q{SET ROLE NONE; SET default_transaction_read_only = off; SET transaction_read_only = off; SELECT public.enqueue_background_job('mallory.look')})), $clean,
	'whatever the role has set for its sessions');
$node->safe_psql('postgres', q{ALTER ROLE mallory RESET ALL});

# ---- Messages are kept for roles that are no superusers, too ----
as('app', q{CREATE FUNCTION app.tell() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'told'; END $$});
my $tells = as('app', q{SELECT enqueue_background_job('app.tell', verbose_logging => true)});
is(ended($tells), 'Finished', 'a job with verbose_logging runs as any role');
like($node->safe_psql('postgres', "SELECT messages FROM sync_job WHERE id = $tells"), qr/NOTICE:  told/, 'and its messages are kept');

# ---- Another's job while it runs: not seen, not stopped, not taken over ----
as('app', q{CREATE TABLE app.log (what text);
	CREATE PROCEDURE app.long() LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO app.log VALUES ('begun as ' || current_user);
		COMMIT;
		PERFORM report_sync_job_progress(42, 'secret title', 'secret description');
		PERFORM pg_advisory_xact_lock(1);
		INSERT INTO app.log VALUES ('ended as ' || current_user);
	END $$});
my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');
my $long = as('app', q{SELECT enqueue_background_job('app.long', job_id => 'secret key')});
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM sync_job_activity WHERE sync_job = $long AND percent = 42") or die 'it does not run';
is(as('mallory', q{SELECT count(*) FROM sync_job_activity WHERE run_as = 'app'::regrole AND (sync_job, sync_job_type, started_at, percent, title, description) IS NULL AND state = 'running'}),
	'1', 'what runs for another is not shown');
is(as('mallory', q{SELECT count(*) FROM sync_job_activity WHERE sync_job IS NOT NULL}), '0', 'not even which job');
is(as('mallory', q{SELECT running FROM sync_job_queue_status WHERE queue = 'default'}), '1', 'that something runs is');
is(as('viewer', qq{SELECT sync_job_type, percent, title FROM sync_job_activity WHERE sync_job = $long}), 'Background Job|42|secret title', 'a viewer sees it');
is(as('app', qq{SELECT sync_job_type, percent, title FROM sync_job_activity WHERE sync_job = $long}), 'Background Job|42|secret title', 'so does the role');
like(error_as('mallory', "SELECT cancel_sync_job($long, running => true)"), qr/permission denied for sync job $long/, 'canceling it is refused');
like(error_as('mallory', "SELECT pg_cancel_backend(pid) FROM sync_job_activity WHERE run_as = 'app'::regrole AND state = 'running'"), qr/must be a member of the role|permission denied/, 'so is its process');
like(error_as('mallory', "CALL wait_for_sync_job($long, '10 ms')"), qr/permission denied for sync job $long/, 'so is waiting for it');
# The worker's own way to run a job that commits, called from within a job that commits, in a worker.
as('mallory', qq{CREATE PROCEDURE mallory.take_over() LANGUAGE plpgsql AS \$\$
	BEGIN
		COMMIT;
		CALL sync_job_internal.run_committing_job($long);
	END \$\$;
	CREATE PROCEDURE mallory.again() LANGUAGE plpgsql AS \$\$
	BEGIN
		COMMIT;
		CALL sync_job_internal.run_committing_job(public.current_sync_job());
	END \$\$});
is(result_of(as('mallory', q{SELECT enqueue_background_job('mallory.take_over')})), 'only a worker runs jobs this way', 'a Started job of another role is not run');
is(result_of(as('mallory', q{SELECT enqueue_background_job('mallory.again')})), 'only a worker runs jobs this way', 'nor the own one twice');
is($node->safe_psql('postgres', "SELECT status, error_message IS NULL FROM sync_job WHERE id = $long"), 'Started|t', 'and nothing has happened to it');
$gate->query_safe('SELECT pg_advisory_unlock(1)');
is(ended($long), 'Finished', 'it ends as it would have');
is($node->safe_psql('postgres', q{SELECT string_agg(what, ', ') FROM app.log}), 'begun as app, ended as app', 'with the rights of its role');

# ---- What comes at COMMIT comes as the job's role ----
as('mallory', q{
	CREATE TABLE mallory.late (as_role name, session name);
	CREATE TABLE mallory.deferred (id integer PRIMARY KEY);
	CREATE FUNCTION mallory.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO mallory.late VALUES (current_user, session_user);
		RETURN NULL;
	END $$;
	CREATE CONSTRAINT TRIGGER late AFTER INSERT ON mallory.deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mallory.at_commit();
	CREATE FUNCTION mallory.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS sync_job_target LANGUAGE sql AS $$ SELECT sync_job_target('insert') $$;
	CREATE FUNCTION mallory.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('id', sync_job -> 'id') $$;
	INSERT INTO sync_job_type (name, target_document_type, module) VALUES ('Late', 'mallory.deferred', 'mallory');
});
as('mallory', q{SELECT count(enqueue_sync_job('Late')) FROM generate_series(1, 5)});
$node->poll_query_until('postgres', q{SELECT count(*) = 5 FROM sync_job WHERE sync_job_type = 'Late' AND status = 'Finished'}) or die 'they do not run';
is($node->safe_psql('postgres', q{SELECT DISTINCT as_role, session FROM mallory.late}), 'mallory|mallory', 'a deferred trigger runs as the role, at the commit of a batch');

# ---- A type that was dropped, and made again by another, while a job waits for its retry ----
$node->safe_psql('postgres', q{CREATE SCHEMA app_gone AUTHORIZATION app; CREATE SCHEMA evil AUTHORIZATION mallory; GRANT USAGE ON SCHEMA evil TO PUBLIC});
as('app', q{CREATE FUNCTION app_gone.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not yet'; END $$;
	INSERT INTO sync_job_type (name, module, run_as) VALUES ('Gone', 'app_gone', 'app')});
my $gone = as('app', q{SELECT enqueue_sync_job('Gone', retry_delay => '1 day')});
is(ended($gone), 'Failed', 'a job waits for its retry');
as('app', q{DELETE FROM sync_job_type WHERE name = 'Gone'});
as('mallory', q{CREATE TABLE mallory.spoils (as_role name); GRANT INSERT ON mallory.spoils TO PUBLIC;
	CREATE FUNCTION evil.execute(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO mallory.spoils VALUES (current_user); SELECT NULL::jsonb $$;
	INSERT INTO sync_job_type (name, module, run_as) VALUES ('Gone', 'evil', 'mallory')});
as('app', "SELECT retry_sync_job($gone)");
is(ended($gone), 'Failed', 'its retry fails');
like($node->safe_psql('postgres', "SELECT error_message FROM sync_job WHERE id = $gone"), qr/sync job type "Gone" now runs as role "mallory"/, 'because the type is now that of another role');
is($node->safe_psql('postgres', 'SELECT count(*) FROM mallory.spoils'), '0', 'whose code has not run');

# ---- After a crash the callback is the job's, not the scheduler's, who is a superuser ----
as('mallory', q{CREATE FUNCTION mallory.wait_long() RETURNS void LANGUAGE sql AS $$ SELECT pg_sleep(300) $$;
	CREATE FUNCTION mallory.after_crash(sync_job bigint) RETURNS text LANGUAGE sql AS $$ SELECT current_user::text $$});
my $crashes = as('mallory', q{SELECT enqueue_background_job('mallory.wait_long', on_failure => 'mallory.after_crash')});
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM sync_job_activity WHERE sync_job = $crashes") or die 'it does not run';
my $worker = $node->safe_psql('postgres', "SELECT pid FROM sync_job_activity WHERE sync_job = $crashes");
$gate->quit;
kill 'KILL', $worker;
# The server restarts by itself; until then there are no answers.
my ($state, $tries) = ('', 0);
until ($state eq 'Failed' || $tries++ > 600)
{
	$state = eval { $node->safe_psql('postgres', "SELECT status FROM sync_job WHERE id = $crashes") } // '';
	select(undef, undef, undef, 0.1);
}
is($state, 'Failed', 'the crash is counted as the failure of the job that ran');
my $callback = $node->safe_psql('postgres', "SELECT id FROM sync_job WHERE parent_sync_job = $crashes");
is(ended($callback), 'Finished', 'its callback has run');
is($node->safe_psql('postgres', "SELECT run_as, owner, enqueued_by, result FROM sync_job WHERE id = $callback"), 'mallory|mallory|mallory|"mallory"', 'as the role of the job');

# ---- Rights are part of a dump ----
as('mallory', q{SELECT grant_sync_job_type('Late', 'other')});
$node->safe_psql('postgres', q{CREATE DATABASE copy});
my $dump = $node->basedir . '/rights.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dump');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('copy'), $dump ], 'pg_restore');
for my $table (qw(sync_job_internal.access sync_job_internal.type_grant))
{
	my $sql = "SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM $table AS t";
	is($node->safe_psql('copy', $sql), $node->safe_psql('postgres', $sql), "$table is the same");
}
is($node->safe_psql('copy', q{SELECT name, run_as FROM sync_job_type ORDER BY name}), "Gone|mallory\nLate|mallory", 'so are the types');
is(as('mallory', q{UPDATE sync_job_type SET description = 'restored' WHERE name = 'Late' RETURNING name}, 'copy'), "Late", 'a manager is one in the copy');
is(as('other', q{SELECT count(enqueue_sync_job('Late', scheduled_at => '2100-01-01'))}, 'copy'), '1', 'and a grantee a grantee');
like(error_as('viewer', q{UPDATE sync_job_type SET description = 'mine'}), qr/permission denied/, 'a viewer changes nothing');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|reference leak/, 'the log tells of no accident');
done_testing();
