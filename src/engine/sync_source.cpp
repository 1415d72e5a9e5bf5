// The first step of a sync: loads the source document, or the rows that were kept of it.
#include "controller/source_condition.hpp"
#include "core/text.hpp"
#include "document/deleted_document.hpp"
#include "engine/sync.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "queue/rights.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

constexpr const char* operation_hint = "trigger_operation";

std::string stated_operation(const Job& job) {
    if (job.is_null(C::context)) return {};
    for (const pg::JsonField& field : pg::json_fields(job.datum(C::context))) {
        if (field.key == operation_hint) return field.text;
    }
    return {};
}

// The deletion that the job is about: the last one that its own type has kept, else that of another type. If a trigger enqueued the job for
// an insert or update, the document existed then: rows that were kept before belong to an earlier life of it.
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

// Leaves out rows for which source_condition does not hold: for the type they did not exist.
std::vector<KeptRow> in_scope(SyncContext& sync, const std::string& name, std::vector<KeptRow> rows) {
    SourceCondition* condition = sync.controller->source_condition.get();
    if (condition == nullptr) return rows;
    std::erase_if(rows, [&](const KeptRow& row) {
        KeptDocument document = read_kept(*sync.documents.source_type, name, row);
        return !by_controller(sync, [&] { return condition->holds(document); });
    });
    return rows;
}

// The document does not exist: the kept rows tell where its targets are. If there are none, it did not exist before either.
void take_kept(SyncContext& sync, const std::string& name, const std::vector<KeptRow>& rows) {
    DocumentType& documents = *sync.documents.source_type;
    sync.documents.source = {};
    sync.documents.source_is_deleted = true;
    sync.documents.kept = in_scope(sync, name, rows);
    sync.was_not_there = sync.documents.kept.empty();
    // A type with a match reads what it needs from the kept rows itself.
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

}  // namespace

void missing_document(const char* side, const std::string& name, const DocumentType& type, const char* hint) {
    throw pg::Error("P0002", std::string(side) + " document " + quoted(name) + " of type " + quoted(type.label()) +
                                 " does not exist")
        .hint(hint);
}

std::shared_ptr<DocumentType> find_own_documents(Oid relation, Oid of_type, const std::vector<std::string>& key) {
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

void load_source(SyncContext& sync, const JobType& type) {
    Job& job = sync.job;
    Oid relation = job.oid(C::source_document_type);
    if (relation != pg::no_oid) {
        bool needed = !job.is_null(C::source_document_name);
        if (needed) sync.documents.source_type = find_own_documents(relation, type.source, type.source_key);
    }
    if (job.is_null(C::source_document_name)) return;
    DocumentType& documents = *sync.documents.source_type;
    std::string name(job.text(C::source_document_name));
    // Reads the kept rows first, then the document: if it exists now, that is newer than what they tell.
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

void forget_kept(const SyncContext& sync) {
    if (sync.deletion != 0) {
        forget_before(sync.kept, sync.deletion);
    } else {
        forget_earlier_lives(sync.kept);
    }
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

}  // namespace sync_job
