# cancel_sync_job(running => true) at random moments, by two sessions, while short jobs follow each other: it stops the job it
# names, however often it is asked to, and never the one after it. Full syncs, too; and what else a worker was asked for at that moment.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => "sync_job.batch_jobs = 20\nlog_statement = none");
load_probe($node, 3000);
sub value { return $node->safe_psql('postgres', $_[0]) }
$node->safe_psql('postgres', q{
	CREATE PROCEDURE cancel_at_random() LANGUAGE plpgsql AS $$
	BEGIN
		WHILE EXISTS (SELECT FROM sync_job WHERE status IN ('Queued', 'Started')) LOOP
			PERFORM pg_sleep(random() * 0.004);
			PERFORM cancel_sync_job(ARRAY(SELECT sync_job FROM sync_job_activity WHERE sync_job IS NOT NULL), 'at random', running => true);
			COMMIT;
		END LOOP;
	END $$;
	UPDATE sync_job_type SET max_retries = 0;
	SELECT count(enqueue_sync_job((ARRAY['Probe', 'Probe Alone', 'Probe Committing'])[1 + d.id % 3], d.id::text,
	                              context => jsonb_build_object('sleep', random() * 0.003, 'parts', 1))) FROM doc AS d});
my @sessions = map { $node->background_psql('postgres') } 1 .. 2;
$_->query_until(qr/start/, "\\echo start\nCALL cancel_at_random();\n") for @sessions;
my $states = wait_for_jobs($node);
$_->quit for @sessions;
like($states, qr/^Canceled=\d+ Finished=\d+$/, 'each job was either canceled or is finished');
diag($states);
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT sqlstate || ' ' || message, ', ') FROM sync_job_error}), '', 'none has failed');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE status = 'Canceled' AND cancel_reason IS DISTINCT FROM 'at random'}), '0', 'the reason is kept');
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM sync_job AS j WHERE sync_job_type <> 'Probe Committing'
	AND (status = 'Finished') <> EXISTS (SELECT FROM effect AS e WHERE e.id = sync_job_type || ' ' || source_document_name AND changes = 1)}), '0',
	'what is finished has had its effect, what is canceled has none');

# A second cancellation while the first is on its way: the job has been stopped, and its end cannot be recorded yet. Both
# answer when it is.
for my $type ('Probe', 'Probe Alone')
{
	close_gate($node);
	my $job = enqueue($node, $type, 5, q{context => '{"gate": "closed"}'});
	$node->poll_query_until('postgres', "SELECT status = 'Started' FROM sync_job WHERE id = $job");    # a batch lets go of it
	my $pid = wait_until_running($node, $job);
	my $locker = $node->background_psql('postgres');
	$locker->query_safe('BEGIN; LOCK TABLE sync_job_internal.sync_job_ended IN SHARE MODE');
	my ($first, $second) = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;
	$first->query_until(qr/sent/, "\\echo sent\nSELECT status, cancel_reason FROM cancel_sync_job($job, 'first', running => true);\n");
	poll($node, "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid", "$type: a job is stopped");
	$second->query_until(qr/sent/, "\\echo sent\nSELECT status, cancel_reason FROM cancel_sync_job($job, 'second', running => true);\n");
	poll($node, q{SELECT count(*) = 2 FROM pg_stat_activity WHERE query ~ '^SELECT status, cancel_reason' AND wait_event_type = 'Extension'}, 'a second session cancels it, and both wait');
	$locker->query_safe('COMMIT');
	like($first->query('SELECT 1'), qr/^(sent\n)?Canceled\|first\n1$/, 'the first has canceled it');
	like($second->query('SELECT 1'), qr/^(sent\n)?Canceled\|first\n1$/, 'the second hears that it is canceled');
	is($second->{stderr}, '', 'and of no error');
	is($node->safe_psql('postgres', "SELECT status, cancel_reason FROM sync_job WHERE id = $job"), 'Canceled|first', 'as it says itself');
	$_->quit for $first, $second, $locker;
	open_gate($node);
}
my $canceled = $node->safe_psql('postgres', q{SELECT max(id) FROM sync_job WHERE status = 'Canceled'});
my ($code, $out, $err) = $node->psql('postgres', "SELECT cancel_sync_job($canceled, running => true)");
like($err, qr/cannot cancel sync job $canceled with status Canceled/, 'who comes later hears that there is nothing left to cancel');

# Full syncs, wherever one is: before its first statement, within one of the engine's own, in a chunk. Their transactions are their own,
# so what an error leaves open is let go by nobody else. That nothing was left is in the log, which is looked at in the end.
value(q{
	CREATE TABLE target (id int PRIMARY KEY, v int);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries)
	VALUES ('Full', 'doc', 'target', '{"id": "id"}', '{"v": "version"}', 0);
	CREATE PROCEDURE cancel_full_syncs(times int) LANGUAGE plpgsql AS $$
	DECLARE
		run bigint;
	BEGIN
		FOR i IN 1 .. times LOOP
			UPDATE doc SET version = version + 1 WHERE id % 100 = i % 100;
			run := enqueue_full_sync('Full', max_change_percent => 100, chunk_size => 20);
			COMMIT;
			WHILE (SELECT status = 'Queued' FROM sync_job WHERE id = run) LOOP
				PERFORM pg_sleep(0.001);
				COMMIT;
			END LOOP;
			PERFORM pg_sleep(0.03 * random() ^ 3);  -- at its start, rather
			PERFORM cancel_sync_job(ARRAY[run], 'at random', running => true);
			COMMIT;
		END LOOP;
	END $$});
value('CALL cancel_full_syncs(400)');
is(value(q{SELECT string_agg(DISTINCT status, ' ') FROM sync_job WHERE operation = 'Full Sync' AND (status <> 'Finished' OR cancel_reason IS NOT NULL)}), 'Canceled',
	'full syncs are canceled, too, and none has failed');

# Whoever runs jobs in a session can stop, and it begins no other: jobs in a batch, alone, that commit, within a transaction block.
value(q{UPDATE sync_job_queue SET max_workers = 0});
poll($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'sync job worker'}, 'no worker is there');
for my $case (['Probe', ''], ['Probe Alone', ''], ['Probe Committing', ''], ['Probe', 'BEGIN; '])
{
	my ($type, $begin) = @$case;
	value('TRUNCATE sync_job');
	close_gate($node);
	my ($first) = map { enqueue($node, $type, $_, q{context => '{"gate": "closed"}'}) } 1 .. 3;
	my $runner = $node->background_psql('postgres', on_error_stop => 0);
	$runner->query_until(qr/sent/, "\\echo sent\n${begin}CALL run_sync_jobs();\n");
	my $pid = wait_until_running($node, $first);
	value("SELECT pg_cancel_backend($pid)");
	$runner->query('ROLLBACK');
	like($runner->{stderr}, qr/ERROR:  canceling statement due to user request$/m, "$begin$type: run_sync_jobs ends when it is canceled");
	is(value(q{SELECT string_agg(status || '=' || n, ' ' ORDER BY status) FROM (SELECT status, count(*) AS n FROM sync_job GROUP BY 1) AS s}),
		$begin ? 'Queued=3' : 'Failed=1 Queued=2', 'the others wait as they did');
	$runner->quit;
	open_gate($node);
}
# In a set, also where it is guessed from the last one.
value(q{TRUNCATE sync_job; UPDATE doc SET version = version + 1; SELECT count(enqueue_sync_job('Full', d)) FROM (SELECT doc FROM doc WHERE id <= 100 ORDER BY id) AS d (d)});
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; SELECT 1 FROM target WHERE id = 50 FOR UPDATE');
my $runner = $node->background_psql('postgres', on_error_stop => 0);
$runner->query_safe(q{SET statement_timeout = '5 s'});
$runner->query('CALL run_sync_jobs()');
like($runner->{stderr}, qr/ERROR:  canceling statement due to statement timeout$/m, 'a set: its statement_timeout ends it');
like(value(q{SELECT string_agg(status || '=' || n, ' ' ORDER BY status) FROM (SELECT status, count(*) AS n FROM sync_job GROUP BY 1) AS s}),
	qr/^(Failed=1 )?Finished=[1-9]\d* Queued=[1-9]\d*$/, 'what was done is recorded');
$_->quit for $holder, $runner;
value(q{UPDATE sync_job_queue SET max_workers = 2});

# A worker that is asked for something else at the moment at which its job is canceled does that, too: DROP DATABASE waits until each
# process has closed its files.
close_gate($node);
my $last = enqueue($node, 'Probe Alone', 6, q{context => '{"gate": "closed"}'});
my $pid = wait_until_running($node, $last);
value('CREATE DATABASE other');
kill 'STOP', $pid;
my $dropping = $node->background_psql('postgres');
$dropping->query_until(qr/sent/, "\\echo sent\nDROP DATABASE other;\n\\echo dropped\n");
poll($node, q{SELECT wait_event = 'ProcSignalBarrier' FROM pg_stat_activity WHERE query ~ '^DROP DATABASE'}, 'a database is being dropped');
value("SELECT pg_cancel_backend($pid)");
kill 'CONT', $pid;
$dropping->query_until(qr/dropped/, "");
poll($node, "SELECT status = 'Failed' FROM sync_job WHERE id = $last", 'the job was interrupted');
is(value(q{SELECT count(*) FROM pg_database WHERE datname = 'other'}), '0', 'and the database is dropped');
$dropping->quit;

$node->stop('fast');
unlike_accidents($node);
done_testing();
