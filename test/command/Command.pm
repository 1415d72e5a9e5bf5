# Shared by the tests of the command: calling it, with and without a terminal.
package Command;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(use_node call json_of on_terminal healthy_conf controls expect);

my $limit = 3 * $PostgreSQL::Test::Utils::timeout_default;

# From now on the command connects there, unless it is told otherwise.
sub use_node
{
	my ($node, $database) = @_;
	@ENV{qw(PGHOST PGPORT PGDATABASE PGUSER)} = ($node->host, $node->port, $database // 'postgres', 'postgres');
	delete @ENV{qw(PGPASSWORD PGSERVICE NO_COLOR COLUMNS LINES)};
	$ENV{TERM} = 'xterm';
	return;
}

# Calls the command; returns its exit code, output and errors. { input => … } is text for its standard input.
sub call
{
	my @arguments = @_;
	my $options = ref $arguments[0] ? shift @arguments : {};
	my ($out, $err) = ('', '');
	my $input = $options->{input} // '';
	my $run = IPC::Run::start([ $ENV{SYNC_JOB}, @arguments ], '<', \$input, '>', \$out, '2>', \$err, IPC::Run::timeout($limit));
	$run->finish;
	my $code = $run->full_result(0) & 127 ? 128 + ($run->full_result(0) & 127) : $run->result(0);
	return ($code, $out, $err);
}

# Its output with --json; the exit code must be the expected one.
sub json_of
{
	my ($expected, @arguments) = @_;
	my ($code, $out, $err) = call(@arguments, '--json');
	is($code, $expected, "sync-job @arguments --json ends with $expected") or diag($out, $err);
	my $json = eval { JSON::PP->new->utf8->allow_bignum->decode($out) };
	ok(defined $json, '… and answers in JSON') or diag($out, $err);
	return $json // {};
}

# The command on a terminal: a hash with its run, and everything that it has written. Ends when its block ends.
sub on_terminal
{
	my (@arguments) = @_;
	my %terminal = (in => '', out => '');
	$terminal{run} = IPC::Run::start([ $ENV{SYNC_JOB}, @arguments ],
		'<pty<', \$terminal{in}, '>pty>', \$terminal{out}, IPC::Run::timeout($limit));
	return \%terminal;
}

# Waits until the terminal shows it.
sub expect
{
	my ($terminal, $pattern, $name) = @_;
	my $end = time() + $limit;
	while ($terminal->{out} !~ $pattern && time() < $end && $terminal->{run}->pumpable)
	{
		eval { $terminal->{run}->pump_nb; 1 } or last;
		usleep(20_000);
	}
	return like($terminal->{out}, $pattern, $name);
}

# Settings with which the doctor has nothing to report.
sub healthy_conf
{
	return "sync_job.log_retention_days = 30\n";
}

# What a terminal would obey: C0 (except newlines), DEL, C1 and the marks that change the direction of writing.
sub controls
{
	my ($text) = @_;
	utf8::decode($text);
	return join ' ', map { sprintf '%04x', ord } $text =~ /[\x00-\x09\x0b-\x1f\x7f-\x9f\x{200e}\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}]/g;
}

1;
