# The load of the chaos suite: sessions that enqueue jobs of every kind and change the synced tables, each in a process of its
# own that goes on whatever happens to the server.
package Load;

use strict;
use warnings;
use IPC::Run ();
use POSIX ();
use Time::HiRes qw(usleep);

# The load pauses while more jobs than this wait.
my $enough = 1500;

sub number { return 1 + int rand $_[0] }
sub any { return $_[ rand @_ ] }

# What jobs do in addition to counting: chosen by the context.
sub context
{
	my (@more) = @_;
	push @more, sprintf '"sleep": %.3f', rand(0.02) if rand() < 0.3;
	push @more, '"once": true' if rand() < 0.15;
	return '{' . join(', ', @more) . '}';
}

# The same transaction records what it enqueues.
sub ledger
{
	my ($kind, $effects, $job) = @_;
	return "INSERT INTO ledger SELECT $job, '$kind', $effects ON CONFLICT DO NOTHING;";
}

sub of_type
{
	my ($type, $effects, $context, $more) = @_;
	return ledger($type, $effects, "enqueue_sync_job('$type', '" . number(60) . "', context => '$context'" . ($more // '') . ')');
}

my $lasting = q{max_retries => 100000, retry_delay => '300 ms'};

sub background
{
	my ($kind, $effects, $more, $context) = @_;
	$context //= context();
	return ledger($kind, $effects, qq{enqueue_background_job('count_it', '{"context": $context}', $more)});
}

# Each returns the statements of a transaction, or of a part of one. A kind that ends with "!" is for a transaction of its own.
my %kinds = (
	'batched' => sub { join ' ', map { of_type('Counted', 1, context()) } 1 .. number(20) },
	'alone' => sub { join ' ', map { of_type('Counted Alone', 1, context()) } 1 .. number(5) },
	'limited' => sub { of_type('Counted Limited', 1, context()) },
	'of another role' => sub { join ' ', map { of_type('Counted of a Clerk', 1, context()) } 1 .. number(5) },
	'a procedure that commits' => sub { my $n = number(4); of_type('Committing', $n, context(qq{"parts": $n})) },
	'relayed' => sub { my $n = 1 + number(3); of_type('Relayed', 0, context(qq{"parts": $n})) },
	'later' => sub { of_type('Counted', 1, context(), sprintf q{, scheduled_at => now() + '%d ms'}, rand 3000) },
	'dry run' => sub { of_type('Counted', 0, context(), ', dry_run => true') },
	'urgent' => sub { of_type('Counted', 1, context(), ', priority => ' . (number(9) - 5)) },
	'in the background' => sub { background('Background', 1, $lasting) },
	'once for many' => sub { background('Background', 1, sprintf(q{job_id => 'click %d', deduplicate => true, }, rand 4) . $lasting, '{"sleep": 0.02}') },
	'with a callback' => sub { background('Called back', 2, "on_success => 'called_back', $lasting") },
	'a chain' => sub {
		my $group = "job_group => 'chain', $lasting";
		my @names = map { 'chain_' . $_ } 1 .. 1 + number(3);
		my $sql = '';
		for my $i (0 .. $#names)
		{
			my $after = $i == 0 ? '' : 'after => ARRAY[' . join(', ', map { ":$_" } @names[ ($i > 1 && rand() < 0.5 ? $i - 2 : $i - 1) .. $i - 1 ]) . '], ';
			my $context = context();
			$sql .= qq{SELECT enqueue_background_job('count_it', '{"context": $context}', $after$group) AS $names[$i] \\gset\n} . ledger('Background', 1, ":$names[$i]");
		}
		return $sql;
	},
	'doomed, and what waits for it' => sub {
		return qq{SELECT enqueue_background_job('count_it', '{"context": {"fail": true}}') AS doomed \\gset\n}
		  . ledger('Doomed', 0, ':doomed')
		  . background('Background', 1, "after => ARRAY[:doomed], after_failure => 'run', $lasting")
		  . background('Unreached', 0, "after => ARRAY[:doomed], $lasting");
	},
	'too slow' => sub { background('Doomed', 0, q{timeout => '50 ms'}, '{"sleep": 5}') },
	'started by hand!' => sub {
		return "SELECT enqueue_sync_job('Counted', '" . number(60) . "', queue_on_insert => false) AS pending \\gset\n"
		  . ledger('Counted', 1, ':pending') . ' COMMIT; BEGIN; SELECT start_sync_job(:pending);';
	},
	'run here!' => sub {
		return "SELECT enqueue_sync_job('Counted', '" . number(60) . "', queue_on_insert => false) AS here \\gset\n"
		  . ledger('Counted', 1, ':here') . ' SELECT execute_sync_job(:here);';
	},
	'now!' => sub { background('Background', 1, 'now => true', '{}') },
	'drain!' => sub { 'COMMIT; CALL run_sync_jobs(max_jobs => ' . number(50) . '); BEGIN;' },
	'canceled!' => sub {
		return sprintf q{SELECT cancel_sync_job(id, 'chaos', running => true) FROM sync_job WHERE status IN ('Queued', 'Started', 'Failed')
			AND (ended_at IS NULL OR retry_after IS NOT NULL) AND trigger_type = 'Manual' AND sync_job_type NOT IN ('Mirrored', 'Shadowed') AND coalesce(procedure, '') !~ 'called_back' ORDER BY md5((id + %d)::text) LIMIT 1;}, rand 1000;
	},
	'in bulk' => sub { sprintf q{SELECT enqueue_sync_jobs('%s', ARRAY(SELECT id::text FROM item WHERE id %% %d = 0));}, any('Mirrored', 'Shadowed'), 1 + number(20) },
	'a full sync' => sub {
		sprintf q{SELECT enqueue_full_sync('Mirrored', delete_surplus => %s, max_change_percent => 100, max_delete_percent => 100, chunk_size => %d, documents_per_second => %d, deduplicate => true);},
			any('true', 'false'), 5 + number(100), 100 + number(2000);
	},
	'a full sync is canceled!' => sub { q{SELECT cancel_sync_job(id, 'chaos', running => true) FROM sync_job WHERE operation = 'Full Sync' AND status IN ('Queued', 'Started') LIMIT 1;} },
	'compared' => sub { q{SELECT count(*) FROM compare_sync_documents('Mirrored');} },
	'rows' => sub { sprintf q{INSERT INTO item SELECT i, '%s', i FROM generate_series(%d, %d) AS i ON CONFLICT (id) DO UPDATE SET v = excluded.v;},
		any('a' .. 'z'), (map { ($_, $_ + number(30)) } number(600))[ 0, 1 ] },
	'a change' => sub { sprintf q{UPDATE item SET w = w + 1 WHERE id = %d;}, number(600) },
	'changes' => sub { sprintf q{UPDATE item SET v = '%s', w = w + 1 WHERE id %% %d = 0;}, any('a' .. 'z'), 7 + number(40) },
	'back and forth' => sub { my $id = number(600); "UPDATE item SET w = w + 1 WHERE id = $id; UPDATE item SET w = w - 1 WHERE id = $id;" },
	'deletes' => sub { my $id = number(600); sprintf 'DELETE FROM item WHERE id BETWEEN %d AND %d;', $id, $id + number(10) },
	'gone and back' => sub { my $id = number(600); "DELETE FROM item WHERE id = $id; INSERT INTO item VALUES ($id, 'back', 0);" },
	'another key' => sub { my $id = number(600); sprintf 'UPDATE item SET id = %d WHERE id = %d AND NOT EXISTS (SELECT FROM item WHERE id = %1$d);', number(600), $id },
	'a savepoint' => sub { 'SAVEPOINT s; ' . of_type('Counted', 1, '{}') . ' UPDATE item SET w = 0 WHERE id = ' . number(600) . '; ROLLBACK TO s;' },
);
my @often = ('batched', 'rows', 'a change', 'changes', 'deletes', 'gone and back', 'a procedure that commits', 'a chain');

sub transaction
{
	my @names = map { any(any(\@often, [ sort keys %kinds ])->@*) } 1 .. number(3);
	@names = ($names[0]) if grep { /!$/ } @names;
	return "BEGIN;\n" . join("\n", map { $kinds{$_}->() } @names) . "\n" . (rand() < 0.1 ? 'ROLLBACK' : 'COMMIT') . ";\n";
}

# A few transactions of one session. If one fails, it is aborted, and the next begins.
sub script
{
	return qq{SET lock_timeout = '10s'; SET statement_timeout = '60s'; SET client_min_messages = error;
		SELECT count(*) >= $enough AS full FROM (SELECT FROM sync_job WHERE status IN ('Queued', 'Failed') LIMIT $enough) AS s \\gset
		\\if :full
		\\q
		\\endif\n} . join '', map { transaction() } 1 .. number(8);
}

# start(FOLDER, SESSIONS, SEED): they work until the file "over" is in the folder, pause while "quiet" is, and have a file "busy.N"
# while they work.
sub start
{
	my ($folder, $sessions, $seed) = @_;
	return map { start_one($folder, $_, $seed) } 1 .. $sessions;
}

sub start_one
{
	my ($folder, $number, $seed) = @_;
	my $pid = fork // die "no load: $!";
	return $pid if $pid;
	srand($seed * 100 + $number);
	my $busy = "$folder/busy.$number";
	until (-e "$folder/over")
	{
		if (-e "$folder/quiet")
		{
			unlink $busy;
			usleep(50_000);
			next;
		}
		open my $file, '>', $busy;
		my $script = script();
		my $started = eval {
			IPC::Run::run([ 'psql', '-XAtq', '-d', 'service=chaos' ], '<', \$script, '>', '/dev/null', '2>>', "$folder/load.$number.log",
				IPC::Run::timeout(180));
			1;
		};
		usleep(20_000 + rand 100_000);
	}
	unlink $busy;
	POSIX::_exit(0); # the cluster is the parent's
}

1;
