# The example controllers/external_customer_sync, as it stands, against an HTTP server on this machine: what it sends, what it makes of
# the answer, failures and their retries with the same idempotency key, and the dry run that sends nothing.
use strict;
use warnings;
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main');
my $requests = "$PostgreSQL::Test::Utils::tmp_check/requests";
my ($url, $server) = start_http_server();

my $controllers = "$ENV{CHECKOUT}/controllers";
$node->safe_psql('postgres', "\\i $controllers/external_customer_sync/install.sql");
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job_type AS t, validate_sync_job_type(t.name)}), '0', 'it is complete');
$node->safe_psql('postgres', qq{
	UPDATE external_customer_sync.endpoint SET url = '$url/customers';
	UPDATE sync_job_type SET retry_delay = '10 milliseconds', max_retries = 2;});

# A customer is posted, once, and the answer is kept.
$node->safe_psql('postgres',
	q{INSERT INTO erp.customer (name, customer_name, email_id) VALUES ('CUST-00001', 'Müller & Co', 'office@example.com')});
is(wait_for_jobs($node), 'Finished=1', 'the job of the trigger ends well');
my ($first) = requests();
is("$first->{method} $first->{path}", 'POST /customers', 'the API was called');
is($first->{headers}{'content-type'}, 'application/json', 'with JSON');
is($first->{headers}{'idempotency-key'}, 'sync-job-1', 'and the id of the job as key');
is_deeply(decode_json($first->{body}), { name => "M\x{fc}ller & Co", email => 'office@example.com' }, 'it got the customer');
is($node->safe_psql('postgres', 'SELECT name, external_id, last_synced IS NOT NULL FROM api.customer'), 'CUST-00001|EXT-1|t',
	'the id it gave is stored');
is($node->safe_psql('postgres', 'SELECT operation, target_document_type, target_document_name, diff_summary FROM sync_job'),
	'Insert|api.customer|CUST-00001|{"external_id": {"new": "EXT-1"}}', 'and the job tells of it');

# The API is out of order twice: the third attempt succeeds. All have the same key.
$node->safe_psql('postgres', q{UPDATE erp.customer SET email_id = 'fail twice' WHERE name = 'CUST-00001'});
is(wait_until_ended($node, 2), 'Finished|Update|2', 'a failing API: the second retry succeeds');
is_deeply([ map { $_->{headers}{'idempotency-key'} } (requests())[ 1 .. 3 ] ], [ ('sync-job-2') x 3 ],
	'each attempt sends the same key');
is($node->safe_psql('postgres', q{SELECT attempt, message, detail FROM sync_job_error WHERE sync_job = 2 ORDER BY attempt}),
	"1|plpy.Error: the API answered 503 Service Unavailable|out of order\n2|plpy.Error: the API answered 503 Service Unavailable|out of order",
	'the errors are kept, with what the API said');
is($node->safe_psql('postgres', 'SELECT external_id FROM api.customer'), 'EXT-4', 'the answer to the last attempt counts');

# An answer that is none fails for good, and leaves the old id.
$node->safe_psql('postgres', q{UPDATE erp.customer SET email_id = 'nonsense' WHERE name = 'CUST-00001'});
is(wait_until_ended($node, 3), 'Failed||2', 'an answer without an id: the job is Failed');
like($node->safe_psql('postgres', 'SELECT error_message FROM sync_job WHERE id = 3'),
	qr/^plpy.Error: the API gave no answer that could be used\nDETAIL:  KeyError: 'id'/, 'and says why');
is($node->safe_psql('postgres', 'SELECT external_id FROM api.customer'), 'EXT-4', 'nothing has changed');

# A dry run does not call.
my $before = requests();
$node->safe_psql('postgres', q{SELECT enqueue_sync_job('External Customer Sync', 'CUST-00001', dry_run => true)});
is(wait_until_ended($node, 4), 'Finished||0', 'a dry run ends well');
is(scalar requests(), $before, 'and sends nothing');

# Nobody is there.
kill 'KILL', $server;
waitpid $server, 0;
$node->safe_psql('postgres', q{SELECT enqueue_sync_job('External Customer Sync', 'CUST-00001', max_retries => 0)});
is(wait_until_ended($node, 5), 'Failed||0', 'without a server the job fails');
like($node->safe_psql('postgres', 'SELECT error_message FROM sync_job WHERE id = 5'), qr/DETAIL:  URLError: .*refused/, 'and says why');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|was terminated by signal|reference leak/, 'the log tells of no accident');
done_testing();

# Waits for a job; tells its state, operation and number of retries.
sub wait_until_ended
{
	my ($node, $job) = @_;
	$node->safe_psql('postgres', "CALL wait_for_sync_job($job, '60 s')");
	return $node->safe_psql('postgres', "SELECT status, operation, retry_count FROM sync_job WHERE id = $job");
}

# A server on a free port: notes each request as a line of JSON, gives a new id each time, but fails as the e-mail address asks for.
sub start_http_server
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5, ReuseAddr => 1) or die "cannot listen: $!";
	my $url = 'http://127.0.0.1:' . $socket->sockport;
	my $pid = fork // die "cannot fork: $!";
	return ($url, $pid) if $pid;
	my ($number, %failed) = (0);
	while (my $client = $socket->accept)
	{
		my ($method, $path) = (<$client> // '') =~ /^(\S+) (\S+)/ or next;
		my (%headers, $body);
		while ((my $line = <$client>) =~ /\S/)
		{
			$headers{ lc $1 } = $2 if $line =~ /^([^:]+): (.*?)\r?\n/;
		}
		read $client, $body, $headers{'content-length'};
		append_to_file($requests, encode_json({ method => $method, path => $path, headers => \%headers, body => $body }) . "\n");
		$number++;
		my $wish = decode_json($body)->{email} // '';
		my ($status, $answer) = ('201 Created', qq({"id": "EXT-$number"}));
		($status, $answer) = ('503 Service Unavailable', 'out of order')
		  if $wish eq 'fail twice' && ++$failed{ $headers{'idempotency-key'} } <= 2;
		$answer = '{}' if $wish eq 'nonsense';
		print $client "HTTP/1.1 $status\r\nContent-Length: " . length($answer) . "\r\nConnection: close\r\n\r\n$answer";
		close $client;
	}
	exit 0;
}

# The requests so far.
sub requests
{
	return () unless -e $requests;
	return map { decode_json($_) } split /\n/, slurp_file($requests);
}

END { kill 'KILL', $server if $server }
