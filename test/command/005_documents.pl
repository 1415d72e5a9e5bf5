# The examples of docs/command.md, run in order; the man page, the page and the completion tell of each command and option.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use Command;

my $page = slurp_file("$ENV{CHECKOUT}/docs/command.md");
my $console = slurp_file("$ENV{CHECKOUT}/docs/console.md");
my ($prefix) = $ENV{SYNC_JOB} =~ m{^(.*)/bin/sync-job$};
my $manual = slurp_file("$prefix/share/man/man1/sync-job.1");
$manual =~ s/\\-/-/g;

# ---- nothing is left out ----

my ($code, $help) = call('--help');
my @commands = $help =~ /^Subcommands:\n(.*)/ms ? $1 =~ /^  ([a-z][a-z-]*) /mg : ();
cmp_ok(scalar @commands, '>=', 18, 'the commands');
for my $command (@commands)
{
	my @options = map { /^ {2}(?:-., ?)?(--[a-z-]+)/ ? $1 : () } split /\n/, (call($command, '--help'))[1];
	my $told_in = $command eq 'serve' ? $console : $page;
	my @missing = grep { $told_in !~ /\Q$_\E/ } $command eq 'serve' ? 'sync-job serve' : "`$command`", grep { $_ !~ /^--(help)$/ } @options;
	is("@missing", '', "the documentation tells all of $command");
	@missing = grep { $manual !~ /(?<![a-z-])\Q$_\E(?![a-z-])/ } $command, @options;
	is("@missing", '', '… and so does the man page');
}
my @checks = @{ (JSON::PP->new->decode('[' . join(',', map { qq{"$_"} } (call('doctor', '--help'))[1] =~ /checks: (.*)/s ? $1 =~ /[a-z_]+/g : ()) . ']')) };
is(join(' ', grep { $page !~ /`\Q$_\E`/ } grep { !/^(behind|transaction|bloat|a|an|change|may|wait|for|so|many|seconds|be|open|index|of|megabytes|is|never|bloated)$/ } @checks), '',
	'the page tells of each check');

# ---- completion ----

sub complete
{
	my @words = @_;
	my $out = '';
	my $script = qq{PATH=$prefix/bin:\$PATH; . $prefix/share/bash-completion/completions/sync-job; COMP_WORDS=("\$@"); COMP_CWORD=\$((\$# - 1)); _sync_job; printf '%s\n' "\${COMPREPLY[@]}"};
	IPC::Run::run([ 'bash', '-c', $script, 'bash', 'sync-job', @words ], '<', \undef, '>', \$out);
	return join ' ', split /\n/, $out;
}
is(complete('re'), 'retry rerun revert', 'completion of a command');
is(complete('cancel', '--r'), '--reason --running', '… of its options');
is(complete('list', '-s', 'f'), 'finished failed', '… of states');

# ---- the examples ----

my $node = new_cluster('documents', conf => healthy_conf() . "sync_job.max_workers = 1\n");
use_node($node);
local $ENV{PATH} = "$prefix/bin:$ENV{PATH}";
chdir PostgreSQL::Test::Utils::tempdir_short() or die;
my ($setup) = $page =~ /^```sql\n(.*?)^```/ms;
$node->safe_psql('postgres', $setup);

# What is the same each time: without numbers, and without how wide they were. Texts are bytes here, as the source is.
sub constant
{
	my ($text) = @_;
	$text =~ s/\d+(\.\d+)*/N/g;
	$text =~ s/PostgreSQL N\b[^\n]*/PostgreSQL N/g;
	$text =~ s/N (s|min|h)\b/N s/g;
	$text =~ s/[^\S\n]+/ /g;
	$text =~ s/^ | $//mg;
	$text =~ s/^(.{36}).*…$/$1/mg;    # how much fits depends on the numbers
	return $text;
}
my $examples = 0;
while ($page =~ /^```console\n(.*?)^```/msg)
{
	my $block = $1;
	while ($block =~ /^\$ (.*)\n((?:(?!\$ ).*\n)*)/mg)
	{
		my ($command, $expected) = ($1, $2);
		my $exit = $command =~ /# exits with (\d+)$/ ? $1 : 0;
		my ($out, $err) = ('', '');
		my $run = IPC::Run::start([ 'bash', '-c', $command ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(3 * $PostgreSQL::Test::Utils::timeout_default));
		$run->finish;
		is($run->result(0), $exit, $command) or diag($out, $err);
		is(constant($out), constant($expected), '… answers as printed') if $expected ne '';
		$examples++;
	}
}
cmp_ok($examples, '>=', 30, "$examples examples");

$node->stop('fast');
done_testing();
