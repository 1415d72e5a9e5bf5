# Old jobs are cleared by the scheduler, without pg_cron; what is still needed is kept.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => "sync_job.poll_interval = '1 s'");
sub value { return $node->safe_psql('postgres', $_[0]) }
sub kept { return value('SELECT count(*) FROM sync_job') }
load_probe($node, 3000);
value(q{CREATE FUNCTION fine() RETURNS void LANGUAGE sql AS ''; CREATE FUNCTION bad() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'bad'; END $$});

# By the default nothing that has just ended goes; nor with -1.
value(q{SELECT enqueue_sync_jobs('Probe', ARRAY(SELECT id::text FROM doc))});
is(wait_for_jobs($node), 'Finished=3000', 'jobs have ended');
value(q{SELECT publish_sync_job_event('long', to_jsonb(repeat('x', 9000)))});
value('ALTER DATABASE postgres SET sync_job.log_retention_days = -1');
my $failed = value(q{SELECT enqueue_background_job('bad')});
my $retried = value(q{SELECT enqueue_background_job('bad', max_retries => 1, retry_delay => '1 hour')});
my $waited_for = value(q{SELECT enqueue_background_job('fine')});
my $blocker = value(q{SELECT enqueue_background_job('bad', max_retries => 1, retry_delay => '1 hour')});
value(qq{SELECT enqueue_background_job('fine', after => ARRAY[$waited_for, $blocker])});
poll($node, q{SELECT count(*) = 3 FROM sync_job WHERE status = 'Failed'}, 'some have failed');
poll($node, qq{SELECT status = 'Finished' FROM sync_job WHERE id = $waited_for}, 'one has ended that another one waits for');
is(kept(), 3005, 'nothing is cleared');
is(value('CALL clear_sync_job_logs()') . kept(), 3005, 'nor by hand');

# Set for the database: the scheduler follows, in steps, with errors and events.
value('ALTER DATABASE postgres SET sync_job.log_retention_days = 0');
poll($node, 'SELECT count(*) = 4 FROM sync_job', 'what has ended goes');
is(value('SELECT string_agg(id::text, $$ $$ ORDER BY id) FROM sync_job WHERE id <= ' . $blocker), "$retried $waited_for $blocker", 'but for what is retried, and what another one waits for');
is(value("SELECT count(*) FROM sync_job_error WHERE sync_job = $failed"), '0', 'errors go with their jobs');
poll($node, 'SELECT count(*) = 0 FROM sync_job_event', 'events, too');
value("SELECT cancel_sync_job(ARRAY[$retried, $blocker])");
poll($node, 'SELECT count(*) = 0 FROM sync_job', 'the others when nothing needs them any more');

# With a day, what has just ended stays.
value('ALTER DATABASE postgres SET sync_job.log_retention_days = 1');
my $young = value(q{SELECT enqueue_background_job('fine')});
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $young", 'one more has ended');
my $looked = value('SELECT max(at) FROM sync_job_internal.last_success');
value(q{SELECT enqueue_background_job('fine')});
poll($node, "SELECT max(at) > '$looked' FROM sync_job_internal.last_success", 'the scheduler has looked since');
is(kept(), 2, 'and has cleared nothing');

# What is recorded of the documents of a set goes before it, in parts.
value("INSERT INTO sync_job_document (sync_job, source_document_name, operation, status) SELECT $young, n::text, 'Update', 'Finished' FROM generate_series(1, 3500) AS n");
value("UPDATE sync_job SET documents = 3500, ended_at = now() - interval '2 days' WHERE id = $young");
poll($node, "SELECT count(*) = 0 FROM sync_job WHERE id = $young", 'a set with many documents goes');
is(value('SELECT count(*) FROM sync_job_document'), '0', 'and its documents');

# Old ones among young ones, and changes of types.
my $last = value(q{SELECT max(id) FROM (SELECT enqueue_background_job('fine') AS id FROM generate_series(1, 600)) AS j});
is(wait_for_jobs($node), 'Finished=601', 'many young ones');
value("UPDATE sync_job SET ended_at = now() - interval '2 days' WHERE id IN ($last - 599, $last)");
poll($node, 'SELECT count(*) = 599 FROM sync_job', 'two old ones of them go, wherever they are');
value(q{INSERT INTO sync_job_type (name) VALUES ('Gone'); DELETE FROM sync_job_type WHERE name = 'Gone'; UPDATE sync_job_type_change SET changed_at = now() - interval '2 days'});
poll($node, q{SELECT count(*) = 0 FROM sync_job_type_change WHERE sync_job_type = 'Gone'}, 'so does the history of a type that is gone');
isnt(value('SELECT count(*) FROM sync_job_type_change'), '0', 'but not that of the others');

# Dry runs stay until a later job of their document has ended: one that applies them, alone or among many, or one that says more. What a
# waiting job will undo stays until it has done so.
value(q{CREATE TABLE copy (id int PRIMARY KEY, v int); INSERT INTO copy SELECT id, 0 FROM doc WHERE id <= 8;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, batchable)
	SELECT 'Copy', 'doc', 'copy', '{"id": "id"}', '{"v": "id"}', true});
sub copy_jobs { return value(q{SELECT string_agg(source_document_name || CASE WHEN dry_run THEN ' dry' ELSE '' END, ', ' ORDER BY id) FROM sync_job WHERE sync_job_type = 'Copy' AND operation <> 'Revert'}) }
my @dry = map { value("SELECT enqueue_sync_job('Copy', '$_', dry_run => true)") } 1 .. 6;
my $undone = value(q{SELECT enqueue_sync_job('Copy', '7')});
poll($node, q{SELECT count(*) = 7 FROM sync_job WHERE sync_job_type = 'Copy' AND status = 'Finished'}, 'dry runs have ended');
my $replay = value("SELECT enqueue_revert(ARRAY[$undone], scheduled_at => now() + interval '1 hour')");
value("SELECT apply_sync_job($dry[0])");
value("SELECT apply_sync_jobs(ARRAY[$dry[1], $dry[2]])");
value(q{SELECT enqueue_sync_job('Copy', '4')});
value(q{SELECT enqueue_sync_job('Copy', '5', dry_run => true)});
poll($node, q{SELECT count(*) = 2 FROM sync_job WHERE sync_job_type = 'Copy' AND status = 'Finished' AND source_document_name IN ('4', '5') AND id > } . $undone, 'later jobs have ended');
value(q{UPDATE sync_job SET ended_at = now() - interval '2 days' WHERE sync_job_type = 'Copy' AND ended_at IS NOT NULL});
poll($node, q{SELECT count(*) = 3 FROM sync_job WHERE sync_job_type = 'Copy' AND ended_at IS NOT NULL}, 'what is not needed goes');
is(copy_jobs(), '6 dry, 7, 5 dry', 'dry runs that can still be applied stay, and what is to be undone');
value("UPDATE sync_job SET scheduled_at = now() WHERE id = $replay");
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $replay", 'it is undone');
is(value(q{SELECT string_agg(v::text, ' ' ORDER BY id) FROM copy}), '1 2 3 4 0 0 0 0', 'and the others have been applied');

# By hand, everything goes.
value('SELECT clear_old_sync_jobs(1)');
is(copy_jobs(), '', 'by hand all goes');
value(q{DELETE FROM sync_job WHERE sync_job_type = 'Copy'});

# A publication keeps rows from being deleted: the log says so once, and all goes on when it is gone.
my $from = -s $node->logfile;
value(q{ALTER TABLE sync_job_error REPLICA IDENTITY NOTHING; CREATE PUBLICATION everything FOR ALL TABLES});
value("UPDATE sync_job SET ended_at = now() - interval '2 days' WHERE id > $last - 20 AND id < $last");
$node->wait_for_log(qr/LOG:  .*sync jobs could not be cleared/, $from);
for (1 .. 2)
{
	$looked = value('SELECT max(at) FROM sync_job_internal.last_success');
	value(q{SELECT enqueue_background_job('fine')});
	poll($node, "SELECT max(at) > '$looked' FROM sync_job_internal.last_success", 'the scheduler has looked again');
}
like_log($node, $from, qr/LOG:  .*sync jobs could not be cleared/, 1, 'the log has one line');
like_log($node, $from, qr/DETAIL:  Of the first of them: cannot delete from table "sync_job_error"/, 1, 'which says why');
is(value('SELECT count(*) FROM sync_job'), '601', 'they are kept');
value(q{DROP PUBLICATION everything; ALTER TABLE sync_job_error REPLICA IDENTITY DEFAULT});
poll($node, 'SELECT count(*) = 582 FROM sync_job', 'and go when it is gone');

$node->stop('fast');
unlike_accidents($node);
done_testing();
