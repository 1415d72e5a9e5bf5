# One real client in make test: what test/clients tries with each of them, with psycopg2. The others are in make test-clients.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $clients = "$ENV{TESTDIR}/clients";
my $node = new_cluster('clients', no_extension => 1);
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; GRANT CREATE ON SCHEMA public TO app');
$node->safe_psql('postgres', slurp_file("$clients/setup.sql"));

local $ENV{DATABASE_URL} = $node->connstr('postgres') . ' user=app';
my $out = '';
ok(IPC::Run::run([ '/usr/bin/python3', "$clients/with_psycopg2.py" ], '>', \$out, '2>&1', IPC::Run::timeout(3 * $PostgreSQL::Test::Utils::timeout_default)),
	'psycopg2 finds all as it should be') or diag($out);
my $checks = () = $out =~ /^ok /mg;
cmp_ok($checks, '>=', 9, 'in so many checks');

$node->stop('fast');
done_testing();
