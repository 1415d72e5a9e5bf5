# Several databases: each is served, and DROP, RENAME, TABLESPACE and TEMPLATE find them free of our processes.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => "sync_job.max_workers = 12\nsync_job.poll_interval = '1s'");
$node->safe_psql('postgres', 'DROP EXTENSION pg_sync_job');
my $offset = -s $node->logfile;

sub make_database
{
	my ($name) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, 'CREATE EXTENSION pg_sync_job');
	load_probe($node, 20, $name);
	$node->safe_psql($name, 'UPDATE sync_job_queue SET max_workers = 4');
	return;
}

sub finished_soon
{
	my ($database, $name) = @_;
	my $job = enqueue($node, 'Probe', 1, undef, $database);
	return poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $job", $name, $database);
}

sub make_busy
{
	my ($database) = @_;
	close_gate($node, $database);
	my @jobs = map { enqueue($node, $_, 2, q{context => '{"gate": "closed"}'}, $database) } ('Probe', 'Probe Alone');
	$node->poll_query_until($database, q{SELECT count(*) = 2 FROM sync_job WHERE status = 'Started'});
	return @jobs;
}

# Two databases: each has its own, and one that hangs does not hold up the other.
make_database($_) for 'one', 'two';
finished_soon($_, "database $_ is served") for 'one', 'two';
make_busy('one');
finished_soon('two', 'also while the other is busy');
is($node->safe_psql('two', q{SELECT count(DISTINCT pid) FROM sync_job_activity WHERE sync_job IS NOT NULL}), '0', 'each shows its own activity');

# Who may not have the database cannot stop its workers by asking for it.
my $pids = $node->safe_psql('one', q{SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM sync_job_activity WHERE state = 'running'});
$node->safe_psql('postgres', 'CREATE ROLE stranger LOGIN');
for my $command ('DROP DATABASE one', 'DROP DATABASE one WITH (FORCE)', 'ALTER DATABASE one RENAME TO mine', 'ALTER DATABASE one SET TABLESPACE pg_global',
	'CREATE DATABASE mine TEMPLATE one')
{
	my ($code, $out, $err) = $node->psql('postgres', $command, extra_params => [ '-U', 'stranger' ]);
	like($err, qr/must be owner|permission denied/, "a stranger may not $command");
}
is($node->safe_psql('one', q{SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM sync_job_activity WHERE state = 'running'}), $pids,
	'and does not disturb what runs in it');
my ($code, $out, $err) = $node->psql('postgres', 'BEGIN; DROP DATABASE one;');
like($err, qr/cannot run inside a transaction block/, 'a DROP in a transaction block fails');
finished_soon('one', 'and the database is served on');
open_gate($node, 'one');
wait_for_jobs($node, 'one');

# The commands, with idle and with busy workers.
for my $state ('idle', 'busy')
{
	my $busy = $state eq 'busy' ? \&make_busy : sub { return };

	$busy->('one');
	is($node->psql('postgres', 'ALTER DATABASE one RENAME TO uno'), 0, "RENAME with $state workers");
	finished_soon('uno', 'it is served under its new name');
	open_gate($node, 'uno');
	$busy->('uno');
	is($node->psql('postgres', 'ALTER DATABASE uno RENAME TO one'), 0, 'and back');
	open_gate($node, 'one');
	is(wait_for_jobs($node, 'one') =~ /Failed/, '', 'what ran is run again');

	my $space = PostgreSQL::Test::Utils::tempdir();
	$node->safe_psql('postgres', "CREATE TABLESPACE space_$state LOCATION '$space'");
	$busy->('one');
	is($node->psql('postgres', "ALTER DATABASE one SET TABLESPACE space_$state"), 0, "SET TABLESPACE with $state workers");
	open_gate($node, 'one');
	finished_soon('one', 'it is served from there');

	# The server counts sessions, whoever they are: a copy is made of a database without.
	$busy->('one');
	is($node->psql('postgres', "CREATE DATABASE copy_$state TEMPLATE one"), 0, "TEMPLATE with $state workers");
	open_gate($node, 'one');
	finished_soon('one', 'the template is served on');
	is($node->safe_psql("copy_$state", q{SELECT note FROM sync_job_queue_status WHERE queue = 'default'}), 'waits for adopt_sync_jobs()', 'its copy waits');
	open_gate($node, "copy_$state");
	my $waiting = enqueue($node, 'Probe', 5, undef, "copy_$state");
	is(status_of($node, $waiting, "copy_$state"), 'Queued', 'its jobs do not run');
	$node->safe_psql("copy_$state", 'SELECT adopt_sync_jobs()');
	poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $waiting", 'until they are adopted', "copy_$state");
	wait_for_jobs($node, "copy_$state");

	$busy->("copy_$state");
	is($node->psql('postgres', "DROP DATABASE copy_$state"), 0, "DROP DATABASE with $state workers");
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_database WHERE datname = 'copy_$state'"), '0', 'it is gone');
	wait_for_jobs($node, 'one');
}

# One that fails for another reason: the database is served again.
my $visitor = $node->background_psql('one');
($code, $out, $err) = $node->psql('postgres', 'ALTER DATABASE one RENAME TO two');
like($err, qr/already exists/, 'a RENAME that fails');
$visitor->quit;
finished_soon('one', 'leaves a database that is served');

# sync_job.enabled, for one database.
$node->safe_psql('postgres', 'ALTER DATABASE one SET sync_job.enabled = off');
poll($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'one' AND backend_type = 'sync job worker'}, 'a database that is not enabled has no workers');
my $job = enqueue($node, 'Probe', 6, undef, 'one');
finished_soon('two', 'the other one is served');
is(status_of($node, $job, 'one'), 'Queued', 'its jobs wait');
$node->safe_psql('postgres', 'ALTER DATABASE one RESET sync_job.enabled');
poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $job", 'until it is enabled again', 'one');

sub no_trouble { return like_log($node, $offset, qr/(LOG|WARNING|ERROR|FATAL): .*(keeps ending|did not come up|cleaning up)/, 0, "no trouble in the log $_[0]") }
no_trouble('so far');

# The setting changes when a scheduler has just connected, and so has the old value: it waits for the extension, which is locked.
my $scheduler = q{FROM pg_stat_activity WHERE datname = 'one' AND backend_type = 'sync job scheduler'};
for my $change ([ 'SET sync_job.enabled = off', 'Queued' ], [ 'RESET sync_job.enabled', 'Finished' ], [ 'SET sync_job.enabled = off', 'Queued' ], [ 'SET sync_job.enabled = on', 'Finished' ])
{
	my ($command, $status) = @$change;
	my $locker = $node->background_psql('one', on_error_stop => 0);
	$locker->query('BEGIN; ALTER EXTENSION pg_sync_job UPDATE');
	my $old = $node->safe_psql('postgres', "SELECT pid $scheduler");
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) $scheduler") if $old ne '';
	$node->poll_query_until('postgres', "SELECT count(*) = 1 $scheduler AND wait_event_type = 'Lock'" . ($old ne '' ? " AND pid <> $old" : '')) or die 'no scheduler waits';
	$node->safe_psql('postgres', "ALTER DATABASE one $command");
	$locker->query('ROLLBACK');
	$locker->quit;
	$job = enqueue($node, 'Probe', 7, undef, 'one');
	finished_soon('two', "another one is served after $command");
	poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $job", "a job after $command runs", 'one') if $status eq 'Finished';
	poll($node, "SELECT count(*) = 1 $scheduler AND state = 'idle'", "a scheduler is there after $command") if $status eq 'Queued';
	is(status_of($node, $job, 'one'), $status, "a job after $command is $status");
}

# That the schedulers which were terminated here keep ending was said rightly.
$offset = -s $node->logfile;

# A template, and one that takes no connections, are left alone.
$node->safe_psql('postgres', 'ALTER DATABASE two IS_TEMPLATE true; ALTER DATABASE one ALLOW_CONNECTIONS false');
$node->restart;
$node->safe_psql('postgres', 'CREATE DATABASE three TEMPLATE two');
poll($node, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'three' AND backend_type = 'sync job scheduler'}, 'a database made of a template is looked at');
is($node->safe_psql('postgres', q{SELECT string_agg(datname, ',') FROM pg_stat_activity WHERE backend_type = 'sync job scheduler'}), 'three',
	'templates and databases without connections are not served');

no_trouble('at the end');
$node->stop('fast');
unlike_accidents($node);
done_testing();
