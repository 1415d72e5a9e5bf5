# On a terminal: the password, questions, what is drawn in place, colours, Ctrl-C.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use Command;

my $node = new_cluster('terminal', conf => healthy_conf());
use_node($node);
load_example($node);
load_probe($node, 2);
$node->safe_psql('postgres', q{INSERT INTO customer VALUES ('CUST-1', 'Ann', 'North')});

# ---- colours, only there ----

my $id = enqueue($node, 'SAP Customer Sync', 'CUST-1');
wait_for_jobs($node);
my $terminal = on_terminal('list');
expect($terminal, qr/CUST-1/, 'list on a terminal');
$terminal->{run}->finish;
like($terminal->{out}, qr/\x1b\[32mFinished\x1b\[0m/, '… is in colour');
unlike((call('list'))[1], qr/\x1b/, '… and elsewhere not');
{
	local $ENV{NO_COLOR} = '1';
	$terminal = on_terminal('list');
	expect($terminal, qr/CUST-1/, 'with NO_COLOR');
	$terminal->{run}->finish;
	unlike($terminal->{out}, qr/\x1b/, '… not there either');
}

# ---- questions ----

$node->safe_psql('postgres', q{UPDATE customer SET territory = 'South'});
$terminal = on_terminal('dry-run', 'SAP Customer Sync', 'CUST-1', '--apply');
expect($terminal, qr/"North".*→.*"South".*Make these changes\? \[y\/N\] /s, 'a dry run shows the changes, and asks');
is($node->safe_psql('postgres', 'SELECT territory FROM sap_customer'), 'North', '… before it does anything');
$terminal->{in} .= "n\n";
$terminal->{run}->finish;
is($node->safe_psql('postgres', 'SELECT territory FROM sap_customer'), 'North', 'No is no');
$terminal = on_terminal('dry-run', 'SAP Customer Sync', 'CUST-1', '--apply');
expect($terminal, qr/\[y\/N\] /, 'once more');
$terminal->{in} .= "y\n";
expect($terminal, qr/Job \d+: Finished.*Apply SAP Customer Sync/s, 'Yes makes a job that applies them') or diag($terminal->{out});
$terminal->{run}->finish;
is($terminal->{run}->result(0), 0, '… and it ends well');
is($node->safe_psql('postgres', 'SELECT territory FROM sap_customer'), 'South', '… and has applied them');

# ---- the password ----

$node->safe_psql('postgres', q{CREATE ROLE walter LOGIN PASSWORD 'opensesame'});
unlink($node->data_dir . '/pg_hba.conf');
$node->append_conf('pg_hba.conf', "local all walter scram-sha-256\nlocal all all trust");
$node->reload;
my ($code, $out, $err) = call('list', '-U', 'walter', '-w');
is($code, 3, 'with -w it is never asked for');
$terminal = on_terminal('status', '-U', 'walter');
expect($terminal, qr/Password for user walter: /, 'the server wants a password, and the command asks for it');
$terminal->{in} .= "opensesame\n";
expect($terminal, qr/database.*postgres as walter/, '… connects');
$terminal->{run}->finish;
unlike($terminal->{out}, qr/opensesame/, '… and shows nothing of it');
$terminal = on_terminal('status', '-U', 'walter');
expect($terminal, qr/Password for user walter: /, 'a wrong one');
$terminal->{in} .= "wrong\n";
expect($terminal, qr/ERROR:  .*password authentication failed/, '… is refused');
$terminal->{run}->finish;
is($terminal->{run}->result(0), 3, '… with the code of connections');
{
	local $ENV{PGPASSWORD} = 'opensesame';
	is((call('status', '-U', 'walter'))[0], 0, 'the environment has it');
}

# ---- Ctrl-C ends the wait, not the job ----

# What the name of the type would do to the terminal, nothing that is drawn does.
my $evil = "Alone \x1b]0;owned\x07";
$node->safe_psql('postgres', "INSERT INTO sync_job_type SELECT e.* FROM sync_job_type AS t, jsonb_populate_record(t, jsonb_build_object('name', \$q\$$evil\$q\$)) AS e WHERE t.name = 'Probe Alone'");
close_gate($node);
my $job = enqueue($node, $evil, '1', q{context => '{"gate": "closed"}'});
wait_until_running($node, $job);
$terminal = on_terminal('watch', $job);
expect($terminal, qr/Job $job: Started/, 'watch draws how far it is');
$terminal->{in} .= "\cC";
expect($terminal, qr/no longer waiting for job $job.*The job goes on/s, 'Ctrl-C ends the wait, and the command says that the job goes on');
$terminal->{run}->finish;
is($terminal->{run}->result(0), 130, '… and ends with 130');
unlike($terminal->{out}, qr/\x1b\]|\x07/, '… and nothing that was planted reached the terminal');
is(status_of($node, $job), 'Started', 'and it does');

# ---- top ----

$terminal = on_terminal('top', '-i', '0.2');
expect($terminal, qr/\x1b\[\?1049h.*QUEUE.*\Q$job\E.*\x1b\[H.*QUEUE/s, 'top draws itself in place, again and again');
$terminal->{in} .= 'q';
$terminal->{run}->finish;
is($terminal->{run}->result(0), 0, 'q ends it');
like($terminal->{out}, qr/\x1b\[\?25h\x1b\[\?1049l$/, '… and the terminal is as it was');
like($terminal->{out}, qr/Alone \\x1b\]0;owned\\x07/, '… and has shown what was planted');
unlike($terminal->{out}, qr/\x1b\]|\x07/, '… without obeying it');
$terminal = on_terminal('list');
expect($terminal, qr/Alone \\x1b\]/, 'list shows it, too');
$terminal->{run}->finish;
unlike($terminal->{out}, qr/\x1b\]|\x07/, '… without obeying it');
open_gate($node);
wait_for_jobs($node);

unlike_accidents($node);
$node->stop('fast');
done_testing();
