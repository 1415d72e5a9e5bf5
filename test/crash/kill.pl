# Processes are killed, most with signal 9, at random moments while jobs of each kind are enqueued and run. In the end every
# job has had its effect once.
#
#   SECONDS_OF_CRASHES   how long (120)
#   SEED                 of the random choices; the moments within them are the machine's
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use IPC::Run;
use Test::More;
use Time::HiRes qw(time usleep);
use SyncJob;

my $seconds = $ENV{SECONDS_OF_CRASHES} || 120;
my $seed = $ENV{SEED} || int(time * 1000) % 1_000_000;
srand($seed);
diag("SEED=$seed SECONDS_OF_CRASHES=$seconds");

my $node = new_cluster('main',
	conf => "restart_after_crash = on\nlog_statement = none\nsync_job.max_workers = 6\nsync_job.poll_interval = '2s'");
load_probe($node, 40);
# What is to be done is written down by the transaction that enqueues it. A crash that a job is charged with is a retry:
# there are enough of them.
$node->safe_psql('postgres', q{
	UPDATE sync_job_queue SET max_workers = 4;
	UPDATE sync_job_type SET max_retries = 1000, retry_backoff = 'constant';
	CREATE TABLE ledger (job bigint PRIMARY KEY, sync_job_type text, doc int);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, retry_delay, retry_backoff, max_retries)
	VALUES ('Followed', 'doc', 'effect', 'probe', '10 ms', 'constant', 1000);
	SELECT attach_sync_job_triggers('Followed', 'doc')});

my $load = q{
	BEGIN;
	INSERT INTO ledger
	SELECT enqueue_sync_job(t, d::text, context => jsonb_build_object('sleep', random() * 0.01)), t, d
	FROM (SELECT (ARRAY['Probe', 'Probe', 'Probe Alone', 'Probe Committing'])[1 + floor(random() * 4)] AS t, 1 + floor(random() * 40)::int AS d
	      FROM generate_series(1, %d)) AS s;
	UPDATE doc SET version = version + 1 WHERE id % 5 = %d;
	%s};

# The server's processes of a kind, found as an administrator would find them.
sub processes
{
	my ($kind) = @_;
	my $postmaster = postmaster() // return;
	my @found;
	for my $stat (glob '/proc/[0-9]*/stat')
	{
		open my $file, '<', $stat or next;
		my ($pid, $parent) = (<$file> // '') =~ /^(\d+) \(.*\) \S+ (\d+) / or next;
		next unless $parent == $postmaster;
		open $file, '<', "/proc/$pid/cmdline" or next;
		push @found, $pid if (<$file> // '') =~ $kind;
	}
	return @found;
}

sub postmaster
{
	open my $file, '<', $node->data_dir . '/postmaster.pid' or return;
	chomp(my $pid = <$file> // return);
	return $pid;
}

sub kill_one
{
	my ($signal, $kind) = @_;
	my @pids = processes($kind) or return;
	return kill $signal, $pids[ rand @pids ];
}

my @sessions;
my %act = (
	'kill a worker' => sub { kill_one('KILL', qr/sync job worker/) },
	'kill a scheduler' => sub { kill_one('KILL', qr/sync job scheduler/) },
	'kill the launcher' => sub { kill_one('KILL', qr/sync job launcher/) },
	'kill a session' => sub { kill_one('KILL', qr/\[local\]/) },
	'terminate a worker' => sub { kill_one('TERM', qr/sync job worker/) },
	'terminate a scheduler' => sub { kill_one('TERM', qr/sync job scheduler/) },
	'terminate the launcher' => sub { kill_one('TERM', qr/sync job launcher/) },
	'cancel a worker' => sub { kill_one('INT', qr/sync job worker/) },
	'terminate a session' => sub { kill_one('TERM', qr/\[local\]/) },
	'kill the postmaster' => sub { $node->kill9; start_after_kill($node) },
	'restart fast' => sub { $node->restart },
	'restart immediately' => sub { $node->stop('immediate'); $node->start },
	'run jobs in a session' => sub {
		push @sessions, IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', q{CALL run_sync_jobs(max_jobs => 100)} ],
			'<', \undef, '>', \my $out, '2>', \my $err);
	},
);
my @choices = (('kill a worker') x 6, ('run jobs in a session') x 4, sort keys %act);

# Whoever may connect waits a moment for it.
sub wait_until_up
{
	for (1 .. 600)
	{
		return 1 if $node->psql('postgres', 'SELECT 1', stderr => \my $err) == 0;
		usleep(100_000);
	}
	BAIL_OUT('the server does not come up');
}

my %done;
my $until = time + $seconds;
while (time < $until)
{
	for (0 .. rand 3)
	{
		my $sql = sprintf $load, 1 + rand 60, rand 5, rand() < 0.1 ? 'ROLLBACK' : 'COMMIT';
		$node->psql('postgres', $sql, stderr => \my $err);
	}
	usleep(rand 300_000);
	my $choice = $choices[ rand @choices ];
	note($choice);
	$done{$choice}++;
	$act{$choice}->();
	usleep(rand 50_000);
	wait_until_up() if rand() < 0.7;
	@sessions = grep { $_->pumpable || ($_->finish, 0) } @sessions;
}
diag(join ', ', map { "$_: $done{$_}" } sort keys %done);
wait_until_up();
$_->kill_kill for @sessions;

# No job lost, none stuck.
my $left = q{SELECT count(*) FROM sync_job WHERE status IN ('Queued', 'Started') OR status = 'Failed' AND retry_after IS NOT NULL};
my $patience = time + 300;
usleep(200_000) while $node->safe_psql('postgres', $left) ne '0' && time < $patience;
is($node->safe_psql('postgres', $left), '0', 'none waits or runs for ever')
  or diag($node->safe_psql('postgres', q{SELECT id, sync_job_type, status, started_at, retry_count, retry_after FROM sync_job WHERE status NOT IN ('Finished', 'Skipped') LIMIT 20}));
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE status NOT IN ('Finished', 'Skipped')}), '0', 'all are finished');
diag($node->safe_psql('postgres', q{SELECT count(*) || ' jobs, ' || sum(retry_count) || ' retries' FROM sync_job}));

is($node->safe_psql('postgres', q{SELECT count(*) FROM ledger AS l WHERE (SELECT count(*) FROM sync_job AS j WHERE j.id = l.job AND j.sync_job_type = l.sync_job_type) <> 1}),
	'0', 'each job that was enqueued is there, once');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE sync_job_type <> 'Followed' AND id NOT IN (SELECT job FROM ledger)}), '0', 'and no other');
is($node->safe_psql('postgres', q{SELECT count(*) - count(DISTINCT id) FROM sync_job}), '0', 'ids are unique');

# Exactly once.
is($node->safe_psql('postgres', q{
	SELECT coalesce(string_agg(format('%s: %s jobs, %s effects', id, n, changes), E'\n'), '')
	FROM (SELECT sync_job_type || ' ' || doc AS id, count(*) AS n FROM ledger WHERE sync_job_type <> 'Probe Committing' GROUP BY 1) AS l
	FULL JOIN (SELECT * FROM effect WHERE id NOT LIKE 'Followed%') AS e USING (id) WHERE n IS DISTINCT FROM changes}), '', 'each job has had its effect once');
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM (SELECT job FROM ledger WHERE sync_job_type = 'Probe Committing') AS l
	FULL JOIN (SELECT job, string_agg(part::text, ' ' ORDER BY part) AS parts FROM part GROUP BY job) AS p USING (job) WHERE parts IS DISTINCT FROM '1 2 3'}), '0',
	'so has each part of those that commit');

# No change lost.
is($node->safe_psql('postgres', q{SELECT count(*) FROM doc AS d JOIN effect AS e ON e.id = 'Followed ' || d.id WHERE d.version <> e.version}), '0',
	'what follows a table by triggers is up to date');
is($node->safe_psql('postgres', q{SELECT count(*) FROM effect WHERE id LIKE 'Followed %' AND changes > (SELECT count(*) FROM sync_job WHERE 'Followed ' || source_document_name = effect.id)}), '0',
	'and was written no more often than it has jobs');

# The history.
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE started_at > ended_at OR started_at < created_at}), '0', 'times are in order');
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM sync_job AS j WHERE retry_count <> (SELECT count(*) FROM sync_job_error AS e WHERE e.sync_job = j.id AND counted)}), '0',
	'there is a failure for each retry');
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT sqlstate, ',' ORDER BY sqlstate) FROM sync_job_error WHERE sqlstate NOT IN ('57014', '57P02')}), '',
	'and none but of crashes and cancellations');
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM (SELECT started_at, lag(ended_at) OVER (PARTITION BY sync_job_type, source_document_name ORDER BY ended_at) AS before FROM sync_job) AS s
	WHERE started_at < before}), '0', 'no two of a document at a time');

$node->stop('fast');
unlike_accidents($node, kill => 1);
done_testing();
