# Trouble is seen: whatever keeps jobs from running, or has them fail again and again, shows in sync_job_queue_status.note, in one
# line of the log, and to whoever waits.
#
# Where each cause that somebody once had to look for is tested (here, if nothing else is named):
#   queue paused; max_workers of the queue 0; sync_job.max_workers 0; max_worker_processes too small; role without CONNECT, NOLOGIN;
#   ACCESS EXCLUSIVE lock on the target, row lock; broken set-up (held: 081_held, alert: 082_alerts); sync_job.enabled off; standby
#   paused type, jobs held: 038_paused_types             a type that runs alone after one slow job: 022_alone
#   copy waits for adoption: 016_copies, 014_databases   not preloaded: 013_extension; upgraded, not yet updated: ../upgrade/order.pl
#   scheduler, launcher, worker gone: 015_processes      pg_cron missing, schedules: 052_schedules
#   long job, canceled: 018_cancel                       pg_dump as an ordinary owner: 016_copies, 070_rights
#   a typo in field_map, as it is written; now() in field_map: ../sql/definition.sql
#   duplicates that match: ../sql/declarative.sql        what is out of step, without jobs: 036_compare
#   edited by hand stays: ../sql/field_rules.sql         columns that are not read enqueue nothing: ../sql/trigger_columns.sql
#   ids as untyped parameters, waiting for many, rerun: ../sql/handles.sql
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use Listener;

my $node = new_cluster('main', allows_streaming => 1, conf => "sync_job.poll_interval = '1 s'");
load_probe($node, 50);

sub value { return $node->safe_psql('postgres', $_[0]) }
sub note_is
{
	my ($pattern, $name, $queue) = @_;
	$queue //= 'default';
	return poll($node, "SELECT coalesce(note, '') ~ \$pattern\$$pattern\$pattern\$ FROM sync_job_queue_status WHERE queue = '$queue'", $name)
	  || diag(value("SELECT note FROM sync_job_queue_status WHERE queue = '$queue'"));
}
sub error_of
{
	my ($sql) = @_;
	my ($stdout, $stderr);
	$node->psql('postgres', $sql, stdout => \$stdout, stderr => \$stderr);
	return $stderr;
}

# ---- A set-up that breaks, and is corrected ----

value(q{
	CREATE TABLE customer (id int PRIMARY KEY, vat_no text, name text);
	CREATE TABLE debtor (crm_id int PRIMARY KEY, vat text, name text);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, retry_delay, publish_events)
	VALUES ('Debtor', 'customer', 'debtor', '{"crm_id": "id"}', '{"vat": "vat_no", "name": "name"}', '500 ms', true);
	SELECT attach_sync_job_triggers('Debtor', 'customer');
	INSERT INTO customer SELECT i, 'DE' || i, 'n' || i FROM generate_series(1, 41) AS i});
is(wait_for_jobs($node), 'Finished=41', 'all is in step');
my $listener = Listener->new($node, 'postgres', 'sync_job');
my $from = -s $node->logfile;
value(q{ALTER TABLE customer RENAME vat_no TO vat_number; UPDATE customer SET name = name || 'x'});
note_is('^the set-up of sync job type "Debtor" is broken: .*"vat_no"', 'the note says that the set-up is broken');
poll($node, q{SELECT bool_and(attempts > 0) FROM (SELECT (SELECT count(*) FROM sync_job_error WHERE sync_job = j.id) AS attempts
	FROM sync_job AS j WHERE id > 41) AS s}, 'each job has failed');
is(value(q{SELECT failed + retrying + waiting >= 41, failed FROM sync_job_queue_status WHERE queue = 'default'}), 't|0', 'all are tried again, none has failed for good');
ok($listener->wait_for('sync_job', qr/"sync_job": 82,.*"status": "Failed"|"status": "Failed".*"sync_job": 82/), 'the end event comes at the first failure');
like(error_of('CALL wait_for_sync_job(82)'), qr/ERROR:  sync job 82 cannot run: the set-up of its type is broken\nDETAIL:  Its status is .*vat_no.*\nHINT:  SELECT \* FROM validate_sync_job_type\('Debtor'\)/s,
	'whoever waits without a limit is told');
poll($node, q{SELECT count(*) > 3 FROM sync_job_error WHERE occurred_at > (SELECT since FROM sync_job_setup_error) + interval '2 s'}, 'they have been tried several times');
like_log($node, $from, qr/LOG:  the set-up of sync job type "Debtor" is broken: /, 1, 'the log has one line');
my @ends = grep { $_->[1] =~ /"status": "Failed"/ } $listener->heard;
is(scalar @ends, 41, 'there is one event for each job, not one for each attempt');
is(value('SELECT DISTINCT retry_count FROM sync_job WHERE id > 41'), '0', 'no retry is used up');

# Another cause is another line.
value(q{UPDATE sync_job_type SET field_map = '{"vat": "vat_number", "name": "nam"}' WHERE name = 'Debtor'});
$node->wait_for_log(qr/the set-up of sync job type "Debtor" is broken: .*"nam"/, $from);
value(q{UPDATE sync_job_type SET field_map = '{"vat": "vat_number", "name": "name"}' WHERE name = 'Debtor'});
is(wait_for_jobs($node), 'Finished=82', 'once the set-up is corrected, all ends well without a hand');
is(value(q{SELECT count(*) FROM customer AS c JOIN debtor AS d ON d.crm_id = c.id AND d.name = c.name}), '41', 'and all is in step');
note_is('^$', 'the note goes');
$node->wait_for_log(qr/no job of sync job type "Debtor" fails any more by: .*"nam"/, $from);
is(value('SELECT count(*) FROM sync_job_setup_error'), '0', 'nothing is left');

# A controller of functions: its hook hears of it once; two workers write one line.
value(q{
	CREATE TABLE heard (sync_job bigint, message text);
	CREATE FUNCTION probe.failed(sync_job sync_job, source_doc doc, error jsonb) RETURNS void LANGUAGE sql
		AS $$ INSERT INTO heard VALUES ((sync_job).id, error->>'message') $$;
	UPDATE sync_job_type SET retry_delay = '300 ms', max_retries = 1;
	ALTER FUNCTION probe.get_target_document RENAME TO nothing});
$from = -s $node->logfile;
value(q{SELECT count(enqueue_sync_job(t, id::text)) FROM doc, unnest('{Probe,Probe Alone}'::text[]) AS t WHERE id <= 10});
poll($node, q{SELECT count(*) = 20 AND max(occurred_at) > (SELECT max(since) + interval '2 s' FROM sync_job_setup_error)
	FROM sync_job_error WHERE NOT counted AND sync_job > 82}, 'jobs of two types fail, again and again');
is(value('SELECT count(*), count(DISTINCT sync_job) FROM heard'), '20|20', 'the hook failed has heard of each once');
like_log($node, $from, qr/LOG:  the set-up of sync job type "Probe" is broken: function probe\.get_target_document/, 1, 'one line for the one');
like_log($node, $from, qr/LOG:  the set-up of sync job type "Probe Alone" is broken: /, 1, 'one for the other');
value(q{ALTER FUNCTION probe.nothing RENAME TO get_target_document});
is(wait_for_jobs($node), 'Finished=102', 'all end well');

# Somebody who may not see the type does not hear what is wrong with it.
value(q{CREATE ROLE stranger LOGIN; UPDATE sync_job_type SET module = 'gone' WHERE name = 'Probe'});
my $broken = enqueue($node, 'Probe', 1);
note_is('module "gone"', 'the owner sees what is wrong');
is(value(q{SET SESSION AUTHORIZATION stranger; SELECT count(*), count(note) FROM sync_job_setup_error, sync_job_queue_status}), '0|0', 'a stranger does not');
value(qq{SELECT cancel_sync_job($broken); UPDATE sync_job_type SET module = 'probe' WHERE name = 'Probe'});

# ---- A start is told, too, where it is asked for ----

value(q{UPDATE sync_job_type SET publish_starts = true WHERE name IN ('Probe', 'Probe Alone')});
close_gate($node);
my @alone = map { enqueue($node, 'Probe Alone', $_, q{context => '{"gate": "closed"}', job_id => 'mine'}) } 11 .. 14;
ok($listener->wait_for('sync_job', qr/"sync_job_started", "job_id": "mine", "status": "Started", "sync_job": $alone[0],/), 'a job that runs alone tells of its start');
is(value("SELECT status FROM sync_job WHERE id = $alone[0]"), 'Started', 'while it runs');
open_gate($node);
ok($listener->wait_for('sync_job', qr/"sync_job_started".*"sync_job": $_,/), 'so do those that start with the end of another one') for @alone;
wait_for_jobs($node);
value(q{UPDATE sync_job_type SET publish_starts = false});

# ---- Why jobs wait ----

note_is('^$', 'nothing is wrong');
value(q{SELECT pause_sync_job_queue('long'); UPDATE sync_job_queue SET max_workers = 0 WHERE name IN ('long', 'short')});
note_is('^paused; max_workers of the queue is 0$', 'each reason is named', 'long');
note_is('^max_workers of the queue is 0$', 'a queue without workers', 'short');
value(q{SELECT resume_sync_job_queue('long'); UPDATE sync_job_queue SET max_workers = 2});

# A role that may not connect, and one that may not log in.
value(q{
	CREATE ROLE clerk LOGIN; GRANT ALL ON customer, debtor TO clerk;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, run_as)
	VALUES ('Clerk', 'customer', 'debtor', '{"crm_id": "id"}', '{"name": "name"}', 'clerk');
	REVOKE CONNECT ON DATABASE postgres FROM PUBLIC});
my $job = enqueue($node, 'Clerk', 1);
note_is('no worker can be started for role "clerk": the role may not connect to the database', 'the role that may not connect is named');
value(q{GRANT CONNECT ON DATABASE postgres TO PUBLIC; ALTER ROLE clerk NOLOGIN});
note_is('no worker can be started for role "clerk": (the role may not log in|see the server log)', 'the role that may not log in, too') if $node->pg_version < 17;
value('ALTER ROLE clerk LOGIN');
poll($node, "SELECT status IN ('Finished', 'Skipped') FROM sync_job WHERE id = $job", 'its job runs as soon as it may');
note_is('^$', 'and the note goes');

# Another session has the target for itself: the job that waits for it shows, and so does that jobs wait for locks.
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE debtor');
value(q{UPDATE customer SET name = name || 'y'});
poll($node, q{SELECT cardinality(pg_blocking_pids(pid)) > 0 FROM sync_job_activity WHERE sync_job_type = 'Debtor' AND state = 'running'}, 'the job that waits is shown as running, and who is in its way');
note_is('jobs that wait for locks of other sessions: [1-9]', 'the note says that jobs wait for locks');
$locker->query_safe('COMMIT');
$locker->quit;
poll($node, q{SELECT count(*) = 0 FROM sync_job WHERE status = 'Queued'}, 'then they run');
note_is('^$', 'and the note goes');

# One row is enough.
$locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; SELECT FROM debtor WHERE crm_id = 1 FOR UPDATE');
my $before = value('SELECT max(id) FROM sync_job');
value(q{UPDATE customer SET name = name || 'z' WHERE id <= 5});
note_is('jobs that wait for locks of other sessions: 1', 'the note says that a job waits for a row');
poll($node, q{SELECT cardinality(pg_blocking_pids(a.pid)) > 0 FROM sync_job_activity AS a JOIN sync_job AS j ON j.id = a.sync_job
	WHERE a.state = 'running' AND j.source_document_name = '1'}, 'whenever it is tried, activity shows it, and so who is in its way');
poll($node, "SELECT count(*) = 4 FROM sync_job WHERE id > $before AND status = 'Finished'", 'the others end');
$locker->query_safe('COMMIT');
$locker->quit;
poll($node, "SELECT count(*) = 5 FROM sync_job WHERE id > $before AND status = 'Finished'", 'it runs when the row is free');
note_is('^$', 'and the note goes');

# Too few workers for all: of the setting, and of the server.
my $nap = value(q{CREATE FUNCTION nap() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); END'; SELECT enqueue_background_job('nap')});
wait_until_running($node, $nap);
$node->append_conf('postgresql.conf', 'sync_job.max_workers = 0');
$node->reload;
$job = enqueue($node, 'Clerk', 1);
note_is('sync_job.max_workers is 0; role "clerk" waits for a worker: all are taken, raise sync_job.max_workers', 'no worker at all');
value("SELECT cancel_sync_job($nap, running => true)");
$node->append_conf('postgresql.conf', "sync_job.max_workers = 4\nmax_worker_processes = 3");
$node->restart;
note_is('^role "clerk" waits for a worker: none is free, raise max_worker_processes$', 'no process for a worker');
$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
$node->restart;
note_is('^no background worker is free for the scheduler: raise max_worker_processes$', 'no process for the scheduler');
$node->append_conf('postgresql.conf', "max_worker_processes = 20");
$node->restart;
poll($node, "SELECT status IN ('Finished', 'Skipped') FROM sync_job WHERE id = $job", 'with more of them the job runs');

# Six databases, and processes for the schedulers of four: each database says what it lacks.
my @databases = ('postgres', map { "db$_" } 1 .. 5);
for my $database (@databases[1 .. 5])
{
	value("CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE EXTENSION pg_sync_job');
}
$node->append_conf('postgresql.conf', 'max_worker_processes = 6');
$node->restart;
$node->safe_psql($_, q{SELECT enqueue_background_job('pg_catalog.version')}) for @databases;
poll($node, q{SELECT note IN ('role "postgres" waits for a worker: none is free, raise max_worker_processes',
	'no background worker is free for the scheduler: raise max_worker_processes') FROM sync_job_queue_status WHERE queue = 'default'}, "$_: its note says what it lacks", $_) for @databases;
$node->append_conf('postgresql.conf', 'max_worker_processes = 20');
$node->restart;
poll($node, q{SELECT count(*) = 0 FROM sync_job WHERE status = 'Queued'}, "$_: its job runs", $_) for @databases;
value("DROP DATABASE $_") for @databases[1 .. 5];

# Caution, after a crash.
value('UPDATE sync_job_type SET max_retries = 3');
close_gate($node);
my @jobs = map { enqueue($node, 'Probe', $_, q{context => '{"gate": "closed"}'}) } 1 .. 3;
my $pid = wait_until_running($node, $jobs[0]);
$node->kill9;
start_after_kill($node);
note_is('jobs run one by one for a while', 'after a crash jobs run one by one');
open_gate($node);
is(wait_for_jobs($node) =~ /Failed/, '', 'and all end well');

# sync_job.enabled; and a standby.
value('ALTER DATABASE postgres SET sync_job.enabled = off');
note_is('^sync_job.enabled is off$', 'the setting is off');
value('ALTER DATABASE postgres RESET sync_job.enabled');
my $backup = 'backup';
$node->backup($backup);
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, $backup, has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', 'SELECT DISTINCT note FROM sync_job_queue_status'), 'standby: jobs run on the primary', 'a standby says that it is one');
$standby->stop;

$node->stop('fast');
unlike_accidents($node, kill => 1);
done_testing();
