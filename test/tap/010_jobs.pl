# Many jobs, several workers: each job runs once, one of a document at a time, in order; priorities, timers, limits.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

# A job of these that overruns its batch would run twice; on a slow machine any may.
my $node = new_cluster('main', conf => "sync_job.batch_time = '5s'\nsync_job.batch_jobs = 100\nsync_job.max_workers = 5");
load_probe($node, 10000);
$node->safe_psql('postgres', q{UPDATE sync_job_queue SET max_workers = 4});

# 10,000 jobs of one statement.
is($node->safe_psql('postgres', q{SELECT count(enqueue_sync_job('Probe', d)) FROM doc AS d}), '10000', 'one statement enqueues 10,000 jobs');
is(wait_for_jobs($node), 'Finished=10000', 'all are finished');
is($node->safe_psql('postgres', q{
	SELECT count(*) FILTER (WHERE e.version = d.version AND e.changes = 1) FROM effect AS e JOIN doc AS d ON e.id = 'Probe ' || d.id}),
	'10000', 'each target is right, and was written once');
is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT id), count(DISTINCT source_document_name) FROM sync_job}),
	'10000|10000|10000', 'each job is there once');
is($node->safe_psql('postgres', q{SELECT last_value FROM probe_run}), '10000', 'no controller ran twice, not even in vain');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job_error}), '0', 'none was found under way by another worker');
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job_activity}), '>', 1, 'there were several workers');

# No commit, no job.
my $seen = q{SELECT count(*), coalesce(max(id), 0) FROM sync_job};
my $before = $node->safe_psql('postgres', $seen);
$node->safe_psql('postgres', q{BEGIN; SELECT count(enqueue_sync_job('Probe', d)) FROM doc AS d WHERE id <= 100; ROLLBACK});
$node->safe_psql('postgres', q{
	BEGIN; SAVEPOINT s; SELECT enqueue_sync_job('Probe', '1', job_id => 'undone'); ROLLBACK TO s;
	SELECT enqueue_sync_job('Probe', '1', job_id => 'done'); COMMIT});
wait_for_jobs($node);
is($node->safe_psql('postgres', q{SELECT string_agg(job_id, ',') FROM sync_job WHERE job_id LIKE '%done'}), 'done',
	'a savepoint takes its jobs back');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job}), '10001', 'an aborted transaction leaves no job');

# A job with a lower id than those that have run already, as its transaction took longer.
my $slow = $node->background_psql('postgres');
my $early = $slow->query_safe(q{BEGIN; SELECT enqueue_sync_job('Probe', '5', job_id => 'early')});
my @late = map { enqueue($node, 'Probe', 6 + $_) } 1 .. 3;
poll($node, "SELECT count(*) = 3 FROM sync_job WHERE id > $early AND status IN ('Finished', 'Skipped')", 'jobs overtake one that is not committed');
$slow->query_safe('COMMIT');
$slow->quit;
poll($node, "SELECT status IN ('Finished', 'Skipped') FROM sync_job WHERE id = $early", 'which runs when it is');
cmp_ok($node->safe_psql('postgres', "SELECT extract(epoch FROM started_at - (SELECT max(ended_at) FROM sync_job WHERE id <> $early)) FROM sync_job WHERE id = $early"), '<', 8,
	'without waiting for polling');

# One document, many jobs, alone and in batches: never two at a time, and in their order.
$node->safe_psql('postgres', q{
	UPDATE doc SET version = 7 WHERE id <= 3;
	SELECT count(enqueue_sync_job(t, (1 + i % 3)::text, context => '{"sleep": 0.002}'))
	FROM generate_series(1, 240) AS i, unnest(ARRAY['Probe', 'Probe Alone']) AS t});
is(wait_for_jobs($node), 'Finished=10485', 'jobs of three documents');
is($node->safe_psql('postgres', q{SELECT string_agg(changes::text, ' ' ORDER BY id) FROM effect WHERE id ~ 'Alone [123]$'}), '80 80 80',
	'each has counted itself');
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM (
		SELECT started_at, lag(ended_at) OVER w AS before FROM sync_job
		WHERE context ? 'sleep' WINDOW w AS (PARTITION BY sync_job_type, source_document_name ORDER BY id)) AS s
	WHERE started_at < before}), '0', 'no job began before the one before it of its document had ended');

# Priority, then id; a queue that was paused shows it.
$node->safe_psql('postgres', q{SELECT pause_sync_job_queue('short')});
$node->safe_psql('postgres', q{UPDATE sync_job_queue SET max_workers = 1 WHERE name = 'short'});
my $first = $node->safe_psql('postgres', q{
	SELECT min(enqueue_sync_job('Probe Alone', (10 + i)::text, queue => 'short', priority => p))
	FROM generate_series(1, 4) AS i, unnest(ARRAY[5, 0, -5]) AS p});
is($node->safe_psql('postgres', q{SELECT waiting, workers, note FROM sync_job_queue_status WHERE queue = 'short'}), '12|0|paused',
	'a paused queue starts nothing');
$node->safe_psql('postgres', q{SELECT resume_sync_job_queue('short')});
wait_for_jobs($node);
is($node->safe_psql('postgres', qq{
	SELECT count(*) FROM (SELECT row_number() OVER (ORDER BY started_at) AS ran, row_number() OVER (ORDER BY priority, id) AS due
	                      FROM sync_job WHERE id >= $first) AS s WHERE ran <> due}), '0', 'lower priority first, then in order');

# Timers.
my $at = $node->safe_psql('postgres', q{
	SELECT enqueue_sync_job('Probe', '20', scheduled_at => clock_timestamp() + '1.5 s')});
my $sooner = $node->safe_psql('postgres', q{
	SELECT enqueue_sync_job('Probe', '21', scheduled_at => clock_timestamp() + '0.5 s')});
is(status_of($node, $at), 'Queued', 'a job whose time has not come waits');
wait_for_jobs($node);
is($node->safe_psql('postgres', qq{SELECT bool_and(started_at >= scheduled_at) FROM sync_job WHERE id IN ($at, $sooner)}), 't',
	'no job starts before its time');
is($node->safe_psql('postgres', qq{SELECT bool_and(started_at < scheduled_at + '5 s') FROM sync_job WHERE id IN ($at, $sooner)}), 't',
	'timers do not wait for polling');
diag('late by ' . $node->safe_psql('postgres', qq{SELECT string_agg((started_at - scheduled_at)::text, ', ') FROM sync_job WHERE id IN ($at, $sooner)}));

# concurrency_limit.
$node->safe_psql('postgres', q{
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, batchable, concurrency_limit)
	VALUES ('Limited', 'doc', 'effect', 'probe', false, 2);
	SELECT count(enqueue_sync_job('Limited', i::text, context => '{"sleep": 0.2}')) FROM generate_series(1, 10) AS i});
wait_for_jobs($node);
is($node->safe_psql('postgres', q{
	SELECT max((SELECT count(*) FROM sync_job AS o WHERE o.sync_job_type = 'Limited' AND o.started_at <= j.started_at AND o.ended_at > j.started_at))
	FROM sync_job AS j WHERE sync_job_type = 'Limited'}), '2', 'two of four workers may run jobs of the limited type');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE sync_job_type = 'Limited' AND status = 'Finished'}), '10', 'they all do');

# Settings are taken over at SIGHUP, by workers that run, too.
$node->append_conf('postgresql.conf', "sync_job.batch_time = '100ms'\nsync_job.worker_idle_timeout = '1s'");
$node->reload;
poll($node, q{SELECT count(*) = 0 FROM sync_job_activity}, 'workers take over a shorter idle timeout, and end');

# A short job behind long ones: another worker takes it, after the patience of the scheduler.
$node->safe_psql('postgres', q{SELECT count(enqueue_sync_job('Probe', (30 + i)::text, context => '{"sleep": 20}')) FROM generate_series(1, 3) AS i});
my $short = enqueue($node, 'Probe', 40);
$node->poll_query_until('postgres', "SELECT status = 'Finished' FROM sync_job WHERE id = $short");
is(status_of($node, $short), 'Finished', 'a short job does not wait for the long ones before it');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE context->>'sleep' = '20' AND status = 'Finished'}), '0', 'they still run');
diag('it waited ' . $node->safe_psql('postgres', qq{SELECT started_at - created_at FROM sync_job WHERE id = $short}));

# cancel_sync_job(running => true), of these.
my $long = $node->safe_psql('postgres', q{SELECT min(id) FROM sync_job WHERE context->>'sleep' = '20'});
wait_until_running($node, $long);
my ($code, $out, $err) = $node->psql('postgres', "SELECT cancel_sync_job($long)");
like($err, qr/cannot cancel sync job|HINT/, 'canceling a running job takes running => true') if status_of($node, $long) eq 'Started';
is($node->safe_psql('postgres', "SELECT status, cancel_reason FROM cancel_sync_job($long, 'too slow', running => true)"), 'Canceled|too slow',
	'a running job is canceled');
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM cancel_sync_job(ARRAY(SELECT id FROM sync_job WHERE context->>'sleep' = '20'), running => true)}), '2', 'and so are the others');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job_error}), '0', 'that is no failure');
is(wait_for_jobs($node), 'Canceled=3 Finished=10510', 'all else is finished');

$node->stop('fast');
unlike_accidents($node);
done_testing();
