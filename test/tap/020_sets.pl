# Workers that run declarative jobs as sets: killed in the middle, with the tables changed under them, beside writers of
# the target; and the cursor of their claims. Nothing is lost, nothing done twice, every target is right at the end.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => "max_prepared_transactions = 5\nsync_job.poll_interval = '2 s'\nrestart_after_crash = on\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(q{
	UPDATE sync_job_queue SET max_workers = 3 WHERE name = 'default';
	CREATE TABLE source (id int PRIMARY KEY, v text, w int DEFAULT 0);
	CREATE TABLE target (source int PRIMARY KEY, v text, w int, writes int DEFAULT 0);
	CREATE FUNCTION count_writes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.writes := OLD.writes + 1; RETURN NEW; END $$;
	CREATE TRIGGER count BEFORE UPDATE ON target FOR EACH ROW EXECUTE FUNCTION count_writes();
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, retry_delay)
	VALUES ('Set', 'source', 'target', '{"source": "id"}', '{"v": "v", "w": "w"}', '10 ms');
	SELECT attach_sync_job_triggers('Set', 'source', level => 'statement', deduplicate => false);
});
my $wrong = q{SELECT count(*) FROM source AS s FULL JOIN target AS t ON t.source = s.id WHERE (s.v, s.w) IS DISTINCT FROM (t.v, t.w)};

# Statement-level triggers, from end to end.
sql(q{INSERT INTO source SELECT i, 'first' FROM generate_series(1, 3000) AS i});
is(wait_for_jobs($node), 'Finished=3000', 'a statement of 3000 rows arrives');
is(sql($wrong), '0', 'as it was written');

# Killed while sets run: each time PostgreSQL starts all anew, and the jobs are there.
for my $round (1 .. 3)
{
	sql(qq{UPDATE source SET v = 'round $round'});
	$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM sync_job_activity WHERE state = 'running' OR NOT EXISTS (SELECT FROM sync_job WHERE status = 'Queued')});
	my $pid = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'sync job worker' LIMIT 1});
	kill 'KILL', $pid if $pid;
	$node->poll_query_until('postgres', 'SELECT true');
}
unlike(wait_for_jobs($node), qr/Failed|Canceled|Started/, 'after kill -9 in the middle of sets every job has ended well');
is(sql($wrong), '0', 'and every target is right');
is(sql(q{SELECT count(*) FROM sync_job WHERE status IN ('Finished', 'Skipped')}), '12000', 'none is lost');
is(sql(q{SELECT sum(writes) = (SELECT count(*) FROM sync_job WHERE status = 'Finished' AND operation = 'Update') FROM target}), 't',
	'and each that says it has written has done so once');

# The tables change under a worker that has been there for long.
sql(q{SELECT clear_all_sync_jobs()});
sql(q{ALTER TABLE target ADD COLUMN more text; ALTER TABLE source ADD COLUMN more text DEFAULT 'm'});
sql(q{UPDATE sync_job_type SET field_map = field_map || '{"more": "more"}'});
sql(q{UPDATE source SET v = 'wider'});
is(wait_for_jobs($node), 'Finished=3000', 'a column is added');
is(sql(q{SELECT count(*) FROM target WHERE more = 'm'}), '3000', 'and filled');
sql(q{UPDATE sync_job_type SET field_map = field_map - 'more'; ALTER TABLE target DROP COLUMN more; ALTER TABLE source DROP COLUMN more});
sql(q{ALTER TABLE target ALTER COLUMN w TYPE numeric(10,2)});
sql(q{UPDATE source SET v = 'narrower', w = 5});
is(wait_for_jobs($node), 'Finished=6000', 'one is dropped, another gets a new type');
is(sql($wrong), '0', 'and every target is right');

# Another session writes the targets of a set, and keeps its locks: the set gets out of the way, nothing fails.
my $writer = $node->background_psql('postgres');
$writer->query_safe(q{BEGIN; UPDATE target SET writes = 0 WHERE source = 700});
sql(q{UPDATE source SET v = 'beside'});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 2999 FROM target WHERE v = 'beside'}), 'the others are not kept back');
$writer->query_safe('COMMIT');
$writer->quit;
is(wait_for_jobs($node), 'Finished=9000', 'and those when the lock is free');
is(sql($wrong), '0', 'and every target is right');
is(sql(q{SELECT count(*) FROM sync_job_error}), '0', 'no attempt has failed');

# One of a set hangs: it runs alone, and can be canceled as it runs; the others are not concerned.
sql(q{SELECT clear_all_sync_jobs()});
sql(q{
	CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.v = 'hang' THEN PERFORM pg_sleep(600); END IF; RETURN NEW; END $$;
	CREATE TRIGGER hang BEFORE UPDATE ON target FOR EACH ROW EXECUTE FUNCTION hang();
	UPDATE source SET v = CASE WHEN id = 33 THEN 'hang' ELSE 'fine' END WHERE id <= 300;
});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 299 FROM sync_job WHERE status = 'Finished'}), 'the others have ended')
  or diag(sql(q{SELECT status, count(*) FROM sync_job GROUP BY status}));
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM sync_job JOIN sync_job_activity AS a ON a.sync_job = id WHERE source_document_name = '33' AND status = 'Started'}),
	'the one that hangs is Started');
is(sql(q{SELECT j.status || ' ' || j.cancel_reason FROM sync_job AS s, cancel_sync_job(s.id, 'enough', running => true) AS j WHERE s.source_document_name = '33'}),
	'Canceled enough', 'it is canceled');
is(wait_for_jobs($node), 'Canceled=1 Finished=299', 'and nothing else is');
is(sql(q{SELECT v FROM target WHERE source = 33}), 'beside', 'its target is as it was');
sql(q{DROP TRIGGER hang ON target});

# A column gets another type after the values of a job have been computed, and before it looks at the target: it is computed again.
sql(q{
	CREATE TABLE goal (id int PRIMARY KEY, w int);
	CREATE FUNCTION stop_at(id int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN IF id = 2 THEN PERFORM pg_advisory_xact_lock(77); END IF; RETURN id; END $$;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, batchable, max_retries)
	VALUES ('Stopping', 'source', 'goal', '{"id": "id"}', '{"w": {"expr": "stop_at(source.id)"}}', false, 0);
	CREATE SCHEMA stopping;
	CREATE FUNCTION stopping.get_target_document(sync_job sync_job, source_doc source) RETURNS sync_job_target LANGUAGE sql STABLE AS $$
		SELECT sync_job_target(CASE WHEN EXISTS (SELECT FROM goal WHERE id = source_doc.id) THEN 'update' ELSE 'insert' END, target_document_name => source_doc.id::text) $$;
	CREATE FUNCTION stopping.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc goal) LANGUAGE plpgsql AS $$
	BEGIN target_doc.id := source_doc.id; target_doc.w := stop_at(source_doc.id); END $$;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, max_retries) VALUES ('Stopping in Code', 'source', 'goal', 'stopping', 0);
	UPDATE sync_job_queue SET max_workers = 1 WHERE name = 'default';
});
sub retype
{
	my ($name, $type, $w) = @_;
	run_of($node, sql(qq{SELECT enqueue_sync_job('$name', '1')})); # the worker knows the type then
	my $locker = $node->background_psql('postgres');
	$locker->query_safe('SELECT pg_advisory_lock(77)');
	my $job = $name eq 'Stopping'
	  ? sql(q{SELECT enqueue_sync_job('Stopping', '2', update_without_changes_enabled => true)})
	  : sql(qq{SELECT max(id) FROM (SELECT enqueue_sync_job('$name', id::text) AS id FROM generate_series(1, 20) AS id) AS jobs});
	poll($node, q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}, 'a job computes what it will write');
	sql("ALTER TABLE goal ALTER COLUMN w TYPE $type USING w::$type");
	$locker->query_safe('SELECT pg_advisory_unlock(77)');
	$locker->quit;
	like(run_of($node, $job), qr/^Finished/, "$name: column w is of type $type then");
	is(sql('SELECT w FROM goal WHERE id = 2'), $w, 'and the target is right');
	return;
}
retype('Stopping', $_, '2') for 'numeric', 'text', 'bigint';
# The same in a set, which finds all its targets by a statement that is planned anew.
sql(q{
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries)
	VALUES ('Stopping in Sets', 'source', 'goal', '{"id": "id"}', '{"w": {"expr": "stop_at(source.id) + 1"}}', 0);
	INSERT INTO goal SELECT id, 0 FROM generate_series(1, 20) AS id ON CONFLICT (id) DO UPDATE SET w = 0;
});
for my $type ('numeric', 'bigint', 'text', 'int')
{
	retype('Stopping in Sets', $type, '3');
	sql('UPDATE goal SET w = 0');
}
# And in a comparison, which knows the tables from before.
my ($comparing, $altering) = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;
my $compare = q{SELECT count(*) > 0 FROM compare_sync_documents('Stopping in Sets')};
is($comparing->query($compare), 't', 'a comparison finds differences');
for my $type ('numeric', 'bigint', 'text', 'int')
{
	$altering->query_safe("BEGIN; ALTER TABLE goal ALTER COLUMN w TYPE $type USING w::$type");
	$comparing->{stdin} .= "$compare;\n\\echo compared\n";
	$comparing->{run}->pump_nb;
	poll($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%compare\_sync%' AND wait_event_type = 'Lock'}, 'a comparison waits for the table');
	$altering->query_safe('COMMIT');
	pump_until($comparing->{run}, $comparing->{timeout}, \$comparing->{stdout}, qr/compared/);
	$comparing->{stdout} = '';
	is($comparing->query($compare), 't', "column w is of type $type then, and it finds differences again");
}
$_->quit for $comparing, $altering;
sql('TRUNCATE goal');
# A function gets a row of the target, so that its type is changed between calls.
sub between_calls
{
	my ($type) = @_;
	sql("ALTER TABLE goal ALTER COLUMN w TYPE $type USING w::$type");
	my $job = sql(q{SELECT enqueue_sync_job('Stopping in Code', '3', update_without_changes_enabled => true)});
	like(run_of($node, $job), qr/^Finished/, "in code: column w is of type $type then");
	return is(sql('SELECT w FROM goal WHERE id = 3'), '3', 'and the target is right');
}
between_calls($_) for 'numeric', 'text', 'int';
is(sql(q{SELECT count(*) FROM sync_job_error AS e JOIN sync_job AS j ON j.id = e.sync_job WHERE j.sync_job_type ~ 'Stopping' AND e.counted}), '0', 'no attempt counts as failed');
sql(q{DELETE FROM sync_job WHERE sync_job_type ~ 'Stopping'});
unlike(slurp_file($node->logfile), qr/was terminated by signal (?!9)/, 'and nothing has crashed');

$node->stop('fast');
$node->start;
is(wait_for_jobs($node), 'Canceled=1 Finished=299', 'nothing is left to do after a restart');

done_testing();
