# Native controllers that do what they must not: each job fails with its reason, and the server stays up.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use lib '../native';
use Native;

my $node = native_cluster('faults', conf => "sync_job.batch_time = '10s'\n");
$node->safe_psql('postgres', q{
	CREATE TABLE doc (id int PRIMARY KEY, note text);
	CREATE TABLE target (id int PRIMARY KEY, note varchar(20), n smallint, flag boolean, day date, doc jsonb, bytes bytea, made int GENERATED ALWAYS AS (1) STORED);
	CREATE TABLE journal (k int PRIMARY KEY);
	INSERT INTO doc SELECT i, 'note ' || i FROM generate_series(1, 100) AS i;
});

sub native_type
{
	my ($library, $more, $values) = @_;
	$more = $more ? ", $more" : '';
	$values = $values ? ", $values" : '';
	$node->safe_psql('postgres', "INSERT INTO sync_job_type (name, source_document_type, target_document_type, library, max_retries$more)
		VALUES ('$library', 'doc', 'target', '$library', 0$values)");
	return;
}

# What a fault is, and what becomes of the job.
my @faults = (
	[ 'throw', q{throw std::out_of_range("no such element");}, '38000 std::out_of_range: no such element' ],
	[ 'throw own', q{throw Error("22023", "no country \"X\"").detail("D.").hint("H.");}, '22023 no country "X" / D.' ],
	[ 'throw number', q{throw 42;}, '38000 int' ],
	[ 'throw text in no encoding', q{throw std::runtime_error("a\xff\xfe");}, '38000 std::runtime_error: a??' ],
	[ 'throw a megabyte', q{throw std::runtime_error(std::string(1 << 20, 'x'));}, qr/^38000 std::runtime_error: x{9900}/ ],
	[ 'throw of json', q{json::parse("[bad");}, qr/^38000 nlohmann::.*parse_error/ ],
	[ 'out of memory', q{std::vector<char> all(std::size_t{1} << 60);}, qr/^(38000 std::bad_alloc|38000 std::length_error|53200)/ ],
	[ 'leak', q{leaked = new std::string(100000, 'x');}, undef ],
	[ 'unknown column', q{target["nothing"] = 1;}, '42703 column "nothing" does not exist' ],
	[ 'generated column', q{target["made"] = 7;}, undef ],
	[ 'too long', q{target["note"] = std::string(30, 'x');}, qr/^22001 column "note": value too long/ ],
	[ 'text in no encoding', q{target["note"] = "\xff";}, qr/^22021 column "note": invalid byte sequence/ ],
	[ 'text with a zero', q{target["note"] = std::string("a\0b", 3);}, qr/^22021 column "note": invalid byte sequence/ ],
	[ 'out of range', q{target["n"] = 40000;}, qr/^22003 column "n": 40000 is out of range/ ],
	[ 'no number', q{target["n"] = "many";}, qr/^22P02 column "n": invalid input syntax/ ],
	[ 'number for a flag', q{target["flag"] = 1;}, qr/^42804 column "flag": a value of type boolean cannot be made of one that is an integer/ ],
	[ 'flag for a text', q{target["note"] = true;}, qr/^42804 column "note"/ ],
	[ 'day of another age', q{target["day"] = std::chrono::sys_days(std::chrono::days(std::numeric_limits<int>::max()));}, qr/^22003 column "day": a date is out of range/ ],
	[ 'null where none may be', q{target["id"] = nullptr;}, qr/^23502 / ],
	[ 'null read as a number', q{target["n"] = target.get<int>("n");}, qr/^42804 column "n" is null, not an integer/ ],
	[ 'sql that fails', q{sql("SELECT 1 / 0");}, '22012 division by zero' ],
	[ 'sql that is none', q{sql("SELEC");}, qr/^42601 / ],
	[ 'sql in no encoding', q{sql("SELECT '\xff'");}, qr/^22021 / ],
	[ 'sql with too few parameters', q{sql("SELECT $1");}, qr/^42P02 / ],
	[ 'sql that ends the transaction', q{sql("COMMIT");}, qr/^(0A000|2D000|XX000) / ],
	[ 'caught and on', q{try { sql("SELECT 1 / 0"); } catch (...) {}}, '22012 division by zero' ],
	[ 'caught and wrote', q{try { sql("INSERT INTO journal VALUES (1), (1)"); } catch (...) {} try { sql("INSERT INTO journal VALUES (2)"); } catch (...) {}}, qr/^23505 / ],
	[ 'caught and threw', q{try { sql("SELECT 1 / 0"); } catch (...) { throw std::runtime_error("mine"); }}, '22012 division by zero' ],
	[ 'caught and looped', q{for (int i = 0; i < 10000; i++) try { sql("SELECT 1 / 0"); } catch (...) {}}, '22012 division by zero' ],
	[ 'savepoint', q{try { auto s = savepoint(); sql("INSERT INTO journal VALUES (3), (3)"); s.release(); } catch (const ServerError&) {} sql("INSERT INTO journal VALUES (4)");}, undef ],
	[ 'savepoint too late', q{try { sql("SELECT 1 / 0"); } catch (...) {} try { auto s = savepoint(); } catch (...) {}}, '22012 division by zero' ],
	[ 'savepoint inside', q{try { auto a = savepoint(); try { auto b = savepoint(); sql("SELECT 1 / 0"); } catch (const ServerError&) {} sql("INSERT INTO journal VALUES (5)"); a.release(); } catch (const ServerError&) { throw 1; }}, undef ],
	[ 'savepoint released after an error', q{auto s = savepoint(); try { sql("SELECT 1 / 0"); } catch (...) {} s.release();}, '22012 division by zero' ],
	[ 'savepoint left open', q{new Savepoint(savepoint());}, qr/^38000 update_target_doc of library "faulty" returned within a savepoint/ ],
	[ 'loops in sql', q{for (;;) sql("SELECT 1");}, qr/^57014 canceled because of its timeout/ ],
	[ 'loops in sql and catches', q{for (;;) { try { auto s = savepoint(); sql("SELECT pg_sleep(10)"); } catch (...) { if (++caught > 1000) break; } }}, qr/^57014 canceled because of its timeout/ ],
	[ 'loops asking', q{for (;;) check_interrupts();}, qr/^57014 canceled because of its timeout/ ],
	[ 'rows that are not there', q{sql("SELECT 1 AS one")[3];}, qr/^22003 the query gave 1 rows/ ],
	[ 'progress of nonsense', q{progress(1.0 / 0.0);}, qr/^(22003|22023|0A000|23514) / ],
	[ 'many rows', q{target["n"] = static_cast<int>(sql("SELECT i, repeat('x', 100) AS t FROM generate_series(1, 20000) AS i").size() / 20);}, undef ],
	[ 'a statement of its own for each', q{for (int i = 0; i < 300; i++) sql("SELECT " + std::to_string(i));}, undef ],
	[ 'a job inside a job', q{if (job.context().contains("outer")) sql("SELECT execute_sync_job(enqueue_sync_job('faulty', '2', context => '{\"do\": \"inner\"}'))");}, undef, '"outer": 1' ],
);
push @faults, [ 'loops alone', q{auto end = std::chrono::steady_clock::now() + std::chrono::seconds(40); while (std::chrono::steady_clock::now() < end) ++caught;}, 'alone' ];
my $cases = join "\n", map { qq{		if (what == "$_->[0]") { $_->[1] }} } @faults;
build_controller('faulty', <<"END", '-Wno-unused-result', '-Wno-alloc-size-larger-than');
struct Test : Controller {
	std::string* leaked = nullptr;
	int caught = 0;
	std::optional<Target> get_target_document(const Job&, const Document& source) override {
		auto found = sql("SELECT id::text FROM target WHERE id = \$1", source["id"]);
		return found.empty() ? Target::insert() : Target::update(found[0].get<std::string>("id"));
	}
	void update_target_doc(const Job& job, const Document& source, Document& target) override {
		std::string what = job.context().value("do", "");
		target["id"] = source["id"];
		target["note"] = source["note"];
$cases
	}
};
END
native_type('faulty', 'timeout', q{'2 s'});
my $number = 10;
for my $fault (@faults)
{
	my ($what, undef, $reason, $more) = @$fault;
	next if $what eq 'loops alone';
	$number++;
	my $context = qq({"do": "$what") . ($more ? ", $more" : '') . '}';
	my ($status, $id) = run_job($node, 'faulty', $number, $context);
	is($status, $reason ? 'Failed' : 'Finished', $what) or diag(error_of($node, $id));
	next if !$reason;
	ref $reason ? like(error_of($node, $id), $reason, "$what: its reason") : is(error_of($node, $id), $reason, "$what: its reason");
	is($node->safe_psql('postgres', "SELECT count(*) FROM target WHERE id = $number"), 0, "$what: nothing was written");
}
is($node->safe_psql('postgres', 'SELECT string_agg(k::text, $$ $$ ORDER BY k) FROM journal'), '4 5', 'what was within a savepoint that was rolled back is not there, nor what came after an error');

# What never asks is ended by nothing: it is told who it is. This one has mercy.
{
	my $offset = -s $node->logfile;
	my $id = enqueue($node, 'faulty', 99, q{context => '{"do": "loops alone"}'});
	poll($node, "SELECT note LIKE '%sync job $id does not react to the end of its time%' FROM sync_job_queue_status WHERE queue = 'default'", 'a job that heeds nothing is told of in note');
	poll($node, "SELECT status = 'Failed' FROM sync_job WHERE id = $id", '… until it ends');
	like(error_of($node, $id), qr/^57014 canceled because of its timeout/, '… then it has failed');
	like_log($node, $offset, qr/sync job $id does not react to the end of its time: its code checks for no interrupts/, 1, '… and the log has told it once');
	poll($node, "SELECT note IS NULL OR note NOT LIKE '%does not react%' FROM sync_job_queue_status WHERE queue = 'default'", '… and nobody any more');
}

# Libraries that are none.
sub is_set_up_wrong
{
	my ($library, $reason) = @_;
	native_type($library);
	my $id = enqueue($node, $library, 1);
	poll($node, "SELECT count(*) > 0 FROM sync_job_error WHERE sync_job = $id", "$library is tried");
	like(error_of($node, $id), $reason, '… and told what is wrong');
	is($node->safe_psql('postgres', "SELECT bool_or(counted) FROM sync_job_error WHERE sync_job = $id"), 'f', '… which does not count');
	my $message = $node->safe_psql('postgres', "SELECT message FROM sync_job_error WHERE sync_job = $id");
	is($node->safe_psql('postgres', "SELECT string_agg(message, ' ') FROM validate_sync_job_type('$library') WHERE severity = 'error'"), $message, '… as validation does');
	$node->safe_psql('postgres', "SELECT cancel_sync_job($id)");
	return;
}
my $abi = "#include <sync_job/abi.h>\n";
my $c = $abi . 'static int32_t create(const sync_job_api *a, sync_job_host *h, void **c) { (void)a; (void)h; static int one; *c = &one; return 0; }
static void destroy(void *c) { (void)c; }
static int32_t call(void *c, sync_job_call *call) { (void)c; (void)call; return CODE; }
__attribute__((visibility("default"))) const sync_job_library sync_job_controller = {SYNC_JOB_ABI_MAGIC, VERSION, sizeof(sync_job_library), HOOKS, create, destroy, call};
';
build_shared('other_abi', 'c', $c, '-DCODE=0', '-DVERSION=99', '-DHOOKS=10');
build_shared('no_magic', 'c', $c =~ s/SYNC_JOB_ABI_MAGIC/7/r, '-DCODE=0', '-DVERSION=1', '-DHOOKS=10');
build_shared('no_hooks', 'c', $c, '-DCODE=0', '-DVERSION=1', '-DHOOKS=2');
build_shared('no_symbol', 'c', "int nothing(void); int nothing(void) { return 1; }\n");
build_shared('lacks_symbol', 'c', $c . 'int elsewhere(void); __attribute__((visibility("default"))) int uses(void); int uses(void) { return elsewhere(); }', '-DCODE=0', '-DVERSION=1', '-DHOOKS=10');
build_shared('throws_made', 'c++', "#include <sync_job/controller.hpp>\nstruct Test : sync_job::Controller {\n\tTest() { throw std::logic_error(\"not today\"); }\n\tvoid update_target_doc(const sync_job::Job&, const sync_job::Document&, sync_job::Document&) override {}\n\tstd::optional<sync_job::Target> get_target_document(const sync_job::Job&, const sync_job::Document&) override { return {}; }\n};\nSYNC_JOB_CONTROLLER(Test)\n");
append_to_file(library_directory() . '/garbage.so', 'this is no library');
mkdir library_directory() . '/folder.so';
is_set_up_wrong('missing', qr/^58P01 there is no library ".*missing\.so"/);
is_set_up_wrong('garbage', qr/^55000 could not open library/);
is_set_up_wrong('folder', qr/^55000 could not open library/);
is_set_up_wrong('lacks_symbol', qr/^55000 could not open library/);
is_set_up_wrong('no_symbol', qr/^42883 library ".*" exports no sync_job_controller/);
is_set_up_wrong('other_abi', qr/^0A000 library ".*" was built for version 99/);
is_set_up_wrong('no_magic', qr/^42P17 sync_job_controller in library ".*" is no controller/);
is_set_up_wrong('no_hooks', qr/^42883 the controller of library "no_hooks" overrides neither update_target_doc/);
is_set_up_wrong('throws_made', qr/^38000 std::logic_error: not today/);

# One that says nothing but a code, and one that answers what makes no sense.
build_shared('codes', 'c', $c, '-DCODE=77', '-DVERSION=1', '-DHOOKS=10');
native_type('codes');
my ($status, $id) = run_job($node, 'codes', 1);
is($status, 'Failed', 'a code without a reason');
is(error_of($node, $id), '38000 get_target_document of library "codes" failed without saying why / It returned 77.', '… is told');
build_shared('nonsense', 'c', $c =~ s/\(void\)call; return CODE;/
	sync_job_text op = {"explode", 7}, none = {0, 0};
	sync_job_target t = {op, none, none, none};
	return call->api->add_target(call->host, &t);/r, '-DVERSION=1', '-DHOOKS=10');
native_type('nonsense');
($status, $id) = run_job($node, 'nonsense', 1);
is(error_of($node, $id), '22023 invalid operation "explode" from function get_target_document of library "nonsense"', 'an operation that there is not');
build_shared('wild', 'c', $c =~ s/\(void\)call; return CODE;/
	if (call->hook == SYNC_JOB_GET_TARGET_DOCUMENT) { sync_job_text op = {"insert", 6}, none = {0, 0}; sync_job_target t = {op, none, none, none}; return call->api->add_target(call->host, &t); }
	call->targets[0].values[1].kind = 99; call->targets[0].values[1].set = 1; return 0;/r, '-DVERSION=1', '-DHOOKS=10');
native_type('wild');
($status, $id) = run_job($node, 'wild', 1);
like(error_of($node, $id), qr/^22023 column "note": a controller passed a value of the unknown kind 99/, 'a value of no kind');

unlike_accidents($node);
$node->stop('fast');
done_testing();
