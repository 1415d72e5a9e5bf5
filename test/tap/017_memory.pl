# A worker that has run many jobs, good and bad ones, has no more memory than one that has run some; nor has the scheduler that
# has tried many again, and released many that waited for others. Nor a session whose one statement changes very many documents.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => "sync_job.max_workers = 1\nlog_statement = none\nlog_min_messages = log\nautovacuum_naptime = '5s'");
load_probe($node, 500);
# What a controller catches, what the engine catches, and what is well.
$node->safe_psql('postgres', q{
	CREATE SCHEMA catching;
	CREATE FUNCTION catching.execute(sync_job sync_job, source_doc doc) RETURNS sync_job_result LANGUAGE plpgsql AS $$
	BEGIN
		BEGIN PERFORM 1 / (source_doc.id * 0); EXCEPTION WHEN division_by_zero THEN NULL; END;
		IF source_doc.id % 3 = 0 THEN RAISE '%', repeat('x', 2000) USING detail = repeat('y', 2000); END IF;
		RETURN NULL;
	END $$;
	INSERT INTO sync_job_type (name, source_document_type, module, batchable, max_retries) VALUES ('Catching', 'doc', 'catching', true, 0);
	UPDATE sync_job_queue SET max_workers = 1});

sub run_many
{
	my ($rounds) = @_;
	$node->safe_psql('postgres', qq{
		SELECT count(enqueue_sync_job(t, d.id::text)) FROM generate_series(1, $rounds), doc AS d, unnest(ARRAY['Catching', 'Probe']) AS t});
	wait_for_jobs($node);
	$node->safe_psql('postgres', 'SELECT clear_all_sync_jobs()');
	return;
}

# Memory of its own in kB; not the shared buffers it has touched.
sub memory
{
	my ($which) = @_;
	my $pid = $node->safe_psql('postgres', $which // 'SELECT pid FROM sync_job_activity');
	slurp_file("/proc/$pid/status") =~ /^RssAnon:\s*(\d+)/m or die;
	return ($pid, $1);
}

run_many(4);
my ($pid, $before) = memory();
run_many(16);
my ($pid_after, $after) = memory();
is($pid_after, $pid, 'one worker has run them all');
cmp_ok($after - $before, '<', 1500, 'and its memory has not grown with them');
diag("$before kB after 4,000 jobs, $after kB after 20,000");

# ---- The scheduler ----

$node->safe_psql('postgres', q{
	CREATE FUNCTION once() RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		IF (SELECT retry_count FROM sync_job WHERE id = current_sync_job()) = 0 THEN RAISE 'once'; END IF;
		RETURN 1;
	END $$;
	CREATE FUNCTION nothing() RETURNS int LANGUAGE sql AS 'SELECT 1'});
my $scheduler = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'sync job scheduler' AND datname = 'postgres'};

# So many jobs that fail once, and so many in chains of ten.
sub retry_and_chain
{
	my ($jobs) = @_;
	$node->safe_psql('postgres', qq{
		SELECT count(enqueue_background_job('once', max_retries => 3, retry_delay => '10 ms')) FROM generate_series(1, $jobs);
		DO \$\$
		DECLARE last bigint;
		BEGIN
			FOR i IN 1 .. $jobs LOOP
				last := enqueue_background_job('nothing', after => CASE WHEN i % 10 <> 1 THEN ARRAY[last] END);
			END LOOP;
		END \$\$});
	$node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM sync_job WHERE status = 'Pending')});
	like(wait_for_jobs($node), qr/^Finished=\d+$/, "$jobs jobs retried and $jobs in chains");
	$node->safe_psql('postgres', 'SELECT clear_all_sync_jobs()');
	return;
}

retry_and_chain(500);
($pid, $before) = memory($scheduler);
retry_and_chain(1500);
($pid_after, $after) = memory($scheduler);
is($pid_after, $pid, 'one scheduler has seen to them all');
cmp_ok($after - $before, '<', 1000, 'and its memory has not grown with them');
diag("$before kB after 1,000 jobs, $after kB after 4,000");

# ---- A statement-level trigger ----

# It holds the names of one set, however many rows there are; the server's transition tables go to disk beyond work_mem.
$node->safe_psql('postgres', q{
	CREATE TABLE many (id int PRIMARY KEY, name text UNIQUE, v int);
	CREATE TABLE copied (LIKE many INCLUDING ALL);
	INSERT INTO many SELECT i, 'a name of some length ' || i FROM generate_series(1, 150000) AS i;
	INSERT INTO sync_job_type (name, source_document_type, source_key, target_document_type, match, field_map, set_size)
	VALUES ('Many', 'many', '{name}', 'copied', '{"id": "id"}', '{"name": "name", "v": "v"}', 100);
	SELECT attach_sync_job_triggers('Many', 'many', level => 'statement');
	SELECT pause_sync_job_queue('default')});
# The most address space that a session has had, in kB, after each of these.
my $peaks = $node->safe_psql('postgres', q{
	SET work_mem = '256kB';
	SELECT pg_backend_pid() AS pid \gset
	\setenv SESSION :pid
	UPDATE many SET v = 1 WHERE id <= 1000;
	\! grep VmPeak /proc/$SESSION/status
	UPDATE many SET v = 2;
	\! grep VmPeak /proc/$SESSION/status});
my ($few, $all) = $peaks =~ /VmPeak:\s*(\d+)/g;
is($node->safe_psql('postgres', q{SELECT sum(documents) FROM sync_job WHERE sync_job_type = 'Many'}), '151000', 'a statement changes very many rows');
cmp_ok($all - $few, '<', 6000, 'and its trigger holds no list of them');
diag("$few kB after 1,000 rows, $all kB after 150,000");

$node->stop('fast');
unlike_accidents($node);
done_testing();
