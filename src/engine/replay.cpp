#include "engine/replay.hpp"

#include <algorithm>

#include "controller/columns_read.hpp"
#include "controller/controller.hpp"
#include "core/text.hpp"
#include "document/document.hpp"
#include "document/written_values.hpp"
#include "engine/recorded_change.hpp"
#include "engine/replay_many.hpp"
#include "engine/replay_record.hpp"
#include "job/job_store.hpp"
#include "pg/error.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/rights.hpp"
#include "queue/task.hpp"
#include "shared/metrics.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

struct Replay {
    const Job& job;
    bool backwards;
    std::shared_ptr<DocumentType> documents;
    RecordedChange change;
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
    if (job.is_null(C::diff_summary) && job.is_null(C::fingerprint)) cannot(job, backwards, "No diff of it was kept.");
}

Replay prepare(const Job& job, bool backwards) {
    check_job(job, backwards);
    Oid relation = job.oid(C::target_document_type);
    auto type = require_job_type(std::string(job.text(C::sync_job_type)));
    require_trusted_type(*type, job);
    auto documents =
        DocumentType::find(relation, relation == type->target ? type->target_key : std::vector<std::string>());
    require_own_documents(*documents);
    auto value = [&](C column) { return pg::Value{job.datum(column), job.is_null(column)}; };
    return {job, backwards, documents, read_change(*documents, *job.operation(), value(C::diff_summary), value(C::fingerprint), backwards),
            type->secret_columns};
}

[[noreturn]] void raise(const Replay& replay, const std::string& name, const Obstacle& obstacle) {
    std::string detail = obstacle.detail, hint = obstacle.hint;
    if (detail.empty()) {
        std::vector<std::string> fields;
        for (const std::string& field : obstacle.fields) fields.push_back(quoted(field));
        detail = "Fields of " + quoted(replay.documents->label()) + " " + quoted(name) + " that have changed since: " + join(fields, ", ") + ".";
        hint = "Sync the document again, or change it by hand.";
    }
    cannot(replay.job, replay.backwards, detail, hint);
}

// What the replay did: the row before and after.
struct Effect {
    pg::Value before, after;
};

Effect write(const Replay& replay) {
    DocumentType& documents = *replay.documents;
    std::string recorded(replay.job.text(C::target_document_name));
    std::string name = name_before(documents, replay.change, recorded);
    Effect effect;
    effect.before = documents.load(name, replay.change.operation == Operation::insert ? DocumentType::Lock::none : DocumentType::Lock::for_update);
    DocumentState before, after;
    if (!effect.before.null) before = pg::take_apart(effect.before.datum, documents.relation());
    after = before;
    Obstacle obstacle = take_along(documents, replay.change, recorded, after);
    if (!obstacle.none()) raise(replay, recorded, obstacle);
    if (!after) return {documents.remove(name), {}};
    Datum written = before ? documents.update(name, *after, documents.changed_columns(*before, *after))
                           : documents.insert(*after, columns_to_insert(documents, *after), DocumentType::Identity::given);
    effect.after = {written, false};
    return effect;
}

// Values that were applied or brought back do not count as edits.
void remember_replayed(const Replay& replay, const Effect& effect) {
    auto type = find_job_type(std::string(replay.job.text(C::sync_job_type)));
    if (type == nullptr || effect.after.null || replay.documents->relation().oid != type->target) return;
    ColumnSet columns = columns_while_unedited(*type, *replay.documents);
    std::erase_if(columns, [&](int column) {
        const auto& fields = replay.change.fields;
        return std::none_of(fields.begin(), fields.end(), [&](const ChangedField& field) {
            return field.column != nullptr && field.column->number == column;
        });
    });
    remember_written(type->name, *replay.documents, pg::take_apart(effect.after.datum, replay.documents->relation()), columns);
}

std::int64_t record_replay(const Replay& replay, const Effect& effect, pg::Timestamp started) {
    Job done = new_replay_record(replay.job, replay.backwards, started);
    done.set_text(C::operation, to_text(replay.change.operation));
    pg::Value written = effect.after.null ? effect.before : effect.after;
    done.set_text(C::target_document_name, replay.documents->name_of(written.datum));
    done.set(C::diff_summary, replay.documents->diff(effect.before, effect.after, replay.secret));
    remember_replayed(replay, effect);
    insert_job(done);
    count_end(done);
    return done.id();
}

// Returns the id of the job that records it; there are several if the set has written to documents of several types.
std::int64_t replay_set(const Job& job, bool backwards) {
    ReplayCounts counts = replay_jobs({{job.id()}, backwards, false}, nullptr, [](const ReplayedDocument&) {});
    if (counts.records.empty()) cannot(job, backwards, "Its documents are as they should be.");
    return counts.records.back();
}

std::int64_t replay_job(const Job& job, bool backwards) {
    if (!job.is_null(C::documents) || task_of(job)) return replay_set(job, backwards);
    pg::Timestamp started = pg::now();
    Replay replay = prepare(job, backwards);
    pg::SpiScope spi;
    Effect effect = write(replay);
    return record_replay(replay, effect, started);
}

}  // namespace

std::int64_t apply_dry_run(const Job& job) { return replay_job(job, false); }
std::int64_t revert_job(const Job& job) { return replay_job(job, true); }

}  // namespace sync_job
