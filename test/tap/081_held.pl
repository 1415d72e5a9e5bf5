# A set-up that stays broken: after sync_job.setup_retry_limit jobs that fail by it are held, and go on by themselves when something
# has changed that mends it.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => "sync_job.poll_interval = '1 s'\nsync_job.setup_retry_limit = '2 s'");
sub value { return $node->safe_psql('postgres', $_[0]) }
value(q{
	CREATE TABLE customer (id int PRIMARY KEY, vat_no text, name text);
	CREATE TABLE debtor (crm_id int PRIMARY KEY, vat text, name text);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, retry_delay)
	VALUES ('Debtor', 'customer', 'debtor', '{"crm_id": "id"}', '{"vat": "vat_no", "name": "name"}', '200 ms'),
	       ('Other', 'customer', 'debtor', '{"crm_id": "id"}', '{"name": "name"}', '200 ms');
	SELECT attach_sync_job_triggers('Debtor', 'customer');
	INSERT INTO customer SELECT i, 'DE' || i, 'n' || i FROM generate_series(1, 700) AS i});
is(wait_for_jobs($node), 'Finished=700', 'all is in step');

my $from = -s $node->logfile;
value(q{ALTER TABLE customer RENAME vat_no TO vat_number; UPDATE customer SET name = name || 'x'});
my $held = q{SELECT count(*) = 700 FROM sync_job WHERE status = 'Failed' AND retry_after = 'infinity'};
poll($node, $held, 'after the limit all its jobs are held');
is(value(q{SELECT held_since > since + interval '2 s' FROM sync_job_setup_error}), 't', 'not before');
like(value(q{SELECT note FROM sync_job_queue_status WHERE queue = 'default'}), qr/^the set-up of sync job type "Debtor" is broken, and its jobs are held: /, 'the note says so');
is(value(q{SELECT failed, retrying FROM sync_job_queue_status WHERE queue = 'default'}), '700|0', 'they count as failed');
my $job = value('SELECT min(id) FROM sync_job WHERE id > 700');
my ($out, $err);
$node->psql('postgres', "CALL wait_for_sync_job($job)", stderr => \$err);
like($err, qr/cannot run: the set-up of its type is broken\nDETAIL:  Its status is Failed\. It is tried again when the set-up of its type has changed; /, 'and so does an error to whoever waits');

# Another type, ordinary failures of the same type, and a change that does not help.
is(value(q{SELECT status FROM execute_sync_job(enqueue_sync_job('Other', '1'))}), 'Finished', 'other types go on');
my $last = value('SELECT max(occurred_at) FROM sync_job_error');
value('CREATE TABLE something_else (id int)');
poll($node, "SELECT max(occurred_at) > '$last' FROM sync_job_error", 'after a change one of them is tried');
poll($node, $held, 'and is held again');
like_log($node, $from, qr/LOG:  sync job type "Debtor" is held: /, 1, 'the log has one line for it');
is(value(q{SELECT count(*) FROM sync_job WHERE status = 'Failed' AND retry_after < 'infinity'}), '0', 'the others were not');

# Held across a restart; mended; in order.
$node->restart;
value(q{UPDATE sync_job_type SET field_map = '{"vat": "vat_number", "name": "name"}' WHERE name = 'Debtor'});
is(wait_for_jobs($node), 'Finished=1400 Skipped=1', 'once the type is corrected, all goes on without a hand');
is(value(q{SELECT count(*) FROM customer AS c JOIN debtor AS d ON d.crm_id = c.id AND d.name = c.name AND d.vat = c.vat_number}), '700', 'and all is in step');
like_log($node, $from, qr/LOG:  sync job type "Debtor" goes on: /, 1, 'the log says so, once');
is(value('SELECT max(retry_count) FROM sync_job'), '0', 'no retry was used up');
poll($node, 'SELECT count(*) = 0 FROM sync_job_setup_error', 'and nothing is left of it');

# With an object that it needs, and by hand.
value(q{ALTER TABLE customer RENAME vat_number TO vat; UPDATE customer SET name = name || 'y' WHERE id <= 3});
poll($node, q{SELECT count(*) = 3 FROM sync_job WHERE retry_after = 'infinity'}, 'three are held');
value(q{SELECT cancel_sync_job(max(id)) FROM sync_job});
value(q{SELECT retry_sync_job(max(id)) FROM sync_job WHERE status = 'Failed'});
poll($node, q{SELECT count(*) = 2 FROM sync_job WHERE retry_after = 'infinity'}, 'one that is retried by hand is held again');
value('ALTER TABLE customer RENAME vat TO vat_number');
is(wait_for_jobs($node), 'Canceled=1 Finished=1402 Skipped=1', 'and goes on when the column has its name back');

# Corrected before the limit, while none of its jobs has come to its retry yet.
value(q{UPDATE sync_job_type SET retry_delay = '6 s' WHERE name = 'Debtor'; ALTER TABLE customer RENAME vat_number TO vat; UPDATE customer SET name = name || 'm' WHERE id <= 3});
poll($node, 'SELECT count(*) = 1 FROM sync_job_setup_error', 'it is broken');
value('ALTER TABLE customer RENAME vat TO vat_number');
is(wait_for_jobs($node), 'Canceled=1 Finished=1405 Skipped=1', 'it goes on without another change');
value(q{UPDATE sync_job_type SET retry_delay = '200 ms' WHERE name = 'Debtor'});

# Jobs that are not tried again.
value(q{UPDATE sync_job_type SET max_retries = 0 WHERE name = 'Other'; ALTER TABLE debtor RENAME name TO full_name});
value(q{SELECT enqueue_sync_job('Other', '1')});
poll($node, q{SELECT count(*) = 1 FROM sync_job_setup_error WHERE sync_job_type = 'Other' AND since < now() - interval '3 s'}, 'what they failed by stays known');
value(q{ALTER TABLE debtor RENAME full_name TO name});
value(q{SELECT enqueue_sync_job('Other', '2')});
poll($node, q{SELECT count(*) = 0 FROM sync_job_setup_error}, 'until one of the type ends well');

# 0: never.
value('ALTER TABLE customer RENAME vat_number TO vat');
$node->append_conf('postgresql.conf', 'sync_job.setup_retry_limit = 0');
$node->reload;
value(q{UPDATE customer SET name = name || 'z' WHERE id = 1});
poll($node, q{SELECT count(*) > 0 FROM sync_job_setup_error WHERE since < now() - interval '4 s'}, 'it is broken for long');
is(value(q{SELECT count(*) FROM sync_job_setup_error WHERE held_since IS NOT NULL}), '0', 'and not held');

$node->stop('fast');
unlike_accidents($node);
done_testing();
