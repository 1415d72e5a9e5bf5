# Scenarios of the chaos suite: what administrators and others do to a live database: maintenance, DDL, copies.
#
# The table is as in Trouble.pm. What "storm" runs goes on for some seconds, in parallel with the scenarios that follow.
package Upheaval;

use strict;
use warnings;
use Fcntl qw(:flock);
use POSIX ();
use Test::More;
use Time::HiRes qw(time usleep);
use Server;

my $own = 'sync_job_internal.sync_job_';
my @own_tables = map { $own . $_ } qw(live failed ended);
my @storms;
my $copies = 0;

# Starts jobs whose session has ended between its two statements.
our $start_pending = q{SELECT count(start_sync_job(id)) FROM sync_job WHERE status = 'Pending' AND after IS NULL};

sub any { return $_[ rand @_ ] }

our %scenarios = (
	'reindex' => [ maintenance => 3, storm(sub { attempt('REINDEX TABLE CONCURRENTLY ' . any(@own_tables, 'copy_1', 'note', 'mirror', 'shadow', 'item', 'sync_job_document')) }) ],
	'an index made concurrently' => [ maintenance => 3, storm(\&index_concurrently) ],
	'vacuum full' => [ maintenance => 2, storm(sub { locking('VACUUM FULL ' . any(@own_tables, 'sync_job_error', 'sync_job_document', 'note', 'copy', 'mirror', 'pg_attribute', 'pg_class', 'pg_proc')) }) ],
	'vacuum' => [ maintenance => 1, storm(sub { attempt('VACUUM ANALYZE ' . any(@own_tables, 'copy', 'item')) }) ],
	'statistics of an index' => [ maintenance => 2, storm(\&index_statistics) ],
	'a held snapshot' => [ maintenance => 2, storm(sub { attempt('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM sync_job; SELECT pg_sleep(6)') }) ],
	'prepared transactions' => [ prepared => 3, storm(\&prepared) ],
	'locked rows' => [ locks => 2, storm(sub { attempt('BEGIN; SELECT count(*) FROM (SELECT FROM ' . any('note', 'mirror', 'shadow') . ' ORDER BY md5(id::text) LIMIT 5 FOR UPDATE) AS n; SELECT pg_sleep(3)') }) ],
	'locked tables' => [ locks => 1, storm(sub { locking('BEGIN; LOCK TABLE ' . any('sync_job', 'note', 'copy', 'mirror', 'shadow', 'sync_job_document', @own_tables) . ' IN ' . any('SHARE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE') . ' MODE; SELECT pg_sleep(0.5)') }) ],
	'columns come and go' => [ ddl => 3, storm(sub { exclusively(\&columns) }) ],
	'columns change their type' => [ ddl => 3, storm(sub { exclusively(\&types) }) ],
	'partitions come and go' => [ ddl => 3, storm(sub { exclusively(\&partitions) }) ],
	'functions are replaced' => [ ddl => 2, storm(\&functions) ],
	'job types change' => [ ddl => 2, storm(\&job_types) ],
	# In a database that is dropped afterwards: adding a column cannot be undone, as a dropped one keeps its place in the row.
	'a column of the queue elsewhere' => [ ddl => 1, sub { other_database('ALTER TABLE sync_job ADD COLUMN extra text') } ],
	'dump and parallel restore' => [ copies => 1, \&dump_and_restore ],
	'databases come and go' => [ copies => 1, sub { other_database('SELECT 1') } ],
);

# Makes a scenario of a step: repeats it for some seconds, in a process in parallel with the scenarios that follow.
sub storm
{
	my ($step) = @_;
	return sub {
		my $seconds = 3 + rand 6;
		my $seed = rand 2**31;
		my $pid = fork // die "no storm: $!";
		return push @storms, $pid if $pid;
		srand($seed);
		my $until = time + $seconds;
		while (time < $until)
		{
			eval { $step->() };
			usleep(rand 200_000);
		}
		POSIX::_exit(0); # the cluster is the parent's
	};
}

sub end_prepared
{
	attempt("COMMIT PREPARED '$_'") for split /\n/, ask(q{SELECT gid FROM pg_prepared_xacts WHERE prepared < now() - interval '3 s'});
	return;
}

# Waits until all storms are over, and repairs what they have left.
sub settle
{
	# A prepared transaction whose session was killed blocks the concurrent commands of others.
	while (@storms)
	{
		@storms = grep { waitpid($_, POSIX::WNOHANG()) == 0 } @storms;
		end_prepared();
		usleep(100_000);
	}
	usleep(100_000), end_prepared() while ask('SELECT count(*) FROM pg_prepared_xacts') ne '0';
	attach($_) for 0 .. 2;
	for my $index (split /\n/, ask(q{SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid OR indexrelid::regclass::text ~ 'chaos_'}))
	{
		ask("DROP INDEX $index"); # left by an interrupted concurrent command
	}
	ask(q{UPDATE sync_job_type SET disabled = false, paused = false; SELECT resume_sync_job_queue(name) FROM sync_job_queue});
	ask($start_pending);
	return;
}

# Statements that take strong locks do not wait for them for long, as all DDL should.
sub locking
{
	my ($sql) = @_;
	return attempt("SET lock_timeout = '1s'; $sql");
}

sub index_concurrently
{
	my $table = any(@own_tables, 'copy_0', 'note', 'item');
	my ($name) = $table =~ /(\w+)$/;
	my $column = $table =~ /sync_job/ ? any('title', 'created_at', 'job_id', 'run_as') : 'v';
	attempt("CREATE INDEX CONCURRENTLY chaos_$name ON $table ($column)");
	my ($schema) = $table =~ /^(\w+\.)/;
	return ask('DROP INDEX CONCURRENTLY IF EXISTS ' . ($schema // '') . "chaos_$name");
}

# As autovacuum does: only the index is invalidated.
sub index_statistics
{
	return attempt(q{SELECT brin_summarize_new_values('sync_job_internal.sync_job_ended_at');
		UPDATE pg_class SET reltuples = reltuples + 1 WHERE relkind = 'i' AND relnamespace = 'sync_job_internal'::regnamespace});
}

my $prepared = 0;

sub prepared
{
	my $name = "chaos_$$" . '_' . ++$prepared;
	my $doc = 1 + int rand 60;
	attempt(qq{BEGIN; INSERT INTO ledger SELECT enqueue_sync_job('Counted', '$doc', deduplicate => true), 'Counted' ON CONFLICT DO NOTHING;
		UPDATE item SET w = w + 1 WHERE id = $doc; PREPARE TRANSACTION '$name'});
	usleep(rand 1e6);
	my $end = any('COMMIT', 'COMMIT', 'ROLLBACK');
	return ask("SELECT count(*) FROM pg_prepared_xacts WHERE gid = '$name'") && attempt("$end PREPARED '$name'");
}

# A partition can be attached again only if the table still has the same columns.
sub exclusively
{
	my ($step) = @_;
	open my $lock, '>', folder() . '/ddl' or die;
	flock $lock, LOCK_EX or die;
	return $step->();
}

sub columns
{
	my $table = any('copy', 'note', 'mirror', 'shadow', 'item');
	locking("ALTER TABLE $table ADD COLUMN extra " . any('text', 'int DEFAULT 7', 'numeric NOT NULL DEFAULT 1.5', 'text GENERATED ALWAYS AS (v || v) STORED'));
	usleep(rand 500_000);
	return locking("ALTER TABLE $table DROP COLUMN IF EXISTS extra");
}

sub types
{
	return locking('ALTER TABLE ' . any('copy', 'note', 'mirror', 'shadow', 'item') . ' ALTER COLUMN ' . any('w TYPE int', 'w TYPE bigint', 'w TYPE numeric', 'v TYPE text', 'v TYPE varchar(20)'));
}

# While a partition is detached, deletes do not find its rows: the table "detached" says when that was.
sub partitions
{
	my $number = int rand 3;
	attempt("INSERT INTO detached VALUES ('copy_$number', clock_timestamp())") // return;
	any(sub { locking("ALTER TABLE copy DETACH PARTITION copy_$number") }, sub { attempt("SET lock_timeout = '5s'; ALTER TABLE copy DETACH PARTITION copy_$number CONCURRENTLY") })->();
	usleep(rand 1e6);
	return attach($number);
}

sub attach
{
	my ($number, $database) = @_;
	my $detached = "SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = 'copy_$number'::regclass";
	ask("ALTER TABLE copy DETACH PARTITION copy_$number FINALIZE", $database) if ask($detached, $database) eq 't';
	ask("ALTER TABLE copy ATTACH PARTITION copy_$number FOR VALUES WITH (MODULUS 3, REMAINDER $number)", $database) if ask($detached, $database) eq '';
	return ask("UPDATE detached SET until = clock_timestamp() WHERE part = 'copy_$number'::regclass AND until IS NULL", $database);
}

sub functions
{
	my $function = any(qw(noted.update_target_doc noted.get_target_document shadowed.update_target_doc shadowed.get_target_document counted.execute committing.execute touch count_it relayed.update_target_doc));
	return attempt("DO \$\$ BEGIN EXECUTE pg_get_functiondef('$function'::regproc); END \$\$");
}

sub job_types
{
	return attempt(any(
		q{UPDATE sync_job_type SET field_map = field_map || jsonb_build_object('v', jsonb_build_object('expr', 'source.v || ''''')) WHERE name = 'Copied'},
		q{UPDATE sync_job_type SET field_map = field_map || '{"v": "v"}' WHERE name = 'Copied'},
		q{UPDATE sync_job_type SET field_map = field_map || '{"v": "v"}' WHERE name = 'Mirrored'},
		q{UPDATE sync_job_type SET set_size = 1 + (random() * 60)::int WHERE name IN ('Mirrored', 'Shadowed')},
		q{UPDATE sync_job_type SET batchable = NOT batchable WHERE name = 'Counted'},
		q{UPDATE sync_job_type SET concurrency_limit = 1 + (random() * 3)::int WHERE name = 'Counted Limited'},
		q{UPDATE sync_job_type SET verbose_logging = NOT verbose_logging WHERE name IN ('Noted', 'Copied', 'Mirrored', 'Shadowed')},
		q{UPDATE sync_job_queue SET max_workers = 1 + (random() * 4)::int}));
}

# A copy is consistent in itself, and nothing runs in it until it is adopted.
sub dump_and_restore
{
	my $name = 'restored_' . ++$copies;
	my $dump = folder() . "/$name";
	PostgreSQL::Test::Utils::run_log([ 'pg_dump', '-Fc', '--lock-wait-timeout=30s', '-f', $dump, 'service=chaos dbname=postgres' ]) or return;
	my $before = ask('SELECT clock_timestamp()');
	attempt("CREATE DATABASE $name") // return;
	my $restored = PostgreSQL::Test::Utils::run_log([ 'pg_restore', '--exit-on-error', '--jobs=2', '-d', "service=chaos dbname=$name", $dump ]);
	if ($restored)
	{
		is(ask("SELECT count(*) FROM sync_job WHERE greatest(started_at, ended_at) > '$before'", $name), '0', 'a restored database runs nothing before it is adopted');
		ask('SELECT adopt_sync_jobs()', $name);
		attach($_, $name) for 0 .. 2;
		ask($start_pending, $name);
		Invariants::in_copy($name);
	}
	unlink $dump;
	return ask("DROP DATABASE $name WITH (FORCE)");
}

sub other_database
{
	my ($sql) = @_;
	my $name = 'other_' . ++$copies;
	attempt("CREATE DATABASE $name") // return;
	attempt(q{CREATE EXTENSION pg_sync_job; CREATE FUNCTION nap() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(0.001)';
		SELECT count(enqueue_background_job('nap')) FROM generate_series(1, 500)}, $name);
	usleep(rand 1e6);
	attempt($sql, $name);
	usleep(rand 1e6);
	return ask("DROP DATABASE IF EXISTS $name WITH (FORCE)");
}

1;
