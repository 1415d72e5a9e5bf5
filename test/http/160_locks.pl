# Answers are written back beside an application that locks the same rows: nobody waits for it, it waits for nobody long, and no deadlock is its.
use strict;
use warnings;
use Test::More;
use SyncJob;
use Web;

my $shop = start_shop('--delay', 5);
my $node = new_cluster('main', conf => "deadlock_timeout = 200\nsync_job.poll_interval = 1000\n");
push_type($node, $shop, http => q({"answer": {"source": {"shop_id": "/id"}}}));

my $application = $node->background_psql('postgres');
sub lock_document
{
	my ($name) = @_;
	$application->query_safe("SET statement_timeout = '20 s'; BEGIN; SELECT FROM product WHERE sku = '$name' FOR UPDATE");
	return;
}
my $written = q{FROM product WHERE shop_id = 'id-' || sku};

# One document, one job.
$node->safe_psql('postgres', q{SELECT pause_sync_job_queue('default'); INSERT INTO product (sku, name, price) SELECT 'P' || n, 'Product', n FROM generate_series(1, 40) AS n});
lock_document('P1');
$node->safe_psql('postgres', q{SELECT resume_sync_job_queue('default')});
poll($node, "SELECT count(*) = 39 $written", 'the others are written back');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job_internal.http_request WHERE answer IS NOT NULL}), 1, 'the answer of the one is kept');
is($node->safe_psql('postgres', q{SELECT status FROM sync_job WHERE source_document_name = 'P1'}), 'Started', 'and its job goes on');
$application->query_safe(q{SELECT FROM product WHERE sku = 'P2' FOR UPDATE});
$application->query_safe('COMMIT');
poll($node, "SELECT count(*) = 40 $written", 'it is written when the lock has gone');
is(wait_for_jobs($node), 'Finished=40', 'nothing has failed');
is(tell_shop($shop, 'state')->{documents}, 40, 'each was sent once');

# A job is not Started for ever.
$node->safe_psql('postgres', q{UPDATE sync_job_type SET timeout = '500 ms'});
lock_document('P3');
my $job = enqueue($node, 'Shop', 'P3');
poll($node, "SELECT status = 'Failed' AND error_message LIKE 'the answer cannot be written back%' FROM sync_job WHERE id = $job", 'over its time it fails');
$application->query_safe('COMMIT');
wait_for_jobs($node);
is($node->safe_psql('postgres', "SELECT status FROM sync_job WHERE id = $job"), 'Finished', 'and ends well by its retry');
is(tell_shop($shop, 'state')->{documents}, 41, 'which sends nothing');
$node->safe_psql('postgres', q{UPDATE sync_job_type SET timeout = NULL});

# Statements of the application that lock many rows, in an order that is not that of the answers.
my $failed = 0;
for my $round (1 .. 15)
{
	$node->safe_psql('postgres', q{SELECT count(enqueue_sync_job('Shop', sku)) FROM product; ALTER TABLE product DISABLE TRIGGER USER; UPDATE product SET shop_id = NULL; ALTER TABLE product ENABLE TRIGGER USER});
	my ($code) = $node->psql('postgres', q{DO $$ BEGIN FOR n IN REVERSE 40 .. 1 LOOP UPDATE product SET price = n WHERE sku = 'P' || n; PERFORM pg_sleep(0.002); END LOOP; END $$});
	$failed++ if $code != 0;
}
is($failed, 0, 'no deadlock is that of the application');
wait_for_jobs($node);
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE status <> 'Finished'}), 0, 'nor that of a job');

# A batch.
$node->safe_psql('postgres', q{ALTER TABLE product DISABLE TRIGGER USER; UPDATE product SET shop_id = NULL; ALTER TABLE product ENABLE TRIGGER USER;
	UPDATE sync_job_type SET set_size = 100, http = http || '{"method": "POST", "path": "/batch", "delete": {"path": "/products/{sku}"},
		"batch": {"size": 40, "in": "products", "answers": "/results", "key": {"answer": "/sku", "source": "sku"}}}'});
my $documents = tell_shop($shop, 'state')->{documents};
lock_document('P4');
$node->safe_psql('postgres', q{SELECT enqueue_sync_jobs('Shop', ARRAY(SELECT sku FROM product))});
poll($node, "SELECT count(*) = 39 $written", 'of a batch the others are written back, too');
$application->query_safe('COMMIT');
poll($node, "SELECT count(*) = 40 $written", 'and the one when the lock has gone');
wait_for_jobs($node);
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE status <> 'Finished'}), 0, 'nothing has failed');
is(tell_shop($shop, 'state')->{documents} - $documents, 40, 'each was sent once');

$application->quit;
$node->stop;
done_testing();
