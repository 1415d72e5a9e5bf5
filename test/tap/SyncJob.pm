# Shared by the TAP tests: a cluster with the extension, job types, and waiting for jobs.
package SyncJob;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(new_cluster need_pg_cron load_example load_probe open_gate close_gate enqueue wait_for_jobs wait_until_running status_of run_of poll like_log
  start_after_kill unlike_accidents catalog same_catalog);

# While a server starts or stops, psql may end before it has read the statement: it is tried again, as after an error.
{
	no warnings 'redefine';
	my $poll_query_until = \&PostgreSQL::Test::Cluster::poll_query_until;
	*PostgreSQL::Test::Cluster::poll_query_until = sub {
		my @arguments = @_;
		for my $try (1 .. 100)
		{
			my $held = eval { $poll_query_until->(@arguments) };
			return $held if $@ eq '';
			die $@ if $@ !~ /Broken pipe/;
			usleep(100_000);
		}
		return 0;
	};

	# The limit of a session is one for each query: a test may need its session longer than that.
	my $background_psql = \&PostgreSQL::Test::Cluster::background_psql;
	*PostgreSQL::Test::Cluster::background_psql = sub {
		my $session = $background_psql->(@_);
		$session->set_query_timer_restart;
		return $session;
	};
}

# A running cluster with the settings of test/regression.conf (and, after them, those of `conf`) and the extension in the
# database postgres; with the programs of `install_path`. Its superuser is always "postgres", whoever runs the test.
sub new_cluster
{
	my ($name, %options) = @_;
	$ENV{PGUSER} = 'postgres';
	my $node = PostgreSQL::Test::Cluster->new($name, install_path => $options{install_path});
	$node->init(
		allows_streaming => $options{allows_streaming},
		extra => [ '-U', 'postgres', '-E', 'UTF8', '--no-locale' ]);
	$node->append_conf('postgresql.conf', $options{conf}) if $options{conf};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION pg_sync_job') unless $options{no_extension};
	return $node;
}

# Ends a test that needs pg_cron if there is none: Debian may not have it yet for a new PostgreSQL.
sub need_pg_cron
{
	plan(skip_all => 'there is no pg_cron for this server') if !-e "$ENV{SHAREDIR}/extension/pg_cron.control";
	return;
}

# The job type "SAP Customer Sync" of test/example.sql.
sub load_example
{
	my ($node, $database) = @_;
	$node->safe_psql($database // 'postgres', slurp_file("$ENV{TESTDIR}/example.sql"));
	return;
}

# The job types of test/probe.sql, with the given number of documents.
sub load_probe
{
	my ($node, $documents, $database) = @_;
	$database //= 'postgres';
	$node->safe_psql($database, slurp_file("$ENV{TESTDIR}/probe.sql"));
	$node->safe_psql($database, "INSERT INTO doc SELECT generate_series(1, $documents)");
	return;
}

# Jobs with {"gate": "closed"} in their context run until the gate is opened.
sub close_gate
{
	my ($node, $database) = @_;
	return $node->safe_psql($database // 'postgres', q{INSERT INTO gate VALUES ('closed') ON CONFLICT DO NOTHING});
}

sub open_gate
{
	my ($node, $database) = @_;
	return $node->safe_psql($database // 'postgres', q{DELETE FROM gate});
}

# Enqueues a job for the document; `more` are further arguments, in SQL. Returns its id.
sub enqueue
{
	my ($node, $type, $document, $more, $database) = @_;
	$more = $more ? ", $more" : '';
	return $node->safe_psql($database // 'postgres', "SELECT enqueue_sync_job('$type', '$document'$more)");
}

# Waits until no job waits or runs any more; then returns how many there are in each state, for example "Failed=1 Finished=9".
# A Failed job that will be retried counts as waiting.
sub wait_for_jobs
{
	my ($node, $database) = @_;
	$database //= 'postgres';
	$node->poll_query_until($database,
		q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started') OR status = 'Failed' AND retry_after IS NOT NULL})
	  or diag($node->safe_psql($database, 'SELECT id, status, title, error_message FROM sync_job ORDER BY id LIMIT 20'));
	return $node->safe_psql($database,
		q{SELECT string_agg(status || '=' || n, ' ' ORDER BY status)
		  FROM (SELECT status, count(*) AS n FROM sync_job GROUP BY status) AS s});
}

# Waits until a worker runs the job; returns its process id.
sub wait_until_running
{
	my ($node, $job, $database) = @_;
	$database //= 'postgres';
	my $running = "FROM sync_job_activity WHERE sync_job = $job";
	$node->poll_query_until($database, "SELECT count(*) > 0 $running") or BAIL_OUT("job $job does not start");
	return $node->safe_psql($database, "SELECT pid $running");
}

sub status_of
{
	my ($node, $job, $database) = @_;
	return $node->safe_psql($database // 'postgres', "SELECT status FROM sync_job WHERE id = $job");
}

# Waits for the end of a full sync; returns its state, and what it has done.
sub run_of
{
	my ($node, $job) = @_;
	$node->poll_query_until('postgres', qq{SELECT status NOT IN ('Queued', 'Started') FROM sync_job WHERE id = $job});
	return $node->safe_psql('postgres', qq{
		SELECT status || coalesce(' ' || error_message, '') || coalesce(' ' || (SELECT string_agg(key || '=' || value, ' ' ORDER BY key)
			FROM jsonb_each_text(result) WHERE value <> '0' AND key IN ('inserted', 'updated', 'deleted', 'failed', 'handed_over', 'gone', 'skipped', 'no_target')), '') FROM sync_job WHERE id = $job});
}

# Waits until the query returns true; a test by itself.
sub poll
{
	my ($node, $query, $name, $database) = @_;
	return ok($node->poll_query_until($database // 'postgres', $query), $name);
}

# Starts a server whose postmaster was killed. Its children notice at their next wait; until they are gone a new one
# refuses to start.
sub start_after_kill
{
	my ($node) = @_;
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return 1 if $node->start(fail_ok => 1);
		usleep(100_000);
		$node->stop('fast', fail_ok => 1);
	}
	BAIL_OUT('the server does not start after its postmaster was killed');
}

# Checks that the log, from `offset` on, has the line that many times.
sub like_log
{
	my ($node, $offset, $line, $times, $name) = @_;
	my $log = substr(slurp_file($node->logfile), $offset);
	my $count = () = $log =~ /$line/g;
	return is($count, $times, $name);
}

# Everything that belongs to the extension in a database, as lines of text; see test/upgrade/catalog.sql.
sub catalog
{
	my ($node, $database) = @_;
	return $node->safe_psql($database, slurp_file("$ENV{TESTDIR}/upgrade/catalog.sql"));
}

# Checks that two of them are the same; shows what differs.
sub same_catalog
{
	my ($found, $expected, $name) = @_;
	my (%lines, @differences);
	$lines{$_}-- for split /\n/, $expected;
	$lines{$_}++ for split /\n/, $found;
	push @differences, ($lines{$_} < 0 ? '- ' : '+ ') . $_ for grep { $lines{$_} } sort keys %lines;
	return is(join("\n", @differences), '', $name);
}

# For the end of a test: no accidents in the log, except the crashes that the test has caused.
sub unlike_accidents
{
	my ($node, %allowed) = @_;
	my $log = slurp_file($node->logfile);
	$log =~ s/was terminated by signal 9//g if $allowed{kill};
	return unlike($log, qr/PANIC|TRAP:|was terminated by signal|leak: |was not closed|non-empty SPI stack/, 'the log tells of no accident');
}

1;
