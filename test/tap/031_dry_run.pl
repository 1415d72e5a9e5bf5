# A dry run of 1,000 documents, by workers, writes nothing but its own records, whatever the controller tries; applying it
# makes exactly the differences it showed, and reverting that brings back the database as it was. The whole database is
# compared: what pg_dump makes of it, but for the jobs themselves and the sequences.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main');
$node->safe_psql('postgres', q{
	CREATE TABLE source (id int PRIMARY KEY, note text);
	CREATE TABLE target (id int PRIMARY KEY, note text, extra xml, stamped timestamptz DEFAULT clock_timestamp(),
		twice text GENERATED ALWAYS AS (note || note) STORED, shared int REFERENCES source (id) DEFERRABLE INITIALLY DEFERRED);
	CREATE TABLE audit (id bigint GENERATED ALWAYS AS IDENTITY, what text);
	CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO audit (what) VALUES (tg_op);
		RETURN NULL;
	END $$;
	CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON target FOR EACH ROW EXECUTE FUNCTION audited();
	CREATE SCHEMA dry;
	-- A third each: insert, update, delete.
	CREATE FUNCTION dry.get_target_document(sync_job sync_job, source_doc source) RETURNS sync_job_target LANGUAGE sql AS $$
		SELECT sync_job_target((ARRAY['insert', 'update', 'delete'])[source_doc.id % 3 + 1], target_document_name => source_doc.id::text)
	$$;
	CREATE FUNCTION dry.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target) LANGUAGE plpgsql AS $$
	BEGIN
		target_doc.id := source_doc.id;
		target_doc.note := source_doc.note;
		target_doc.extra := '<?xml version="1.0"?><a/>';
		target_doc.shared := source_doc.id;
		-- Whatever a controller may try: other tables, its source, DDL, comments, large objects, further jobs, notifications, a type.
		IF sync_job.dry_run THEN
			INSERT INTO audit (what) VALUES ('by the controller');
			UPDATE source SET note = 'spoilt' WHERE id = source_doc.id;
			PERFORM enqueue_sync_job('Dry', '1');
			PERFORM publish_sync_job_event('dry', to_jsonb(repeat('x', 9000)));
			PERFORM lo_create(0);
			PERFORM set_sync_job_checkpoint('{"at": 1}');
			UPDATE sync_job_type SET description = 'by a dry run';
			CREATE TABLE made_by_a_dry_run (id int);
			COMMENT ON TABLE target IS 'by a dry run';
		END IF;
	END $$;
	CREATE FUNCTION dry.finished(sync_job sync_job, source_doc source, target_doc target) RETURNS void LANGUAGE sql AS $$
		INSERT INTO audit (what) SELECT 'finished' WHERE sync_job.dry_run;
	$$;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, max_retries) VALUES ('Dry', 'source', 'target', 0);
	UPDATE sync_job_type SET module = 'dry';
	INSERT INTO source SELECT n, 'note ' || n FROM generate_series(1, 1000) AS n;
	INSERT INTO target (id, note) SELECT id, 'old' FROM source WHERE id % 3 > 0;
});

# The triggers' records of the applied changes are not undone by reverting: they are not part of the comparison then.
sub database
{
	my (@without) = @_;
	my ($dump, $stderr) = run_command([ 'pg_dump', '-d', 'postgres', '-h', $node->host, '-p', $node->port, '-U', 'postgres',
		(map { "--exclude-table-data=$_" } 'sync_job_internal.sync_job_*', 'public.sync_job_error', @without) ]);
	die $stderr unless $dump;
	my @lines = grep { !/^SELECT pg_catalog\.setval/ && !/^\\(un)?restrict/ } split /\n/, $dump;
	# The rows of a table come in no order.
	my (@sections, $rows);
	for my $line (@lines)
	{
		if ($line =~ /^COPY /) { $rows = []; push @sections, $line; }
		elsif ($line eq '\\.' && $rows) { push @sections, sort(@$rows), $line; undef $rows; }
		elsif ($rows) { push @$rows, $line; }
		else { push @sections, $line; }
	}
	return join("\n", @sections) . "\n";
}

my $before = database();
cmp_ok(length $before, '>', 50000, 'there is something to compare');
$node->safe_psql('postgres', q{SELECT enqueue_sync_jobs('Dry', (SELECT array_agg(id::text ORDER BY id) FROM source), dry_run => true)});
is(wait_for_jobs($node), 'Finished=1000', '1,000 dry runs');
is(database(), $before, 'they have written nothing');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job WHERE checkpoint IS NOT NULL}), '0', 'no checkpoint is kept of one');
is($node->safe_psql('postgres', q{SELECT string_agg(operation || '=' || n, ' ' ORDER BY operation) FROM (SELECT operation, count(*) AS n FROM sync_job GROUP BY operation) AS s}),
	'Delete=333 Insert=333 Update=334', 'of every kind');

# Applied: the differences they showed, and no others.
my $unchanged = database('public.target', 'public.audit');
$node->safe_psql('postgres', q{CREATE TABLE image AS SELECT * FROM target; SELECT count(apply_sync_job(id)) FROM (SELECT id FROM sync_job WHERE dry_run ORDER BY id) AS j});
is($node->safe_psql('postgres', q{
	WITH shown AS (
		SELECT target_document_name AS name, d.key AS field, d.value -> 'old' AS was, d.value -> 'new' AS becomes
		FROM sync_job, jsonb_each(diff_summary) AS d WHERE dry_run
	), happened AS (
		SELECT coalesce(o.id, n.id)::text AS name, f.key AS field, nullif(to_jsonb(o) -> f.key, 'null') AS was, nullif(to_jsonb(n) -> f.key, 'null') AS becomes
		FROM image AS o FULL JOIN target AS n ON n.id = o.id
		CROSS JOIN LATERAL jsonb_each(coalesce(to_jsonb(n), to_jsonb(o))) AS f
		WHERE nullif(to_jsonb(o) -> f.key, 'null') IS DISTINCT FROM nullif(to_jsonb(n) -> f.key, 'null')
	)
	SELECT count(*), count(*) FILTER (WHERE s.name IS NULL), count(*) FILTER (WHERE h.name IS NULL) FROM shown AS s FULL JOIN happened AS h
		ON h.name = s.name AND h.field = s.field AND (h.field IN ('stamped', 'extra')
			OR h.was IS NOT DISTINCT FROM nullif(s.was, 'null') AND h.becomes IS NOT DISTINCT FROM nullif(s.becomes, 'null'))}) =~ s/^\d{4,}\|/many|/r,
	'many|0|0', 'apply did what the dry runs showed, field by field, and nothing else');
is($node->safe_psql('postgres', q{SELECT count(*) FROM sync_job AS a JOIN sync_job AS d ON d.id = a.parent_sync_job WHERE a.diff_summary::text = d.diff_summary::text}),
	'1000', 'what was applied is recorded as shown, in jobs that point to the first ones');
$node->safe_psql('postgres', q{DROP TABLE image});
is(database('public.target', 'public.audit'), $unchanged, 'no other table has changed');

# Reverted, in any order: as before.
$node->safe_psql('postgres', q{SELECT count(revert_sync_job(id)) FROM (SELECT id FROM sync_job WHERE context ? 'applies' ORDER BY md5(id::text)) AS j});
$node->safe_psql('postgres', q{TRUNCATE audit; INSERT INTO audit (what) SELECT 'INSERT' FROM source WHERE id % 3 > 0});
my ($old, $new) = map { s/^\d+\t(INSERT)$/$1/gmr } $before, database();
is($new, $old, 'reverting them all brings back the database as it was');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|was terminated by signal|reference leak/, 'the log tells of no accident');
done_testing();
