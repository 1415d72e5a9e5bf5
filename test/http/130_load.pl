# How many requests go out: with 64 in flight and a server that takes 50 ms, 1,280 a second is the ceiling. No snapshot is old meanwhile, and
# jobs of another type of the role are not held up. LOAD=20000 and BATCHED=200000 for figures; the test itself asks for little, as the machine may be slow.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use SyncJob;
use Web;

my $single = $ENV{LOAD} || 500;
my $batched = $ENV{BATCHED} || 5000;
my $shop = start_shop('--delay', 50);
my $node = new_cluster('main', conf => "sync_job.max_workers = 4\n");
push_type($node, $shop, server => "in_flight '64'");
other_type($node);

# Until all have ended: how long it took, the oldest snapshot, the longest wait of a job of the other type.
sub measure
{
	my ($name, $documents, $least) = @_;
	my $started = time;
	my ($oldest, $longest) = watch_jobs($node);
	my $rate = $documents / (time - $started);
	note sprintf('%s: %d documents, %.0f a second; the oldest transaction %.3f s; another job took %.3f s at most', $name, $documents, $rate, $oldest, $longest);
	cmp_ok($rate, '>', $least, "$name: more than $least documents a second");
	cmp_ok($oldest, '<', 5, "$name: no transaction stays open");
	return;
}

$node->safe_psql('postgres', qq{INSERT INTO product (sku, name, price) SELECT 'P' || n, 'Product', n FROM generate_series(1, $single) AS n});
measure('single', $single, 50);
my $state = tell_shop($shop, 'state');
is(scalar keys %{ $state->{products} }, $single, 'all have come');
cmp_ok($state->{most_in_flight}, '<=', 64, "at most 64 at a time: $state->{most_in_flight}");

$node->safe_psql('postgres', q{UPDATE sync_job_type SET set_size = 50, http = http || '{"method": "POST", "path": "/batch", "batch": {"size": 50, "in": "products"}, "delete": {"path": "/products/{sku}"}}'
	WHERE name = 'Shop'});
$node->safe_psql('postgres', qq{INSERT INTO product (sku, name, price) SELECT 'B' || n, 'Product', n FROM generate_series(1, $batched) AS n});
measure('batches', $batched, 200);
is(scalar(grep { /^B/ } keys %{ tell_shop($shop, 'state')->{products} }), $batched, 'all have come');

$node->stop;
done_testing();
