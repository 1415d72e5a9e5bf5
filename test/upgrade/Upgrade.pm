# Shared by the upgrade tests: clusters in a server of their own, in which the files of the extension are replaced as by an
# administrator.
package Upgrade;

use strict;
use warnings;
use Exporter 'import';
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SyncJob;

our @EXPORT = qw(released_cluster install_files);

my %root;    # for each node: the folder of its private server

# A running cluster with the released version, see scripts/released-server. `options` are those of new_cluster(); with `empty`
# the cluster is not created yet.
sub released_cluster
{
	my ($name, %options) = @_;
	my $root = join '_', "$ENV{TESTDATADIR}/server", basename($0, '.pl'), $name;
	system_or_bail('mkdir', '-p', $ENV{TESTDATADIR});
	system_or_bail('cp', '-a', "$ENV{RELEASED}/root", $root);
	my $install_path = $root . ($ENV{BINDIR} =~ s/^\Q$ENV{RELEASED}\E\/root//r) . '/..';
	my $node = $options{empty}
	  ? PostgreSQL::Test::Cluster->new($name, install_path => $install_path)
	  : new_cluster($name, install_path => $install_path, %options);
	$root{ $node->name } = $root;
	return $node;
}

# Replaces the files of the extension with those of 'old' or 'new', while the server runs. The server goes on with the library
# that it has loaded.
sub install_files
{
	my ($node, $version) = @_;
	my %folder = (lib => $ENV{PKGLIBDIR}, extension => "$ENV{SHAREDIR}/extension");
	for my $kind (sort keys %folder)
	{
		my $folder = $root{ $node->name } . ($folder{$kind} =~ s/^\Q$ENV{RELEASED}\E\/root//r);
		unlink glob "$folder/pg_sync_job*";
		system_or_bail('cp', '-r', "$ENV{FILES}/$version/$kind/.", $folder);
	}
	return;
}

1;
