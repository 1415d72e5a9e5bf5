#include "engine/replay.hpp"

#include <algorithm>
#include <set>

#include "controller/columns_read.hpp"
#include "controller/controller.hpp"
#include "core/text.hpp"
#include "document/document.hpp"
#include "document/written_values.hpp"
#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "pg/spi.hpp"
#include "pg/shared.hpp"
#include "pg/xact.hpp"
#include "queue/rights.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

// One field of a diff: what it must be now, and what it becomes.
struct Change {
    std::string field;
    Datum from, to;  // jsonb, exact
};

struct Replay {
    const Job& job;
    bool backwards;
    Operation operation;  // what is done now
    std::shared_ptr<DocumentType> documents;
    std::vector<Change> changes;
    SecretColumns secret;
};

[[noreturn]] void cannot(const Job& job, bool backwards, const std::string& why, const std::string& hint = {}) {
    pg::Error error(
        "55000", std::string("cannot ") + (backwards ? "revert" : "apply") + " sync job " + std::to_string(job.id()));
    error.detail(why);
    if (!hint.empty()) error.hint(hint);
    throw error;
}

void check_job(const Job& job, bool backwards) {
    if (!job.is_null(C::documents)) {
        throw pg::Error("0A000", std::string("cannot ") + (backwards ? "revert" : "apply") + " sync job " +
                                     std::to_string(job.id()) + ", which is for " +
                                     std::to_string(job.int32(C::documents)) + " documents")
            .hint("sync_job_document has what it did to each of them.");
    }
    if (job.status() != Status::finished) {
        cannot(job, backwards, "Its status is " + std::string(to_text(job.status())) + ", not Finished.");
    }
    if (!backwards && !job.flag(C::dry_run)) cannot(job, backwards, "It was not a dry run: its changes are real already.");
    if (backwards && job.flag(C::dry_run)) cannot(job, backwards, "It was a dry run: it has changed nothing.");
    auto type = find_job_type(std::string(job.text(C::sync_job_type)));
    if (type != nullptr && !backwards && !type->enables(*job.operation())) {
        cannot(job, backwards, "Its sync job type does not allow the operation " + std::string(job.text(C::operation)) + " now.",
               "Set the gate of the type (insert_enabled, update_enabled, delete_enabled).");
    }
    if (type != nullptr && controller_kind(*type).bypass) {
        cannot(job, backwards, "Its diff was made by a bypass controller, not by the engine.");
    }
    if (job.is_null(C::diff_summary)) {
        cannot(job, backwards, "No diff of it was kept.",
               backwards ? "The diff of an insert is kept with verbose_logging." : "");
    }
}

std::vector<Change> changes_of(const Job& job, bool backwards) {
    std::vector<Change> changes;
    for (const pg::JsonField& field : pg::json_fields(job.datum(C::diff_summary))) {
        Change change{field.key, 0, 0};
        auto sides = pg::json_fields(field.value);
        if (sides.size() == 1 && sides[0].key == "too_large") {
            cannot(job, backwards, "The values of " + quoted(field.key) + " were too large to be recorded.",
                   backwards ? "Change the document by hand." : "Sync the document again.");
        }
        if (sides.size() == 1 && sides[0].key == "secret") {
            cannot(job, backwards, "The values of " + quoted(field.key) + " are secret, and were not recorded.",
                   backwards ? "Change the document by hand." : "Sync the document again.");
        }
        for (const pg::JsonField& side : sides) {
            bool from = (side.key == "old") != backwards;
            (from ? change.from : change.to) = side.value;
        }
        changes.push_back(std::move(change));
    }
    return changes;
}

Operation replayed(Operation operation, bool backwards) {
    if (!backwards || operation == Operation::update) return operation;
    return operation == Operation::insert ? Operation::remove : Operation::insert;
}

Replay prepare(const Job& job, bool backwards) {
    check_job(job, backwards);
    Oid relation = job.oid(C::target_document_type);
    auto type = require_job_type(std::string(job.text(C::sync_job_type)));
    require_trusted_type(*type, job);
    auto documents =
        DocumentType::find(relation, relation == type->target ? type->target_key : std::vector<std::string>());
    require_own_documents(*documents);
    return {job, backwards, replayed(*job.operation(), backwards), documents, changes_of(job, backwards), type->secret_columns};
}

const pg::Column* column_of(const Replay& replay, const Change& change) {
    return replay.documents->relation().column(change.field);
}

// The fields that are not as the diff says; a dropped column counts as one. The diff of a whole row that is to be
// deleted leaves out nulls: those fields must still be null.
std::vector<std::string> conflicts(const Replay& replay, const pg::RowValues& row) {
    pg::CanonicalOutput canonical;
    std::vector<std::string> fields;
    std::set<int> in_diff;
    for (const Change& change : replay.changes) {
        const pg::Column* column = column_of(replay, change);
        if (column != nullptr) in_diff.insert(column->number);
        bool same = false;
        if (column != nullptr) {
            pg::Value wanted = pg::json_to_value(change.from, column->type, column->typmod, true);
            pg::Value found = row.at(column->number);
            same = wanted.null == found.null &&
                   (wanted.null || pg::same_image(wanted.datum, found.datum, column->by_value, column->length));
        }
        if (!same) fields.push_back(quoted(change.field));
    }
    if (replay.operation != Operation::remove) return fields;
    for (const pg::Column& column : replay.documents->relation().columns) {
        if (column.dropped || column.generated || in_diff.count(column.number) > 0) continue;
        if (!row.at(column.number).null) fields.push_back(quoted(column.name));
    }
    return fields;
}

void require_unchanged(const Replay& replay, const pg::RowValues& row) {
    std::vector<std::string> fields = conflicts(replay, row);
    if (fields.empty()) return;
    std::string name(replay.job.text(C::target_document_name));
    cannot(
        replay.job, replay.backwards,
        "Fields of " + quoted(replay.documents->label()) + " " + quoted(name) + " that have changed since: " +
            join(fields, ", ") + ".",
        "Sync the document again, or change it by hand.");
}

// The target's present name. The record has its name after the change, and the change may be one of the key.
std::string present_name(const Replay& replay) {
    const DocumentType& documents = *replay.documents;
    pg::RowValues row = pg::empty_row(documents.relation());
    documents.set_key(row, std::string(replay.job.text(C::target_document_name)));
    pg::CanonicalOutput canonical;
    for (const Change& change : replay.changes) {
        const pg::Column* column = column_of(replay, change);
        if (column == nullptr || row.nulls[column->number - 1]) continue;  // not part of the key
        row.set(column->number, pg::json_to_value(change.from, column->type, column->typmod, true));
    }
    return documents.name_of(row);
}

// The row with the recorded values in it; generated columns are left to the database.
pg::RowValues with_changes(const Replay& replay, const pg::RowValues& base, ColumnSet* columns) {
    pg::CanonicalOutput canonical;
    pg::RowValues row = pg::copy_of(base);
    for (const Change& change : replay.changes) {
        const pg::Column* column = column_of(replay, change);
        if (column == nullptr || column->generated) continue;
        row.set(column->number, pg::json_to_value(change.to, column->type, column->typmod, true));
        columns->push_back(column->number);
    }
    return row;
}

[[noreturn]] void target_gone(const Replay& replay) {
    cannot(replay.job, replay.backwards,
           quoted(replay.documents->label()) + " " + quoted(replay.job.text(C::target_document_name)) +
               " does not exist any more.");
}

// What the replay did: the row before and after.
struct Effect {
    pg::Value before, after;
};

Effect update(const Replay& replay, const std::string& name) {
    DocumentType& documents = *replay.documents;
    Effect effect;
    effect.before = documents.load(name, DocumentType::Lock::for_update);
    if (effect.before.null) target_gone(replay);
    pg::RowValues row = pg::take_apart(effect.before.datum, documents.relation());
    require_unchanged(replay, row);
    ColumnSet columns;
    pg::RowValues wanted = with_changes(replay, row, &columns);
    effect.after = {documents.update(name, wanted, columns), false};
    return effect;
}

// Inserts the values as they were, even of identity columns. A row that already exists is a conflict.
Effect insert(const Replay& replay) {
    DocumentType& documents = *replay.documents;
    ColumnSet columns;
    pg::RowValues row = with_changes(replay, pg::empty_row(documents.relation()), &columns);
    Effect effect;
    if (!documents.load(documents.name_of(row), DocumentType::Lock::none).null) {
        cannot(replay.job, replay.backwards,
               quoted(documents.label()) + " " + quoted(documents.name_of(row)) + " already exists.");
    }
    effect.after = {documents.insert(row, columns, DocumentType::Identity::given), false};
    return effect;
}

Effect remove(const Replay& replay, const std::string& name) {
    DocumentType& documents = *replay.documents;
    pg::Value found = documents.load(name, DocumentType::Lock::for_update);
    if (found.null) target_gone(replay);
    require_unchanged(replay, pg::take_apart(found.datum, documents.relation()));
    return {documents.remove(name), {}};
}

// What was applied, or brought back, is no edit.
void remember_replayed(const Replay& replay, const Effect& effect) {
    auto type = find_job_type(std::string(replay.job.text(C::sync_job_type)));
    if (type == nullptr || effect.after.null || replay.documents->relation().oid != type->target) return;
    ColumnSet columns = columns_while_unedited(*type, *replay.documents);
    std::erase_if(columns, [&](int column) {
        return std::none_of(replay.changes.begin(), replay.changes.end(), [&](const Change& change) {
            const pg::Column* changed = column_of(replay, change);
            return changed != nullptr && changed->number == column;
        });
    });
    remember_written(type->name, *replay.documents, pg::take_apart(effect.after.datum, replay.documents->relation()), columns);
}

std::int64_t record_replay(const Replay& replay, const Effect& effect, pg::Timestamp started) {
    Job done = replay.job.copy();
    std::int64_t id = pg::next_sequence_value(schema_objects().id_sequence);
    done.set(C::id, pg::int64_datum(id));
    done.set(C::parent_sync_job, pg::int64_datum(replay.job.id()));
    done.set_text(C::relation, relation::replay);
    done.set_status(Status::finished);
    done.set(C::dry_run, pg::bool_datum(false));
    done.set_text(C::operation, to_text(replay.operation));
    pg::Value written = effect.after.null ? effect.before : effect.after;
    done.set_text(C::target_document_name, replay.documents->name_of(written.datum));
    done.set(C::diff_summary, replay.documents->diff(effect.before, effect.after, replay.secret));
    remember_replayed(replay, effect);
    pg::JsonBuilder context;
    context.begin_object();
    context.key(replay.backwards ? "reverts" : "applies");
    context.number(replay.job.id());
    context.end_object();
    done.set(C::context, context.finish());
    done.set_text(C::trigger_type, "Manual");
    for (C column : {C::job_id, C::scheduled_at, C::retry_after, C::messages, C::error_message, C::current_data,
                     C::updated_data}) {
        done.clear(column);
    }
    done.set(C::retry_count, pg::int32_datum(0));
    done.set_oid(C::enqueued_by, pg::current_user());
    done.set(C::created_at, pg::int64_datum(pg::transaction_start()));
    pg::Timestamp now = pg::now();
    done.set(C::started_at, pg::int64_datum(started));
    done.set(C::ended_at, pg::int64_datum(now));
    done.set(C::time_taken, pg::interval_datum(now - started));
    done.set(C::worker_pid, pg::int32_datum(pg::my_pid()));
    insert_job(done);
    return id;
}

std::int64_t replay_job(const Job& job, bool backwards) {
    pg::Timestamp started = pg::now();
    Replay replay = prepare(job, backwards);
    std::string name(job.text(C::target_document_name));
    pg::SpiScope spi;
    Effect effect;
    switch (replay.operation) {
        case Operation::update:
            effect = update(replay, present_name(replay));
            break;
        case Operation::insert:
            effect = insert(replay);
            break;
        case Operation::remove:
            effect = remove(replay, name);
            break;
    }
    return record_replay(replay, effect, started);
}

}  // namespace

std::int64_t apply_dry_run(const Job& job) { return replay_job(job, false); }
std::int64_t revert_job(const Job& job) { return replay_job(job, true); }

}  // namespace sync_job
