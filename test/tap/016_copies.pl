# Standby, promotion, base backup, dump and restore: jobs run in one place only, and there they go on.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', allows_streaming => 1, conf => "max_connections = 30");
load_probe($node, 100);
$node->safe_psql('postgres', q{SELECT count(enqueue_sync_job('Probe', d)) FROM doc AS d WHERE id <= 50});
is(wait_for_jobs($node), 'Finished=50', 'jobs run on the primary');
$node->safe_psql('postgres', q{
	SELECT pause_sync_job_queue('long');
	SELECT enqueue_sync_job('Probe', '60', queue => 'long', job_id => 'waits');
	SELECT enqueue_sync_job('Probe', '61', scheduled_at => now() + '1 day');
	SELECT enqueue_sync_job('Probe', '62', context => '{"fail": "broken"}', max_retries => 0)});
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM sync_job WHERE status = 'Failed'});

# A dump, restored into another database: it waits until it is adopted.
my $everything = q{SELECT md5(string_agg(j::text, E'\n' ORDER BY id)), count(*) FROM sync_job AS j};
my $types = q{SELECT md5(string_agg(t::text, E'\n' ORDER BY name)) FROM sync_job_type AS t};
my $errors = q{SELECT count(*), min(message) FROM sync_job_error};
my $dump = "$ENV{TESTDATADIR}/dump";
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
is($node->safe_psql('restored', $_), $node->safe_psql('postgres', $_), "the same after it: $_") for $everything, $types, $errors;
is($node->safe_psql('restored', q{SELECT DISTINCT note FROM sync_job_queue_status}), 'waits for adopt_sync_jobs()', 'the restored database waits');
ok($node->wait_for_log(qr/sync jobs of database "restored" wait: they came with a dump or a copy/), 'the log says so');
my $highest = $node->safe_psql('restored', 'SELECT max(id) FROM sync_job');
my $new = enqueue($node, 'Probe', 63, undef, 'restored');
cmp_ok($new, '>', $highest, 'ids go on');
is(status_of($node, $new, 'restored'), 'Queued', 'its jobs wait');
$node->safe_psql('restored', 'SELECT adopt_sync_jobs()');
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $new", 'after adopt_sync_jobs() they run', 'restored');
is($node->safe_psql('restored', q{SELECT status, paused FROM sync_job JOIN sync_job_queue ON queue = name WHERE job_id = 'waits'}), 'Queued|t', 'a paused queue is paused there, too');
$node->safe_psql('restored', q{SELECT resume_sync_job_queue('long'); SELECT retry_sync_job(id, '{}') FROM sync_job WHERE status = 'Failed'});
poll($node, q{SELECT count(*) = 0 FROM sync_job WHERE status <> 'Finished' AND scheduled_at IS NULL}, 'and what was waiting runs', 'restored');
is($node->safe_psql('postgres', q{SELECT status FROM sync_job WHERE job_id = 'waits'}), 'Queued', 'the original has not moved');

# A standby: nothing runs on it.
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
my $replicated = enqueue($node, 'Probe', 70);
$node->poll_query_until('postgres', "SELECT status = 'Finished' FROM sync_job WHERE id = $replicated");
$node->wait_for_catchup($standby);
is(status_of($standby, $replicated), 'Finished', 'a standby shows the jobs of its primary');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'sync job%'}), '0', 'and runs none of our processes');
for my $call (q{enqueue_sync_job('Probe', '1')}, q{execute_sync_job(1)}, q{cancel_sync_job(1)}, q{retry_sync_job(1)}, q{start_sync_job(1)})
{
	my ($code, $out, $err) = $standby->psql('postgres', "SELECT $call");
	like($err, qr/ERROR:  cannot execute .* during recovery|ERROR:  cannot execute .* in a read-only transaction/, "$call is refused there");
}

# Promotion, with a job under way: it is run again there.
close_gate($node);
my $under_way = enqueue($node, 'Probe Alone', 71, q{context => '{"gate": "closed"}'});
$node->poll_query_until('postgres', "SELECT status = 'Started' FROM sync_job WHERE id = $under_way");
$node->wait_for_catchup($standby);
$node->stop('immediate');
$standby->promote;
wait_until_running($standby, $under_way);
open_gate($standby);
poll($standby, "SELECT status = 'Finished' FROM sync_job WHERE id = $under_way", 'after promotion, what was under way on the primary is run');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM effect WHERE id = 'Probe Alone 71' AND changes = 1}), '1', 'once');
my $first = enqueue($standby, 'Probe', 72);
poll($standby, "SELECT status = 'Finished' FROM sync_job WHERE id = $first", 'and so is what is enqueued there');

# A server restored from a base backup is the same place.
my $twin = PostgreSQL::Test::Cluster->new('twin');
$twin->init_from_backup($node, 'copy');
$twin->start;
my $there = enqueue($twin, 'Probe', 73);
poll($twin, "SELECT status = 'Finished' FROM sync_job WHERE id = $there", 'a server restored from a base backup goes on');

$_->stop('fast') for $standby, $twin;
unlike_accidents($_) for $node, $standby, $twin;
done_testing();
