# What an endpoint, and a type, may have at a time and in a second holds over all workers: here those of two queues. And what there is to see of it.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use SyncJob;
use Web;

my $shop = start_shop('--delay', 20);
my $node = new_cluster('main', conf => "sync_job.max_workers = 4\nsync_job.poll_interval = 1000\n");
push_type($node, $shop, server => "in_flight '6'");
$node->safe_psql('postgres', q{INSERT INTO sync_job_queue (name) VALUES ('second');
	SELECT detach_sync_job_triggers('Shop', 'product');
	INSERT INTO product (sku, name, price) SELECT 'P' || n, 'Product', n FROM generate_series(1, 400) AS n});

# Jobs for the documents from .. to, in the queue.
sub send_in
{
	my ($queue, $from, $to) = @_;
	$node->safe_psql('postgres', qq{SELECT count(enqueue_sync_job('Shop', 'P' || n, queue => '$queue')) FROM generate_series($from, $to) AS n});
	return;
}
sub most_in_flight { return tell_shop($shop, 'state')->{most_in_flight} }
sub metric
{
	my ($name, $labels) = @_;
	return $node->safe_psql('postgres', qq{SELECT value FROM sync_job_metrics(ARRAY['$name']) WHERE labels \@> '$labels'});
}

$node->safe_psql('postgres', q{SELECT pause_sync_job_queue('default'), pause_sync_job_queue('second')});
send_in('default', 1, 200);
send_in('second', 201, 400);
$node->safe_psql('postgres', q{SELECT resume_sync_job_queue('default'), resume_sync_job_queue('second')});
poll($node, q{SELECT count(*) = 2 FROM sync_job_activity WHERE state = 'running'}, 'two workers send');
is(wait_for_jobs($node), 'Finished=400', 'both have sent all');
cmp_ok(most_in_flight(), '<=', 6, 'no more at a time than in_flight: ' . most_in_flight());
is(metric('sync_job_http_requests_total', '{"foreign_server": "shop", "answer": "2xx"}'), 400, 'they are counted');
is(metric('sync_job_http_request_seconds', '{"foreign_server": "shop", "le": "0.005"}'), 0, 'by how long they took');
is(metric('sync_job_http_in_flight', '{"foreign_server": "shop"}'), 0, 'and none is under way');

# Whoever has much to send leaves others their share.
$node->safe_psql('postgres', q{ALTER SERVER shop OPTIONS (SET in_flight '1')});
send_in('default', 1, 100);
poll($node, q{SELECT value > 0 FROM sync_job_metrics(ARRAY['sync_job_http_waiting'])}, 'requests wait for their turn');
send_in('second', 201, 205);
wait_for_jobs($node);
is($node->safe_psql('postgres', q{SELECT (SELECT max(ended_at) FROM sync_job WHERE queue = 'second') < (SELECT max(ended_at) FROM sync_job WHERE queue = 'default')}), 't', 'the other worker had its turns');

# How many begin in a second.
$node->safe_psql('postgres', q{ALTER SERVER shop OPTIONS (SET in_flight '16', ADD per_second '50')});
my $began = time;
send_in('default', 1, 50);
send_in('second', 201, 250);
wait_for_jobs($node);
cmp_ok(time - $began, '>', 1.8, 'no more a second than per_second: ' . (time - $began));
$node->safe_psql('postgres', q{ALTER SERVER shop OPTIONS (DROP per_second)});

# Of a type.
tell_shop($shop, 'watch');
$node->safe_psql('postgres', q{UPDATE sync_job_type SET concurrency_limit = 2});
send_in('default', 1, 40);
send_in('second', 201, 240);
wait_for_jobs($node);
cmp_ok(most_in_flight(), '<=', 2, 'no more at a time than concurrency_limit: ' . most_in_flight());

# A process may have so many sockets as its share of descriptors allows.
$node->safe_psql('postgres', q{UPDATE sync_job_type SET concurrency_limit = NULL; ALTER SERVER shop OPTIONS (SET in_flight '300')});
$node->append_conf('postgresql.conf', 'max_files_per_process = 150');
$node->restart;
tell_shop($shop, 'watch');
send_in('default', 1, 400);
wait_for_jobs($node);
cmp_ok(most_in_flight(), '<=', 50, 'no more at a time than there are descriptors: ' . most_in_flight());
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job_error}), 0, 'nothing has failed');

$node->stop;
done_testing();
