# The server of the chaos suite: querying it while it comes and goes, its processes and their memory, and starting it again
# whatever has happened to it.
package Server;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes qw(time usleep);
use SyncJob;

our @EXPORT = qw(server make_server replace_server folder attempt ask processes signal_one memory_of wait_until_up with_settings fill_disk);

my ($node, @all, $folder, %killed);
my $main = $$;
my $generation = 0;
my $disk_size = '1g';

sub server { return $node }
sub servers { return @all }
sub folder { return $folder }
sub was_killed { return $killed{ $_[0] } }

sub make_server
{
	$folder = PostgreSQL::Test::Utils::tempdir();
	$node = new_cluster('chaos', allows_streaming => 1, no_extension => 1, conf => q{
restart_after_crash = on
log_statement = none
log_replication_commands = off
log_line_prefix = '%m [%p] %b %e %a '
shared_buffers = '64MB'
max_connections = 40
max_prepared_transactions = 20
autovacuum_naptime = '1s'
deadlock_timeout = '200ms'
sync_job.max_workers = 8
sync_job.poll_interval = '2s'
sync_job.worker_idle_timeout = '5min'
include_if_exists = 'chaos.conf'
});
	$node->stop;
	put_on_small_disk($node);
	$node->start;
	take($node);
	return $node;
}

# All sessions of the suite find the server through a service file.
sub take
{
	$node = shift;
	push @all, $node;
	$ENV{PGSERVICEFILE} = "$folder/services";
	write_file("$folder/services.new", sprintf "[chaos]\nhost=%s\nport=%d\nuser=postgres\n", $node->host, $node->port);
	rename "$folder/services.new", "$folder/services" or die;
	return;
}

sub write_file
{
	my ($path, $text) = @_;
	open my $file, '>', $path or die "$path: $!";
	print $file $text;
	return close $file;
}

# A file system of limited size for the tables, if the suite has a namespace in which it may mount one.
sub put_on_small_disk
{
	my ($on) = @_;
	return unless $ENV{CHAOS_MAY_MOUNT};
	my $base = $on->data_dir . '/base';
	system(qq{mv $base $base.disk && mkdir -m 700 $base && mount -t tmpfs -o size=$disk_size,mode=0700 tmpfs $base && cp -a $base.disk/. $base && rm -r $base.disk}) == 0
	  or BAIL_OUT('no small disk');
	return;
}

# Fills that disk for some seconds. False if there is none.
sub fill_disk
{
	my ($seconds) = @_;
	return 0 unless $ENV{CHAOS_MAY_MOUNT};
	my $filler = $node->data_dir . '/base/filler';
	system("cat /dev/zero >$filler 2>/dev/null");
	usleep($seconds * 1e6);
	unlink $filler;
	return 1;
}

# Runs a statement or script in a session of its own; returns what it printed, or undef if it failed.
sub attempt
{
	my ($sql, $database, $seconds) = @_;
	$database //= 'postgres';
	my ($out, $err) = ('', '');
	my $done = eval {
		IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', "service=chaos dbname=$database" ], '<', \$sql, '>', \$out, '2>', \$err,
			IPC::Run::timeout($seconds // 120));
	};
	note(substr($err || $@, 0, 300)) unless $done;
	chomp $out;
	return $done ? $out : undef;
}

# The same, again and again until the server answers.
sub ask
{
	my ($sql, $database) = @_;
	for (1 .. 60)
	{
		my $out = attempt($sql, $database, 300);
		return $out if defined $out;
		wait_until_up();
		usleep(500_000);
	}
	die "no answer to: $sql";
}

sub postmaster
{
	open my $file, '<', $node->data_dir . '/postmaster.pid' or return;
	chomp(my $pid = <$file> // return);
	return kill(0, $pid) ? $pid : undef;
}

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

sub signal_one
{
	my ($signal, $kind) = @_;
	my @pids = sort { $a <=> $b } processes($kind);
	my $pid = $pids[ rand @pids ] // return;
	$killed{$pid} = $signal if $signal eq 'KILL' || $signal eq 'STOP'; # in a crash, the postmaster kills a stopped process
	kill $signal, $pid;
	return $pid;
}

# Private memory of a process in kB, without the shared buffers that it has touched.
sub memory_of
{
	my ($pid) = @_;
	open my $file, '<', "/proc/$pid/status" or return;
	my ($memory) = join('', <$file>) =~ /^RssAnon:\s*(\d+)/m;
	return $memory;
}

# Waits until connections succeed, and starts the server if it is not running at all.
sub wait_until_up
{
	my $until = time + 180;
	while (time < $until)
	{
		return 1 if defined attempt('SELECT 1', undef, 20);
		if (!postmaster() && $$ == $main) # not in a background process
		{
			$node->{_pid} = undef; # it is gone, however that happened
			start_after_kill($node);
		}
		usleep(200_000);
	}
	die 'the server does not come up';
}

# Runs the code while the restarted server has other settings.
sub with_settings
{
	my ($settings, $code) = @_;
	my $file = $node->data_dir . '/chaos.conf';
	write_file($file, $settings);
	wait_until_up();
	$node->restart;
	$code->();
	wait_until_up();
	unlink $file;
	$node->restart;
	return;
}

# Replaces the server by its standby, which is promoted.
sub replace_server
{
	my $name = 'chaos_' . ++$generation;
	my $backup = $node->backup_dir . "/$name";
	return 0 unless PostgreSQL::Test::Utils::run_log([ 'pg_basebackup', '-D', $backup, '-d', $node->connstr('postgres'), '--checkpoint', 'fast', '--no-sync' ]);
	my $standby = PostgreSQL::Test::Cluster->new($name);
	$standby->init_from_backup($node, $name, has_streaming => 1);
	put_on_small_disk($standby);
	$standby->start;
	for (1 .. 600)
	{
		last if (attempt(q{SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'}) // '') eq '1';
		usleep(100_000);
	}
	my $old = $node;
	$old->stop('immediate');
	$standby->promote;
	take($standby);
	system('rm', '-rf', $backup);
	system('umount', '-l', $old->data_dir . '/base') if $ENV{CHAOS_MAY_MOUNT};
	$old->clean_node;
	return 1;
}

1;
