# `sync-job serve` lets a role in with its password and shows it its queues; all else about it is in test/console.
use strict;
use warnings;
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('console');
$node->safe_psql('postgres', q{CREATE ROLE viewer LOGIN PASSWORD 'secret'; SELECT grant_sync_job_access('viewer', 'viewer')});
unlink $node->data_dir . '/pg_hba.conf';
$node->append_conf('pg_hba.conf', "local all viewer scram-sha-256\nlocal all all trust\n");
$node->reload;

my ($out, $err) = ('', '');
my $console = IPC::Run::start([ $ENV{SYNC_JOB}, 'serve', '-h', $node->host, '-p', $node->port, '--databases', 'postgres', '--listen', '127.0.0.1:0' ],
	'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(3 * $PostgreSQL::Test::Utils::timeout_default));
$console->pump until $out =~ m{The console is at (http://\S+)/\n} || !$console->pumpable;
my $address = $1 or die "it does not start: $out$err";
my $http = HTTP::Tiny->new(timeout => 3 * $PostgreSQL::Test::Utils::timeout_default);

sub post
{
	my ($path, $body, %headers) = @_;
	return $http->post("$address$path", { content => encode_json($body), headers => { 'Content-Type' => 'application/json', Origin => $address, %headers } });
}

like($http->get("$address/")->{content}, qr/<html/, 'the page');
is($http->get("$address/api/queues")->{status}, 401, 'nothing for who is not logged in');
is(post('/api/login', { database => 'postgres', user => 'viewer', password => 'wrong' })->{status}, 401, 'nor with a wrong password');
my $in = post('/api/login', { database => 'postgres', user => 'viewer', password => 'secret' });
is($in->{status}, 200, 'a role logs in') or diag($in->{content}, $err);
my ($cookie) = ($in->{headers}{'set-cookie'} // '') =~ /^([^;]+)/;
my $queues = $http->get("$address/api/queues", { headers => { Cookie => $cookie, 'X-Sync-Job-Token' => decode_json($in->{content})->{token} } });
is_deeply([ map { $_->{queue} } @{ decode_json($queues->{content})->{rows} } ], [qw(default long short)], 'and sees the queues');

$console->signal('TERM');
$console->finish;
is($console->result(0), 0, 'it ends by a signal');
$node->stop('fast');
done_testing();
