# The files of the extension in a folder of their own, as an image volume of CloudNativePG has them: the server finds them by
# extension_control_path, which PostgreSQL has from 18 on, and dynamic_library_path.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my ($root) = $ENV{BINDIR} =~ m{^(.*/server/root)/} or die "$ENV{BINDIR} is no private server";
plan(skip_all => 'extension_control_path came with PostgreSQL 18') if `$ENV{BINDIR}/postgres -V` =~ / (\d+)/ && $1 < 18;
my $data = PostgreSQL::Test::Utils::tempdir_short();
my ($own, $volume) = ("$data/root", "$data/volume");
system_or_bail('cp', '-a', $root, $own);
system_or_bail('mkdir', '-p', "$volume/lib", "$volume/share/extension");
my $own_share = $ENV{SHAREDIR} =~ s/^\Q$root\E/$own/r;
my ($own_lib) = map { chomp; dirname_of($_) } grep { m{/pg_sync_job\.so$} } `find $own -name pg_sync_job.so`;
sub dirname_of { return $_[0] =~ s{/[^/]*$}{}r }
system_or_bail('sh', '-c', "mv $own_lib/pg_sync_job* $volume/lib && mv $own_share/extension/pg_sync_job* $volume/share/extension");

my $node = new_cluster('volume', no_extension => 1, install_path => $own . ($ENV{BINDIR} =~ s/^\Q$root\E//r) . '/..',
	conf => "extension_control_path = '$volume/share:\$system'\ndynamic_library_path = '$volume/lib:\$libdir'");
$node->safe_psql('postgres', 'CREATE EXTENSION pg_sync_job');
load_example($node);
$node->safe_psql('postgres', q{INSERT INTO customer VALUES ('C-1', 'One', 'North'); SELECT enqueue_sync_job('SAP Customer Sync', 'C-1')});
is(wait_for_jobs($node), 'Finished=1', 'a worker runs a job');
is($node->safe_psql('postgres', 'SELECT territory FROM sap_customer'), 'North', 'its target is there');

# The HTTP client is looked for beside the library.
my $missing = q{SELECT count(*) FROM validate_sync_job_type('Push') WHERE message LIKE '%pg_sync_job_http is not installed'};
$node->safe_psql('postgres', q{CREATE SERVER shop FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'https://shop.example.com');
	INSERT INTO sync_job_type (name, source_document_type, http) VALUES ('Push', 'customer', '{"server": "shop", "path": "/{name}", "delete": {}}')});
is($node->safe_psql('postgres', $missing), '1', 'without the HTTP client, validation says so');
append_to_file("$volume/lib/pg_sync_job_http.so", '');
is($node->safe_psql('postgres', $missing), '0', 'with it, it does not');
$node->stop('fast');
unlike_accidents($node);
done_testing();
