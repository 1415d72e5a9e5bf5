# Full syncs beside what goes wrong: kills at any moment, pauses, changes of all kinds, a source that is emptied, locks of others. What
# is in step in the end, and what never happens on the way.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use SyncJob;

my $node = new_cluster('main', conf => "restart_after_crash = on\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }

sub full_sync { my ($type, $arguments) = @_; return sql("SELECT enqueue_full_sync('$type'" . ($arguments ? ", $arguments" : '') . ')') }

# A server that was killed, or is about to, answers later.
sub sql_at_last
{
	my ($sql) = @_;
	for (1 .. 600)
	{
		my $answer = eval { sql($sql) };
		return $answer if $@ eq '';
		usleep(100_000);
	}
	die "no answer to $sql";
}

# Each version of a row is greater than those before. What is wrong with a write is written down where no rollback loses a fault: in
# the transaction that commits the fault.
sql(q{
	CREATE SEQUENCE version;
	CREATE TABLE source (id int PRIMARY KEY, code text NOT NULL UNIQUE, version bigint NOT NULL DEFAULT nextval('version'));
	CREATE TABLE target (id serial PRIMARY KEY, code text NOT NULL UNIQUE, version bigint NOT NULL, written xid8);
	CREATE TABLE fault (what text, code text, job bigint);
	CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF TG_OP = 'DELETE' THEN
			IF OLD.code LIKE 'still%' THEN INSERT INTO fault VALUES ('a living source lost its target', OLD.code, current_sync_job()); END IF;
			RETURN OLD;
		END IF;
		IF TG_OP = 'UPDATE' AND current_sync_job() IS NOT NULL THEN
			IF NEW.code = OLD.code AND NEW.version < OLD.version THEN INSERT INTO fault VALUES ('older over newer', OLD.code, current_sync_job()); END IF;
			IF OLD.written = pg_current_xact_id() AND EXISTS (SELECT FROM run WHERE id = current_sync_job()) THEN
				INSERT INTO fault VALUES ('written twice within a chunk', OLD.code, current_sync_job());
			END IF;
		END IF;
		NEW.written := pg_current_xact_id();
		RETURN NEW;
	END $$;
	CREATE TRIGGER look BEFORE INSERT OR UPDATE OR DELETE ON target FOR EACH ROW EXECUTE FUNCTION look();
	CREATE TABLE run (id bigint);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, max_retries)
	VALUES ('Fire', 'source', 'target', '{"code": "code"}', '{"version": "version"}', 0);
	INSERT INTO source SELECT i, CASE WHEN i % 2 = 0 THEN 'still' ELSE 'code' END || i FROM generate_series(1, 8000) AS i;
	INSERT INTO target (code, version) SELECT code, 0 FROM source WHERE id <= 5000;
	INSERT INTO target (code, version) SELECT 'gone' || i, 0 FROM generate_series(1, 500) AS i;
	SELECT attach_sync_job_triggers('Fire', 'source');
	CREATE TABLE goes_on ();
	CREATE PROCEDURE change() LANGUAGE plpgsql AS $$
	DECLARE first int;
	BEGIN
		IF NOT pg_try_advisory_lock(1) THEN RETURN; END IF;
		WHILE EXISTS (SELECT FROM goes_on) LOOP
			first := 2 * (random() * 3900)::int + 1;
			UPDATE source SET version = nextval('version') WHERE id BETWEEN first AND first + 4;
			COMMIT;
			UPDATE source SET code = 'moved' || nextval('version'), version = nextval('version') WHERE id = first;
			COMMIT;
			UPDATE source SET id = 100000 + nextval('version'), version = nextval('version') WHERE id = first + 2 OR id IN (SELECT id FROM source WHERE id > 100000 AND random() < 0.02);
			COMMIT;
			DELETE FROM source WHERE id = first + 4 OR id > 100000 AND random() < 0.02;
			COMMIT;
			INSERT INTO source SELECT first + 6, 'new' || nextval('version') WHERE NOT EXISTS (SELECT FROM source WHERE id = first + 6);
			COMMIT;
			PERFORM pg_sleep(0.1);
		END LOOP;
	END $$;
});

# Killed ten times at any moment, the worker or the whole server; paused in between; beside changes.
my $all = 'delete_surplus => true, max_change_percent => 100, max_delete_percent => 100, chunk_size => 100, documents_per_second => 1000';
my $run;

sub begin_run
{
	$run = sql_at_last(qq{WITH r AS (SELECT enqueue_full_sync('Fire', $all) AS id) INSERT INTO run SELECT id FROM r RETURNING id});
	return;
}
my ($kills, $writer) = (0);
sql('INSERT INTO goes_on DEFAULT VALUES');
begin_run();
while ($kills < 10)
{
	eval { $writer->{run}->kill_kill } if $writer;
	$writer = eval { $node->background_psql('postgres', on_error_stop => 0) };
	$writer->query_until(qr/begun/, "\\echo begun\nCALL change();\n") if $writer;
	my $state = '';
	for (1 .. 1800)
	{
		$state = sql_at_last(qq{SELECT status || ' ' || coalesce((SELECT pid FROM sync_job_activity WHERE sync_job = $run AND percent > 0), 0) FROM sync_job WHERE id = $run});
		last if $state !~ /^(Queued|Started) 0/;
		usleep(20_000);
	}
	if ($state !~ /^Started (\d+)/)
	{
		like($state, qr/^Finished/, 'the run has gone to its end') or last;
		sql_at_last(q{UPDATE target SET version = -1 WHERE version % 3 = 0});
		begin_run();
		next;
	}
	my $pid = $1;
	usleep(rand(400_000));
	if ($kills == 4)
	{
		sql_at_last("SELECT pause_sync_job($run)");
		$node->poll_query_until('postgres', "SELECT status NOT IN ('Queued', 'Started') FROM sync_job WHERE id = $run");
		usleep(rand(400_000));
		sql_at_last("SELECT start_sync_job($run) FROM sync_job WHERE id = $run AND status = 'Pending'");
		$node->poll_query_until('postgres', "SELECT status <> 'Started' OR EXISTS (SELECT FROM sync_job_activity WHERE sync_job = $run AND percent > 0) FROM sync_job WHERE id = $run");
	}
	if ($kills % 3 == 2)
	{
		$node->kill9;
		start_after_kill($node);
	}
	else
	{
		kill 'KILL', $pid;
	}
	$kills++;
}
is($kills, 10, 'ten kills');
like(run_of($node, $run), qr/^Finished/, 'the run is not blamed for them');
sql('DELETE FROM goes_on');
eval { $writer->quit };
unlike(wait_for_jobs($node), qr/Failed/, 'nor any other job');
my $equal = q{SELECT count(*) FROM ((SELECT code, version FROM source EXCEPT SELECT code, version FROM target) UNION ALL (SELECT code, version FROM target EXCEPT SELECT code, version FROM source)) AS d};
is(run_of($node, full_sync('Fire', 'delete_surplus => true')), 'Finished', 'a second run finds nothing to do') or diag(sql(q{SELECT * FROM compare_sync_documents('Fire', max_rows => 20)}));
is(sql($equal), '0', 'source and target are equal');
is(sql('SELECT what, count(*), min(code), min(job) FROM fault GROUP BY 1'), '', 'nothing was written twice, nothing older over newer, no living source lost its target');

# TRUNCATE in the middle of a run, here without a trigger that would tell of it.
sql(q{SELECT detach_sync_job_triggers('Fire', 'source'); UPDATE source SET version = nextval('version')});
$run = full_sync('Fire', 'delete_surplus => true, max_change_percent => 100, chunk_size => 50, documents_per_second => 500');
$node->poll_query_until('postgres', "SELECT percent > 0 FROM sync_job_activity WHERE sync_job = $run");
my $targets = sql('SELECT count(*) FROM target');
sql('CREATE TABLE kept AS TABLE source; TRUNCATE source');
like(run_of($node, $run), qr/^Failed full sync of sync job type "Fire" stops: \d+ sources have gone during the run/, 'a TRUNCATE stops the run');
like(sql("SELECT detail FROM sync_job_error WHERE sync_job = $run"), qr/^Compared: \d+ sources, \d+ targets: 0 missing, \d+ different, 0 surplus, 0 ambiguous\. 0 inserted, [1-9]\d* updated, 0 deleted until then\.$/, 'with the counts');
is(sql('SELECT count(*) FROM target'), $targets, 'no target is deleted');
sql('INSERT INTO source TABLE kept; DROP TABLE kept; DELETE FROM source WHERE id % 5 < 2');
like(run_of($node, full_sync('Fire', 'delete_surplus => true')), qr/^Failed .* stops: it would delete \d+ of $targets targets/, 'as does a source that has lost two of five');
is(sql('SELECT count(*) FROM target'), $targets, 'and nothing changes');

# A condition limits what is synced, not what is surplus.
sql(q{
	CREATE TABLE customer (id int PRIMARY KEY, region text, v text);
	CREATE TABLE contact (id int PRIMARY KEY, v text);
	INSERT INTO customer SELECT i, CASE WHEN i % 2 = 0 THEN 'US' ELSE 'EU' END, 'v' FROM generate_series(1, 1000) AS i;
	INSERT INTO contact SELECT id, 'old' FROM customer;
	INSERT INTO contact VALUES (0, 'gone');
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, set_size)
	VALUES ('Customer', 'customer', 'contact', '{"id": "id"}', '{"v": "v"}', 1000);
});
is(run_of($node, full_sync('Customer', q{condition => $$region = 'EU'$$, delete_surplus => true, max_change_percent => 100})), 'Finished deleted=1 updated=500', 'the sources of a condition');
is(sql(q{SELECT count(*) FILTER (WHERE contact.v = 'old'), count(*) FROM contact JOIN customer USING (id) WHERE region = 'US'}), '500|500', 'the targets of the others stay as they are');

# A row that a session has locked delays its own document, and no other: in sets, in full syncs, updated or deleted, as a statement or
# one by one.
sub with_locked_row
{
	my ($id, $what, $others_are_done, $act) = @_;
	my $holder = $node->background_psql('postgres');
	$holder->query_safe("BEGIN; SELECT FROM contact WHERE id = $id FOR UPDATE");
	$act->();
	poll($node, $others_are_done, "$what: the others are done");
	$holder->query_safe('COMMIT');
	$holder->quit;
	wait_for_jobs($node);
	is(sql(q{SELECT count(*) FROM compare_sync_documents('Customer')}), '0', "$what: in the end it is done, too");
	return;
}
sql(q{UPDATE customer SET v = 'set'});
with_locked_row(7, 'a set', q{SELECT count(*) = 999 FROM contact WHERE v = 'set'}, sub { sql(q{SELECT count(*) FROM enqueue_sync_jobs('Customer', (SELECT array_agg(id::text) FROM customer))}) });
my $ended = sub { return "SELECT status = 'Finished' FROM sync_job WHERE id = $run" };
sql(q{UPDATE customer SET v = 'run'});
with_locked_row(8, 'a full sync', q{SELECT count(*) = 999 FROM contact WHERE v = 'run'}, sub { $run = full_sync('Customer', 'max_change_percent => 100') });
is(run_of($node, $run), 'Finished handed_over=1 updated=999', 'it leaves the full sync');
sql(q{UPDATE sync_job_type SET field_map = '{"v": {"expr": "coalesce(source.v, target.v)"}}' WHERE name = 'Customer'; UPDATE customer SET v = 'beside'});
with_locked_row(9, 'one by one', q{SELECT count(*) = 999 FROM contact WHERE v = 'beside'}, sub { $run = full_sync('Customer', 'max_change_percent => 100') });
is(run_of($node, $run), 'Finished handed_over=1 updated=999', 'here, too');
sql(q{INSERT INTO contact SELECT -i, 'surplus' FROM generate_series(1, 20) AS i});
with_locked_row(-3, 'a surplus target', q{SELECT count(*) = 1 FROM contact WHERE id < 0}, sub { $run = full_sync('Customer', 'delete_surplus => true') });
is(run_of($node, $run), 'Finished deleted=19 handed_over=1', 'and here');

# What is surplus is looked at again, also by the job of a target that could not be deleted within the run.
sql(q{INSERT INTO contact VALUES (5000, 'surplus')});
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; SELECT FROM contact WHERE id = 5000 FOR UPDATE');
is(run_of($node, full_sync('Customer', 'delete_surplus => true')), 'Finished handed_over=1', 'a surplus target that is locked');
sql(q{INSERT INTO customer VALUES (5000, 'EU', 'lives')});
$holder->query_safe('COMMIT');
$holder->quit;
wait_for_jobs($node);
is(sql(q{SELECT v FROM contact WHERE id = 5000}), 'surplus', 'is not deleted any more when a source maps to it by then');

unlike_accidents($node, kill => 1);
done_testing();
