# One document, one request: what is sent, what becomes of the job, what of the answer is written back, and what nobody gets to see.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Digest::SHA qw(hmac_sha256_hex);
use JSON::PP;
use Test::More;
use SyncJob;
use Web;

my $web = start_web('shop');
my $node = new_cluster('main');
push_type($node, $web, http => q({"path": ["/echo/", "{sku}"], "query": {"dear": {"expr": "source.price > 100"}, "none": "shop_id"},
	"headers": {"Authorization": {"secret": "token", "prefix": "Bearer "}, "X-Signature": {"hmac": "sign", "over": "body", "prefix": "sha256="},
		"X-Role": {"expr": "current_user"}},
	"answer": {"source": {"shop_id": "/n", "shop_status": {"status": true}}}}));

# An insert, with everything.
$node->safe_psql('postgres', q{INSERT INTO product VALUES ('A/1 ü', 'Chair "x"', 149.90)});
is(wait_for_jobs($node), 'Finished=1', 'the job has ended');
my ($request) = requests_of($web);
is($request->{method}, 'PUT', 'the method');
is($request->{target}, '/echo/A%2F1%20%C3%BC?dear=true', 'path and query are encoded, and null is left out');
my $body = $request->{body};
utf8::decode($body);
is_deeply(JSON::PP->new->decode($body), { sku => "A/1 \x{fc}", name => 'Chair "x"', price => 149.90, version => 1, from => { system => 'ERP' } }, 'the body');
is($request->{header}{authorization}, 'Bearer very-secret-token', 'the secret');
is($request->{header}{'x-signature'}, 'sha256=' . hmac_sha256_hex($request->{body}, 'signing-key'), 'the signature');
is($request->{header}{'x-role'}, 'postgres', 'an expression in a header');
is($request->{header}{'content-type'}, 'application/json', 'the type of the body');
like($request->{header}{'idempotency-key'}, qr/^[0-9a-f-]{36}-\d+-1$/, 'the key');
is($node->safe_psql('postgres', q{SELECT shop_id, shop_status FROM product}), '1|200', 'the answer is written back');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job}), 1, 'which enqueues nothing');
is($node->safe_psql('postgres', q{SELECT operation, result, checkpoint FROM sync_job}), 'Insert|{"status": 200}|', 'what the job tells');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job_internal.http_request}), 0, 'no request is left');

# An update, and a delete.
$node->safe_psql('postgres', q{UPDATE product SET name = 'Stool', version = 2});
wait_for_jobs($node);
$node->safe_psql('postgres', q{DELETE FROM product});
is(wait_for_jobs($node), 'Finished=3', 'all have ended');
my @all = requests_of($web);
is(join(' ', map { $_->{method} } @all), 'PUT PUT DELETE', 'a deletion is sent');
is($all[2]{body}, '', 'without a body');
is($node->safe_psql('postgres', q{SELECT string_agg(operation, ' ' ORDER BY id) FROM sync_job}), 'Insert Update Delete', 'the operations');

# A dry run shows the request, with the names of the secrets.
$node->safe_psql('postgres', q{ALTER TABLE product DISABLE TRIGGER ALL; INSERT INTO product VALUES ('D', 'Dry', 1); ALTER TABLE product ENABLE TRIGGER ALL});
my $dry = enqueue($node, 'Shop', 'D', 'dry_run => true');
is(wait_for_jobs($node), 'Finished=4', 'the dry run has ended');
my $shown = decode_json($node->safe_psql('postgres', "SELECT result FROM sync_job WHERE id = $dry"));
is_deeply($shown->{headers}{Authorization}, { secret => 'token', prefix => 'Bearer ' }, 'it has the name of the secret');
is($shown->{target}, '/echo/D?dear=false', 'and the rest of the request');
is(scalar(my @none = requests_of($web)), 3, 'nothing was sent');

# Answers into a table of their own, one row for each document; from its headers, too.
$node->safe_psql('postgres', q{
	CREATE TABLE registry (product_sku text PRIMARY KEY, remote int, tag text);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, http) VALUES ('Registry', 'product', 'registry',
		'{"server": "shop", "path": "/echo/registry", "query": {"header": {"expr": "''ETag:'' || source.version"}}, "body": {"expr": "source.name"}, "headers": {"Content-Type": {"value": "text/plain"}},
		  "answer": {"target": {"remote": "/n", "tag": {"header": "etag"}}, "match": {"product_sku": "sku"}}, "delete": {}}')});
for my $version (1, 2)
{
	$node->safe_psql('postgres', qq{ALTER TABLE product DISABLE TRIGGER ALL; UPDATE product SET version = $version WHERE sku = 'D'; ALTER TABLE product ENABLE TRIGGER ALL});
	enqueue($node, 'Registry', 'D');
	wait_for_jobs($node);
	my @sent = requests_of($web);
	is($node->safe_psql('postgres', 'SELECT * FROM registry'), "D|$sent[-1]{n}|$version", $version == 1 ? 'an answer is inserted' : 'and updated');
	is("$sent[-1]{header}{'content-type'} $sent[-1]{body}", 'text/plain Dry', 'a body that is text');
}

$node->safe_psql('postgres', q{DELETE FROM sync_job_type WHERE name = 'Registry'});

# What a value may not do.
for my $name ('..', '.')
{
	$node->safe_psql('postgres', "INSERT INTO product VALUES ('$name', 'x', 1)");
}
$node->safe_psql('postgres', q{UPDATE sync_job_type SET max_retries = 0});
$node->safe_psql('postgres', q{UPDATE sync_job SET retry_after = NULL WHERE false});
poll($node, q{SELECT count(*) = 2 FROM sync_job WHERE status = 'Failed' AND error_message LIKE '%has a part that is "%'}, 'a value does not lead out of its path');
$node->safe_psql('postgres', q{SELECT cancel_sync_job(array_agg(id)) FROM sync_job WHERE status = 'Failed'});
$node->safe_psql('postgres', q{UPDATE sync_job_type SET http = http || '{"headers": {"X-Name": "name"}}'});
$node->safe_psql('postgres', qq{INSERT INTO product VALUES ('N', E'a\\r\\nHost: evil', 1)});
poll($node, q{SELECT count(*) = 1 FROM sync_job WHERE status = 'Failed' AND error_message LIKE '%control character%'}, 'nor into another header');
$node->safe_psql('postgres', q{SELECT cancel_sync_job(array_agg(id)) FROM sync_job WHERE status = 'Failed'});

# Errors tell what was answered, and no secret, though the server says it back.
$node->safe_psql('postgres', q{UPDATE sync_job_type SET http = http - 'answer' || '{"path": "/echo/x", "query": {"status": {"value": 422}},
	"headers": {"Authorization": {"secret": "token"}}}'});
my $failed = enqueue($node, 'Shop', 'N', 'verbose_logging => true');
poll($node, qq{SELECT status = 'Failed' FROM sync_job WHERE id = $failed}, 'an answer that is none of success');
like($node->safe_psql('postgres', "SELECT error_message FROM sync_job WHERE id = $failed"),
	qr{server "shop" has answered with status 422.*PUT /echo/x\?status=422.*\(secret token\)}s, 'the error tells the status and the answer');
$node->safe_psql('postgres', qq{SELECT cancel_sync_job($failed)});

# In whatever encoding it does: base64, by itself or as user:password, hexadecimal, percent-encoded, escaped as JSON; and what a secret that is base64 stands for.
$node->safe_psql('postgres', q{ALTER USER MAPPING FOR postgres SERVER shop OPTIONS (SET token 'very-secret/"töken', ADD basic 'am9lOnZlcnktc2VjcmV0LXdvcmQ=')});
for my $header ('"secret": "token", "prefix": "Bearer "', '"secret": "basic", "prefix": "Basic "')
{
	$node->safe_psql('postgres', qq{UPDATE sync_job_type SET http = http || '{"path": "/mirror", "headers": {"Authorization": {$header}}}'});
	$failed = enqueue($node, 'Shop', 'N', 'verbose_logging => true');
	poll($node, qq{SELECT status = 'Failed' FROM sync_job WHERE id = $failed}, 'it says the secret back');
	my $said = $node->safe_psql('postgres', "SELECT error_message FROM sync_job WHERE id = $failed");
	my $count = () = $said =~ /\(secret \w+\)/g;
	cmp_ok($count, '>=', 5, "each form of it is replaced: $count");
	$node->safe_psql('postgres', qq{SELECT cancel_sync_job($failed)});
}

# The secret is in nothing that was written: tables, history, log.
my $secret = qr/very-secret|signing-key|766572792d73656372|dmVyeS1zZWNyZX|Zlcnktc2VjcmV0|am9lOn/i;
my $dump = $node->safe_psql('postgres', q{SELECT string_agg(j::text, ' ') FROM sync_job AS j}) .
  $node->safe_psql('postgres', q{SELECT string_agg(e::text, ' ') FROM sync_job_error AS e}) .
  $node->safe_psql('postgres', q{SELECT coalesce(string_agg(r::text, ' '), '') FROM sync_job_internal.http_request AS r}) .
  $node->safe_psql('postgres', q{SELECT string_agg(a::text, ' ') FROM pg_stat_activity AS a WHERE query !~ 'string_agg'});
unlike($dump, $secret, 'no table has a secret');
unlike(slurp_file($node->logfile) =~ s/^.*(CREATE|ALTER) USER MAPPING.*$//mgr, $secret, 'nor the log');

# One worker, one thread, counted; no transaction is open while it waits.
$node->safe_psql('postgres', q{UPDATE sync_job_type SET http = http || '{"path": "/delay/1500", "query": {}}'});
my $slow = enqueue($node, 'Shop', 'N');
poll($node, qq{SELECT status = 'Started' FROM sync_job WHERE id = $slow}, 'a slow server');
my ($pid, $state) = split /\|/, $node->safe_psql('postgres', q{SELECT pid, coalesce(xact_start::text, 'no transaction') || ' ' || coalesce(backend_xmin::text, 'no snapshot')
	FROM pg_stat_activity WHERE backend_type = 'sync job worker' AND query LIKE '%under way%'});
is($state, 'no transaction no snapshot', 'nothing is open meanwhile');
my @threads = glob "/proc/$pid/task/*";
is(scalar @threads, 1, 'one thread');
is(wait_for_jobs($node) =~ /Failed|Started/ ? 'no' : 'yes', 'yes', 'it ends');

# Cancel, while it is under way.
$slow = $node->safe_psql('postgres', q{UPDATE sync_job_type SET http = http || '{"path": "/nothing"}' RETURNING enqueue_sync_job('Shop', 'N')});
poll($node, qq{SELECT status = 'Started' FROM sync_job WHERE id = $slow}, 'a server that never answers');
is($node->safe_psql('postgres', "SELECT status, cancel_reason FROM cancel_sync_job($slow, 'enough', running => true)"), 'Canceled|enough', 'canceled under way');
poll($node, q{SELECT count(*) = 0 FROM sync_job_internal.http_request}, 'and forgotten');

# Refused addresses: without the option, this machine is not to be reached.
$node->safe_psql('postgres', q{ALTER SERVER shop OPTIONS (DROP networks); UPDATE sync_job_type SET http = http || '{"path": "/ok"}'});
my $private = enqueue($node, 'Shop', 'N');
poll($node, qq{SELECT status = 'Failed' AND error_message LIKE '%was not sent%' FROM sync_job WHERE id = $private}, 'a private address is refused');
$node->safe_psql('postgres', qq{SELECT cancel_sync_job($private)});

# Paused; resumed; no HTTP any more.
$node->safe_psql('postgres', q{ALTER SERVER shop OPTIONS (ADD networks '127.0.0.0/8'); SELECT pause_sync_job_type('Shop')});
my $waits = enqueue($node, 'Shop', 'N');
$node->safe_psql('postgres', q{SELECT resume_sync_job_type('Shop')});
poll($node, qq{SELECT status = 'Finished' FROM sync_job WHERE id = $waits}, 'sent after a pause');
my $later = enqueue($node, 'Shop', 'N', q{scheduled_at => now() + interval '1 second'});
poll($node, qq{SELECT status = 'Finished' FROM sync_job WHERE id = $later}, 'and at its time');

$node->stop;
done_testing();
