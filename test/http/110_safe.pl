# A shop that fails now and then, workers that are killed, a server that crashes: every document arrives, no key has two bodies, and what the
# shop has in the end is what the table has.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use SyncJob;
use Web;

my $documents = $ENV{DOCUMENTS} || 300;
my $shop = start_shop('--delay', 5, '--faults', 15);
my $node = new_cluster('main', conf => "sync_job.poll_interval = 1000\nrestart_after_crash = on\n");
push_type($node, $shop, server => "in_flight '16', timeout '700'", http => q({"answer": {"source": {"shop_id": "/id"}}}));

my $worker = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'sync job worker' AND query LIKE '%under way%' OR application_name LIKE 'sync job HTTP worker%' LIMIT 1};

sub in_step
{
	my ($name) = @_;
	tell_shop($shop, 'faults/0');
	like(wait_for_jobs($node), qr/^Finished=\d+$/, "$name: all jobs have ended well");
	my $state = tell_shop($shop, 'state');
	is($state->{two_bodies}, 0, "$name: no key has two bodies");
	is($state->{backwards}, 0, "$name: no document went backwards");
	my %table = map { split /\|/ } split /\n/, $node->safe_psql('postgres', q{SELECT sku, version FROM product});
	is_deeply($state->{products}, \%table, "$name: the shop has what the table has");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM product WHERE shop_id IS DISTINCT FROM 'id-' || sku}), 0, "$name: each answer was written back");
	is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM sync_job_internal.http_request) + (SELECT count(*) FROM sync_job_internal.http_document)}),
		0, "$name: no request is left");
	return $state;
}

# Faults alone.
$node->safe_psql('postgres', "INSERT INTO product (sku, name, price) SELECT 'P' || n, 'Product', n FROM generate_series(1, $documents) AS n");
for my $round (1 .. 5)
{
	$node->safe_psql('postgres', q{UPDATE product SET version = version + 1 WHERE random() < 0.3});
	usleep(100_000);
}
$node->safe_psql('postgres', q{DELETE FROM product WHERE random() < 0.1});
in_step('faults');

# Killed at random, with changes going on. A server without cassert restarts all after a kill -9.
tell_shop($shop, 'faults/10');
my $kills = 0;
for my $round (1 .. 8)
{
	eval { $node->safe_psql('postgres', q{UPDATE product SET version = version + 1 WHERE random() < 0.5}); 1 } or note $@;
	usleep(int(rand(300_000)));
	my $pid = eval { $node->safe_psql('postgres', $worker) } || next;
	kill 'KILL', $pid;
	$kills++;
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
}
ok($kills > 0, "$kills kills");
in_step('kill -9');

# An ordinary end of the worker, and a restart of the server.
tell_shop($shop, 'faults/5');
$node->safe_psql('postgres', q{UPDATE product SET version = version + 1});
usleep(50_000);
$node->safe_psql('postgres', qq{SELECT pg_terminate_backend(pid) FROM ($worker) AS w});
usleep(100_000);
$node->restart;
in_step('terminated, restarted');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job_error WHERE counted AND sqlstate IN ('57P01', '57P02')}), 0, 'no crash was charged to a job');

# While nobody knows whether a request has come, later jobs of its document wait; a change is not absorbed by it.
tell_shop($shop, 'faults/100');
$node->safe_psql('postgres', q{UPDATE sync_job_type SET retry_delay = '1 second'; UPDATE product SET version = version + 1 WHERE sku = (SELECT min(sku) FROM product)});
poll($node, q{SELECT count(*) > 0 FROM sync_job WHERE status = 'Failed' AND error_message LIKE '%not known whether%' OR status = 'Failed'}, 'the shop fails');
$node->safe_psql('postgres', q{UPDATE product SET version = version + 1 WHERE sku = (SELECT min(sku) FROM product)});
in_step('after an unknown outcome');

$node->stop;
done_testing();
