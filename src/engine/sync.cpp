#include "engine/sync.hpp"

#include "controller/background_call.hpp"
#include "controller/source_condition.hpp"
#include "core/text.hpp"
#include "document/deleted_document.hpp"
#include "engine/compare.hpp"
#include "engine/full_sync.hpp"
#include "engine/relay.hpp"
#include "engine/replay_many.hpp"
#include "pg/deadline.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/xact.hpp"
#include "queue/outcome.hpp"
#include "queue/rights.hpp"
#include "queue/task.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

constexpr const char* operation_hint = "trigger_operation";

[[noreturn]] void missing_document(const char* side, const std::string& name, const DocumentType& type,
                                   const char* hint) {
    throw pg::Error("P0002", std::string(side) + " document " + quoted(name) + " of type " + quoted(type.label()) +
                                 " does not exist")
        .hint(hint);
}

std::shared_ptr<DocumentType> document_type(Oid relation, Oid of_type, const std::vector<std::string>& key) {
    try {
        auto documents = DocumentType::find(relation, relation == of_type ? key : std::vector<std::string>());
        require_own_documents(*documents);
        return documents;
    } catch (const SetupError&) {
        throw;
    } catch (const pg::Error& error) {
        throw SetupError(error);
    }
}

// Replaces document types that were dropped since the job was enqueued with those that the job type names now.
void replace_dropped_document_types(Job& job, const JobType& type) {
    auto replace = [&](C column, Oid now) {
        Oid then = job.oid(column);
        if (then != now && then != pg::no_oid && now != pg::no_oid && !pg::relation_exists(then)) job.set_oid(column, now);
    };
    replace(C::source_document_type, type.source);
    replace(C::target_document_type, type.target);
}

std::string stated_operation(const Job& job) {
    if (job.is_null(C::context)) return {};
    for (const pg::JsonField& field : pg::json_fields(job.datum(C::context))) {
        if (field.key == operation_hint) return field.text;
    }
    return {};
}

// The deletion that the job is about: the last one that its own type has kept, else that of another type. If a trigger
// enqueued the job for an insert or update, the document existed then: what was kept before is of an earlier life.
const KeptRow* last_deletion(const std::vector<KeptRow>& rows, const Job& job) {
    std::string stated = stated_operation(job);
    bool lived = stated == to_text(Operation::insert) || stated == to_text(Operation::update);
    const KeptRow* of_another = nullptr;
    for (const KeptRow& row : rows) {
        if (!row.is_deletion || (lived && !row.nameless && row.kept_at < pg::datum_int64(job.datum(C::created_at)))) continue;
        if (row.own) return &row;
        if (of_another == nullptr) of_another = &row;
    }
    return of_another;
}

[[noreturn]] void no_source(const DocumentType& documents, const std::string& name) {
    bool policies = pg::row_security_applies(documents.relation().oid);
    missing_document("source", name, documents,
                     policies ? "Its name may be wrong; or row-level security hides it. To a role that policies of the "
                                "table apply to, a deleted document does not exist."
                              : "Its name may be wrong; or no record of its deletion was kept; or the role the job "
                                "runs as may not see it.");
}

// Rows that source_condition does not hold for were not there.
std::vector<KeptRow> in_scope(SyncContext& sync, const std::string& name, std::vector<KeptRow> rows) {
    SourceCondition* condition = sync.controller->source_condition.get();
    if (condition == nullptr) return rows;
    std::erase_if(rows, [&](const KeptRow& row) {
        KeptDocument document = read_kept(*sync.documents.source_type, name, row);
        return !by_controller(sync, [&] { return condition->holds(document); });
    });
    return rows;
}

// The document is not there: what it was tells where its targets are. Nothing: it was not there before either.
void take_kept(SyncContext& sync, const std::string& name, const std::vector<KeptRow>& rows) {
    DocumentType& documents = *sync.documents.source_type;
    sync.documents.source = {};
    sync.documents.source_is_deleted = true;
    sync.documents.kept = in_scope(sync, name, rows);
    sync.was_not_there = sync.documents.kept.empty();
    // A type with a match reads of it what it needs.
    if (sync.was_not_there || sync.controller->match() != nullptr) return;
    sync.documents.source = whole_document(documents, read_kept(documents, name, sync.documents.kept[0]));
}

void take_deletion(SyncContext& sync, const JobType& type, const std::string& name) {
    DocumentType& documents = *sync.documents.source_type;
    sync.kept = kept_rows(documents, type.name, name);  // it may have been deleted since we looked
    const KeptRow* deletion = last_deletion(sync.kept, sync.job);
    if (deletion == nullptr) no_source(documents, name);
    sync.deletion = deletion->id;
    std::vector<KeptRow> rows{*deletion};
    for (const KeptRow& row : sync.kept) {
        if (row.own && row.id < deletion->id) rows.push_back(row);
    }
    take_kept(sync, name, rows);
}

void load_source(SyncContext& sync, const JobType& type) {
    Job& job = sync.job;
    Oid relation = job.oid(C::source_document_type);
    if (relation != pg::no_oid) {
        bool needed = !job.is_null(C::source_document_name);
        if (needed) sync.documents.source_type = document_type(relation, type.source, type.source_key);
    }
    if (job.is_null(C::source_document_name)) return;
    DocumentType& documents = *sync.documents.source_type;
    std::string name(job.text(C::source_document_name));
    // The kept rows first, then the document: if it exists now, that is later than what they tell of.
    sync.kept = kept_rows(documents, type.name, name);
    sync.documents.source = documents.load(name, DocumentType::Lock::none);
    SourceCondition* condition = sync.controller->source_condition.get();
    if (sync.documents.source.null) {
        take_deletion(sync, type, name);
    } else if (condition != nullptr && !by_controller(sync, [&] { return condition->holds(sync.documents.source); })) {
        std::vector<KeptRow> own = sync.kept;
        std::erase_if(own, [](const KeptRow& row) { return !row.own; });
        take_kept(sync, name, own);
    } else {
        sync.documents.kept = in_scope(sync, name, sync.kept);
    }
    correct_operation_hint(job, sync.documents.source_is_deleted);
}

// Forgets what was kept, now that it has been used.
void forget_kept(const SyncContext& sync) {
    if (sync.deletion != 0) {
        forget_before(sync.kept, sync.deletion);
    } else {
        forget_earlier_lives(sync.kept);
    }
}

// The targets: as the job says, or as the controller finds them.
std::vector<Target> discover(SyncContext& sync) {
    const Job& job = sync.job;
    auto operation = job.operation();
    bool named = !job.is_null(C::target_document_name);
    if (operation && (named || *operation == Operation::insert)) {
        Target target;
        target.operation = *operation;
        if (named) target.document_name = std::string(job.text(C::target_document_name));
        return {target};
    }
    if (sync.controller->match() != nullptr) return sync.controller->targets(job, sync.documents);
    return by_controller(sync, [&] { return sync.controller->targets(job, sync.documents); });
}

// A gate that the type has closed is closed for the job, as its controller sees it, too. Not for its children: they look when
// they run.
void close_gates(SyncContext& sync, const JobType& type) {
    for (Operation operation : {Operation::insert, Operation::update, Operation::remove}) {
        if (type.enables(operation) || !sync.job.enables(operation)) continue;
        sync.job.set(Job::enabled_column(operation), pg::bool_datum(false));
        sync.closed.push_back(operation);
    }
}

void settle_target(SyncContext& sync, const JobType& type, const Target& target) {
    Job& job = sync.job;
    Oid relation = target.document_type != pg::no_oid ? target.document_type : job.oid(C::target_document_type);
    if (relation == pg::no_oid) {
        throw SetupError(pg::Error("22004", "sync job type " + quoted(type.name) + " has no target document type")
                             .hint("Set target_document_type of the sync job type, or of the job."));
    }
    sync.documents.target_type = document_type(relation, type.target, type.target_key);
    sync.documents.wanted = target.wanted;
    sync.documents.target_moves = target.moves;
    job.set_oid(C::target_document_type, relation);
    if (target.document_name) {
        job.set_text(C::target_document_name, sync.documents.target_type->canonical_name(*target.document_name));
    } else {
        job.clear(C::target_document_name);
    }
    if (!target.context.null) {
        job.set(C::context, target.context);
        sync.context = target.context;
    }
}

bool records_diff(const Job& job) { return job.flag(C::dry_run) || job.flag(C::verbose_logging); }

// Takes the target that before_sync returns, if it does.
void call_before_sync(SyncContext& sync, pg::RowValues& row, ColumnSet* explicit_columns) {
    if (sync.job.flag(C::dry_run) || !sync.controller->has(Hook::before_sync)) return;
    const DocumentType& type = *sync.documents.target_type;
    pg::Value result = call_hook(sync, Hook::before_sync);
    if (result.null) return;
    switch (sync.controller->result_of(Hook::before_sync)) {
        case HookResult::json:
            if (pg::json_kind(result.datum) != pg::JsonKind::object) {
                throw pg::Error("22023", "hook before_sync returned no JSON object")
                    .detail("It returned: " + pg::clipped(pg::json_to_text(result.datum), 60) + ".");
            }
            row = type.from_json(result.datum, row, explicit_columns);
            break;
        case HookResult::target_row:
            row = pg::take_apart(result.datum, type.relation());
            break;
        case HookResult::nothing:
            return;
    }
    sync.wanted = {pg::put_together(row, type.relation()), false};
}

void call_after_sync(SyncContext& sync) {
    if (sync.job.flag(C::dry_run) || !sync.controller->has(Hook::after_sync)) return;
    call_hook(sync, Hook::after_sync);
}

pg::RowValues wanted_target(SyncContext& sync, const pg::RowValues& base, ColumnSet* explicit_columns) {
    const DocumentType& type = *sync.documents.target_type;
    pg::RowValues row = by_controller(sync, [&] { return sync.controller->update(sync.job, sync.documents, base, explicit_columns); });
    sync.wanted = {pg::put_together(row, type.relation()), false};
    sync.documents.target = sync.wanted;
    return row;
}

void finish_write(SyncContext& sync, pg::Value after, const ColumnSet& columns) {
    const DocumentType& type = *sync.documents.target_type;
    sync.controller->wrote(type, pg::take_apart(after.datum, type.relation()), columns);
    sync.documents.target = after;
    sync.documents.target_is_new = false;
    sync.wanted = after;
    sync.job.set_text(C::target_document_name, type.name_of(after.datum));
    call_after_sync(sync);
}

void sync_insert(SyncContext& sync) {
    DocumentType& type = *sync.documents.target_type;
    ColumnSet explicit_columns;
    sync.documents.target_is_new = true;
    pg::RowValues base = pg::empty_row(type.relation());
    if (!sync.job.is_null(C::target_document_name)) {
        type.set_key(base, std::string(sync.job.text(C::target_document_name)));
    }
    pg::RowValues row = wanted_target(sync, base, &explicit_columns);
    call_before_sync(sync, row, &explicit_columns);
    sync.inserting = true;
    Datum inserted = type.insert(row, type.inserted_columns(row, explicit_columns));
    pg::Value after{inserted, false};
    finish_write(sync, after, explicit_columns);
    sync.fingerprint = type.fingerprint(pg::take_apart(inserted, type.relation()), sync.secret);
    if (records_diff(sync.job)) sync.diff = {type.diff({}, after, sync.secret), false};
}

// From what the target is to what it should be.
void update_target(SyncContext& sync, const std::string& name, const pg::RowValues& base, pg::RowValues row, ColumnSet explicit_columns) {
    DocumentType& type = *sync.documents.target_type;
    ColumnSet changed = type.changed_columns(base, row);
    if (changed.empty() && !sync.job.flag(C::update_without_changes_enabled)) {
        sync.status = Status::skipped;
        sync.controller->wrote(type, row, explicit_columns);
        return;
    }
    if (!sync.job.flag(C::dry_run) && sync.controller->has(Hook::before_sync)) {
        call_before_sync(sync, row, &explicit_columns);
        changed = type.changed_columns(base, row);
        if (changed.empty() && !sync.job.flag(C::update_without_changes_enabled)) {
            sync.status = Status::skipped;
            sync.documents.target = sync.before;
            return;
        }
    }
    pg::Value after{type.update(name, row, changed), false};
    sync.diff = {type.diff(sync.before, after, sync.secret), false};
    finish_write(sync, after, explicit_columns);
}

void sync_update(SyncContext& sync) {
    DocumentType& type = *sync.documents.target_type;
    std::string name(sync.job.text(C::target_document_name));
    sync.before = type.load(name, DocumentType::Lock::for_update);
    if (sync.before.null) {
        missing_document("target", name, type, "It was deleted, or the role the job runs as may not see it.");
    }
    sync.documents.target = sync.before;
    pg::RowValues base = pg::take_apart(sync.before.datum, type.relation());
    ColumnSet explicit_columns;
    pg::RowValues row = wanted_target(sync, base, &explicit_columns);
    sync.inserting = sync.documents.target_moves;  // under a value that another may have inserted
    update_target(sync, name, base, row, explicit_columns);
}

void sync_delete(SyncContext& sync) {
    DocumentType& type = *sync.documents.target_type;
    std::string name(sync.job.text(C::target_document_name));
    if (!sync.job.flag(C::dry_run) && sync.controller->has(Hook::before_sync)) {
        sync.documents.target = type.load(name, DocumentType::Lock::for_update);
        if (!sync.documents.target.null) {
            call_hook(sync, Hook::before_sync);
        }
    }
    sync.before = type.remove(name);
    if (sync.before.null) {
        if (!type.load(name, DocumentType::Lock::none).null) {
            throw pg::Error("27000", "delete of a document of type " + quoted(type.label()) + " removed no row")
                .detail("A trigger, rule or policy of the table suppressed it.");
        }
        sync.status = Status::no_target;
        return;
    }
    sync.documents.target = sync.before;
    call_after_sync(sync);
    sync.diff = {type.diff(sync.before, {}, sync.secret), false};
}

pg::RowValues with_values_of_deleted(const JobType& type, const DocumentType& documents, const pg::RowValues& base, ColumnSet* named) {
    return documents.from_json(pg::json_from_text(type.on_delete_values), base, named);
}

// Instead of a delete: the target gets the values that say so. For the record, and for who undoes it, that is an update.
void sync_soft_delete(SyncContext& sync, const JobType& type) {
    DocumentType& documents = *sync.documents.target_type;
    std::string name(sync.job.text(C::target_document_name));
    sync.job.set_text(C::operation, to_text(Operation::update));
    if (!sync.job.enables(Operation::update)) {
        sync.status = Status::skipped;
        return;
    }
    sync.before = documents.load(name, DocumentType::Lock::for_update);
    if (sync.before.null) {
        sync.status = Status::no_target;
        return;
    }
    sync.documents.target = sync.before;
    pg::RowValues base = pg::take_apart(sync.before.datum, documents.relation());
    ColumnSet named;
    pg::RowValues row = with_values_of_deleted(type, documents, base, &named);
    sync.wanted = {pg::put_together(row, documents.relation()), false};
    update_target(sync, name, base, row, named);
}

// The source is gone.
void sync_gone(SyncContext& sync, const JobType& type) {
    switch (type.on_delete) {
        case JobType::OnDelete::remove:
            return sync_delete(sync);
        case JobType::OnDelete::keep:
            sync.status = Status::skipped;
            return;
        case JobType::OnDelete::set:
            return sync_soft_delete(sync, type);
    }
}

// What a child has to do was found when its parent ran, and the controller is not asked again. Another job of the source
// may have inserted the target since.
bool inserted_since(SyncContext& sync, const Target& target) {
    const Job& job = sync.job;
    return sync.second_look && target.operation == Operation::insert && target.document_name &&
           !job.is_null(C::parent_sync_job) &&
           !sync.documents.target_type
                ->load(std::string(job.text(C::target_document_name)), DocumentType::Lock::none)
                .null;
}

void sync_target(SyncContext& sync, const JobType& type, const Target& target) {
    settle_target(sync, type, target);
    Operation operation = inserted_since(sync, target) ? Operation::update : target.operation;
    sync.job.set_text(C::operation, to_text(operation));
    if (!sync.job.enables(operation)) {
        sync.status = Status::skipped;
        return;
    }
    switch (operation) {
        case Operation::insert:
            return sync_insert(sync);
        case Operation::update:
            return sync_update(sync);
        case Operation::remove:
            return sync_gone(sync, type);
    }
}

// As sync_gone(), for one more target. False: nothing had to be done.
bool see_to_left_behind(const JobType& type, Controller& controller, DocumentType& documents, const std::string& name) {
    if (type.on_delete == JobType::OnDelete::remove) return !documents.remove(name).null;
    pg::Value before = documents.load(name, DocumentType::Lock::for_update);
    if (before.null) return false;
    pg::RowValues base = pg::take_apart(before.datum, documents.relation());
    ColumnSet named;
    pg::RowValues row = with_values_of_deleted(type, documents, base, &named);
    ColumnSet changed = documents.changed_columns(base, row);
    if (changed.empty()) return false;
    controller.wrote(documents, pg::take_apart(documents.update(name, row, changed), documents.relation()), named);
    return true;
}

// Where the document's target was, under values that it had.
void remove_left_behind(SyncContext& sync, const JobType& type, const std::vector<std::string>& names) {
    bool sets = type.on_delete == JobType::OnDelete::set;
    bool may = sync.job.enables(Operation::remove) && (!sets || sync.job.enables(Operation::update));
    if (names.empty() || !may || type.on_delete == JobType::OnDelete::keep) return;
    DocumentType& documents = *sync.documents.target_type;
    pg::JsonBuilder json;
    json.begin_object();
    json.key("deleted_targets");
    json.begin_array();
    bool any = false;
    for (const std::string& name : names) {
        if (!see_to_left_behind(type, *sync.controller, documents, name)) continue;
        any = true;
        json.string(name);
    }
    json.end_array();
    json.end_object();
    if (!any) return;
    sync.result = {json.finish(), false};
    if (sync.status == Status::skipped) sync.status = Status::finished;
}

void run_bypass(SyncContext& sync) {
    BypassResult result = by_controller(sync, [&] { return sync.controller->execute(sync.job, sync.documents); });
    Job& job = sync.job;
    if (result.document_type != pg::no_oid) job.set_oid(C::target_document_type, result.document_type);
    if (result.document_name) job.set_text(C::target_document_name, *result.document_name);
    if (result.operation) job.set_text(C::operation, to_text(*result.operation));
    if (!result.diff.null) sync.diff = {without_secrets(result.diff.datum, sync.secret), false};
    if (result.status) sync.status = *result.status;
    if (!result.result.null) sync.result = result.result;
}

// Nobody but an HTTP worker can run such a job: its type has changed since it was claimed, and it is claimed anew.
void require_same_kind(const SyncContext& sync, const JobType& type) {
    if (type.is_push() == (sync.push != nullptr)) return;
    throw pg::Error("40001", "sync job type " + quoted(type.name) + (type.is_push() ? " has become an HTTP push" : " is no HTTP push any more"));
}

void run_document_sync(SyncContext& sync, const JobType& type) {
    require_trusted_type(type, sync.job);
    sync.trusted = true;
    sync.secret = type.secret_columns;
    replace_dropped_document_types(sync.job, type);
    close_gates(sync, type);
    require_same_kind(sync, type);
    sync.controller = find_controller(type);
    if (sync.push != nullptr && sync.push->reply != nullptr) return write_answer(sync, type);
    load_source(sync, type);
    if (sync.was_not_there || is_no_surplus_any_more(sync)) {
        sync.status = Status::no_target;
        return;
    }
    if (sync.controller->has(Hook::after_start)) {
        call_hook(sync, Hook::after_start);
    }
    if (sync.controller->bypass()) return run_bypass(sync);
    std::vector<Target> targets = discover(sync);
    if (targets.size() > 1) targets = filtered_by_hook(sync, targets);
    if (targets.empty()) {
        sync.status = Status::no_target;
    } else if (targets.size() == 1) {
        sync_target(sync, type, targets[0]);
        remove_left_behind(sync, type, targets[0].left_behind);
    } else {
        relay(sync, type, targets);
    }
}

}  // namespace

pg::Value call_hook(SyncContext& sync, Hook hook, pg::Value extra) {
    return by_controller(sync, [&] { return sync.controller->call_hook(hook, sync.job, sync.documents, extra); });
}

void correct_operation_hint(Job& job, bool deleted) {
    std::string stated;
    pg::JsonBuilder context;
    context.begin_object();
    if (!job.is_null(C::context)) {
        for (const pg::JsonField& field : pg::json_fields(job.datum(C::context))) {
            if (field.key == operation_hint) {
                stated = field.text;
            } else {
                context.key(field.key);
                context.value(field.value, false, pg::type::jsonb, false);
            }
        }
    }
    bool says_deleted = stated == to_text(Operation::remove);
    if (says_deleted == deleted) return;
    context.field(operation_hint, to_text(deleted ? Operation::remove : Operation::update));
    context.end_object();
    job.set(C::context, context.finish());
}

void run_sync(SyncContext& sync, const JobType& type) {
    if (type.background) {
        BackgroundCall call = prepare_call(std::string(sync.job.text(C::procedure)),
                                           {sync.job.datum(C::context), sync.job.is_null(C::context)});
        sync.result = by_controller(sync, [&] { return make_call(call, sync.own_transactions); });
        return;
    }
    if (auto task = task_of(sync.job)) {
        sync.engine_at_work = false;  // about all documents: where they are too many for what the server has, that is the job's
        if (task == Task::full_sync) return run_full_sync(sync, type);
        require_trusted_type(type, sync.job);
        sync.result = task == Task::compare ? run_comparison(sync.job, type) : run_replay(sync.job, type);
        return;
    }
    run_document_sync(sync, type);
    if (sync.push == nullptr) forget_kept(sync);  // else it is not sent yet, and may be made anew
}

void call_quietly(Hook hook, SyncContext& sync, pg::Value extra) {
    if (sync.controller == nullptr || !sync.controller->has(hook)) return;
    pg::Deadline deadline(sync.job.microseconds(C::timeout));
    try {
        pg::Subtransaction subtransaction;
        {
            pg::SpiScope spi;
            pg::SnapshotScope snapshot;
            call_hook(sync, hook, extra);
        }
        if (sync.job.flag(C::dry_run)) {
            subtransaction.rollback();
        } else {
            subtransaction.commit();
        }
    } catch (const pg::Error& error) {
        std::string name = hook == Hook::finished ? "finished" : "failed";
        pg::warning("hook " + name + " of sync " + describe(sync.job) + " failed: " + recordable(error, sync.job)->message);
    }
}

}  // namespace sync_job
