# A session that listens: my $listener = Listener->new($node, $database, @channels). psql prints the notifications that it has
# received after each command, so heard() runs one that does nothing.
package Listener;

use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);

sub new
{
	my ($class, $node, $database, @channels) = @_;
	my $self = bless { in => '', out => '', ticks => 0 }, $class;
	$self->{psql} = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr($database), '-f', '-' ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default * 4));
	$self->{in} .= join('', map { "LISTEN $_;\n" } @channels);
	$self->heard;
	return $self;
}

# All notifications so far: a list of [channel, payload].
sub heard
{
	my ($self) = @_;
	my $tick = 'tick ' . ++$self->{ticks} . ' of ' . $$;
	$self->{in} .= "SELECT '$tick';\n";
	IPC::Run::pump($self->{psql}) until $self->{out} =~ /^\Q$tick\E$/m;
	my @all;
	push @all, [ $1, $2 ]
	  while $self->{out} =~ /^Asynchronous notification "(\w+)" with payload "(.*)" received from server process/mg;
	return @all;
}

# Waits until a matching payload has come on the channel; returns it (undef: none came).
sub wait_for
{
	my ($self, $channel, $pattern) = @_;
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		for my $one ($self->heard) { return $one->[1] if $one->[0] eq $channel && $one->[1] =~ $pattern; }
		usleep(100_000);
	}
	return undef;
}

sub payloads
{
	my ($self, $channel) = @_;
	return map { $_->[1] } grep { $_->[0] eq $channel } $self->heard;
}

sub stop
{
	my ($self) = @_;
	$self->{in} .= "\\q\n";
	return IPC::Run::finish($self->{psql});
}

1;
