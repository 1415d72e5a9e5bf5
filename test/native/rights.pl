# Who names libraries: superusers alone; what others restore is not trusted until a superuser confirms it.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use lib '../native';
use Native;

my $node = native_cluster('rights');
build_controller('copy', <<'END');
struct Test : Controller {
	void update_target_doc(const Job&, const Document& source, Document& target) override { target["note"] = source["note"]; }
};
END
# Leaves a mark when somebody opens it.
my $mark = library_directory() . '/opened';
build_shared('marks', 'c', qq{#include <stdio.h>\n__attribute__((constructor)) static void mark(void) { FILE *f = fopen("$mark", "a"); if (f) { fputs("x", f); fclose(f); } }\n});
$node->safe_psql('postgres', q{
	CREATE ROLE boss LOGIN;
	CREATE TABLE doc (id int PRIMARY KEY, note text);
	CREATE TABLE target (doc int PRIMARY KEY, note text);
	ALTER TABLE doc OWNER TO boss;
	ALTER TABLE target OWNER TO boss;
	INSERT INTO doc VALUES (1, 'one'), (2, 'two'), (3, 'three');
	SELECT grant_sync_job_access('boss', 'manager');
});

sub as_boss { return $node->psql('postgres', $_[0], extra_params => [ '-U', 'boss' ]) }
my $columns = 'name, source_document_type, target_document_type, match, library';
my $row = q{'Copy', 'doc', 'target', '{"doc": "id"}', 'copy'};

my ($code, $out, $err) = as_boss("INSERT INTO sync_job_type ($columns) VALUES ($row)");
like($err, qr/permission denied to name library "copy"/, 'a manager names none');
($code, $out, $err) = as_boss("INSERT INTO sync_job_type ($columns, library_trusted) VALUES ($row, true)");
like($err, qr/permission denied to name library "copy"/, '… nor one that he says to be trusted');
for my $name ('../copy', '/tmp/copy', 'a/b', '.hidden', '')
{
	($code, $out, $err) = $node->psql('postgres', "INSERT INTO sync_job_type (name, library) VALUES ('Path', '$name')");
	like($err, qr/library must /, "\"$name\" is no name of a library");
}
($code, $out, $err) = $node->psql('postgres', "INSERT INTO sync_job_type (name, source_document_type, target_document_type, library, match, field_map) VALUES ('Both', 'doc', 'target', 'copy', '{\"doc\": \"id\"}', '{}')");
like($err, qr/field_map and library exclude each other/, 'a library and a field_map are two kinds');
as_boss(q{SELECT * FROM validate_sync_job_type_definition('{"name": "X", "source_document_type": "doc", "target_document_type": "target", "library": "marks", "library_trusted": true}')});
ok(!-e $mark, 'validating a definition opens no library for him');

# What pg_dump writes, restored by him.
my $dump = "SET search_path = ''; INSERT INTO public.sync_job_type ($columns, library_trusted) VALUES ('Copy', 'public.doc', 'public.target', '{\"doc\": \"id\"}', 'copy', true), ('Marks', 'public.doc', 'public.target', NULL, 'marks', true);";
($code, $out, $err) = as_boss($dump);
is($code, 0, 'he restores a row') or diag($err);
is($node->safe_psql('postgres', q{SELECT DISTINCT library_trusted FROM sync_job_type}), 'f', '… which is not trusted');
as_boss(q{SELECT * FROM validate_sync_job_type('Marks')});
my $id = $node->safe_psql('postgres', q{SELECT enqueue_sync_job('Marks', '1')});
poll($node, "SELECT count(*) > 0 FROM sync_job_error WHERE sync_job = $id", 'its job is tried');
like(error_of($node, $id), qr/^42501 library "marks" of sync job type "Marks" has not been confirmed by a superuser/, '… and fails');
ok(!-e $mark, '… and nobody has opened the library');
$node->safe_psql('postgres', "SELECT cancel_sync_job($id)");
for my $change (q{library_trusted = true}, q{library = 'marks'})
{
	($code, $out, $err) = as_boss("UPDATE sync_job_type SET $change WHERE name = 'Copy'");
	like($err, qr/permission denied to (confirm|name) library/, "he cannot SET $change");
}
is((as_boss(q{UPDATE sync_job_type SET priority = 5 WHERE name = 'Copy'}))[0], 0, 'all else he may change');
is($node->safe_psql('postgres', q{SELECT library_trusted FROM sync_job_type WHERE name = 'Copy'}), 'f', '… which confirms nothing');
$node->safe_psql('postgres', q{UPDATE sync_job_type SET description = 'seen' WHERE name = 'Copy'});
is($node->safe_psql('postgres', q{SELECT library_trusted FROM sync_job_type WHERE name = 'Copy'}), 'f', '… nor does a superuser who changes something else');
$node->safe_psql('postgres', q{UPDATE sync_job_type SET library_trusted = true WHERE name = 'Copy'});
is((run_job($node, 'Copy', 1))[0], 'Finished', 'confirmed, its jobs run');
is((as_boss(q{UPDATE sync_job_type SET priority = 6 WHERE name = 'Copy'}))[0], 0, 'he may change it still');
is($node->safe_psql('postgres', q{SELECT library_trusted FROM sync_job_type WHERE name = 'Copy'}), 't', '… and it stays confirmed');
is($node->safe_psql('postgres', q{SELECT note FROM target WHERE doc = 1}), 'one', 'the library has done its work, as the role of the type');
is($node->safe_psql('postgres', q{SELECT run_as FROM sync_job WHERE sync_job_type = 'Copy'}), 'boss', '… which is his');
my $export = $node->safe_psql('postgres', q{SELECT export_sync_job_type('Copy')});
like($export, qr/library_trusted/, 'an export says that it is confirmed');
$node->safe_psql('postgres', "DELETE FROM sync_job_type WHERE name = 'Copy'; $export");
is($node->safe_psql('postgres', q{SELECT library, library_trusted FROM sync_job_type WHERE name = 'Copy'}), 'copy|t', '… to a superuser who runs it');
$node->safe_psql('postgres', q{UPDATE sync_job_type SET library_trusted = false WHERE name = 'Copy'});
is($node->safe_psql('postgres', q{SELECT library_trusted FROM sync_job_type WHERE name = 'Copy'}), 'f', 'a superuser takes it back');
is((as_boss(q{UPDATE sync_job_type SET library = NULL, match = NULL WHERE name = 'Copy'}))[0], 0, 'anybody who may change the type takes the library away');
is($node->safe_psql('postgres', q{SELECT library_trusted IS NULL FROM sync_job_type WHERE name = 'Copy'}), 't', '… and nothing is left to be trusted');
unlike_accidents($node);
$node->stop('fast');
done_testing();
