# The examples of controllers/, built and installed as their READMEs say, by make and by CMake, over real data; and the boilerplate,
# which compiles as it stands.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use lib '../native';
use Native;

my $node = native_cluster('examples');
my $pg_config = "$ENV{BINDIR}/pg_config";
my ($libdir) = run_command([ $pg_config, '--libdir' ]);
my ($pkglibdir) = run_command([ $pg_config, '--pkglibdir' ]);
my $folder = PostgreSQL::Test::Utils::tempdir();

# Into the folder of the cluster. Where they are installed is not ours to write: hence DESTDIR.
sub build_example
{
	my ($name, $by) = @_;
	my $copy = "$folder/$by-$name";
	system_or_bail('cp', '-r', "$ENV{CHECKOUT}/controllers/$name", $copy);
	local $ENV{DESTDIR} = "$copy/installed";
	if ($by eq 'make')
	{
		system_or_bail('make', '-C', $copy, "PG_CONFIG=$pg_config", 'install');
	}
	else
	{
		system_or_bail('cmake', '-S', $copy, '-B', "$copy/build", "-Dsync_job_DIR=$libdir/cmake/sync_job");
		system_or_bail('cmake', '--build', "$copy/build");
		system_or_bail('cmake', '--install', "$copy/build");
	}
	my $library = "$copy/installed$pkglibdir/sync_job/$name.so";
	ok(-e $library, "$name by $by");
	my ($exports) = run_command([ 'nm', '-D', '--defined-only', '--format=just-symbols', $library ]);
	is($exports, 'sync_job_controller', '… exports its controller and nothing else');
	system_or_bail('install', $library, library_directory());
	return;
}

my $addresses = 'controllers/address_normalisation';
build_example('address_normalisation', 'cmake');
build_example('address_normalisation', 'make');
$node->safe_psql('postgres', slurp_file("$ENV{CHECKOUT}/$addresses/install.sql"));
my $iso = '/usr/share/iso-codes/json';
$node->safe_psql('postgres', qq{
	INSERT INTO iso.country SELECT alpha_2, name FROM jsonb_to_recordset(pg_read_file('$iso/iso_3166-1.json')::jsonb -> '3166-1') AS c(alpha_2 text, name text);
	INSERT INTO iso.subdivision SELECT code, left(code, 2), parent, name, type
		FROM jsonb_to_recordset(pg_read_file('$iso/iso_3166-2.json')::jsonb -> '3166-2') AS s(code text, parent text, name text, type text)});
my @typed = (
	[ 'hauptstr.  12 B',     'd-10117', 'BERLIN',          'berlin',         'germany',       undef ],
	[ 'hauptstr. 12b',       '10117',   'BERLIN',          'BERLIN',         'germany',       'Hauptstraße|12b|10117|Berlin|DE-BE|DE' ],
	[ '10 DOWNING ST',       'sw1a2aa', 'london',          'Greater London', 'GB',            'Downing Street|10|SW1A 2AA|London||GB' ],
	[ '24 sussex drive',     'k1m1m4',  'Ottawa',          'ontario',        'canada',        'Sussex Drive|24|K1M 1M4|Ottawa|CA-ON|CA' ],
	[ 'Carrer Major, 3',     '08001',   'barcelona',       'GIRONA',         'spain',         'Carrer Major|3|08001|Barcelona|ES-GI|ES' ],
	[ 'Drottninggatan 5',    '11151',   'stockholm',       'stockholms lan', 'sweden',        'Drottninggatan|5|111 51|Stockholm|SE-AB|SE' ],
	[ 'Marszałkowska 1/3',   '00 624',  'Warszawa',        'mazowieckie',    'poland',        'Marszałkowska|1/3|00-624|Warszawa|PL-14|PL' ],
	[ "Rua\t  Augusta",      '1100053', "são  paulo",      undef,            'portugal',      'Rua Augusta||1100-053|São Paulo||PT' ],
	[ 'Nowhere 1',           '1',       'X',               undef,            'Atlantis',      undef ],
);
my $values = join ', ', map { '(' . join(', ', map { defined $_ ? '$v$' . $_ . '$v$' : 'NULL' } @$_[ 0 .. 4 ]) . ')' } @typed;
$node->safe_psql('postgres', "INSERT INTO shop.address (street, postal_code, city, region, country) VALUES $values");
poll($node, q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started')}, 'they are synced');
my $number = 0;
for my $typed (@typed)
{
	$number++;
	my $found = $node->safe_psql('postgres', "SELECT street, house_number, postal_code, city, coalesce(region_code, ''), country_code FROM erp.postal_address WHERE shop_address = $number");
	is($found, $typed->[5] // '', join ' ', map { $_ // '' } @$typed[ 0 .. 4 ]);
}
is($node->safe_psql('postgres', 'SELECT count(DISTINCT message), count(*) >= 2 FROM sync_job_error'), '2|t', 'what cannot be an address says why');
like($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT message, ' / ') FROM sync_job_error}), qr{"d-10117" is no postal code of DE / no country is called "Atlantis"}, '… in words');

# The regions of the world as somebody types them without looking: each is found again, but for those whose name is not the only one.
$node->safe_psql('postgres', q{
	INSERT INTO shop.address (street, postal_code, city, region, country)
	SELECT 'Main 1', '', name, '  ' || upper(name) || ' ', country FROM iso.subdivision WHERE country NOT IN ('AT', 'AU', 'BE', 'BR', 'CA', 'CH', 'CZ', 'DE', 'DK', 'ES', 'FI', 'FR', 'GB', 'GR', 'IN', 'IT', 'JP', 'NL', 'NO', 'PL', 'PT', 'SE', 'SK', 'US')});
poll($node, q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started')}, 'the regions of the world are synced');
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM shop.address AS a JOIN erp.postal_address AS p ON p.shop_address = a.id
		JOIN iso.subdivision AS s ON s.name = a.city AND s.country = a.country
	WHERE a.street = 'Main 1' AND p.region_code <> s.code AND (SELECT count(*) FROM iso.subdivision AS o WHERE o.country = s.country AND o.name = s.name) = 1}),
	0, 'none is taken for another');
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM erp.postal_address WHERE street = 'Main' AND region_code IS NOT NULL}), '>', 3000, 'some thousand are found');
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM erp.postal_address WHERE street = 'Main' AND region_code IS NULL AND search_key !~ '[^a-z0-9]'
	AND (SELECT count(*) FROM iso.subdivision AS o WHERE o.country = country_code AND lower(o.name) = lower(city)) = 1}), '<', 10, '… and nearly all whose letters are those of the alphabet');

build_example('search_names', 'make');
build_example('search_names', 'cmake');
$node->safe_psql('postgres', slurp_file("$ENV{CHECKOUT}/controllers/search_names/install.sql"));
$node->safe_psql('postgres', q{INSERT INTO crm.person VALUES (1, 'Łukasz Żółć'), (2, 'Владимир'), (3, '毛泽东'), (4, 'Zoë'), (5, 'O''Brien'), (6, repeat('ä', 5000))});
poll($node, q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started')}, 'names are synced');
is($node->safe_psql('postgres', q{SELECT string_agg(person || ' ' || script || ' ' || left(search_name, 12), ', ' ORDER BY person) FROM crm.person_search}),
	'1 Latn lukaszzolc, 2 Cyrl vladimir, 3 Hani maozedong, 4 Latn zoe, 5 Latn obrien, 6 Latn aaaaaaaaaaaa', '… of all scripts');
is($node->safe_psql('postgres', q{SELECT string_agg(person::text, ' ' ORDER BY sort_key) FROM crm.person_search}), '6 1 5 4 2 3', '… in the order of a dictionary');
$node->safe_psql('postgres', 'DELETE FROM crm.person WHERE id = 3');
poll($node, q{SELECT count(*) = 5 FROM crm.person_search}, 'a name that is deleted goes');

# The boilerplate.
$node->safe_psql('postgres', q{
	CREATE TABLE "Odd ""Source" (key timestamptz PRIMARY KEY, "na""me" text, amount numeric(10,2), tags text[]);
	CREATE TABLE "Odd Target" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key timestamptz UNIQUE, "na""me" text, amount numeric(10,2), tags text[]);
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES ('Odd', '"Odd ""Source"', '"Odd Target"', 'nowhere')});
my $source = $node->safe_psql('postgres', q{SELECT create_sync_job_boilerplate('Odd', 'C++')});
build_shared('odd', 'c++', $source, '-Werror', '-Wl,--version-script=' . include_directory() . '/sync_job/exports.map');
$node->safe_psql('postgres', q{
	UPDATE sync_job_type SET library = 'odd' WHERE name = 'Odd';
	SELECT attach_sync_job_triggers('Odd', '"Odd ""Source"');
	INSERT INTO "Odd ""Source" VALUES ('2026-01-02 03:04:05.678+09', 'x', 1.50, '{a,b}'), ('infinity', NULL, NULL, NULL)});
poll($node, q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started')}, 'the boilerplate has run');
is($node->safe_psql('postgres', q{SELECT count(*) FROM "Odd ""Source" AS s JOIN "Odd Target" AS t ON (t.key, t."na""me", t.amount, t.tags) IS NOT DISTINCT FROM (s.key, s."na""me", s.amount, s.tags)}), 2, '… an insert');
$node->safe_psql('postgres', q{UPDATE "Odd ""Source" SET amount = 2 WHERE amount IS NULL; DELETE FROM "Odd ""Source" WHERE tags IS NOT NULL});
poll($node, q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started')}, '… and again');
is($node->safe_psql('postgres', q{SELECT string_agg(key || ' ' || amount, ',') FROM "Odd Target"}), 'infinity 2.00', '… an update and a delete');
is($node->safe_psql('postgres', q{SELECT string_agg(error_message, ' / ') FROM sync_job WHERE sync_job_type = 'Odd'}), '', '… without an error');

unlike_accidents($node);
$node->stop('fast');
done_testing();
