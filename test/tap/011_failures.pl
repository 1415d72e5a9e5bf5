# Timeouts and retries, which hold up nobody.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main');
load_probe($node, 100);

# The time limit: alone and from within a batch; the neighbours are not held up, nor do they fail.
$node->safe_psql('postgres', q{UPDATE sync_job_queue SET max_workers = 1});
my @slow = map { enqueue($node, $_, 1, q{context => '{"sleep": 60}', timeout => '200 ms', max_retries => 0}) } ('Probe', 'Probe Alone', 'Probe Committing');
$node->safe_psql('postgres', q{SELECT count(enqueue_sync_job('Probe', d)) FROM doc AS d WHERE id > 1});
is(wait_for_jobs($node), 'Failed=3 Finished=99', 'three jobs are too slow, the others in their queue are finished');
for my $job (@slow)
{
	like($node->safe_psql('postgres', "SELECT error_message FROM sync_job WHERE id = $job"), qr/^canceled because of its timeout of 00:00:00.2\n/,
		'the message names the time limit');
	is($node->safe_psql('postgres', "SELECT time_taken BETWEEN '200 ms' AND '30 s' FROM sync_job WHERE id = $job"), 't', 'it ended in time');
	is($node->safe_psql('postgres', "SELECT sqlstate, counted FROM sync_job_error WHERE sync_job = $job"), '57014|t', 'the error is kept');
}
diag('200 ms took ' . $node->safe_psql('postgres', q{SELECT string_agg(time_taken::text, ', ') FROM sync_job WHERE status = 'Failed'}));
my ($patient, $unlimited) = map { enqueue($node, 'Probe Alone', 2, qq{context => '{"sleep": 0.5}', timeout => '$_'}) } ('60 s', '0');
wait_for_jobs($node);
is(status_of($node, $patient) . status_of($node, $unlimited), 'FinishedFinished', 'one with time enough, and one without a limit');

# Retries: retry_delay × 1, 2, 3 after the failures, then no more.
my %job = map { $_ => enqueue($node, 'Probe', 3, qq{context => '{"fail": "broken"}', retry_delay => '$_', max_retries => 3}) } ('1 s', '30 ms');
my $never = enqueue($node, 'Probe', 4, q{context => '{"fail": "broken"}', max_retries => 0});
poll($node, "SELECT retry_after = ended_at + retry_delay * (retry_count + 1) FROM sync_job WHERE id = $job{'1 s'} AND status = 'Failed'",
	'a failed job is tried again after retry_delay, which counts from its end as it is recorded');
is(wait_for_jobs($node), 'Failed=6 Finished=101', 'jobs that always fail stay Failed');
for my $delay (sort keys %job)
{
	is($node->safe_psql('postgres', qq{
		SELECT string_agg(attempt || ':' || message || ':' || counted, ' ' ORDER BY attempt) FROM sync_job_error WHERE sync_job = $job{$delay}}),
		'1:broken:true 2:broken:true 3:broken:true 4:broken:true', "four attempts with retry_delay $delay");
	# The start of an attempt is after the end of the one before it by the delay at least.
	is($node->safe_psql('postgres', qq{
		SELECT bool_and(gap >= (attempt - 1) * interval '$delay'), bool_and(gap < (attempt - 1) * interval '$delay' + interval '8 s') FROM
		(SELECT attempt, occurred_at - lag(occurred_at) OVER (ORDER BY attempt) AS gap FROM sync_job_error WHERE sync_job = $job{$delay}) AS s}),
		't|t', 'not before their time, and by a timer, not by polling');
	diag("gaps with retry_delay $delay: " . $node->safe_psql('postgres', qq{
		SELECT string_agg(gap::text, ', ' ORDER BY attempt) FROM
		(SELECT attempt, occurred_at - lag(occurred_at) OVER (ORDER BY attempt) AS gap FROM sync_job_error WHERE sync_job = $job{$delay}) AS s}));
	is($node->safe_psql('postgres', "SELECT retry_count, retry_after FROM sync_job WHERE id = $job{$delay}"), '3|', 'no further retry is to come');
}
is($node->safe_psql('postgres', "SELECT count(*) FROM sync_job_error WHERE sync_job = $never"), '1', 'max_retries 0: one attempt');
is($node->safe_psql('postgres', "SELECT status, retry_count FROM retry_sync_job($never)"), 'Queued|1', 'one more by hand');
wait_for_jobs($node);
is($node->safe_psql('postgres', "SELECT max(attempt) FROM sync_job_error WHERE sync_job = $never"), '2', 'it has failed again');

# Neither a deadlock nor a serialization failure counts at first; in the end it does.
$node->safe_psql('postgres', q{
	CREATE SEQUENCE tries;
	CREATE FUNCTION unlucky_once(sqlstate text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN IF nextval('tries') % 2 = 1 THEN RAISE 'once' USING ERRCODE = sqlstate; END IF; END $$});
for my $sqlstate ('40001', '40P01')
{
	my $once = $node->safe_psql('postgres', qq{SELECT enqueue_background_job('unlucky_once', '{"sqlstate": "$sqlstate"}', max_retries => 0)});
	$node->safe_psql('postgres', "CALL wait_for_sync_job($once)");
	is($node->safe_psql('postgres', "SELECT status, retry_count, (SELECT count(*) FROM sync_job_error WHERE sync_job = id) FROM sync_job WHERE id = $once"), 'Finished|0|0', "one $sqlstate does not count");
}
my $unlucky = enqueue($node, 'Probe', 5, q{context => '{"fail": "unlucky", "sqlstate": "40001"}', max_retries => 0});
my $runs = $node->safe_psql('postgres', q{SELECT last_value FROM probe_run});
wait_for_jobs($node);
is($node->safe_psql('postgres', "SELECT sqlstate, attempt FROM sync_job_error WHERE sync_job = $unlucky"), '40001|1',
	'a serialization failure that goes on counts once');
cmp_ok($node->safe_psql('postgres', q{SELECT last_value FROM probe_run}) - $runs, '<=', 4, 'after three repetitions');

# Two jobs that deadlock with each other: both are finished, and no retry is counted.
$node->safe_psql('postgres', q{
	UPDATE sync_job_queue SET max_workers = 4;
	CREATE TABLE pair (id int PRIMARY KEY, n int DEFAULT 0); INSERT INTO pair VALUES (1), (2);
	CREATE FUNCTION crossing(a int, b int) RETURNS void LANGUAGE plpgsql SET deadlock_timeout = '10 ms' AS $$
	BEGIN
		UPDATE pair SET n = n + 1 WHERE id = a;
		PERFORM pg_sleep(0.3);
		UPDATE pair SET n = n + 1 WHERE id = b;
	END $$;
	SELECT enqueue_background_job('crossing', '{"a": 1, "b": 2}'), enqueue_background_job('crossing', '{"a": 2, "b": 1}')});
is(wait_for_jobs($node), 'Failed=7 Finished=105', 'both jobs of a deadlock are finished');
is($node->safe_psql('postgres', q{SELECT string_agg(n::text, ',') FROM pair}), '2,2', 'each has written once');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job_error WHERE sqlstate = '40P01'}), '0', 'no retry was counted');

# pg_cancel_backend on the worker is a failure of the job; the worker goes on.
my $canceled = enqueue($node, 'Probe Alone', 6, q{context => '{"sleep": 60}', max_retries => 0});
my $pid = wait_until_running($node, $canceled);
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
poll($node, "SELECT status = 'Failed' FROM sync_job WHERE id = $canceled", 'pg_cancel_backend fails the job');
is($node->safe_psql('postgres', "SELECT count(*) FROM sync_job_activity WHERE pid = $pid"), '1', 'and leaves the worker');
my $batched = enqueue($node, 'Probe', 7, q{context => '{"sleep": 60}', max_retries => 0});
$pid = wait_until_running($node, $batched);
poll($node, "SELECT status = 'Started' FROM sync_job WHERE id = $batched", 'a job that overran its batch is Started');
$node->safe_psql('postgres', "SELECT cancel_sync_job($batched, running => true)");
is(wait_for_jobs($node), 'Canceled=1 Failed=8 Finished=105', 'and is canceled in its second run');

$node->stop('fast');
unlike_accidents($node);
done_testing();
