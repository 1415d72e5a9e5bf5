# What native controllers read and write: values of all types, sets, hooks, relays, bypass, dry runs.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use lib '../native';
use Native;

my $node = native_cluster('documents');
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub drained { return poll($node, q{SELECT count(*) = 0 FROM sync_job WHERE status IN ('Queued', 'Started')}, $_[0]) }

# Values of all types, copied as they are; by way of what C++ has for them; by way of JSON.
my %types = (
	i2 => 'smallint', i4 => 'integer', i8 => 'bigint', f4 => 'real', f8 => 'double precision', num => 'numeric(20,5)', t => 'text', v => 'varchar(10)', c => 'char(5)', b => 'boolean',
	d => 'date', ts => 'timestamp', tz => 'timestamptz', iv => 'interval', u => 'uuid', j => 'json', jb => 'jsonb', by => 'bytea', arr => 'text[]', r => 'int4range', e => 'mood', dom => 'short_text', o => 'oid', x => 'xml', p => 'point');
my $columns = join ', ', map { "$_ $types{$_}" } sort keys %types;
sql("CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN short_text AS text CHECK (length(VALUE) < 8);
	CREATE TABLE every (id int PRIMARY KEY, $columns); CREATE TABLE other (id int PRIMARY KEY, $columns);
	INSERT INTO every (id, i2, i4, i8, f4, f8, num, t, v, c, b, d, ts, tz, iv, u, j, jb, by, arr, r, e, dom, o, x, p) VALUES
	(1, -32768, 2147483647, -9223372036854775808, 1.5, 'NaN', 12345.67890, 'Ünï', 'v', 'ab', true, '2026-02-28', '1999-12-31 23:59:59.999999', '2026-01-01 00:00:00+02', '1 mon 2 days 03:04', gen_random_uuid(), '{\"a\": [1, 2]}', '{\"b\": null}', '\\x00ff', '{a,NULL,\"x y\"}', '[1,5)', 'glad', 'short', 4294967295, '<a/>', '(1,2)'),
	(2, 0, 0, 0, 'Infinity', -0.0, -0.00001, '', '', '', false, 'infinity', '-infinity', 'infinity', '-1 year', NULL, '3', '[]', '', '{}', 'empty', 'sad', '', 0, NULL, NULL),
	(4, 1, 1, 1, 1, 1, 1, repeat('long ', 100000), 'x', 'x', true, '0001-01-01', '4714-11-24 00:00:00 BC', '294276-12-31', '0', NULL, NULL, jsonb_build_object('k', repeat('y', 100000)), decode(repeat('ab', 50000), 'hex'), ARRAY[repeat('z', 100000)], NULL, NULL, NULL, NULL, NULL, NULL);
	INSERT INTO every (id) VALUES (3); ALTER TABLE every ADD COLUMN gone int; ALTER TABLE every DROP COLUMN gone");
my $all = join '', map { qq{target["$_"] = source["$_"]; } } sort keys %types;
my %as = (i2 => 'short', i4 => 'int', i8 => 'std::int64_t', f4 => 'float', f8 => 'double', t => 'std::string', b => 'bool', by => 'Bytes', o => 'std::uint32_t', e => 'std::string', u => 'std::string', num => 'std::string', iv => 'std::string', arr => 'std::string', r => 'std::string', x => 'std::string', p => 'std::string');
my $typed = join '', map { my $as = $as{$_} // 'std::string'; qq{target["$_"] = source.get<std::optional<$as>>("$_"); } } sort keys %types;
build_controller('every', <<"END");
struct Test : Controller {
	void update_target_doc(const Job& job, const Document& source, Document& target) override {
		std::string how = job.context().value("how", "");
		if (how == "copied") { $all }
		if (how == "typed") { $typed }
		if (how == "json") { target.from_json(source.to_json()); }
		if (how == "dates") {
			target["d"] = source.get<std::optional<std::chrono::sys_days>>("d");
			target["tz"] = source.get<std::optional<std::chrono::sys_time<std::chrono::microseconds>>>("tz");
			target["i4"] = static_cast<int>(source.columns().size()); target["b"] = !source.has("gone") && source.has("i4") && !Document(source)["i4"].is_null();
		}
		if (how == "rows") {
			auto rows = sql("SELECT t, jb, by, num, d, tz, e FROM every WHERE id = \$1", source["id"]);
			for (const char* name : {"t", "jb", "by", "num", "d", "tz", "e"}) target[name] = rows[0][name];
		}
	}
};
END
sql(q{INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, library, max_retries) VALUES ('every', 'every', 'other', '{"id": "id"}', 'every', 0)});
for my $how ('copied', 'typed', 'json')
{
	sql('TRUNCATE other');
	for my $id (1 .. 4)
	{
		my ($status, $job) = run_job($node, 'every', $id, qq({"how": "$how"}));
		is($status, 'Finished', "$how, row $id") or diag(error_of($node, $job));
	}
	my $differ = sql(join ' UNION ALL ', map { "SELECT id || ' $_: ' || coalesce(left(o.$_\::text, 50), 'NULL') FROM every AS s JOIN other AS o USING (id) WHERE s.$_\::text IS DISTINCT FROM o.$_\::text" } sort keys %types);
	is($differ, '', "$how: all are the same");
}
is((run_job($node, 'every', 1, '{"how": "dates"}'))[0], 'Finished', 'dates and times of C++');
is(sql('SELECT d, tz = (SELECT tz FROM every WHERE id = 1), i4, b FROM other WHERE id = 1'), '2026-02-28|t|' . (1 + keys %types) . '|t', '… and what a document tells of its columns');
sql('UPDATE other SET t = NULL, jb = NULL, by = NULL, num = NULL, d = NULL, tz = NULL, e = NULL');
for my $id (1, 4)
{
	my ($status, $job) = run_job($node, 'every', $id, '{"how": "rows"}');
	is($status, 'Finished', "values of a statement's rows, $id") or diag(error_of($node, $job));
}
is(sql('SELECT count(*) FROM every AS s JOIN other AS o USING (id) WHERE id IN (1, 4) AND (s.t, s.jb, s.by, s.num, s.d, s.tz, s.e) IS NOT DISTINCT FROM (o.t, o.jb, o.by, o.num, o.d, o.tz, o.e)'), 2, '… outlive them');

# Sets: one call for many, and what becomes of each.
sql(q{
	CREATE TABLE doc (id int PRIMARY KEY, code text UNIQUE, note text);
	CREATE TABLE target (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text UNIQUE, note text, made text DEFAULT 'by default', calls int CHECK (calls <> 13));
});
build_controller('batches', <<'END');
struct Test : Controller {
	void update_many(Batch& batch) override {
		for (auto item : batch) {
			if (item.source.is_null("note")) throw Error("22004", "no note");
			while (item.source.get<std::string>("note") == "gate" && sql("SELECT FROM open_gate").empty()) sql("SELECT pg_sleep(0.01)");
			item.target["note"] = item.source["note"];
			item.target["calls"] = item.source.get<std::string>("note") == "unlucky" ? 13 : 2;
			if (item.target.is_new() && item.source.get<int>("id") % 2 == 0) item.target["made"] = batch.size() > 1 ? "with others" : "by itself";
		}
	}
};
END
sql(q{
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, library, set_size, max_retries) VALUES ('batches', 'doc', 'target', '{"code": "code"}', 'batches', 100, 0);
	SELECT attach_sync_job_triggers('batches', 'doc', level => 'statement');
	INSERT INTO doc SELECT i, 'C' || i, 'n' || i FROM generate_series(1, 300) AS i;
});
drained('documents are inserted in sets');
is(sql(q{SELECT count(*), bool_and(t.note = d.note), count(*) FILTER (WHERE made = 'by default') FROM target AS t JOIN doc AS d USING (code)}), '300|t|150', '… all of them');
cmp_ok(sql(q{SELECT count(*) FROM target WHERE made = 'with others'}), '>', 100, '… in calls for many');
is(sql(q{SELECT sum((result->>'inserted')::int), string_agg(DISTINCT status, ',') FROM sync_job WHERE sync_job_type = 'batches'}), '300|Finished', '… and counted');
for my $round (1 .. 3)
{
	sql("UPDATE doc SET note = 'round $round' WHERE id > 100 * ($round - 1)");
	drained("round $round");
	is(sql(q{SELECT count(*) FROM target AS t JOIN doc AS d USING (code) WHERE t.note <> d.note}), 0, '… all are in step');
}
is(sql(q{SELECT diff_summary FROM sync_job_document WHERE source_document_name = '300' ORDER BY sync_job DESC LIMIT 1}), '{"note": {"new": "round 3", "old": "round 2"}}', '… with their diffs');
sql(q{UPDATE doc SET note = CASE id WHEN 7 THEN NULL WHEN 8 THEN 'unlucky' ELSE 'mixed' END WHERE id < 60; DELETE FROM doc WHERE id BETWEEN 60 AND 69; UPDATE doc SET code = 'D' || id WHERE id BETWEEN 70 AND 79;
	INSERT INTO doc SELECT i, 'C' || i, 'new' FROM generate_series(301, 330) AS i});
drained('of all kinds at once');
is(sql(q{SELECT count(*) FROM target AS t FULL JOIN doc AS d USING (code) WHERE t.note IS DISTINCT FROM d.note}), 2, '… all are in step but two');
is(sql(q{SELECT string_agg(source_document_name || ' ' || substring(error_message from '^[^(]*?(?:no note|violates)'), ', ' ORDER BY source_document_name) FROM sync_job WHERE status = 'Failed' AND sync_job_type = 'batches'}), '7 no note, 8 new row for relation "target" violates', '… which have failed by themselves');

# A set that follows one like it reads its targets without a lock. One that is changed before the set writes is computed again.
sql(q{CREATE TABLE open_gate (n int); UPDATE sync_job_queue SET max_workers = 1});
$node->append_conf('postgresql.conf', 'sync_job.batch_time = 10s'); # or it gives up, and locks them
$node->reload;
for my $round (1 .. 10) # it guesses again some sets after the last wrong guess
{
	sql("UPDATE doc SET note = 'before' || $round WHERE id <= 40");
	drained("set $round of updates");
}
sql(q{UPDATE doc SET note = 'gate' WHERE id <= 40});
poll($node, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'sync job worker' AND wait_event = 'PgSleep'}, 'the next one is being computed');
is($node->psql('postgres', q{SET lock_timeout = '10 s'; UPDATE target SET note = 'by hand', made = 'by hand' WHERE code = 'C5'}), 0, '… and nobody has to wait for it');
sql('INSERT INTO open_gate VALUES (1)');
drained('… and written');
is(sql(q{SELECT count(*), string_agg(code, ' ') FILTER (WHERE made = 'by hand') FROM target WHERE note = 'gate'}), '40|C5', '… with what was changed meanwhile');
is(sql(q{SELECT string_agg(n || ' ' || diff, ', ' ORDER BY n) FROM (SELECT count(*) AS n, diff_summary::text AS diff FROM sync_job_document WHERE sync_job = (SELECT max(id) FROM sync_job) GROUP BY 2) AS d}),
	'1 {"note": {"new": "gate", "old": "by hand"}}, 39 {"note": {"new": "gate", "old": "before10"}}', '… and diffs from what was there');
sql(q{UPDATE sync_job_queue SET max_workers = 2});
$node->append_conf('postgresql.conf', 'sync_job.batch_time = 100ms');
$node->reload;
sql(q{UPDATE sync_job_type SET update_enabled = false WHERE name = 'batches'; UPDATE doc SET note = 'closed'; INSERT INTO doc SELECT i, 'C' || i, 'new' FROM generate_series(401, 420) AS i});
drained('with a gate that is closed');
is(sql(q{SELECT count(*) FILTER (WHERE note = 'closed'), count(*) FILTER (WHERE code >= 'C401' AND code <= 'C420' AND length(code) = 4) FROM target}), '0|20', '… nothing is updated, but inserted');
sql(q{UPDATE sync_job_type SET update_enabled = true WHERE name = 'batches'});
my $run = sql(q{SELECT enqueue_full_sync('batches', max_change_percent => 100)});
drained('a full sync');
is(sql("SELECT status FROM sync_job WHERE id = $run"), 'Finished', '… ends well');
is(sql(q{SELECT count(*) FROM target AS t JOIN doc AS d USING (code) WHERE t.note <> d.note}), 0, '… and brings all in step');
is(sql(q{SELECT count(*) FROM compare_sync_documents('batches')}), 0, 'as a comparison finds');

# Hooks, in their order; relays; bypass.
sql(q{SELECT detach_sync_job_triggers('batches', 'doc'); CREATE TABLE heard (n int GENERATED ALWAYS AS IDENTITY, what text)});
build_controller('hooks', <<'END');
struct Test : Controller {
	void hear(const std::string& what) { sql("INSERT INTO heard (what) VALUES ($1)", what); }
	void after_start(const Job& job, const Document& source) override { hear("after_start " + source.get<std::string>("code")); if (job.context().contains("fail")) throw Error("P0001", "as asked"); }
	std::vector<Target> get_multiple_target_documents(const Job& job, const Document& source) override {
		std::vector<Target> targets;
		for (int i = 0; i < job.context().value("targets", 1); i++) {
			Target target = Target::insert();
			target.context = json{{"part", i}};
			targets.push_back(target);
		}
		auto found = sql("SELECT id::text AS id FROM target WHERE code = $1", source["code"]);
		if (targets.size() == 1 && !found.empty()) return {Target::update(found[0].get<std::string>("id"))};
		return targets;
	}
	json before_relay(const Job&, const Document&, const json& targets) override { hear("before_relay " + std::to_string(targets.size())); json some = targets; if (some.size() > 2) some.erase(0); return some; }
	void after_relay(const Job&, const Document&, const json& jobs) override { hear("after_relay " + std::to_string(jobs.size())); }
	void update_target_doc(const Job& job, const Document& source, Document& target) override {
		hear(std::string("update_target_doc ") + (target.is_new() ? "new" : "old"));
		target["code"] = source.get<std::string>("code") + (job.context().contains("part") && job.dry_run() == false && job["parent_sync_job"].is_null() == false ? "-" + std::to_string(job.context()["part"].get<int>()) : "");
		target["note"] = source["note"];
	}
	void before_sync(const Job&, const Document&, Document& target) override { hear("before_sync"); target["note"] = target.get<std::string>("note") + "!"; }
	void after_sync(const Job&, const Document&, const Document& target) override { hear("after_sync " + target.get<std::string>("note")); }
	void finished(const Job& job, const Document&, const Document&) override { hear("finished " + job.get<std::string>("status")); }
	void failed(const Job&, const Document&, const json& error) override { hear("failed " + error["message"].get<std::string>()); }
};
END
sql(q{INSERT INTO sync_job_type (name, source_document_type, target_document_type, library, max_retries) VALUES ('hooks', 'doc', 'target', 'hooks', 0); INSERT INTO doc VALUES (1001, 'H', 'h')});
sub heard { return sql(q{WITH gone AS (DELETE FROM heard RETURNING *) SELECT string_agg(what, ', ' ORDER BY n) FROM gone}) }
my ($status, $job) = run_job($node, 'hooks', 1001);
is("$status: " . heard(), 'Finished: after_start H, update_target_doc new, before_sync, after_sync h!, finished Finished', 'an insert') or diag(error_of($node, $job));
($status, $job) = run_job($node, 'hooks', 1001);
is("$status: " . heard(), 'Finished: after_start H, update_target_doc old, before_sync, finished Skipped', 'no change') if $status eq 'Finished';
is("$status: " . heard(), 'Skipped: after_start H, update_target_doc old, before_sync, finished Skipped', 'a change that before_sync takes back') if $status eq 'Skipped';
($status, $job) = run_job($node, 'hooks', 1001, '{"fail": true}');
is("$status: " . heard(), 'Failed: failed as asked', 'a failure');
sql(q{INSERT INTO doc VALUES (1002, 'R', 'r')});
($status, $job) = run_job($node, 'hooks', 1002, '{"targets": 3}');
drained('its children');
is($status, 'Relayed', 'several targets');
like(heard(), qr/^after_start R, before_relay 3, after_relay 2, finished Relayed, /, '… of which one was left out');
is(sql(q{SELECT string_agg(code, ' ' ORDER BY code) FROM target WHERE code LIKE 'R%'}), 'R-1 R-2', '… and each has a target');
my $dry = sql(q{SELECT id FROM execute_sync_job(enqueue_sync_job('hooks', '1001', context => '{"x": 1}', dry_run => true))});
is(heard(), '', 'a dry run leaves nothing');
build_controller('bypass', <<'END');
struct Test : Controller {
	json execute(const Job& job, const Document& source) override {
		progress(50, "half", "of it");
		if (!source) return nullptr;
		sql("UPDATE target SET note = 'bypassed' WHERE code = $1", source["code"]);
		notice("done");
		return {{"target_document_type", "target"}, {"operation", "update"}, {"diff", {{"note", {{"new", "bypassed"}}}}}};
	}
};
END
sql(q{INSERT INTO sync_job_type (name, source_document_type, library, verbose_logging, max_retries) VALUES ('bypass', 'doc', 'bypass', true, 0)});
($status, $job) = run_job($node, 'bypass', 1001);
is($status, 'Finished', 'execute()') or diag(error_of($node, $job));
is(sql("SELECT operation, target_document_type, diff_summary, messages LIKE '%done%' FROM sync_job WHERE id = $job"), 'Update|target|{"note": {"new": "bypassed"}}|t', '… says what it did');
is(sql(q{SELECT status FROM execute_sync_job(enqueue_sync_job('bypass'))}), 'Finished', '… also without a document');

unlike_accidents($node);
$node->stop('fast');
done_testing();
