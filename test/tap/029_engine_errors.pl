# Errors of the engine's own: where the end of a job cannot be recorded, or a job cannot be queued, released or recovered, that
# one is Failed or set aside, and nobody else notices. Trouble of the server is no job's: nothing is counted, and workers pause.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main');
my $offset = 0;    # of the log, from where a test looks
load_probe($node, 2000);
sub value { return $node->safe_psql('postgres', $_[0]) }

# What makes a row that is written raise an error: its title, in an index over a function.
value(q{
	UPDATE sync_job_queue SET max_workers = 1;
	CREATE ROLE other LOGIN;
	CREATE FUNCTION work() RETURNS int LANGUAGE sql AS 'SELECT 1';
	CREATE FUNCTION unspeakable() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'unspeakable'; END $$;
	CREATE TABLE refused (partition text, word text); GRANT SELECT ON refused TO PUBLIC;
	CREATE FUNCTION picky(here text, title text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN
		IF EXISTS (SELECT FROM public.refused AS r WHERE partition = here AND title LIKE '%' || word || '%') THEN
			RAISE 'no room for %', title;
		END IF;
		RETURN 1;
	END $$;
	CREATE INDEX picky_live ON sync_job_internal.sync_job_live (picky('live', title));
	CREATE INDEX picky_failed ON sync_job_internal.sync_job_failed (picky('failed', title));
	CREATE INDEX picky_ended ON sync_job_internal.sync_job_ended (picky('ended', title))});
sub refuse { return value("INSERT INTO refused VALUES ('$_[0]', '$_[1]')") }
sub accept_again { return value("DELETE FROM refused WHERE partition = '$_[0]'") }
sub others_are_served
{
	my ($name) = @_;
	my $job = value(q{SET SESSION AUTHORIZATION other; SELECT enqueue_background_job('work')});
	return poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $job", "$name: jobs of another role are run");
}

# Seconds between the lines of the log that say this.
sub times_between
{
	my ($line) = @_;
	my @at = map { /^\S+ (\d+):(\d+):([\d.]+) / ? $1 * 3600 + $2 * 60 + $3 : () } grep { /$line/ } split /\n/, substr(slurp_file($node->logfile), $offset);
	return map { $at[$_] - $at[ $_ - 1 ] + 0.5 } 1 .. $#at;
}

# ---- The end of an attempt ----

refuse('ended', 'bad end');
my ($first, $bad, $last) = split /\|/, value(q{
	SELECT enqueue_background_job('work'), enqueue_background_job('work', title => 'bad end', max_retries => 1, retry_delay => '10 ms'), enqueue_background_job('work')});
is(wait_for_jobs($node), 'Failed=1 Finished=2', 'a job whose end cannot be recorded is Failed, its neighbours in the batch are finished');
is(value("SELECT split_part(error_message, E'\\n', 1), retry_count FROM sync_job WHERE id = $bad"), 'no room for bad end|1', 'with the reason, after its retries');
is(value("SELECT string_agg(attempt || ':' || counted, ' ' ORDER BY attempt) FROM sync_job_error WHERE sync_job = $bad"), '1:true 2:true', 'each attempt counts');
is(value(q{SELECT status, split_part(error_message, E'\n', 1) FROM execute_sync_job(enqueue_background_job('work', title => 'bad end by hand'))}),
	'Failed|no room for bad end by hand', 'so does one that a session runs in its transaction');
value(q{SELECT enqueue_background_job('work', title => 'bad end of a procedure')});
value(q{CREATE PROCEDURE committing() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$; SELECT enqueue_background_job('committing', title => 'bad end, committing')});
is(wait_for_jobs($node), 'Failed=4 Finished=2', 'and one that has committed');

# Its callback is gone by the time it ends.
value(q{CREATE FUNCTION callback(sync_job bigint) RETURNS void LANGUAGE sql AS ''});
my $calls = value(q{SELECT enqueue_background_job('work', on_success => 'callback', scheduled_at => now() + interval '500 ms')});
value('DROP FUNCTION callback(bigint)');
is(wait_for_jobs($node), 'Failed=4 Finished=3', 'a callback that is gone does not keep its job from ending');

# Its row in sync_job_error is refused, and what it says about that is not.
value(q{ALTER TABLE sync_job_error ADD CONSTRAINT decent CHECK (message <> 'unspeakable')});
my $refused = value(q{SELECT enqueue_background_job('unspeakable', publish_event => true)});
is(wait_for_jobs($node), 'Failed=5 Finished=3', 'a job whose error cannot be kept is Failed');
like(value("SELECT error_message FROM sync_job WHERE id = $refused"), qr/violates check constraint "decent"/, 'and says why');
value(q{ALTER TABLE sync_job_error DROP CONSTRAINT decent});

# Locked by somebody, and the role has no patience.
value(q{ALTER ROLE other SET lock_timeout = '100ms'});
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE sync_job_error IN SHARE MODE');
my $hasty = value(q{SET SESSION AUTHORIZATION other; SELECT enqueue_background_job('unspeakable')});
poll($node, "SELECT status = 'Failed' FROM sync_job WHERE id = $hasty", 'a table of errors that is locked does not keep a job from ending');
others_are_served('behind a lock');
$locker->query_safe('ROLLBACK');

# A failure that cannot be recorded at all: the others run, the log says so once, and the job ends when it can.
refuse('failed', 'bad end');
$offset = -s $node->logfile;
($bad, $last) = split /\|/, value(q{SELECT enqueue_background_job('work', title => 'a bad end for long'), enqueue_background_job('work')});
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $last", 'a job of the same role, behind one that cannot even fail, is run');
others_are_served('beside it');
ok($node->wait_for_log(qr/sync job $bad could not be recorded as Failed/, $offset), 'the log says so');
poll($node, "SELECT status = 'Started' OR status = 'Queued' FROM sync_job WHERE id = $bad", 'it is not lost');
accept_again($_) for 'failed', 'ended';
poll($node, "SELECT status IN ('Finished', 'Failed') FROM sync_job WHERE id = $bad", 'and ends when it can');
# Once for each worker: the two roles take turns with the one there may be.
my $times = () = substr(slurp_file($node->logfile), $offset) =~ /sync job $bad could not be recorded as Failed/g;
cmp_ok($times, '<=', 5, 'what kept it is not said over and over');

# ---- Whatever is done for several jobs ----

# Retries that are due: thousands, and in their midst one that cannot be queued.
my $count = 1500;
value("SELECT count(enqueue_sync_job('Probe', i::text, context => '{\"fail\": \"first\"}', max_retries => 1, retry_delay => '1 h')) FROM generate_series(1, $count) AS i");
$bad = value(q{SELECT enqueue_background_job('unspeakable', title => 'bad retry', max_retries => 1, retry_delay => '1 h')});
poll($node, "SELECT count(*) = $count + 1 FROM sync_job WHERE retry_after IS NOT NULL", 'jobs that have failed');
refuse('live', 'bad retry');
$offset = -s $node->logfile;
value(q{UPDATE sync_job SET retry_after = now() - interval '1 s' * (id % 100) WHERE retry_after IS NOT NULL});
value(q{SELECT pg_reload_conf(); SELECT enqueue_sync_job('Probe', '2000')});
poll($node, "SELECT count(*) = $count FROM sync_job WHERE sync_job_type = 'Probe' AND retry_count = 1 AND status = 'Failed' AND retry_after IS NULL",
	'all due retries are run but the one that cannot be queued');
is(status_of($node, $bad), 'Failed', 'which stays');
others_are_served('meanwhile');
like_log($node, $offset, qr/sync job $bad could not be queued for its retry/, 1, 'the log says so once');
accept_again('live');
poll($node, "SELECT retry_count = 1 FROM sync_job WHERE id = $bad", 'it is tried again');

# Dependents: one that cannot be canceled.
$offset = -s $node->logfile;
refuse('ended', 'bad dependent');
$first = value(q{SELECT enqueue_background_job('unspeakable', scheduled_at => now() + interval '1 s')});
($bad, $last) = split /\|/, value(qq{SELECT enqueue_background_job('work', title => 'bad dependent', after => ARRAY[$first]),
	enqueue_background_job('work', job_id => repeat(chr(1), 1400), publish_event => true, after => ARRAY[$first])});
poll($node, "SELECT status = 'Canceled' FROM sync_job WHERE id = $last", 'a dependent is canceled');
is(status_of($node, $bad), 'Pending', 'beside one that cannot be');
others_are_served('beside dependents');
ok($node->wait_for_log(qr/sync job $bad could not be let go/, $offset), 'the log says so');
is(value(q{SELECT count(*) FROM sync_job_event WHERE event = 'sync_job_ended' AND message->>'status' = 'Canceled' AND length(message->>'job_id') = 1400}), '1',
	'an event that does not fit a notification is kept');
$node->psql('postgres', "SELECT cancel_sync_job(ARRAY[$bad]::bigint[])", stderr => \my $said);
like($said, qr/WARNING:  could not cancel sync job $bad: no room for bad dependent/m, 'a session that cancels several is warned');
accept_again('ended');
poll($node, "SELECT status = 'Canceled' FROM sync_job WHERE id = $bad", 'it is canceled when it can be');

# Jobs whose worker has gone: one that cannot be queued again.
close_gate($node);
value(q{UPDATE sync_job_queue SET max_workers = 2; CREATE FUNCTION at_gate() RETURNS int LANGUAGE plpgsql AS
	$$ BEGIN WHILE EXISTS (SELECT FROM gate) LOOP PERFORM pg_sleep(0.02); END LOOP; RETURN 1; END $$});
($bad, $last) = split /\|/, value(q{SELECT enqueue_background_job('at_gate', title => 'bad orphan'), enqueue_background_job('at_gate')});
poll($node, "SELECT count(*) = 2 FROM sync_job WHERE id IN ($bad, $last) AND status = 'Started'", 'two jobs run');
refuse('live', 'bad orphan');
$offset = -s $node->logfile;
value("SELECT pg_terminate_backend(pid) FROM sync_job_activity WHERE sync_job IN ($bad, $last)");
open_gate($node);
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $last", 'one whose worker has gone is run again');
ok($node->wait_for_log(qr/sync job $bad could not be recovered/, $offset), 'beside one that cannot be');
accept_again('live');
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $bad", 'and is, later');

# ---- Trouble of the server ----

# While a file of the engine's own is damaged, or has gone, no job is charged, and all are finished when that has been mended.
for my $trouble (
	[ 'sync_job_internal.sync_job_ended_id', 'a damaged index', qr/index "sync_job_ended_id"/,
		sub { my ($path, $bytes) = ($_[0], -s $_[0]); open(my $file, '+<', $path) or die "$path: $!"; print {$file} "\0" x $bytes; close $file },
		sub { value(q{REINDEX INDEX sync_job_internal.sync_job_ended_id}) } ],
	[ 'sync_job_deleted_document', 'a missing table', qr/could not open file/, sub { rename $_[0], "$_[0].away" or die }, sub { rename "$_[0].away", $_[0] or die } ])
{
	my ($relation, $name, $said, $damage, $mend) = @$trouble;
	value(q{ALTER DATABASE postgres SET sync_job.enabled = off; SELECT clear_all_sync_jobs()});
	poll($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'sync job worker'}, 'the workers have ended');
	value(q{SELECT count(enqueue_sync_job('Probe', i::text)) FROM generate_series(101, 120) AS i; SELECT enqueue_sync_job('Probe Committing', '101')});
	value(q{SELECT enqueue_background_job('work', max_retries => 0); UPDATE sync_job_queue SET max_workers = 1});
	my $path = $node->data_dir . '/' . value("CHECKPOINT; SELECT pg_relation_filepath('$relation')");
	$node->stop('fast');
	$damage->($path);
	$node->start;
	$offset = -s $node->logfile;
	value(q{ALTER DATABASE postgres RESET sync_job.enabled});
	ok($node->wait_for_log(qr/sync job worker: a round failed: $said/, $offset), "$name: the log says so");
	poll($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'sync job worker'}, 'the worker stays');
	is(value(q{SELECT count(*) FROM sync_job_internal.sync_job_failed WHERE retry_after IS NULL}), '0', 'no job has failed for good');
	$mend->($path);
	value(q{UPDATE sync_job SET retry_after = now() WHERE status = 'Failed'});
	is(wait_for_jobs($node), 'Finished=22', 'when it is mended all jobs are finished')
	  or diag(value(q{SELECT sync_job, attempt, sqlstate, message, context FROM sync_job_error ORDER BY 1, 2 LIMIT 5}));
	is(value(q{SELECT max(retry_count) FROM sync_job}), '0', 'and nothing is counted');
	is(value(q{SELECT count(*) FROM sync_job_error WHERE counted}), '0', 'no attempt is');
	like_log($node, $offset, qr/sync job worker: a round failed/, 1, 'the trouble was said once');
}
ok($node->wait_for_log(qr/sync job worker: rounds succeed again/, $offset), 'and that it is over');

# A scheduler that ends at once is started again with growing pauses.
$offset = -s $node->logfile;
value(q{ALTER INDEX sync_job_internal.sync_job_live_claim RENAME TO away;
	SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE backend_type = 'sync job scheduler'});
my $again = qr/the sync job scheduler of database "postgres" keeps ending/;
my $ends = qr/pg_sync_job worker ends: extension pg_sync_job is damaged/;
ok($node->wait_for_log(qr/(?s:$ends.*){4}/, $offset), 'a scheduler that ends at once is started again');
my $pauses = join ' ', map { int } times_between($ends);
like($pauses, qr/^\d+ [1-9]\d* [3-9]\d*/, "with growing pauses: $pauses");
like_log($node, $offset, $again, 1, 'the log says so once');
value(q{ALTER INDEX sync_job_internal.away RENAME TO sync_job_live_claim});
poll($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'sync job scheduler' AND state = 'idle'}, 'and comes back');

# An error of the server that has passed through the extension says where it was raised when the memory of what has failed has gone: that
# of an expression in a DO block, so large that the system takes it back.
my $large = 'length(repeat($$x$$, 7000)) + ' x 60;
my ($status, $out, $err) = $node->psql('postgres', qq{\\set VERBOSITY verbose
	BEGIN READ ONLY;
	DO 'DECLARE n bigint; BEGIN n := $large enqueue_background_job(\$\$work\$\$); END'});
like($err, qr/cannot execute enqueue_sync_job\(\).*\nLOCATION:  PreventCommandIfReadOnly, utility\.c:\d+/s, 'an error says where it was raised');

# A library that is not of the extension's version: one line, with what to do, from one scheduler that stays.
my $version = value(q{SELECT extversion FROM pg_extension WHERE extname = 'pg_sync_job'});
value(q{UPDATE pg_extension SET extversion = '0.0.9' WHERE extname = 'pg_sync_job'});
$node->restart;
$offset = -s $node->logfile;
my $mismatch = qr/extension pg_sync_job has version 0\.0\.9, but the library has version/;
value(q{SELECT pg_reload_conf()}) for 1 .. 3;
poll($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'sync job scheduler' AND state = 'idle' AND now() - backend_start > '3 s'},
	'a scheduler waits for the update');
my $said_once = slurp_file($node->logfile);
is(scalar(() = substr($said_once, rindex($said_once, 'starting PostgreSQL')) =~ /$mismatch/g), 1, 'the log names both versions once');
like($said_once, qr/$mismatch.*\n.*HINT:  .*ALTER EXTENSION pg_sync_job UPDATE/, 'and what to do');
value(qq{UPDATE pg_extension SET extversion = '$version' WHERE extname = 'pg_sync_job'; SELECT pg_reload_conf()});
others_are_served('after that');

$node->stop('fast');
unlike_accidents($node);
done_testing();
