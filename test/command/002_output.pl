# What comes out: nothing that a terminal obeys, 80 columns, JSON in its documented form, the exit codes.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use Command;

my $node = new_cluster('output', conf => healthy_conf());
use_node($node);
load_example($node);
load_probe($node, 2);
$node->safe_psql('postgres', q{CREATE ROLE nobody LOGIN; CREATE ROLE viewer LOGIN; SELECT grant_sync_job_access('viewer', 'viewer')});

# ---- exit codes ----

my ($code, $out, $err) = call('--help');
is($code, 0, '--help');
is((grep { length > 80 } split /\n/, $out), 0, '… fits on 80 columns') or diag($out);
is((call('--version'))[0], 0, '--version');
is((call())[0], 2, 'no command');
is((call('nonsense'))[0], 2, 'no such command');
is((call('show'))[0], 2, 'an argument is missing');
is((call('show', '1; DROP TABLE customer'))[0], 2, 'no number');
is((call('revert', '1', '--run', '2'))[0], 2, 'two that exclude each other');
($code, $out, $err) = call('revert', '1');
is($code, 2, 'nobody to ask');
like($err, qr/no terminal to ask at\nHINT:  Say --yes/, '… and what to do');
is((call('list', '-h', '/nowhere'))[0], 3, 'no server');
is((call('list', '-d', 'template1'))[0], 3, 'no extension');
is((call('list', '-d', 'nowhere'))[0], 3, 'no database');
is((call('show', '999999'))[0], 4, 'no such job');
is((call('list', '--from', 'nonsense'))[0], 4, 'what the database does not take');
($code, $out, $err) = call('enqueue', 'Nonsense', 'x');
is($code, 4, 'no such type');
like($err, qr/^ERROR:  sync job type "Nonsense" does not exist$/m, '… with the message of the server');
($code, $out, $err) = call('enqueue', 'Nonsense', 'x', '--json');
is($code, 4, 'the same in JSON');
is(JSON::PP->new->decode($err)->{error}{code}, '42704', '… has the SQLSTATE');
($code, $out, $err) = call('enqueue', 'SAP Customer Sync', 'x', '--operation', 'frobnicate');
like($err, qr/^ERROR:  .+\nHINT:  .*Insert/m, 'the hint of the server is shown');
($code, $out, $err) = call('enqueue', 'SAP Customer Sync', 'x', '-U', 'nobody');
is($code, 4, 'a role without the right');

# ---- connections, as psql takes them ----

my ($host, $port) = @ENV{qw(PGHOST PGPORT)};
{
	local %ENV = %ENV;
	delete @ENV{qw(PGHOST PGPORT PGDATABASE PGUSER)};
	is((call('list', '-h', $host, '-p', $port, '-U', 'postgres', '-d', 'postgres'))[0], 0, 'by options');
	is((call('-h', $host, '-p', $port, '-U', 'postgres', '-d', 'postgres', 'list'))[0], 0, 'before the command, too');
	is((call('list', '-d', "host=$host port=$port user=postgres dbname=postgres"))[0], 0, 'by a connection string');
	append_to_file("$ENV{TESTLOGDIR}/services", "[jobs]\nhost=$host\nport=$port\nuser=postgres\ndbname=postgres\n");
	local $ENV{PGSERVICEFILE} = "$ENV{TESTLOGDIR}/services";
	is((call('list', '-d', 'service=jobs'))[0], 0, 'by a service');
	local $ENV{PGSERVICE} = 'jobs';
	is((call('list'))[0], 0, 'by the environment');
}

# ---- what a terminal would obey ----

my $evil = "\x1b[31m\x1b]0;owned\x07\xc2\x9b2J\xe2\x80\xae\xe2\x80\x8f\xe2\x81\xa6\x7f\x08\r\n\tx";
utf8::decode($evil);
$node->safe_psql('postgres', "INSERT INTO customer VALUES (\$q\$$evil\$q\$, \$q\$$evil\$q\$, 'North')");
my $good = $node->safe_psql('postgres', "SELECT enqueue_sync_job('SAP Customer Sync', \$q\$$evil\$q\$, verbose_logging => true)");
my $bad = $node->safe_psql('postgres', "SELECT enqueue_sync_job('SAP Customer Sync', \$q\$missing $evil\$q\$, max_retries => 0)");
$node->safe_psql('postgres', "INSERT INTO sync_job_type (name, module) VALUES (\$q\$Type $evil\$q\$, 'probe')");
wait_for_jobs($node);
for my $command ([ 'list' ], [ 'list', '--wide' ], [ 'status' ], [ 'show', $good ], [ 'show', $bad ], [ 'watch', $bad ], [ 'top', '-n', '1' ], [ 'validate' ], [ 'doctor' ],
	[ 'compare', 'SAP Customer Sync' ], [ 'enqueue', $evil ])
{
	my $name = join ' ', map { $_ eq $evil ? '(evil)' : $_ } @$command;
	utf8::encode($_) for my @arguments = @$command;
	($code, $out, $err) = call(@arguments);
	is(controls($out . $err), '', "$name writes no control characters");
	next if $name =~ /wide|evil/;
	utf8::decode($out);
	is((grep { length > 80 } split /\n/, $out), 0, '… and fits on 80 columns') or diag($out);
	($code, $out, $err) = call(@arguments, '--json');
	is(controls($out . $err), '', '… nor in JSON');
}
like((call('show', $bad))[1], qr/\\x1b\[31m/, 'they are shown instead');

# ---- JSON ----

my $list = json_of(0, 'list');
is_deeply([ sort keys %$list ], [qw(jobs next)], 'list');
is_deeply([ sort keys %{ $list->{jobs}[0] } ],
	[qw(age_seconds created_at documents dry_run ended_at error_message id job_group operation queue retry_after retry_count scheduled_at source_document_name
		source_document_type started_at status sync_job_type target_document_name target_document_type time_taken_seconds title)],
	'… a job of it') or diag(join ' ', sort keys %{ $list->{jobs}[0] });
my ($found) = grep { $_->{id} == $good } @{ $list->{jobs} };
is($found->{source_document_name}, $evil, 'values arrive as they are');
like($found->{ended_at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/, 'times are ISO 8601, UTC');
is(json_of(0, 'list', '-s', 'failed', '-e', 'does not EXIST')->{jobs}[0]{id}, $bad, 'found by words of its error');
is(scalar @{ json_of(0, 'list', '-e', '100%')->{jobs} }, 0, '… which are no pattern');
is(json_of(0, 'list', '-n', '1')->{next}, json_of(0, 'list', '-n', '1')->{jobs}[0]{id}, 'next is where the next page begins');
is_deeply([ sort keys %{ json_of(0, 'status') } ], [qw(alerts queues server types)], 'status');
is_deeply([ sort keys %{ json_of(0, 'show', $good) } ], [qw(attempts children documents job)], 'show');
is(json_of(0, 'show', $bad)->{attempts}[0]{sqlstate}, 'P0002', 'an attempt');
is_deeply([ sort keys %{ json_of(0, 'top', '-n', '1') } ], [qw(at failed queues workers)], 'top');
is_deeply([ sort keys %{ json_of(0, 'doctor', '--fail-on', 'never') } ], [qw(checks errors findings not_checked warnings)], 'doctor');
is_deeply([ sort keys %{ json_of(0, 'compare', 'SAP Customer Sync') } ],
	[qw(ambiguous different documents id missing out_of_step status surplus surplus_unknown waiting)], 'compare') ;

$node->safe_psql('postgres', q{CREATE TABLE big (id bigint PRIMARY KEY, n numeric); CREATE TABLE big_copy (LIKE big INCLUDING ALL);
	INSERT INTO big VALUES (9007199254740993, 12345678901234567890.12345678901234567890);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES ('Big', 'big', 'big_copy', '{"id": "id"}', '{"n": "n"}')});
($code, $out) = call('dry-run', 'Big', '9007199254740993', '--json');
like($out, qr/12345678901234567890\.12345678901234567890/, 'big numbers are unharmed');

# ---- retry, cancel, and their codes ----

($code, $out) = call('retry', $bad, '--wait');
is($code, 1, 'a job that fails again makes the code 1');
($code, $out, $err) = call('retry', $good);
is($code, 4, 'one that is Finished cannot be retried');
my $outcome = json_of(4, 'cancel', $bad, $good, '--reason', 'not needed');
is($outcome->{jobs}[0]{status}, 'Canceled', 'of two the one that can be is canceled');
is($outcome->{jobs}[1]{error}{code}, '55000', '… and of the other the error is told');
is(json_of(0, 'show', $bad)->{job}{cancel_reason}, 'not needed', 'the reason is kept');
is((call('watch', $bad))[0], 1, 'a canceled job has not ended well');
my $pending = (call('enqueue', 'SAP Customer Sync', 'x', '--pending'))[1];
chomp $pending;
($code, $out, $err) = call('watch', $pending, '--timeout', '0.5');
is($code, 5, 'the time of a wait has passed');
like($err, qr/has not ended in time: it is Pending\nDETAIL:  The job goes on/, '… and the command says so');

# ---- rights ----

is((call('list', '-U', 'nobody'))[0], 0, 'anybody may list');
is(scalar @{ json_of(0, 'list', '-U', 'nobody')->{jobs} }, 0, '… what is theirs');
is((call('show', $good, '-U', 'nobody'))[0], 4, '… and sees no other');
is((call('show', $good, '-U', 'viewer'))[0], 0, 'a viewer does');
is((call('cancel', $pending, '-U', 'viewer'))[0], 4, '… and cannot cancel it');
is((call('doctor', '-U', 'viewer', '--fail-on', 'never'))[0], 0, 'a viewer may call the doctor');
is((call('doctor', '-U', 'nobody', '--fail-on', 'never'))[0], 0, 'so may anybody');

unlike_accidents($node);
$node->stop('fast');
done_testing();
