# The stock sync of docs/recipes.md on 500 outlets, seven of them bad: progress is heard while it runs, a second click starts
# nothing, the report job follows it; and killed in the middle it goes on from its last chunk, so that each outlet is synced
# exactly once.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use Listener;
use SyncJob;

my $node = new_cluster('stock', conf => "restart_after_crash = on\nsync_job.progress_interval = 50ms\n");
$node->safe_psql('postgres', '', extra_params => [ '-f', "$ENV{CHECKOUT}/controllers/stock_sync/install.sql" ]);

# Each outlet takes a few milliseconds, and is counted: once in its transaction, once however that ends.
$node->safe_psql('postgres', q{
	CREATE TABLE audit (warehouse text, sync_job bigint DEFAULT current_sync_job());
	CREATE SEQUENCE tries;
	CREATE TABLE held (warehouse text);
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM nextval('public.tries'), pg_sleep(0.006);
		WHILE EXISTS (SELECT FROM public.held AS h WHERE h.warehouse = new.warehouse) LOOP
			PERFORM pg_sleep(0.02);
		END LOOP;
		INSERT INTO public.audit (warehouse) VALUES (new.warehouse);
		RETURN NULL;
	END $$;
	CREATE TRIGGER note AFTER UPDATE ON stock_sync.stock FOR EACH ROW EXECUTE FUNCTION note();
	INSERT INTO stock_sync.outlet (id, name, outlet_group, warehouse)
	SELECT i, 'Outlet ' || i, 'all', CASE WHEN i % 70 <> 0 THEN 'W-' || i END FROM generate_series(1, 500) AS i;
	INSERT INTO stock_sync.stock SELECT warehouse, 'cone', 1000 FROM stock_sync.outlet WHERE warehouse IS NOT NULL;});

# Three sales in each outlet, and nothing noted yet.
sub sell
{
	$node->safe_psql('postgres', q{
		TRUNCATE audit, stock_sync.pos_invoice, stock_sync.report;
		ALTER SEQUENCE tries RESTART;
		UPDATE stock_sync.stock SET quantity = 1000 WHERE quantity <> 1000;
		TRUNCATE audit;
		ALTER SEQUENCE tries RESTART;
		INSERT INTO stock_sync.pos_invoice (warehouse, item, quantity)
		SELECT warehouse, 'cone', 1 FROM stock_sync.outlet, generate_series(1, 3) WHERE warehouse IS NOT NULL;});
	return;
}

sub value { return $node->safe_psql('postgres', $_[0]); }

# What is right however the job went.
sub check_result
{
	my ($job, $how) = @_;
	ok($node->poll_query_until('postgres', "SELECT (get_sync_job_status($job)).status = 'Finished'"), "$how: it ends")
	  or diag(value('SELECT id, title, status, error_message FROM sync_job ORDER BY id'));
	is(value("SELECT result->>'total', result->>'success', result->>'errors' FROM sync_job WHERE id = $job"), '500|493|7',
		"$how: 493 outlets are right");
	is(value(qq{SELECT string_agg(e->>'outlet', ' ' ORDER BY place), min(e->>'error'), count(DISTINCT e->>'error')
		FROM sync_job, jsonb_array_elements(result->'error_details') WITH ORDINALITY AS d (e, place) WHERE id = $job}),
		join(' ', map { "Outlet $_" } 70, 140, 210, 280, 350, 420, 490) . '|no warehouse configured for Outlet 140|7',
		"$how: the summary names the seven that are not, and says why");
	is(value('SELECT count(*), count(DISTINCT warehouse) FROM audit'), '493|493', "$how: each outlet was synced exactly once");
	is(value("SELECT count(*) FROM stock_sync.stock WHERE quantity = 997"), '493', "$how: each sale was taken off once");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM stock_sync.report WHERE sync_job = $job"), "$how: the report job follows");
	is(value("SELECT r.started_at >= s.ended_at, r.queue, r.timeout = '5 min' FROM sync_job AS s, sync_job AS r
		WHERE s.id = $job AND r.id > $job AND r.title = 'Stock sync report'"), 't|short|t', "$how: after it, on the short queue");
	return;
}

# Starts one that stays at an outlet in the middle of its fifth chunk, until let_go().
sub start_and_hold
{
	my ($how) = @_;
	value(q{INSERT INTO held VALUES ('W-225')});
	my $job = value('SELECT stock_sync.start()');
	ok($node->poll_query_until('postgres',
		"SELECT coalesce((SELECT description LIKE '%(224/500)' FROM sync_job_activity WHERE sync_job = $job), false)"),
		"$how: it has come some way");
	return $job;
}

sub let_go
{
	value('DELETE FROM held');
	return;
}

# ---- Undisturbed ----

sell();
my $listener = Listener->new($node, 'postgres', 'sync_job_progress', 'sync_job');
my $job = value('SELECT stock_sync.start()');
ok(defined $listener->wait_for('sync_job_progress', qr/"sync_job": $job, "percent": [1-9]/), 'a listener hears of progress')
  or diag(explain [ $listener->heard ]);
is(value("SELECT status FROM get_sync_job_status($job)"), 'Started', 'while it runs');
is(value('SELECT stock_sync.start()'), $job, 'a second click gets the number of the job that runs');
like(value("SELECT percent, title, description FROM sync_job_activity WHERE sync_job = $job"),
	qr{^\d[\d.]*\|Stock sync\|Processing Outlet \d+ \(\d+/500\)$}, 'sync_job_activity shows what it does');
check_result($job, 'undisturbed');
is(value('SELECT count(*) FROM sync_job'), '2', 'a second click has started nothing');
my $complete = $listener->wait_for('sync_job', qr/stock_sync_complete/);
like($complete, qr/"success": 493/, 'the listener hears the summary');
my @percents = map { /"percent": ([\d.]+)/ } $listener->payloads('sync_job_progress');
is_deeply(\@percents, [ sort { $a <=> $b } @percents ], 'percentages only rise');
cmp_ok(scalar(@percents), '>=', 5, 'many are heard');
cmp_ok(scalar(@percents), '<', 200, 'but far from all that were reported');
is(scalar(grep { /stock_sync_complete/ } $listener->payloads('sync_job')), 1, 'one event in all');
is(scalar($listener->payloads('sync_job')), 1, 'and no notification for each job');
$listener->stop;

# ---- The worker killed in the middle ----

sell();
$job = start_and_hold('killed worker');
my $pid = value("SELECT pid FROM sync_job_activity WHERE sync_job = $job");
kill 'KILL', $pid;
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)"), 'killed worker: it is gone');
is(value("SELECT checkpoint->>'done' FROM sync_job WHERE id = $job"), '200', 'killed worker: its last chunk is written down');
let_go();
check_result($job, 'killed worker');
is(value("SELECT retry_count FROM sync_job WHERE id = $job"), '1', 'killed worker: the crash was one attempt');
is(value("SELECT sqlstate FROM sync_job_error WHERE sync_job = $job"), '57P02', 'killed worker: and is on record');
# A crash may move a sequence on by up to 32.
cmp_ok(value('SELECT last_value FROM tries'), '<=', 493 + 50 + 33, 'killed worker: no more than one chunk was done again');
cmp_ok(value('SELECT last_value FROM tries'), '>', 493, 'killed worker: in the middle of a chunk, in fact');

# ---- The whole server killed in the middle ----

sell();
$job = start_and_hold('killed server');
my @children = split /\n/, value('SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
$node->kill9;
for (1 .. 600)  # they have to notice first
{
	last if !grep { kill 0, $_ } @children;
	usleep(100_000);
}
$node->start;
let_go();
check_result($job, 'killed server');
cmp_ok(value('SELECT last_value FROM tries'), '<=', 493 + 50 + 33, 'killed server: no more than one chunk was done again');

# ---- A fast restart in the middle ----

sell();
$job = start_and_hold('restart');
$node->restart;
let_go();
check_result($job, 'restart');
is(value("SELECT retry_count FROM sync_job WHERE id = $job"), '0', 'restart: that is no failed attempt');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|terminated by signal (?!9)|reference leak|non-empty SPI stack/, 'the log tells of no other accident');
done_testing();
