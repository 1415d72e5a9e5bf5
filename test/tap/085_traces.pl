# The trace that a job belongs to, as whoever enqueues it says.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use Listener;

my $node = new_cluster('main', conf => "sync_job.poll_interval = '1 s'");
load_probe($node, 10);
sub value { return $node->safe_psql('postgres', $_[0]) }

my $trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
my $stderr;
$node->psql('postgres', q{SET sync_job.traceparent = '00-x'}, stderr => \$stderr);
like($stderr, qr/invalid value for parameter "sync_job.traceparent": "00-x"\nDETAIL:  It is as in 00-/, 'no trace');
value(q{
	CREATE TABLE seen (job bigint, trace text);
	CREATE SCHEMA traced;
	CREATE FUNCTION traced.execute(sync_job sync_job, source_doc doc, context jsonb) RETURNS sync_job_result LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO seen VALUES ((sync_job).id, current_setting('sync_job.traceparent'));
		IF (sync_job).context ? 'more' THEN PERFORM enqueue_sync_job('Traced', '2'); END IF;
		IF (sync_job).context ? 'fail' AND (sync_job).retry_count = 0 THEN RAISE 'once'; END IF;
		RETURN NULL;
	END $$;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, retry_delay, publish_events) VALUES ('Traced', 'doc', 'effect', 'traced', '10 ms', true);
	SELECT pause_sync_job_queue('default')});
my $events = Listener->new($node, 'postgres', 'sync_job');
my $first = value(qq{SET sync_job.traceparent = '$trace'; SELECT enqueue_sync_job('Traced', '1', context => '{"more": true, "fail": true}')});
my $plain = value(q{SELECT enqueue_sync_job('Traced', '3')});
is(value(qq{SET sync_job.traceparent = '00-11111111111111111111111111111111-00f067aa0ba902b7-01'; SELECT enqueue_sync_job('Traced', '3', deduplicate => true)}), $plain,
	'deduplication does not look at it');
my $log = -s $node->logfile;
value(q{SELECT resume_sync_job_queue('default')});
wait_for_jobs($node);
is(value(q{SELECT string_agg(DISTINCT coalesce(traceparent, 'none'), ' ') FROM sync_job WHERE sync_job_type = 'Traced' AND source_document_name IN ('1', '2')}), $trace, 'kept by its retry, and by what its code enqueues');
is(value(qq{SELECT string_agg(DISTINCT trace, ' ') FROM seen WHERE job = $first}), $trace, 'its code can read it');
is(value(qq{SELECT j.traceparent IS NULL, s.trace = '' FROM sync_job AS j JOIN seen AS s ON s.job = j.id WHERE j.id = $plain}), 't|t', 'another job has none');
ok($events->wait_for('sync_job', qr/"sync_job": $first\b.*"traceparent": "$trace"/) || $events->wait_for('sync_job', qr/"traceparent": "$trace".*"sync_job": $first\b/), 'its event has it');
$events->stop;
is(value(qq{SELECT rerun_sync_job($first) IS NOT NULL}), 't', 'once more');
wait_for_jobs($node);
is(value(q{SELECT count(DISTINCT traceparent) FROM sync_job WHERE relation = 'rerun' AND traceparent IS NOT NULL}), '1', 'with the trace of the first');
is(value(qq{SET sync_job.traceparent = '$trace'; SELECT (execute_sync_job(enqueue_sync_job('Traced', '4', queue_on_insert => false))).status; SHOW sync_job.traceparent}), "Finished\n$trace", 'by hand, too, and the session keeps its own');
my $committing = value(qq{SET sync_job.traceparent = '$trace'; SELECT enqueue_sync_job('Probe Committing', '1', context => '{"fail": "traced"}', max_retries => 0)});
wait_for_jobs($node);
like(value(qq{SELECT context FROM sync_job_error WHERE sync_job = $committing}), qr/, trace $trace\)/, 'the context of an error names it');
enqueue($node, 'Traced', 5);
wait_for_jobs($node);
is(value(q{SELECT count(*) FROM seen AS s JOIN sync_job AS j ON j.id = s.job WHERE s.trace <> coalesce(j.traceparent, '')}), '0', 'no job sees the trace of another');

done_testing();
