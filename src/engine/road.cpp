#include "engine/road.hpp"

#include "core/text.hpp"
#include "engine/background.hpp"
#include "engine/deleted.hpp"
#include "engine/relay.hpp"
#include "engine/rights.hpp"
#include "pg/deadline.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/xact.hpp"

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

void load_source(Journey& journey, const JobType& type) {
    Job& job = journey.job;
    Oid relation = job.oid(C::source_document_type);
    if (relation != pg::no_oid) {
        bool needed = !job.is_null(C::source_document_name);
        if (needed) journey.documents.source_type = document_type(relation, type.source, type.source_key);
    }
    if (job.is_null(C::source_document_name)) return;
    DocumentType& documents = *journey.documents.source_type;
    std::string name(job.text(C::source_document_name));
    journey.documents.source = documents.load(name, DocumentType::Lock::none);
    bool deleted = journey.documents.source.null;
    if (deleted) {
        journey.documents.source = find_deleted_document(documents, name);
        if (journey.documents.source.null) {
            missing_document("source", name, documents,
                             "Its name may be wrong; or no record of its deletion was kept; or the role the job runs as may not see it.");
        }
    }
    journey.documents.source_is_deleted = deleted;
    correct_operation_hint(job, deleted);
}

// Where to: as the job says, or as the controller finds.
std::vector<Target> discover(Journey& journey) {
    const Job& job = journey.job;
    auto operation = job.operation();
    bool named = !job.is_null(C::target_document_name);
    if (operation && (named || *operation == Operation::insert)) {
        Target target;
        target.operation = *operation;
        if (named) target.document_name = std::string(job.text(C::target_document_name));
        return {target};
    }
    return journey.controller->targets(job, journey.documents);
}

bool operation_enabled(const Job& job, Operation operation) {
    switch (operation) {
        case Operation::insert:
            return job.flag(C::insert_enabled);
        case Operation::update:
            return job.flag(C::update_enabled);
        case Operation::remove:
            return job.flag(C::delete_enabled);
    }
    return true;
}

void settle_target(Journey& journey, const JobType& type, const Target& target) {
    Job& job = journey.job;
    Oid relation = target.document_type != pg::no_oid ? target.document_type : job.oid(C::target_document_type);
    if (relation == pg::no_oid) {
        throw SetupError(pg::Error("22004", "sync job type " + quoted(type.name) + " has no target document type")
                             .hint("Set target_document_type of the sync job type, or of the job."));
    }
    journey.documents.target_type = document_type(relation, type.target, type.target_key);
    journey.documents.wanted = target.wanted;
    job.set_oid(C::target_document_type, relation);
    if (target.document_name) {
        job.set_text(C::target_document_name, journey.documents.target_type->canonical_name(*target.document_name));
    } else {
        job.clear(C::target_document_name);
    }
    if (!target.context.null) {
        job.set(C::context, target.context);
        journey.context = target.context;
    }
}

bool keeps_diff(const Job& job) { return job.flag(C::dry_run) || job.flag(C::verbose_logging); }

// The target that before_sync wants, where it returns one.
void call_before_sync(Journey& journey, pg::RowValues& row, ColumnSet* explicit_columns) {
    if (journey.job.flag(C::dry_run) || !journey.controller->has(Hook::before_sync)) return;
    const DocumentType& type = *journey.documents.target_type;
    pg::Value result = journey.controller->call_hook(Hook::before_sync, journey.job, journey.documents, {});
    if (result.null) return;
    switch (journey.controller->result_of(Hook::before_sync)) {
        case HookResult::json:
            if (pg::json_kind(result.datum) != pg::JsonKind::object) {
                throw pg::Error("22023", "hook before_sync returned no JSON object")
                    .detail("It returned: " + shortened(pg::json_to_text(result.datum), 60) + ".");
            }
            row = type.from_json(result.datum, row, explicit_columns);
            break;
        case HookResult::target_row:
            row = pg::take_apart(result.datum, type.relation());
            break;
        case HookResult::nothing:
            return;
    }
    journey.wanted = {pg::put_together(row, type.relation()), false};
}

void call_after_sync(Journey& journey) {
    if (journey.job.flag(C::dry_run) || !journey.controller->has(Hook::after_sync)) return;
    journey.controller->call_hook(Hook::after_sync, journey.job, journey.documents, {});
}

pg::RowValues wanted_target(Journey& journey, const pg::RowValues& base, ColumnSet* explicit_columns) {
    const DocumentType& type = *journey.documents.target_type;
    pg::RowValues row = journey.controller->update(journey.job, journey.documents, base, explicit_columns);
    journey.wanted = {pg::put_together(row, type.relation()), false};
    journey.documents.target = journey.wanted;
    return row;
}

void finish_write(Journey& journey, pg::Value after) {
    const DocumentType& type = *journey.documents.target_type;
    journey.documents.target = after;
    journey.documents.target_is_new = false;
    journey.wanted = after;
    journey.job.set_text(C::target_document_name, type.name_of(after.datum));
    call_after_sync(journey);
}

void sync_insert(Journey& journey) {
    DocumentType& type = *journey.documents.target_type;
    ColumnSet explicit_columns;
    journey.documents.target_is_new = true;
    pg::RowValues base = pg::empty_row(type.relation());
    if (!journey.job.is_null(C::target_document_name)) {
        type.set_key(base, std::string(journey.job.text(C::target_document_name)));
    }
    pg::RowValues row = wanted_target(journey, base, &explicit_columns);
    call_before_sync(journey, row, &explicit_columns);
    journey.inserting = true;
    pg::Value after{type.insert(row, type.inserted_columns(row, explicit_columns)), false};
    finish_write(journey, after);
    if (keeps_diff(journey.job)) journey.diff = {type.diff({}, after), false};
}

void sync_update(Journey& journey) {
    DocumentType& type = *journey.documents.target_type;
    std::string name(journey.job.text(C::target_document_name));
    journey.before = type.load(name, DocumentType::Lock::for_update);
    if (journey.before.null) {
        missing_document("target", name, type, "It was deleted, or the role the job runs as may not see it.");
    }
    journey.documents.target = journey.before;
    pg::RowValues base = pg::take_apart(journey.before.datum, type.relation());
    ColumnSet explicit_columns;
    pg::RowValues row = wanted_target(journey, base, &explicit_columns);
    ColumnSet changed = type.changed_columns(base, row);
    if (changed.empty() && !journey.job.flag(C::update_without_changes_enabled)) {
        journey.status = Status::skipped;
        return;
    }
    if (!journey.job.flag(C::dry_run) && journey.controller->has(Hook::before_sync)) {
        call_before_sync(journey, row, &explicit_columns);
        changed = type.changed_columns(base, row);
        if (changed.empty() && !journey.job.flag(C::update_without_changes_enabled)) {
            journey.status = Status::skipped;
            journey.documents.target = journey.before;
            return;
        }
    }
    pg::Value after{type.update(name, row, changed), false};
    journey.diff = {type.diff(journey.before, after), false};
    finish_write(journey, after);
}

void sync_delete(Journey& journey) {
    DocumentType& type = *journey.documents.target_type;
    std::string name(journey.job.text(C::target_document_name));
    if (!journey.job.flag(C::dry_run) && journey.controller->has(Hook::before_sync)) {
        journey.documents.target = type.load(name, DocumentType::Lock::for_update);
        if (!journey.documents.target.null) {
            journey.controller->call_hook(Hook::before_sync, journey.job, journey.documents, {});
        }
    }
    journey.before = type.remove(name);
    if (journey.before.null) {
        if (!type.load(name, DocumentType::Lock::none).null) {
            throw pg::Error("27000", "delete of a document of type " + quoted(type.label()) + " removed no row")
                .detail("A trigger, rule or policy of the table suppressed it.");
        }
        journey.status = Status::no_target;
        return;
    }
    journey.documents.target = journey.before;
    call_after_sync(journey);
    if (keeps_diff(journey.job)) journey.diff = {type.diff(journey.before, {}), false};
}

// What a child is to do was found when its parent ran, and the controller is not asked again. Another job of the source may
// have inserted the target since.
bool inserted_since(Journey& journey, const Target& target) {
    const Job& job = journey.job;
    return journey.second_look && target.operation == Operation::insert && target.document_name &&
           !job.is_null(C::parent_sync_job) &&
           !journey.documents.target_type
                ->load(std::string(job.text(C::target_document_name)), DocumentType::Lock::none)
                .null;
}

void sync(Journey& journey, const JobType& type, const Target& target) {
    settle_target(journey, type, target);
    Operation operation = inserted_since(journey, target) ? Operation::update : target.operation;
    journey.job.set_text(C::operation, to_text(operation));
    if (!operation_enabled(journey.job, operation)) {
        journey.status = Status::skipped;
        return;
    }
    switch (operation) {
        case Operation::insert:
            return sync_insert(journey);
        case Operation::update:
            return sync_update(journey);
        case Operation::remove:
            return sync_delete(journey);
    }
}

void run_bypass(Journey& journey) {
    BypassResult result = journey.controller->execute(journey.job, journey.documents);
    Job& job = journey.job;
    if (result.document_type != pg::no_oid) job.set_oid(C::target_document_type, result.document_type);
    if (result.document_name) job.set_text(C::target_document_name, *result.document_name);
    if (result.operation) job.set_text(C::operation, to_text(*result.operation));
    journey.diff = result.diff;
}

}  // namespace

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
                context.value(field.value, false, pg::type::jsonb, true);
            }
        }
    }
    bool says_deleted = stated == to_text(Operation::remove);
    if (says_deleted == deleted) return;
    context.field(operation_hint, to_text(deleted ? Operation::remove : Operation::update));
    context.end_object();
    job.set(C::context, context.finish());
}

void travel(Journey& journey, const JobType& type) {
    if (type.background) {
        BackgroundCall call = prepare_call(std::string(journey.job.text(C::procedure)),
                                           {journey.job.datum(C::context), journey.job.is_null(C::context)});
        journey.result = make_call(call, journey.own_transactions);
        return;
    }
    require_trusted_type(type, journey.job);
    journey.controller = find_controller(type);
    load_source(journey, type);
    if (journey.controller->has(Hook::after_start)) {
        journey.controller->call_hook(Hook::after_start, journey.job, journey.documents, {});
    }
    if (journey.controller->bypass()) return run_bypass(journey);
    std::vector<Target> targets = discover(journey);
    if (targets.size() > 1) targets = filtered_by_hook(journey, targets);
    if (targets.empty()) {
        journey.status = Status::no_target;
    } else if (targets.size() == 1) {
        sync(journey, type, targets[0]);
    } else {
        relay(journey, type, targets);
    }
}

void call_quietly(Hook hook, Journey& journey, pg::Value extra) {
    if (journey.controller == nullptr || !journey.controller->has(hook)) return;
    pg::Deadline deadline(journey.job.microseconds(C::timeout));
    try {
        pg::Subtransaction subtransaction;
        {
            pg::SpiScope spi;
            pg::SnapshotScope snapshot;
            journey.controller->call_hook(hook, journey.job, journey.documents, extra);
        }
        if (journey.job.flag(C::dry_run)) {
            subtransaction.rollback();
        } else {
            subtransaction.commit();
        }
    } catch (const pg::Error& error) {
        std::string name = hook == Hook::finished ? "finished" : "failed";
        pg::warning("hook " + name + " of sync " + describe(journey.job) + " failed: " + error.report().message);
    }
}

}  // namespace sync_job
