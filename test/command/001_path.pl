# The path of a new user: a type and its functions from new-controller, jobs, their differences; from the first call to the undoing.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use Command;

my $node = new_cluster('path', no_extension => 1, conf => healthy_conf());
use_node($node);

my ($code, $out, $err) = call('status');
is($code, 3, 'without the extension there is nothing to see');
like($err, qr/^ERROR:  database "postgres" does not have the extension pg_sync_job\nHINT:  /, '… and the command says so');

# The extension is in a schema of its own, and the role's search_path has what would take the place of the server's own names.
$node->safe_psql('postgres', q{
	CREATE SCHEMA "Jobs"; CREATE EXTENSION pg_sync_job SCHEMA "Jobs";
	CREATE TABLE customer (name text PRIMARY KEY, customer_name text, territory text);
	CREATE TABLE sap_customer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, erp_customer text UNIQUE, customer_name text, territory text);
	CREATE SCHEMA planted;
	CREATE FUNCTION planted.now() RETURNS timestamptz LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$planted$$; END';
	CREATE FUNCTION planted.lower(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$planted$$; END';
	CREATE VIEW planted.sync_job AS SELECT 1 / 0 AS id;
	ALTER ROLE postgres SET search_path = planted, pg_catalog, public;
	INSERT INTO public.customer VALUES ('CUST-1', 'Ann', 'North')});

($code, $out, $err) = call('new-controller', 'SAP Customer Sync');
is($code, 4, 'a type that is not there needs its tables');
like($err, qr/does not exist.*--source and --target/s, '… and that is what the hint says');
($code, $out) = call('new-controller', 'SAP Customer Sync', '--source', 'customer', '--target', 'public.sap_customer', '--triggers');
is($code, 0, 'new-controller');
like($out, qr/INSERT INTO "Jobs"\.sync_job_type .*'SAP Customer Sync', 'public.customer', 'public.sap_customer'/, 'its script makes the type');
like($out, qr/CREATE FUNCTION sap_customer_sync\.update_target_doc/, '… its functions');
like($out, qr/"Jobs"\.attach_sync_job_triggers\('SAP Customer Sync', 'public.customer'\);/, '… and the triggers');
is($node->safe_psql('postgres', 'SELECT count(*) FROM "Jobs".sync_job_type'), '0', '… and nothing of it is there yet');
my ($status, $stdout, $stderr) = $node->psql('postgres', "SET search_path = public;\n$out", on_error_stop => 1);
is($status, 0, 'the script runs') or diag($stderr);


# In C++: a file that compiles, with the statements as a comment.
($code, $out) = call('new-controller', 'Native', '-l', 'c++', '--source', 'customer', '--target', 'sap_customer', '--triggers');
is($code, 0, 'a controller in C++');
my ($statements) = $out =~ m{^// The type, in psql:\n//\n((?://   .*\n)+)//\n};
like($statements, qr/INSERT INTO "Jobs"\.sync_job_type .*\n.*attach_sync_job_triggers\('Native'/, '… begins with what makes the type');
my $folder = PostgreSQL::Test::Utils::tempdir();
append_to_file("$folder/native.cpp", $out);
is(system('g++', '-std=c++20', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-I', "$ENV{CHECKOUT}/include", "$folder/native.cpp"), 0, '… and compiles');
is($node->safe_psql('postgres', q{SELECT count(*) FROM "Jobs".sync_job_type WHERE name = 'Native'}), 0, '… and nothing of it is there yet');
($code, $out, $err) = call('new-controller', 'Native', '-l', 'c++', '--source', 'customer', '--target', 'sap_customer', '--make');
is($code, 2, '… nor can it be made');
like($err, qr/has to be built first/, '… as the message says');

($code, $out, $err) = call('validate');
is($code, 0, 'the type is valid') or diag($out, $err);
($code, $out) = call('dry-run', 'SAP Customer Sync', 'CUST-1');
is($code, 0, 'a dry run');
like($out, qr/Changes it would make\n.*customer_name\s+null\s+→\s+"Ann"/s, '… shows what it would insert');
is($node->safe_psql('postgres', 'SELECT count(*) FROM public.sap_customer'), '0', '… and inserts nothing');

($code, $out) = call('enqueue', 'SAP Customer Sync', 'CUST-1');
is($code, 0, 'enqueue');
like($out, qr/^(\d+)$/, '… prints the id and nothing else');
my ($id) = $out =~ /(\d+)/;
($code, $out) = call('watch', $id);
is($code, 0, 'watch') or diag($out);
like($out, qr/^Job $id: Finished$/m, '… tells of its end');
$node->safe_psql('postgres', q{UPDATE public.customer SET customer_name = 'Zoë'});
my $last = json_of(0, 'list', '-t', 'SAP Customer Sync', '-n', '1')->{jobs}[0]{id};
cmp_ok($last, '>', $id, 'the trigger has enqueued a job');
($code, $out) = call('watch', $last);
is($code, 0, 'which ends well');
like($out, qr/Changes\nFIELD.*\ncustomer_name\s+"Ann"\s+→\s+"Zoë"/, 'the difference is shown, old and new');

($code, $out, $err) = call('revert', $last, '--yes');
is($code, 0, 'it is undone') or diag($out, $err);
is($node->safe_psql('postgres', 'SELECT customer_name FROM public.sap_customer'), 'Ann', '… by a job');
($code, $out) = call('compare', 'SAP Customer Sync');
is($code, 1, 'then the two are out of step, and compare says so by its code');
like($out, qr/0 missing, 1 different, .*\ndifferent\s+CUST-1/s, '… and in words') or diag($out);
($code, $out) = call('full-sync', 'SAP Customer Sync', '--dry-run', '--max-change-percent', '100');
is($code, 0, 'a full sync that only looks') or diag($out);
($code, $out) = call('full-sync', 'SAP Customer Sync', '--max-change-percent', '100');
is($code, 0, 'a full sync') or diag($out);
is(json_of(0, 'compare', 'SAP Customer Sync')->{out_of_step}, 0, 'brings them in step');

($code, $out) = call('export', 'SAP Customer Sync');
is($code, 0, 'export');
like($out, qr/INSERT INTO .*sync_job_type.*SAP Customer Sync/s, '… writes the script of the type');
($code, $out) = call('rerun', $id, '--wait');
is($code, 0, 'rerun') or diag($out);
like($out, qr/^parent +$id$/m, '… is a new job that comes from the old one');
($code, $out, $err) = call('doctor', '--fail-on', 'warning');
is($code, 0, 'and the doctor has nothing to say') or diag($out, $err);
like($out, qr/^\d+ checks, 0 errors, 0 warnings$/m, '… and says that');

unlike_accidents($node);
$node->stop('fast');
done_testing();
