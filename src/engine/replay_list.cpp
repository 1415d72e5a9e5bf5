#include "engine/replay_list.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "controller/controller.hpp"
#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/role.hpp"
#include "pg/xact.hpp"
#include "queue/rights.hpp"
#include "queue/task.hpp"

namespace sync_job {

namespace {

using Ids = std::vector<std::int64_t>;

// --- The jobs ---

struct Listed {
    std::string type;
    Oid run_as = pg::no_oid, target = pg::no_oid;
    bool dry_run = false;
    std::string operation, kind;
    Ids jobs;
};

void require_all_exist(const Ids& ids) {
    static auto& missing = *new InternalStatement(
        "SELECT u.id FROM unnest($1) AS u (id) WHERE NOT EXISTS (SELECT FROM {}.sync_job AS j WHERE j.id = u.id) LIMIT 1",
        {pg::type::int8_array});
    auto rows = missing.run({{pg::int64_array_datum(ids), false}});
    if (!rows.empty()) no_such_job(pg::datum_int64(rows[0][0].datum));
}

// Newest first.
std::vector<Listed> listed_jobs(const Ids& ids) {
    static auto& select = *new InternalStatement(
        "WITH RECURSIVE listed (id) AS (SELECT unnest($1) UNION SELECT j.id FROM listed AS l"
        "  JOIN {}.sync_job AS j ON j.parent_sync_job = l.id AND j.relation IN ('relay', 'set'))"
        " SELECT j.sync_job_type, j.run_as, j.target_document_type, j.dry_run, j.operation, k.kind, array_agg(j.id), max(j.ended_at) AS ended"
        " FROM listed AS l JOIN {}.sync_job AS j ON j.id = l.id CROSS JOIN LATERAL (SELECT CASE"
        "  WHEN j.status IN ('Pending', 'Queued', 'Started') OR j.status = 'Failed' AND j.retry_after IS NOT NULL THEN 'live'"
        "  WHEN " + std::string(may_have_documents) + " THEN 'many'"
        "  WHEN j.status = 'Finished' AND j.operation IN ('Insert', 'Update', 'Delete') THEN 'one' ELSE 'none' END AS kind) AS k"
        " GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY ended DESC NULLS LAST, 1, 3", {pg::type::int8_array});
    require_all_exist(ids);
    std::vector<Listed> all;
    for (const auto& row : select.run({{pg::int64_array_datum(ids), false}})) {
        Listed& listed = all.emplace_back();
        listed.type = pg::datum_text(row[0].datum);
        listed.run_as = pg::datum_oid(row[1].datum);
        if (!row[2].null) listed.target = pg::datum_oid(row[2].datum);
        listed.dry_run = pg::datum_bool(row[3].datum);
        if (!row[4].null) listed.operation = pg::datum_text(row[4].datum);
        listed.kind = pg::datum_text(row[5].datum);
        listed.jobs = pg::datum_int64_array(row[6].datum);
    }
    return all;
}

[[noreturn]] void cannot(const Listed& listed, bool backwards, const std::string& why, const std::string& hint = {}) {
    pg::Error error("55000", std::string("cannot ") + (backwards ? "revert" : "apply") + " sync job " + std::to_string(listed.jobs[0]));
    error.detail(why);
    if (!hint.empty()) error.hint(hint);
    throw error;
}

// False: the job has changed nothing.
bool is_to_replay(const Listed& listed, bool backwards) {
    require_session_of(listed.run_as, "sync job " + std::to_string(listed.jobs[0]),
                       std::string("Have a worker do it with ") + (backwards ? "enqueue_revert" : "enqueue_apply") +
                           "(...), or use SET SESSION AUTHORIZATION first.");
    if (listed.kind == "live") cannot(listed, backwards, "It has not ended.", "Wait for it, or cancel it.");
    if (listed.kind == "none") return false;
    if (backwards && listed.dry_run) return false;
    if (!backwards && !listed.dry_run) cannot(listed, backwards, "It was not a dry run: its changes are real already.");
    if (!backwards && listed.kind == "many") cannot(listed, backwards, "A dry run of a full sync only counts.", "Enqueue the full sync without dry_run.");
    if (listed.target == pg::no_oid) cannot(listed, backwards, "Its record does not say which documents it has written to.");
    return true;
}

void require_may_replay(const Listed& listed, const JobType& type, bool backwards) {
    auto sample = find_job(listed.jobs[0]);
    if (!sample) no_such_job(listed.jobs[0]);
    require_trusted_type(type, sample->job);
    if (controller_kind(type).bypass) cannot(listed, backwards, "Its diff was made by a bypass controller, not by the engine.");
    if (backwards) return;
    auto operation = parse_operation(listed.operation);
    if (operation && !type.enables(*operation)) {
        cannot(listed, backwards, "Its sync job type does not allow the operation " + listed.operation + " now.",
               "Set the gate of the type (insert_enabled, update_enabled, delete_enabled).");
    }
}

// --- Their changes ---

// A subquery; $1: the jobs, those of one document as well as those of many.
std::string changes_of_jobs() {
    return "(SELECT j.id, j.ended_at, j.source_document_name AS source, j.target_document_name AS target, j.operation, j.diff_summary AS diff,"
    "  j.fingerprint FROM sync_job_internal.sync_job_ended AS j WHERE j.id = ANY ($1) AND j.status = 'Finished' AND NOT " +
    std::string(may_have_documents) +
    " AND j.target_document_name IS NOT NULL"
    " UNION ALL"
    " SELECT j.id, j.ended_at, d.source_document_name, d.target_document_name, d.operation, d.diff_summary, d.fingerprint"
    "  FROM {}.sync_job_document AS d JOIN {}.sync_job AS j ON j.id = d.sync_job"
    "  WHERE d.sync_job = ANY ($1) AND d.status = 'Finished' AND d.target_document_name IS NOT NULL)";
}

// When a job ended, and its id.
using Moment = std::pair<pg::Timestamp, std::int64_t>;

// A document whose key was changed has different names in the records of earlier jobs.
class Renames {
public:
    Renames(const ReplayGroup& group, const DocumentType& documents) {
        static auto& select = *new InternalStatement(
            "SELECT c.id, c.ended_at, c.target, c.diff FROM " + changes_of_jobs() + " AS c WHERE c.operation = 'Update' AND c.diff ?| $2",
            {pg::type::int8_array, pg::type::text_array});
        std::vector<std::string> key;
        for (int number : documents.key()) key.push_back(documents.relation().columns[number - 1].name);
        for (const auto& row : select.run({{pg::int64_array_datum(group.jobs), false}, {pg::text_array_datum(key), false}})) {
            std::string to(pg::datum_text(row[2].datum));
            RecordedChange change = read_change(documents, Operation::update, row[3], {}, false);
            by_name_[name_before(documents, change, to)][{pg::datum_int64(row[1].datum), pg::datum_int64(row[0].datum)}] = to;
        }
    }

    // As arrays: which name meant which document, from one moment on and until another.
    std::vector<pg::Value> as_arrays() const {
        std::vector<std::string> names, finals;
        std::vector<pg::Value> from_at, until_at;
        Ids from_id, until_id;
        for (const auto& [name, renames] : by_name_) {
            Moment from = {std::numeric_limits<pg::Timestamp>::min(), 0};
            for (const auto& [at, to] : renames) {
                names.push_back(name);
                finals.push_back(name_at_last(to, at));
                from_at.push_back({pg::int64_datum(from.first), false});
                from_id.push_back(from.second);
                until_at.push_back({pg::int64_datum(at.first), false});
                until_id.push_back(at.second);
                from = at;
            }
        }
        return {{pg::text_array_datum(names), false},
                {pg::text_array_datum(finals), false},
                {pg::array_datum(from_at, pg::type::timestamptz), false},
                {pg::int64_array_datum(from_id), false},
                {pg::array_datum(until_at, pg::type::timestamptz), false},
                {pg::int64_array_datum(until_id), false}};
    }

private:
    std::string name_at_last(std::string name, Moment at) const {
        for (;;) {
            auto renames = by_name_.find(name);
            if (renames == by_name_.end()) return name;
            auto next = renames->second.upper_bound(at);
            if (next == renames->second.end()) return name;
            at = next->first;
            name = next->second;
        }
    }

    std::map<std::string, std::map<Moment, std::string>> by_name_;
};

std::string changes_sql(bool backwards) {
    std::string first = backwards ? "max" : "min", order = backwards ? " DESC" : "";
    return "SELECT c.document, c.id, c.source, c.target, c.operation, c.diff, c.fingerprint FROM"
           " (SELECT c.*, coalesce(m.final COLLATE \"C\", c.target) AS document FROM " + changes_of_jobs() + " AS c"
           "  LEFT JOIN ROWS FROM (unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7))"
           "   AS m (name, final, from_at, from_id, until_at, until_id)"
           "  ON m.name COLLATE \"C\" = c.target AND (c.ended_at, c.id) >= (m.from_at, m.from_id) AND (c.ended_at, c.id) < (m.until_at, m.until_id)) AS c"
           " ORDER BY " + first + "(c.ended_at) OVER (PARTITION BY c.document)" + order + ", c.document, c.ended_at" + order + ", c.id" + order;
}

}  // namespace

std::vector<ReplayGroup> jobs_to_replay(const Ids& ids, bool backwards) {
    std::vector<ReplayGroup> groups;
    for (Listed& listed : listed_jobs(ids)) {
        if (!is_to_replay(listed, backwards)) continue;
        auto same = [&](const ReplayGroup& group) { return group.type->name == listed.type && group.target == listed.target; };
        auto group = std::find_if(groups.begin(), groups.end(), same);
        if (group == groups.end()) {
            groups.push_back({require_job_type(listed.type), listed.target, listed.jobs[0], {}});
            group = groups.end() - 1;
        }
        require_may_replay(listed, *group->type, backwards);
        group->jobs.insert(group->jobs.end(), listed.jobs.begin(), listed.jobs.end());
    }
    if (!backwards) std::reverse(groups.begin(), groups.end());
    return groups;
}

// Somebody who may not have this done must learn nothing about the jobs.
std::shared_ptr<const JobType> type_to_replay(const Ids& ids) {
    std::set<std::string> types;
    Oid user = pg::current_user();
    for (const Listed& listed : listed_jobs(ids)) {
        types.insert(listed.type);
        if (pg::may_set_role(user, listed.run_as) || has_level(user, Level::operator_)) continue;
        throw pg::Error("42501", "permission denied for sync job " + std::to_string(listed.jobs[0]))
            .detail("It runs as role " + quoted(pg::role_name(listed.run_as)) + ", which role " + quoted(pg::role_name(user)) +
                    " may not become; and that is not an operator.");
    }
    if (types.empty()) throw pg::Error("22023", "no sync jobs are given");
    if (types.size() == 1) return require_job_type(*types.begin());
    throw pg::Error("22023", "the sync jobs are of several types")
        .detail("They are of " + quoted(*types.begin()) + ", " + quoted(*std::next(types.begin())) + (types.size() > 2 ? " and others." : "."))
        .hint("Name those of one type at a time.");
}

ListedChanges::ListedChanges(const ReplayGroup& group, const DocumentType& documents, bool backwards)
    : documents_(documents), backwards_(backwards) {
    std::vector<pg::Value> arguments = {{pg::int64_array_datum(group.jobs), false}};
    ReplayGroup none;
    for (pg::Value array : Renames(backwards ? group : none, documents).as_arrays()) arguments.push_back(array);
    cursor_ = open_internal_cursor(changes_sql(backwards), {pg::type::int8_array, pg::type::text_array, pg::type::text_array, pg::type::timestamptz_array,
                                                            pg::type::int8_array, pg::type::timestamptz_array, pg::type::int8_array}, arguments);
}

std::vector<ListedChanges::OfDocument> ListedChanges::next(std::size_t most) {
    constexpr long rows_at_a_time = 100;
    constexpr std::int64_t most_bytes = 16 << 20;
    std::vector<OfDocument> found;
    std::string document;
    for (std::int64_t bytes = 0;;) {
        if (!rows_ || at_ == rows_->size()) {
            rows_.emplace(cursor_->fetch(rows_at_a_time));
            at_ = 0;
            if (rows_->empty()) return found;
        }
        std::string name = rows_->text(at_, 0);
        if (found.empty() || name != document) {
            if (found.size() == most || bytes > most_bytes) return found;
            found.emplace_back();
            document = name;
        }
        auto text = [&](int column) { return rows_->at(at_, column).null ? std::string() : rows_->text(at_, column); };
        pg::Value diff = rows_->copy(at_, 5);
        if (!diff.null) bytes += pg::full_size(diff.datum, false, -1);
        Operation operation = parse_operation(text(4)).value_or(Operation::update);
        found.back().push_back({rows_->int64(at_, 1), text(2), text(3), read_change(documents_, operation, diff, rows_->copy(at_, 6), backwards_)});
        at_++;
    }
}

}  // namespace sync_job
