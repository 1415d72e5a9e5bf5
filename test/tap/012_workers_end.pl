# Workers, and the server, end in every way there is: no job is lost, none is done twice, and only a job that is to blame
# is charged.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => "restart_after_crash = on\nsync_job.max_workers = 6");
load_probe($node, 1000);
$node->safe_psql('postgres', q{UPDATE sync_job_queue SET max_workers = 4});
my $errors = q{SELECT count(*) FROM sync_job_error};

# After a crash the server restarts by itself.
sub wait_until_up
{
	return $node->poll_query_until('postgres', 'SELECT true');
}

sub all_finished
{
	return $node->safe_psql('postgres', q{SELECT count(*) = 0 FROM sync_job WHERE status = 'Queued'}) eq 't';
}

# How often each of the three kinds of job has had an effect.
sub effects
{
	my ($condition) = @_;
	return $node->safe_psql('postgres', qq{
		SELECT count(*) || ' jobs, not once: ' || count(*) FILTER (WHERE n <> 1)
		FROM (SELECT CASE WHEN sync_job_type = 'Probe Committing' THEN (SELECT count(*) / 3.0 FROM part WHERE job = j.id)
		             ELSE (SELECT changes FROM effect WHERE id = sync_job_type || ' ' || source_document_name) END AS n
		      FROM sync_job AS j WHERE $condition) AS s});
}

# pg_terminate_backend: queued again at once, not counted, and run by another worker.
for my $type ('Probe', 'Probe Alone', 'Probe Committing')
{
	close_gate($node);
	my $job = enqueue($node, $type, 1, q{context => '{"gate": "closed"}'});
	$node->poll_query_until('postgres', "SELECT status = 'Started' FROM sync_job WHERE id = $job");
	my $pid = wait_until_running($node, $job);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	isnt(wait_until_running($node, $job), $pid, "$type: another worker runs a job whose worker was terminated");
	open_gate($node);
	$node->poll_query_until('postgres', "SELECT status = 'Finished' FROM sync_job WHERE id = $job");
	is($node->safe_psql('postgres', "SELECT status, retry_count FROM sync_job WHERE id = $job"), 'Finished|0', 'it is finished, without a retry');
}
is($node->safe_psql('postgres', $errors), '0', 'no failure is recorded');
is(effects('true'), '3 jobs, not once: 0', 'each has had its effect once');

# Fast shutdown, each kind of job under way.
close_gate($node);
my @jobs = map { enqueue($node, $_, 2, q{context => '{"gate": "closed"}'}) } ('Probe', 'Probe Alone', 'Probe Committing');
$node->poll_query_until('postgres', "SELECT count(*) = 3 FROM sync_job WHERE status = 'Started'");
$node->stop('fast');
$node->start;
wait_until_running($node, $_) for @jobs;
open_gate($node);
wait_for_jobs($node);
is($node->safe_psql('postgres', q{SELECT count(*), max(retry_count) FROM sync_job WHERE status = 'Finished'}), '6|0', 'a fast shutdown fails no job');
is($node->safe_psql('postgres', $errors), '0', 'nor is a failure recorded');
is(effects('true'), '6 jobs, not once: 0', 'each has had its effect once');

# kill -9 of a worker that runs a job alone: charged, tried again.
for my $type ('Probe Alone', 'Probe Committing')
{
	close_gate($node);
	my $job = enqueue($node, $type, 3, q{context => '{"gate": "closed"}', retry_delay => '10 ms'});
	my $pid = wait_until_running($node, $job);
	$node->poll_query_until('postgres', "SELECT status = 'Started' FROM sync_job WHERE id = $job");
	kill 'KILL', $pid;
	ok(wait_until_up(), 'the server restarts');
	open_gate($node);
	$node->poll_query_until('postgres', "SELECT status = 'Finished' FROM sync_job WHERE id = $job");
	is($node->safe_psql('postgres', "SELECT status, retry_count FROM sync_job WHERE id = $job"), 'Finished|1', "$type: finished by a retry");
	is($node->safe_psql('postgres', "SELECT attempt, sqlstate, counted FROM sync_job_error WHERE sync_job = $job"), '1|57P02|t', 'the crash counts');
	is(effects("id = $job"), '1 jobs, not once: 0', 'it has had its effect once');
}

# kill -9 in the middle of batches: nobody is charged. No job may overrun its batch here, and so run alone, however slow
# the machine.
$node->append_conf('postgresql.conf', "sync_job.batch_time = '10s'\nsync_job.batch_jobs = 50");
$node->restart;
$node->safe_psql('postgres', q{
	DELETE FROM sync_job_error;
	SELECT count(enqueue_sync_job('Probe', d, context => '{"sleep": 0.005}', job_id => 'batch')) FROM doc AS d WHERE id > 100});
$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM sync_job WHERE job_id = 'batch' AND status = 'Finished'});
my $killed = '';
$killed = $node->safe_psql('postgres', q{SELECT pid FROM sync_job_activity WHERE state = 'running' LIMIT 1}) while $killed eq '' && !all_finished();
is(kill('KILL', $killed), 1, 'a worker is killed');
ok(wait_until_up(), 'the server restarts');
wait_for_jobs($node);
is($node->safe_psql('postgres', q{SELECT count(*), max(retry_count) FROM sync_job WHERE job_id = 'batch' AND status = 'Finished'}), '900|0', 'a crash fails no job of a batch');
is(effects(q{job_id = 'batch'}), '900 jobs, not once: 0', 'each has had its effect once');
is($node->safe_psql('postgres', $errors . ' WHERE counted'), '0', 'none was charged');

# kill -9 of the postmaster: its processes end by themselves.
$node->safe_psql('postgres', q{UPDATE doc SET version = 2; SELECT count(enqueue_sync_job('Probe', d, context => '{"sleep": 0.005}', job_id => 'more')) FROM doc AS d WHERE id > 500});
$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM sync_job_activity WHERE state = 'running'});
$node->kill9;
start_after_kill($node);
wait_for_jobs($node);
is($node->safe_psql('postgres', q{SELECT count(*), max(retry_count) FROM sync_job WHERE job_id = 'more' AND status = 'Finished'}), '500|0', 'the end of the postmaster fails no job');
is($node->safe_psql('postgres', q{SELECT count(*) FROM effect WHERE id LIKE 'Probe %' AND version = 2 AND changes = 2 AND split_part(id, ' ', 2)::int > 500}), '500',
	'each has had its effect once');

$node->append_conf('postgresql.conf', "sync_job.batch_time = '100ms'\nsync_job.batch_jobs = 500");
$node->reload;

# A job that ends its own process, each time: in the end that counts as its failure, and its neighbours have run meanwhile. In a
# batch it is found out first; at the commit, too.
$node->safe_psql('postgres', q{
	DELETE FROM sync_job_error;
	CREATE TABLE ending (id int);
	CREATE FUNCTION end_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
	CREATE CONSTRAINT TRIGGER end_it AFTER INSERT ON ending DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION end_it();
	CREATE SCHEMA ending;
	CREATE FUNCTION ending.execute(sync_job sync_job, source_doc jsonb) RETURNS jsonb LANGUAGE sql AS 'INSERT INTO ending VALUES (1) RETURNING NULL::jsonb';
	INSERT INTO sync_job_type (name, module, batchable) VALUES ('Ending', 'ending', true)});
my %ending = (
	'in a batch' => enqueue($node, 'Probe', 1, q{context => '{"terminate": true}', job_id => 'ending', max_retries => 0}),
	'alone' => enqueue($node, 'Probe Alone', 2, q{context => '{"terminate": true}', job_id => 'ending', max_retries => 0}),
	'at the commit' => $node->safe_psql('postgres', q{SELECT enqueue_sync_job('Ending', job_id => 'ending', max_retries => 0)}));
$node->safe_psql('postgres', q{SELECT count(enqueue_sync_job('Probe', d, job_id => 'beside')) FROM doc AS d WHERE id BETWEEN 10 AND 40});
wait_for_jobs($node);
is($node->safe_psql('postgres', "SELECT status, sqlstate, counted FROM sync_job AS j JOIN sync_job_error AS e ON e.sync_job = j.id WHERE j.id = $ending{$_}"), 'Failed|57P01|t',
	"a job that ends its own process $_ has failed")
  for sort keys %ending;
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE job_id = 'beside' AND status = 'Finished' AND retry_count = 0}), '31', 'those beside them have run');

# After a crash the workers are cautious, and as many as before. Four jobs that wait for each other are met.
$node->safe_psql('postgres', q{
	CREATE TABLE met (id int, job bigint);
	CREATE FUNCTION meet(met int) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_advisory_lock_shared(met, pg_backend_pid());
		WHILE (SELECT count(DISTINCT objid) FROM pg_locks WHERE locktype = 'advisory' AND classid = met) < 4 AND NOT EXISTS (SELECT FROM met AS m WHERE m.id = met) LOOP
			PERFORM pg_sleep(0.01);
		END LOOP;
		INSERT INTO met VALUES (met);
		PERFORM pg_advisory_unlock_shared(met, pg_backend_pid());
		RETURN 1;
	END $$});
my $launcher = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'sync job launcher'});
kill 'KILL', $launcher;
ok(wait_until_up(), 'the server restarts');
$node->safe_psql('postgres', q{SELECT count(enqueue_background_job('meet', jsonb_build_object('met', 777), timeout => '1 min')) FROM generate_series(1, 4)});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 4 FROM sync_job WHERE procedure ~ 'meet' AND status = 'Finished'}), 'after a crash four jobs run at a time');

# A session that is terminated in a job it runs by itself: the job is queued again at once, not at the next poll.
$node->append_conf('postgresql.conf', "sync_job.poll_interval = '1h'");
$node->restart;
close_gate($node);
$node->safe_psql('postgres', q{INSERT INTO sync_job_queue (name, max_workers) VALUES ('by hand', 0)});
my $by_hand = enqueue($node, 'Probe Alone', 1, q{context => '{"gate": "closed"}', queue => 'by hand'});
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_until(qr/called/, "\\echo called\nCALL run_sync_jobs('by hand');\n");
my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE query ~ '^CALL run_sync_jobs'});
$node->poll_query_until('postgres', "SELECT status = 'Started' FROM sync_job WHERE id = $by_hand");
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
ok($node->poll_query_until('postgres', "SELECT status = 'Queued' FROM sync_job WHERE id = $by_hand"), "a session's job is queued again when the session has been terminated");
eval { $session->quit };
open_gate($node);
$node->safe_psql('postgres', q{CALL run_sync_jobs('by hand')});
is($node->safe_psql('postgres', "SELECT status, retry_count FROM sync_job WHERE id = $by_hand"), 'Finished|0', 'and can be run');
$node->append_conf('postgresql.conf', 'sync_job.poll_interval = 10s');
$node->reload;

# A job that kills its worker each time ends as Failed, wherever it runs; its neighbours are finished.
for my $type ('Probe', 'Probe Alone', 'Probe Committing')
{
	$node->safe_psql('postgres', q{DELETE FROM sync_job_error});
	# In one transaction, as the first of them may take the server down at once.
	$node->safe_psql('postgres', qq{
		BEGIN;
		SELECT count(enqueue_sync_job('Probe', i::text, job_id => '$type')) FROM generate_series(1, 20) AS i;
		SELECT enqueue_sync_job('$type', '50', context => '{"kill": true}', max_retries => 1, job_id => 'poison of $type');
		SELECT count(enqueue_sync_job('Probe', i::text, job_id => '$type')) FROM generate_series(21, 40) AS i;
		COMMIT});
	my $poison = "job_id = 'poison of $type'";
	ok($node->poll_query_until('postgres', "SELECT status = 'Failed' AND retry_after IS NULL FROM sync_job WHERE $poison"), "$type: a job that kills is Failed");
	wait_for_jobs($node);
	is($node->safe_psql('postgres', "SELECT count(*) FROM sync_job WHERE job_id = '$type' AND status IN ('Finished', 'Skipped')"), '40', 'its neighbours are finished');
	is($node->safe_psql('postgres', "SELECT string_agg(attempt || ':' || sqlstate || ':' || counted, ' ' ORDER BY attempt) FROM sync_job_error JOIN sync_job ON id = sync_job WHERE $poison"),
		'1:57P02:true 2:57P02:true', 'with an error for each crash that it is charged with');
	is($node->safe_psql('postgres', $errors . " WHERE counted AND sync_job <> (SELECT id FROM sync_job WHERE $poison)"), '0', 'nobody else is charged');
}

$node->stop('fast');
unlike_accidents($node, kill => 1);
done_testing();
