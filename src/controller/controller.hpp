// What answers the two questions of a sync: where to write, and what. One interface for all kinds of controller.
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

// The document that a job writes, as determined by the controller.
struct Target {
    Operation operation = Operation::insert;
    Oid document_type = 0;  // no_oid: the job type's
    std::optional<std::string> document_name;
    pg::Value context;  // jsonb; if not null, replaces that of the job
    pg::RowValues wanted;  // declarative: already computed by the search, and used by update()
    bool moves = false;    // declarative: its match values change, too
    std::vector<std::string> left_behind;  // declarative: targets that no longer belong to any source; the same job deletes them
};

// What a bypass controller reports that it did.
struct BypassResult {
    Oid document_type = 0;
    std::optional<std::string> document_name;
    std::optional<Operation> operation;
    pg::Value diff;
    std::optional<Status> status;  // HTTP push: the job ends with this status, and nothing is sent
    pg::Value result;              // HTTP push: the request
};

// The documents of an attempt, as passed to hooks.
struct Documents {
    std::shared_ptr<DocumentType> source_type, target_type;
    pg::Value source, target;    // composite values
    pg::RowValues wanted;        // those of the Target, if it has any
    bool target_is_new = false;  // an insert that is not written yet: as jsonb it contains only the columns that are set
    bool source_is_deleted = false;  // `source` is the row before the deletion; declarative: use kept[0] instead
    bool target_moves = false;       // that of the Target
    // Rows of the source that triggers have kept, newest first; they were read before the source itself. If the source is deleted, the
    // first one is the row of its deletion.
    std::vector<KeptRow> kept;
};

// One of many documents whose targets are computed together.
struct SetDocument {
    const Job* job;
    pg::RowValues source;
    pg::RowValues base;          // the current target; of a new one, the values of match
    bool is_new = false;
    pg::RowValues wanted;        // result: the target as it should be
    ColumnSet explicit_columns;  // result: the columns set on purpose; of a new target, also those of match
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

    // Declarative: the whole mapping, so that whole tables can be compared. Else null.
    virtual Mapping* mapping() { return nullptr; }
    // If match is declared: where a document's target is. targets() then reads what it needs of a deleted document by itself. Else null.
    virtual Mapping* match() { return mapping(); }
    // The HTTP push of the type. Null for other kinds.
    virtual HttpPush* push() { return nullptr; }
    // That of the type; null: it has none.
    std::shared_ptr<SourceCondition> source_condition;

    // Bypass: execute() does everything. Otherwise, targets() and update() are used.
    virtual bool bypass() const = 0;
    virtual bool has(Hook hook) const = 0;
    virtual HookResult result_of(Hook hook) const = 0;
    // Reads the list that a before_relay hook returned.
    virtual std::vector<Target> targets_from_json(Datum jsonb, const Job& job) const = 0;

    virtual BypassResult execute(const Job& job, const Documents& documents) = 0;
    // Empty: no target. Only get_multiple_target_documents returns more than one.
    virtual std::vector<Target> targets(const Job& job, const Documents& documents) = 0;
    // The target as it should be. `explicit_columns`: columns set on purpose, even if to NULL.
    virtual pg::RowValues update(const Job& job, const Documents& documents, const pg::RowValues& target,
                                 ColumnSet* explicit_columns) = 0;
    // The same for many documents, whose targets match() has found. Only if computes_many().
    virtual bool computes_many() const { return false; }
    virtual void update_many(std::vector<SetDocument>&) {}
    // Called when the target has the wanted values in these columns, written by this sync.
    virtual void wrote(const DocumentType&, const pg::RowValues&, const ColumnSet&) {}
    // `extra`: targets, child jobs or error, as jsonb. Returns the result of the function; null if nobody uses that.
    virtual pg::Value call_hook(Hook hook, const Job& job, const Documents& documents, pg::Value extra) = 0;
};

// The controller of a job type. Its functions, signatures, owners and rights have been checked. Cached until anything it depends on
// changes. Raises what is wrong; the engine does not count such a failure as a retry.
std::shared_ptr<Controller> find_controller(const JobType& type);

// For when find_controller() raises: a controller that can only call the hook `failed`, so that somebody hears of it. Null if there is no
// such hook, or if the hook is part of what is wrong.
std::shared_ptr<Controller> find_failed_hook(const JobType& type);

// What is known of a job type's controller without building it.
struct ControllerKind {
    bool bypass = false;
    bool commits = false;  // execute() is a procedure
    bool relays = false;   // its jobs may have child jobs
};
ControllerKind controller_kind(const JobType& type);
// The same without opening a library: a native controller that this process has not used yet is taken for one that does nothing special. A
// job that cannot run the way it was enqueued finds out when it runs.
ControllerKind known_kind(const JobType& type);
// Whether one job may sync many of its documents in one transaction. Not if the type's jobs may relay: each document would have to wait for
// children of its own.
bool runs_in_sets(const JobType& type);

// An error in the set-up rather than in the work: a missing function, a wrong signature, a missing right.
class SetupError : public pg::Error {
public:
    using pg::Error::Error;
    explicit SetupError(const pg::Error& error) : pg::Error(error) {}
};

// Raises if secret_columns of the type names a column that its target does not have, because its value would then be recorded under another
// name; or a column whose value is recorded anyway.
void require_secret_columns(const JobType& type);

// For the callback of function changes.
void invalidate_controllers();
// Grows whenever a function, schema or role has changed.
std::uint64_t controller_generation();

}  // namespace sync_job
