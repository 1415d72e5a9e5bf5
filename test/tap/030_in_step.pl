# Many sessions write at once, by every kind of trigger and with deduplication, while several workers sync: when all is
# quiet, each target is what its source is. So no change is ever lost, whatever the timing was; and what is run for one
# document is run in order, one at a time.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => "sync_job.batch_time = 20\nsync_job.max_workers = 6\n");
$node->safe_psql('postgres', q{
	UPDATE sync_job_queue SET max_workers = 4 WHERE name = 'default';
	CREATE TABLE source (id int PRIMARY KEY, note text, version int DEFAULT 0, born bigint GENERATED ALWAYS AS IDENTITY);
	CREATE TABLE target (id int PRIMARY KEY, note text, version int, born bigint, written_by bigint);
	CREATE TABLE backwards (id int, was int, is_now int);
	CREATE FUNCTION backwards() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF new.born = old.born AND new.version < old.version THEN
			INSERT INTO backwards VALUES (new.id, old.version, new.version);
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER backwards AFTER UPDATE ON target FOR EACH ROW EXECUTE FUNCTION backwards();
	CREATE SCHEMA in_step;
	CREATE FUNCTION in_step.get_target_document(sync_job sync_job, source_doc source) RETURNS sync_job_target LANGUAGE sql AS $$
		SELECT sync_job_target(CASE WHEN sync_job.context ->> 'trigger_operation' = 'Delete' THEN 'delete'
			WHEN EXISTS (SELECT FROM target WHERE id = source_doc.id) THEN 'update' ELSE 'insert' END,
			target_document_name => source_doc.id::text)
	$$;
	CREATE FUNCTION in_step.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE plpgsql AS $$
	BEGIN
		-- Now and then one that lasts longer than a batch, and one that changes another source.
		IF source_doc.version % 97 = 96 THEN
			PERFORM pg_sleep(0.03);
		END IF;
		IF source_doc.version % 41 = 40 AND source_doc.note NOT LIKE 'echo%' THEN
			UPDATE source SET note = 'echo ' || sync_job.id, version = version + 1
			WHERE id = (SELECT id FROM source WHERE id <> source_doc.id FOR UPDATE SKIP LOCKED LIMIT 1);
		END IF;
		target_doc := ROW(source_doc.id, source_doc.note, source_doc.version, source_doc.born, sync_job.id);
	END $$;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, retry_delay, max_retries)
	VALUES ('In Step', 'source', 'target', 'in_step', '100 ms', 20);
	INSERT INTO source SELECT n, 'start' FROM generate_series(1, 40) AS n;
	INSERT INTO target SELECT id, note, version, born FROM source WHERE id % 2 = 0;
});

my $script = "$ENV{TESTDATADIR}/write.sql";
append_to_file($script, q{
\set id random(1, 40)
\set what random(1, 20)
\if :what <= 12
UPDATE source SET note = 'client :client_id', version = version + 1 WHERE id = :id;
\elif :what <= 14
DELETE FROM source WHERE id = :id;
\elif :what <= 16
INSERT INTO source VALUES (:id, 'new') ON CONFLICT (id) DO UPDATE SET note = 'again', version = source.version + 1;
\elif :what <= 17
BEGIN;
UPDATE source SET version = version + 1 WHERE id = :id;
UPDATE source SET version = version + 1 WHERE id = :id;
\sleep 5 ms
COMMIT;
\elif :what <= 18
BEGIN;
UPDATE source SET version = version + 1000 WHERE id = :id;
\sleep 5 ms
ROLLBACK;
\elif :what <= 19
UPDATE source SET version = version + 1 WHERE id IN (SELECT id FROM source WHERE id BETWEEN :id AND :id + 5 FOR UPDATE SKIP LOCKED);
\else
SELECT enqueue_sync_job('In Step', ':id', deduplicate => true) FROM source WHERE id = :id;
\endif
});

sub in_step
{
	return $node->safe_psql('postgres', q{
		SELECT count(*) FROM source AS s FULL JOIN target AS t USING (id)
		WHERE (s.note, s.version) IS DISTINCT FROM (t.note, t.version)});
}

for my $level ('row', 'statement')
{
	$node->safe_psql('postgres', qq{SELECT attach_sync_job_triggers('In Step', 'source', level => '$level')});
	$node->safe_psql('postgres', q{SELECT count(enqueue_sync_job('In Step', s)) FROM source AS s});
	$node->command_ok([ 'pgbench', '-n', '-c', '4', '-j', '2', '-t', '400', '--max-tries=20', '-f', $script, 'postgres' ], "4 sessions write, $level level");
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started') OR status = 'Failed' AND retry_after IS NOT NULL})
	  or diag('jobs are left');
	is(in_step(), '0', 'each target is what its source is');
	$node->safe_psql('postgres', q{SELECT detach_sync_job_triggers('In Step', 'source')});
}
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE status = 'Failed'}), '0', 'no job has failed for good');
is($node->safe_psql('postgres', q{SELECT count(*) FROM backwards}), '0', 'no target went back to an earlier version');
my ($jobs, $writes) = split /\|/, $node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM sync_job), 3200});
note("$jobs jobs for about $writes writes");

# Ten thousand rows by one statement are ten thousand jobs, one each.
$node->safe_psql('postgres', q{
	SELECT attach_sync_job_triggers('In Step', 'source', level => 'statement');
	INSERT INTO source SELECT n, 'bulk', 1 FROM generate_series(1001, 11000) AS n});
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started') OR status = 'Failed' AND retry_after IS NOT NULL});
is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT written_by), min(note), max(note) FROM target WHERE id > 1000}),
	'10000|10000|bulk|bulk', 'one statement, 10,000 jobs, 10,000 targets');
$node->safe_psql('postgres', q{UPDATE source SET note = 'changed', version = 2 WHERE id > 1000});
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started') OR status = 'Failed' AND retry_after IS NOT NULL});
is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT written_by), min(note), max(note) FROM target WHERE id > 1000}),
	'10000|10000|changed|changed', 'and once more for an update');
is(in_step(), '0', 'each target is what its source is');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|was terminated by signal|reference leak|invisible tuple|updated by self/, 'the log tells of no accident');
done_testing();
