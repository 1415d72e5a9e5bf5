# Many documents in one request: set jobs, answers by key, documents that are refused, answers that are short, limits and pauses of the endpoint.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use SyncJob;
use Web;

my $shop = start_shop('--delay', 5);
my $node = new_cluster('main', conf => "sync_job.poll_interval = 1000\n");
push_type($node, $shop, server => "in_flight '4', timeout '3000'", columns => 'set_size', values => 100,
	http => q({"method": "POST", "path": "/batch", "answer": {"source": {"shop_id": "/id"}}, "delete": {"path": "/products/{sku}"},
		"batch": {"size": 20, "in": "products", "answers": "/results", "key": {"answer": "/sku", "source": "sku"}, "status": "/status", "error": "/message"}}));

$node->safe_psql('postgres', q{INSERT INTO product (sku, name, price) SELECT 'P' || n, 'Product', n FROM generate_series(1, 250) AS n});
is(wait_for_jobs($node), 'Finished=3', 'three sets');
my $state = tell_shop($shop, 'state');
is(scalar keys %{ $state->{products} }, 250, 'all documents have come');
is($state->{requests}, 13, 'in batches of at most 20');
ok($state->{most_in_flight} <= 4, 'no more at a time than the endpoint may have');
is($node->safe_psql('postgres', q{SELECT count(*) FROM product WHERE shop_id = 'id-' || sku}), 250, 'their answers are written back, by key');
is($node->safe_psql('postgres', q{SELECT string_agg((result ->> 'updated'), ' ' ORDER BY id) FROM sync_job}), '100 100 50', 'the sets tell how many');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job_document}), 250, 'and each document has its row');

# Some are refused, one answer is short, one document makes the whole a 400, some are deleted meanwhile.
$node->safe_psql('postgres', q{UPDATE sync_job_type SET max_retries = 3, retry_delay = '50 ms'});
$node->safe_psql('postgres', q{UPDATE product SET version = 2, name = CASE sku WHEN 'P3' THEN 'refused' WHEN 'P7' THEN 'short' WHEN 'P50' THEN 'bad' ELSE name END WHERE sku ~ '^P[0-9]{1,2}$'});
my $ended = wait_for_jobs($node);
like($ended, qr/Failed=1 /, 'one document is refused for good');
is($node->safe_psql('postgres', q{SELECT source_document_name, substring(error_message FROM 'It says: (.*?)\n') FROM sync_job WHERE status = 'Failed'}),
	'P3|no such colour', 'as a job of its own, with what the server said');
$state = tell_shop($shop, 'state');
is($state->{products}{P7}, 2, 'a short answer is asked for again');
is($state->{products}{P50}, 2, 'what spoils a batch is sent alone');
is($state->{two_bodies}, 0, 'no key has two bodies');
is(scalar(grep { $state->{products}{"P$_"} == 2 } 1 .. 99), 98, 'all others have come');

# A set whose documents are deleted before it is sent.
$node->safe_psql('postgres', q{SELECT pause_sync_job_type('Shop')});
$node->safe_psql('postgres', q{UPDATE product SET version = 3; DELETE FROM product WHERE sku ~ '^P1'});
$node->safe_psql('postgres', q{SELECT resume_sync_job_type('Shop')});
wait_for_jobs($node);
$state = tell_shop($shop, 'state');
my %table = map { split /\|/ } split /\n/, $node->safe_psql('postgres', q{SELECT sku, version FROM product WHERE sku <> 'P3'});
delete $state->{products}{P3};
is_deeply($state->{products}, \%table, 'the shop has what the table has');

# The endpoint asks for a pause: everything waits, nothing fails.
tell_shop($shop, 'pause/2');
$node->safe_psql('postgres', q{UPDATE product SET version = 4 WHERE name <> 'refused'});
poll($node, q{SELECT note LIKE '%have asked for a pause: "shop"%' FROM sync_job_queue_status WHERE queue = 'default'}, 'the queue tells why it waits');
wait_for_jobs($node);
$state = tell_shop($shop, 'state');
ok($state->{during_pause} <= 8, "few requests came during the pause: $state->{during_pause}");
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job_error WHERE message LIKE '%429%'}), 0, 'a pause is no failure');
is(scalar(grep { $_ == 4 } values %{ $state->{products} }), scalar(grep { $_ ne 'P3' } keys %table), 'and then all is sent');

# An answer that cannot be written back: the document leaves the batch with it, and is not sent again. Whether the statement fails, or the commit.
$node->safe_psql('postgres', q{
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not %', new.sku; END $$;
	CREATE TRIGGER at_once BEFORE UPDATE OF shop_id ON product FOR EACH ROW WHEN (new.shop_id = 'id-P20') EXECUTE FUNCTION refuse();
	CREATE CONSTRAINT TRIGGER at_commit AFTER UPDATE OF shop_id ON product DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.shop_id = 'id-P21') EXECUTE FUNCTION refuse();
	ALTER TABLE product DISABLE TRIGGER USER; UPDATE product SET shop_id = NULL; ALTER TABLE product ENABLE TRIGGER USER;
	UPDATE sync_job_type SET max_retries = 20, retry_delay = '50 ms' WHERE name = 'Shop'});
my $documents = tell_shop($shop, 'state')->{documents};
my $changed = $node->safe_psql('postgres', q{WITH changed AS (UPDATE product SET version = 5 WHERE name <> 'refused' RETURNING 1) SELECT count(*) FROM changed});
poll($node, qq{SELECT count(*) = $changed - 2 FROM product WHERE shop_id = 'id-' || sku}, 'all others are written back');
poll($node, q{SELECT count(DISTINCT e.message) = 2 FROM sync_job_error AS e WHERE e.message IN ('not P20', 'not P21')}, 'the two have failed, and are tried again');
$node->safe_psql('postgres', q{DROP TRIGGER at_once ON product; DROP TRIGGER at_commit ON product; UPDATE sync_job_type SET max_retries = 3 WHERE name = 'Shop'});
poll($node, qq{SELECT count(*) = $changed FROM product WHERE shop_id = 'id-' || sku}, 'until they are written back');
wait_for_jobs($node);
is(tell_shop($shop, 'state')->{documents} - $documents, $changed, 'each document was sent once');
is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM sync_job_internal.http_request) + (SELECT count(*) FROM sync_job_internal.http_document)}), 0, 'no request is left');

# Documents of which nobody knows whether they have come do not hold up others of their set.
$node->safe_psql('postgres', q{UPDATE sync_job_type SET retry_delay = '1 hour' WHERE name = 'Shop';
	UPDATE product SET version = 6, name = 'lost' WHERE sku IN (SELECT sku FROM product WHERE name <> 'refused' ORDER BY sku LIMIT 20)});
poll($node, q{SELECT count(*) > 0 FROM sync_job WHERE status = 'Failed' AND error_message LIKE '%is not known%'}, 'a batch is lost');
$node->safe_psql('postgres', q{UPDATE product SET version = 7, name = 'Product' WHERE name <> 'refused'});
for (1 .. 600)
{
	$state = tell_shop($shop, 'state');
	last if grep({ $_ == 7 } values %{ $state->{products} }) == $changed - 20;
	usleep(100_000);
}
is(scalar(grep { $_ == 7 } values %{ $state->{products} }), $changed - 20, 'those that are not in it are sent');
tell_shop($shop, 'found');
$node->safe_psql('postgres', q{UPDATE sync_job_type SET retry_delay = '50 ms' WHERE name = 'Shop'; SELECT retry_sync_job(array_agg(id)) FROM sync_job WHERE status = 'Failed' AND error_message LIKE '%is not known%'});
wait_for_jobs($node);
is(scalar(grep { $_ == 7 } values %{ tell_shop($shop, 'state')->{products} }), $changed, 'and then the others');

# A mistake in the set-up of a type with batches is known, as that of any other.
$node->safe_psql('postgres', q{ALTER SERVER shop RENAME TO store; UPDATE product SET version = 8 WHERE name <> 'refused'});
poll($node, q{SELECT count(*) = 1 FROM sync_job_setup_error WHERE sync_job_type = 'Shop' AND message = 'server "shop" does not exist'}, 'a server that is not there is a set-up error');
$node->safe_psql('postgres', q{ALTER SERVER store RENAME TO shop});
wait_for_jobs($node);
$state = tell_shop($shop, 'state');
is(scalar(grep { $_ == 8 } values %{ $state->{products} }), scalar(grep { $_ ne 'P3' } keys %table), 'with the server all is sent');
poll($node, q{SELECT count(*) = 0 FROM sync_job_setup_error}, 'and the error is known no more');

$node->stop;
done_testing();
