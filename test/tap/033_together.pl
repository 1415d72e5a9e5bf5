# Documents that depend on each other: values that move between rows under a unique constraint, children before their
# parents. Alone, or in batches cut anywhere, their jobs would fail; together they succeed, and no attempt is counted.
# And what depends on nothing that comes fails as it always did. Types whose jobs beget each other without end are stopped.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', conf => "sync_job.batch_jobs = 50\n");
my $failures = 'SELECT count(*) FROM sync_job_error';

# A declared type, and one with functions that does the same, from src_N to dst_N.
sub make_types
{
	my ($name, $column, $constraint) = @_;
	for my $kind ('declared', 'functions')
	{
		my ($src, $dst) = ("src_${name}_$kind", "dst_${name}_$kind");
		$node->safe_psql('postgres', qq{
			CREATE TABLE $src (id int PRIMARY KEY, $column int);
			CREATE TABLE $dst (id int PRIMARY KEY, $column int @{[ $constraint =~ s/DST/$dst/r ]});
			CREATE SCHEMA ${name}_$kind;});
		if ($kind eq 'declared')
		{
			$node->safe_psql('postgres', qq{
				INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, retry_delay)
				VALUES ('$name $kind', '$src', '$dst', '{"id": "id"}', '{"$column": "$column"}', '1 h');});
		}
		else
		{
			$node->safe_psql('postgres', qq{
				CREATE FUNCTION ${name}_$kind.get_target_document(sync_job jsonb, source_doc $src) RETURNS sync_job_target LANGUAGE plpgsql AS
				'BEGIN RETURN sync_job_target(CASE WHEN EXISTS (SELECT FROM $dst WHERE id = source_doc.id) THEN ''update'' ELSE ''insert'' END,
					target_document_name => source_doc.id::text); END';
				CREATE FUNCTION ${name}_$kind.update_target_doc(sync_job jsonb, source_doc $src, INOUT target_doc $dst) LANGUAGE plpgsql AS
				'BEGIN target_doc.id := source_doc.id; target_doc.$column := source_doc.$column; END';
				INSERT INTO sync_job_type (name, source_document_type, target_document_type, retry_delay, module)
				VALUES ('$name $kind', '$src', '$dst', '1 h', '${name}_$kind');});
		}
		$node->safe_psql('postgres', "SELECT attach_sync_job_triggers('$name $kind', '$src', level => 'statement')");
	}
	return;
}

sub in_step
{
	my ($name, $what) = @_;
	for my $kind ('declared', 'functions')
	{
		my ($src, $dst) = ("src_${name}_$kind", "dst_${name}_$kind");
		poll($node, qq{
			SELECT NOT EXISTS (SELECT FROM sync_job WHERE status IN ('Queued', 'Started')) AND
				NOT EXISTS ((TABLE $src EXCEPT TABLE $dst) UNION ALL (TABLE $dst EXCEPT TABLE $src))}, "$what, $kind");
	}
	return;
}

sub both { my ($name, $sql) = @_; $node->safe_psql('postgres', $sql =~ s/SRC/src_${name}_$_/gr) for ('declared', 'functions'); return; }

make_types('tree', 'parent', 'REFERENCES DST');
both('tree', 'INSERT INTO SRC SELECT i, CASE WHEN i < 300 THEN i + 1 END FROM generate_series(1, 300) AS i');
in_step('tree', 'children before parents');
both('tree', q{
	WITH o AS (SELECT i, row_number() OVER (ORDER BY md5(i::text)) AS r FROM generate_series(1000, 1200) AS i)
	INSERT INTO SRC SELECT c.i, p.i FROM o AS c LEFT JOIN o AS p ON p.r = c.r / 2});
in_step('tree', 'parents anywhere');

make_types('deferred', 'pos', 'UNIQUE DEFERRABLE INITIALLY DEFERRED');
both('deferred', 'INSERT INTO SRC SELECT i, i FROM generate_series(1, 400) AS i');
in_step('deferred', 'before the shift');
both('deferred', 'UPDATE SRC SET pos = pos + 1');
in_step('deferred', 'a shift longer than a batch, under a deferred constraint');
both('deferred', 'UPDATE SRC SET pos = 402 - pos');
in_step('deferred', 'all of them swapped');

make_types('sets', 'pos', 'UNIQUE DEFERRABLE INITIALLY DEFERRED');
both('sets', q{UPDATE sync_job_type SET set_size = 60 WHERE source_document_type = 'SRC'::regclass});
both('sets', 'INSERT INTO SRC SELECT i, i FROM generate_series(1, 600) AS i');
in_step('sets', 'before the shift');
both('sets', 'UPDATE SRC SET pos = pos + 1');
in_step('sets', 'a shift longer than a set');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE relation = 'set'}), '0', 'none of them is broken up');

make_types('immediate', 'pos', 'UNIQUE');
both('immediate', 'INSERT INTO SRC SELECT i, i FROM generate_series(1, 200) AS i');
in_step('immediate', 'before the shift');
both('immediate', 'UPDATE SRC SET pos = pos + 1 WHERE id <= 200');
in_step('immediate', 'a shift under a constraint that is checked at once');
is($node->safe_psql('postgres', $failures), '0', 'no attempt of any of them was counted as failed');

# What no other job mends fails, is counted, and takes nobody with it.
both('tree', 'INSERT INTO SRC VALUES (5000, 99999), (5001, NULL), (5002, 5001)');
poll($node, q{SELECT count(*) = 2 FROM sync_job WHERE status = 'Failed' AND source_document_name = '5000' AND retry_after IS NOT NULL},
	'a child without a parent fails, and is tried again in its time');
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT sqlstate || ' ' || counted, ',') FROM sync_job_error}), '23503 true',
	'with its own error, counted');
is($node->safe_psql('postgres', q{SELECT count(*) FROM dst_tree_declared WHERE id IN (5001, 5002)}), '2', 'the others are there');
both('tree', 'INSERT INTO SRC VALUES (99999, NULL)');
$node->safe_psql('postgres', q{SELECT retry_sync_job(id) FROM sync_job WHERE status = 'Failed'});
in_step('tree', 'the parent comes, and the retry succeeds');

# Two types that never come to the same value.
$node->safe_psql('postgres', q{
	CREATE TABLE a (id int PRIMARY KEY, email text);
	CREATE TABLE b (id int PRIMARY KEY, email text);
	CREATE FUNCTION append_a() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.email := NEW.email || ''a''; RETURN NEW; END';
	CREATE FUNCTION append_b() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.email := NEW.email || ''b''; RETURN NEW; END';
	CREATE TRIGGER n BEFORE INSERT OR UPDATE ON a FOR EACH ROW EXECUTE FUNCTION append_a();
	CREATE TRIGGER n BEFORE INSERT OR UPDATE ON b FOR EACH ROW EXECUTE FUNCTION append_b();
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map) VALUES
		('AB', 'a', 'b', '{"id": "id"}', '{"email": "email"}'), ('BA', 'b', 'a', '{"id": "id"}', '{"email": "email"}');
	SELECT attach_sync_job_triggers('AB', 'a'), attach_sync_job_triggers('BA', 'b');
});
my $log = -s $node->logfile;
$node->safe_psql('postgres', q{INSERT INTO a VALUES (1, 'Ann@x')});
poll($node, q{SELECT EXISTS (SELECT FROM sync_job WHERE status = 'Canceled') AND
	NOT EXISTS (SELECT FROM sync_job WHERE sync_job_type IN ('AB', 'BA') AND status IN ('Queued', 'Started'))}, 'two types that call each other come to an end');
is($node->safe_psql('postgres', q{SELECT depth, status, cancel_reason LIKE '100 jobs led to this one%' FROM sync_job WHERE depth > 99 ORDER BY depth}),
	"100|Finished|\n101|Canceled|t", 'the job after the hundredth is canceled, with the reason');
like_log($node, $log, 'are canceled as they are enqueued', 1, 'the log says so once');
$node->safe_psql('postgres', q{UPDATE a SET email = 'bob@y'});
poll($node, q{SELECT count(*) = 2 FROM sync_job WHERE status = 'Canceled'}, 'another change begins anew');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE depth IS NULL AND sync_job_type = 'AB'}), '2', 'what a person wrote has no depth');

unlike_accidents($node);
$node->stop;
done_testing();
