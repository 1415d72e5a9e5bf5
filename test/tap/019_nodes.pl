# Several servers: the recipes of docs/scaling.md, block by block as they are printed but for the addresses, and what comes of
# them: jobs run beside their rows, while a node is killed. Then what is done from any node, copies of a node, and rights.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use SyncJob;

my %server = map {
	$_ => new_cluster($_, no_extension => 1, allows_streaming => $_ eq 'front' ? 'logical' : 0, conf => "sync_job.log_retention_days = -1\n")
} qw(front node1 node2 node3);
my $front = $server{front};
$server{$_}->safe_psql('postgres', 'CREATE DATABASE shop') for sort keys %server;
$server{$_}->safe_psql('postgres', 'CREATE DATABASE slices') for qw(front node1 node2);

# The servers of "-- on …" in a block, each with its psql variables.
my %place = (
	'the front server' => [ [ 'front', 'shop' ] ],
	'each node' => [ map { [ "node$_", 'shop', "node=$_" ] } 1 .. 3 ],
	'the publisher' => [ [ 'front', 'slices' ] ],
	'each subscriber' => [ map { [ 'node' . ($_ + 1), 'slices', "slice=$_" ] } 0 .. 1 ]);

sub addressed
{
	my ($block) = @_;
	$block =~ s{host '(node\d)\.example\.com'}{sprintf "host '%s', port '%d'", $server{$1}->host, $server{$1}->port}ge;
	$block =~ s{host=publisher\.example\.com}{sprintf 'host=%s port=%d', $front->host, $front->port}ge;
	return $block;
}

sub run_recipe
{
	my ($title) = @_;
	my ($section) = slurp_file("$ENV{CHECKOUT}/docs/scaling.md") =~ /^## \Q$title\E\n(.*?)(?=^## |\z)/ms or BAIL_OUT("no recipe $title");
	for my $block ($section =~ /^```sql\n(.*?)^```$/msg)
	{
		my ($where) = $block =~ /\A-- on ([\w ]+)/;
		my $places = $place{ $where // '' } or BAIL_OUT("where is this run? $block");
		for (@$places)
		{
			my ($name, $database, @variables) = @$_;
			my $stderr;
			my $code = $server{$name}->psql($database, addressed($block), on_error_stop => 1, stderr => \$stderr, extra_params => [ map { ('-v', $_) } @variables ]);
			is($code . join('', $stderr =~ /^.*ERROR:.*$/mg), '0', "$title: runs as printed on $name") or diag($block . $stderr);
		}
	}
	return;
}

sub sql { return $front->safe_psql('shop', $_[0]) }
my $unsynced = 'FROM customer AS c FULL JOIN sap_customer AS s ON s.customer = c.id WHERE (s.customer, s.name, s.region) IS DISTINCT FROM (c.id, upper(c.name), c.territory)';
sub in_step
{
	my ($name) = @_;
	wait_for_jobs($server{"node$_"}, 'shop') for 1 .. 3;
	return is(sql("SELECT count(*) $unsynced"), '0', $name);
}

run_recipe('Hash partitions over postgres_fdw');
in_step('the recipe brings all in step');
run_recipe('All nodes at once');
is(sql('SELECT count(*) FROM sap_customer'), '900', 'with inserts, updates and deletes');
sql('DELETE FROM customer');
in_step('emptied');

# 20,000 rows through the front server. A node dies meanwhile; who writes repeats what has failed.
my @chunks = map { [ $_ * 2000 + 1, $_ * 2000 + 2000 ] } 0 .. 9;
my @statements = (
	(map { "INSERT INTO customer SELECT i, 'Customer ' || i, 'North' FROM generate_series($_->[0], $_->[1]) AS i ON CONFLICT DO NOTHING" } @chunks),
	(map { "UPDATE customer SET territory = 'South', name = 'Customer no. ' || id WHERE id BETWEEN $_->[0] AND $_->[1]" } @chunks),
	(map { "DELETE FROM customer WHERE id BETWEEN $_->[0] AND $_->[0] + 199" } @chunks));
my $failed = 0;
for my $number (0 .. $#statements)
{
	$server{node2}->kill9 if $number == 7;
	for my $try (1 .. 100)
	{
		last if $front->psql('shop', $statements[$number], on_error_stop => 1) == 0;
		BAIL_OUT("this does not work: $statements[$number]") if $try == 100;
		bring_back() if $failed++ == 0;
		usleep(100_000);
	}
}

# What needs only other nodes goes on meanwhile.
sub bring_back
{
	my $elsewhere = sql(q{SELECT min(id) FROM generate_series(30001::bigint, 30100) AS id WHERE satisfies_hash_partition('customer'::regclass, 3, 0, id)});
	sql("INSERT INTO customer VALUES ($elsewhere, 'Elsewhere', 'West')");
	poll($server{node1}, "SELECT count(*) = 1 FROM sap_customer WHERE customer = $elsewhere", 'a row of another node is synced while one is down', 'shop');
	sql("DELETE FROM customer WHERE id = $elsewhere");
	start_after_kill($server{node2});
	return;
}
cmp_ok($failed, '>', 0, 'statements that needed the killed node have failed');
in_step('then all targets are in step');
is(sql('SELECT count(*), count(*) FILTER (WHERE region = \'South\') FROM sap_customer'), '18000|18000', 'those of all rows');
is(sql('SELECT count(DISTINCT tableoid) FROM sap_customer'), '3', 'on all nodes');
sql('CREATE TABLE everywhere AS SELECT * FROM sync_job_everywhere');
is(sql('SELECT count(*) - count(DISTINCT id) FROM everywhere'), '0', 'ids are unique over the nodes');
is(sql('SELECT count(*) FROM everywhere WHERE id >> 40 <> node'), '0', 'and say which node');
is(sql('SELECT count(DISTINCT node) FROM everywhere'), '3', 'one view shows the jobs of all');
is(sql(q{SELECT string_agg(DISTINCT status, ' ') FROM everywhere WHERE status NOT IN ('Finished', 'Skipped')}), '', 'which are done');
# Each job, and each document of a set, is at the node of its row.
for my $node (1 .. 3)
{
	my @names = split /\n/, $server{"node$node"}->safe_psql('shop', q{SELECT DISTINCT source_document_name FROM sync_job_document_history});
	my $list = join ',', @names;
	is(sql(sprintf q{SELECT count(*) FROM unnest('{%s}'::bigint[]) AS id WHERE NOT satisfies_hash_partition('customer'::regclass, 3, %d, id)}, $list, $node - 1),
		'0', "each job of node $node is at its row's node");
	cmp_ok(scalar @names, '>', 6000, 'and there are many');
}

# One place to look from, and to act from.
sub note_of { return sql("SELECT coalesce(note, 'fine') FROM sync_job_node_status WHERE node = $_[0]") }
sub fails_with
{
	my ($node, $statement, $error, $name) = @_;
	my $stderr = '';
	$node->psql('shop', $statement, on_error_stop => 1, stderr => \$stderr);
	return like($stderr, $error, $name);
}
my $late;
# In a session that goes on afterwards.
sub interrupted_after
{
	my ($stderr, $stdout) = ('', '');
	$front->psql('shop', "SET statement_timeout = '1 s'; $_[0]; RESET statement_timeout; SELECT status FROM get_sync_job_status($late)", on_error_stop => 0, stdout => \$stdout, stderr => \$stderr);
	like($stdout, qr/^Queued$/m, 'the session goes on');
	return $stderr;
}
is(note_of($_), 'fine', "node $_ is what it is said to be") for 1 .. 3;
is(sql(q{SELECT count(*) FROM sync_job_freshness_everywhere WHERE sync_job_type = 'SAP Customer' AND last_success IS NOT NULL AND node IS NOT NULL}), '3', 'freshness of all');
is(sql(q{SELECT count(*) FROM sync_jobs_everywhere('true', 1)}), '3', 'the newest of each');
my $node3 = sub { return $server{node3}->safe_psql('shop', $_[0]) };
$node3->(q{CREATE PROCEDURE boom() LANGUAGE plpgsql AS $$ BEGIN RAISE 'boom'; END $$});
my $bad = $node3->(q{SELECT enqueue_background_job('boom')});
my ($waits, $other);
($waits, $other, $late) = map { $node3->(q{SELECT enqueue_background_job('boom', scheduled_at => now() + '1 hour')}) } 1 .. 3;
sql("CALL wait_for_sync_job($bad, '60 s')");
is(sql("SELECT status FROM get_sync_job_status($bad)"), 'Failed', 'a job of another node is waited for, and its state seen');
is(sql("SELECT id, status FROM get_sync_job_status('$bad')"), "$bad|Failed", 'also where a driver sends the id as text');
is(sql("SELECT status, error_message LIKE '%boom%', run_as FROM get_sync_job($bad)"), 'Failed|t|postgres', 'its row, too');
is(sql(q{SELECT node FROM sync_jobs_everywhere('status = ''Failed''')}), '3', 'it is found');
is(sql("SELECT status FROM cancel_sync_job($waits, 'for a test')"), 'Canceled', 'one is canceled from the front server');
is($node3->("SELECT status, cancel_reason FROM sync_job WHERE id = $waits"), 'Canceled|for a test', 'which is done where it is');
is(sql("SELECT count(*) FROM cancel_sync_jobs('{$other, $waits}')"), '1', 'of several those that can be');
fails_with($front, "SELECT cancel_sync_job($waits)", qr/cannot cancel sync job $waits/, 'its refusal comes back');
is(sql("SELECT status FROM retry_sync_job($bad)"), 'Queued', 'one is tried again');
sql("CALL wait_for_sync_job($bad, '60 s')");
is($node3->("SELECT count(*) FROM sync_job_error WHERE sync_job = $bad"), '2', 'and has failed again');
my $again = sql("SELECT rerun_sync_job($bad)");
sql("CALL wait_for_sync_jobs('{$again, $bad}', timeout => '60 s')");
is($node3->("SELECT parent_sync_job FROM sync_job WHERE id = $again AND status = 'Failed'"), $bad, 'one is run once more, and several are waited for');
sql("SELECT delete_sync_job($again)");
is($node3->("SELECT count(*) FROM sync_job WHERE id = $again"), '0', 'and deleted');
fails_with($front, "SELECT pause_sync_job($bad)", qr/cannot pause sync job $bad/, 'what cannot be paused there is not');
fails_with($front, "CALL wait_for_sync_jobs('{$late}', timeout => '100 ms')", qr/sync job $late has not ended within/, 'waiting for several has its limit');
fails_with($front, "CALL wait_for_sync_job($late, '100 ms')", qr/sync job $late has not ended within/, 'waiting has its limit');
# Waits are cut into calls, and each can be interrupted, without leaving anything behind.
my $slow = $node3->(q{SELECT enqueue_background_job('boom', scheduled_at => now() + '4 s')});
sql("CALL wait_for_sync_job($slow)");
is($node3->("SELECT status FROM sync_job WHERE id = $slow"), 'Failed', 'a long wait ends with the job');
like(interrupted_after("CALL wait_for_sync_job($late)"), qr/statement timeout/, 'a wait is interrupted');
like(interrupted_after("SELECT count(*) FROM sync_jobs_everywhere('sync_job_internal.this_node() IS NULL OR pg_sleep(60) IS NULL')"), qr/statement timeout/, 'so is a look at all nodes');
poll($server{"node$_"}, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()}, "node $_ has ended it", 'shop') for 1 .. 3;
fails_with($front, 'SELECT cancel_sync_job((9::bigint << 40) + 1)', qr/sync job \d+ does not exist/, 'of a node that nobody knows there are no jobs');

# Set-up, to all nodes and to one.
$_->safe_psql('shop', q{CREATE ROLE reader LOGIN PASSWORD 'secret'}) for values %server;
my $brought = q{SELECT string_agg(node || ' ' || coalesce(problem, written::text), ', ' ORDER BY node) FROM propagate_sync_job_setup()};
sql(q{INSERT INTO sync_job_queue (name, max_workers, timeout) VALUES ('night', 1, '1 hour')});
is(sql($brought), '1 1, 2 1, 3 1', 'what is new is written at all nodes');
is(sql($brought), '1 0, 2 0, 3 0', 'once');
sql(q{SELECT grant_sync_job_access('reader', 'viewer'), grant_sync_job_type('SAP Customer', 'reader')});
is(sql('SELECT written FROM propagate_sync_job_setup(2)'), '2', 'levels and grants, to one node');
is($server{node2}->safe_psql('shop', q{SELECT (SELECT role || ' ' || level FROM sync_job_internal.access), (SELECT role FROM sync_job_internal.type_grant)}),
	'reader viewer|reader', 'are there');
$server{node1}->safe_psql('shop', 'ALTER TABLE sap_customer RENAME TO away');
sql(q{UPDATE sync_job_type SET description = 'to SAP'});
like(sql($brought), qr/^1 .*public\.sap_customer.*, 2 1, 3 3$/, 'what a node refuses is told, and keeps it from no other');
$server{node1}->safe_psql('shop', 'ALTER TABLE away RENAME TO sap_customer');
is(sql($brought), '1 3, 2 0, 3 0', 'then it is brought up to date, too');
fails_with($front, 'SELECT propagate_sync_job_setup(9)', qr/node 9 is not in sync_job_node/, 'a node that nobody knows');

# Nobody gets more there than his user mapping gives.
my $as_reader = 'SET SESSION AUTHORIZATION reader; ';
my $notes = q{SELECT string_agg(DISTINCT note, ' ') FROM sync_job_queue_status_everywhere WHERE queue IS NULL};
like(sql($as_reader . $notes), qr/cannot be asked: user mapping not found/, 'without a user mapping nobody is asked');
sql("CREATE USER MAPPING FOR reader SERVER node3 OPTIONS (user 'reader', password 'secret')");
like(sql($as_reader . $notes), qr/cannot be asked: permission denied for foreign server/, 'nor without a right to the server');
sql(q{GRANT USAGE ON FOREIGN SERVER node3 TO reader});
fails_with($front, $as_reader . "SELECT cancel_sync_job($late)", qr/password is required/, 'nor with the rights of the server itself');
my $hba = slurp_file($server{node3}->data_dir . '/pg_hba.conf');
unlink $server{node3}->data_dir . '/pg_hba.conf';
append_to_file($server{node3}->data_dir . '/pg_hba.conf', "local all reader scram-sha-256\n$hba");
$server{node3}->reload;
fails_with($front, $as_reader . "SELECT cancel_sync_job($late)", qr/permission denied for sync job $late/, 'and with a password as that role');
is(sql($as_reader . q{SELECT count(*) > 0 FROM sync_job_queue_status_everywhere WHERE node = 3 AND queue = 'default'}), 't', 'which may look');
is($node3->("SELECT status FROM sync_job WHERE id = $late"), 'Queued', 'nothing was done');
sql('CREATE ROLE other LOGIN; ALTER SERVER node1 OWNER TO other');
like(note_of(1), qr/belongs to role "other", which may point it elsewhere/, 'a server that somebody else may point elsewhere is not asked');
sql('ALTER SERVER node1 OWNER TO postgres');

# A node that is down, one that is another, a copy.
$server{node2}->stop('immediate');
like(note_of(2), qr/^cannot be asked: could not establish connection/, 'a node that is down says so');
like(sql(q{SELECT string_agg(coalesce(node || queue, 'here'), ' ' ORDER BY node), max(note) FROM sync_job_queue_status_everywhere WHERE queue = 'short' OR queue IS NULL}),
	qr/^1short here 3short.*\|cannot be asked/, 'and the others answer');
my ($stdout, $stderr);
$front->psql('shop', 'SELECT count(DISTINCT node) FROM sync_job_everywhere', stdout => \$stdout, stderr => \$stderr);
is($stdout, '2', 'jobs of the others are shown');
like($stderr, qr/WARNING:  node 2 cannot be asked/, 'with a warning');
like(sql('SELECT problem FROM propagate_sync_job_setup(2)'), qr/could not establish connection/, 'nor can it be brought up to date');
$server{node2}->start;
sql(q{UPDATE sync_job_node SET node = 7 WHERE node = 2});
like(note_of(7), qr/^answers as node 2/, 'one that is another, or a copy, is told');
sql(q{UPDATE sync_job_node SET node = 2 WHERE node = 7});
$node3->('SELECT set_sync_job_node(3)');
is($node3->(q{SELECT count(*) FROM sync_job_queue_status WHERE note = 'waits for adopt_sync_jobs()'}), '0', 'the same number again changes nothing');
$server{node3}->psql('shop', 'SELECT set_sync_job_node(5)', stderr => \$stderr);
like($stderr, qr/NOTICE:  the jobs that wait here are those of node 3, and wait for adopt_sync_jobs\(\)/, 'a copy that gets a number of its own');
is($node3->(q{SELECT DISTINCT note FROM sync_job_queue_status}), 'waits for adopt_sync_jobs()', 'does not run the jobs of its original');
$node3->("SELECT cancel_sync_job($late); SELECT adopt_sync_jobs()");
is($node3->(q{SELECT enqueue_background_job('boom') >> 40}), '5', 'and gives ids of its own, also when it is adopted');
fails_with($server{node3}, "SELECT set_sync_job_node($_)", qr/node must be between 1 and 254/, "not $_") for 0, 255;
fails_with($server{node3}, 'SELECT set_sync_job_node(NULL)', qr/node must not be null/, 'nor none');
fails_with($server{node3}, 'SET ROLE reader; SELECT set_sync_job_node(6)', qr/permission denied for function/, 'nor by everybody');

# Slices.
my $publisher = sub { return $front->safe_psql('slices', $_[0]) };
sub slices_in_step
{
	my ($name, $rows) = @_;
	$publisher->($rows);
	for my $slice (0 .. 1)
	{
		my $right = $publisher->("SELECT md5(string_agg((id, upper(name), territory)::text, ' ' ORDER BY id)) FROM customer WHERE id % 2 = $slice");
		poll($server{ 'node' . ($slice + 1) }, "SELECT md5(string_agg((customer, name, region)::text, ' ' ORDER BY customer)) = '$right' FROM sap_customer",
			"$name: slice $slice", 'slices');
	}
	return;
}
run_recipe('Slices by logical replication');
slices_in_step('inserts', q{INSERT INTO customer SELECT i, 'Customer ' || i, 'North' FROM generate_series(1, 2000) AS i});
slices_in_step('updates', q{UPDATE customer SET territory = 'South'});
slices_in_step('deletes, and a row that moves to the other slice', q{DELETE FROM customer WHERE id > 1900; UPDATE customer SET id = id + 10001 WHERE id <= 10});
is($server{ 'node' . ($_ + 1) }->safe_psql('slices', "SELECT count(*) FROM sync_job WHERE source_document_name::bigint % 2 <> $_"), '0', "only the jobs of slice $_")
	for 0 .. 1;
$server{ 'node' . ($_ + 1) }->safe_psql('slices', "DROP SUBSCRIPTION slice_$_") for 0 .. 1;

$server{$_}->stop('fast') for sort keys %server;
unlike_accidents($server{$_}, kill => $_ eq 'node2') for sort keys %server;
done_testing();
