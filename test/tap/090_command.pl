# The command sync-job answers; all else about it is in test/command.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use lib '../command';
use Command;

my $node = new_cluster('command', conf => healthy_conf());
use_node($node);
my ($code, $out, $err) = call('status');
is($code, 0, 'status') or diag($err);
like($out, qr/^QUEUE.*^default /ms, '… shows the queues');
($code, $out, $err) = call('doctor', '--fail-on', 'warning');
is($code, 0, 'the doctor finds nothing') or diag($out, $err);
is((call('show', '1'))[0], 4, 'there is no job');
$node->stop('fast');
done_testing();
