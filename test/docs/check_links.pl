# Whether the links within the documentation lead somewhere: the file is there, and the heading in it.
#
#   perl check_links.pl DOCUMENT…
use strict;
use warnings;
use File::Basename 'dirname';

my ($links, $broken, %headings) = (0, 0);
for my $document (@ARGV)
{
	for (prose($document))
	{
		my ($number, $line) = @$_;
		$line =~ s/`[^`]*`//g;
		while ($line =~ /\]\(([^)\s]+)\)/g)
		{
			next if $1 =~ /^[a-z]+:/;
			$links++;
			my ($path, $heading) = split /#/, $1, 2;
			my $target = $path eq '' ? $document : dirname($document) . "/$path";
			my $problem = !-e $target ? 'there is no such file'
			  : defined $heading && !headings($target)->{$heading} ? 'there is no such heading'
			  : next;
			print "FAILED: $document, line $number: $1: $problem.\n";
			$broken++;
		}
	}
}
print "$links links\n";
exit($broken || !$links ? 1 : 0);

# The lines of a document with their numbers, without the blocks of code.
sub prose
{
	my ($document) = @_;
	open my $file, '<', $document or die "cannot read $document: $!\n";
	my ($code, @lines);
	while (my $line = <$file>)
	{
		$code = !$code if $line =~ /^```/;
		push @lines, [ $., $line ] unless $code;
	}
	return @lines;
}

# The anchors that headings get.
sub headings
{
	my ($document) = @_;
	return $headings{$document} //= { map { $_->[1] =~ /^#+ +(.*?)\s*$/ ? (anchor($1) => 1) : () } prose($document) };
}

sub anchor
{
	my ($text) = @_;
	return lc($text) =~ s/[^\w\- ]//gr =~ tr/ /-/r;
}
