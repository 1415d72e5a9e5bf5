# For tests of HTTP pushes with a real PostgreSQL: a local web server, what it has received, and a job type that sends to it.
package Web;

use strict;
use warnings;
use Exporter 'import';
use HTTP::Tiny;
use IPC::Open2;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time usleep);
use SyncJob;

our @EXPORT = qw(start_web start_shop tell_shop requests_of push_type other_type watch_jobs);

sub start_python
{
	my ($script, @options) = @_;
	my $pid = open2(my $out, my $in, 'python3', "$ENV{TESTDIR}/http/$script", @options);
	my $line = <$out> // BAIL_OUT("$script does not start");
	return { port => decode_json($line)->{port}, pid => $pid, in => $in, out => $out };
}

# Starts server.py, which answers as the path says, until the test ends.
sub start_web
{
	my ($name) = @_;
	mkdir $ENV{TESTDATADIR};
	my $log = "$ENV{TESTDATADIR}/$name.log";
	return { %{ start_python('server.py', '--log', $log) }, log => $log };
}

# Starts shop.py, which keeps what it receives, and fails at random.
sub start_shop { return start_python('shop.py', @_) }

# For example 'faults/5'; 'state' returns what it has.
sub tell_shop
{
	my ($shop, $what) = @_;
	my $answer = HTTP::Tiny->new->get("http://127.0.0.1:$shop->{port}/$what");
	die "the shop does not answer: $answer->{status} $answer->{content}" if !$answer->{success};
	return decode_json($answer->{content});
}

# The requests that server.py has received, in order, each with its headers as a hash, too.
sub requests_of
{
	my ($web) = @_;
	open my $file, '<', $web->{log} or die "$web->{log}: $!";
	my @requests = map { decode_json($_) } <$file>;
	for my $request (@requests)
	{
		$request->{header} = { map { lc $_->[0] => $_->[1] } @{ $request->{headers} } };
	}
	return @requests;
}

# Table product, an endpoint, and a type that sends the table there; `http` says what differs from PUT /products/{sku}, `server` has
# more options, `columns` and `values` more of the type.
sub push_type
{
	my ($node, $web, %options) = @_;
	my $http = $options{http} // '{}';
	my ($server, $columns, $values) = map { $options{$_} ? ", $options{$_}" : '' } qw(server columns values);
	$node->safe_psql('postgres', qq{
		CREATE TABLE product (sku text PRIMARY KEY, name text, price numeric, version int NOT NULL DEFAULT 1, shop_id text, shop_status int);
		CREATE SERVER shop FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'http://127.0.0.1:$web->{port}', networks '127.0.0.0/8'$server);
		CREATE USER MAPPING FOR postgres SERVER shop OPTIONS (token 'very-secret-token', sign 'signing-key');
		INSERT INTO sync_job_type (name, source_document_type, retry_delay, max_retries, retry_backoff, http$columns)
		VALUES ('Shop', 'product', '100 ms', 20, 'constant', '{"server": "shop", "method": "PUT", "path": "/products/{sku}",
			"body": {"sku": "sku", "name": "name", "price": "price", "version": "version", "from": {"value": {"system": "ERP"}}}, "delete": {}}'::jsonb || '$http'::jsonb$values);
	});
	$node->safe_psql('postgres', q{SELECT attach_sync_job_triggers('Shop', 'product', level => 'statement')});
	return;
}

# A type of the same role that sends nothing.
sub other_type
{
	my ($node) = @_;
	$node->safe_psql('postgres', q{CREATE TABLE original (id int PRIMARY KEY, name text); CREATE TABLE copy (LIKE original INCLUDING ALL);
		INSERT INTO original VALUES (1, 'one');
		INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Copy', 'original', 'copy', '{"id": "id"}', '{"name": "name"}')});
	return;
}

# Watches until all jobs that send have ended; returns the age of the oldest transaction or snapshot of a worker, and the longest time that
# a job of the other type has taken, in seconds.
sub watch_jobs
{
	my ($node) = @_;
	my ($oldest, $longest) = (0, 0);
	for (my $end = time + ($ENV{PG_TEST_TIMEOUT_DEFAULT} // 180) * 10; time < $end;)
	{
		my $seen = eval { $node->safe_psql('postgres', q{SELECT count(*), (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0) FROM pg_stat_activity
			WHERE backend_type = 'sync job worker' AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL))
			FROM sync_job WHERE sync_job_type = 'Shop' AND (status IN ('Queued', 'Started') OR status = 'Failed' AND retry_after IS NOT NULL)}) };
		next if !defined $seen;  # it restarts after a kill
		my ($left, $age) = split /\|/, $seen;
		$oldest = $age if $age > $oldest;
		last if $left == 0;
		my $before = time;
		eval { $node->safe_psql('postgres', sprintf q{CALL wait_for_sync_job(%d, '30 s')}, enqueue($node, 'Copy', 1)); 1 } or next;
		$longest = time - $before if time - $before > $longest;
		usleep(100_000);
	}
	return ($oldest, $longest);
}

1;
