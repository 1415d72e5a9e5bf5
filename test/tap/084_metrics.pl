# What monitoring sees: counts and measures of jobs, and notifications of changes for whoever watches.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use Listener;

my $node = new_cluster('main', conf => "sync_job.poll_interval = '1 s'", allows_streaming => 1);
load_probe($node, 2000);
sub value { return $node->safe_psql('postgres', $_[0]) }
sub error_of
{
	my ($stdout, $stderr);
	$node->psql('postgres', $_[0], stdout => \$stdout, stderr => \$stderr);
	return $stderr;
}
# Samples as "name{label=value,…} value", without the label database.
sub samples
{
	my ($where, $database) = @_;
	return $node->safe_psql($database // 'postgres', qq{
		SELECT m.name || '{' || coalesce((SELECT string_agg(key || '=' || l.value, ',' ORDER BY key) FROM jsonb_each_text(labels - 'database') AS l), '') || '} ' || m.value
		FROM sync_job_metrics() AS m WHERE $where ORDER BY 1});
}

# ---- Who may ask ----

value(q{CREATE ROLE viewer LOGIN; CREATE ROLE other LOGIN; SELECT grant_sync_job_access('viewer', 'viewer')});
for my $function ('sync_job_metrics()', 'watch_sync_jobs()')
{
	like(error_of("SET SESSION AUTHORIZATION other; SELECT * FROM $function"),
		qr/permission denied for function \Q$function\E\nDETAIL:  Role "other" does not have the level viewer/, "$function is for viewers");
}
is(value('SET SESSION AUTHORIZATION viewer; SELECT count(*) > 0 FROM sync_job_metrics()'), 't', 'one may');

# ---- Counts ----

value(q{SELECT enqueue_sync_job('Probe', i::text) FROM generate_series(1, 100) AS i;
	SELECT enqueue_sync_job('Probe Alone', '1');
	SELECT enqueue_sync_job('Probe', '101', context => '{"fail": "no"}', max_retries => 2)});
wait_for_jobs($node);
is(samples(q{name = 'sync_job_jobs_total' AND m.value > 0}), join("\n",
	'sync_job_jobs_total{queue=default,status=Failed,type=Probe} 3',
	'sync_job_jobs_total{queue=default,status=Finished,type=Probe Alone} 1',
	'sync_job_jobs_total{queue=default,status=Finished,type=Probe} 100'), 'each attempt that has ended');
is(samples(q{name IN ('sync_job_enqueued_total', 'sync_job_retries_total', 'sync_job_documents_total') AND m.value > 0}), join("\n",
	'sync_job_documents_total{queue=default,result=failed,type=Probe} 3',
	'sync_job_documents_total{queue=default,result=inserted,type=Probe Alone} 1',
	'sync_job_documents_total{queue=default,result=inserted,type=Probe} 100',
	'sync_job_enqueued_total{queue=default,type=Probe Alone} 1',
	'sync_job_enqueued_total{queue=default,type=Probe} 101',
	'sync_job_retries_total{queue=default,type=Probe} 2'), 'what was enqueued and retried, and the documents');
is(samples(q{name IN ('sync_job_run_seconds_count', 'sync_job_wait_seconds_count')}), join("\n",
	'sync_job_run_seconds_count{queue=default,type=Probe Alone} 1',
	'sync_job_run_seconds_count{queue=default,type=Probe} 103',
	'sync_job_wait_seconds_count{queue=default,type=Probe Alone} 1',
	'sync_job_wait_seconds_count{queue=default,type=Probe} 101'), 'each attempt has taken time, each job has waited once');
is(value(q{SELECT count(*), bool_and(later >= value), max(le) FILTER (WHERE value = whole) FROM (
	SELECT value, labels->>'le' AS le, lead(value, 1, value) OVER w AS later, max(value) OVER (PARTITION BY name, labels->>'type') AS whole
	FROM sync_job_metrics() WHERE name ~ 'seconds_bucket$' AND labels->>'type' = 'Probe'
	WINDOW w AS (PARTITION BY name ORDER BY replace(labels->>'le', '+Inf', 'infinity')::float)) AS b}) =~ /^28\|t\|/ ? 1 : 0, 1, 'buckets add up');
is(value(q{SELECT value = (SELECT extract(epoch FROM sum(time_taken))::float FROM sync_job WHERE sync_job_type = 'Probe Alone')
	FROM sync_job_metrics() WHERE name = 'sync_job_run_seconds_sum' AND labels->>'type' = 'Probe Alone'}), 't', 'the sum is that of time_taken');

# ---- Only what was committed ----

my $count = sub { value(qq{SELECT coalesce(sum(value), 0) FROM sync_job_metrics() WHERE name = '$_[0]' AND labels->>'type' = 'Probe'}) };
my $enqueued = $count->('sync_job_enqueued_total');
value(q{BEGIN; SELECT enqueue_sync_job('Probe', '500'); ROLLBACK});
is($count->('sync_job_enqueued_total'), $enqueued, 'rolled back');
value(q{BEGIN;
	SELECT enqueue_sync_job('Probe', '501');
	SAVEPOINT a; SELECT enqueue_sync_job('Probe', '502'); SAVEPOINT b; SELECT enqueue_sync_job('Probe', '503'); ROLLBACK TO b;
	SELECT enqueue_sync_job('Probe', '504'); RELEASE a;
	SAVEPOINT c; SELECT enqueue_sync_job('Probe', '505'); SAVEPOINT d; SELECT enqueue_sync_job('Probe', '506'); RELEASE d; ROLLBACK TO c;
	SELECT enqueue_sync_job('Probe', '507'); COMMIT});
is($count->('sync_job_enqueued_total') - $enqueued, 4, 'what was left of subtransactions');
value(q{BEGIN; SELECT enqueue_sync_job('Probe', '508'); DO $$ BEGIN PERFORM enqueue_sync_job('Probe', '509'); RAISE 'x'; EXCEPTION WHEN OTHERS THEN NULL; END $$; COMMIT});
is($count->('sync_job_enqueued_total') - $enqueued, 5, 'nothing of a block that failed');
wait_for_jobs($node);
is($count->('sync_job_jobs_total'), value(q{SELECT count(*) + 2 FROM sync_job WHERE sync_job_type = 'Probe'}), 'as many ends as the tables have, and two failed attempts before');

# ---- Queue, retries by hand, cancel, deduplication ----

value(q{SELECT pause_sync_job_queue('default'); SELECT enqueue_sync_job('Probe', '600'); SELECT pg_sleep(0.01)});
is(samples(q{name IN ('sync_job_waiting', 'sync_job_queue_paused') AND m.value > 0}), "sync_job_queue_paused{queue=default} 1\nsync_job_waiting{queue=default,type=Probe} 1", 'one waits');
is(value(q{SELECT value BETWEEN 0.01 AND 100 FROM sync_job_metrics() WHERE name = 'sync_job_oldest_change_seconds' AND labels->>'type' = 'Probe'}), 't', 'for how long');
value(q{SELECT enqueue_sync_job('Probe', '600', deduplicate => true);
	SELECT cancel_sync_job(id) FROM sync_job WHERE status = 'Queued';
	SELECT retry_sync_job(id) FROM sync_job WHERE status = 'Failed'});
is(samples(q{name = 'sync_job_deduplicated_total' AND m.value > 0 OR name = 'sync_job_jobs_total' AND labels->>'status' = 'Canceled' AND m.value > 0 OR name = 'sync_job_retries_total' AND m.value > 0}),
	join("\n", 'sync_job_deduplicated_total{queue=default,type=Probe} 1', 'sync_job_jobs_total{queue=default,status=Canceled,type=Probe} 1',
		'sync_job_retries_total{queue=default,type=Probe} 3'), 'absorbed, canceled, retried by hand');
value(q{SELECT pause_sync_job_type('Probe Alone'); SELECT enqueue_sync_job('Probe Alone', '5')});
is(samples(q{name IN ('sync_job_waiting', 'sync_job_held') AND m.value > 0 AND labels->>'type' = 'Probe Alone'}), 'sync_job_held{queue=default,type=Probe Alone} 1', 'held, no reason to call for workers');
value(q{SELECT resume_sync_job_type('Probe Alone')});
value(q{SELECT resume_sync_job_queue('default')});
wait_for_jobs($node);
is(samples(q{name = 'sync_job_failed' AND m.value > 0}), 'sync_job_failed{queue=default,type=Probe} 1', 'one has failed for good');
poll($node, q{SELECT value > 0 FROM sync_job_metrics() WHERE name = 'sync_job_last_success_timestamp_seconds' AND labels->>'type' = 'Probe'}, 'the last success');
is(samples(q{name IN ('sync_job_scheduler_up', 'sync_job_types_held')}), "sync_job_scheduler_up{} 1\nsync_job_types_held{} 0", 'processes and types');

# ---- Only some, and only what they need ----

is(value(q{SELECT string_agg(DISTINCT name, ' ' ORDER BY name) FROM sync_job_metrics(ARRAY['sync_job_wait_seconds', 'sync_job_waiting', 'unknown'])}),
	'sync_job_wait_seconds_bucket sync_job_wait_seconds_count sync_job_wait_seconds_sum sync_job_waiting', 'those that were asked for');
is(value(q{BEGIN; SELECT count(*) FROM sync_job_metrics(ARRAY['sync_job_jobs_total', 'sync_job_library_info']) WHERE type = 'gauge';
	SELECT sum(seq_scan + coalesce(idx_scan, 0)) FROM pg_stat_xact_all_tables WHERE relname IN ('sync_job_live', 'sync_job_failed')}), "1\n0", 'counts are not read from tables');

# ---- The files in monitoring/ ----

value(q{INSERT INTO sync_job_alert (name, measure, threshold) VALUES ('quiet', 'waiting', '1000000');
	UPDATE sync_job_internal.last_success SET compared_at = now(), out_of_step = 0});    # so that each metric has a sample
my %metrics = map { $_ => 1 } split /\n/, value(q{SELECT DISTINCT name FROM sync_job_metrics() UNION
	SELECT regexp_replace(name, '_(bucket|sum|count)$', '') FROM sync_job_metrics() WHERE type = 'histogram'});
my $folder = "$ENV{CHECKOUT}/monitoring";
for my $file ('prometheus_rules.yaml', 'grafana_prometheus.json', 'postgres_exporter.yaml')
{
	my $text = slurp_file("$folder/$file");
	$text =~ s/^\w+:$//gm;    # in the exporter's file: the first words of a name
	my %named = map { $_ => 1 } $text =~ /\b(sync_job_\w+)\b/g;
	delete @named{qw(sync_job_metrics sync_job_alert), grep { /^sync_job_http_/ } keys %named};    # those of requests have no sample here, but in the suite metrics
	is(join(' ', sort grep { !$metrics{$_} } keys %named), '', "$file names metrics that there are");
	cmp_ok(scalar(keys %named), '>', 10, 'and many of them');
}
is(scalar(map { error_of("SET SESSION AUTHORIZATION viewer; $_") || () } slurp_file("$folder/postgres_exporter.yaml") =~ /query: >-\n(.*?)  metrics:/gs), 0, 'the queries of the exporter run');

# ---- Whatever the history ----

is(value(q{BEGIN; SELECT count(*) > 100 FROM sync_job_metrics();
	SELECT sum(seq_scan + coalesce(idx_scan, 0)) FROM pg_stat_xact_all_tables WHERE relname = 'sync_job_ended'}), "t\n0", 'the history is not read');

# ---- Who watches ----

my $listener = Listener->new($node, 'postgres', 'sync_job_changed');
value(q{SELECT enqueue_sync_job('Probe', '700')});
wait_for_jobs($node);
poll($node, q{SELECT at = (SELECT max(ended_at) FROM sync_job WHERE sync_job_type = 'Probe') FROM sync_job_internal.last_success WHERE sync_job_type = 'Probe'}, 'the scheduler has looked since');
is(scalar($listener->payloads('sync_job_changed')), 0, 'nobody watches, nothing is sent');
is(value('SET SESSION AUTHORIZATION viewer; SELECT watch_sync_jobs()'), 't', 'somebody watches');
value(q{SELECT enqueue_sync_job('Probe', '701')});
is($listener->wait_for('sync_job_changed', qr/Probe/), '{"all": false, "types": ["Probe"], "queues": ["default"]}', 'names of a type and its queue');
wait_for_jobs($node);
my $before = time;
$node->safe_psql('postgres', join(';', map { "SELECT enqueue_sync_job('Probe', '$_')" } 800 .. 1200));
wait_for_jobs($node);
my @heard = $listener->payloads('sync_job_changed');
cmp_ok(scalar(@heard), '<=', 2 * (time - $before + 2) + 4, 'at most twice a second');
value(q{SELECT pause_sync_job_type('Probe Alone')});
ok($listener->wait_for('sync_job_changed', qr/"all": true/), 'a type was paused: anything may have changed');
value(q{SELECT resume_sync_job_type('Probe Alone')});
close_gate($node);
my $running = enqueue($node, 'Probe Alone', 3, q{context => '{"gate": "closed"}'});
wait_until_running($node, $running);
ok($listener->wait_for('sync_job_changed', qr/Probe Alone/), 'a job has started');
open_gate($node);
wait_for_jobs($node);
value(q{NOTIFY sync_job_changed, 'forged'});
is(value('SELECT watch_sync_jobs()'), 't', 'a forged one changes nothing');
$listener->stop;

# ---- More types than there is room for ----

value(q{INSERT INTO sync_job_type (name, source_document_type, target_document_type, module)
	SELECT repeat('long ', 30) || lpad(i::text, 3, '0'), 'doc', 'effect', 'probe' FROM generate_series(1, 205) AS i;
	SELECT enqueue_sync_job(name, '1') FROM sync_job_type WHERE name ~ '^long'});
wait_for_jobs($node);
is(value(q{SELECT count(DISTINCT labels->>'type') FILTER (WHERE labels->>'type' <> 'other'), sum(value) FILTER (WHERE labels->>'type' ~ '^long' OR labels->>'type' = 'other')
	FROM sync_job_metrics() WHERE name = 'sync_job_jobs_total'}), '200|205', '200 types as themselves, the rest as another');
is(value(q{SELECT count(*) FROM (SELECT name, labels FROM sync_job_metrics() GROUP BY name, labels HAVING count(*) > 1) AS twice}), '0', 'no series twice');
is(value(q{SELECT count(*) - count(DISTINCT family) FROM (
	SELECT family, lag(family) OVER (ORDER BY n) AS before FROM sync_job_metrics() WITH ORDINALITY AS m (name, type, help, labels, value, n)
	CROSS JOIN LATERAL (SELECT CASE type WHEN 'histogram' THEN regexp_replace(name, '_(bucket|sum|count)$', '') ELSE name END AS family) AS f) AS m
	WHERE before IS DISTINCT FROM family}), '0', 'those of one name together');
value(q{DELETE FROM sync_job_type WHERE name ~ '^long'});
poll($node, q{SELECT count(*) = 0 FROM sync_job_metrics() WHERE name = 'sync_job_jobs_total' AND labels->>'type' ~ '^long'}, 'types that have gone make room');
value(q{INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES ('new one', 'doc', 'effect', 'probe');
	SELECT enqueue_sync_job('new one', '1')});
wait_for_jobs($node);
is(samples(q{name = 'sync_job_jobs_total' AND labels->>'type' = 'new one' AND m.value > 0}), 'sync_job_jobs_total{queue=default,status=Finished,type=new one} 1', 'for new ones');

# ---- Another database ----

value('CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION pg_sync_job');
is(samples(q{name ~ '_total$'}, 'second'), '', 'nothing of the first');
load_probe($node, 10, 'second');
enqueue($node, 'Probe', 1, undef, 'second');
wait_for_jobs($node, 'second');
is(samples(q{name = 'sync_job_jobs_total' AND m.value > 0}, 'second'), 'sync_job_jobs_total{queue=default,status=Finished,type=Probe} 1', 'its own');
is($node->safe_psql('second', q{SELECT DISTINCT labels->>'database' FROM sync_job_metrics()}), 'second', 'named in each label');
$node->safe_psql('second', 'DROP EXTENSION pg_sync_job CASCADE; CREATE SCHEMA again; CREATE EXTENSION pg_sync_job');
value('DROP DATABASE second');

# ---- Restart, crash, standby ----

$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', 'SELECT watch_sync_jobs()'), 'f', 'a standby sends nothing');
is($standby->safe_psql('postgres', q{SELECT count(*) > 0, coalesce(sum(value) FILTER (WHERE name ~ '_total$'), 0) FROM sync_job_metrics()}), 't|0', 'and measures what it has');
$standby->stop;
$node->stop('immediate');
$node->start;
is(samples(q{name ~ '_total$'}), '', 'after a crash all begins at 0');
enqueue($node, 'Probe', 1);
wait_for_jobs($node);
is(samples(q{name = 'sync_job_jobs_total' AND m.value > 0}), 'sync_job_jobs_total{queue=default,status=Finished,type=Probe} 1', 'and goes on');
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->restart;
is(samples(q{name ~ '_total$' OR name = 'sync_job_scheduler_up'}), '', 'without preloading nothing is counted');
is(value(q{SELECT count(*) > 0 FROM sync_job_metrics() WHERE name = 'sync_job_waiting'}), 't', 'but measured');
is(value('SELECT watch_sync_jobs()'), 'f', 'and nobody tells');
value(q{SELECT count(enqueue_sync_job(type, i::text)) FROM (VALUES ('Probe', 1, 30000), ('Probe Alone', 30001, 40000)) AS of (type, first, last), generate_series(first, last) AS i});
is(value(q{SELECT string_agg(format('%s %s0000', labels->>'type', round(value / 10000)), ', ' ORDER BY value DESC) FROM sync_job_metrics(ARRAY['sync_job_waiting'])
	WHERE value > 5000}), 'Probe 30000, Probe Alone 10000', 'of very many that wait, about how many, of each type');

done_testing();
