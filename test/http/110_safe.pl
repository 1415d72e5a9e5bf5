# A shop that fails now and then, workers that are killed, a server that crashes: every document arrives, no key has two bodies, and what the
# shop has in the end is what the table has. Meanwhile no snapshot is old, and jobs of another type are not held up.
# DOCUMENTS=20000 for the proof, with 5 % of faults; the test itself is short.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use SyncJob;
use Web;

my $documents = $ENV{DOCUMENTS} || 300;
my $faults = $ENV{DOCUMENTS} ? 5 : 15;
my $shop = start_shop('--delay', 5, '--faults', $faults);
my $node = new_cluster('main', conf => "sync_job.poll_interval = 1000\nrestart_after_crash = on\n");
push_type($node, $shop, server => sprintf("in_flight '%d', timeout '700'", $ENV{DOCUMENTS} ? 64 : 16), http => q({"answer": {"source": {"shop_id": "/id"}}}));

other_type($node);

my $worker = q{SELECT pid FROM pg_stat_activity WHERE pid = (SELECT worker_pid FROM sync_job WHERE sync_job_type = 'Shop' AND status = 'Started' ORDER BY started_at DESC LIMIT 1)};

sub in_step
{
	my ($name) = @_;
	my $began = time;
	my ($oldest, $longest) = watch_jobs($node);
	note sprintf('%s: %.1f s; the oldest transaction %.3f s; another job took %.3f s at most', $name, time - $began, $oldest, $longest);
	cmp_ok($oldest, '<', 5, "$name: no snapshot is old meanwhile");
	cmp_ok($longest, '<', 10, "$name: jobs of another type are not held up");
	tell_shop($shop, 'faults/0');
	wait_for_jobs($node);
	is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT status, ' ') FROM sync_job WHERE sync_job_type = 'Shop'}), 'Finished', "$name: all jobs have ended well");
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
tell_shop($shop, "faults/$faults");
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
tell_shop($shop, "faults/$faults");
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
tell_shop($shop, 'faults/0');
in_step('after an unknown outcome');

# However many wait for that, they do not hold up those behind them.
$node->safe_psql('postgres', q{ALTER SERVER shop OPTIONS (SET in_flight '2'); UPDATE sync_job_type SET retry_delay = '1 hour' WHERE name = 'Shop';
	UPDATE product SET version = version + 1, name = 'lost' WHERE sku IN (SELECT sku FROM product ORDER BY sku LIMIT 200)});
my ($lost) = $node->safe_psql('postgres', q{SELECT count(*) FROM product WHERE name = 'lost'});
poll($node, qq{SELECT count(*) = $lost FROM sync_job WHERE status = 'Failed' AND error_message LIKE '%is not known%'}, "of $lost requests nobody knows whether they have come");
$node->safe_psql('postgres', q{UPDATE product SET version = version + 1, name = 'Product' WHERE name = 'lost'; INSERT INTO product VALUES ('Z', 'Product', 1)});
poll($node, q{SELECT count(*) = 1 FROM sync_job WHERE source_document_name = 'Z' AND status = 'Finished'}, 'a document behind them is sent');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE sync_job_type = 'Shop' AND status = 'Queued'}), $lost, 'and they wait');

# An earlier job of a document, which was refused, and a later one of which nobody knows: neither waits for the other for ever.
$node->safe_psql('postgres', q{UPDATE product SET version = 2, name = 'busy' WHERE sku = 'Z'});
poll($node, q{SELECT count(*) = 1 FROM sync_job WHERE source_document_name = 'Z' AND status = 'Failed' AND error_message LIKE '%503%'}, 'one is refused');
$node->safe_psql('postgres', q{UPDATE product SET version = 3, name = 'lost' WHERE sku = 'Z'});
poll($node, q{SELECT count(*) = 1 FROM sync_job WHERE source_document_name = 'Z' AND status = 'Failed' AND error_message LIKE '%is not known%'}, 'the next one is lost');
tell_shop($shop, 'found');
$node->safe_psql('postgres', q{SELECT retry_sync_job(array_agg(id)) FROM sync_job WHERE status = 'Failed'});
in_step('sent again');

$node->stop;
done_testing();
