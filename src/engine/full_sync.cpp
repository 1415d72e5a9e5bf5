#include "engine/full_sync.hpp"

#include <algorithm>
#include <numeric>

#include "controller/source_condition.hpp"
#include "core/text.hpp"
#include "engine/compare.hpp"
#include "engine/full_sync_run.hpp"
#include "job/job_store.hpp"
#include "job/source_triggers.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/rights.hpp"
#include "queue/task.hpp"

namespace sync_job {

using C = JobColumn;

void NameList::add(const std::string& name) {
    auto length = static_cast<std::uint32_t>(name.size());
    bytes_.append(reinterpret_cast<const char*>(&length), sizeof(length)).append(name);
    size_++;
}

std::vector<std::string> NameList::take(std::size_t most) {
    std::vector<std::string> names;
    while (names.size() < most && at_ < bytes_.size()) {
        std::uint32_t length;
        bytes_.copy(reinterpret_cast<char*>(&length), sizeof(length), at_);
        names.push_back(bytes_.substr(at_ + sizeof(length), length));
        at_ += sizeof(length) + length;
    }
    return names;
}

void NameList::put_back(const std::vector<std::string>& names) {
    NameList back;
    for (const std::string& name : names) back.add(name);
    at_ -= back.bytes_.size();
    bytes_.replace(at_, back.bytes_.size(), back.bytes_);
}

namespace {

std::string number(std::int64_t value) { return std::to_string(value); }

// The work of a run of this process that has let other jobs go first.
struct KeptWork {
    std::int64_t run = 0, attempt = 0;
    FullSyncWork work;
};

KeptWork& kept_work() {
    static auto& kept = *new KeptWork;
    return kept;
}

}  // namespace

FullSync::FullSync(SyncContext& sync, const JobType& type, Controller& controller)
    : sync_(sync),
      type_(type),
      mapping_(controller.mapping()),
      source_(DocumentType::find(type.source, type.source_key)),
      run_(sync.job.copy()),
      others_(run_) {
    require_own_documents(*source_);
    if (mapping_ != nullptr) require_own_documents(mapping_->target());
}

void FullSync::run() {
    read_context();
    read_checkpoint();
    require_alone();
    KeptWork& kept = kept_work();
    bool goes_on = kept.run == run_.id() && kept.attempt == checkpoint_.attempt && kept.attempt != 0;
    if (!request_.dry_run) {
        checkpoint_.attempt = pg::now();
        commit(false);
        pg::ensure_portal_snapshot();
    }
    if (goes_on) {
        work_ = std::move(kept.work);
        show();
    } else {
        find_work();
        const FullSyncCounts& done = checkpoint_.done;
        check_limits(done[FullSyncCount::updated] + work_.different,
                     done[FullSyncCount::deleted] + (request_.delete_surplus ? work_.surplus : 0),
                     done[FullSyncCount::inserted] + work_.missing);
    }
    kept = {};
    if (!request_.dry_run) {
        walk(work_.to_sync, [&](const std::vector<std::string>& names) { return sync_documents(names); });
        walk(work_.to_delete, [&](const std::vector<std::string>& names) { return delete_surplus(names); });
        pg::ensure_portal_snapshot();
    }
    sync_.result = {result(), false};
    if (sync_.status == Status::queued) kept = {run_.id(), checkpoint_.attempt, std::move(work_)};
}

void FullSync::read_context() {
    request_ = full_sync_request_of(run_);
    Oid owner = run_.oid(C::owner);
    if (!may_do_all(type_, owner)) {  // checked again, because somebody may have changed the context since
        throw pg::Error("42501", "permission denied for a full sync by role " + quoted(pg::role_name(owner)));
    }
    require_full_sync(type_, request_);
    check_condition(type_, request_.condition);
    if (request_.delete_surplus && !mapping_->target().supports_many()) {
        throw pg::Error("0A000", "surplus documents of type " + quoted(mapping_->target().label()) +
                                     " cannot be deleted by a full sync")
            .detail("A column of its key is an array or composite.");
    }
}

void FullSync::read_checkpoint() {
    checkpoint_ = full_sync_checkpoint_of(run_);
    require_same_type(&type_);
    checkpoint_.definition = definition_of(type_);
    if (mapping_ == nullptr) checkpoint_.code = code_of(type_);
    committed_ = checkpoint_.done;
}

// Compares with the checkpoint: syncing half of the documents in one way and half in another would be wrong.
void FullSync::require_same_type(const JobType* type) const {
    auto changed = [](const std::string& what) {
        return pg::Error("55000", what + " was changed during the run").hint("Enqueue another full sync.");
    };
    std::string name = "sync job type " + quoted(type_.name);
    if (type == nullptr || (checkpoint_.definition != 0 && checkpoint_.definition != definition_of(*type))) throw changed(name);
    if (checkpoint_.code != 0 && checkpoint_.code != code_of(*type)) throw changed("a controller function of " + name);
}

void FullSync::require_alone() const {
    auto other = other_full_sync(type_.name, run_.id(), true);
    if (!other || *other > run_.id()) return;
    throw pg::Error("55006",
                    "full sync " + number(*other) + " of sync job type " + quoted(type_.name) + " runs right now");
}

// --- What there is to do ---

void FullSync::find_work() {
    work_ = {};
    work_.before = static_cast<std::size_t>(std::accumulate(committed_.begin(), committed_.end(), std::int64_t{0}));
    if (mapping_ == nullptr && (request_.dry_run || request_.check_first)) compare_documents();
    pg::Subtransaction subtransaction;  // rolls back what the type's code writes
    {
        pg::SpiScope spi;
        pg::SnapshotScope snapshot;
        mapping_ != nullptr ? compare_tables() : list_sources();
        count_scope();
    }
    subtransaction.rollback();
    work_.unwatched = source_triggers(type_.name, type_.source).empty();
}

void FullSync::compare_tables() {
    work_.counted = true;
    auto found = [&](const Mapping::Unequal& pair) {
        if (!pair.ambiguous && !type_.enables(pair.missing ? Operation::insert : Operation::update)) return;
        (pair.ambiguous ? work_.ambiguous : pair.missing ? work_.missing : work_.different)++;
        if (!pair.ambiguous) work_.to_sync.add(source_->name_of(pair.source));
    };
    mapping_->each_unequal(request_.condition, found, request_.adopt);
    if (pg::row_security_applies(source_->relation().oid)) {
        work_.surplus_unknown = "row-level security of the source";
    } else if (may_remove_targets(type_)) {
        mapping_->each_surplus([&](const pg::RowValues& target) {
            work_.surplus++;
            if (request_.delete_surplus) work_.to_delete.add(mapping_->target().name_of(target));
        });
    }
}

// Compares document by document, in a subtransaction of its own.
void FullSync::compare_documents() {
    ComparisonRequest request;
    request.condition = request_.condition;
    request.max_rows = 0;
    Comparison found = sync_job::compare(type_, request);
    auto all = [&](Difference difference) {
        const auto& counts = found.counts[static_cast<int>(difference)];
        return counts[0] + counts[1];
    };
    work_.counted = true;
    work_.missing = all(Difference::missing);
    work_.different = all(Difference::different);
    work_.ambiguous = all(Difference::ambiguous);
    work_.surplus_unknown = found.surplus_unknown;
}

std::string FullSync::sources_sql(const std::string& columns, const std::string& more) const {
    std::vector<std::string> conditions;
    if (!type_.source_condition.empty()) conditions.push_back(condition_sql(type_));
    if (!request_.condition.empty()) conditions.push_back("(" + request_.condition + "\n)");
    if (!more.empty()) conditions.push_back(more);
    return "SELECT " + columns + " FROM " + source_->relation().quoted + " AS source" +
           (conditions.empty() ? "" : " WHERE " + join(conditions, " AND "));
}

namespace {

std::vector<std::string> key_columns_of(const DocumentType& source) {
    std::vector<std::string> columns;
    for (int number : source.key()) columns.push_back("source." + pg::quoted_identifier(source.relation().columns[number - 1].name));
    return columns;
}

}  // namespace

// A condition for the sources after the one that the checkpoint names, in the order of the key.
std::string FullSync::after_sql() const {
    if (checkpoint_.after.empty()) return {};
    pg::CanonicalOutput canonical;
    pg::RowValues row = pg::empty_row(source_->relation());
    source_->set_key(row, checkpoint_.after);
    std::vector<std::string> values;
    for (int number : source_->key()) {
        const pg::Column& column = source_->relation().columns[number - 1];
        values.push_back("CAST(" + pg::quoted_literal(pg::value_to_text(row.at(number).datum, column.type)) + " AS " +
                         pg::qualified_type_name(column.type, column.typmod) + ")");
    }
    return "ROW(" + join(key_columns_of(*source_), ", ") + ") OPERATOR(pg_catalog.>) ROW(" + join(values, ", ") + ")";
}

// Lists all sources, because the controller decides separately for each what is to be done.
void FullSync::list_sources() {
    constexpr long names_at_a_time = 1000;
    std::string keys = join(key_columns_of(*source_), ", ");
    pg::Cursor cursor(sources_sql(keys, after_sql()) + " ORDER BY " + keys);
    pg::require_current(source_->relation());
    std::string last;
    for (;;) {
        pg::Rows rows = cursor.fetch(names_at_a_time);
        if (rows.empty()) return;
        for (std::uint64_t i = 0; i < rows.size(); i++) {
            pg::RowValues key = rows.whole(i), row = pg::empty_row(source_->relation());
            bool has_null = false;
            for (std::size_t j = 0; j < source_->key().size(); j++) {
                pg::Value value = key.at(static_cast<int>(j) + 1);
                has_null = has_null || value.null;
                row.set(source_->key()[j], value);
            }
            std::string name = has_null ? std::string() : source_->name_of(row);
            if (!has_null && (name != last || work_.to_sync.size() == 0)) work_.to_sync.add(name);  // a view may have a name twice
            last = name;
        }
    }
}

void FullSync::count_scope() {
    auto count = [](const std::string& sql) { return pg::execute_sql(sql).int64(0, 0); };
    work_.sources = count(sources_sql("pg_catalog.count(*)"));
    if (mapping_ != nullptr && request_.condition.empty()) {
        work_.targets = mapping_->count_targets();
    } else {
        // About as many as the targets of these sources; several sources may share one.
        work_.targets = std::max<std::int64_t>(work_.sources - work_.missing, 0) + work_.surplus;
    }
}

std::string FullSync::counts() const {
    if (!work_.counted) return "Looked at: " + number(static_cast<std::int64_t>(work_.before + work_.walked)) + " of " + number(work_.sources) + " sources";
    return "Compared: " + number(work_.sources) + " sources, " + number(work_.targets) + " targets: " + number(work_.missing) +
           " missing, " + number(work_.different) + " different, " + number(work_.surplus) + " surplus, " +
           number(work_.ambiguous) + " ambiguous";
}

void FullSync::stop(const std::string& why) const {
    auto committed = [&](FullSyncCount::Index which) { return committed_[which]; };
    std::int64_t written = committed(FullSyncCount::inserted) + committed(FullSyncCount::updated) + committed(FullSyncCount::deleted);
    std::string done = written == 0 ? "Nothing was written"
                                    : number(committed(FullSyncCount::inserted)) + " inserted, " +
                                          number(committed(FullSyncCount::updated)) + " updated, " +
                                          number(committed(FullSyncCount::deleted)) + " deleted until then";
    throw pg::Error("54000", "full sync of sync job type " + quoted(type_.name) + " stops: " + why)
        .detail(counts() + ". " + done + ".")
        .hint("If that is as it should be, enqueue it with a higher limit.");
}

// Checked before the first write, and before each commit with what was written. Earlier attempts count, too.
void FullSync::check_limits(std::int64_t updates, std::int64_t deletes, std::int64_t inserts) const {
    std::int64_t targets = work_.targets + committed_[FullSyncCount::deleted];
    auto percent = [&](std::int64_t part) {
        return 100.0 * static_cast<double>(part) / static_cast<double>(std::max<std::int64_t>(targets, 1));
    };
    auto beyond = [&](const char* what, std::int64_t part, const char* limit, double most) {
        if (part == 0 || most >= 100 || percent(part) <= most) return;  // over several attempts, some targets are written twice
        std::string shown = number(static_cast<std::int64_t>(most)) + " %";
        stop("it would " + std::string(what) + " " + number(part) + " of " + number(targets) + " targets, more than " +
             limit + " (" + shown + ")");
    };
    beyond("delete", deletes, "max_delete_percent", request_.max_delete_percent);
    beyond("update or delete", updates + deletes, "max_change_percent", request_.max_change_percent);
    std::int64_t all = updates + deletes + inserts;
    if (!request_.max_changes || all <= *request_.max_changes) return;
    stop("it would change " + number(all) + " documents, more than max_changes (" + number(*request_.max_changes) +
         ")");
}

Datum FullSync::result() const {
    pg::JsonBuilder json;
    json.begin_object();
    auto add = [&](const char* name, std::int64_t value) {
        json.key(name);
        json.number(value);
    };
    auto add_counted = [&](const char* name, std::int64_t value) {
        json.key(name);
        work_.counted ? json.number(value) : json.null();
    };
    add_counted("missing", work_.missing);
    add_counted("different", work_.different);
    json.key("surplus");
    mapping_ != nullptr ? json.number(work_.surplus) : json.null();
    add_counted("ambiguous", work_.ambiguous);
    add("sources", work_.sources);
    add("targets", work_.targets);
    for (int i = 0; i < FullSyncCount::all; i++) add(full_sync_count_names[i], checkpoint_.done[i]);
    if (!work_.surplus_unknown.empty()) json.field("surplus_unknown", work_.surplus_unknown);
    if (work_.unwatched) {
        json.field("unwatched", "no trigger of the source enqueues jobs of the type: what has changed during the run may not be synced");
    }
    json.end_object();
    return json.finish();
}

// Locks the target first, then looks again with a newer snapshot.
bool is_no_surplus_any_more(const SyncContext& sync) {
    const Job& job = sync.job;
    bool left_full_sync = !job.is_null(C::relation) && job.text(C::relation) == relation::set && job.is_null(C::source_document_name) &&
                          !job.is_null(C::target_document_name) && job.operation() == Operation::remove;
    if (!left_full_sync) return false;
    Mapping* mapping = sync.controller->mapping();
    if (mapping == nullptr) return true;  // it cannot be determined any more
    std::string name(job.text(C::target_document_name));
    mapping->target().load(name, DocumentType::Lock::for_update);
    pg::SnapshotScope snapshot;
    return mapping->still_surplus({name}).empty();
}

void run_full_sync(SyncContext& sync, const JobType& type) {
    require_trusted_type(type, sync.job);
    require_full_sync(type, {});
    auto controller = find_controller(type);
    FullSync(sync, type, *controller).run();
}

}  // namespace sync_job
