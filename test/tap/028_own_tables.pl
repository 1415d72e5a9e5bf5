# The extension's own tables are ordinary tables to others: maintenance, DDL, triggers, publications, truncation. Nothing is
# lost, nobody's code runs with the rights of the extension's owner, and the server stays up.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', allows_streaming => 'logical', conf => "sync_job.poll_interval = '1s'\nautovacuum = off");
load_probe($node, 200);
$node->safe_psql('postgres', q{
	CREATE EXTENSION amcheck;
	CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
	CREATE FUNCTION bad() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
	CREATE ROLE appuser LOGIN; CREATE SCHEMA appuser AUTHORIZATION appuser;
	GRANT ALL ON ALL TABLES IN SCHEMA public TO appuser});

sub value { return $node->safe_psql('postgres', $_[0]) }

sub run_all
{
	my ($name) = @_;
	return poll($node, q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started')}, $name);
}

# Jobs of all kinds, so many of each.
sub load
{
	my ($count) = @_;
	return value(qq{
		SELECT count(enqueue_sync_job(t, d.id::text)) FROM doc AS d, unnest(ARRAY['Probe', 'Probe Alone']) AS t WHERE d.id <= $count;
		SELECT count(enqueue_background_job('one', job_id => n::text)) FROM generate_series(1, $count) AS n});
}

sub fails_with
{
	my ($sql, $pattern, $name) = @_;
	my ($code, $out, $error) = $node->psql('postgres', $sql);
	like($error, $pattern, $name);
	return;
}

my $every_index = q{
	SELECT count(bt_index_check(i.indexrelid, true)) > 10 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS a ON a.oid = c.relam
	WHERE a.amname = 'btree' AND i.indisvalid AND i.indrelid IN (SELECT objid FROM pg_depend WHERE deptype = 'e' AND classid = 'pg_class'::regclass)};

# --- An index's entry in the relation cache is thrown away, and its memory used again, while the table's stays. ---
value(q{
	DO $$ BEGIN FOR i IN 1 .. 150 LOOP EXECUTE format('CREATE TABLE other%s (a int, b int)', i); END LOOP; END $$;
	CREATE FUNCTION read_tables(first int, last int) RETURNS int LANGUAGE plpgsql AS $$
	DECLARE n int;
	BEGIN
		FOR i IN first .. last LOOP EXECUTE format('SELECT count(*) FROM other%s', i) INTO n; END LOOP;
		RETURN 1;
	END $$});

sub read_tables
{
	my ($first, $last) = @_;
	value(qq{SELECT enqueue_background_job('read_tables', '{"first": $first, "last": $last}') AS job \\gset
		CALL wait_for_sync_job(:job, '60 s')});
	return;
}
read_tables(1, 1);
value(q{SELECT brin_summarize_new_values('sync_job_internal.sync_job_ended_at')});
for my $round (1 .. 4)
{
	read_tables(1, 1);
	value(q{UPDATE pg_class SET reltuples = reltuples + 1 WHERE oid = 'sync_job_internal.sync_job_ended_at'::regclass});    # as autovacuum does
	read_tables($round * 30, $round * 30 + 29);
}
is(value(q{SELECT string_agg(DISTINCT status, ' ') FROM sync_job}), 'Finished', 'an index whose cached description has gone is written to');

# --- Indexes that are being built. ---
{
	my $holder = $node->background_psql('postgres');
	$holder->query_safe(q{BEGIN; SELECT enqueue_background_job('one')});
	my $builder = $node->background_psql('postgres');
	$builder->query_until(qr/started/, "\\echo started\nCREATE INDEX CONCURRENTLY ON sync_job_internal.sync_job_live (title);\n");
	poll($node, q{SELECT count(*) > 0 FROM pg_index WHERE NOT indisready}, 'an index is being built');
	my $before = -s $node->logfile;
	load(20);
	run_all('jobs are enqueued and run meanwhile');
	$holder->query_safe('COMMIT');
	$holder->quit;
	poll($node, q{SELECT count(*) = 0 FROM pg_index WHERE NOT indisvalid}, 'it is built');
	$builder->quit;
	load(20);
	run_all('and jobs run on');
	unlike(substr(slurp_file($node->logfile), $before), qr/could not read block/, 'nothing was put into an index that was not ready');
}
value(q{CREATE INDEX CONCURRENTLY ON sync_job_internal.sync_job_live USING brin (priority)});
value(q{CREATE INDEX CONCURRENTLY ON sync_job_internal.sync_job_ended USING gin (context)});
for my $table (qw(sync_job_internal.sync_job_live sync_job_internal.sync_job_failed sync_job_internal.sync_job_ended sync_job_internal.dependency
	public.sync_job_error public.sync_job_type public.sync_job_queue public.sync_job_deleted_document public.sync_job_event))
{
	load(30);
	value("REINDEX TABLE CONCURRENTLY $table");
}
load(30);
value(q{REINDEX TABLE sync_job_internal.sync_job_live});
load(30);
value(q{VACUUM FULL sync_job_internal.sync_job_live});
run_all('jobs run through REINDEX and VACUUM FULL of every table');
is(value(q{SELECT count(*) FROM sync_job WHERE status <> 'Finished'}), '0', 'none of them was disturbed');
is(value($every_index), 't', 'every index has every row');

# --- Columns come and go. ---
value(q{SELECT count(enqueue_background_job('one')) FROM generate_series(1, 500)});
value(q{ALTER TABLE sync_job ADD COLUMN extra text});
value(q{SELECT count(enqueue_background_job('one')) FROM generate_series(1, 500)});
value(q{ALTER TABLE sync_job ADD COLUMN more int DEFAULT 7, ADD COLUMN at timestamptz DEFAULT clock_timestamp()});
load(50);
my $marked = value(q{SELECT enqueue_background_job('one', scheduled_at => 'tomorrow')});
value(qq{UPDATE sync_job SET extra = 'mine', more = 8 WHERE id = $marked; SELECT FROM cancel_sync_job($marked)});
value(q{ALTER TABLE sync_job DROP COLUMN at});
load(50);
run_all('jobs run while columns are added and dropped');
is(value(qq{SELECT extra, more, status FROM sync_job WHERE id = $marked}), 'mine|8|Canceled', 'what an added column says moves with the job');
is(value(q{SELECT more, count(*) FROM sync_job WHERE id > } . $marked . q{ GROUP BY more}), '7|150', 'and a new job has its default');
value(q{ALTER TABLE sync_job ADD COLUMN needed int; UPDATE sync_job SET needed = 1; ALTER TABLE sync_job ALTER needed SET NOT NULL});
fails_with(q{SELECT enqueue_background_job('one')}, qr/null value in column "needed".*HINT:.*give it a default/s, 'a column that needs a value is named');
value(q{ALTER TABLE sync_job DROP COLUMN needed; SELECT enqueue_background_job('one')});
run_all('without it all goes on');
is(value(q{SELECT count(*) FROM sync_job WHERE status NOT IN ('Finished', 'Canceled')}), '0', 'no job has failed');

# --- Triggers, foreign keys, truncation: refused as they are made. ---
my $as_appuser = 'SET SESSION AUTHORIZATION appuser;';
value($as_appuser . q{CREATE FUNCTION appuser.trap() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF current_user <> 'appuser' THEN EXECUTE 'ALTER ROLE appuser SUPERUSER'; END IF;
		IF TG_TABLE_NAME = 'sync_job_type' THEN NEW.run_as := 'postgres'; END IF;
		RETURN NEW;
	END $$});
for my $table (qw(sync_job_internal.sync_job_live sync_job sync_job_deleted_document))
{
	fails_with("CREATE TRIGGER t AFTER INSERT ON $table FOR EACH ROW EXECUTE FUNCTION appuser.trap()",
		qr/cannot create trigger "t" on table.*writes its rows below SQL.*VACUUM FULL can/s, "nobody's trigger on $table");
}
for my $table (qw(sync_job_error sync_job_event sync_job_type sync_job_queue))
{
	fails_with("$as_appuser CREATE TRIGGER t BEFORE INSERT ON $table FOR EACH ROW EXECUTE FUNCTION appuser.trap()",
		qr/cannot create trigger "t" on table.*Only superusers/s, "no role's trigger on $table");
	fails_with("$as_appuser TRUNCATE $table CASCADE", qr/permission denied to truncate table "$table"/, "nor may it truncate $table");
}
fails_with("$as_appuser CREATE OR REPLACE TRIGGER check_type BEFORE INSERT ON sync_job_type FOR EACH ROW EXECUTE FUNCTION appuser.trap()",
	qr/Only superusers/, 'nor replace the one that checks types');
fails_with("$as_appuser CREATE TABLE appuser.f (t text REFERENCES public.sync_job_type)", qr/constraint "f_t_fkey".*Only superusers/s, 'nor refer to types');
fails_with("$as_appuser TRUNCATE sync_job", qr/permission denied to truncate table "sync_job"/, 'nor empty the queue');
fails_with('CREATE TABLE f (j bigint REFERENCES sync_job_event)', qr/constraint "f_j_fkey".*without asking/s, 'nobody refers to what the engine deletes');
fails_with('CREATE TABLE f (j bigint REFERENCES sync_job_internal.sync_job_live (id))', qr/constraint "f_j_fkey".*below SQL/s, 'nor to a job in the queue');
fails_with('CREATE TRIGGER told BEFORE TRUNCATE ON sync_job EXECUTE FUNCTION suppress_redundant_updates_trigger(); DROP TRIGGER told ON sync_job', qr/^$/, 'a trigger of truncation is let be');
fails_with('CREATE TRIGGER told AFTER INSERT ON sync_job_error FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger(); DROP TRIGGER told ON sync_job_error',
	qr/NOTICE:  trigger "told" does not fire.*ENABLE ALWAYS/s, 'a superuser hears what one on the errors is good for');

# --- The same, made while the library was not loaded. ---
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
for my $trigger ('aa BEFORE INSERT ON sync_job_error', 'aa BEFORE INSERT ON sync_job_event', 'zz BEFORE INSERT ON sync_job_type')
{
	$node->safe_psql('postgres', "SET SESSION AUTHORIZATION appuser; CREATE TRIGGER $trigger FOR EACH ROW EXECUTE FUNCTION appuser.trap()");
}
$node->safe_psql('postgres', q{
	CREATE RULE nothing AS ON INSERT TO sync_job_event DO INSTEAD NOTHING;
	CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
	CREATE TRIGGER repack_trigger AFTER INSERT OR DELETE OR UPDATE ON sync_job_internal.sync_job_ended FOR EACH ROW EXECUTE FUNCTION follow()});
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_sync_job'");
$node->restart;
my $offset = -s $node->logfile;

# A trigger on a partition keeps jobs from being run, before they do anything, and it is said where people look.
value(q{CREATE TABLE ran (n int); CREATE FUNCTION run() RETURNS void LANGUAGE sql AS 'INSERT INTO ran VALUES (1)'});
my $waiting = value(q{SELECT enqueue_background_job('run')});
like(value(q{SELECT note FROM sync_job_queue_status WHERE queue = 'default'}), qr/trigger "repack_trigger" of table sync_job_internal.sync_job_ended/, 'a trigger on the history shows in the status of the queue');
$node->wait_for_log(qr/cannot write to table "sync_job_internal.sync_job_ended": it has trigger "repack_trigger"/, $offset);
is(value(qq{SELECT status, (SELECT count(*) FROM ran) FROM sync_job WHERE id = $waiting}), 'Queued|0', 'the job waits');
value(q{DROP TRIGGER repack_trigger ON sync_job_internal.sync_job_ended});
poll($node, qq{SELECT status = 'Finished' FROM sync_job WHERE id = $waiting}, 'and runs when the trigger is gone');
is(value(q{SELECT count(*) FROM ran}), '1', 'once');

# Triggers and rules on what is written with SQL do not act there.
my $failed = value(q{SELECT enqueue_background_job('bad')});
poll($node, qq{SELECT status = 'Failed' FROM sync_job WHERE id = $failed}, 'a job fails beside a trap');
is(value(qq{SELECT message FROM sync_job_error WHERE sync_job = $failed}), 'no', 'its error is kept');
value(q{SELECT publish_sync_job_event('long', to_jsonb(repeat('x', 9000)))});
is(value(q{SELECT count(*) FROM sync_job_event}), '1', 'so is an event, in spite of a rule');
is(value(q{SELECT rolsuper FROM pg_roles WHERE rolname = 'appuser'}), 'f', 'the trap got nothing');

# A trigger that may change a type after the check.
my $type = q{INSERT INTO sync_job_type (name, source_document_type) VALUES ('Mine', 'doc')};
fails_with($type, qr/table sync_job_type cannot be trusted: trigger "zz"/, 'types are not written beside a trigger that changes them');
fails_with(q{SELECT enqueue_sync_job('Probe', '1')}, qr/table sync_job_type cannot be trusted: trigger "zz"/, 'and not read');
value(q{DROP TRIGGER zz ON sync_job_type});
value(q{SELECT enqueue_sync_job('Probe', '1')});
value(q{ALTER TABLE sync_job_type DISABLE TRIGGER check_type});
fails_with(q{SELECT enqueue_sync_job('Probe', '1')}, qr/the trigger that checks its rows is missing/, 'nor without the trigger that checks them');
# pg_restore --disable-triggers leaves the triggers enabled, but not always.
value(q{ALTER TABLE sync_job_type ENABLE TRIGGER ALL; ALTER TABLE sync_job_queue ENABLE TRIGGER ALL; ALTER TABLE sync_job_internal.type_grant ENABLE TRIGGER ALL});
value(q{SELECT pause_sync_job_queue('default'); SELECT enqueue_background_job('one'); SELECT resume_sync_job_queue('default')});
run_all('a queue is resumed');
value(q{ALTER TABLE sync_job_type ENABLE ALWAYS TRIGGER check_type; ALTER TABLE sync_job_queue ENABLE ALWAYS TRIGGER check_queue;
	ALTER TABLE sync_job_internal.type_grant ENABLE ALWAYS TRIGGER types_changed;
	DROP TRIGGER aa ON sync_job_error; DROP TRIGGER aa ON sync_job_event;
	DROP RULE nothing ON sync_job_event});
run_all('all goes on');
is(value(q{SELECT count(*) FROM sync_job_queue_status WHERE note IS NOT NULL}), '0', 'and nothing is in the way');

# --- A CHECK, an exclusion constraint, a policy. ---
value(q{ALTER TABLE sync_job ADD CONSTRAINT low CHECK (priority < 10) NOT VALID});
fails_with(q{SELECT enqueue_background_job('one')}, qr/it has constraint "low"/, 'a CHECK that nobody would look at is refused');
value(q{ALTER TABLE sync_job DROP CONSTRAINT low});
value(q{ALTER TABLE sync_job_internal.sync_job_live ADD CONSTRAINT apart EXCLUDE USING btree (title WITH =)});
fails_with(q{SELECT enqueue_background_job('one', title => 'same') FROM generate_series(1, 2)}, qr/conflicting key value violates exclusion constraint "apart"/, 'an exclusion constraint acts');
value(q{ALTER TABLE sync_job_internal.sync_job_live DROP CONSTRAINT apart});
value(q{CREATE POLICY nobody ON sync_job_error AS RESTRICTIVE USING (false); ALTER TABLE sync_job_error FORCE ROW LEVEL SECURITY});
$failed = value(q{SELECT enqueue_background_job('bad')});
poll($node, qq{SELECT status = 'Failed' FROM sync_job WHERE id = $failed}, 'a job fails beside a policy');
value(q{DROP POLICY nobody ON sync_job_error; ALTER TABLE sync_job_error NO FORCE ROW LEVEL SECURITY});
is(value(qq{SELECT count(*) FROM sync_job_error WHERE sync_job = $failed}), '1', 'and its error is kept');

# --- Publications. ---
value(q{CREATE PUBLICATION everything FOR ALL TABLES});
load(20);
run_all('jobs run while all tables are published');
is($node->psql('postgres', q{SELECT clear_all_sync_jobs(); SELECT adopt_sync_jobs()}), 0, 'and are cleared');
value(q{DROP PUBLICATION everything; CREATE PUBLICATION part FOR TABLE sync_job_internal.sync_job_live WHERE (priority > 5)});
fails_with("SELECT enqueue_background_job('one', scheduled_at => 'tomorrow') AS job \\gset\nSELECT cancel_sync_job(:job)", qr/cannot (update|delete from) table "sync_job_live"/, 'a publication that could not follow is refused as with SQL');
value(q{DROP PUBLICATION part});

# --- Emptied and locked. ---
value(q{SELECT count(enqueue_background_job('one')) FROM generate_series(1, 300)});
value(q{TRUNCATE sync_job});
my $next = value(q{SELECT enqueue_background_job('one')});
poll($node, qq{SELECT status = 'Finished' FROM sync_job WHERE id = $next}, 'after TRUNCATE jobs run on');
{
	my $locker = $node->background_psql('postgres');
	$locker->query_safe('BEGIN; LOCK TABLE sync_job, sync_job_type, sync_job_queue');
	my $client = $node->background_psql('postgres');
	$client->query_until(qr/started/, "\\echo started\nSELECT enqueue_background_job('one');\n");
	poll($node, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%enqueue_background%'}, 'who enqueues waits for a lock');
	$locker->query_safe('COMMIT');
	$locker->quit;
	poll($node, qq{SELECT count(*) = 1 FROM sync_job WHERE id > $next AND status = 'Finished'}, 'and goes on after it');
	$client->quit;
}

# --- A job that stands in the history already. ---
$offset = -s $node->logfile;
value(q{TRUNCATE ran; SELECT enqueue_background_job('run'); SELECT enqueue_sync_job(t, '1') FROM unnest(ARRAY['Probe', 'Probe Alone', 'Probe Committing']) AS t});
run_all('four jobs run');
my $before = value(q{SELECT max(id), (SELECT sum(changes) FROM effect), (SELECT count(*) FROM part), (SELECT count(*) FROM ran) FROM sync_job});
value(q{CREATE TEMPORARY TABLE again AS SELECT * FROM sync_job ORDER BY id DESC LIMIT 4; UPDATE again SET status = 'Queued'; INSERT INTO sync_job SELECT * FROM again;
	SELECT adopt_sync_jobs()});  # what comes by SQL waits for that, as what a restore brings
run_all('copies of them in the queue are gone');
is(value(q{SELECT max(id), (SELECT sum(changes) FROM effect), (SELECT count(*) FROM part), (SELECT count(*) FROM ran) FROM sync_job}), $before, 'without having run');
like_log($node, $offset, 'is removed from the queue: a job with this ID has already ended', 4, 'a line in the log for each');
value(q{CREATE TEMPORARY TABLE again AS SELECT * FROM sync_job ORDER BY id DESC LIMIT 1; UPDATE again SET status = 'Pending'; INSERT INTO sync_job SELECT * FROM again;
	SELECT adopt_sync_jobs();
	SELECT FROM cancel_sync_job((SELECT id FROM again))});
is(value(q{SELECT count(*), count(DISTINCT id) FROM sync_job WHERE id = (SELECT max(id) FROM sync_job)}), '1|1', 'one that is canceled is gone, too');

$node->stop('fast');
unlike_accidents($node);
done_testing();
