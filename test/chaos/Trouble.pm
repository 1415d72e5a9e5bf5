# Scenarios of the chaos suite: what happens to the processes of the server, and what it runs out of.
#
# A scenario is a line in the table: its name => [ its group, how often it is chosen, what it does ]. SCENARIOS chooses by name or group.
package Trouble;

use strict;
use warnings;
use IPC::Run ();
use Time::HiRes qw(usleep);
use Server;

my %kinds = (
	'a worker' => qr/sync job worker/,
	'a scheduler' => qr/sync job scheduler/,
	'the launcher' => qr/sync job launcher/,
	'a session' => qr/\[local\]/,
);

our %scenarios = (
	'kill the postmaster' => [ kill => 1, sub { server->kill9; usleep(rand 500_000); wait_until_up() } ],
	'kill the checkpointer' => [ kill => 1, sub { signal_one('KILL', qr/checkpointer/) } ],
	'kill autovacuum' => [ kill => 1, sub { signal_one('KILL', qr/autovacuum worker/) } ],
	'terminate all workers' => [ terminate => 2, sub { backends(q{backend_type = 'sync job worker'}) } ],
	'terminate everybody' => [ terminate => 1, sub { backends('pid <> pg_backend_pid()') } ],
	'cancel running jobs' => [ cancel => 4, \&cancel_jobs ],
	'restart fast' => [ restart => 2, sub { wait_until_up(); server->restart } ],
	'restart immediately' => [ restart => 2, sub { wait_until_up(); server->stop('immediate'); server->start } ],
	'reload' => [ restart => 1, sub { wait_until_up(); server->reload } ],
	'promote a standby' => [ promotion => 1, sub { wait_until_up(); replace_server() } ],
	'a full disk' => [ disk => 2, sub { fill_disk(1 + rand 4) } ],
	'few worker slots' => [ shortage => 1, sub { few_slots(2 + int rand 6) } ],
	'no connections' => [ shortage => 1, \&no_connections ],
	'no locks' => [ shortage => 2, \&no_locks ],
	'workers off and on' => [ shortage => 1, \&off_and_on ],
	'paused types' => [ shortage => 2, sub { attempt(q{UPDATE sync_job_type SET paused = true WHERE name IN ('Mirrored', 'Shadowed', 'Copied', 'Counted')}); usleep(rand 2e6); attempt('UPDATE sync_job_type SET paused = false WHERE paused') } ],
	'a paused full sync' => [ shortage => 2, sub { attempt(q{SELECT pause_sync_job(id) FROM sync_job WHERE operation = 'Full Sync' AND status IN ('Queued', 'Started')}); usleep(rand 2e6); attempt($Upheaval::start_pending) } ],
	'a paused queue' => [ shortage => 1, sub { attempt(q{SELECT pause_sync_job_queue('default'); SELECT pg_sleep(1); SELECT resume_sync_job_queue('default')}) } ],
);

# The same is done to each kind of process.
for my $kind (keys %kinds)
{
	my $weight = $kind eq 'a worker' ? 4 : 1;
	$scenarios{"kill $kind"} = [ kill => $weight, sub { signal_one('KILL', $kinds{$kind}) } ];
	$scenarios{"terminate $kind"} = [ terminate => $weight, sub { signal_one('TERM', $kinds{$kind}) } ];
	$scenarios{"interrupt $kind"} = [ cancel => $weight, sub { signal_one('INT', $kinds{$kind}) } ];
	$scenarios{"freeze $kind"} = [ freeze => $weight, sub { freeze($kinds{$kind}, 0.2 + rand 4) } ];
}

sub freeze
{
	my ($kind, $seconds) = @_;
	my $pid = signal_one('STOP', $kind) or return;
	usleep($seconds * 1e6);
	return kill 'CONT', $pid;
}

sub backends
{
	my ($which) = @_;
	return attempt("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type IN ('client backend', 'sync job worker', 'sync job scheduler') AND $which");
}

sub cancel_jobs
{
	for (1 .. 1 + rand 10)
	{
		attempt(q{SELECT count(*) FROM sync_job_activity AS a, cancel_sync_job(a.sync_job, 'chaos', running => true)
			WHERE a.sync_job IN (SELECT id FROM sync_job WHERE trigger_type = 'Manual' AND sync_job_type NOT IN ('Mirrored', 'Shadowed') AND coalesce(procedure, '') !~ 'called_back')});
		usleep(rand 200_000);
	}
	return 1;
}

sub few_slots
{
	my ($slots) = @_;
	return with_settings("max_worker_processes = $slots\n", sub { usleep(3e6) });
}

# Ordinary sessions take all connections, including those for superusers.
sub no_connections
{
	my @sessions = map { IPC::Run::start([ 'psql', '-XAtq', '-d', 'service=chaos', '-c', 'SELECT pg_sleep(5)' ], '<', \undef, '>', '/dev/null', '2>', '/dev/null') } 1 .. 45;
	$_->finish for @sessions;
	return 1;
}

# The shared lock table is full for some seconds.
sub no_locks
{
	return attempt(sprintf q{
		DO $$ BEGIN
			FOR i IN 1 .. 1000000 LOOP PERFORM pg_advisory_lock(-1, i); END LOOP;
		EXCEPTION WHEN out_of_memory THEN NULL;
		END $$;
		SELECT pg_sleep(%.1f)}, 1 + rand 3);
}

sub off_and_on
{
	attempt('ALTER SYSTEM SET sync_job.max_workers = 0');
	attempt('SELECT pg_reload_conf(), pg_sleep(1)');
	ask('ALTER SYSTEM RESET sync_job.max_workers');
	return ask('SELECT pg_reload_conf()');
}

1;
