# Undoing much at once: last night's jobs, a set, a full sync, dry runs made real; what has been edited since is left out and named;
# again, with nothing to do; merged, renamed, dependent documents; a crash in the middle; another role's session.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => "restart_after_crash = on\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }

sub error_of
{
	$node->psql('postgres', $_[0], stderr => \my $error);
	return $error;
}

# How many documents ended in which way, by a call of revert_sync_jobs() or apply_sync_jobs().
sub outcomes { return sql("SELECT string_agg(outcome || ' ' || n, ', ' ORDER BY outcome) FROM (SELECT outcome, count(*) AS n FROM $_[0] GROUP BY outcome) AS o") }

# What a job that does it has found.
sub result_of
{
	my ($job) = @_;
	$node->poll_query_until('postgres', qq{SELECT status NOT IN ('Queued', 'Started') FROM sync_job WHERE id = $job});
	return sql(qq{SELECT status || ' ' || coalesce(split_part(error_message, E'\\n', 1), (result - 'documents')::text) FROM sync_job WHERE id = $job});
}

sql(q{
	CREATE TABLE source (id int PRIMARY KEY, v text, w int, code int);
	CREATE TABLE target (id int PRIMARY KEY, v text CHECK (v <> 'bad'), w int DEFAULT 7, note text, twice int GENERATED ALWAYS AS (w * 2) STORED);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries)
	VALUES ('Night', 'source', 'target', '{"id": "id"}', '{"v": "v", "w": "w"}', 0);
	INSERT INTO source SELECT i, 'v' || i, i FROM generate_series(1, 300) AS i;
	SELECT attach_sync_job_triggers('Night', 'source');
	SELECT enqueue_full_sync('Night');
	UPDATE target SET note = 'n';
});
wait_for_jobs($node);
sql(q{UPDATE target SET note = 'n', w = NULL WHERE id = 299; CREATE TABLE before AS SELECT * FROM target});
my $differs = q{SELECT count(*) FROM (SELECT * FROM target EXCEPT SELECT * FROM before UNION ALL (SELECT * FROM before EXCEPT SELECT * FROM target)) AS d};
my $jobs = q{ARRAY(SELECT id FROM sync_job WHERE created_at > (SELECT at FROM night) AND relation IS NULL AND operation <> 'Full Sync')};
sub night { sql("DROP TABLE IF EXISTS night; CREATE TABLE night AS SELECT clock_timestamp() AS at"); sql($_[0]); return wait_for_jobs($node) }

# ---- Last night's 205 bad jobs ----

is(night(q{UPDATE source SET v = 'wrong', w = -1 WHERE id <= 200; INSERT INTO source SELECT i, 'new', i FROM generate_series(301, 303) AS i;
	DELETE FROM source WHERE id IN (299, 300)}) =~ /Finished=\d+$/, 1, 'a bad night');
is(sql("SELECT cardinality($jobs)"), '205', 'of 205 jobs');
sql(q{UPDATE target SET v = 'mine' WHERE id = 10; UPDATE target SET v = 'mine', w = 5 WHERE id = 20; UPDATE target SET note = 'mine' WHERE id = 301});
my $error = error_of("SELECT * FROM revert_sync_jobs($jobs)");
like($error, qr/ERROR:  cannot revert 3 documents/, 'three of them were edited since');
like($error, qr/Fields of "target" "10" that have changed since: "v"\./, 'with the fields');
like($error, qr/Fields of "target" "20" that have changed since: "v", "w", "twice"\./, 'all of them');
like($error, qr/"target" "301" has been changed since it was inserted\./, 'an inserted row tells that it was');
like($error, qr/HINT:  Go on without them with conflicts => 'skip'/, 'and what to do');
is(sql(q{SELECT count(*) FROM target WHERE v = 'wrong'}), '198', 'nothing was written');
my $undone = sql("SELECT string_agg(concat_ws(' ', outcome, target_document_name, fields::text, detail IS NOT NULL), ', ' ORDER BY target_document_name) FROM revert_sync_jobs($jobs, conflicts => 'skip') WHERE outcome <> 'reverted' OR detail IS NOT NULL");
is($undone, 'conflict 10 {v} f, conflict 20 {v,w,twice} f, conflict 301 t', 'skipped, they are named');
is(sql($differs), '5', 'and all others are as they were: a deleted row with its null in a column that has a default, too');
is(sql(q{SELECT string_agg(id || ' ' || v, ', ' ORDER BY id) FROM target WHERE id IN (10, 20, 301, 302, 303)}), '10 mine, 20 mine, 301 new', 'what was edited stays');
my $record = sql('SELECT max(id) FROM sync_job');
is(sql(qq{SELECT status, operation, relation, title, result->>'reverted', jsonb_array_length(context->'reverts') FROM sync_job WHERE id = $record}),
	'Finished|Revert|replay|Revert Night|202|205', 'a job records it');
is(sql(qq{SELECT string_agg(operation || ' ' || n, ', ' ORDER BY operation) FROM (SELECT operation, count(*) AS n FROM sync_job_document WHERE sync_job = $record GROUP BY operation) AS d}),
	'Delete 2, Insert 2, Update 198', 'with what it did to each document');
is(outcomes("revert_sync_jobs($jobs, conflicts => 'skip')"), 'conflict 3', 'a second time there is nothing to do but for these');
is(sql('SELECT max(id) FROM sync_job'), $record, 'and nothing to record');
sql(q{UPDATE target SET v = 'wrong' WHERE id = 10; UPDATE target SET v = 'v20', w = 20 WHERE id = 20; DELETE FROM target WHERE id = 301});
is(outcomes("revert_sync_jobs($jobs)"), 'reverted 1', 'nor where somebody has put it right by hand');
is(sql($differs), '0', 'all is as it was');
is(outcomes("revert_sync_jobs(run => $record)"), 'reverted 202', 'to undo it can be undone');
is(sql(q{SELECT count(*) FROM target WHERE v = 'wrong'}), '198', 'which brings the night back');
is(sql(qq{SELECT revert_sync_job((SELECT max(id) FROM sync_job)) > 0}), 't', 'and that, by its number alone');
is(sql($differs), '0', 'all is as it was once more');

# ---- Sets, full syncs, by one number ----

sql(q{SELECT detach_sync_job_triggers('Night', 'source'); UPDATE sync_job_type SET set_size = 1000; DELETE FROM source WHERE id > 300;
	INSERT INTO source SELECT id, v, w FROM before WHERE id > 298; UPDATE source AS s SET v = b.v, w = b.w FROM before AS b WHERE b.id = s.id});
night(q{UPDATE source SET v = 'set' WHERE id <= 100; INSERT INTO source SELECT i, 'set', i FROM generate_series(301, 310) AS i;
	SELECT enqueue_sync_jobs('Night', array_agg(id::text)) FROM source WHERE v = 'set'});
my $set = sql('SELECT max(id) FROM sync_job WHERE documents = 110');
like(error_of("SELECT rerun_sync_job($set)"), qr/for a set of documents/, 'a set');
sql(q{UPDATE target SET v = 'mine' WHERE id IN (1, 310)});
like(error_of("SELECT revert_sync_job($set)"), qr/ERROR:  cannot revert 2 documents.*"1" that have changed since: "v".*"310" has been changed since it was inserted/s,
	'of a set, too, what was edited since is a conflict');
is(outcomes("revert_sync_jobs(run => $set, conflicts => 'skip')"), 'conflict 2, reverted 108', 'and the others are undone');
sql(q{UPDATE target SET v = 'set' WHERE id = 1; DELETE FROM target WHERE id = 310});
is(sql("SELECT revert_sync_job($set) > 0"), 't', 'by its number alone');
is(sql($differs), '0', 'all as it was');
like(error_of("SELECT revert_sync_job($set)"), qr/cannot revert sync job $set\nDETAIL:  Its documents are as they should be/, 'a second time there is nothing to do');

# What fails leaves the run, and is part of it all the same; so is what is deleted as surplus.
sql(q{UPDATE source SET v = 'run' WHERE id <= 150; UPDATE source SET v = 'bad' WHERE id = 7; DELETE FROM source WHERE id > 295});
my $run = sql(q{SELECT enqueue_full_sync('Night', delete_surplus => true, max_change_percent => 100)});
$node->poll_query_until('postgres', qq{SELECT status = 'Finished' FROM sync_job WHERE id = $run});
is(sql(qq{SELECT result->>'updated', result->>'deleted', result->>'failed' FROM sync_job WHERE id = $run}), '149|5|1', 'a full sync');
sql(qq{UPDATE source SET v = 'run' WHERE id = 7; SELECT retry_sync_job(id) FROM sync_job WHERE parent_sync_job = $run});
wait_for_jobs($node);
is(sql($differs), '305', 'which changes much');
is(outcomes("revert_sync_jobs(run => $run)"), 'reverted 155', 'is undone by its number, with the jobs that came of it');
is(sql($differs), '0', 'as a whole');

# ---- Merged: several changes of a document; keys that change; values that move ----

sql(q{
	CREATE TABLE item (id int PRIMARY KEY, name text UNIQUE, parent int REFERENCES item, v int);
	CREATE TABLE item_source (id int PRIMARY KEY, to_id int, name text, parent int, v int);
	CREATE SCHEMA item_sync;
	CREATE FUNCTION item_sync.get_target_document(sync_job sync_job, source_doc item_source) RETURNS sync_job_target LANGUAGE sql AS $$
		SELECT sync_job_target(coalesce(sync_job.context->>'do', 'update'), target_document_name => coalesce(sync_job.context->>'name', source_doc.id::text)) $$;
	CREATE FUNCTION item_sync.update_target_doc(sync_job sync_job, source_doc item_source, target_doc item) RETURNS item LANGUAGE sql AS $$
		SELECT source_doc.to_id, source_doc.name, source_doc.parent, source_doc.v $$;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES ('Item', 'item_source', 'item', 'item_sync');
	INSERT INTO item VALUES (1, 'a', NULL, 1), (2, 'b', 1, 2), (3, 'c', 2, 3);
	INSERT INTO item_source SELECT id, id, name, parent, v FROM item;
	CREATE TABLE items AS SELECT * FROM item;
	CREATE FUNCTION run(id int, context jsonb DEFAULT '{}', dry_run boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
		SELECT (execute_sync_job(enqueue_sync_job('Item', run.id::text, run.context, dry_run => run.dry_run))).status $$;
});
my $items = q{SELECT count(*) FROM (SELECT * FROM item EXCEPT SELECT * FROM items UNION ALL (SELECT * FROM items EXCEPT SELECT * FROM item)) AS d};
my $since = q{ARRAY(SELECT id FROM sync_job WHERE sync_job_type = 'Item' AND relation IS NULL AND id > (SELECT min FROM start))};
sub mark { return sql(q{DROP TABLE IF EXISTS start; CREATE TABLE start AS SELECT coalesce(max(id), 0) AS min FROM sync_job}) }
mark();
sql(q{UPDATE item_source SET v = 10 WHERE id = 1; SELECT run(1)});
sql(q{UPDATE item_source SET v = 11, name = 'x' WHERE id = 1; SELECT run(1)});
sql(q{UPDATE item_source SET v = 12 WHERE id = 1; SELECT run(1)});
is(sql("SELECT string_agg(concat_ws(' ', target_document_name, outcome, sync_job = (SELECT max(id) FROM sync_job WHERE relation IS NULL AND sync_job_type = 'Item')), ', ') FROM revert_sync_jobs($since)"),
	'1 reverted t', 'three changes of a document are undone as one');
is(sql($items), '0', 'to where it was before the first');
mark();
sql(q{UPDATE item_source SET v = 20 WHERE id = 1; SELECT run(1)});
sql(q{UPDATE item_source SET v = 21 WHERE id = 1; SELECT run(1)});
sql(q{UPDATE item_source SET v = 22 WHERE id = 1; SELECT run(1)});
like(error_of("SELECT * FROM revert_sync_jobs(($since)[1:2])"), qr/cannot revert 1 document\n.*"1" that have changed since: "v"/s, 'a later change that is not in the list is a conflict');
like(error_of("SELECT * FROM revert_sync_jobs(ARRAY[($since)[1], ($since)[3]])"), qr/cannot revert 1 document\n/, 'so is one between them');
is(outcomes("revert_sync_jobs(($since)[2:3])"), 'reverted 1', 'the last ones are undone');
is(sql('SELECT v FROM item WHERE id = 1'), '20', 'to where they began');
is(outcomes("revert_sync_jobs($since)"), 'reverted 1', 'and then the first');
is(sql($items), '0', 'to the end');

# Inserted, changed, its key changed, and deleted again; children after their parents.
sql('UPDATE item_source AS s SET v = i.v, name = i.name FROM item AS i WHERE i.id = s.id');
mark();
sql(q{INSERT INTO item_source VALUES (10, 10, 'p', NULL, 0), (11, 11, 'q', 10, 0), (12, 12, 'r', 11, 0); SELECT run(i, '{"do": "insert"}') FROM generate_series(10, 12) AS i});
sql(q{UPDATE item_source SET v = 5 WHERE id IN (3, 12); SELECT run(3), run(12)});
sql(q{UPDATE item_source SET to_id = 30, v = 6 WHERE id = 3; SELECT run(3)});
sql(q{UPDATE item_source SET to_id = 31, v = 7 WHERE id = 3; SELECT run(3, '{"name": "30"}')});
sql(q{SELECT run(12, '{"do": "delete", "name": "12"}'), run(3, '{"do": "delete", "name": "31"}')});
is(sql('SELECT string_agg(id::text, $$ $$ ORDER BY id) FROM item'), '1 2 10 11', 'items that come, are renamed, and go');
is(outcomes("revert_sync_jobs($since)"), 'reverted 3', 'are undone: those that are gone anyway need nothing');
is(sql($items), '0', 'children before their parents');
is(sql(q{SELECT revert_sync_job(max(id)) > 0 FROM sync_job}), 't', 'and back');
is(sql('SELECT string_agg(id::text, $$ $$ ORDER BY id) FROM item'), '1 2 10 11', 'parents before their children');
sql('SELECT revert_sync_job(max(id)) FROM sync_job');
sql('DELETE FROM item_source WHERE id > 9; UPDATE item_source AS s SET to_id = i.id, v = i.v FROM item AS i WHERE i.id = s.id');
mark();
sql(q{UPDATE item_source SET name = CASE id WHEN 1 THEN '0' WHEN 2 THEN 'a' ELSE 'b' END; SELECT run(1); SELECT run(2); SELECT run(3)});
is(outcomes("revert_sync_jobs($since)"), 'reverted 3', 'names that have moved from one to the next');
is(sql($items), '0', 'move back');
# What cannot be written is left out, too.
mark();
sql(q{UPDATE item_source SET name = 'z' WHERE id = 1; UPDATE item_source SET name = 'y' WHERE id = 2; SELECT run(1), run(2)});
sql(q{UPDATE item SET name = 'a' WHERE id = 3});
like(error_of("SELECT * FROM revert_sync_jobs($since)"), qr/ERROR:  duplicate key value violates unique constraint "item_name_key"/, 'a value that somebody else has by now');
is(sql("SELECT string_agg(concat_ws(' ', target_document_name, outcome, detail), ', ' ORDER BY target_document_name) FROM revert_sync_jobs($since, conflicts => 'skip')"),
	'1 conflict duplicate key value violates unique constraint "item_name_key", 2 reverted', 'is a conflict');

# ---- Dry runs made real ----

sql(q{UPDATE item SET name = 'item ' || id; TRUNCATE items; INSERT INTO items SELECT * FROM item;
	UPDATE item_source SET name = 'new ' || id, to_id = id; INSERT INTO item_source VALUES (20, 20, 'inserted', 2, 0)});
mark();
sql(q{SELECT run(i, dry_run => true) FROM generate_series(1, 2) AS i; SELECT run(3, '{"do": "delete", "name": "3"}', true); SELECT run(20, '{"do": "insert"}', true)});
is(sql($items), '0', 'dry runs write nothing');
is(outcomes("revert_sync_jobs($since)"), '', 'and leave nothing to undo');
sql('UPDATE item SET v = 99 WHERE id = 2');
like(error_of("SELECT * FROM apply_sync_jobs(ARRAY[(SELECT max(id) FROM sync_job WHERE NOT dry_run AND relation IS NULL)])"), qr/It was not a dry run/, 'only they can be applied');
is(outcomes("apply_sync_jobs($since)"), 'applied 4', 'applied at once');
is(sql(q{SELECT string_agg(name, ', ' ORDER BY id) FROM item}), 'new 1, new 2, inserted', 'they are real');
is(outcomes("apply_sync_jobs($since)"), '', 'only once');
is(sql(q{SELECT operation, title, result->>'applied' FROM sync_job ORDER BY id DESC LIMIT 1}), 'Apply|Apply Item|4', 'a job records it');
is(outcomes('revert_sync_jobs(run => (SELECT max(id) FROM sync_job))'), 'reverted 4', 'and it can be undone');

# ---- What is refused ----

like(error_of('SELECT * FROM revert_sync_jobs()'), qr/ERROR:  ids and run must not both be null/, 'nothing');
like(error_of('SELECT * FROM revert_sync_jobs(ARRAY[1, NULL])'), qr/ERROR:/, 'a null');
like(error_of('SELECT * FROM revert_sync_jobs(ARRAY[0])'), qr/ERROR:  sync job 0 does not exist/, 'no such job');
like(error_of(q{SELECT * FROM revert_sync_jobs('{}', conflicts => 'no')}), qr/ERROR:  invalid value of conflicts: "no"\nHINT:  Valid values are: fail, skip/, 'no such way');
is(outcomes(q{revert_sync_jobs('{}')}), '', 'no job, nothing to do');
sql(q{SELECT pause_sync_job_type('Night')});
my $waits = enqueue($node, 'Night', '1');
like(error_of("SELECT * FROM revert_sync_jobs(ARRAY[$waits])"), qr/cannot revert sync job $waits\nDETAIL:  It has not ended/, 'one that waits');
sql("SELECT cancel_sync_job($waits)");
is(outcomes("revert_sync_jobs(ARRAY[$waits])"), '', 'one that has changed nothing');

# ---- By a worker, for another role ----

sql(q{CREATE ROLE runner LOGIN; CREATE ROLE op LOGIN; CREATE ROLE nobody LOGIN; SELECT grant_sync_job_access('op', 'operator');
	ALTER TABLE source OWNER TO runner; ALTER TABLE target OWNER TO runner; GRANT SELECT ON before TO runner;
	UPDATE sync_job_type SET run_as = 'runner' WHERE name = 'Night'; SELECT resume_sync_job_type('Night');
	UPDATE source SET v = 'role' WHERE id <= 120});
$run = sql(q{SELECT enqueue_full_sync('Night', max_change_percent => 100)});
wait_for_jobs($node);
like(error_of("SELECT * FROM revert_sync_jobs(run => $run)"), qr/sync job $run runs as role "runner", not in a session of role "postgres"\nHINT:  Have a worker do it with enqueue_revert/, 'not in the session of another role');
like(error_of("SELECT revert_sync_job($run)"), qr/HINT:  Have a worker do it with enqueue_revert/, 'nor one by one');
like(error_of("SET SESSION AUTHORIZATION nobody; SELECT enqueue_revert(run => $run)"), qr/permission denied for sync job $run\nDETAIL:  It runs as role "runner", which role "nobody" may not become/, 'nor for just anybody');
like(error_of("SELECT enqueue_revert(ARRAY[$run, (SELECT max(id) FROM sync_job WHERE sync_job_type = 'Item')])"), qr/the sync jobs are of several types\nDETAIL:  They are of "Item", "Night"\./, 'nor of two types at once');
sql(q{UPDATE target SET v = 'mine' WHERE id = 5; SELECT pause_sync_job_type('Night'); UPDATE sync_job_type SET disabled = true WHERE name = 'Night'});
is(result_of(sql("SET SESSION AUTHORIZATION op; SELECT enqueue_revert(run => $run)")), 'Failed cannot revert 1 document', 'an operator has it done, also while the type is paused');
is(sql(q{SELECT count(*) FROM target WHERE v = 'role'}), '119', 'or not, as there is a conflict');
my $revert = sql("SET SESSION AUTHORIZATION op; SELECT enqueue_revert(run => $run, conflicts => 'skip')");
is(result_of($revert), 'Finished {"reverted": 149, "conflicts": 1}', 'the others are undone');
is(sql(qq{SELECT operation, relation, parent_sync_job = $run, (SELECT count(*) FROM sync_job_document WHERE sync_job = id), result->'documents' FROM sync_job WHERE id = $revert}),
	'Revert|replay|t|149|[{"detail": null, "fields": ["v"], "sync_job": ' . $run . ', "source_document_name": "5", "target_document_name": "5"}]', 'the job has what it did, and the conflict');
sql(q{UPDATE target SET v = 'v5' WHERE id = 5});
is(sql($differs), '0', 'all is as it was');

# ---- A crash in the middle: all or nothing ----

sql(q{CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600) WHERE OLD.id = 1 AND current_sync_job() IS NOT NULL; RETURN NEW; END $$;
	CREATE TRIGGER slow BEFORE UPDATE ON target FOR EACH ROW EXECUTE FUNCTION slow()});
$revert = sql("SELECT enqueue_revert(run => $revert)");
poll($node, qq{SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'sync job worker' AND wait_event = 'PgSleep'}, 'it is in the middle');
kill 'KILL', sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'sync job worker' AND wait_event = 'PgSleep'});
$node->poll_query_until('postgres', qq{SELECT status NOT IN ('Queued', 'Started') FROM sync_job WHERE id = $revert});
is(sql($differs), '0', 'nothing was done');
is(sql(qq{SELECT count(*) FROM sync_job_document WHERE sync_job = $revert}), '0', 'nor recorded');
sql('DROP TRIGGER slow ON target');
is(status_of($node, $revert), 'Failed', 'it has failed');
sql("SELECT retry_sync_job($revert)");
is(result_of($revert), 'Finished {"reverted": 149, "conflicts": 0}', 'and is tried again by hand');

unlike_accidents($node, kill => 1);
$node->stop('fast');
done_testing();
