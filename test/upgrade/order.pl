# What is not done in the order files, restart, ALTER EXTENSION UPDATE; and a standby, whose files and primary change at
# different times.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use Upgrade;

my $primary = released_cluster('primary', allows_streaming => 1, conf => "sync_job.poll_interval = '1s'");
load_probe($primary, 100);
$primary->backup('copy');
my $standby = released_cluster('standby', empty => 1);
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;

sub error_of
{
	my ($node, $sql) = @_;
	my ($stdout, $stderr);
	$node->psql('postgres', $sql, stdout => \$stdout, stderr => \$stderr);
	return $stderr;
}

sub runs
{
	my ($node, $document, $name) = @_;
	my $job = enqueue($node, 'Probe', $document);
	return poll($node, "SELECT status = 'Finished' FROM sync_job WHERE id = $job", $name);
}

my $notes = q{SELECT string_agg(DISTINCT note, ', ') FROM sync_job_queue_status};
my $update = 'ALTER EXTENSION pg_sync_job UPDATE';

# New files, and no restart: the old library goes on with the old tables, and nothing leads to the new ones.
install_files($primary, 'new');
my $too_early = qr/ERROR:  the library of pg_sync_job 0\.1\.0 is still loaded\n.*HINT:  Restart the server, then use ALTER EXTENSION pg_sync_job UPDATE/s;
like(error_of($primary, $update), $too_early, 'an update before the restart is refused');
runs($primary, 1, 'and jobs run on');
like(error_of($primary, "LOAD 'pg_sync_job'; $update"), $too_early, 'the new file cannot be loaded beside the old one');
is($primary->safe_psql('postgres', q{SELECT extversion FROM pg_extension WHERE extname = 'pg_sync_job'}), '0.1.0', 'the version is the old one');

# The standby first: new library, old tables, read only.
$primary->wait_for_catchup($standby);
install_files($standby, 'new');
$standby->restart;
is(status_of($standby, 1), 'Finished', 'a standby with the new library reads the old tables');
is($standby->safe_psql('postgres', $notes), '', 'and the views');
like(error_of($standby, $update), qr/ERROR:  cannot execute .* in a read-only transaction/, 'its update is that of the primary');
ok($standby->safe_psql('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'sync job%'}), 'nobody works there');

# Then the primary: its workers wait, and the standby's view tells it.
$primary->restart;
my $waits = 'waits for ALTER EXTENSION pg_sync_job UPDATE';
poll($primary, "SELECT ($notes) = '$waits'", 'the primary waits after its restart');
my $waiting = enqueue($primary, 'Probe', 2);
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $notes), $waits, 'the standby tells it');

# A library put back while nothing was updated: as if nothing had been.
install_files($primary, 'old');
$primary->restart;
poll($primary, "SELECT status = 'Finished' FROM sync_job WHERE id = $waiting", 'with the old library back, jobs run');
is($primary->safe_psql('postgres', $notes), '', 'and no note is left');

# Updated; rolled back; updated.
install_files($primary, 'new');
$primary->restart;
my $before = catalog($primary, 'postgres');
$primary->safe_psql('postgres', "BEGIN; $update; ROLLBACK");
same_catalog(catalog($primary, 'postgres'), $before, 'an update that is rolled back leaves what was');
$primary->safe_psql('postgres', $update);
runs($primary, 3, 'after the update jobs run');
is($primary->safe_psql('postgres', $notes), '', 'nothing waits');
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $notes), 'standby: jobs run on the primary', 'and the standby says what it is');

# The library of a version that does not know these tables.
install_files($primary, 'old');
$primary->restart;
like(error_of($primary, q{SELECT enqueue_sync_job('Probe', '4')}), qr/ERROR:  .*is of version \S+, and its library of version 0\.1\.0/, 'an older library refuses newer tables');
is($primary->safe_psql('postgres', $notes), 'waits for a restart with the library of this version', 'and the view tells why');
install_files($primary, 'new');
$primary->restart;
$primary->safe_psql('postgres', q{UPDATE pg_extension SET extversion = '99.1.0' WHERE extname = 'pg_sync_job'});
like(error_of($primary, q{SELECT enqueue_sync_job('Probe', '4')}), qr/ERROR:  .*extension pg_sync_job has version 99\.1\.0, but the library has version \S+\n.*HINT:  Restart/s, 'so does this one');
is($primary->safe_psql('postgres', $notes), 'waits for a restart with the library of this version', 'with the same note');
ok($primary->wait_for_log(qr/LOG:  sync jobs of database "postgres" wait: extension pg_sync_job has version 99/), 'the log says it');
$primary->safe_psql('postgres', q{UPDATE pg_extension SET extversion = (SELECT setting FROM pg_settings WHERE name = 'sync_job.library_version') WHERE extname = 'pg_sync_job'});
$primary->wait_for_catchup($standby);

my $job = enqueue($primary, 'Probe', 4);
poll($primary, "SELECT status = 'Finished' FROM sync_job WHERE id = $job", 'with the right version all is well');
unlike(slurp_file($primary->logfile), qr/cannot tell that sync jobs wait/, 'no scheduler has met a view that it does not know');

# Promoted.
$primary->stop('fast');
$standby->promote;
runs($standby, 5, 'the standby, promoted, runs jobs');
$standby->stop('fast');
unlike_accidents($_) for $primary, $standby;
done_testing();
