# Comparing whole tables: by workers, for roles that may not become that of the type, beside jobs and changes, on a standby.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

my $node = new_cluster('main', allows_streaming => 1);
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub sql_as { my ($role, $sql) = @_; return $node->safe_psql('postgres', $sql, extra_params => [ '-U', $role ]) }

sub error_as
{
	my ($role, $sql) = @_;
	$node->psql('postgres', $sql, stderr => \my $error, extra_params => [ '-U', $role ]);
	return $error;
}

# A job that compares, when it has ended: its state, and its result without the list.
sub compared
{
	my ($job) = @_;
	sql("CALL wait_for_sync_job($job, '60 s')");
	return sql(qq{SELECT status || ' ' || operation || ' ' || title || ' ' || coalesce((result - 'documents')::text, error_message) FROM sync_job WHERE id = $job});
}

sql(q{
	CREATE ROLE app LOGIN; CREATE ROLE clerk LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE nobody LOGIN;
	CREATE TABLE source (id int PRIMARY KEY, v text);
	CREATE TABLE target (id int PRIMARY KEY, v text, by text DEFAULT 'x');
	ALTER TABLE source OWNER TO app;
	ALTER TABLE target OWNER TO app;
	GRANT SELECT ON target TO clerk;
	GRANT SELECT ON source, target TO reader;
	CREATE FUNCTION who() RETURNS text LANGUAGE sql STABLE RETURN current_user;
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map, disabled)
	VALUES ('Compared', 'source', 'target', '{"id": "id"}', '{"v": "v", "by": {"expr": "who()"}}', true);
	SELECT grant_sync_job_type('Compared', 'clerk'), grant_sync_job_type('Compared', 'reader');
	INSERT INTO source SELECT i, 'v' FROM generate_series(1, 1000) AS i;
	INSERT INTO target SELECT i, 'v', 'app' FROM generate_series(3, 1000) AS i;
	INSERT INTO target VALUES (0, 'surplus');
	UPDATE target SET v = 'other' WHERE id = 7;
});

# Who may enqueue jobs of the type may have it compared, with the rights of its role. What it found is for who may read both tables.
my $job = sql_as('clerk', q{SELECT enqueue_compare('Compared', max_rows => 2)});
is(compared($job), 'Finished Compare Compare Compared {"missing": 2, "surplus": 1, "waiting": 0, "ambiguous": 0, "different": 1, "out_of_step": 4}',
	'a worker has compared, as the role of the type, and although it is disabled');
is(sql(qq{SELECT jsonb_array_length(result->'documents') FROM sync_job WHERE id = $job}), '2', 'as many documents as were asked for are listed');
is(sql_as('clerk', "SELECT count(*) FROM sync_job WHERE id = $job"), '0', 'not shown to who may not read the source');
$job = sql_as('reader', q{SELECT enqueue_compare('Compared')});
compared($job);
is(sql_as('reader', qq{SELECT jsonb_array_length(result->'documents') FROM sync_job WHERE id = $job}), '4', 'but to who may read both');
is(sql('SELECT v FROM target WHERE id = 7'), 'other', 'nothing was written');
like(error_as('nobody', q{SELECT enqueue_compare('Compared')}), qr/permission denied for sync job type "Compared"/, 'not for others');
like(error_as('clerk', q{SELECT enqueue_compare('Compared', 'true')}), qr/permission denied for argument condition/, 'a condition is SQL that would run as another role');
like(error_as('clerk', q{SELECT enqueue_compare('Compared', priority => 1)}), qr/permission denied for argument priority/, 'a grant has its limits');
like(error_as('app', q{SELECT enqueue_compare('Compared', 'id =')}), qr/syntax error/, 'a condition that is none');
is(compared(sql_as('app', q{SELECT enqueue_compare('Compared', 'id > 1')})),
	'Finished Compare Compare Compared {"missing": 1, "surplus": 1, "waiting": 0, "ambiguous": 0, "different": 1, "out_of_step": 3}', 'a condition');

# The same once more, for whoever may ask for it and read what there was; its condition needs the same right again.
my $with_condition = sql(q{SELECT max(id) FROM sync_job WHERE context->>'condition' = 'id > 1'});
is(compared(sql_as('app', "SELECT rerun_sync_job($with_condition)")),
	'Finished Compare Compare Compared {"missing": 1, "surplus": 1, "waiting": 0, "ambiguous": 0, "different": 1, "out_of_step": 3}', 'a comparison is rerun with its condition');
like(compared(sql_as('reader', "SELECT rerun_sync_job($job)")), qr/^Finished Compare Compare Compared .*"out_of_step": 4/, 'by its owner, too');
sql(q{SELECT grant_sync_job_access('reader', 'viewer')});
like(error_as('reader', "SELECT rerun_sync_job($with_condition)"), qr/permission denied for argument condition/, 'not with the condition of another one');
sql(q{SELECT revoke_sync_job_access('reader', 'viewer')});

# It cannot be smuggled in by way of the context, when a job is retried.
sql(q{UPDATE sync_job_type SET max_retries = 0, match = '{"id": {"expr": "random()::int"}}'});
$job = sql_as('clerk', q{SELECT enqueue_compare('Compared')});
like(compared($job), qr/^Failed .* gives another value/, 'what cannot be compared fails');
sql(q{UPDATE sync_job_type SET match = '{"id": "id"}'});
sql_as('clerk', qq{SELECT retry_sync_job($job, '{"condition": "true"}')});
like(compared($job), qr/^Failed .* permission denied for a condition/, 'its owner may not become the role of the type');

# Nor anything else that is none.
sql_as('clerk', qq{SELECT retry_sync_job($job, '{"max_rows": 99999999999999999999999}')});
like(compared($job), qr/^Failed .* invalid "max_rows" in context: "9+"/, 'a number out of range is an error of the job');

# Nobody asks for the same twice.
sql(q{UPDATE sync_job_queue SET max_workers = 0});
my @jobs = map { sql(q{SELECT enqueue_compare('Compared', deduplicate => true)}) } 1 .. 2;
is($jobs[0], $jobs[1], 'a second request is absorbed');
isnt(sql(q{SELECT enqueue_compare('Compared', max_rows => 5, deduplicate => true)}), $jobs[0], 'but not into one that does something else');
is(sql_as('app', "SELECT status FROM execute_sync_job($jobs[0])"), 'Finished', 'the role of the type may run it itself');
sql(q{UPDATE sync_job_queue SET max_workers = 4});
wait_for_jobs($node);

sql('SELECT clear_all_sync_jobs()');

# Beside changes, and the jobs that follow them: what is out of step waits, whenever one looks.
sql(q{
	TRUNCATE target, source;
	UPDATE sync_job_type SET disabled = false, retry_delay = '1 s', max_retries = 3;
	SELECT attach_sync_job_triggers('Compared', 'source', level => 'statement');
});
my $changes = $node->background_psql('postgres', timeout => 10 * $PostgreSQL::Test::Utils::timeout_default);
$changes->query_safe(q{
	CREATE PROCEDURE change_much() LANGUAGE plpgsql AS $$
	BEGIN
		WHILE EXISTS (SELECT FROM goes_on) LOOP
			INSERT INTO source SELECT i, 'new' FROM generate_series(1, 300) AS i WHERE random() < 0.3 ON CONFLICT (id) DO UPDATE SET v = random();
			COMMIT;
			DELETE FROM source WHERE random() < 0.1;
			COMMIT;
		END LOOP;
	END $$;
	CREATE TABLE goes_on ();
	INSERT INTO goes_on DEFAULT VALUES;
});
$changes->query_until(qr/begun/, "\\echo begun\nCALL change_much();\n");
my ($faults, $waiting) = ('', 0);
for (1 .. 40)
{
	for my $found (split /\n/, sql_as('app', q{SELECT difference, waiting, count(*) FROM compare_sync_documents('Compared', max_rows => NULL) GROUP BY 1, 2}))
	{
		$faults .= "$found " if $found !~ /\|t\|/;
		$waiting++ if $found =~ /\|t\|/;
	}
}
is($faults, '', 'nothing is out of step that has no job');
cmp_ok($waiting, '>', 0, 'and some was, with a job');
sql('DELETE FROM goes_on');
$changes->quit;
unlike(wait_for_jobs($node), qr/Failed/, 'no job has failed');
is(sql_as('app', q{SELECT count(*) FROM compare_sync_documents('Compared')}), '0', 'in the end all is in step');

# One that takes long can be canceled.
sql(q{
	CREATE FUNCTION slow(v text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN v; END $$;
	UPDATE sync_job_type SET field_map = '{"v": {"expr": "slow(v)"}}';
});
$job = sql(q{SELECT enqueue_compare('Compared')});
wait_until_running($node, $job);
is(sql("SELECT status FROM cancel_sync_job($job, 'enough', running => true)"), 'Canceled', 'a comparison is canceled while it runs');
sql(q{UPDATE sync_job_type SET field_map = '{"v": "v"}'});

# On a standby.
sql(q{UPDATE source SET v = 'changed' WHERE id = (SELECT min(id) FROM source)});
sql(q{INSERT INTO target VALUES (-1)});
wait_for_jobs($node);
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', q{SELECT difference, target_document_name FROM compare_sync_documents('Compared')}, extra_params => [ '-U', 'app' ]),
	'surplus|-1', 'a standby tells what is out of step');
$standby->stop('fast');

unlike_accidents($node);
done_testing();
