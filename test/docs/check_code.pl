# Whether the code that the documentation names is there.
#
#   perl check_code.pl DOCUMENT…      from the top of the checkout
#
# - A path, `engine/claim.cpp`, `engine/claim` or `src/engine/`, also in a diagram, is that of a file or folder: from the top, in src/, or
#   beside the last one with a folder. So is the first column of a block of text below the heading "The tree", which has all folders.
# - A function, `absorb()` or `Runner::fail`, is in the code. Where the file follows, as in "`absorb()` in `queue/deduplication.cpp`" or
#   "`absorb()` (`queue/deduplication.cpp`)", that file defines or declares it.
# - In a table whose columns are "floor", "part" and "files" every file of the folders of src/ is named, once. An empty floor is that of
#   the row above.
use strict;
use warnings;

my ($checks, $wrong, $place) = (0, 0);
my @files = map { chomp; $_ } `find src include http sql cli -type f`;
my %is_code = map { $_ => 1 } grep { /\.(?:[ch]pp|[ch]|sql)$/ } @files;
my %stems = map { m{^src/(\w+/\w+)\.[ch]pp$} ? ($1 => 1) : () } @files;
my %text;    # by path: without comments
for my $document (@ARGV)
{
	check_document($document);
}
print "$checks checks\n";
exit($wrong || !$checks ? 1 : 0);

sub check_document
{
	my ($document) = @_;
	open my $file, '<', $document or die "cannot read $document: $!\n";
	my ($language, $heading, $floor, %in_tree, %listed) = (undef, '');
	while (my $line = <$file>)
	{
		$place = "$document, line $.";
		if ($line =~ /^```(\w*)/)
		{
			$language = defined $language ? undef : $1;
		}
		elsif (defined $language)
		{
			check(defined path_of($1), "there is no $1") while $language eq 'mermaid' && $line =~ /\b(\w+\/\w+\.[ch]pp)\b/g;
			next if $language ne 'text' || $heading ne 'The tree';
			my ($names) = $line =~ /^(.*?)(?:  |$)/;
			for my $name (split /, /, $names)
			{
				check(-e $name, "there is no $name");
				$in_tree{ $name =~ s{/.*}{}r } = 1;
			}
		}
		elsif ($line =~ /^#+ +(.*?)\s*$/)
		{
			$heading = $1;
		}
		elsif ($line =~ /^\| floor \| part \| files \|/)
		{
			$floor = '';
		}
		elsif (defined $floor && $line =~ /^\|/)
		{
			my (undef, $name, undef, $files) = split /\s*(?<!\\)\|\s*/, $line;
			next if $name =~ /^-/;
			$floor = $name =~ s/`//gr if $name ne '';
			check_files($floor, $files, \%listed);
		}
		else
		{
			$floor = undef;
			check_spans($line);
		}
	}
	$place = $document;
	if (%listed)
	{
		check($listed{$_}, "src/$_ is not in the table of files") for sort keys %stems;
	}
	if (%in_tree)
	{
		check($in_tree{$_}, "the folder $_/ is not in the tree") for map { s{/$}{}r } grep { !/^(?:build|output_\w+|results|tmp_check\w*)\/$/ } glob '*/';
	}
}

# A row of the table of files.
sub check_files
{
	my ($floor, $files, $listed) = @_;
	for my $stem (map { "$floor/$_" } $files =~ /`([^`]+)`/g)
	{
		check($stems{$stem}, "there is no src/$stem");
		check(!$listed->{$stem}++, "src/$stem is named twice");
	}
}

sub check_spans
{
	my ($line) = @_;
	my @parts = split /`([^`]+)`/, $line;    # text, code, text, …
	my $folder;
	for (my $i = 1; $i < @parts; $i += 2)
	{
		my $code = $parts[$i];
		if ($code =~ m{^(?!/)[\w./-]+$} && $code =~ m{/|^\w+\.(?:[ch]pp|pl|json)$})
		{
			my $path = path_of($code, $folder);
			check(defined $path, "there is no $code") or next;
			($folder) = $path =~ m{^(.*)/} if $path =~ /\.[ch]pp$/;
			next if !$is_code{$path} || $parts[ $i - 1 ] !~ /^ (?:in |\()\z/;
			for (my $j = $i - 2; $j > 0; $j -= 2)
			{
				check(is_in($path, $parts[$j]), "$parts[$j] is not in $path") if $parts[$j] =~ /^(?:\w+::)*\w+(?:\(\))?$/;
				last if $parts[ $j - 1 ] !~ /^(?:,| and|, and) \z/;
			}
		}
		elsif ($code =~ /^((?:\w+::)*)(\w+)\(\)$/ || $code =~ /^((?:\w+::)+)(\w+)$/)
		{
			my ($class, $name) = ($1, $2);
			check(is_anywhere($class =~ s/^pg::|::$//gr, $name), "there is no $code");
		}
	}
}

# Nothing: there is no such file or folder.
sub path_of
{
	my ($name, $folder) = @_;
	my @places = ('', 'src/', 'include/', defined $folder ? "$folder/" : ());
	for my $place (@places)
	{
		return "$place$name" if -e "$place$name";
		for my $ending ('.cpp', '.hpp')
		{
			return "$place$name$ending" if -e "$place$name$ending";
		}
	}
	my @found = grep { m{/\Q$name\E$} } @files;
	return $name !~ m{/} && @found ? $found[0] : undef;
}

sub is_anywhere
{
	my ($class, $name) = @_;
	for my $path (sort keys %is_code)
	{
		my $text = text($path);
		return 1 if $class eq '' && $text =~ /\b$name\(/;
		next if $class eq '' || index($text, $class) < 0;
		return 1 if $text =~ /\b$class\::$name\b/ || ($text =~ /\b(?:class|struct) $class\b[^;]*\{/ && $text =~ /\b$name\b/);
	}
	return 0;
}

# Whether the file defines the function; in a header a declaration will do. A name without parentheses and class may be anything.
sub is_in
{
	my ($path, $code) = @_;
	my $name = $code =~ s/\(\)$//r =~ s/^pg:://r;
	my $last = $name =~ s/.*:://r;
	my $text = text($path);
	return scalar($text =~ /\b$last\b/) if $code =~ /^\w+\z/ || $path =~ /\.(?:h|hpp|sql)$/;
	return scalar($text =~ /^(?![\s#])[^;{}\n]*\b$name\([^;{}]*\{/m);
}

sub text
{
	my ($path) = @_;
	return $text{$path} //= do
	{
		open my $file, '<', $path or die "cannot read $path: $!\n";
		my $mark = $path =~ /\.sql$/ ? qr/--/ : qr{//};
		join '', map { s/$mark.*//r } <$file>;
	};
}

sub check
{
	my ($holds, $problem) = @_;
	$checks++;
	return 1 if $holds;
	$wrong++;
	print "FAILED: $place: $problem.\n";
	return 0;
}
