# A listener in another language: the node-postgres program of the recipes shows a progress bar while a stock sync runs, and its
# summary at the end.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

# No listener, no test: and that is said.
sub not_tested
{
	my ($why) = @_;
	diag("NOT TESTED: $why");
	SKIP: { skip("NOT TESTED: $why" =~ s/\n.*//sr, 6); }
	done_testing();
	exit;
}

my $folder = PostgreSQL::Test::Utils::tempdir();
system("cp $ENV{CHECKOUT}/controllers/stock_sync/listener/* '$folder'") == 0 or BAIL_OUT('no listener in controllers');
unlike(slurp_file("$folder/$_"), qr/http|resolved/, "$_ names no registry") for qw(package.json package-lock.json);
for my $program (qw(node npm))
{
	if (system("command -v $program >/dev/null") != 0)
	{
		not_tested("there is no $program here; scripts/install-packages test installs it");
	}
}
my ($out, $err) = ('', '');
IPC::Run::run([ 'npm', 'ci', '--no-audit', '--no-fund' ], '>', \$out, '2>', \$err, init => sub { chdir $folder }, IPC::Run::timeout(120))
  or not_tested("npm cannot fetch node-postgres:\n$err");

my $node = new_cluster('node', conf => "sync_job.progress_interval = 50ms\n");
$node->safe_psql('postgres', '', extra_params => [ '-f', "$ENV{CHECKOUT}/controllers/stock_sync/install.sql" ]);
$node->safe_psql('postgres', q{
	CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.02); RETURN NULL; END';
	CREATE TRIGGER slow AFTER UPDATE ON stock_sync.stock FOR EACH ROW EXECUTE FUNCTION slow();
	INSERT INTO stock_sync.outlet (id, name, warehouse) SELECT i, 'Outlet ' || i, CASE WHEN i <> 13 THEN 'W-' || i END FROM generate_series(1, 100) AS i;
	INSERT INTO stock_sync.stock SELECT warehouse, 'cone', 1000 FROM stock_sync.outlet WHERE warehouse IS NOT NULL;
	INSERT INTO stock_sync.pos_invoice (warehouse, item, quantity) SELECT warehouse, 'cone', 1 FROM stock_sync.stock});

# It listens before the job begins.
$node->safe_psql('postgres', q{UPDATE sync_job_queue SET paused = true WHERE name = 'long'});
my $job = $node->safe_psql('postgres', 'SELECT stock_sync.start()');
local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
local $ENV{PGUSER} = 'postgres';
local $ENV{PGDATABASE} = 'postgres';
my $listener = IPC::Run::start([ 'node', "$folder/listen.mjs", $job ], '>', \$out, '2>', \$err, IPC::Run::timeout(120));
$out = '';
IPC::Run::pump($listener) until $out =~ /Listening for job $job/;
$node->safe_psql('postgres', q{UPDATE sync_job_queue SET paused = false WHERE name = 'long'});
IPC::Run::pump($listener) until $out =~ /\] [1-9]/;
is($node->safe_psql('postgres', "SELECT status FROM get_sync_job_status($job)"), 'Started', 'it shows a bar while the job runs');
ok(IPC::Run::finish($listener), 'it ends by itself') or diag($err);

my @percents = $out =~ /^\[#*-*\] ([\d.]+) %$/mg;
cmp_ok(scalar(@percents), '>=', 3, 'the bar grows in steps') or diag($out);
is_deeply(\@percents, [ sort { $a <=> $b } @percents ], 'and only grows');
my @bars = map { length } $out =~ /^\[(#*)-*\] /mg;
cmp_ok($bars[-1], '>', $bars[0], 'to be seen as such');
like($out, qr/^Stock sync finished: 99\/100 outlets synced, 1 errors\.$/m, 'and at the end there is the summary');

$node->stop('fast');
done_testing();
