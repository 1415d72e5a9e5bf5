# What Citus does not do, or does otherwise: deadlocks between nodes, reference tables, tables that do not lie together.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use SyncJob;
use Citus;

my ($coordinator, @workers) = citus_cluster(2, 'deadlock_timeout = 200ms');
load_documents();

# --- A job in a deadlock between nodes is run again. Each node looks for deadlocks of what it has begun: here the job's does ---
$coordinator->safe_psql('postgres', $_) for 'ALTER SYSTEM SET citus.distributed_deadlock_detection_factor = -1', 'SELECT pg_reload_conf()';
$coordinator->safe_psql('postgres', $_) for q{
	CREATE SCHEMA both_sync}, q{
	CREATE FUNCTION both_sync.execute(sync_job sync_job, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		UPDATE bypass_target SET city = 'job' WHERE customer = sync_job.context ->> 'first';
		UPDATE bypass_target SET city = 'job' WHERE customer = sync_job.context ->> 'second';
		RETURN NULL;
	END $$};
on_all_nodes(q{INSERT INTO sync_job_type (name, source_document_type, module) VALUES ('both', 'customer', 'both_sync')});
my ($here, $there) = map { name_on($_, 'both') } @workers;
$coordinator->safe_psql('postgres', qq{INSERT INTO customer (name, city) VALUES ('$here', 'a'), ('$there', 'a')});
wait_everywhere('the documents');
my $client = $coordinator->background_psql('postgres');
$client->query_safe(qq{BEGIN; UPDATE bypass_target SET city = 'client' WHERE customer = '$there'});
my $job = $workers[0]->safe_psql('postgres', qq{SELECT enqueue_sync_job('both', '$here', context => '{"first": "$here", "second": "$there"}')});
poll($workers[1], q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE%bypass_target%'}, 'the job waits for the client on the other node');
$client->query_safe(qq{UPDATE bypass_target SET city = 'client' WHERE customer = '$here'});
$client->query_safe('COMMIT');
$client->quit;
poll($workers[0], qq{SELECT status IN ('Finished', 'Failed') FROM sync_job WHERE id = $job}, 'it has ended');
is($workers[0]->safe_psql('postgres', qq{SELECT status, retry_count FROM sync_job WHERE id = $job}), 'Finished|0', 'well, and the deadlock counts for nothing');
is($workers[0]->safe_psql('postgres', q{SELECT count(*) FROM sync_job_error WHERE counted}), '0', 'no error is counted');

# --- A reference table is no source ---
$coordinator->safe_psql('postgres', $_) for q{CREATE TABLE region (name text PRIMARY KEY, city text)}, q{SELECT create_reference_table('region')};
on_all_nodes(q{INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
	VALUES ('region', 'region', 'declared_target', '{"customer": "name"}', '{"city": "city"}')});
my ($result, $output, $error) = $coordinator->psql('postgres', q{SELECT attach_sync_job_triggers('region', 'region')});
like($error, qr/ERROR:  "region" is a reference table of Citus, and cannot be the source of sync jobs\nDETAIL:  It has a copy on each node/, 'a reference table is refused');
like($error, qr/HINT:  Distribute it by a column/, 'with a hint');
sub findings
{
	my ($type) = @_;
	return $coordinator->safe_psql('postgres', qq{SELECT string_agg(severity || ' ' || object || ': ' || message, E'\\n') FROM validate_sync_job_type('$type')});
}
like(findings('region'), qr/error source_document_type: "region" is a reference table/, 'validation says so');

# --- What validation says of distributed tables ---
is(findings($_), '', "nothing is wrong with $_") for qw(plpgsql sql declared bypass);
$coordinator->safe_psql('postgres', $_) for q{
	CREATE TABLE apart (customer text, id bigint, city text, PRIMARY KEY (customer, id))}, q{
	SELECT create_distributed_table('apart', 'id')}, q{
	CREATE TABLE beside (customer text, other text, city text, PRIMARY KEY (customer, other))}, q{
	SELECT create_distributed_table('beside', 'other', colocate_with => 'customer')}, q{
	CREATE TABLE plain (customer text PRIMARY KEY, city text)};
$coordinator->safe_psql('postgres', q{INSERT INTO sync_job_type (name, source_document_type, target_document_type, target_key, match, field_map) VALUES
	('apart', 'customer', 'apart', NULL, '{"customer": "name"}', '{"city": "city", "id": {"value": 1}}'),
	('short', 'customer', 'apart', '{customer}', '{"customer": "name"}', '{"city": "city", "id": {"value": 1}}'),
	('beside', 'customer', 'beside', NULL, '{"customer": "name"}', '{"city": "city", "other": "name"}'),
	('plain', 'customer', 'plain', NULL, '{"customer": "name"}', '{"city": "city"}')});
like(findings('apart'), qr/warning target_document_type: a document of "customer" and its target in "apart" may lie on different nodes/, 'tables that are not colocated');
like(findings('short'), qr/error target_document_type: the key of "apart" does not contain "id", by which it is distributed/, 'a key that does not say which shard');
like(findings('beside'), qr/warning match: match does not say which shard the target is on/, 'a match that does not');
like(findings('plain'), qr/warning target_document_type: a document of "customer" and its target in "plain" may lie on different nodes/, 'a target that is not distributed');

# --- They are synced all the same ---
on_all_nodes(q{INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES
	('beside', 'customer', 'beside', '{"customer": "name"}', '{"city": "city", "other": "name"}') ON CONFLICT DO NOTHING});
$coordinator->safe_psql('postgres', q{SELECT attach_sync_job_triggers('beside', 'customer')});
$coordinator->safe_psql('postgres', q{INSERT INTO customer (name, city) SELECT 'beside' || n, 'x' FROM generate_series(1, 40) AS n});
$coordinator->safe_psql('postgres', q{UPDATE customer SET city = 'y' WHERE name LIKE 'beside%'});
$coordinator->safe_psql('postgres', q{DELETE FROM customer WHERE name LIKE 'beside1%'});
wait_everywhere('targets that match does not place');
is($coordinator->safe_psql('postgres', q{SELECT count(*), count(*) FILTER (WHERE b.city = s.city) FROM beside AS b JOIN customer AS s ON s.name = b.other WHERE s.name LIKE 'beside%'}), '29|29', 'they are in step');

# --- A sequence is the table's: its rows are inserted through Citus. A schema that is distributed as a whole has one shard a table ---
$coordinator->safe_psql('postgres', $_) for q{
	CREATE TABLE numbered (customer text PRIMARY KEY, number bigserial, city text)}, q{
	SELECT create_distributed_table('numbered', 'customer', colocate_with => 'customer')}, q{
	SET citus.enable_schema_based_sharding = on; CREATE SCHEMA tenant}, q{
	CREATE TABLE tenant.source (id bigint PRIMARY KEY, city text)}, q{
	CREATE TABLE tenant.target (id bigint PRIMARY KEY, city text, source bigint UNIQUE)};
on_all_nodes(q{INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES
	('numbered', 'customer', 'numbered', '{"customer": "name"}', '{"city": "city"}'),
	('tenant', 'tenant.source', 'tenant.target', '{"source": "id"}', '{"city": "city", "id": {"expr": "source.id + 1000"}}')});
is(findings($_), '', "nothing is wrong with $_") for qw(numbered tenant);
$coordinator->safe_psql('postgres', qq{SELECT attach_sync_job_triggers('$$_[0]', '$$_[1]', level => 'statement')}) for ['numbered', 'customer'], ['tenant', 'tenant.source'];
$coordinator->safe_psql('postgres', q{INSERT INTO customer (name, city) SELECT 'numbered' || n, 'x' FROM generate_series(1, 40) AS n});
$coordinator->safe_psql('postgres', q{UPDATE customer SET city = 'y' WHERE name LIKE 'numbered%'});
$coordinator->safe_psql('postgres', q{INSERT INTO tenant.source SELECT n, 'x' FROM generate_series(1, 100) AS n});
$coordinator->safe_psql('postgres', q{UPDATE tenant.source SET city = 'y'; DELETE FROM tenant.source WHERE id > 90});
wait_everywhere('sequences and schemas');
is($coordinator->safe_psql('postgres', q{SELECT count(*), count(DISTINCT number), min(city), max(city) FROM numbered}), '40|40|y|y', 'each row has its number');
is($coordinator->safe_psql('postgres', q{SELECT count(*), min(city), max(city) FROM tenant.target}), '90|y|y', 'the tables of the schema are in step');
is($coordinator->safe_psql('postgres', q{SELECT count(*) FROM run_command_on_shards('tenant.target', 'SELECT count(DISTINCT xmin::text) * 3 < count(*) FROM %s') WHERE result <> 't'}),
	'0', 'many at once');

# --- A table that is partitioned as well, and a role with the rights that it needs and no more ---
$coordinator->safe_psql('postgres', $_) for q{
	CREATE TABLE measured (id text, at date, city text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)}, q{
	CREATE TABLE measured_old PARTITION OF measured FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')}, q{
	CREATE TABLE measured_new PARTITION OF measured FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')}, q{
	SELECT create_distributed_table('measured', 'id')}, q{
	CREATE TABLE reported (id text, at date, city text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)}, q{
	CREATE TABLE reported_all PARTITION OF reported FOR VALUES FROM ('2025-01-01') TO ('2027-01-01')}, q{
	SELECT create_distributed_table('reported', 'id', colocate_with => 'measured')}, q{
	CREATE ROLE syncer LOGIN}, q{
	GRANT SELECT ON measured TO syncer}, q{
	GRANT SELECT, INSERT, UPDATE, DELETE ON reported TO syncer};
on_all_nodes(q{INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, run_as)
	VALUES ('measured', 'measured', 'reported', '{"id": "id", "at": "at"}', '{"city": "city"}', 'syncer')});
is(findings('measured'), '', 'nothing is wrong with measured');
$coordinator->safe_psql('postgres', q{SELECT attach_sync_job_triggers('measured', 'measured')});
$coordinator->safe_psql('postgres', q{INSERT INTO measured SELECT 'm' || n, '2025-12-01'::date + n, 'x' FROM generate_series(1, 60) AS n});
$coordinator->safe_psql('postgres', q{UPDATE measured SET city = 'y'; DELETE FROM measured WHERE id LIKE 'm1%'});
wait_everywhere('partitions');
is($coordinator->safe_psql('postgres', q{SELECT count(*), min(city), max(city) FROM reported}), '49|y|y', 'a partitioned table is in step');
is(values_everywhere(q{SELECT coalesce(string_agg(DISTINCT source_document_type::regclass || ' ' || run_as, ' '), '-') FROM sync_job WHERE sync_job_type = 'measured'}),
	'- measured syncer measured syncer', 'its jobs name it, and run as the role');

# --- Whole tables ---
is($coordinator->safe_psql('postgres', q{SELECT count(*) FROM compare_sync_documents('declared')}), '0', 'all is in step: the coordinator compares');
$workers[0]->safe_psql('postgres', qq{UPDATE sync_job_type SET disabled = true WHERE name = 'declared'});
$workers[0]->safe_psql('postgres', qq{UPDATE customer SET city = 'missed' WHERE name = '$here'});
is($workers[0]->safe_psql('postgres', q{SELECT difference, source_document_name FROM compare_sync_documents('declared')}), "different|$here", 'and a worker');
$workers[0]->safe_psql('postgres', qq{UPDATE sync_job_type SET disabled = false WHERE name = 'declared'});
my $run = $workers[0]->safe_psql('postgres', q{SELECT enqueue_full_sync('declared')});
is(run_of($workers[0], $run), 'Finished updated=1', 'a full sync brings them in step');

unlike_accidents($_) for $coordinator, @workers;
done_testing();
