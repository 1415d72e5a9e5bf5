# Paused types: their jobs leave the way of all others and keep their place, triggers go on enqueueing, and after the pause all of them
# run in their order; whatever is enqueued, claimed or committed at the moment of a change.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => "sync_job.max_workers = 6\nsync_job.batch_time = 10\nsync_job.poll_interval = '1s'\n");
sub value { return $node->safe_psql('postgres', $_[0]) }
value(q{
	UPDATE sync_job_queue SET max_workers = 3;
	CREATE TABLE source (id int PRIMARY KEY, note text);
	INSERT INTO source SELECT generate_series(1, 50);
	CREATE TABLE run (at bigint GENERATED ALWAYS AS IDENTITY, job bigint, source int, type text, began timestamptz, ended timestamptz);
	CREATE SCHEMA running;
	CREATE FUNCTION running.execute(sync_job sync_job, source_doc source) RETURNS sync_job_result LANGUAGE plpgsql AS $$
	DECLARE
		began timestamptz := clock_timestamp();
	BEGIN
		IF sync_job.context ? 'fail' AND sync_job.retry_count = 0 THEN
			RAISE EXCEPTION 'at first';
		END IF;
		IF sync_job.context ? 'gate' THEN
			-- Not by waiting for the lock: who does that for long gives its worker back.
			WHILE NOT pg_try_advisory_lock(1) LOOP
				PERFORM pg_sleep(0.01);
			END LOOP;
			PERFORM pg_advisory_unlock(1);
		END IF;
		INSERT INTO run (job, source, type, began, ended) VALUES (sync_job.id, source_doc.id, sync_job.sync_job_type, began, clock_timestamp());
		RETURN NULL;
	END $$;
	INSERT INTO sync_job_type (name, source_document_type, module, batchable, retry_delay) VALUES
		('Paused', 'source', 'running', true, '10 ms'), ('Alone', 'source', 'running', false, '10 ms'), ('Other', 'source', 'running', true, '10 ms');
	-- A later job of a document that ran before an earlier one.
	CREATE VIEW disorder AS
		SELECT a.job AS one, b.job AS other FROM run AS a JOIN run AS b USING (source, type) WHERE a.job < b.job AND NOT a.ended <= b.began;
});

# Very many jobs are in nobody's way, and wait for the end of the pause.
value(q{SELECT pause_sync_job_queue('default'); SELECT count(enqueue_sync_job('Paused', (1 + n % 50)::text)) FROM generate_series(1, 6000) AS n});
value(q{SELECT pause_sync_job_type('Paused'); SELECT resume_sync_job_queue('default'); SELECT enqueue_sync_job('Other', '1')});
poll($node, q{SELECT count(*) = 1 FROM run WHERE type = 'Other'}, 'a job behind 6,000 of a paused type runs');
poll($node, q{SELECT count(*) = 6000 FROM sync_job WHERE sync_job_type = 'Paused' AND status = 'Queued' AND held}, 'which are held');
like(value(q{SELECT note FROM sync_job_queue_status WHERE queue = 'default'}), qr/^paused types: Paused(;|$)/, 'the queue says which type is paused');
is(value(q{SELECT count(*) FROM run WHERE type = 'Paused'}), '0', 'none of them has run');

# Enqueued meanwhile, by a trigger, and absorbed.
value(q{SELECT attach_sync_job_triggers('Paused', 'source'); UPDATE source SET note = 'changed' WHERE id = 7; UPDATE source SET note = 'again' WHERE id = 7});
is(value(q{SELECT count(*) FROM sync_job WHERE sync_job_type = 'Paused' AND context ? 'trigger_operation' AND held}), '1', 'a trigger enqueues meanwhile');
# Steered by hand like any other; with a retry and a time that come due.
my @by_hand = map { value("SELECT enqueue_sync_job('Paused', '50')") } 1 .. 2;
is(value("SELECT status, held IS NULL FROM cancel_sync_job($by_hand[0])"), 'Canceled|t', 'one is canceled');
is(value("SELECT status, held IS NULL FROM execute_sync_job($by_hand[1])"), 'Finished|t', 'one is run by hand');
value(q{TRUNCATE run});
my $failing = value(q{SELECT enqueue_sync_job('Alone', '3', '{"fail": 1}', retry_delay => '1 hour')});
poll($node, "SELECT status = 'Failed' FROM sync_job WHERE id = $failing", 'one has failed before its type is paused');
value(q{SELECT pause_sync_job_queue('default')});    # so that none is faster than the pause
my $scheduled = value(q{SELECT enqueue_sync_job('Alone', '2', scheduled_at => now() + '1 s')});
my $later = value(q{SELECT enqueue_sync_job('Alone', '4', queue_on_insert => false)});
value(qq{SELECT pause_sync_job_type('Alone'); SELECT start_sync_job($later); SELECT retry_sync_job($failing); SELECT resume_sync_job_queue('default')});
poll($node, "SELECT count(*) = 3 FROM sync_job WHERE id IN ($scheduled, $failing, $later) AND status = 'Queued' AND held", 'what is due, retried or started is held, too');

# They are still there after a restart.
$node->restart;
value(q{SELECT enqueue_sync_job('Other', '1')});
poll($node, q{SELECT count(*) = 1 FROM run WHERE type = 'Other'}, 'others run after a restart');
is(value(q{SELECT count(*) FROM run WHERE type <> 'Other'}), '0', 'none of a paused type does');

# The end of the pause, while others of the same documents are enqueued.
value(q{UPDATE sync_job_type SET paused = false});
value(qq{SELECT count(enqueue_sync_job('Paused', (1 + n % 50)::text)) FROM generate_series(1, 50) AS n}) for 1 .. 10;
is(wait_for_jobs($node), 'Canceled=1 Finished=6507', 'all run');
is(value(q{SELECT count(*) FROM disorder}), '0', 'those of one document in their order');
is(value(q{SELECT count(*) FROM sync_job WHERE held}), '0', 'none is held');
unlike(value(q{SELECT note FROM sync_job_queue_status WHERE queue = 'default'}), qr/paused/, 'nothing is noted any more');

# One that has begun ends; the next one of its type does not begin.
my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');
my @alone = map { value(qq{SELECT enqueue_sync_job('Alone', '$_', '{"gate": 1}')}) } 10 .. 12;
value(q{UPDATE sync_job_queue SET max_workers = 1});
wait_until_running($node, $alone[0]);
value(q{SELECT pause_sync_job_type('Alone')});
$gate->query_safe('SELECT pg_advisory_unlock(1)');
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $alone[0]", 'a job that runs when its type is paused ends');
value(q{UPDATE sync_job_queue SET max_workers = 3});
my $other = value(q{SELECT enqueue_sync_job('Other', '1')});
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $other", 'others run');
is(value(qq{SELECT count(*) FROM sync_job WHERE id IN ($alone[1], $alone[2]) AND status = 'Finished'}) <= 2, 1, 'the next ones wait');
value(q{SELECT resume_sync_job_type('Alone')});
wait_for_jobs($node);

# Enqueued before the change and committed after it: before a pause, and before its end.
my $open = $node->background_psql('postgres');
$open->query_safe('BEGIN');
$open->query_safe(q{SELECT enqueue_sync_job('Paused', '20', job_id => 'before the pause')});
value(q{SELECT pause_sync_job_type('Paused')});
$open->query_safe('COMMIT');
poll($node, q{SELECT held FROM sync_job WHERE job_id = 'before the pause'}, 'a job that was enqueued before a pause and committed after it is held');
$open->query_safe('BEGIN');
$open->query_safe(q{SELECT enqueue_sync_job('Paused', '20', job_id => 'before its end')});
value(q{SELECT resume_sync_job_type('Paused')});
poll($node, q{SELECT status = 'Finished' FROM sync_job WHERE job_id = 'before the pause'}, 'it runs when the pause is over');
$open->query_safe('COMMIT');
poll($node, q{SELECT status = 'Finished' FROM sync_job WHERE job_id = 'before its end'}, 'so does one that was enqueued in the pause and committed after it');
$open->quit;
$gate->quit;

# Paused and resumed all the time, under load: nothing is lost, and nothing out of order.
value(q{TRUNCATE run; SELECT clear_all_sync_jobs(); SELECT detach_sync_job_triggers('Paused', 'source')});
for my $turn (1 .. 15)
{
	value(qq{SELECT count(enqueue_sync_job(type, (1 + n % 50)::text)) FROM generate_series(1, 60) AS n, unnest(ARRAY['Paused', 'Alone', 'Other']) AS type});
	value(q{UPDATE sync_job_type SET paused = NOT paused WHERE name <> 'Other'});
}
value(q{UPDATE sync_job_type SET paused = false});
is(wait_for_jobs($node), 'Finished=2700', 'changed all the time: all run');
is(value(q{SELECT count(*) FROM disorder}), '0', 'in their order');

$node->stop('fast');
unlike_accidents($node);
done_testing();
