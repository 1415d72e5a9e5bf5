# The recipes of docs/http.md, as they are printed, but for the addresses of the servers.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256_hex);
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use Web;

my $web = start_web('recipes');
my $node = new_cluster('main');
$node->safe_psql('postgres', q{
	CREATE ROLE erp LOGIN;
	CREATE TABLE product (sku text PRIMARY KEY, name text, price numeric, stock int, shop_id text);
	CREATE TABLE orders (id int PRIMARY KEY, total numeric);
	ALTER TABLE product OWNER TO erp;
	ALTER TABLE orders OWNER TO erp;
	INSERT INTO product VALUES ('CHAIR-1', 'Chair', 49.9, 3);
});

# What the page says, with this server for each of its own, which answers whatever the path is.
my $page = slurp_file("$ENV{CHECKOUT}/docs/http.md");
my @blocks = $page =~ /^```text\n(.*?)^```/msg;
for (@blocks)
{
	s{url 'https://[^']*'}{url 'http://127.0.0.1:$web->{port}', networks '127.0.0.0/8'}g;
	s{"path": "/}{"path": "/echo/}g;
	s{"/id"}{"/n"}g;
}
my ($shop) = grep { /^CREATE SERVER shop/ } @blocks;
my ($hook) = grep { /^CREATE SERVER partner/ } @blocks;
my ($chat) = grep { /^CREATE SERVER chat/ } @blocks;
ok($shop && $hook && $chat, 'the page has three recipes');

is($node->safe_psql('postgres', $shop), 'sync_job_shop_product', 'a shop: validation finds nothing, the triggers are attached');
$node->safe_psql('postgres', q{UPDATE product SET stock = 0});
wait_for_jobs($node);
$node->safe_psql('postgres', q{DELETE FROM product});
like(wait_for_jobs($node), qr/^Finished=2$/, 'a change and a deletion');
my @sent = requests_of($web);
is(join(' ', map { "$_->{method} $_->{target} $_->{header}{authorization}" } @sent), 'PUT /echo/api/products/CHAIR-1 Bearer ... DELETE /echo/api/products/CHAIR-1 Bearer ...', 'the requests');
is_deeply(decode_json($sent[0]{body}), { name => 'Chair', price => 49.9, in_stock => JSON::PP::false, origin => 'ERP' }, 'the body');

$node->safe_psql('postgres', $hook . q{SELECT attach_sync_job_triggers('Order Webhook', 'orders')});
$node->safe_psql('postgres', q{INSERT INTO orders VALUES (1, 12.5)});
wait_for_jobs($node);
$node->safe_psql('postgres', q{DELETE FROM orders});
like(wait_for_jobs($node), qr/^Finished=4$/, 'a webhook');
@sent = requests_of($web);
is($sent[2]{header}{'x-signature-256'}, 'sha256=' . hmac_sha256_hex($sent[2]{body}, '...'), 'its signature');
is(join(' ', map { $_->{header}{'x-event'} } @sent[2, 3]), 'order.insert order.delete', 'its event');
is_deeply(decode_json($sent[3]{body}), { event => 'Delete', id => 1 }, 'a deletion has a body of its own');

$node->safe_psql('postgres', $chat . q{CALL tell_chat('{"alert": "failures", "state": "firing", "value": "41"}')});
like(wait_for_jobs($node), qr/^Finished=5$/, 'a chat message');
is((requests_of($web))[4]{body}, '{"text": "failures is firing: 41"}', 'its text');

$node->stop;
done_testing();
