# What is kept from the server's caches. In a server with assertions each use of a cache can empty all of them
# (debug_discard_caches), so that a pointer that was kept, without being told of invalidations, points to memory that has been
# overwritten: and that crashes. Jobs of each kind, in workers and in a session. Without assertions there is nothing to see here.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', no_extension => 1, conf => "restart_after_crash = off\n");
if ($node->safe_psql('postgres', 'SHOW debug_assertions') ne 'on')
{
	$node->stop;
	plan skip_all => 'the server has no assertions';
}
$node->safe_psql('postgres', 'CREATE EXTENSION pg_sync_job');
load_example($node);
load_probe($node, 30);
$node->safe_psql('postgres', q{
	CREATE TABLE mailing (customer text PRIMARY KEY, salutation text, region text);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
	VALUES ('Mailing', 'customer', 'mailing', '{"customer": "name"}',
	        '{"region": "territory", "salutation": {"expr": "''Dear '' || source.customer_name"}}');
	-- From one document to two targets, with LANGUAGE sql and jsonb.
	CREATE TABLE region (name text PRIMARY KEY, customers int);
	CREATE SCHEMA region_sync;
	CREATE FUNCTION region_sync.get_multiple_target_documents(sync_job jsonb, source_doc jsonb) RETURNS SETOF sync_job_target LANGUAGE sql AS $$
		SELECT sync_job_target(CASE WHEN r.name IS NULL THEN 'insert' ELSE 'update' END, target_document_name => t.name, context => to_jsonb(t))
		FROM unnest(ARRAY['all', source_doc ->> 'territory']) AS t (name) LEFT JOIN region AS r ON r.name = t.name $$;
	CREATE FUNCTION region_sync.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
		SELECT target_doc || jsonb_build_object('name', sync_job -> 'context' -> 'name',
		                                        'customers', 1 + coalesce((target_doc ->> 'customers')::int, 0)) $$;
	CREATE FUNCTION region_sync.finished(sync_job sync_job, source_doc customer, target_doc region) RETURNS void LANGUAGE sql AS
		$$ SELECT $$;
	CREATE FUNCTION count_docs() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.doc';
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, module)
	VALUES ('Region', 'customer', 'region', 'region_sync');
	SELECT attach_sync_job_triggers(t, 'customer') FROM unnest(ARRAY['SAP Customer Sync', 'Mailing']) AS t;});

# From here on; the launcher and the scheduler hear of it, too.
$node->safe_psql('postgres', 'ALTER SYSTEM SET debug_discard_caches = 1');
$node->reload;
poll($node, q{SELECT setting = '1' FROM pg_settings WHERE name = 'debug_discard_caches'}, 'caches are emptied at each use');

# The processes may die; the test says so rather than die, too.
sub run
{
	my ($sql, $name) = @_;
	my ($result, $out, $err) = $node->psql('postgres', $sql, on_error_stop => 1);
	is($result, 0, $name) or diag($err);
	return $out;
}

sub all_run
{
	my ($states, $name) = @_;
	return is(wait_for_jobs($node), $states, $name);
}

run(q{INSERT INTO customer SELECT 'C' || i, 'Name ' || i, CASE WHEN i % 2 = 0 THEN 'North' ELSE 'South' END FROM generate_series(1, 12) AS i},
	'triggers enqueue');
all_run('Finished=24', 'workers run a controller in PL/pgSQL, and sets');
run(q{UPDATE customer SET territory = 'West' WHERE name = 'C1'; DELETE FROM customer WHERE name > 'C2'}, 'an update and deletes enqueue');
wait_for_jobs($node);
is($node->safe_psql('postgres', q{SELECT string_agg(customer || ' ' || region, ', ' ORDER BY customer) FROM mailing}),
	'C1 West, C10 North, C11 South, C12 North, C2 North', 'the targets are in step');

run(q{SELECT enqueue_sync_job('Region', 'C1')}, 'a relay in LANGUAGE sql');
run(q{SELECT count(enqueue_sync_job(t, id::text)) FROM doc, unnest(ARRAY['Probe', 'Probe Alone', 'Probe Committing']) AS t WHERE id <= 3},
	'jobs alone, and with transactions of their own');
run(q{SELECT enqueue_sync_job('Probe', '4', context => '{"fail": "on purpose"}', max_retries => 1)}, 'one that fails, and is tried again');
run(q{SELECT enqueue_background_job('count_docs', after => ARRAY[enqueue_background_job('count_docs', on_success => 'count_docs')])},
	'background work, a callback, and one that waits');
wait_for_jobs($node);
is($node->safe_psql('postgres', q{
	SELECT sync_job_type || ' ' || status || ' ' || count(*) FROM sync_job WHERE sync_job_type NOT IN ('SAP Customer Sync', 'Mailing')
	GROUP BY sync_job_type, status ORDER BY 1}), "Background Job Finished 3
Probe Alone Finished 3
Probe Committing Finished 3
Probe Failed 1
Probe Finished 3
Region Finished 2
Region Relayed 1", 'all of them have ended');

# In one session: its plans and handles are used again and again.
run(q{
	UPDATE sync_job_queue SET max_workers = 0;
	INSERT INTO customer VALUES ('D1', 'D', 'East');
	CALL run_sync_jobs();
	SELECT apply_sync_job((execute_sync_job(enqueue_sync_job('Probe', '5', dry_run => true))).id);
	SELECT revert_sync_job((execute_sync_job(enqueue_sync_job('Probe', '5'))).id);
	SELECT revert_sync_job((execute_sync_job(enqueue_sync_job('SAP Customer Sync', 'D1', verbose_logging => true,
	                                                          update_without_changes_enabled => true))).id);
	SELECT cancel_sync_job(enqueue_sync_job('Probe', '6', scheduled_at => 'infinity'));
	SELECT * FROM validate_sync_job_type('Probe');
	SELECT create_sync_job_boilerplate('SAP Customer Sync', l) FROM unnest(ARRAY['sql', 'plpgsql', 'plpython3u']) AS l;
	SELECT get_sync_document('customer', 'C3');
	SELECT detach_sync_job_triggers('Mailing', 'customer');
	SELECT clear_all_sync_jobs()}, 'a session runs jobs, applies a dry run, reverts, cancels and looks');
$node->stop;
unlike_accidents($node);
done_testing();
