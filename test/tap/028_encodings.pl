# Databases in other encodings than UTF-8: the extension can be created there, workers sync documents whose names, values and
# types are written in it, and nothing that is cut (titles, progress, messages) is cut within a character.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SyncJob;
use PostgreSQL::Test::Utils;
use Test::More;

# The text as SQL that makes it, so that no client encoding comes between.
my %text = (
	EUC_JP => '\xc5ecb5fec5d4',
	EUC_KR => '\xbcadbfefbdc3',
	WIN1252 => '\x4df86c6c6572809f',
	LATIN1 => '\x4dfc6c6c6572e9',
	SQL_ASCII => '\x4dfc6c6c6572e9');

my $node = new_cluster('encodings', no_extension => 1);

foreach my $encoding (sort keys %text)
{
	my $database = lc $encoding;
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	$node->safe_psql($database, <<~"END");
		CREATE EXTENSION pg_sync_job;
		CREATE FUNCTION word() RETURNS text IMMUTABLE LANGUAGE sql AS \$\$ SELECT convert_from('$text{$encoding}', getdatabaseencoding()) \$\$;
		CREATE TABLE source (name text PRIMARY KEY, note text);
		CREATE TABLE by_function (name text PRIMARY KEY, note text);
		CREATE TABLE by_json (name text PRIMARY KEY, note text);
		CREATE TABLE declared (name text PRIMARY KEY, note text);
		CREATE SCHEMA rows;
		CREATE FUNCTION rows.get_target_document(sync_job sync_job, source_doc source) RETURNS sync_job_target LANGUAGE sql
			AS 'SELECT sync_job_target(''insert'')';
		CREATE FUNCTION rows.update_target_doc(sync_job sync_job, source_doc source, INOUT target_doc by_function) LANGUAGE plpgsql AS \$\$
		BEGIN
			target_doc.name := source_doc.name;
			target_doc.note := source_doc.note;
			PERFORM report_sync_job_progress(50, repeat(word(), 200), 'x' || repeat(word(), 200));
			RAISE NOTICE '%', repeat(source_doc.name, 10);
			IF source_doc.note IS NULL THEN RAISE EXCEPTION '%', repeat(word(), 1000) USING DETAIL = word(); END IF;
		END \$\$;
		CREATE SCHEMA json;
		CREATE FUNCTION json.get_target_document(sync_job jsonb, source_doc jsonb) RETURNS jsonb LANGUAGE sql
			AS 'SELECT jsonb_build_object(''operation'', ''insert'')';
		CREATE FUNCTION json.update_target_doc(sync_job jsonb, source_doc jsonb, target_doc jsonb) RETURNS jsonb LANGUAGE sql
			AS 'SELECT source_doc';
		INSERT INTO sync_job_type (name, source_document_type, target_document_type, module, verbose_logging, max_retries) VALUES
			('Rows ' || word(), 'source', 'by_function', 'rows', true, 0), ('Json ' || word(), 'source', 'by_json', 'json', true, 0);
		INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
			VALUES ('Declared ' || word(), 'source', 'declared', '{"name": "name"}', '{"note": "note"}');
		INSERT INTO source SELECT repeat(word(), n) || n, word() FROM generate_series(1, 60) AS n;
		INSERT INTO source VALUES ('x' || word());
		SELECT enqueue_sync_job(t.name, s) FROM sync_job_type AS t, source AS s;
		END
	is(wait_for_jobs($node, $database), 'Failed=1 Finished=182', "$encoding: jobs of each kind end");
	is($node->safe_psql($database, q{SELECT (SELECT count(*) FROM by_function JOIN source USING (name, note)),
			(SELECT count(*) FROM by_json JOIN source USING (name) WHERE by_json.note IS NOT DISTINCT FROM source.note),
			(SELECT count(*) FROM declared JOIN source USING (name) WHERE declared.note IS NOT DISTINCT FROM source.note)}),
		'60|61|61', "$encoding: and the targets have what the sources have");
	is($node->safe_psql($database, q{SELECT bool_and(length(title) <= 140 AND convert_from(convert_to(title, getdatabaseencoding()), getdatabaseencoding()) = title),
			max(length(title)) = 140 FROM sync_job}), 't|t', "$encoding: titles are cut between characters");
	is($node->safe_psql($database, q{SELECT error_message LIKE repeat(word(), 1000) || E'\nDETAIL:  ' || word() || '%'
			AND messages LIKE '%' || repeat('x' || word(), 10) || '%' FROM sync_job WHERE status = 'Failed'}),
		't', "$encoding: errors and messages are kept");
	my ($code, $out, $err) = $node->psql($database, q{SELECT enqueue_sync_job('none'); SELECT enqueue_sync_job('{"a": 1}'::jsonb);
		SELECT enqueue_sync_job((SELECT name FROM sync_job_type LIMIT 1), context => to_jsonb(repeat(word(), 50)));
		UPDATE sync_job_type SET match = '[]', retry_backoff = word()}, on_error_stop => 0);
	unlike($err, qr/encoding|invalid byte|no equivalent/, "$encoding: messages are in no other encoding");
}
unlike(slurp_file($node->logfile), qr/invalid byte sequence|no equivalent in encoding|22P05|22021/, 'nor in the log');

done_testing();
