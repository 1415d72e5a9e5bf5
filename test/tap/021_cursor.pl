# Claims begin where the last one ended; no job is forgotten for that: what comes late with a lower priority number or id, is
# tried again, is started by hand, relayed to children, or enqueued by a prepared transaction.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

# Long poll interval: what is found only by polling would let the test run out of time.
my $node = new_cluster('main', conf => "max_prepared_transactions = 5\nsync_job.poll_interval = '1 h'\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(q{
	UPDATE sync_job_queue SET max_workers = 3 WHERE name = 'default';
	CREATE TABLE done (id int, at timestamptz DEFAULT clock_timestamp());
	CREATE TABLE doc (id int PRIMARY KEY, v int);
	CREATE TABLE copy (LIKE doc INCLUDING ALL);
	CREATE TABLE trouble (id int);
	CREATE SCHEMA fail_at_first;
	CREATE FUNCTION fail_at_first.execute(sync_job sync_job, source_doc doc) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		IF (sync_job).retry_count = 0 THEN RAISE 'not yet'; END IF;
		INSERT INTO done VALUES (source_doc.id);
		RETURN NULL;
	END $$;
	CREATE SCHEMA fan_out; -- with targets of its own: of what a job of another type has inserted meanwhile, the insert of a child fails
	CREATE FUNCTION fan_out.get_multiple_target_documents(sync_job sync_job, source_doc doc) RETURNS SETOF sync_job_target LANGUAGE sql AS $$
		SELECT sync_job_target(CASE WHEN c.id IS NULL THEN 'insert' ELSE 'update' END, 'copy'::regclass, c.id::text, jsonb_build_object('i', i))
		FROM generate_series(10000 + source_doc.id * 10, 10001 + source_doc.id * 10) AS i LEFT JOIN copy AS c ON c.id = i $$;
	CREATE FUNCTION fan_out.update_target_doc(sync_job sync_job, source_doc doc, INOUT target_doc copy) LANGUAGE plpgsql AS $$
	BEGIN target_doc.id := ((sync_job).context->>'i')::int; target_doc.v := source_doc.v; END $$;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Copy', 'doc', 'copy', '{"id": "id"}', '{"v": "v"}');
	INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Fan Out', 'doc', 'copy');
	INSERT INTO sync_job_type (name, source_document_type, retry_delay) VALUES ('Fail At First', 'doc', '1 ms');
	INSERT INTO doc SELECT i, i FROM generate_series(1, 500) AS i;
});

# Enqueued by several clients while workers drain, with priorities up and down, some transactions aborted, some in
# subtransactions, some left open so that lower ids come late.
my $script = $node->basedir . '/enqueue.sql';
append_to_file($script, q{
\set id random(1, 500)
\set priority random(-40000, 40000)
\set what random(1, 6)
BEGIN;
SELECT enqueue_sync_job((ARRAY['Copy', 'Copy', 'Copy', 'Fan Out', 'Fail At First', 'Copy'])[:what], ':id', priority => :priority / (1 + 9999 * (:what % 2)), queue_on_insert => :what <> 6);
SAVEPOINT s;
SELECT enqueue_sync_job('Copy', ':id', priority => :what);
\if :what = 3
ROLLBACK TO s;
\endif
\if :what = 2
\sleep 20 ms
\endif
COMMIT;
SELECT start_sync_job(array_agg(id)) FROM (SELECT id FROM sync_job WHERE status = 'Pending' LIMIT 3) AS p;
});
$node->command_ok([ 'pgbench', '-n', '-c', '4', '-t', '200', '-f', $script, 'postgres' ], 'four clients enqueue');
sql(q{SELECT count(start_sync_job(id)) FROM sync_job WHERE status = 'Pending'});
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM sync_job WHERE status IN ('Pending', 'Queued', 'Started') OR retry_after IS NOT NULL)}),
	'every job has ended') or diag(sql(q{SELECT sync_job_type, status, priority, id, retry_after FROM sync_job WHERE status IN ('Queued', 'Started', 'Failed') LIMIT 20}));
is(sql(q{SELECT count(*) FROM sync_job WHERE status NOT IN ('Finished', 'Skipped', 'Relayed')}), '0', 'well');
is(sql(q{SELECT count(*) = (SELECT count(*) FROM done) FROM sync_job WHERE sync_job_type = 'Fail At First'}), 't', 'what failed at first was tried again, once');
is(sql(q{SELECT count(*) FROM sync_job WHERE parent_sync_job IS NOT NULL}), sql(q{SELECT 2 * count(*) FROM sync_job WHERE status = 'Relayed'}), 'children too');

# A worker that is ended while it holds jobs.
sql(q{SELECT clear_all_sync_jobs(); UPDATE doc SET v = v + 1});
sql(q{SELECT count(enqueue_sync_job('Copy', doc)) FROM doc});
sql(q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'sync job worker'});
is(wait_for_jobs($node), 'Finished=500', 'what ended workers held is run by others');

# A prepared transaction: another session commits it, which knows nothing of its jobs. It wakes all, as polling would take an hour.
sql(q{SELECT clear_all_sync_jobs()});
sql(q{BEGIN; SELECT enqueue_sync_job('Copy', '1', priority => -7); PREPARE TRANSACTION 'p'});
sql(q{SELECT enqueue_sync_job('Copy', doc) FROM doc WHERE id > 1});
is(wait_for_jobs($node), 'Skipped=499', 'others pass by');
my $committed = sql(q{COMMIT PREPARED 'p'; SELECT clock_timestamp()});
is(wait_for_jobs($node), 'Skipped=500', 'a job of a prepared transaction is found');
# The scheduler looks around each minute.
is(sql(qq{SELECT started_at < '$committed'::timestamptz + interval '15 s' FROM sync_job ORDER BY started_at DESC LIMIT 1}), 't', 'at once');
# One from before a restart.
sql(q{SELECT clear_all_sync_jobs()});
sql(q{BEGIN; SELECT enqueue_sync_job('Copy', '2'); PREPARE TRANSACTION 'p'});
$node->restart;
poll($node, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'sync job scheduler'}, 'a scheduler is there');
my $other = enqueue($node, 'Copy', 3);
poll($node, "SELECT status = 'Skipped' FROM sync_job WHERE id = $other", 'and at work');
sql(q{COMMIT PREPARED 'p'});
is(wait_for_jobs($node), 'Skipped=2', 'a job of a transaction that was prepared before a restart is found');
# One that a worker has passed over, as the transaction has locked it.
sql(q{SELECT clear_all_sync_jobs(); SELECT pause_sync_job_queue('default')});
my $kept = enqueue($node, 'Copy', 4);
sql(qq{BEGIN; SELECT cancel_sync_job($kept); PREPARE TRANSACTION 'p'});
sql(q{SELECT resume_sync_job_queue('default')});
$other = enqueue($node, 'Copy', 5);
poll($node, "SELECT status = 'Skipped' FROM sync_job WHERE id = $other", 'others pass by');
sql(q{ROLLBACK PREPARED 'p'});
is(wait_for_jobs($node), 'Skipped=2', 'a job that a prepared transaction has let go of is found');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|reference leak/, 'the log tells of no accident');
done_testing();
