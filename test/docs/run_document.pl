# Runs the examples of a Markdown document as a reader would: every ```sql block, in order, in one session of psql, against
# the server that PGHOST and so on name. A ```text block that directly follows such a block is what psql answers, to the
# letter, but for process ids and times. A block with no answer printed must raise no error.
#
#   perl run_document.pl DOCUMENT [DOCUMENT…]      the later ones go on in the session of the first; only the last is compared
#
# A block below a line <!-- not run: reason --> is left out.
use strict;
use warnings;
use File::Basename 'dirname';
use File::Temp ();
use IPC::Run 'run';

binmode STDOUT, ':utf8';
my @documents = @ARGV or die "usage: $0 DOCUMENT…\n";
my $answers = $documents[-1];
my @blocks = map { sql_blocks($_) } @documents;
grep { $_->{document} eq $answers } @blocks or die "$answers has no sql block\n";

my @answer = run_blocks(@blocks);
my $wrong = 0;
for my $number (0 .. $#blocks)
{
	my $block = $blocks[$number];
	my $place = "$block->{document}, line $block->{line}";
	if (!defined $answer[$number])
	{
		print "FAILED: $place: psql did not come as far as this block.\n";
		$wrong++;
		last;
	}
	my $difference = difference($block, $answer[$number]) // next;
	print "FAILED: $place: $difference\n";
	$wrong++;
}
printf "%d blocks, %d of them with their answer\n", scalar @blocks, scalar grep { defined $_->{answer} } @blocks;
exit($wrong ? 1 : 0);

# The ```sql blocks of a document, in order: the text, its first line, and the answer that is printed below it.
sub sql_blocks
{
	my ($document) = @_;
	open my $file, '<:utf8', $document or die "cannot read $document: $!\n";
	my (@found, $language, $text, $start, $left_out, $follows);
	while (my $line = <$file>)
	{
		if (defined $language)
		{
			if ($line !~ /^```\s*$/)
			{
				$text .= $line;
				next;
			}
			if ($language eq 'sql' && !$left_out)
			{
				push @found, { document => $document, line => $start, sql => $text };
				$follows = 1;
			}
			else
			{
				$found[-1]{answer} = $text if $language eq 'text' && $follows;
				$follows = 0;
			}
			($language, $left_out) = ();
		}
		elsif ($line =~ /^```(\w*)/)
		{
			($language, $text, $start) = ($1, '', $. + 1);
		}
		elsif ($line =~ /\S/)
		{
			$left_out = $line =~ /^<!-- not run: /;
			$follows = 0;
		}
	}
	return @found;
}

# What psql answers to each block; undef from where it has ended on.
sub run_blocks
{
	my $mark = '---- block ';
	my $script = '';
	$script .= "\\echo '$mark$_'\n$blocks[$_]{sql}" for 0 .. $#blocks;
	utf8::encode($script);
	my $output = '';
	run [ 'psql', '-X', '-P', 'pager=off' ], '<', \$script, '>&', \$output;
	utf8::decode($output);
	my @answer;
	for my $part (split /^\Q$mark\E/m, $output)
	{
		$answer[$1] = $part if $part =~ s/^(\d+)\n//;
	}
	return @answer;
}

# How the answer of psql differs from the one that is printed; undef: it does not.
sub difference
{
	my ($block, $answer) = @_;
	if (!defined $block->{answer})
	{
		return $answer =~ /^(?:ERROR|FATAL|PANIC|error|invalid|psql|\\\w+):?/m ? "an error that is not printed:\n$answer" : undef;
	}
	return if $block->{document} ne $answers;
	my ($printed, $given) = map { comparable($_) } $block->{answer}, $answer;
	return if $printed eq $given;
	my $folder = File::Temp->newdir;
	my %text = (printed => $printed, answered => $given);
	for my $name (keys %text)
	{
		open my $file, '>:utf8', "$folder/$name" or die "cannot write $folder/$name: $!\n";
		print $file $text{$name};
		close $file;
	}
	run [ 'diff', '-U', '100', '--label', 'printed', '--label', 'answered', "$folder/printed", "$folder/answered" ],
		'>', \my $diff;
	utf8::decode($diff);
	return "psql answers something else:\n$diff";
}

# The answer without what is another each time. Tables with such columns are compared by cells, all else to the letter.
sub comparable
{
	my ($text) = @_;
	my $varies = qr/^(?:pid|.*_(?:at|after|since|p50|p95)|next_run|last_run|time_taken|oldest_waiting)$/;
	my (@lines, @varying, $columns);
	for my $line (split /\n/, $text)
	{
		$line =~ s/\s+$//;
		$line =~ s/^\s+(?=# Subtest:)//; # pgTAP before 1.3.4 indents it
		$line =~ s/\bPID \d+/PID */;
		$line =~ s/\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?:[+-]\d\d(?::\d\d)?|Z)?/<time>/g;
		if ($line =~ /^-+(?:\+-+)*$/ && @lines)
		{
			my @names = map { s/^\s+|\s+$//gr } split /\|/, $lines[-1];
			@varying = grep { $names[$_] =~ $varies } 0 .. $#names;
			$columns = @names;
			$lines[-1] = join '|', @names if @varying;
			$line = '--' if @varying;
		}
		elsif ($line !~ /\|/)
		{
			@varying = ();
		}
		elsif (@varying)
		{
			my @cells = map { s/^\s+|\s+$//gr } split /\|/, $line, $columns;
			($cells[$_] // '') ne '' and $cells[$_] = '*' for @varying;
			$line = join '|', @cells;
		}
		elsif ($line =~ /^(\w+)\s*\| .+/ && $1 =~ $varies)    # of \gx
		{
			$line = "$1 | *";
		}
		push @lines, $line;
	}
	pop @lines while @lines && $lines[-1] eq '';
	return join '', map { "$_\n" } @lines;
}
