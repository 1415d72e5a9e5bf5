// The steps of one attempt: load the source, ask the controller, compute the diff, save. Runs inside the attempt's subtransaction, with the
// rights of the current user. Any error it raises fails the attempt.
#pragma once

#include <vector>

#include "controller/controller.hpp"
#include "job/job_row.hpp"

namespace sync_job {

struct HttpReply;

// What an attempt at a job of an HTTP push does. It does not send anything.
struct PushStep {
    const HttpReply* reply = nullptr;  // writes values of this answer back. Null: makes the request, which is the result
};

// What is known so far. The attempt also reads it after a failure.
struct SyncContext {
    Job job;  // as the controller sees it; operation, target and context are filled in when they are found
    Documents documents;
    SecretColumns secret;  // columns of the target
    bool trusted = false;  // it has been checked that the job type has the rights of the job
    std::shared_ptr<Controller> controller;
    Status status = Status::finished;
    std::vector<Operation> closed;  // gates of the job that the type has closed
    bool own_transactions = false;  // the job may commit as it goes
    std::vector<KeptRow> kept;      // rows of the source kept for any job type
    std::int64_t deletion = 0;      // the kept row that the job is about; 0: the document exists, but perhaps outside the source_condition
    bool was_not_there = false;     // the document was never in the type's scope: neither now nor in the kept rows
    pg::Value before, wanted;       // composite values: the target before, and as it should be
    pg::Value context;              // from the controller; replaces that of the job
    pg::Value diff;                 // jsonb
    pg::Value result;               // jsonb: what background work returned
    pg::Value fingerprint;          // of an inserted row
    std::vector<Job> children;      // Relayed: in a dry run, still to be inserted after the rollback
    bool inserting = false;         // the insert has begun: a unique violation may be due to somebody else's insert
    bool engine_at_work = true;     // no code of the controller is running: trouble of the server is not the job's fault
    bool second_look = false;       // this is the second pass of the attempt
    const PushStep* push = nullptr;  // for an HTTP push
};

// Runs code of the controller: an error it raises, even trouble of the server, may be due to that code alone.
template <class F>
auto by_controller(SyncContext& sync, F&& act) {
    sync.engine_at_work = false;
    auto result = act();
    sync.engine_at_work = true;
    return result;
}

pg::Value call_hook(SyncContext& sync, Hook hook, pg::Value extra = {});

void run_sync(SyncContext& sync, const JobType& type);

// --- Its steps ---
// The document type of the relation. `key` applies if the relation is `of_type`, the one that the job type names. Raises SetupError.
std::shared_ptr<DocumentType> find_own_documents(Oid relation, Oid of_type, const std::vector<std::string>& key);
// Raises P0002. `side`: "source" or "target".
[[noreturn]] void missing_document(const char* side, const std::string& name, const DocumentType& type, const char* hint);
void load_source(SyncContext& sync, const JobType& type);
// Forgets what was kept of the source, now that it has been used.
void forget_kept(const SyncContext& sync);
void sync_target(SyncContext& sync, const JobType& type, const Target& target);
// Deletes, or marks as gone, the targets of values that the document had before.
void remove_left_behind(SyncContext& sync, const JobType& type, const std::vector<std::string>& names);

// The job's context has what the trigger saw, which may be out of date: if the document has been deleted since, it is a delete; if it
// exists again, an update.
void correct_operation_hint(Job& job, bool deleted);

// Writes back values of the reply in sync.push.
void write_answer(SyncContext& sync, const JobType& type);
// Whether this process is just writing back an answer to an HTTP push of this type: the type's own triggers then do nothing.
bool writes_answer_of(const std::string& type);

// Calls a hook that must not undo the sync: it runs in a subtransaction of its own, and an error becomes a warning.
void call_quietly(Hook hook, SyncContext& sync, pg::Value extra);

}  // namespace sync_job
