# Nothing is kept from the server's caches that is not dropped when they are. While jobs of each kind run, in workers and in a
# session, all that they use is invalidated again and again, as ANALYZE, DDL and maintenance tools do it. A pointer that was kept
# then points to memory that has been freed: in a server with assertions, which overwrites it, that is a crash.
#
# make test-assert DISCARD_CACHES=1: no other session invalidates, but each use of a cache empties all of them.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $others = $ENV{DISCARD_CACHES} ? 3 : 100;    # there each statement takes a second
my $node = new_cluster('main', conf => "restart_after_crash = off\nautovacuum = off\n");
load_example($node);
load_probe($node, 10);
my $set_up = q{
	CREATE TABLE mailing (customer text PRIMARY KEY, salutation text, region text);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
	VALUES ('Mailing', 'customer', 'mailing', '{"customer": "name"}',
	        '{"region": "territory", "salutation": {"expr": "''Dear '' || source.customer_name"}}');
	-- From one document to two targets, with LANGUAGE sql and jsonb.
	CREATE TABLE region (name text PRIMARY KEY, customers int);
	CREATE SCHEMA region_sync;
	CREATE FUNCTION region_sync.get_multiple_target_documents(sync_job jsonb, source_doc jsonb) RETURNS SETOF sync_job_target LANGUAGE sql AS $$
		SELECT sync_job_target(CASE WHEN r.name IS NULL THEN 'insert' ELSE 'update' END, target_document_name => t.name, context => jsonb_build_object('name', t.name))
		FROM unnest(ARRAY['all', source_doc ->> 'territory']) AS t (name) LEFT JOIN region AS r ON r.name = t.name $$;
	CREATE FUNCTION region_sync.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
		SELECT target_doc || jsonb_build_object('name', sync_job -> 'context' -> 'name',
		                                        'customers', 1 + coalesce((target_doc ->> 'customers')::int, 0)) $$;
	CREATE FUNCTION region_sync.finished(sync_job sync_job, source_doc customer, target_doc region) RETURNS void LANGUAGE sql AS
		$$ SELECT $$;
	CREATE FUNCTION count_docs() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.doc';
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, module)
	VALUES ('Region', 'customer', 'region', 'region_sync');
	SELECT attach_sync_job_triggers('SAP Customer Sync', 'customer', 'statement'), attach_sync_job_triggers('Mailing', 'customer', 'statement');

	-- What takes the memory that has been freed, and is of the size of what was there.
	DO $$ BEGIN FOR i IN 1 .. OTHERS LOOP EXECUTE format('CREATE TABLE other_%s (a int, b int)', i); END LOOP; END $$;
	CREATE FUNCTION look_at_others() RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		found int;
	BEGIN
		FOR i IN 1 .. OTHERS LOOP
			EXECUTE format('SELECT count(*) FROM public.other_%s', i) INTO found;
		END LOOP;
	END $$;

	CREATE PROCEDURE invalidate() LANGUAGE plpgsql AS $$
	BEGIN
		LOOP
			-- Some each time: an index without its table, and the other way round.
			UPDATE pg_class SET reltuples = reltuples
			WHERE relnamespace IN ('public'::regnamespace, 'sync_job_internal'::regnamespace) AND random() < 0.2;
			UPDATE pg_type SET typlen = typlen WHERE typnamespace = 'public'::regnamespace AND random() < 0.2;
			UPDATE pg_proc SET procost = procost WHERE pronamespace > 16383 AND random() < 0.2;
			COMMIT;
		END LOOP;
	END $$;};
$node->safe_psql('postgres', $set_up =~ s/OTHERS/$others/gr);

my $storm;
if ($ENV{DISCARD_CACHES})
{
	# What a limit ends in the middle of that goes on with its caches: so the longest limits.
	$node->safe_psql('postgres', q{UPDATE sync_job_queue SET timeout = '0'});
	$node->append_conf('postgresql.conf', "debug_discard_caches = $ENV{DISCARD_CACHES}\nsync_job.batch_time = '10s'\n");
	$node->restart;
}
else
{
	$storm = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c', 'CALL invalidate()' ], '>', \my $out, '2>', \my $err);
}

# Processes may die; the test says so rather than die, too.
sub run
{
	my ($sql, $name) = @_;
	my ($result, $out, $err) = $node->psql('postgres', $sql, on_error_stop => 1);
	return is($result, 0, $name) || diag($err);
}

run(q{INSERT INTO customer SELECT 'C' || i, 'Name ' || i, CASE WHEN i % 2 = 0 THEN 'North' ELSE 'South' END FROM generate_series(10, 19) AS i},
	'triggers enqueue');
is(wait_for_jobs($node), 'Finished=20', 'workers run a controller in PL/pgSQL, and sets');
run(q{UPDATE customer SET territory = 'West' WHERE name = 'C11'; DELETE FROM customer WHERE name > 'C13'}, 'an update and deletes enqueue');
wait_for_jobs($node);
is($node->safe_psql('postgres', q{SELECT string_agg(customer || ' ' || region, ', ' ORDER BY customer) FROM mailing}),
	'C10 North, C11 West, C12 North, C13 South', 'the targets are in step');

run(q{SELECT enqueue_sync_job('Region', 'C11')}, 'a relay in LANGUAGE sql');
run(q{SELECT count(enqueue_sync_job(t, id::text)) FROM doc, unnest(ARRAY['Probe', 'Probe Alone', 'Probe Committing']) AS t WHERE id IN (2, 3)},
	'jobs alone, and with transactions of their own');
run(q{SELECT enqueue_sync_job('Probe', '4', context => '{"fail": "on purpose"}', max_retries => 1)}, 'one that fails, and is tried again');
run(q{SELECT enqueue_background_job('count_docs', after => ARRAY[enqueue_background_job('count_docs', on_success => 'count_docs')])},
	'background work, a callback, and one that waits');
wait_for_jobs($node);
poll($node, q{SELECT count(*) = 3 FROM sync_job WHERE sync_job_type = 'Background Job' AND status = 'Finished'}, 'what waited has run');
is($node->safe_psql('postgres', q{
	SELECT string_agg(concat_ws(' ', sync_job_type, status, n), ', ' ORDER BY sync_job_type, status) FROM (
		SELECT sync_job_type, status, count(*) AS n FROM sync_job WHERE sync_job_type ~ 'Probe|Region' GROUP BY 1, 2) AS s}),
	'Probe Failed 1, Probe Finished 2, Probe Alone Finished 2, Probe Committing Finished 2, Region Finished 2, Region Relayed 1', 'all have ended');

for my $i (1 .. $storm ? 10 : 1)
{
	$node->safe_psql('postgres', q{SELECT enqueue_background_job('look_at_others')});
	wait_for_jobs($node);
}
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE procedure ~ 'look_at_others' AND status <> 'Finished'}), '0',
	'jobs that use other tables between two uses of the own');

# In one session, whose plans and handles are used again.
run(q{
	UPDATE sync_job_queue SET max_workers = 0;
	INSERT INTO customer VALUES ('D1', 'D', 'East');
	CALL run_sync_jobs();
	SELECT apply_sync_job((execute_sync_job(enqueue_sync_job('Probe', '5', dry_run => true))).id);
	SELECT revert_sync_job((execute_sync_job(enqueue_sync_job('Probe', '5'))).id);
	SELECT cancel_sync_job(enqueue_sync_job('Probe', '6', scheduled_at => 'infinity'));
	SELECT * FROM validate_sync_job_type('Probe');
	SELECT create_sync_job_boilerplate('SAP Customer Sync', l) FROM unnest(ARRAY['sql', 'plpgsql', 'plpython3u']) AS l;
	SELECT get_sync_document('customer', 'C14')}, 'a session runs jobs, applies a dry run, reverts, cancels and looks');

if ($storm)
{
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'CALL invalidate()'});
	$storm->finish;
}
$node->stop;
unlike_accidents($node);
done_testing();
