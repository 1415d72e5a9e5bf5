// The last step of a sync: asks the controller what a target should be, compares, and writes it.
#include "core/text.hpp"
#include "engine/sync.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

void settle_target(SyncContext& sync, const JobType& type, const Target& target) {
    Job& job = sync.job;
    Oid relation = target.document_type != pg::no_oid ? target.document_type : job.oid(C::target_document_type);
    if (relation == pg::no_oid) {
        throw SetupError(pg::Error("22004", "sync job type " + quoted(type.name) + " has no target document type")
                             .hint("Set target_document_type of the sync job type, or of the job."));
    }
    sync.documents.target_type = find_own_documents(relation, type.target, type.target_key);
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

// Uses the target that before_sync returns, if it returns one.
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

// Changes the target from `base` to `row`.
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
    sync.inserting = sync.documents.target_moves;  // its new match values may be those of a row that somebody else has inserted
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

// Instead of a delete, sets the values that mark the target as gone. For the record, and for undoing it, this is an update.
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

// Called when the source is gone.
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

// What a child has to do was determined when its parent ran; the controller is not asked again. Another job of the source may have inserted
// the target since then.
bool inserted_since(SyncContext& sync, const Target& target) {
    const Job& job = sync.job;
    return sync.second_look && target.operation == Operation::insert && target.document_name &&
           !job.is_null(C::parent_sync_job) &&
           !sync.documents.target_type
                ->load(std::string(job.text(C::target_document_name)), DocumentType::Lock::none)
                .null;
}

// Like sync_gone(), for one more target. False: nothing had to be done.
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

}  // namespace

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

}  // namespace sync_job
