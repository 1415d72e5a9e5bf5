# The recipes of docs/recipes.md, block by block as they are printed, each in a database of its own with real workers, and
# what comes of them. Each folder of controllers/ with a recipe installs as it stands, and is what is printed.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;

need_pg_cron();
my $checkout = $ENV{CHECKOUT};
my $doc = slurp_file("$checkout/docs/recipes.md");
my $node = new_cluster('recipes', conf => "shared_preload_libraries = 'pg_sync_job, pg_cron'\n");

# What a recipe leaves behind: query, expected, why.
my %outcome = (
	stock_sync => [
		[ q{SELECT result->>'success', result->>'errors' FROM sync_job WHERE title = 'Stock sync'}, '493|7', '493 outlets are right, 7 are not' ],
		[ q{SELECT string_agg(e->>'outlet', ' ' ORDER BY place)
		    FROM sync_job, jsonb_array_elements(result->'error_details') WITH ORDINALITY AS d (e, place) WHERE title = 'Stock sync'},
			join(' ', map { "Outlet $_" } 70, 140, 210, 280, 350, 420, 490), 'the summary names the bad ones' ],
		[ q{SELECT count(*), sum(quantity) FROM stock_sync.stock WHERE quantity = 997}, '493|491521', 'each sale was taken off the stock once' ],
		[ q{SELECT summary->>'success' FROM stock_sync.report}, '493', 'the report was written' ],
		[ q{SELECT r.started_at >= s.ended_at AND r.queue = 'short' FROM sync_job AS s, sync_job AS r
		    WHERE s.title = 'Stock sync' AND r.title = 'Stock sync report'}, 't', 'after the sync, on the short queue' ],
	],
	bulk_processing => [
		[ q{SELECT * FROM bulk_processing.summary}, 'import 2024-05|11|1|950', 'one summary of eleven chunks, one of which failed' ],
		[ q{SELECT count(*) FROM bulk_processing.item WHERE result = id * 2}, '950', 'the others are done' ],
		[ q{SELECT retry_count FROM sync_job WHERE status = 'Failed'}, '2', 'the failed one was tried again' ],
		[ q{SELECT count(*) FROM sync_job_queue WHERE name = 'long' AND (SELECT count(*) FROM sync_job WHERE queue = 'long') = 11}, '1',
			'chunks went to the long queue' ],
	],
	retry_notification => [
		[ q{SELECT status, retry_count, result FROM sync_job WHERE context->>'service' = 'shaky'}, 'Finished|2|3', 'the third call was good' ],
		[ q{SELECT status, retry_count FROM sync_job WHERE context->>'service' = 'dead'}, 'Failed|3', 'the dead one was given up' ],
		[ q{SELECT * FROM retry_notification.outbox}, 'operator|Service dead: given up|service dead does not answer', 'and one message tells of it' ],
		[ q{SELECT count(*) FROM sync_job_error}, '6', 'every failed attempt was kept' ],
	],
	nightly_cleanup => [
		[ q{SELECT result FROM sync_job}, '{"session": 3, "error_log": 7000}', 'what is old is gone' ],
		[ q{SELECT count(*), (SELECT count(*) FROM nightly_cleanup.session) FROM nightly_cleanup.error_log}, '3000|7', 'the rest is there' ],
		[ q{SELECT last_status, last_sync_job = (SELECT max(id) FROM sync_job),
		    next_run AT TIME ZONE 'UTC' = date_trunc('day', now() AT TIME ZONE 'UTC' - interval '2 hours') + interval '26 hours'
		    FROM sync_job_schedules}, 'Finished|t|t', 'the list of schedules knows the last and the next run' ],
		[ q{SELECT schedule, command FROM cron.job}, q{0 2 * * *|SELECT public.run_sync_job_schedule('nightly clean-up')},
			'pg_cron has it' ],
	],
	monthly_report => [
		[ q{SELECT sales, amount FROM monthly_report.report}, '28|280', 'the month before, and no other' ],
		[ q{SELECT string_agg(email, ' ' ORDER BY email) FROM monthly_report.outbox}, 'ann@example.com bea@example.com', 'those who want it get it' ],
		[ q{SELECT queue, trigger_type FROM sync_job}, 'long|Scheduler', 'on the long queue' ],
		[ q{SELECT schedule FROM cron.job}, '0 0 1 * *', 'on the first of the month' ],
	],
	health_check => [
		[ q{SELECT what FROM health_check.finding}, 'type Background Job: 1 jobs failed for good within the last hour', 'it finds what failed' ],
		[ q{SELECT queue FROM sync_job WHERE trigger_type = 'Scheduler'}, 'watch', 'on its own queue' ],
		[ q{SELECT schedule FROM cron.job}, '*/5 * * * *', 'every five minutes' ],
	],
);

# pg_cron lives in one database; the recipe that is at it gets it.
sub prepare
{
	my ($name) = @_;
	(my $database = $name) =~ s/[^a-z_]//g;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->append_conf('postgresql.conf', "cron.database_name = '$database'\n");
	$node->restart;
	$node->safe_psql($database, 'CREATE EXTENSION pg_sync_job; CREATE EXTENSION pg_cron');
	return $database;
}

for my $section (split /^## /m, $doc)
{
	my @blocks = $section =~ /^```(?:sql|js)\n(.*?)^```$/msg;
	next if !@blocks;
	my ($title) = $section =~ /^(.*)$/m;
	my ($name) = $blocks[0] =~ m{^-- controllers/(\w+)/install\.sql$}m;
	$name or BAIL_OUT("no recipe in \"$title\"");
	my $database = prepare($name);
	for my $block (@blocks)
	{
		if ($block =~ s{^(?:--|//) controllers/(\S+)\n}{})
		{
			my $file = $1;
			my $stderr = '';
			is($block, slurp_file("$checkout/controllers/$file"), "$title: $file is what is printed");
			next if $file !~ /\.sql$/;
			my $code = $node->psql($database, '', extra_params => [ '-1', '-f', "$checkout/controllers/$file" ], stderr => \$stderr);
			is($code . $stderr, '0', "$title: $file installs as it stands");
			next;
		}
		my ($stdout, $stderr);
		my $code = $node->psql($database, $block, on_error_stop => 1, stdout => \$stdout, stderr => \$stderr);
		is($code . $stderr, '0', "$title: runs as printed") or diag($block);
	}
	wait_for_jobs($node, $database);
	for my $check (@{ $outcome{$name} })
	{
		is($node->safe_psql($database, $check->[0]), $check->[1], "$title: $check->[2]");
	}
	delete $outcome{$name};
	if ($name eq 'bulk_processing')
	{
		is( $node->safe_psql($database, q{TRUNCATE bulk_processing.item; SELECT bulk_processing.start('nothing') AS job \gset
			CALL wait_for_sync_job(:job, '1 minute');
			SELECT * FROM bulk_processing.summary WHERE job_group = 'nothing'}), 'nothing|0|0|0', "$title: no items are no trouble");
	}
}
is_deeply([ sort keys %outcome ], [], 'every recipe is in the document');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|was terminated by signal|reference leak/, 'the log tells of no accident');
done_testing();
