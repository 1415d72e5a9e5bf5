# Full syncs of types with functions, runs that let others go first, targets of several types, columns that are set while nobody has edited
# them, a server without preloading.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => "restart_after_crash = on\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }

sub full_sync { my ($type, $arguments) = @_; return sql("SELECT enqueue_full_sync('$type'" . ($arguments ? ", $arguments" : '') . ')') }
sub result_of { my ($job, @fields) = @_; return sql("SELECT concat_ws(' ', " . join(', ', map { "result->>'$_'" } @fields) . ") FROM sync_job WHERE id = $job") }

# --- Functions ---

sql(q{
	CREATE TABLE item (id int, part text, v text, PRIMARY KEY (id, part));
	CREATE TABLE copy (id serial PRIMARY KEY, item int, part text, v text CHECK (v <> 'bad'), UNIQUE (item, part));
	CREATE TABLE second_copy (item int, part text, v text, PRIMARY KEY (item, part));
	CREATE SCHEMA by_code;
	CREATE FUNCTION by_code.get_target_document(sync_job sync_job, source_doc item) RETURNS sync_job_target LANGUAGE plpgsql AS $$
	DECLARE found copy;
	BEGIN
		SELECT * INTO found FROM copy WHERE item = source_doc.id AND part = source_doc.part;
		IF source_doc.v = 'none' THEN RETURN NULL; END IF;
		IF source_doc.v = 'remove' THEN RETURN sync_job_target('delete', 'copy', found.id::text); END IF;
		RETURN sync_job_target(CASE WHEN found.id IS NULL THEN 'insert' ELSE 'update' END, 'copy', found.id::text);
	END $$;
	CREATE FUNCTION by_code.update_target_doc(sync_job sync_job, source_doc item, INOUT target_doc copy) LANGUAGE plpgsql AS $$
	BEGIN
		target_doc.item := source_doc.id; target_doc.part := source_doc.part; target_doc.v := source_doc.v;
	END $$;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, max_retries) VALUES ('By Code', 'item', 'copy', 0);
	INSERT INTO item SELECT i / 3, chr(97 + i % 3), 'v' FROM generate_series(0, 299) AS i;
});
my $unequal = q{SELECT count(*) FROM item AS i FULL JOIN copy AS c ON c.item = i.id AND c.part = i.part WHERE i.v IS DISTINCT FROM c.v};

my $run = full_sync('By Code', 'dry_run => true');
is(run_of($node, $run), 'Finished', 'a dry run');
is(result_of($run, qw(missing different sources inserted)), '300 0 300 0', 'says what would be done');
is(sql('SELECT count(*) FROM copy'), '0', 'and does nothing');
is(run_of($node, full_sync('By Code')), 'Finished inserted=300', 'a first load');
is(run_of($node, full_sync('By Code')), 'Finished skipped=300', 'a second one finds nothing to do');
is(sql($unequal), '0', 'all is in step');
sql(q{UPDATE item SET v = CASE part WHEN 'a' THEN 'new' WHEN 'b' THEN 'bad' ELSE 'remove' END WHERE id < 4; UPDATE item SET v = 'none' WHERE id = 9});
$run = full_sync('By Code', 'chunk_size => 7');
is(run_of($node, $run), 'Finished deleted=4 failed=4 no_target=3 skipped=285 updated=4', 'each document as its controller says');
is(sql("SELECT string_agg(source_document_name, ' ' ORDER BY id) FROM sync_job WHERE parent_sync_job = $run AND status = 'Failed'"), '["0", "b"] ["1", "b"] ["2", "b"] ["3", "b"]', 'what fails leaves the run');
is(sql("SELECT string_agg(operation || n, ' ' ORDER BY 1) FROM (SELECT operation, count(*) AS n FROM sync_job_document WHERE sync_job = $run GROUP BY 1) AS d"), 'Delete4 Update4', 'what was done is recorded');
is(run_of($node, full_sync('By Code', q{condition => $$source.id BETWEEN 10 AND 11$$})), 'Finished skipped=6', 'a condition');

# The limits: on the way, before the write that goes beyond them; or before the first write.
sql(q{UPDATE item SET v = 'x'});
$run = full_sync('By Code', 'max_change_percent => 30, chunk_size => 10');
like(run_of($node, $run), qr/^Failed full sync of sync job type "By Code" stops: it would update or delete \d+ of 300 targets, more than max_change_percent \(30 %\)/, 'it stops on its way');
is(sql(q{SELECT count(*) BETWEEN 80 AND 90 FROM copy WHERE v = 'x'}), 't', 'with what the limit allows');
like(sql("SELECT detail FROM sync_job_error WHERE sync_job = $run"), qr/^Looked at: \d+ of 300 sources\. \d+ inserted, \d+ updated, 0 deleted until then\.$/, 'and says so');
is(sql("SELECT count(*) FROM copy WHERE v = 'x'"), sql("SELECT count(*) FROM sync_job_document WHERE sync_job = $run"), 'all of that is recorded');
my $xs = sql("SELECT count(*) FROM copy WHERE v = 'x'");
$run = full_sync('By Code', 'max_change_percent => 30, check_first => true');
like(run_of($node, $run), qr/^Failed full sync .* stops: it would update or delete \d+ of \d+ targets/, 'with check_first');
like(sql("SELECT detail FROM sync_job_error WHERE sync_job = $run"), qr/^Compared: 300 sources, \d+ targets: \d+ missing, \d+ different, 0 surplus, 0 ambiguous\. Nothing was written\.$/, 'before the first write');
is(sql("SELECT count(*) FROM copy WHERE v = 'x'"), $xs, 'indeed');
is(run_of($node, full_sync('By Code', 'max_change_percent => 100, check_first => true')), 'Finished skipped=90 updated=210', 'else it goes on');
is(sql($unequal), '0', 'and all is in step');
$node->psql('postgres', q{SELECT enqueue_full_sync('By Code', delete_surplus => true)}, stderr => \my $error);
like($error, qr/cannot be synced by a full sync.*\n.*not which belongs to none/s, 'code does not tell what is surplus');

# Killed and paused, it goes on behind what it has committed.
sql(q{UPDATE item SET v = 'killed'; CREATE TABLE look (item int, part text);
	CREATE FUNCTION count_looks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO look VALUES (NEW.item, NEW.part); RETURN NEW; END $$;
	CREATE TRIGGER looks BEFORE UPDATE ON copy FOR EACH ROW EXECUTE FUNCTION count_looks()});
$run = full_sync('By Code', 'max_change_percent => 100, chunk_size => 10, documents_per_second => 100');
$node->poll_query_until('postgres', "SELECT percent > 10 FROM sync_job_activity WHERE sync_job = $run");
kill 'KILL', sql("SELECT pid FROM sync_job_activity WHERE sync_job = $run");
poll($node, "SELECT EXISTS (SELECT FROM sync_job_activity WHERE sync_job = $run AND percent > 20) OR status = 'Finished' FROM sync_job WHERE id = $run", 'it goes on after a crash');
sql("SELECT pause_sync_job($run)");
poll($node, "SELECT status = 'Pending' FROM sync_job WHERE id = $run", 'it is paused');
sql("SELECT start_sync_job($run)");
is(run_of($node, $run), 'Finished updated=300', 'each document once');
is(sql('SELECT count(*), count(DISTINCT (item, part)) FROM look'), '300|300', 'and looked at once');
is(sql($unequal), '0', 'all is in step');
sql('DROP TRIGGER looks ON copy');

# A function that is replaced meanwhile ends it, as does a changed type: no table is half in step with the one and half with the other.
sql(q{UPDATE item SET v = 'replaced'});
$run = full_sync('By Code', 'max_change_percent => 100, documents_per_second => 10');
poll($node, "SELECT percent > 0 FROM sync_job_activity WHERE sync_job = $run", 'it runs');
my $update = sql(q{SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'update_target_doc' AND pronamespace = 'by_code'::regnamespace});
sql($update);
sql('GRANT EXECUTE ON FUNCTION by_code.update_target_doc TO public');
my $before = sql("SELECT percent FROM sync_job_activity WHERE sync_job = $run");
poll($node, "SELECT percent > $before FROM sync_job_activity WHERE sync_job = $run", 'the same text once more, or a right, is no change');
sql($update =~ s/:= source_doc.v;/:= upper(source_doc.v);/r);
like(run_of($node, $run), qr/^Failed a controller function of sync job type "By Code" was changed during the run/, 'a function that is replaced ends it');
like(sql("SELECT hint FROM sync_job_error WHERE sync_job = $run"), qr/^Enqueue another full sync/, 'and says what to do');
is(sql(q{SELECT count(*) FROM copy WHERE v = 'REPLACED'}), '0', 'before anything is written by the new one');
is(sql(q{SELECT count(*) BETWEEN 1 AND 299 FROM copy WHERE v = 'replaced'}), 't', 'and after what was committed');
is(run_of($node, full_sync('By Code', 'max_change_percent => 100')), 'Finished updated=300', 'another run is for the new one');
sql($update);

# A source without an index to go by.
sql(q{
	CREATE VIEW parts AS SELECT id, part, v FROM item WHERE id >= 50 UNION ALL SELECT id, part, v FROM item WHERE id < 50;
	CREATE TABLE of_parts (id serial PRIMARY KEY, item int, part text, v text, UNIQUE (item, part));
	CREATE SCHEMA by_view;
	CREATE FUNCTION by_view.get_target_document(sync_job sync_job, source_doc parts) RETURNS sync_job_target LANGUAGE sql STABLE AS $$
		SELECT sync_job_target(CASE WHEN t.id IS NULL THEN 'insert' ELSE 'update' END, 'of_parts', t.id::text)
		FROM (SELECT 1) AS one LEFT JOIN of_parts AS t ON t.item = source_doc.id AND t.part = source_doc.part $$;
	CREATE FUNCTION by_view.update_target_doc(sync_job sync_job, source_doc parts, INOUT target_doc of_parts) LANGUAGE plpgsql AS $$
	BEGIN
		target_doc.item := source_doc.id; target_doc.part := source_doc.part; target_doc.v := source_doc.v;
	END $$;
	INSERT INTO sync_job_type (name, source_document_type, source_key, target_document_type, max_retries) VALUES ('By View', 'parts', '{id,part}', 'of_parts', 0);
});
$run = full_sync('By View', 'chunk_size => 20, documents_per_second => 200');
$node->poll_query_until('postgres', "SELECT percent > 0 FROM sync_job_activity WHERE sync_job = $run");
sql("SELECT pause_sync_job($run)");
poll($node, "SELECT status = 'Pending' FROM sync_job WHERE id = $run", 'a run over a view is paused');
sql("SELECT start_sync_job($run)");
like(run_of($node, $run), qr/^Finished inserted=300/, 'and goes on');
is(sql('SELECT count(*) FROM parts AS s FULL JOIN of_parts AS t ON t.item = s.id AND t.part = s.part WHERE s.v IS DISTINCT FROM t.v'), '0', 'all of it is in step');

# A document with several targets is for a job of its own.
sql(q{
	CREATE SCHEMA fan;
	CREATE FUNCTION fan.get_multiple_target_documents(sync_job sync_job, source_doc item) RETURNS SETOF sync_job_target LANGUAGE sql AS $$
		SELECT sync_job_target(CASE WHEN EXISTS (SELECT FROM copy AS c WHERE c.item = source_doc.id AND c.part = source_doc.part) THEN 'update' ELSE 'insert' END, 'copy',
			(SELECT id::text FROM copy AS c WHERE c.item = source_doc.id AND c.part = source_doc.part))
		UNION ALL SELECT sync_job_target(CASE WHEN EXISTS (SELECT FROM second_copy AS c WHERE c.item = source_doc.id AND c.part = source_doc.part) THEN 'update' ELSE 'insert' END,
			'second_copy', CASE WHEN EXISTS (SELECT FROM second_copy AS c WHERE c.item = source_doc.id AND c.part = source_doc.part) THEN jsonb_build_array(source_doc.id::text, source_doc.part)::text END)
			WHERE source_doc.id < 2
	$$;
	CREATE FUNCTION fan.update_target_doc(sync_job sync_job, source_doc item, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
		SELECT target_doc || jsonb_build_object('item', source_doc.id, 'part', source_doc.part, 'v', source_doc.v) $$;
	INSERT INTO sync_job_type (name, source_document_type, module) VALUES ('Fan', 'item', 'fan');
	UPDATE item SET v = 'fan';
});
is(run_of($node, full_sync('Fan', 'max_change_percent => 100')), 'Finished handed_over=6 updated=294', 'several targets');
unlike(wait_for_jobs($node), qr/Queued/, 'their jobs run');
is(sql($unequal), '0', 'all is in step');
is(sql(q{SELECT count(*) FROM second_copy WHERE v = 'fan'}), '6', 'there, too');

# --- Others first ---

sql(q{
	CREATE TABLE source (id int PRIMARY KEY, v text);
	CREATE TABLE target (id int PRIMARY KEY, v text);
	INSERT INTO source SELECT i, 'v' FROM generate_series(1, 2000) AS i;
	INSERT INTO sync_job_queue (name, max_workers) VALUES ('one', 1);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, queue, concurrency_limit)
		VALUES ('Long', 'source', 'target', '{"id": "id"}', '{"v": "v"}', 'one', 1);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, queue) VALUES ('Short', 'item', 'copy', 'by_code', 'one');
	SELECT attach_sync_job_triggers('Long', 'source');
});
$run = full_sync('Long', 'documents_per_second => 200');
$node->poll_query_until('postgres', "SELECT percent > 0 FROM sync_job_activity WHERE sync_job = $run");
my $short = enqueue($node, 'Short', '["1", "a"]');
sql(q{CALL wait_for_sync_job(} . $short . q{, '60 s')});
isnt(status_of($node, $run), 'Finished', 'a job of the only worker does not wait for the end of a run');
is(sql("SELECT count(*) FROM source AS s LEFT JOIN target AS t USING (id) WHERE t.v IS NULL") > 0, 1, 'which has not ended');
sql(q{UPDATE source SET v = 'live' WHERE id = 1999});
poll($node, q{SELECT v = 'live' FROM target WHERE id = 1999}, 'nor does one of the type itself, of which only one may run');
isnt(status_of($node, $run), 'Finished', 'indeed');
# While it sleeps it holds neither a snapshot nor a lock of a table.
poll($node, qq{SELECT backend_xmin IS NULL AND backend_xid IS NULL AND NOT EXISTS (SELECT FROM pg_locks AS l WHERE l.pid = a.pid AND l.locktype = 'relation')
	FROM pg_stat_activity AS a WHERE pid = (SELECT pid FROM sync_job_activity WHERE sync_job = $run)}, 'the run holds nothing while it sleeps');
like(run_of($node, $run), qr/^Finished inserted=(1999|2000)/, 'to its end');
is(result_of($run, 'missing'), '2000', 'with the list that it had at first');
is(sql("SELECT count(*) FROM source JOIN target USING (id, v)"), '2000', 'all is in step');
is(result_of($run, 'unwatched'), '', 'its source has a trigger');
# One that another job runs within itself goes to its end at once: that job waits for it.
sql(q{
	CREATE TABLE seen (status text);
	CREATE PROCEDURE nightly() LANGUAGE plpgsql AS $$
	DECLARE run bigint; job sync_job;
	BEGIN
		run := enqueue_full_sync('Long', documents_per_second => 300);
		COMMIT;
		CALL execute_sync_job(run, job);
		INSERT INTO seen SELECT j.status FROM sync_job AS j WHERE j.id = run;
	END $$;
	SET session_replication_role = replica;
	UPDATE source SET v = 'night' WHERE id <= 900;
	RESET session_replication_role;
	UPDATE sync_job_type SET concurrency_limit = NULL WHERE name = 'Long';
});
my $nightly = sql(q{SELECT enqueue_background_job('nightly', queue => 'one')});
wait_until_running($node, $nightly);
$short = enqueue($node, 'Short', '["1", "a"]');
sql(q{CALL wait_for_sync_job(} . $short . q{, '60 s')});
is(sql('SELECT status FROM seen'), 'Finished', 'a run within another job goes to its end');

sql(q{SELECT detach_sync_job_triggers('Long', 'source')});
$run = full_sync('Long');
is(run_of($node, $run), 'Finished', 'without a trigger');
like(result_of($run, 'unwatched'), qr/^no trigger/, 'the result says so');

# --- Targets of several types ---

sql(q{
	CREATE TABLE shop (id int PRIMARY KEY, v text);
	CREATE TABLE erp (id int PRIMARY KEY, v text);
	CREATE TABLE product (id int, origin text, v text, PRIMARY KEY (id, origin));
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, surplus_condition) VALUES
		('Shop', 'shop', 'product', '{"id": "id", "origin": {"value": "shop"}}', '{"v": "v"}', $$target.origin = 'shop'$$),
		('ERP', 'erp', 'product', '{"id": "id", "origin": {"value": "erp"}}', '{"v": "v"}', $$origin = 'erp'$$);
	INSERT INTO shop SELECT i, 'v' FROM generate_series(1, 20) AS i;
	INSERT INTO erp SELECT i, 'v' FROM generate_series(1, 20) AS i;
	INSERT INTO product SELECT i, o, 'v' FROM generate_series(1, 21) AS i, unnest('{shop,erp,hand}'::text[]) AS o;
});
is(sql(q{SELECT string_agg(difference || target_document_name, ' ') FROM compare_sync_documents('Shop')}), 'surplus["21", "shop"]', 'surplus is what is its own');
is(run_of($node, full_sync('Shop', 'delete_surplus => true')), 'Finished deleted=1', 'and nothing else is deleted');
is(sql('SELECT count(*) FROM product'), '62', 'indeed');
sql(q{DELETE FROM shop WHERE id <= 4});
like(run_of($node, full_sync('Shop', 'delete_surplus => true')), qr/would delete 4 of 20 targets/, 'of its own is what the limits count');
$node->psql('postgres', q{UPDATE sync_job_type SET surplus_condition = 'target.' WHERE name = 'Shop'}, stderr => \$error);
like($error, qr/surplus_condition: syntax error.*HINT:  It is one condition over target/s, 'one that cannot be');
sql(q{UPDATE sync_job_type SET surplus_condition = 'target.nothing = 1' WHERE name = 'Shop'});
is(sql(q{SELECT severity, object, message FROM validate_sync_job_type('Shop')}), 'error|surplus_condition|surplus_condition: column target.nothing does not exist', 'validation reads it');

# --- While nobody has edited them ---

sql(q{
	CREATE TABLE lead (id int PRIMARY KEY, v text);
	CREATE TABLE contact (id int PRIMARY KEY, v text);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Adopted', 'lead', 'contact', '{"id": "id"}', '{"v": {"column": "v", "only": "unedited"}}');
	INSERT INTO lead SELECT i, 'lead' FROM generate_series(1, 10) AS i;
	INSERT INTO contact SELECT i, 'was there' FROM generate_series(1, 9) AS i;
});
is(run_of($node, full_sync('Adopted')), 'Finished inserted=1', 'what was there before counts as edited');
sql(q{UPDATE contact SET v = 'edited' WHERE id = 10});
$run = full_sync('Adopted', 'dry_run => true, adopt => true, max_change_percent => 100');
is(run_of($node, $run), 'Finished', 'a dry run with adopt');
is(result_of($run, 'different'), '9', 'tells what would be adopted');
is(run_of($node, full_sync('Adopted', 'adopt => true, max_change_percent => 100')), 'Finished updated=9', 'it is adopted');
is(sql(q{SELECT string_agg(v, ' ' ORDER BY id) FROM contact WHERE id > 8}), 'lead edited', 'but not what was edited since a sync');
sql(q{UPDATE contact SET v = 'by hand' WHERE id = 1; UPDATE lead SET v = 'later'});
is(run_of($node, full_sync('Adopted', 'adopt => true, max_change_percent => 100')), 'Finished updated=8', 'nor what is edited after it');
is(sql(q{SELECT v FROM contact WHERE id = 1}), 'by hand', 'indeed');

unlike_accidents($node, kill => 1);
$node->stop;

# --- Without preloading, nothing but the rows themselves keeps others off a document ---

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->start;
sql(q{
	CREATE TABLE gate ();
	INSERT INTO gate DEFAULT VALUES;
	CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		WHILE EXISTS (SELECT FROM gate) LOOP PERFORM pg_sleep(0.02); END LOOP;
		RETURN NEW;
	END $$;
	CREATE TRIGGER wait_here BEFORE UPDATE ON target FOR EACH ROW WHEN (NEW.id = 10) EXECUTE FUNCTION wait_here();
	UPDATE source SET v = 'older' WHERE id = 10;
});
my ($runner, $writer) = map { $node->background_psql('postgres') } 1 .. 2;
$run = full_sync('Long');
$runner->query_until(qr/begun/, "\\echo begun\nCALL execute_sync_job($run, NULL);\n");
$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')});
$writer->query_until(qr/begun/, "\\echo begun\nUPDATE source SET v = 'newer' WHERE id = 10;\n");
poll($node, q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%newer%' AND wait_event_type = 'Lock' AND pid <> pg_backend_pid())}, 'who changes a source waits for the chunk that reads it');
sql('DELETE FROM gate');
$_->quit for $writer, $runner;
is(status_of($node, $run), 'Finished', 'the run ends');
is(sql('SELECT s.v, t.v FROM source AS s JOIN target AS t USING (id) WHERE id = 10'), 'newer|older', 'and the change comes after it');

done_testing();
