# Libraries beside each other, and new versions of them.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use lib '../native';
use Native;

my $node = native_cluster('libraries', conf => "sync_job.worker_idle_timeout = '10min'\n");
$node->safe_psql('postgres', q{
	CREATE TABLE doc (id int PRIMARY KEY, note text);
	CREATE TABLE target (doc int PRIMARY KEY, note text);
	INSERT INTO doc SELECT i, 'note' FROM generate_series(1, 1000) AS i;
});

sub library
{
	my ($name, $class, @flags) = @_;
	build_controller($name, $class, @flags);
	$node->safe_psql('postgres', qq{INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, library, max_retries) VALUES ('$name', 'doc', 'target', '{"doc": "id"}', '$name', 0)});
	return;
}

# As somebody may do it who has not read what flags are good for: with everything visible.
sub library_without_script
{
	my ($name, $class, @flags) = @_;
	build_shared($name, 'c++', "#include <sync_job/controller.hpp>\nusing namespace sync_job;\n$class\nSYNC_JOB_CONTROLLER(Test)\n", '-fvisibility=default', @flags);
	$node->safe_psql('postgres', qq{INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, library, max_retries) VALUES ('$name', 'doc', 'target', '{"doc": "id"}', '$name', 0)});
	return;
}

sub note_of { return $node->safe_psql('postgres', "SELECT note FROM target WHERE doc = $_[0]") }

# Two whose classes, static variables and versions of nlohmann/json have the same names, but not the same form.
my $class = <<'END';
template <class T> struct Shared { static int count; static std::string name; int fill[SIZE]; };
template <class T> int Shared<T>::count = 0;
template <class T> std::string Shared<T>::name = NAME;
inline std::string& greeting() { static std::string text = NAME; return text; }
struct Test : Controller {
	Shared<int> own;
	void update_target_doc(const Job& job, const Document& source, Document& target) override {
		json all = job.context();
		all["list"] = {1, 2, {{"deep", source.to_json()}}};
		all["sizes"] = sizeof(Test);
		target["note"] = Shared<int>::name + " " + greeting() + " " + std::to_string(++Shared<int>::count) + " " + std::to_string(all["list"].size()) + " " + json::parse(all.dump())["list"][2]["deep"]["note"].get<std::string>();
	}
};
END
my @same_names = ('-DNLOHMANN_JSON_NAMESPACE=nlohmann', '-DNLOHMANN_JSON_NAMESPACE_BEGIN=namespace nlohmann {', '-DNLOHMANN_JSON_NAMESPACE_END=}');
library('one', $class, '-DNAME="one"', '-DSIZE=1', @same_names);
library('two', $class, '-DNAME="two"', '-DSIZE=1000', @same_names, '-DJSON_DIAGNOSTICS=1');
library_without_script('three', $class, '-DNAME="three"', '-DSIZE=1', @same_names);
library_without_script('four', $class, '-DNAME="four"', '-DSIZE=1000', @same_names, '-DJSON_DIAGNOSTICS=1');
for my $round (1 .. 3)
{
	for my $name ('one', 'two', 'three', 'four')
	{
		my ($status, $id) = run_job($node, $name, $round);
		is($status, 'Finished', "$name, for the $round. time") or diag(error_of($node, $id));
		is(note_of($round), "$name $name $round 3 note", '… has met only its own');
	}
}
is($node->safe_psql('postgres', q{SELECT count(DISTINCT worker_pid) FROM sync_job WHERE worker_pid IS NOT NULL}) <= 1, 1, 'in one process');

# A new version, put in the place of the old one in three ways.
sub version
{
	my ($number) = @_;
	return "struct Test : Controller {\n\tvoid update_target_doc(const Job&, const Document&, Document& target) override { target[\"note\"] = \"version $number\"; }\n};\n";
}

sub workers { return $node->safe_psql('postgres', q{SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE backend_type LIKE 'sync job worker%'}) }
library('new', version(1));
is((run_job($node, 'new', 10))[0], 'Finished', 'the first version');
is(note_of(10), 'version 1', '… has run');
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query(q{SELECT status FROM execute_sync_job(enqueue_sync_job('new', '500'))});
my $library = library_directory() . '/new.so';
my $number = 1;
for my $way ('renamed', 'written over', 'installed')
{
	$number++;
	my $offset = -s $node->logfile;
	my $before = workers();
	rename $library, "$library.old" or die;
	build_controller('new', version($number));
	rename $library, "$library.made" or die;
	rename "$library.old", $library or die;
	rename "$library.made", $library if $way eq 'renamed';
	system_or_bail('cp', '--no-preserve=all', "$library.made", $library) if $way eq 'written over';
	system_or_bail('install', "$library.made", $library) if $way eq 'installed';
	my ($status, $id) = run_job($node, 'new', 10 + $number);
	is($status, 'Finished', "a new version, $way");
	is(note_of(10 + $number), "version $number", '… runs the next job');
	isnt(workers(), $before, '… in another process');
	like_log($node, $offset, qr/so was library "new" of a native controller/, 1, '… as the log says');
}
like($session->query(q{SELECT execute_sync_job(enqueue_sync_job('new', '501'))}) . $session->{stderr}, qr/library "new" has been replaced since this process opened it|Failed/, 'a session that has opened the old one does not run its job');
like($node->safe_psql('postgres', q{SELECT string_agg(message, ' ') FROM sync_job_error JOIN sync_job ON id = sync_job WHERE source_document_name = '501'}), qr/has been replaced since this process opened it/, '… and says so');
$session->quit;
is($node->safe_psql('postgres', q{SELECT status FROM execute_sync_job(enqueue_sync_job('new', '502'))}), 'Finished', 'another session does');

# While jobs run.
$node->safe_psql('postgres', q{SELECT enqueue_sync_jobs('new', array_agg(id::text)) FROM doc WHERE id > 600});
for my $round (5 .. 7)
{
	build_controller('new', version($round));
}
is(wait_for_jobs($node) =~ s/\bFinished=\d+//r =~ s/Skipped=\d+//r =~ s/\s//gr, 'Failed=1', 'none of them fails, but for the one of the session');
unlink $library;
my $id = enqueue($node, 'new', 20);
poll($node, "SELECT count(*) > 0 FROM sync_job_error WHERE sync_job = $id", 'where the file has gone, a job is tried');
like(error_of($node, $id), qr/^58P01 there is no library/, '… and told');
unlike_accidents($node);
$node->stop('fast');
done_testing();
