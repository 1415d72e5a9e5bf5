# Several workers at once: the jobs of one document one at a time and in their order, those of others beside each other;
# never more than concurrency_limit of a type; none of a paused queue.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => "sync_job.max_workers = 8\nsync_job.batch_time = 10\n");
$node->safe_psql('postgres', q{
	UPDATE sync_job_queue SET max_workers = 4;
	CREATE TABLE source (id int PRIMARY KEY);
	INSERT INTO source SELECT generate_series(1, 20);
	CREATE TABLE run (job bigint, source int, type text, began timestamptz, ended timestamptz);
	CREATE SCHEMA running;
	CREATE FUNCTION running.execute(sync_job sync_job, source_doc source) RETURNS sync_job_result LANGUAGE plpgsql AS $$
	DECLARE
		began timestamptz := clock_timestamp();
	BEGIN
		IF sync_job.context ? 'fail' AND sync_job.retry_count = 0 THEN
			RAISE EXCEPTION 'at first';
		END IF;
		PERFORM pg_sleep(coalesce((sync_job.context ->> 'sleep')::float8, 0.005));
		INSERT INTO run VALUES (sync_job.id, source_doc.id, sync_job.sync_job_type, began, clock_timestamp());
		RETURN NULL;
	END $$;
	INSERT INTO sync_job_type (name, source_document_type, module, batchable, concurrency_limit) VALUES
		('Batched', 'source', 'running', true, NULL), ('Alone', 'source', 'running', false, NULL),
		('Two', 'source', 'running', false, 2), ('Two Batched', 'source', 'running', true, 2), ('One', 'source', 'running', false, 1);
	-- The most runs of a type at a time.
	CREATE FUNCTION most_at_once(of_type text) RETURNS bigint LANGUAGE sql AS $$
		SELECT max(n) FROM (SELECT count(*) AS n FROM run AS a JOIN run AS b ON a.began >= b.began AND a.began < b.ended
			WHERE a.type = of_type AND b.type = of_type GROUP BY a.job) AS s
	$$;
	-- Two runs of one document that overlap, or a later job that ran before an earlier one.
	CREATE VIEW disorder AS
		SELECT a.job AS one, b.job AS other FROM run AS a JOIN run AS b USING (source, type)
		WHERE a.job < b.job AND NOT a.ended <= b.began;
});

for my $type ('Batched', 'Alone')
{
	$node->safe_psql('postgres', qq{SELECT count(enqueue_sync_job('$type', (1 + n % 5)::text)) FROM generate_series(1, 100) AS n});
	$node->safe_psql('postgres', qq{SELECT count(enqueue_sync_job('$type', (6 + n % 15)::text)) FROM generate_series(1, 100) AS n});
	like(wait_for_jobs($node), qr/^Finished=\d+$/, "$type: all run");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM disorder'), '0', "$type: one document's jobs one at a time, in order");
	cmp_ok($node->safe_psql('postgres', qq{SELECT most_at_once('$type')}), '>', 1, "$type: different documents at the same time");
}

# A limit holds for all workers together.
$node->safe_psql('postgres', q{SELECT count(enqueue_sync_job(type, (1 + n % 20)::text, '{"sleep": 0.02}')) FROM generate_series(1, 40) AS n, unnest(ARRAY['Two', 'Two Batched', 'One']) AS type});
like(wait_for_jobs($node), qr/^Finished=\d+$/, 'jobs of limited types are all run');
is($node->safe_psql('postgres', q{SELECT most_at_once('Two')}), '2', 'concurrency_limit 2: two at a time, and no more');
cmp_ok($node->safe_psql('postgres', q{SELECT most_at_once('Two Batched')}), '<=', 2, 'concurrency_limit 2 in batches: no more');
is($node->safe_psql('postgres', q{SELECT most_at_once('One')}), '1', 'concurrency_limit 1: one at a time');
# A job of a type at its limit holds up no other type.
my $long = $node->safe_psql('postgres', q{SELECT enqueue_sync_job('One', '1', '{"sleep": 3600}')});
$node->safe_psql('postgres', q{SELECT count(enqueue_sync_job('One', '2')) FROM generate_series(1, 20)});
$node->poll_query_until('postgres', qq{SELECT count(*) = 1 FROM sync_job_activity WHERE sync_job = $long}) or diag('does not start');
$node->safe_psql('postgres', q{SELECT enqueue_sync_job('Alone', '3', job_id => 'past the limit')});
ok($node->poll_query_until('postgres', q{SELECT status = 'Finished' FROM sync_job WHERE job_id = 'past the limit'}), 'another type gets past');
is($node->safe_psql('postgres', qq{SELECT string_agg(status || '=' || n, ' ' ORDER BY status) FROM (SELECT status, count(*) AS n FROM sync_job WHERE sync_job_type = 'One' AND id >= $long GROUP BY status) AS s}),
	'Queued=20 Started=1', 'those behind the limit wait');
# Raised, it lets them run at once.
$node->safe_psql('postgres', q{UPDATE sync_job_type SET concurrency_limit = 2 WHERE name = 'One'});
$node->safe_psql('postgres', q{SELECT enqueue_sync_job('One', '4')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM sync_job WHERE sync_job_type = 'One' AND status IN ('Queued', 'Started')}), 'a raised limit lets them run');
is($node->safe_psql('postgres', qq{SELECT status FROM cancel_sync_job($long, 'enough', true)}), 'Canceled', 'and the long one is stopped');

# Nor do very many of them.
$node->safe_psql('postgres', q{
	UPDATE sync_job_type SET concurrency_limit = 1 WHERE name = 'One';
	SELECT enqueue_sync_job('One', '1', '{"sleep": 3600}', job_id => 'holds');
	SELECT count(enqueue_sync_job('One', (1 + n % 20)::text, job_id => 'held')) FROM generate_series(1, 12000) AS n;
	SELECT enqueue_sync_job('Alone', '5', job_id => 'behind many'), enqueue_sync_job('Batched', '5', job_id => 'behind many')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM sync_job WHERE job_id = 'behind many' AND status = 'Finished'}), 'another type gets past 12,000 jobs');
$node->safe_psql('postgres', q{SELECT enqueue_sync_job('Alone', '5', priority => 5, job_id => 'later'), enqueue_sync_job('Alone', '6', priority => -5, job_id => 'first')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM sync_job WHERE job_id IN ('later', 'first') AND status = 'Finished'}), 'and so do those that come after that, whatever their priority');
$node->safe_psql('postgres', q{SELECT count(*) FROM cancel_sync_job((SELECT array_agg(id) FROM (SELECT id FROM sync_job WHERE job_id = 'held' ORDER BY id DESC LIMIT 11950) AS s))});
$node->safe_psql('postgres', q{SELECT count(*) FROM cancel_sync_job((SELECT array_agg(id) FROM sync_job WHERE job_id = 'holds'), 'enough', true)});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 50 FROM sync_job WHERE job_id = 'held' AND status = 'Finished'}), 'they run when the type has room again');
is($node->safe_psql('postgres', 'SELECT count(*) FROM disorder'), '0', 'in their order');
# A document in progress, and jobs whose time has come.
$node->safe_psql('postgres', q{
	SELECT enqueue_sync_job('Alone', '1', '{"sleep": 3600}', job_id => 'holds');
	SELECT count(enqueue_sync_job('Alone', '1', job_id => 'held', scheduled_at => now() - n * interval '1 ms')) FROM generate_series(1, 3000) AS n;
	SELECT count(enqueue_sync_job('Alone', '1', job_id => 'held')) FROM generate_series(1, 3000) AS n;
	SELECT enqueue_sync_job('Alone', '7', job_id => 'behind both')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM sync_job WHERE job_id = 'behind both' AND status = 'Finished'}), 'another document gets past 6,000 jobs of one that is in progress');
$node->safe_psql('postgres', q{SELECT count(*) FROM cancel_sync_job((SELECT array_agg(id ORDER BY id DESC) FROM sync_job WHERE job_id IN ('held', 'holds') AND status IN ('Queued', 'Started')), 'enough', true)});

# A job that somebody gives a parent is still a job of its document, with an operation, too.
$node->safe_psql('postgres', q{
	SELECT enqueue_sync_job('Alone', '1', queue_on_insert => false, job_id => 'parent');
	SELECT count(enqueue_sync_job('Alone', '8', '{"sleep": 0.05}', parent_sync_job => id, operation => op))
		FROM sync_job, generate_series(1, 8), unnest(ARRAY[NULL, 'Insert']) AS op WHERE job_id = 'parent'});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 16 FROM sync_job WHERE parent_sync_job IS NOT NULL AND source_document_name = '8' AND status = 'Finished'}), 'jobs with a parent are run');
is($node->safe_psql('postgres', 'SELECT count(*) FROM disorder'), '0', 'one at a time for a document');

# One that has failed does not hold up the next one of its document.
my ($failing, $next) = split /\|/, $node->safe_psql('postgres', q{SELECT enqueue_sync_job('Alone', '9', '{"fail": true}', retry_delay => '1 hour'), enqueue_sync_job('Alone', '9')});
ok($node->poll_query_until('postgres', qq{SELECT status = 'Finished' FROM sync_job WHERE id = $next}), 'the next one runs');
is($node->safe_psql('postgres', qq{SELECT status, retry_after > now() FROM sync_job WHERE id = $failing}), 'Failed|t', 'while the failed one waits for its retry');
$node->safe_psql('postgres', qq{SELECT retry_sync_job($failing)});
ok($node->poll_query_until('postgres', qq{SELECT status = 'Finished' FROM sync_job WHERE id = $failing}), 'which then runs');

# A paused queue: other queues go on, and all of it runs when it is resumed.
$node->safe_psql('postgres', q{SELECT pause_sync_job_queue('default')});
$node->safe_psql('postgres', q{SELECT count(enqueue_sync_job('Alone', id::text, job_id => 'paused')), count(enqueue_sync_job('Batched', id::text, job_id => 'paused')), count(enqueue_sync_job('Alone', id::text, queue => 'long', job_id => 'long')) FROM source});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 20 FROM sync_job WHERE job_id = 'long' AND status = 'Finished'}), 'another queue goes on');
is($node->safe_psql('postgres', q{SELECT status, count(*) FROM sync_job WHERE job_id = 'paused' GROUP BY status}), 'Queued|40', 'a paused one does not');
like($node->safe_psql('postgres', q{SELECT waiting, note FROM sync_job_queue_status WHERE queue = 'default'}), qr/^40\|paused(; types that run alone: (Batched|Two Batched|Batched, Two Batched))?$/, 'and says so, and which types were slow');
$node->safe_psql('postgres', q{SELECT resume_sync_job_queue('default')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 40 FROM sync_job WHERE job_id = 'paused' AND status = 'Finished'}), 'until it is resumed');

# Children of a relayed job run beside each other; their parent's state is Relayed long before they end.
$node->safe_psql('postgres', q{
	CREATE TABLE branch (id int PRIMARY KEY, began timestamptz, ended timestamptz);
	CREATE SCHEMA branches;
	CREATE FUNCTION branches.get_multiple_target_documents(job jsonb, source jsonb) RETURNS SETOF jsonb LANGUAGE sql AS $$
		SELECT jsonb_build_object('operation', 'insert', 'context', jsonb_build_object('branch', n)) FROM generate_series(1, 8) AS n
	$$;
	CREATE FUNCTION branches.update_target_doc(job jsonb, source jsonb, target jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	DECLARE
		began timestamptz := clock_timestamp();
	BEGIN
		PERFORM pg_sleep(0.15);
		RETURN jsonb_build_object('id', job -> 'context' -> 'branch', 'began', began, 'ended', clock_timestamp());
	END $$;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Branches', 'source', 'branch')});
my $parent = $node->safe_psql('postgres', q{SELECT enqueue_sync_job('Branches', '1')});
ok($node->poll_query_until('postgres', qq{SELECT finished = 8 FROM sync_job_relay WHERE sync_job = $parent}), 'a parent has eight children, which all end');
cmp_ok($node->safe_psql('postgres', q{SELECT max(n) FROM (SELECT count(*) AS n FROM branch AS a JOIN branch AS b ON a.began >= b.began AND a.began < b.ended GROUP BY a.id) AS s}), '>', 1, 'some of them at the same time');

# A second relaying job of the source, also from another queue, finds what the children of the first have made: it waits
# for the last of them, and is then run at once.
$node->safe_psql('postgres', q{
	CREATE TABLE leaf (branch int, source int, began timestamptz);
	CREATE TABLE gate (branch int);
	CREATE SCHEMA leaves;
	CREATE FUNCTION leaves.get_multiple_target_documents(job jsonb, source source) RETURNS SETOF sync_job_target LANGUAGE sql AS $$
		SELECT sync_job_target('insert', context => jsonb_build_object('branch', n)) FROM generate_series(1, 3) AS n
		WHERE NOT EXISTS (SELECT FROM leaf AS l WHERE l.branch = n AND l.source = source.id)
	$$;
	CREATE FUNCTION leaves.update_target_doc(job jsonb, source source, target jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		WHILE EXISTS (SELECT FROM gate WHERE branch = (job -> 'context' -> 'branch')::int) LOOP
			PERFORM pg_sleep(0.02);
		END LOOP;
		RETURN jsonb_build_object('branch', job -> 'context' -> 'branch', 'source', source.id);
	END $$;
	ALTER TABLE leaf ADD id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Leaves', 'source', 'leaf');
	INSERT INTO gate VALUES (1), (2), (3)});
my $first = $node->safe_psql('postgres', q{SELECT enqueue_sync_job('Leaves', '1')});
ok($node->poll_query_until('postgres', "SELECT count(*) = 3 FROM sync_job WHERE parent_sync_job = $first"), 'a job relays');
my @child = split /\n/, $node->safe_psql('postgres', "SELECT id FROM sync_job WHERE parent_sync_job = $first ORDER BY id");
my ($here, $there) = split /\|/, $node->safe_psql('postgres', q{SELECT enqueue_sync_job('Leaves', '1'), enqueue_sync_job('Leaves', '1', queue => 'long')});
my $other = $node->safe_psql('postgres', q{DELETE FROM gate WHERE branch = 1; SELECT enqueue_sync_job('Leaves', '2')});
ok($node->poll_query_until('postgres', "SELECT status = 'Finished' FROM sync_job WHERE id = $child[0]"), 'one child of a relayed job has ended');
ok($node->poll_query_until('postgres', "SELECT status = 'Relayed' FROM sync_job WHERE id = $other"), 'the job of another source is run');
is($node->safe_psql('postgres', "SELECT string_agg(status, ' ') FROM sync_job WHERE id IN ($here, $there)"), 'Queued Queued', 'those of the same source wait for the other children');
# One is canceled, the other one ends.
$node->safe_psql('postgres', "SELECT cancel_sync_job($child[2], running => true)");
$node->safe_psql('postgres', 'DELETE FROM gate');
ok($node->poll_query_until('postgres', "SELECT bool_and(status IN ('Finished', 'No Target')) FROM sync_job WHERE id IN ($here, $there)"), 'then they are run');
cmp_ok($node->safe_psql('postgres', "SELECT extract(epoch FROM min(p.started_at) - max(c.ended_at)) FROM sync_job AS p, sync_job AS c WHERE p.id IN ($here, $there) AND c.parent_sync_job = $first"),
	'<', 8, 'without waiting for the next poll');
is($node->safe_psql('postgres', 'SELECT source, string_agg(branch::text, \' \' ORDER BY branch) FROM leaf GROUP BY source ORDER BY source'), "1|1 2 3\n2|1 2 3", 'nothing is there twice');

# By hand: a document that another session is about to let go of is waited for, one that it keeps is not.
my $tries = 0;
my ($one, $two, $answer, $error);
do
{
	($one, $two) = split /\|/, $node->safe_psql('postgres', q{UPDATE sync_job_queue SET paused = true; SELECT enqueue_sync_job('Alone', '1'), enqueue_sync_job('Alone', '1')});
	my $session = $node->background_psql('postgres');
	$session->query_safe("BEGIN; SELECT status FROM execute_sync_job($one)");
	$node->psql('postgres', "SELECT status FROM execute_sync_job($two)", stdout => \$answer, stderr => \$error) if $tries == 0;
	like($error, qr/ERROR:  another job of the document of job $two .* is running/, 'what another session keeps is not waited for') if $tries == 0;
	$session->query_until(qr/soon/, "\\echo soon\nSELECT pg_sleep(0.3); COMMIT;\n");
	$node->psql('postgres', "SELECT status FROM execute_sync_job($two)", stdout => \$answer, stderr => \$error);
	$session->quit;
} until ($answer eq 'Finished' || $tries++ > 20);
is($answer, 'Finished', 'what it is about to let go of is');
$node->safe_psql('postgres', 'UPDATE sync_job_queue SET paused = false');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|was terminated by signal|reference leak/, 'the log tells of no accident');
done_testing();
