#include "engine/plan_invalidation.hpp"

#include <algorithm>
#include <unordered_map>

#include "controller/controller.hpp"
#include "controller/native_library.hpp"
#include "document/document.hpp"
#include "job/internal_sql.hpp"
#include "job/schema_objects.hpp"
#include "pg/background.hpp"
#include "pg/catalog.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "shared/activity.hpp"

namespace sync_job {

namespace {

// For smaller tables, a wrong plan costs little.
constexpr std::int64_t small = 4;

// The size of each table, in pages, for which the current plans were made.
std::unordered_map<Oid, std::int64_t>& planned_sizes() {
    static auto& sizes = *new std::unordered_map<Oid, std::int64_t>;  // never destroyed: the server may be gone by then
    return sizes;
}

bool outgrown(Oid relation) {
    auto pages = pg::relation_pages(relation);
    if (!pages) return false;  // try another time
    std::int64_t now = std::max(small, *pages);
    auto [planned, is_new] = planned_sizes().try_emplace(relation, small);
    return now >= 2 * planned->second || 2 * now <= planned->second;
}

}  // namespace

void invalidate_outgrown_plans(const JobType& type) {
    bool any = false;
    for (Oid relation : {type.source, type.target}) any = (relation != pg::no_oid && outgrown(relation)) || any;
    if (!any) return;
    pg::invalidate_plans();
    for (auto& [relation, pages] : planned_sizes()) pages = std::max(small, pg::relation_pages(relation).value_or(pages));
}

namespace {

std::uint64_t dropped_at = 0;  // pg::definition_changes() when everything was last dropped
bool new_process_wanted = false;

// Whether the error is about definitions, not data: SQLSTATE class 42 except missing rights, "cached plan must not change result type",
// rows of a table from before a change (datum_version_mismatch, in newer minor versions), and internal errors ("cache lookup failed for
// type …"). Errors that the engine raises about a set-up it has just read do not count.
bool is_of_definitions(const pg::Error& error) {
    const std::string& state = error.sqlstate();
    bool fits = (state.starts_with("42") && state != "42501") || state == "0A000" || state == "22P07" ||
                state == "XX000";
    return fits && dynamic_cast<const SetupError*>(&error) == nullptr;
}

void drop_all_plans() {
    dropped_at = pg::definition_changes();
    pg::invalidate_plans();
    invalidate_schema_objects(pg::no_oid);
    invalidate_job_types(pg::no_oid);
    invalidate_document_types(pg::no_oid);
    invalidate_controllers();
}

// Whether this attempt has already been repeated in a new process.
bool has_run_again(const Job& job) {
    static auto& select = *new InternalStatement(
        "SELECT FROM {}.sync_job_error WHERE sync_job = $1 AND attempt = $2 AND NOT counted",
        {pg::type::int8, pg::type::int4});
    return !select
                .run({{pg::int64_datum(job.id()), false},
                      {pg::int32_datum(job.int32(JobColumn::retry_count) + 1), false}})
                .empty();
}

}  // namespace

bool dropped_stale_plans(const pg::Error& error) {
    if (!is_of_definitions(error) || pg::definition_changes() == dropped_at) return false;
    drop_all_plans();
    return true;
}

// A new process does not help a job that is itself at fault. If there are many such jobs, no new process is started for a while.
bool runs_again_in_new_process(const Job& job, const pg::Error& error, bool may_run_again) {
    constexpr std::int64_t pause_microseconds = 10 * 1000000LL;
    if (!in_worker() || !is_of_definitions(error) || pg::definition_changes() == 0) return false;
    DatabaseSlot* database = find_database_slot(pg::my_database());
    if (database == nullptr || pg::now() < database->renew_after) return false;
    bool again = may_run_again && !has_run_again(job);
    if (!again) database->renew_after = pg::now() + pause_microseconds;
    new_process_wanted = new_process_wanted || again || !may_run_again;
    return again;
}

bool wants_new_process() { return new_process_wanted || !replaced_native_library().empty(); }

}  // namespace sync_job
