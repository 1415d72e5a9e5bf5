# A controller's plans follow the growth of the tables: a first load into a target that was analyzed while it was empty does
# not read all of it for each job.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main');
my $documents = 6000;

$node->safe_psql('postgres', q{
	CREATE TABLE source (id int PRIMARY KEY, note text);
	CREATE TABLE target (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, origin int UNIQUE, note text);
	CREATE TABLE declared (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, origin int UNIQUE, note text);
	CREATE TABLE synced (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, origin int, note text);
	CREATE INDEX ON synced (origin);
	CREATE SCHEMA growing;
	CREATE FUNCTION growing.get_target_document(sync_job sync_job, source_doc source) RETURNS sync_job_target
	LANGUAGE plpgsql AS $$
	DECLARE
		found_id bigint;
	BEGIN
		SELECT t.id INTO found_id FROM target AS t WHERE t.origin = source_doc.id;
		RETURN sync_job_target(CASE WHEN found_id IS NULL THEN 'insert' ELSE 'update' END, target_document_name => found_id::text);
	END $$;
	CREATE FUNCTION growing.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc target)
	LANGUAGE plpgsql AS $$
	BEGIN
		target_doc.origin := source_doc.id;
		target_doc.note := source_doc.note;
	END $$;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type) VALUES ('Growing', 'source', 'target');
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
	VALUES ('Declared', 'source', 'declared', '{"origin": "id"}', '{"note": "note"}'), ('Synced', 'source', 'synced', '{"origin": "id"}', '{"note": "note"}');
	ANALYZE target, declared, synced;
});
$node->safe_psql('postgres', "INSERT INTO source SELECT i, 'note ' || i FROM generate_series(1, $documents) AS i");

my $each = '(SELECT array_agg(id::text) FROM source)';
# The last one by one worker, without an end in between; its statements have dozens of documents each.
foreach my $case ([ 'Growing', 'target', "enqueue_sync_jobs('Growing', $each)", 200 ], [ 'Declared', 'declared', "enqueue_sync_jobs('Declared', $each)", 200 ],
	[ 'Synced', 'synced', "enqueue_full_sync('Synced')", 10 ])
{
	my ($type, $table, $enqueue, $most) = @$case;
	$node->safe_psql('postgres', "SELECT $enqueue");
	wait_for_jobs($node);
	is($node->safe_psql('postgres', "SELECT count(*) FROM $table"), $documents, "$type: each document has arrived");
	# Before the statistics say so the workers have not told of all they did.
	$node->poll_query_until('postgres',
		"SELECT n_tup_ins >= $documents FROM pg_stat_user_tables WHERE relname = '$table'")
	  or die 'no statistics';
	my $read = $node->safe_psql('postgres',
		"SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = '$table'");
	# With the first plan it is half of the square of the number of documents. count(*) above has read each row once.
	cmp_ok($read, '<', $most * $documents, "$type: it has not read the whole target for each");
	diag("$type: $read rows read for $documents documents");
}

$node->stop('fast');
unlike_accidents($node);
done_testing();
