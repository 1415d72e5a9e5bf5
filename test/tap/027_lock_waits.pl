# Rows that other sessions keep locked: the jobs that need them give their worker back, all others go on, the later jobs of the
# same documents stay behind them, and none of them has failed when the rows are free.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => "sync_job.neighbour_share = 0\n");
$node->safe_psql('postgres', q{
	UPDATE sync_job_queue SET max_workers = 1;
	CREATE TABLE source (id int PRIMARY KEY, v text);
	CREATE TABLE target (id int PRIMARY KEY, v text, writes text[] NOT NULL DEFAULT '{}');
	INSERT INTO source SELECT i, 'new' FROM generate_series(1, 1000) AS i;
	INSERT INTO target SELECT i, 'old' FROM generate_series(1, 1000) AS i;
	CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		new.writes := new.writes || (SELECT j.job_id FROM sync_job AS j WHERE j.id = current_sync_job());
		RETURN new;
	END $$;
	CREATE TRIGGER seen BEFORE UPDATE ON target FOR EACH ROW EXECUTE FUNCTION seen();
	CREATE FUNCTION slow_work(id int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_sleep(1.5);
		UPDATE target SET v = 'by hand' WHERE target.id = slow_work.id;
	END $$;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES
		('Declared', 'source', 'target', '{"id": "id"}', '{"v": {"expr": "source.v || '':'' || (context->>''n'')"}}')});

sub value { return $node->safe_psql('postgres', $_[0]) }
sub enqueue_one { return value(qq{SELECT enqueue_sync_job('Declared', '$_[0]', context => '{"n": $_[1]}', job_id => '$_[1]')}) }

# ---- Two rows are locked; one worker ----

my @lockers = map { $node->background_psql('postgres') } 1, 2;
my $locked = 1;
$_->query_safe('BEGIN; SELECT FROM target WHERE id = ' . $locked++ . ' FOR UPDATE') for @lockers;
my @waiting = map { enqueue_one($_, 1) } 1, 2;
my @behind = map { enqueue_one($_, 2) } 1, 2;
value(q{SELECT count(enqueue_sync_job('Declared', s, context => '{"n": 1}')) FROM source AS s WHERE id > 2});
poll($node, q{SELECT count(*) = 998 FROM target WHERE v = 'new:1'}, 'the 998 other documents are in step while two rows are locked');
is(value(q{SELECT count(*) FROM sync_job WHERE status IN ('Queued', 'Started')}), '4', 'the jobs of the locked rows wait, and those behind them');

# New work does not wait for them either, time and again.
for my $n (3 .. 5)
{
	my $job = enqueue_one(500, $n);
	poll($node, qq{SELECT status = 'Finished' FROM sync_job WHERE id = $job}, "a job that comes while they wait ends ($n)");
}
$_->query_safe('COMMIT') for @lockers;
$_->quit for @lockers;
is(wait_for_jobs($node), 'Finished=1005', 'all jobs end when the rows are free');
is(value('SELECT max(retry_count) FROM sync_job'), '0', 'at the first attempt');
is(value('SELECT count(*) FROM sync_job_error'), '0', 'no attempt of theirs has failed');
is(value(q{SELECT string_agg(array_to_string(writes, ' '), ', ') FROM target WHERE id <= 2}), '1 2, 1 2', 'each document has had its jobs in their order');

# ---- A time limit, a cancel while it is left out, and one that works before it waits ----

my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; UPDATE target SET v = v WHERE id IN (3, 4, 5)');
my $limited = value(q{SELECT enqueue_sync_job('Declared', '3', context => '{"n": 9}', timeout => '1 s', max_retries => 0)});
my $canceled = enqueue_one(4, 9);
my $worked = value(q{SELECT enqueue_background_job('slow_work', '{"id": 5}')});
poll($node, qq{SELECT status = 'Failed' FROM sync_job WHERE id = $limited}, 'a timeout shorter than the patience fails the job');
like(value("SELECT error_message FROM sync_job WHERE id = $limited"), qr/timeout of 00:00:01/, 'which says so');
poll($node, qq{SELECT status = 'Started' FROM sync_job WHERE id = $worked}, 'one that works before it waits is running');
is(value("SELECT status FROM cancel_sync_job($canceled, running => true)"), 'Canceled', 'a job that waits can be canceled');
$locker->query_safe('COMMIT');
$locker->quit;
is(wait_for_jobs($node), 'Canceled=1 Failed=1 Finished=1006', 'the others end');
is(value("SELECT retry_count FROM sync_job WHERE id = $worked"), '0', 'the one that worked at its first attempt');

unlike_accidents($node);
done_testing();
