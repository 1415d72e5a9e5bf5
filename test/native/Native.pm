# Native controllers for tests: built into a folder of their own, with the installed headers, like those of a user who has only the
# package.
package Native;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

our @EXPORT = qw(native_cluster build_controller build_shared include_directory library_directory run_job error_of in_row);

my $folder;

sub library_directory { return $folder }

# Where make install has put the headers: next to those of the server.
sub include_directory
{
	my ($include) = run_command([ "$ENV{BINDIR}/pg_config", '--includedir-server' ]);
	return "$include/extension";
}

# A cluster with a temporary library folder.
sub native_cluster
{
	my ($name, %options) = @_;
	$folder = PostgreSQL::Test::Utils::tempdir();
	chmod 0755, $folder;
	my $conf = "sync_job.library_directory = '$folder'\n" . ($options{conf} // '');
	return new_cluster($name, conf => $conf);
}

# Compiles a library, and puts it in place with a rename, as install(1) and package managers do.
sub build_shared
{
	my ($name, $language, $code, @flags) = @_;
	my $source = "$folder/$name." . ($language eq 'c' ? 'c' : 'cpp');
	append_to_file($source, $code) if !-e $source;
	my @command = $language eq 'c' ? ('gcc') : ('g++', '-std=c++20', '-O1');
	my @sanitize = $ENV{SANITIZE} ? ("-fsanitize=$ENV{SANITIZE}") : ();
	system_or_bail(@command, '-Wall', '-Wextra', '-fPIC', '-fvisibility=hidden', '-I', include_directory(), @sanitize, '-shared', '-o', "$folder/$name.new", $source, @flags);
	rename "$folder/$name.new", "$folder/$name.so" or die "rename: $!";
	unlink $source;
	return;
}

# A class "Controller" in C++.
sub build_controller
{
	my ($name, $class, @flags) = @_;
	my $code = "#include <sync_job/controller.hpp>\nusing namespace sync_job;\n$class\nSYNC_JOB_CONTROLLER(Test)\n";
	build_shared($name, 'c++', $code, '-Wl,--version-script=' . include_directory() . '/sync_job/exports.map', @flags);
	return;
}

# Enqueues a job, waits for its end, and returns its state.
sub run_job
{
	my ($node, $type, $name, $context) = @_;
	$context //= '{}';
	my $id = $node->safe_psql('postgres', "SELECT enqueue_sync_job('$type', '$name', context => '$context')");
	poll($node, "SELECT status NOT IN ('Queued', 'Started') FROM sync_job WHERE id = $id", "job $id of $type has ended");
	return ($node->safe_psql('postgres', "SELECT status FROM sync_job WHERE id = $id"), $id);
}

sub error_of
{
	my ($node, $id) = @_;
	return $node->safe_psql('postgres', "SELECT sqlstate || ' ' || message || coalesce(' / ' || detail, '') FROM sync_job_error WHERE sync_job = $id ORDER BY attempt DESC LIMIT 1");
}

1;
