# Whether the tests that the documentation names are there. In a table whose last column is called "test", every row names at
# least one, as a path in test/ or from the top: `sql/states.sql`. A text in quotes behind it, `sql/states.sql` "a job ends",
# must be in that file.
#
#   perl check_tests.pl DOCUMENT…      from the top of the checkout
use strict;
use warnings;

my ($rows, $wrong) = (0, 0);
for my $document (@ARGV)
{
	open my $file, '<', $document or die "cannot read $document: $!\n";
	my $in_table;
	while (my $line = <$file>)
	{
		my ($last) = $line =~ /^\|(?:.*[^\\])?\|\s*(.*?)\s*\|\s*$/;
		if (!defined $last)
		{
			$in_table = 0;
			next;
		}
		if ($last eq 'test')
		{
			$in_table = 1;
			next;
		}
		next if !$in_table || $last =~ /^--+$/;
		$rows++;
		my $place = "$document, line $.";
		for my $problem (problems($last))
		{
			print "FAILED: $place: $problem\n";
			$wrong++;
		}
	}
}
print "$rows rows with tests\n";
exit($wrong || !$rows ? 1 : 0);

sub problems
{
	my ($cell) = @_;
	my @problems;
	my $named = 0;
	while ($cell =~ /`([^`]+)`((?:\s*"[^"]+")*)/g)
	{
		my ($name, $quotes) = ($1, $2);
		$named++;
		my ($path) = grep { -f } "test/$name", $name;
		if (!$path)
		{
			push @problems, "there is no test $name.";
			next;
		}
		open my $file, '<', $path or die "cannot read $path: $!\n";
		my $text = do { local $/; <$file> };
		push @problems, map { index($text, $_) < 0 ? "\"$_\" is not in $path." : () } $quotes =~ /"([^"]+)"/g;
	}
	push @problems, 'this row names no test.' if !$named;
	return @problems;
}
