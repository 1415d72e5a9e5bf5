# Freshness, and alerts: one line in the log, one event and one job for each change of state, whatever keeps the jobs from running.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use Listener;

my $node = new_cluster('main', conf => "sync_job.poll_interval = '1 s'\nsync_job.setup_retry_limit = '2 s'");
sub value { return $node->safe_psql('postgres', $_[0]) }
sub error_of
{
	my ($stdout, $stderr);
	$node->psql('postgres', $_[0], stdout => \$stdout, stderr => \$stderr);
	return $stderr;
}
value(q{
	CREATE TABLE customer (id int PRIMARY KEY, vat_no text, name text);
	CREATE TABLE debtor (crm_id int PRIMARY KEY, vat text, name text);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, retry_delay)
	VALUES ('Debtor', 'customer', 'debtor', '{"crm_id": "id"}', '{"vat": "vat_no", "name": "name"}', '500 ms');
	SELECT attach_sync_job_triggers('Debtor', 'customer');
	CREATE TABLE told (alert jsonb);
	CREATE FUNCTION tell(alert jsonb) RETURNS void LANGUAGE sql AS 'INSERT INTO told VALUES (alert)'});

# ---- Freshness ----

is(value(q{SELECT f.*::text FROM sync_job_freshness AS f}), '(Debtor,,0,0,0,0,,0.000,,)', 'a type without jobs');
value(q{INSERT INTO customer SELECT i, 'DE' || i, 'n' || i FROM generate_series(1, 120) AS i});
wait_for_jobs($node);
is(value(q{SELECT oldest_change IS NULL, waiting, retrying, failed, last_success > now() - interval '1 minute', per_minute, latency_p50 > '0', latency_p95 >= latency_p50 FROM sync_job_freshness}),
	't|0|0|0|t|2.000|t|t', 'all is in step');
poll($node, q{SELECT at = (SELECT max(ended_at) FROM sync_job) FROM sync_job_internal.last_success}, 'the scheduler notes when a job ended well last');
value(q{SELECT pause_sync_job_queue('default'); UPDATE customer SET name = 'x' WHERE id = 1});
value(q{SELECT pg_sleep(0.01); SELECT enqueue_sync_job('Debtor', '2', scheduled_at => now() + interval '1 hour'), enqueue_sync_job('Debtor', '3', dry_run => true)});
is(value(q{SELECT waiting, f.oldest_change = (SELECT min(created_at) FROM sync_job WHERE status = 'Queued') FROM sync_job_freshness AS f}), '2|t', 'two wait, one of them a change');
value(q{SELECT cancel_sync_job(array_agg(id)) FROM sync_job WHERE scheduled_at IS NOT NULL OR dry_run; SELECT resume_sync_job_queue('default')});

# ---- Who may write them, and what ----

value(q{CREATE ROLE operator LOGIN; CREATE ROLE other LOGIN; SELECT grant_sync_job_access('operator', 'operator'); GRANT EXECUTE ON FUNCTION tell TO PUBLIC});
my $as = sub { "SET SESSION AUTHORIZATION $_[0]; $_[1]" };
my $insert = q{INSERT INTO sync_job_alert (name, measure, threshold) VALUES};
like(error_of($as->('other', "$insert ('a', 'failed', '0')")), qr/42501|does not have the level operator/, 'operators only');
like(error_of($as->('operator', "$insert ('a', 'nothing', '0')")), qr/measure must be one of failed, waiting, oldest_change, no_success, out_of_step, not "nothing"/, 'an unknown measure');
like(error_of($as->('operator', "$insert ('a', 'failed', 'x')")), qr/threshold of measure failed must be a number: "x"/, 'no number');
like(error_of($as->('operator', "$insert ('a', 'no_success', 'x')")), qr/invalid input syntax for type interval: "x"/, 'no interval');
like(error_of($as->('operator', "$insert ('a', 'no_success', '-1 s')")), qr/threshold must not be negative/, 'a negative one');
like(error_of($as->('operator', q{INSERT INTO sync_job_alert (name, measure, threshold, procedure) VALUES ('a', 'failed', '0', 'nothing')})), qr/ERROR: .*nothing/, 'no such procedure');
like(error_of($as->('operator', q{INSERT INTO sync_job_alert (name, measure, threshold, owner) VALUES ('a', 'failed', '0', 'postgres')})), qr/may not become/, 'not for another role');
value($as->('operator', "$insert ('mine', 'waiting', '1000000')"));
is(value($as->('operator', q{UPDATE sync_job_alert SET state = 'firing', since = now(), hold = '1 s' RETURNING name, state, since IS NULL, owner})), 'mine|ok|t|operator', 'the state is the scheduler\'s');
is(value($as->('other', 'SELECT count(*) FROM sync_job_alert')), '0', 'others do not see it');
value($as->('other', 'DELETE FROM sync_job_alert'));
is(value('SELECT count(*) FROM sync_job_alert'), '1', 'nor delete it');

my $warning;
$node->psql('postgres', $as->('operator', q{INSERT INTO sync_job_alert (name, sync_job_type, queue, measure, threshold) VALUES ('slips', 'Deptor', 'defualt', 'failed', '0'); DELETE FROM sync_job_alert WHERE name = 'slips'}), stderr => \$warning);
like($warning, qr/WARNING:  alert "slips" watches sync job type "Deptor", which does not exist\n.*WARNING:  alert "slips" watches queue "defualt", which does not exist/s, 'who watches nothing is told');
value(q{INSERT INTO sync_job_type (name) VALUES ('Before'); INSERT INTO sync_job_alert (name, sync_job_type, measure, threshold) VALUES ('follows', 'Before', 'failed', '0')});
value(q{UPDATE sync_job_type SET name = 'After' WHERE name = 'Before'});
is(value(q{DELETE FROM sync_job_alert WHERE name = 'follows' RETURNING sync_job_type}), 'After', 'an alert goes with the name of its type');
value(q{DELETE FROM sync_job_type WHERE name = 'After'});

# ---- They fire ----

value(q{INSERT INTO sync_job_alert (name, sync_job_type, measure, threshold, procedure) VALUES ('broken', 'Debtor', 'failed', '0', 'tell');
	INSERT INTO sync_job_alert (name, queue, measure, threshold) VALUES ('late', 'default', 'oldest_change', '2 s');
	INSERT INTO sync_job_alert (name, sync_job_type, measure, threshold, hold) VALUES ('silent', 'Debtor', 'no_success', '1 s', '1 s')});
my $listener = Listener->new($node, 'postgres', 'sync_job');
my $from = -s $node->logfile;
sub fires { return poll($node, "SELECT state = 'firing' FROM sync_job_alert WHERE name = '$_[0]'", $_[1]) }
sub is_well { return poll($node, "SELECT count(*) = 0 FROM sync_job_alert WHERE state = 'firing'", $_[0]) }

# A set-up that breaks.
value(q{ALTER TABLE customer RENAME vat_no TO vat_number; UPDATE customer SET name = name || 'x' WHERE id <= 41});
fires('broken', 'an alert of failed jobs comes when the set-up is broken');
fires($_, "$_ comes, too") for 'late', 'silent';
poll($node, 'SELECT count(*) = 1 FROM sync_job_setup_error WHERE held_since IS NOT NULL', 'the limit passes, and the type is held');
is(value(q{SELECT count(*) FROM sync_job_alert WHERE state = 'firing'}), '3', 'which changes no alert');
value(q{UPDATE sync_job_type SET field_map = '{"vat": "vat_number", "name": "name"}' WHERE name = 'Debtor'});
is_well('once it is corrected, all is well');
is(value(q{SELECT count(*) FROM customer AS c JOIN debtor AS d ON d.crm_id = c.id AND d.name = c.name}), '120', 'and in step');
poll($node, 'SELECT count(*) = 2 FROM told', 'the procedure was called at each change');
is(value(q{SELECT string_agg(alert->>'state', ' ' ORDER BY alert->>'state' DESC), min(alert->>'alert'), min(alert->>'sync_job_type') FROM told}), 'ok firing|broken|Debtor', 'with what it is about');
is(value(q{SELECT DISTINCT queue, run_as, sync_job_type FROM sync_job WHERE title = 'alert broken'}), 'alert|postgres|Background Job', 'as background work of the owner, in a queue of its own');
like_log($node, $from, qr/LOG:  the set-up of sync job type "Debtor" is broken/, 1, 'one line for its cause');
for my $alert ('broken', 'late', 'silent')
{
	like_log($node, $from, qr/LOG:  alert "$alert": (failed|oldest_change|no_success)/, 1, "$alert: one line when it comes");
	like_log($node, $from, qr/LOG:  alert "$alert": all is well again.*\n.*CONTEXT:  database "postgres"/, 1, 'and one when all is well, which names the database');
	ok($listener->wait_for('sync_job', qr/"state": "$_".*"alert": "$alert"|"alert": "$alert".*"state": "$_"/), "the event of $_") for 'firing', 'ok';
}

# Jobs that are tried again have failed all the same, while they wait and run.
value(q{ALTER SYSTEM SET sync_job.setup_retry_limit = 0});
value(q{SELECT pg_reload_conf()});
value(q{ALTER TABLE customer RENAME vat_number TO vat_no; UPDATE customer SET name = name || 'w' WHERE id <= 3});
fires('broken', 'the set-up breaks again');
value(q{SELECT pause_sync_job_queue('default')});
poll($node, q{SELECT count(*) = 3 FROM sync_job WHERE status = 'Queued'}, 'its jobs wait to be tried again');
value(q{INSERT INTO sync_job_alert (name, sync_job_type, measure, threshold) VALUES ('again', 'Debtor', 'failed', '2')});
fires('again', 'and count as failed');
value(q{ALTER TABLE customer RENAME vat_no TO vat_number});
value(q{SELECT resume_sync_job_queue('default')});
is_well('once it is corrected, all is well');
value(q{ALTER SYSTEM RESET sync_job.setup_retry_limit});
value(q{SELECT pg_reload_conf()});

# The queue is paused.
value(q{SELECT pause_sync_job_queue('default'); UPDATE customer SET name = name || 'y' WHERE id = 1});
fires('late', 'an alert comes when the queue is paused');
value(q{SELECT resume_sync_job_queue('default')});
is_well('and goes');

# The role cannot connect.
value(q{CREATE ROLE clerk LOGIN; GRANT ALL ON customer, debtor TO clerk; UPDATE sync_job_type SET run_as = 'clerk' WHERE name = 'Debtor';
	REVOKE CONNECT ON DATABASE postgres FROM PUBLIC; UPDATE customer SET name = name || 'z' WHERE id = 1});
fires('late', 'when the role may not connect');
value(q{GRANT CONNECT ON DATABASE postgres TO PUBLIC});
is_well('and goes');

# No worker.
$node->append_conf('postgresql.conf', 'sync_job.max_workers = 0');
$node->reload;
value(q{UPDATE customer SET name = name || '0' WHERE id = 1});
fires('late', 'when there is no worker');
$node->append_conf('postgresql.conf', 'sync_job.max_workers = 4');
$node->reload;
is_well('and goes');

# What the last comparison of the whole type found.
like(error_of(q{INSERT INTO sync_job_alert (name, queue, measure, threshold) VALUES ('a', 'default', 'out_of_step', '0')}), qr/queue has no effect on measure out_of_step/, 'a comparison has no queue');
value(q{INSERT INTO sync_job_alert (name, sync_job_type, measure, threshold) VALUES ('differs', 'Debtor', 'out_of_step', '2')});
value(q{ALTER TABLE customer DISABLE TRIGGER USER; UPDATE customer SET name = name || '!' WHERE id <= 3; ALTER TABLE customer ENABLE TRIGGER USER; SELECT enqueue_compare('Debtor')});
fires('differs', 'an alert when documents are out of step');
is(value(q{SELECT value FROM sync_job_alert WHERE name = 'differs'}), '3', 'with their number');
value(q{UPDATE customer SET name = name || '.' WHERE id <= 3});
wait_for_jobs($node);
my $part = value(q{SELECT enqueue_compare('Debtor', 'source.id = 1')});
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $part", 'a comparison of a part');
is(value(q{SELECT state FROM sync_job_alert WHERE name = 'differs'}), 'firing', 'does not count');
value(q{SELECT enqueue_compare('Debtor')});
is_well('a comparison that finds nothing ends it');

# Jobs of alerts raise none; a locked table stops no job.
value(q{CREATE FUNCTION bad(alert jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'bad'; END $$;
	INSERT INTO sync_job_alert (name, measure, threshold, procedure) VALUES ('of bad', 'waiting', '0', 'bad');
	UPDATE sync_job_alert SET sync_job_type = NULL WHERE name = 'broken';
	SELECT pause_sync_job_queue('default'); UPDATE customer SET name = name || '1' WHERE id = 1});
fires('of bad', 'an alert whose procedure fails');
value(q{SELECT resume_sync_job_queue('default')});
poll($node, q{SELECT count(*) > 0 FROM sync_job WHERE queue = 'alert' AND status = 'Failed'}, 'its job fails');
is(value(q{SELECT state FROM sync_job_alert WHERE name = 'broken'}), 'ok', 'and raises no alert');
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE sync_job_alert');
my $job = value(q{SELECT enqueue_sync_job('Debtor', '1')});
poll($node, "SELECT status IN ('Finished', 'Skipped') FROM sync_job WHERE id = $job", 'jobs run while somebody has locked the alerts');
$locker->quit;

# Of a long history only the last minutes are read: the pages that an index names, at each look.
value(q{DELETE FROM sync_job_alert; INSERT INTO sync_job_alert (name, measure, threshold) VALUES ('quiet', 'no_success', '1 day')});
value(q{INSERT INTO sync_job_internal.sync_job_ended
	SELECT (jsonb_populate_record(j, jsonb_build_object('id', 1000000 + n, 'ended_at', now() - interval '3 hours' + n * interval '1 ms'))).*
	FROM generate_series(1, 30000) AS n, sync_job_internal.sync_job_ended AS j WHERE j.id = (SELECT max(id) FROM sync_job_internal.sync_job_ended WHERE status = 'Finished')});
value('VACUUM ANALYZE sync_job_internal.sync_job_ended');
my $looks = sub { return value(q{SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'sync_job_ended_at'}) };
my $read_whole = sub { return value(q{SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'sync_job_ended'}) };
wait_for_looks($looks->());
my ($before, $looked) = ($read_whole->(), $looks->());
wait_for_looks($looked);
is($read_whole->(), $before, 'no look reads the whole history');

# Some looks more, which the statistics have only after a while.
sub wait_for_looks
{
	my ($from) = @_;
	return poll($node, "SELECT idx_scan >= $from + 6 FROM pg_stat_user_indexes WHERE indexrelname = 'sync_job_ended_at'", 'the scheduler looks by the index of ends');
}

$node->stop('fast');
unlike_accidents($node);
done_testing();
