# Full syncs: all that is out of step comes in step, in chunks; the limits, surplus targets, pauses, kills, and changes meanwhile.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Listener;
use SyncJob;

my $node = new_cluster('main', conf => "restart_after_crash = on\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }

sub error_of
{
	$node->psql('postgres', $_[0], stderr => \my $error);
	return $error;
}

sub full_sync { my ($arguments) = @_; return sql("SELECT enqueue_full_sync('Full', $arguments)") }

sql(q{
	CREATE TABLE source (id int PRIMARY KEY, v text, region text DEFAULT 'EU');
	CREATE TABLE target (id int PRIMARY KEY, v text CHECK (v <> 'bad'), writes int DEFAULT 0);
	CREATE FUNCTION count_writes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.writes := OLD.writes + 1; RETURN NEW; END $$;
	CREATE TRIGGER count BEFORE UPDATE ON target FOR EACH ROW EXECUTE FUNCTION count_writes();
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries)
	VALUES ('Full', 'source', 'target', '{"id": "id"}', '{"v": "v"}', 0);
	INSERT INTO source SELECT i, 'v' || i FROM generate_series(1, 3000) AS i;
});
my $wrong = q{SELECT count(*) FROM compare_sync_documents('Full', max_rows => NULL)};

# A first load, and one with nothing to do.
is(run_of($node, full_sync('dry_run => true')), 'Finished', 'a dry run');
is(sql('SELECT count(*) FROM target'), '0', 'writes nothing');
is(sql(q{SELECT (result->>'missing') FROM sync_job ORDER BY id DESC LIMIT 1}), '3000', 'and tells what it would do');
sql('VACUUM ANALYZE target');  # that it is empty is known: plans made now would read all of it for each statement later
is(run_of($node, full_sync('chunk_size => 100')), 'Finished inserted=3000', 'a first load');
$node->poll_query_until('postgres', q{SELECT n_tup_ins = 3000 FROM pg_stat_user_tables WHERE relid = 'target'::regclass});
cmp_ok(sql(q{SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relid = 'target'::regclass}), '<', 9000, 'which does not read what it has written for each chunk');
is(sql($wrong), '0', 'all is in step');
is(run_of($node, full_sync('delete_surplus => true')), 'Finished', 'nothing to do');

# What differs is written, and nothing else.
my $xmin = sql('SELECT max(xmin::text::bigint) FROM target');
sql(q{UPDATE source SET v = 'new' WHERE id <= 20; DELETE FROM target WHERE id BETWEEN 100 AND 109; INSERT INTO target SELECT i, '' FROM generate_series(-5, -1) AS i});
is(run_of($node, full_sync('chunk_size => 7')), 'Finished inserted=10 updated=20', 'what differs, and what is missing');
is(sql('SELECT count(*), sum(writes) FROM target WHERE writes > 0'), '20|20', 'each once');
is(sql(q{SELECT string_agg(n::text, ' ') FROM (SELECT operation, count(*) AS n FROM sync_job_document WHERE sync_job = (SELECT max(id) FROM sync_job) GROUP BY 1 ORDER BY 1) AS d}), '10 20', 'and recorded');
is(sql(q{SELECT jsonb_build_object('v', diff_summary->'v') FROM sync_job_document WHERE sync_job = (SELECT max(id) FROM sync_job) AND source_document_name = '7'}), '{"v": {"new": "new", "old": "v7"}}', 'with what has changed');
is(sql($wrong), '5', 'surplus stays as long as nobody says otherwise');
is(run_of($node, full_sync(q{'region = $$US$$', delete_surplus => true, max_delete_percent => 100, max_change_percent => 100})), 'Finished deleted=5', 'surplus is what no source maps to');
is(sql($wrong), '0', 'whatever the condition says');

# The fuse: counted before the first write.
sql('CREATE TABLE kept AS SELECT * FROM source; DELETE FROM source WHERE id <= 1200; UPDATE source SET v = $$x$$ WHERE id > 2995');
like(run_of($node, full_sync('delete_surplus => true')), qr/^Failed full sync .* stops: it would delete 1200 of 3000 targets, more than max_delete_percent \(10 %\)/, 'too many deletes');
is(sql('SELECT count(*) FILTER (WHERE v <> $$x$$) FROM target'), '3000', 'nothing was written');
sql('TRUNCATE source');
like(run_of($node, full_sync('delete_surplus => true, max_change_percent => 100, max_delete_percent => 99')), qr/^Failed .*would delete 3000 of 3000 targets/, 'an empty source deletes nothing');
sql('INSERT INTO source SELECT * FROM kept; DROP TABLE kept; UPDATE source SET v = $$u$$ WHERE id <= 1600');
like(run_of($node, full_sync('NULL')), qr/^Failed .*would update or delete 1600 of 3000 targets, more than max_change_percent \(50 %\)/, 'too many updates');
like(run_of($node, full_sync('max_change_percent => 100, max_changes => 1599')), qr/^Failed .*would change 1600 documents, more than max_changes \(1599\)/, 'too many changes');
is(run_of($node, full_sync('max_change_percent => 60')), 'Finished updated=1600', 'as many as are allowed');

# A document that does not work out leaves the run as a job of its own, and the others are done.
sql(q{UPDATE source SET v = CASE WHEN id IN (50, 60) THEN 'bad' ELSE 'good' END WHERE id <= 300});
is(run_of($node, full_sync('NULL')), 'Finished failed=2 updated=298', 'two fail');
is(sql(q{SELECT string_agg(source_document_name || ' ' || status || ' ' || (SELECT sqlstate FROM sync_job_error WHERE sync_job = id), ', ' ORDER BY 1) FROM sync_job
	WHERE parent_sync_job = (SELECT max(id) FROM sync_job WHERE operation = 'Full Sync')}), '50 Failed 23514, 60 Failed 23514', 'as jobs of their own');
sql(q{UPDATE source SET v = 'good' WHERE v = 'bad'});
is(run_of($node, full_sync('NULL')), 'Finished updated=2', 'and are done when they are mended');

# So with a constraint that is checked at the commit.
sql(q{
	CREATE FUNCTION refuse_late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.v = 'late' THEN RAISE 'too late'; END IF; RETURN NULL; END $$;
	CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON target DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_late();
	UPDATE source SET v = CASE id WHEN 70 THEN 'late' ELSE 'in time' END WHERE id <= 100;
});
is(run_of($node, full_sync('NULL')), 'Finished failed=1 updated=99', 'one fails at the commit');
sql(q{UPDATE source SET v = 'in time' WHERE id = 70});
is(run_of($node, full_sync('NULL')), 'Finished updated=1', 'and is done when it is mended');

# A document that another job has in progress is left to a job of its own.
sql(q{
	CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.v = 'busy' THEN PERFORM pg_advisory_xact_lock(1); END IF; RETURN NEW; END $$;
	CREATE TRIGGER hold BEFORE UPDATE ON target FOR EACH ROW EXECUTE FUNCTION hold();
});
my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(1)');
sql(q{UPDATE source SET v = 'busy' WHERE id = 80; UPDATE source SET v = 'beside' WHERE id BETWEEN 71 AND 79});
my $busy = enqueue($node, 'Full', '80');
$node->poll_query_until('postgres', "SELECT status = 'Started' FROM sync_job WHERE id = $busy");
is(run_of($node, full_sync('NULL')), 'Finished handed_over=1 updated=9', 'the others are done');
$holder->quit;
wait_for_jobs($node);
is(sql($wrong), '0', 'and it is, too, when it is free');

# A surplus target to which a source maps by the time the run comes to it lives on.
sql(q{UPDATE source SET v = 'slow' WHERE id <= 400; INSERT INTO target VALUES (5000, 'lives'), (5001, 'goes')});
my $slow = full_sync('documents_per_second => 200, delete_surplus => true');
$node->poll_query_until('postgres', "SELECT percent > 0 FROM sync_job_activity WHERE sync_job = $slow");
sql(q{INSERT INTO source VALUES (5000, 'lives')});
is(run_of($node, $slow), 'Finished deleted=1 updated=400', 'a surplus target is looked at again');
is(sql('SELECT string_agg(v, $$ $$) FROM target WHERE id >= 5000'), 'lives', 'and lives on if a source maps to it by then');
is(sql($wrong), '0', 'as it should');

# Of two sessions that enqueue one at once, the second sees the first one's.
sql('UPDATE sync_job_type SET paused = true');
my $first = $node->background_psql('postgres');
$first->query_safe('SET client_min_messages = warning');
my $at_once = $first->query_safe(q{BEGIN; SELECT enqueue_full_sync('Full')});
my $second = $node->background_psql('postgres');
$second->query_safe('SET client_min_messages = warning');
$second->query_until(qr/start/, "\\echo start\nSELECT enqueue_full_sync('Full', deduplicate => true) AS absorbed \\gset\n");
poll($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^SELECT enqueue_full_sync.*absorbed' AND wait_event_type = 'Lock'}, 'of two at once one waits');
$first->query_safe('COMMIT');
is($second->query_safe('SELECT :absorbed'), $at_once, 'and is absorbed');
$_->quit for $first, $second;
sql('UPDATE sync_job_type SET paused = false');
is(run_of($node, $at_once), 'Finished', 'there is one');

# The same once more.
like(error_of("SELECT rerun_sync_job($at_once, '{}')"), qr/is rerun as it was\nHINT:  Leave out context/, 'its arguments cannot be changed');
my $once_more = sql("SET client_min_messages = warning; SELECT rerun_sync_job($at_once, NULL)");
is(run_of($node, $once_more), 'Finished', 'a full sync is rerun');
is(sql("SELECT a.context = b.context AND a.priority = b.priority AND a.title = b.title AND a.operation = b.operation AND b.parent_sync_job = a.id FROM sync_job AS a, sync_job AS b WHERE a.id = $at_once AND b.id = $once_more"), 't', 'with the same arguments');
sql('UPDATE sync_job_type SET paused = true');
my $waits = sql("SET client_min_messages = warning; SELECT rerun_sync_job($at_once)");
like(error_of("SELECT rerun_sync_job($once_more)"), qr/full sync $waits of sync job type "Full" has not ended/, 'one at a time');
sql("SELECT cancel_sync_job($waits)");
sql('UPDATE sync_job_type SET paused = false');

# Paused, and going on; one at a time.
sql(q{UPDATE source SET v = 'paused' WHERE id <= 1000});
my $listener = Listener->new($node, 'postgres', 'sync_job_progress');
my $job = full_sync('documents_per_second => 100');
$node->poll_query_until('postgres', "SELECT percent > 0 FROM sync_job_activity WHERE sync_job = $job");
like(error_of(q{SELECT enqueue_full_sync('Full')}), qr/full sync $job of sync job type "Full" has not ended/, 'a second one is refused');
is(sql(q{SELECT enqueue_full_sync('Full', deduplicate => true)}), $job, 'or absorbed');
poll($node, "SELECT description ~ '^[0-9]+ of 1000 documents, about [0-9]+ (s|min) left\$' FROM sync_job_activity WHERE sync_job = $job", 'sync_job_activity says how long it will take');
ok(defined $listener->wait_for('sync_job_progress', qr/^\{"sync_job": $job, "percent": [\d.]+, "seconds_left": \d+\}$/), 'so does the event of its progress');
$listener->stop;
sql("SELECT pause_sync_job($job)");
poll($node, "SELECT status = 'Pending' FROM sync_job WHERE id = $job", 'it is paused');
my $done = sql(q{SELECT count(*) FROM target WHERE v = 'paused'});
ok($done > 0 && $done < 1000, 'with what it has done') or diag($done);
sql(q{UPDATE source SET v = 'later' WHERE id = 1000});
sql("SELECT start_sync_job($job)");
is(run_of($node, $job), 'Finished updated=1000', 'it goes on where it was');
is(sql($wrong), '0', 'with what has changed meanwhile');
is(sql(q{SELECT count(*) FROM target WHERE v = 'paused'}), '999', 'and nothing else');

# Canceled, it keeps what it has committed. A changed type stops it.
sql(q{UPDATE source SET v = 'canceled' WHERE id <= 1000});
$job = full_sync('documents_per_second => 200');
$node->poll_query_until('postgres', "SELECT percent > 0 FROM sync_job_activity WHERE sync_job = $job");
is(sql("SELECT status FROM cancel_sync_job($job, 'enough', running => true)"), 'Canceled', 'it is canceled');
$done = sql(q{SELECT count(*) FROM target WHERE v = 'canceled'});
ok($done > 0 && $done < 1000, 'what it has done stays') or diag($done);
$job = full_sync('documents_per_second => 200');
$node->poll_query_until('postgres', "SELECT percent > 0 FROM sync_job_activity WHERE sync_job = $job");
sql(q{UPDATE sync_job_type SET field_map = '{"v": {"expr": "source.v"}}'});
like(run_of($node, $job), qr/^Failed sync job type "Full" was changed during the run/, 'a type that is changed meanwhile ends it');

# Killed again and again, beside changes: in the end all is in step.
sql(q{SELECT attach_sync_job_triggers('Full', 'source')});
sql(q{UPDATE source SET v = 'killed'; DELETE FROM sync_job_queue WHERE false});
wait_for_jobs($node);
sql(q{UPDATE target SET v = 'by hand'; INSERT INTO target SELECT i, '' FROM generate_series(10001, 10100) AS i});
$job = full_sync('delete_surplus => true, max_change_percent => 100, chunk_size => 50, documents_per_second => 2000');
for my $round (1 .. 5)
{
	$node->poll_query_until('postgres', qq{SELECT EXISTS (SELECT FROM sync_job_activity WHERE sync_job = $job AND percent > 0) OR status NOT IN ('Queued', 'Started') FROM sync_job WHERE id = $job});
	my $pid = sql("SELECT pid FROM sync_job_activity WHERE sync_job = $job");
	kill 'KILL', $pid if $pid;
	$node->poll_query_until('postgres', 'SELECT true');
	sql(qq{UPDATE source SET v = 'round $round' WHERE id % 50 = $round; DELETE FROM source WHERE id = 500 + $round; INSERT INTO source VALUES (4000 + $round, 'new')});
}
like(run_of($node, $job), qr/^Finished/, 'killed five times, and not blamed for it');
wait_for_jobs($node);
is(sql($wrong), '0', 'all is in step');
is(sql(q{SELECT count(*) FROM source AS s FULL JOIN target AS t USING (id) WHERE s.v IS DISTINCT FROM t.v}), '0', 'indeed');

# What the type says: rows that are not there for it, targets that are marked instead of deleted, expressions that read the target.
sql(q{
	CREATE TABLE person (id int PRIMARY KEY, v text, here boolean DEFAULT true);
	CREATE TABLE contact (id int PRIMARY KEY, v text, best text, job bigint, first text, gone boolean);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, on_delete, source_condition) VALUES ('Said', 'person', 'contact', '{"id": "id"}',
		'{"v": "v", "best": {"expr": "greatest(target.best, source.v)"}, "job": {"expr": "sync_job_id"}, "first": {"column": "v", "only": "insert"}, "gone": {"value": false}}', '{"gone": true}', 'here');
	INSERT INTO person SELECT i, 'v' || i FROM generate_series(1, 50) AS i;
	INSERT INTO contact VALUES (1, 'v1', 'z', 0, 'x', false), (2, 'old', 'a', 0, 'x', false), (100, 'v', 'v', 0, 'x', false), (101, 'v', 'v', 0, 'x', true);
	UPDATE person SET here = false WHERE id = 50;
});
my $said = sql(q{SELECT enqueue_full_sync('Said', delete_surplus => true, max_change_percent => 100, max_delete_percent => 30)});
is(run_of($node, $said), 'Finished inserted=47 updated=2', 'inserted, updated, and one marked');
is(sql(q{SELECT string_agg(concat_ws(' ', id, v, best, job > 0, first, gone), ', ' ORDER BY id) FROM contact WHERE id IN (1, 2, 3) OR id >= 50}),
	'1 v1 z f x f, 2 v2 v2 t x f, 3 v3 v3 t v3 f, 100 v v f x t, 101 v v f x t', 'as the type says');
is(sql(q{SELECT count(*) FROM compare_sync_documents('Said')}), '0', 'and nothing is out of step');

# What cannot be synced so, and who may.
sql(q{
	CREATE ROLE clerk LOGIN;
	SELECT grant_sync_job_type('Full', 'clerk');
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Too', 'source', 'target', '{"id": "id"}', '{"v": "v"}');
	CREATE SCHEMA by_code;
	CREATE FUNCTION by_code.execute(sync_job sync_job, source_doc source) RETURNS sync_job_result LANGUAGE sql AS $$ SELECT NULL::sync_job_result $$;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('By Code', 'source', 'target');
});
like(error_of(q{SELECT enqueue_full_sync('Full', delete_surplus => true)}), qr/cannot be synced by a full sync.*\n.*another sync job type has the same target/s, 'targets that are not its own alone');
foreach my $table ('source', 'ruled')
{
	sql(qq{CREATE TABLE IF NOT EXISTS ruled (id int PRIMARY KEY, v text);
		INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, run_as) VALUES ('Ruled', 'source', 'ruled', '{"id": "id"}', '{"v": "v"}', 'clerk');
		ALTER TABLE $table ENABLE ROW LEVEL SECURITY});
	like(error_of(q{SELECT enqueue_full_sync('Ruled', delete_surplus => true)}), qr/cannot be synced by a full sync.*\n.*row-level security applies to it/s, "one whose role may not see all of $table");
	sql(qq{ALTER TABLE $table DISABLE ROW LEVEL SECURITY; DELETE FROM sync_job_type WHERE name = 'Ruled'});
}
like(error_of(q{SELECT enqueue_full_sync('By Code')}), qr/cannot be compared.*\n.*function execute/s, 'a type whose function does all by itself');
like(error_of(q{SELECT enqueue_full_sync('Full', max_delete_percent => 101)}), qr/max_delete_percent must be between 0 and 100, not 101/, 'a wrong limit');
like(error_of(q{SET SESSION AUTHORIZATION clerk; SELECT enqueue_full_sync('Full')}), qr/permission denied for a full sync/, 'a grant of the type is not enough');
like(error_of(qq{SELECT pause_sync_job($job)}), qr/cannot pause sync job $job with status Finished/, 'one that has ended is not paused');

# Its checkpoint is nobody else's: what runs within it would decide how it goes on. A document that needs one gets a job of its own.
sql(q{
	UPDATE target SET v = 'other' WHERE id = (SELECT max(id) FROM source);
	CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_sync_job_checkpoint('{"inserted": "x"}'); RETURN NEW; END $$;
	CREATE TRIGGER meddle BEFORE UPDATE ON target FOR EACH ROW WHEN (OLD.v = 'other') EXECUTE FUNCTION meddle();
});
my $run = full_sync('max_change_percent => 100');
like(run_of($node, $run), qr/^Finished .*handed_over=1/, 'a trigger that sets a checkpoint has the document leave the run');
wait_for_jobs($node);
is(sql(qq{SELECT status, checkpoint FROM sync_job WHERE parent_sync_job = $run}), 'Finished|{"inserted": "x"}', 'and sets that of its own job');

# What it has recorded of its documents goes with it, whether it has ended well or not.
my $with_rows = sql('SELECT max(sync_job) FROM sync_job_document');
sql("SELECT delete_sync_job($with_rows)");
is(sql("SELECT count(*) FROM sync_job_document WHERE sync_job = $with_rows"), '0', 'deleting it deletes them');
isnt(sql('SELECT count(*) FROM sync_job_document'), '0', 'there are those of others');
sql(q{SELECT cancel_sync_job(id) FROM sync_job WHERE status IN ('Failed', 'Pending', 'Queued'); SELECT clear_old_sync_jobs(0)});
is(sql('SELECT count(*) FROM sync_job_document'), '0', 'and so does clearing');

# The memory of a chunk does not grow with the size of its documents: a trigger notes what the worker has.
sql(q{
	CREATE TABLE wide_source (id int PRIMARY KEY, v text);
	CREATE TABLE wide_target (id int PRIMARY KEY, v text, w text);
	CREATE TABLE memory (bytes bigint);
	CREATE FUNCTION note_memory() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN INSERT INTO memory SELECT sum(total_bytes) FROM pg_backend_memory_contexts; RETURN NULL; END $$;
	CREATE TRIGGER note_memory AFTER UPDATE ON wide_target FOR EACH STATEMENT EXECUTE FUNCTION note_memory();
	ALTER TABLE wide_source ALTER v SET STORAGE external;
	ALTER TABLE wide_target ALTER v SET STORAGE external, ALTER w SET STORAGE external;
	INSERT INTO wide_source SELECT i, repeat('new ', 25000) || i FROM generate_series(1, 300) AS i;
	INSERT INTO wide_target SELECT i, repeat('old ', 25000) || i, repeat('else ', 20000) FROM generate_series(1, 300) AS i;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries)
	VALUES ('Wide', 'wide_source', 'wide_target', '{"id": "id"}', '{"v": "v"}', 0);
});
is(run_of($node, sql(q{SELECT enqueue_full_sync('Wide', chunk_size => 1000, max_change_percent => 100)})), 'Finished updated=300', 'large documents');
cmp_ok(sql('SELECT max(bytes) >> 20 FROM memory'), '<', 60, 'need no more MB together than some of them');
diag(sql('SELECT max(bytes) >> 20 FROM memory') . ' MB for 300 documents of 200 kB');

unlike_accidents($node, kill => 1);
done_testing();
