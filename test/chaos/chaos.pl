# Chaos: a mixed load, and whatever may happen to a server and its database beside it, at random, for minutes. In the end every
# job that was enqueued has ended once and had its effect once, and every target is in step.
#
#   MINUTES     how long, a whole number (20)
#   SEED        of the random choices; the moments within them are the machine's
#   SCENARIOS   only these, by their names or by those of their groups: "kill ddl"; those with a "-" before them are left out
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time usleep);
use lib "$ENV{TESTDIR}/chaos";
use Server;
use Load;
use Trouble;
use Upheaval;
use Invariants;

my $minutes = $ENV{MINUTES} || 20;
my $seed = $ENV{SEED} || int(time * 1000) % 1_000_000;
my %scenarios = (%Trouble::scenarios, %Upheaval::scenarios);

# Each scenario is in the list as often as its weight says.
sub chosen
{
	my @words = split /[ ,]+/, $ENV{SCENARIOS} // '';
	my @without = map { /^-(.+)/ ? $1 : () } @words;
	my @only = grep { !/^-/ } @words;
	my $is_one_of = sub { my $name = shift; grep { $_ eq $scenarios{$name}[0] || index($name, $_) >= 0 } @_ };
	my @names = grep { (!@only || $is_one_of->($_, @only)) && !$is_one_of->($_, @without) } sort keys %scenarios;
	die 'There is no such scenario. The groups are: ' . join(' ', sort keys %{ { map { $_->[0] => 1 } values %scenarios } }) . "\n" unless @names;
	return map { ($_) x $scenarios{$_}[1] } @names;
}

my $sessions = 4;
my $round = 300; # so long, in seconds, everything is kept before it is counted
my @load;

sub quiet
{
	my ($wanted) = @_;
	my $file = folder() . '/quiet';
	return unlink $file unless $wanted;
	open my $touched, '>', $file or die;
	my $until = time + 240;
	usleep(100_000) while (() = glob(folder() . '/busy.*')) && time < $until;
	return;
}

# All that is due is done, and the rest is put in order.
sub settle
{
	quiet(1);
	wait_until_up();
	Upheaval::settle();
	return Invariants::drain(300);
}

# Load without trouble: what the processes have after it, they have after more of it.
sub memory_after_load
{
	my ($seconds) = @_;
	quiet(0);
	usleep($seconds * 1e6);
	settle();
	usleep(1e6); # idle workers give memory back
	return Invariants::memory();
}

sub wreak_havoc
{
	my ($until) = @_;
	my @choices = chosen();
	my %done;
	quiet(0);
	while (time < $until)
	{
		usleep(rand 1.5e6);
		my $name = $choices[ rand @choices ];
		note(sprintf '%s %s', scalar localtime, $name);
		$done{$name}++;
		$scenarios{$name}[2]->();
		wait_until_up() if rand() < 0.7;
	}
	diag(join ', ', map { "$_: $done{$_}" } sort keys %done);
	return;
}

my $evidence = 0;

# The tables as they were when the first thing was wrong.
sub keep_evidence
{
	return if Test::More->builder->is_passing || $evidence++;
	my $dump = "$ENV{TESTLOGDIR}/state.dump";
	PostgreSQL::Test::Utils::run_log([ 'pg_dump', '-Fc', '-f', $dump, 'service=chaos dbname=postgres' ]);
	return diag("the tables as they were: $dump");
}

diag("SEED=$seed MINUTES=$minutes" . ($ENV{SCENARIOS} ? qq{ SCENARIOS="$ENV{SCENARIOS}"} : ''));
diag('no file system of limited size is to be had here: no full disk') unless $ENV{CHAOS_MAY_MOUNT};
srand($seed);
make_server();
ask('CREATE EXTENSION pg_sync_job');
server->safe_psql('postgres', PostgreSQL::Test::Utils::slurp_file("$ENV{TESTDIR}/chaos/load.sql"));
my $started = time;
my $calm = $minutes * 60 / 15;
@load = Load::start(folder(), $sessions, $seed);

my $end = $started + $minutes * 60 - 3 * $calm;
while (time < $end)
{
	my $next = time + $round;
	wreak_havoc($next + $round / 2 < $end ? $next : $end);
	settle();
	Invariants::all();
	keep_evidence();
	Invariants::forget();
}
memory_after_load($calm);
my $before = memory_after_load($calm);
my $after = memory_after_load($calm);
Invariants::all();
Invariants::memory_is_flat($before, $after);
keep_evidence();

open my $over, '>', folder() . '/over';
waitpid $_, 0 for @load;
server->stop('fast');
Invariants::logs();
done_testing();
