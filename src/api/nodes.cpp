// More than one machine: the number of this database among the nodes, and jobs at other nodes.
#include "api/nodes.hpp"

#include <map>

#include "controller/callable.hpp"
#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "pg/background.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/shared.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/rights.hpp"
#include "shared/activity.hpp"
#include "shared/wake.hpp"
#include "worker/database_commands.hpp"

namespace sync_job {

namespace {

// Claim positions and document locks hold 48 bits of an id (core/claim_position.hpp, pg/xact.cpp).
constexpr int id_bits = 40;
constexpr int most_node = 254;

// The rows of a statement that runs as the caller, one jsonb each, as jobs.
std::vector<Datum> jobs_of(const std::string& json_array) {
    pg::SpiScope spi;
    pg::Statement rows_of("SELECT sync_job_internal.job_of_node(j) FROM pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb) AS j", {pg::type::text});
    pg::Rows rows = rows_of.execute({{pg::text_datum(json_array), false}});
    std::vector<Datum> jobs;
    for (std::uint64_t i = 0; i < rows.size(); i++) jobs.push_back(rows.copy(i, 0).datum);
    return jobs;
}

// Ids go on within the node's range, even if a restore has set the sequence back.
void begin_ids(int node) {
    static auto& set_sequence = *new InternalStatement(
        "SELECT setval('sync_job_internal.sync_job_id_seq', greatest($1, (SELECT max(id) FROM {}.sync_job WHERE id > $1 AND id <= $2)))"
        " FROM sync_job_internal.sync_job_id_seq WHERE last_value NOT BETWEEN $1 AND $2", {pg::type::int8, pg::type::int8});
    std::int64_t first = static_cast<std::int64_t>(node) << id_bits;
    set_sequence.run({{pg::int64_datum(first), false}, {pg::int64_datum(first + (std::int64_t{1} << id_bits) - 1), false}});
}

// The jobs of a copy are those of the node that it was copied from, and run there.
void hold_copied_jobs(int old_node) {
    static auto& mark = *new InternalStatement(
        "INSERT INTO sync_job_internal.home SELECT 0, 0 WHERE EXISTS (SELECT FROM sync_job_internal.sync_job_live)"
        " OR EXISTS (SELECT FROM sync_job_internal.sync_job_failed WHERE retry_after IS NOT NULL) RETURNING 1", std::vector<Oid>{});
    stop_processes_of(pg::my_database());
    if (mark.run({}).empty()) return;
    pg::notice("the jobs that wait here are those of node " + std::to_string(old_node) + ", and wait for adopt_sync_jobs()",
               "Cancel here what runs there.");
}

}  // namespace

int other_node_of(std::int64_t id) {
    static auto& select = *new InternalStatement(
        "SELECT 1 FROM {}.sync_job_node WHERE node = $1 AND node IS DISTINCT FROM (SELECT max(node) FROM sync_job_internal.home)", {pg::type::int4});
    std::int64_t node = id >> id_bits;
    if (node < 1 || node > most_node || !schema_objects().current) return 0;
    return select.run({{pg::int32_datum(static_cast<int>(node)), false}}).empty() ? 0 : static_cast<int>(node);
}

int node_elsewhere(std::int64_t id) { return id >> id_bits == 0 || find_job(id) ? 0 : other_node_of(id); }

std::optional<std::string> call_node(int node, const std::string& statement) {
    pg::SpiScope spi;
    pg::Statement call("SELECT sync_job_internal.call_node($1, $2)", {pg::type::int4, pg::type::text});
    pg::Rows rows = call.execute({{pg::int32_datum(node), false}, {pg::text_datum(statement), false}});
    if (rows.at(0, 0).null) return std::nullopt;
    return rows.text(0, 0);
}

std::string jsonb_argument(pg::Arguments& args, int i) {
    return (args.is_null(i) ? "NULL" : pg::quoted_literal(pg::value_to_text(args.datum(i), pg::type::jsonb))) + "::pg_catalog.jsonb";
}

std::optional<Datum> job_elsewhere(std::int64_t id, const std::string& call) {
    int node = node_elsewhere(id);
    if (node == 0) return std::nullopt;
    auto answer = call_node(node, "SELECT pg_catalog.jsonb_build_array(j)::text FROM " + schema_objects().in_schema(call.c_str()) + " AS j");
    std::vector<Datum> jobs = jobs_of(answer.value_or("[]"));
    if (jobs.empty()) no_such_job(id);  // whatever another server answers
    return jobs.front();
}

std::optional<std::int64_t> number_elsewhere(std::int64_t id, const std::string& call) {
    int node = node_elsewhere(id);
    if (node == 0) return std::nullopt;
    auto answer = call_node(node, "SELECT " + schema_objects().in_schema(call.c_str()) + "::text");
    return answer && !answer->empty() ? std::stoll(*answer) : 0;
}

std::vector<Datum> jobs_elsewhere(const std::vector<std::int64_t>& ids, const std::string& function, const std::string& arguments) {
    std::map<int, std::vector<std::string>> by_node;
    for (std::int64_t id : ids) {
        if (int node = node_elsewhere(id); node != 0) by_node[node].push_back(std::to_string(id));
    }
    std::vector<Datum> jobs;
    for (const auto& [node, there] : by_node) {
        auto answer = call_node(node, "SELECT coalesce(pg_catalog.jsonb_agg(j), '[]')::text FROM " + schema_objects().in_schema(function.c_str()) +
                                          "('{" + join(there, ",") + "}'::bigint[]" + arguments + ") AS j");
        for (Datum job : jobs_of(answer.value_or("[]"))) jobs.push_back(job);
    }
    return jobs;
}

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_set_node) {
    static auto& number = *new InternalStatement("SELECT max(node) FROM sync_job_internal.home", std::vector<Oid>{});
    static auto& write = *new InternalStatement("UPDATE sync_job_internal.home SET node = $1", {pg::type::int4});
    pg::require_writable("set_sync_job_node()");
    require_this_version();
    if (args.is_null(0)) throw pg::Error("22004", "node must not be null");
    int node = *args.int32(0);
    if (node < 1 || node > most_node) {
        throw pg::Error("22023", "node must be between 1 and " + std::to_string(most_node) + ": " + std::to_string(node));
    }
    if (in_worker()) throw pg::Error("55000", "a sync job must not change the number of its node");
    pg::Value old = number.run({}).at(0).at(0);
    if (!old.null && pg::datum_int32(old.datum) != node) hold_copied_jobs(pg::datum_int32(old.datum));
    write.run({{pg::int32_datum(node), false}});
    begin_ids(node);
    wake_launcher_at_commit();
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_get) {
    if (args.is_null(0)) throw pg::Error("22004", "id must not be null");
    std::int64_t id = *args.int64(0);
    if (auto there = job_elsewhere(id, "get_sync_job(" + std::to_string(id) + ")")) return *there;
    auto stored = find_job(id);
    if (!stored || !may_know(stored->job)) no_such_job(id);
    return job_as_row(row_for_caller(stored->job));
}
