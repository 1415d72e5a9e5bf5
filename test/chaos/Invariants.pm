# What the chaos suite checks when all due work is done.
package Invariants;

use strict;
use warnings;
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes qw(time usleep);
use Server;

# SQLSTATEs of failed attempts that the load and the scenarios cause: errors raised by the load, cancellations, crashes, locks,
# no partition for a row, the server's own shortages.
my $caused = q{'P0001', '57014', '57P01', '57P02', '57P03', '55P03', '40001', '40P01', '23514'};
my $shortage = q{sqlstate LIKE '53%' OR sqlstate LIKE '58%'};
# Since a row was kept for a controller that gets it whole, a column was replaced by one of the same name and another type.
my $unreadable = q{sqlstate = '22P02' AND message ~ '^column "extra" of the row of document .* kept at .* cannot be read'};

my $waiting = q{FROM sync_job WHERE status IN ('Pending', 'Queued', 'Started') OR status = 'Failed' AND retry_after IS NOT NULL};

my $drained = 1;

# Waits until no job waits or runs any more.
sub drain
{
	my ($seconds, $database) = @_;
	my $until = time + ($drained ? $seconds : 30); # it was waited for already
	usleep(300_000) while ask("SELECT count(*) $waiting", $database) ne '0' && time < $until;
	return $drained = violations('none waits or runs for ever', "SELECT id, sync_job_type, status, source_document_name, retry_count, retry_after, error_message $waiting", $database);
}

# The query returns what should not exist.
sub violations
{
	my ($name, $query, $database) = @_;
	my $out = ask("SELECT concat_ws(' | ', VARIADIC ARRAY(SELECT v::text FROM jsonb_each_text(to_jsonb(q)) AS e (k, v))) FROM ($query) AS q LIMIT 10", $database);
	my $ok = is($out, '', $database ? "$name, in $database" : $name);
	diag(ask("SELECT count(*) || ' such' FROM ($query) AS q", $database)) unless $ok;
	return $ok;
}

# A job's effects, and how many there should be. A procedure that commits may have done a part of its work before it was canceled.
my $effects = q{
	SELECT l.*, j.status, j.retry_count, e.parts FROM ledger AS l LEFT JOIN sync_job AS j ON j.id = l.job
	LEFT JOIN (SELECT job, array_agg(part ORDER BY part) AS parts FROM effect GROUP BY job) AS e USING (job)
	WHERE NOT coalesce(CASE
		WHEN j.status = 'Canceled' AND l.kind = 'Committing' THEN cardinality(parts) IS NULL OR parts = ARRAY(SELECT generate_series(1, cardinality(parts)))
		WHEN l.kind = 'Doomed' THEN j.status IN ('Failed', 'Canceled') AND parts IS NULL
		WHEN l.kind = 'Unreached' THEN j.status = 'Canceled' AND parts IS NULL
		WHEN l.kind = 'Relayed' THEN j.status IN ('Relayed', 'Canceled') AND parts IS NULL
		WHEN j.status = 'Canceled' THEN parts IS NULL
		WHEN l.kind = 'Called back' THEN j.status = 'Finished' AND parts = '{1,100}'
		ELSE j.status = 'Finished' AND coalesce(parts, '{}') = ARRAY(SELECT generate_series(1, l.effects)) END, false)};

sub once
{
	my ($database) = @_;
	violations('each job that was enqueued is there, once, and has had its effect once', $effects, $database);
	violations('ids are unique', 'SELECT id, count(*) FROM sync_job GROUP BY id HAVING count(*) > 1', $database);
	violations('no job is there that nobody has enqueued', q{SELECT id, sync_job_type, title, status FROM sync_job WHERE trigger_type = 'Manual' AND parent_sync_job IS NULL
		AND sync_job_type NOT IN ('Mirrored', 'Shadowed') AND coalesce(procedure, '') !~ 'called_back' AND id NOT IN (SELECT job FROM ledger)}, $database);
	violations('no effect is there without its job', 'SELECT * FROM effect WHERE job NOT IN (SELECT job FROM ledger)', $database);
	violations('each relayed job has its children', q{SELECT p.id, p.context, count(c.id) AS children FROM sync_job AS p LEFT JOIN sync_job AS c ON c.parent_sync_job = p.id
		WHERE p.status = 'Relayed' GROUP BY p.id, p.context HAVING count(c.id) <> (p.context->>'parts')::int}, $database);
	violations('no effect of one is there without it', q{SELECT * FROM parcel WHERE job IS NULL OR job NOT IN (SELECT id FROM sync_job WHERE sync_job_type = 'Relayed')}, $database);
	return violations('and each of them its effect once', q{SELECT c.id, c.status, count(b.job) AS effects FROM sync_job AS c LEFT JOIN parcel AS b ON b.job = c.id
		WHERE c.sync_job_type = 'Relayed' AND c.parent_sync_job IS NOT NULL GROUP BY c.id, c.status HAVING count(b.job) <> (c.status = 'Finished')::int OR c.status NOT IN ('Finished', 'Canceled')}, $database);
}

sub in_copy
{
	my ($database) = @_;
	drain(240, $database);
	return once($database);
}

# A delete ended as No Target because the partition of its target was detached, and the target came back with the partition. If the
# last job of the document says so, no change was lost.
my $excused = q{
	EXISTS (SELECT FROM (SELECT status, ended_at FROM sync_job WHERE sync_job_type = 'Copied' AND source_document_name = c.id::text ORDER BY ended_at DESC LIMIT 1) AS j
	JOIN detached AS d ON d.part = c.tableoid AND j.status = 'No Target' AND j.ended_at BETWEEN d.since AND d.until)};

sub in_step
{
	for my $target ('note', 'shadow')
	{
		violations("every $target is as its item", qq{(SELECT 'missing', id, v::text, w::numeric FROM item EXCEPT SELECT 'missing', id, v::text, w::numeric FROM $target) UNION ALL
			(SELECT 'surplus', id, v::text, w::numeric FROM $target EXCEPT SELECT 'surplus', id, v::text, w::numeric FROM item)});
	}
	violations('every mirror is as its item', q{(SELECT 'missing', id, v::text, w::numeric, v || '/' || w FROM item EXCEPT SELECT 'missing', id, v::text, w::numeric, label FROM mirror) UNION ALL
		(SELECT 'surplus', id, v::text, w::numeric, label FROM mirror EXCEPT SELECT 'surplus', id, v::text, w::numeric, v || '/' || w FROM item)});
	violations('every copy is as its item', qq{(SELECT 'missing', id, v::text, w::numeric, v || '/' || w FROM item EXCEPT SELECT 'missing', id, v::text, w::numeric, label FROM copy) UNION ALL
		(SELECT 'surplus', id, v::text, w::numeric, label FROM copy AS c WHERE NOT $excused EXCEPT SELECT 'surplus', id, v::text, w::numeric, v || '/' || w FROM item)});
	diag('targets that came back with their partition after their delete: '
		  . ask("SELECT count(*) FROM copy AS c WHERE $excused AND NOT EXISTS (SELECT FROM item AS i WHERE i.id = c.id)"));
	return violations('each write of a target belongs to a job that says it has written', q{
		SELECT * FROM (SELECT target, id::text, operation, count(*) AS writes FROM touched GROUP BY 1, 2, 3) AS t
		FULL JOIN (SELECT CASE sync_job_type WHEN 'Copied' THEN 'copy' WHEN 'Noted' THEN 'note' WHEN 'Mirrored' THEN 'mirror' ELSE 'shadow' END AS target, id, operation, count(*) AS jobs
			FROM (SELECT sync_job_type, source_document_name AS id, operation FROM sync_job WHERE status = 'Finished' AND source_document_name IS NOT NULL
				UNION ALL SELECT sync_job_type, coalesce(nullif(d.source_document_name, ''), d.target_document_name), d.operation FROM sync_job_document AS d JOIN sync_job AS j ON j.id = d.sync_job WHERE d.status = 'Finished') AS done
			WHERE sync_job_type IN ('Copied', 'Noted', 'Mirrored', 'Shadowed') GROUP BY 1, 2, 3) AS j USING (target, id, operation)
		WHERE writes IS DISTINCT FROM jobs});
}

sub history
{
	violations('times are in order', q{SELECT id, status, created_at, started_at, ended_at FROM sync_job WHERE status <> 'Canceled' AND (started_at > ended_at OR started_at < created_at)});
	violations('there is a failure for each retry', q{SELECT id, status, retry_count FROM sync_job AS j WHERE status IN ('Finished', 'Skipped', 'No Target', 'Relayed')
		AND retry_count <> (SELECT count(*) FROM sync_job_error AS e WHERE e.sync_job = j.id AND counted)});
	violations('attempts failed for the reasons that the test has', qq{SELECT sqlstate, counted, min(message) AS message, count(*) FROM sync_job_error WHERE sqlstate NOT IN ($caused) AND NOT ($shortage) AND NOT ($unreadable) GROUP BY 1, 2});
	violations('what the engine lacks is no job\'s fault', qq{SELECT sqlstate, min(message) AS message, count(*) FROM sync_job_error
		WHERE counted AND ($shortage) AND coalesce(context, '') !~ 'PL/pgSQL function|SQL function' GROUP BY 1});
	violations('no two jobs of a document at a time', q{SELECT * FROM (SELECT id, sync_job_type, source_document_name, status, started_at,
			lag(ended_at) OVER w AS before, lag(id) OVER w AS other FROM sync_job WHERE status IN ('Finished', 'Skipped', 'No Target', 'Relayed') AND source_document_name IS NOT NULL AND parent_sync_job IS NULL
			WINDOW w AS (PARTITION BY sync_job_type, source_document_name ORDER BY ended_at)) AS s WHERE started_at < before});
	violations('none runs before what it waits for', q{SELECT j.id, j.started_at, a.id AS waited_for, a.ended_at FROM sync_job AS j JOIN sync_job AS a ON a.id = ANY (j.after)
		WHERE j.status = 'Finished' AND a.status IN ('Finished', 'Failed') AND j.started_at < a.ended_at});
	violations('nobody waits for anything', 'SELECT * FROM sync_job_internal.dependency');
	violations('nothing runs', q{SELECT * FROM sync_job_activity WHERE sync_job IS NOT NULL});
	violations('and no process keeps a transaction open', q{SELECT pid, backend_type, query, xact_start, state_change FROM pg_stat_activity
		WHERE backend_type LIKE 'sync job%' AND xact_start < clock_timestamp() - interval '20 s'});
	diag(ask(q{SELECT string_agg(sync_job_type || ' ' || jobs, E'\n' ORDER BY sync_job_type) FROM (SELECT sync_job_type, string_agg(status || '=' || n, ' ' ORDER BY status) AS jobs
		FROM (SELECT sync_job_type, status, count(*) AS n FROM sync_job GROUP BY 1, 2) AS s GROUP BY 1) AS t}));
	diag(ask(q{SELECT 'sets: ' || count(*) FILTER (WHERE documents IS NOT NULL AND operation IS DISTINCT FROM 'Full Sync') || ', documents that have left one: ' || count(*) FILTER (WHERE relation = 'set')
		|| ', full syncs: ' || count(*) FILTER (WHERE operation = 'Full Sync') || ', documents changed by them: ' || (SELECT count(*) FROM sync_job_document) FROM sync_job}));
	return diag(ask(q{SELECT string_agg(sqlstate || '×' || n, ' ') FROM (SELECT sqlstate, count(*) AS n FROM sync_job_error GROUP BY 1) AS s}));
}

# Each index has the entries of its table.
sub indexes
{
	ask(q{SELECT bt_index_check(c.oid, true) FROM pg_class AS c JOIN pg_am AS a ON a.oid = relam JOIN pg_index AS i ON i.indexrelid = c.oid
		WHERE c.relkind = 'i' AND amname = 'btree' AND indisvalid AND relnamespace IN ('sync_job_internal'::regnamespace, 'public'::regnamespace)});
	return pass('each index has what its table has');
}

sub all
{
	once();
	in_step();
	history();
	return indexes();
}

# Deletes what was checked, so that a run can take hours.
sub forget
{
	1 while ask('SELECT clear_all_sync_jobs()') > 0;
	return ask('TRUNCATE ledger, effect, parcel, touched, detached');
}

# Memory of the long-lived processes, by pid, in kB.
sub memory
{
	return { map { $_ => memory_of($_) // 0 } processes(qr/sync job (worker|scheduler|launcher)/) };
}

sub memory_is_flat
{
	my ($before, $after) = @_;
	for my $pid (sort { $a <=> $b } grep { exists $before->{$_} } keys %$after)
	{
		my ($kind) = grep { my $kind = $_; grep { $_ == $pid } processes(qr/sync job $kind/) } qw(worker scheduler launcher);
		my $allowed = ($kind // '') eq 'worker' ? 4000 : 1500; # a young worker still fills its caches
		cmp_ok($after->{$pid} - $before->{$pid}, '<', $allowed, 'memory of the ' . ($kind // 'process') . " $pid has not grown by $allowed kB")
		  or diag("$before->{$pid} kB, then $after->{$pid} kB");
	}
	return;
}

# What the logs should never contain. Concurrent DDL may report that a tuple was concurrently updated, or that a relation is gone.
sub logs
{
	my %seen;
	for my $node (Server::servers())
	{
		for my $line (split /\n/, PostgreSQL::Test::Utils::slurp_file($node->logfile))
		{
			next if $line =~ /(STATEMENT|CONTEXT|DETAIL|HINT|QUERY):  /;
			next unless $line =~ /PANIC|TRAP:| XX\d\d\d |terminated by signal|reference leak|was not closed|non-empty SPI stack|stuck|AddressSanitizer/;
			next if $line =~ /\(PID (\d+)\) was terminated by signal 9/ && Server::was_killed($1);
			next if $line =~ / client backend XX000 .*(tuple concurrently (updated|deleted)|could not open relation with OID)/;
			next if $line =~ /could not write init file/; # the server's own, because of a full disk
			next if $line =~ / XX002 \S+ WARNING:  (cannot reindex|skipping reindex of) invalid index "/; # left by an interrupted REINDEX CONCURRENTLY
			my $kind = $line =~ s/^\S+ \S+ \S+ \[\d+\] //r =~ s/\d+/N/gr;
			$seen{$kind}{first} //= $line;
			$seen{$kind}{times}++;
		}
	}
	my $out = join "\n", map { "$seen{$_}{times} × $seen{$_}{first}" } sort keys %seen;
	return is($out, '', 'the logs tell of no accident');
}

1;
