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

$node->stop('fast');
unlike_accidents($node);
done_testing();
