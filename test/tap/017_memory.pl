# A worker that has run many jobs, good and bad ones, has no more memory than one that has run some.
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
	my $pid = $node->safe_psql('postgres', 'SELECT pid FROM sync_job_activity');
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

$node->stop('fast');
unlike_accidents($node);
done_testing();
