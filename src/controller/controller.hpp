// What answers the two questions of a sync, where to write and what: one interface for all kinds of controller.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/state.hpp"
#include "document/deleted_document.hpp"
#include "document/document.hpp"
#include "job/job_row.hpp"
#include "job/job_type.hpp"
#include "pg/error.hpp"
#include "pg/value.hpp"

namespace sync_job {

// Where a job writes, as the controller said.
struct Target {
    Operation operation = Operation::insert;
    Oid document_type = 0;  // no_oid: the job type's
    std::optional<std::string> document_name;
    pg::Value context;  // jsonb; replaces the job's when not null
    pg::RowValues wanted;  // declarative: already computed by the search, for update()
    bool moves = false;    // declarative: its match values change, too
    std::vector<std::string> left_behind;  // declarative: targets that belong to no source any more, deleted by the same job
};

// What a bypass controller says it did.
struct BypassResult {
    Oid document_type = 0;
    std::optional<std::string> document_name;
    std::optional<Operation> operation;
    pg::Value diff;
    std::optional<Status> status;  // HTTP push: nothing is sent, as the job ends so
    pg::Value result;              // HTTP push: the request
};

// The documents of an attempt, as hooks get them.
struct Documents {
    std::shared_ptr<DocumentType> source_type, target_type;
    pg::Value source, target;    // composite values
    pg::RowValues wanted;        // of the Target, where it has any
    bool target_is_new = false;  // an insert that has not been written: as jsonb it shows only what is set
    bool source_is_deleted = false;  // `source` is the row as it was; declarative: kept[0] instead
    bool target_moves = false;       // of the Target
    // Rows of the source that triggers have kept, read before the source itself, newest first; if it is deleted,
    // beginning with the row of its deletion.
    std::vector<KeptRow> kept;
};

// One of many documents whose targets are computed at once.
struct SetDocument {
    const Job* job;
    pg::RowValues source;
    pg::RowValues base;          // the target as it is; of one that is new, what match says
    bool is_new = false;
    pg::RowValues wanted;        // computed: the target as it should be
    ColumnSet explicit_columns;  // and the columns set on purpose, those of match where it is new
};

class HttpPush;
class Mapping;
class SourceCondition;

enum class Hook { after_start, before_relay, after_relay, before_sync, after_sync, finished, failed };

// What a hook function returns.
enum class HookResult { nothing, json, target_row };

class Controller {
public:
    virtual ~Controller() = default;

    // Declarative: all of it, so that the type can be compared as a whole. Else null.
    virtual Mapping* mapping() { return nullptr; }
    // Declared by match: where a document's target is. Of a deleted document targets() reads by itself what it needs. Else null.
    virtual Mapping* match() { return mapping(); }
    // HTTP push. Else null.
    virtual HttpPush* push() { return nullptr; }
    // Of the type; null: it has none.
    std::shared_ptr<SourceCondition> source_condition;

    // Bypass: execute() does everything. Otherwise targets() and update().
    virtual bool bypass() const = 0;
    virtual bool has(Hook hook) const = 0;
    virtual HookResult result_of(Hook hook) const = 0;
    // The list a before_relay hook returned.
    virtual std::vector<Target> targets_from_json(Datum jsonb, const Job& job) const = 0;

    virtual BypassResult execute(const Job& job, const Documents& documents) = 0;
    // None: no target. More than one only from get_multiple_target_documents.
    virtual std::vector<Target> targets(const Job& job, const Documents& documents) = 0;
    // The target as it should be. `explicit_columns`: columns set on purpose, NULL ones too.
    virtual pg::RowValues update(const Job& job, const Documents& documents, const pg::RowValues& target,
                                 ColumnSet* explicit_columns) = 0;
    // The same for many documents whose targets match() has found. Only if computes_many().
    virtual bool computes_many() const { return false; }
    virtual void update_many(std::vector<SetDocument>&) {}
    // The target has what a sync wants in these columns now, and it was the sync that wrote this.
    virtual void wrote(const DocumentType&, const pg::RowValues&, const ColumnSet&) {}
    // `extra`: targets, child jobs or error, as jsonb. Returns what the function returns, null if that is of no use.
    virtual pg::Value call_hook(Hook hook, const Job& job, const Documents& documents, pg::Value extra) = 0;
};

// The controller of a job type, checked: functions, signatures, owners, rights. Cached until anything it depends on
// changes. Raises what is wrong; the engine does not count such a failure as a retry.
std::shared_ptr<Controller> find_controller(const JobType& type);

// Where that raises: a controller that is good for the hook `failed` alone, so that somebody hears of it; null where there is
// none, or where it is part of what is wrong.
std::shared_ptr<Controller> find_failed_hook(const JobType& type);

// What can be said of a job type's controller without building it.
struct ControllerKind {
    bool bypass = false;
    bool commits = false;  // execute() is a procedure
    bool relays = false;   // its jobs may have children
};
ControllerKind controller_kind(const JobType& type);
// The same where no library is to be opened for it: of a native controller that this process has not used yet, as if it did nothing
// special. What cannot run as it was enqueued finds out when it runs.
ControllerKind known_kind(const JobType& type);
// Many of its documents may be synced by one job, in one transaction. A type whose jobs may relay is not one: its documents would
// have to wait for children, each for its own.
bool runs_in_sets(const JobType& type);

// A mistake in the set-up rather than in the work: missing function, wrong signature, missing right.
class SetupError : public pg::Error {
public:
    using pg::Error::Error;
    explicit SetupError(const pg::Error& error) : pg::Error(error) {}
};

// Raises if secret_columns of the type names a column that its target does not have, which would be recorded under another name; or
// one whose value is recorded all the same.
void require_secret_columns(const JobType& type);

// For the callback of function changes.
void invalidate_controllers();
// Grows whenever a function, schema or role has changed.
std::uint64_t controller_generation();

}  // namespace sync_job
