# Whether the reference and the extension tell of the same things: every function of the user's schema with its arguments,
# every table, view and composite type with its columns and their types, every setting with its default, unit and range; and
# nothing that is not there. Asks a server that has the extension preloaded, in the database of PGDATABASE, which has it.
#
#   perl check_reference.pl DOCUMENT
use strict;
use warnings;

my ($document) = @ARGV;
my ($checks, $wrong) = (0, 0);
my ($title, %text, %tables) = ('');    # of each section: its text, and its tables: { first column's name => rows }
open my $file, '<', $document or die "cannot read $document: $!\n";
my $header;
while (my $line = <$file>)
{
	($title, $header) = ($1, undef) if $line =~ /^#+ +(.*?)\s*$/;
	$text{$title} .= $line;
	my @cells = map { s/^\s+|\s+$//gr } split /(?<!\\)\|/, $line =~ s/^\|//r;
	if ($line !~ /^\|/) { $header = undef }
	elsif (!defined $header) { $header = $cells[0] }
	elsif ($line !~ /^\|-/) { push @{ $tables{$title}{$header} }, \@cells }
}
my $all = join '', values %text;

my $member = "JOIN pg_depend AS d ON d.objid = o.oid AND d.deptype = 'e'
	JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'pg_sync_job' AND d.refclassid = 'pg_extension'::regclass";

# --- Functions ---

my $functions = query(
	"SELECT o.proname, (SELECT string_agg(a.name, ' ') FROM unnest(o.proargnames, o.proargmodes) AS a (name, mode)
		WHERE coalesce(a.mode, 'i') IN ('i', 'b'))
	FROM pg_proc AS o $member WHERE d.classid = 'pg_proc'::regclass AND o.pronamespace = 'public'::regnamespace");
for (@$functions)
{
	my ($name, $arguments) = @$_;
	my @sections = grep { code($text{$_}) =~ /\b$name\(/ } keys %text;
	check(scalar @sections, "function $name() is not in it");
	for my $argument (split ' ', $arguments)
	{
		check(scalar(grep { code($text{$_}) =~ /\b$argument\b/ } @sections), "argument $argument of $name() is not with it");
	}
}
my %known = map { $_->[0] => 1 } @{ query('SELECT DISTINCT proname FROM pg_proc') };
my %called = map { $_ => 1 } code($all) =~ /(?<![.\w])(\w*(?:sync_job|sync_document|background_job)\w*)\(/g;
check($known{$_} || $_ =~ /^sync_job_(error|queue|type)$/, "there is no function $_()") for sort keys %called;

# --- Tables, views, types ---

my %columns;
my $columns = query(
	"SELECT o.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class AS o
	LEFT JOIN pg_type AS t ON t.typrelid = o.oid AND o.relkind = 'c'
	JOIN pg_attribute AS a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE o.relnamespace = 'public'::regnamespace AND o.relkind IN ('r', 'p', 'v', 'c') AND EXISTS (
		SELECT FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'pg_sync_job'
		WHERE d.deptype = 'e' AND d.objid IN (o.oid, t.oid) AND d.refclassid = 'pg_extension'::regclass)");
$columns{ $_->[0] }{ $_->[1] } = $_->[2] =~ s/timestamp with time zone/timestamptz/r for @$columns;
for my $relation (sort keys %columns)
{
	my ($rows) = map { $tables{$_}{column} // $tables{$_}{field} } grep {
		$_ eq $relation
		  || $text{$_} =~ /^Table `$relation`/m
		  || $text{$_} =~ /The type `$relation`|returns `$relation`/
	} sort keys %tables;
	check(defined $rows, "$relation has no table of its columns") or next;
	my %told = map { (($_->[0] =~ /^`(\w+)`$/)[0] // '?') => $_->[1] } @$rows;
	for my $column (sort keys %{ $columns{$relation} })
	{
		my $type = $columns{$relation}{$column};
		check(($told{$column} // '') eq $type, "$relation.$column is of type $type, not " . ($told{$column} // 'told of'));
		delete $told{$column};
	}
	check(!%told, "$relation has no column " . join ', ', sort keys %told);
}

# --- Settings ---

my %told = map { (($_->[0] =~ /^`([\w.]+)`$/)[0] // '?') => $_ } @{ $tables{Settings}{setting} // [] };
for (@{ query("SELECT name, boot_val, unit, min_val, max_val FROM pg_settings WHERE name LIKE 'sync\\_job.%'") })
{
	my ($name, $default, $unit, $least, $most) = @$_;
	my $row = delete $told{$name};
	check(defined $row, "setting $name is not in it") or next;
	check(scalar($row->[2] =~ /^`?\Q$default\E`?\z/), "the default of $name is $default, not $row->[2]");
	check($unit eq '' || $row->[1] eq $unit, "the unit of $name is $unit, not $row->[1]");
	check($least eq '' || $row->[3] eq "$least–$most", "the range of $name is $least–$most, not $row->[3]");
}
check(!%told, 'there is no setting ' . join ', ', sort keys %told);

print "$checks checks of ", scalar(@$functions), ' functions, ', scalar(keys %columns), " relations and the settings\n";
exit($wrong || @$functions < 40 || keys %columns < 10 ? 1 : 0);

sub check
{
	my ($holds, $problem) = @_;
	$checks++;
	return 1 if $holds;
	$wrong++;
	print "FAILED: $document: $problem.\n";
	return 0;
}

# What stands in blocks and spans of code.
sub code
{
	my ($markdown) = @_;
	my $code = '';
	$code .= "$1\n" while $markdown =~ s/^```\w*\n(.*?)^```$//ms;
	$code .= "$1\n" while $markdown =~ /`([^`]+)`/g;
	return $code;
}

sub query
{
	my ($sql) = @_;
	open my $psql, '-|', 'psql', '-X', '-A', '-t', '-F', "\t", '-v', 'ON_ERROR_STOP=1', '-c', $sql or die "cannot run psql: $!\n";
	my @rows = map { chomp; [ split /\t/, $_, -1 ] } <$psql>;
	close $psql or die "psql failed\n";
	return \@rows;
}
