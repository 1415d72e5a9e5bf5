// The steps of one attempt: load the source, ask the controller, compute the diff, save. Runs inside the
// attempt's subtransaction, with the rights of the current user; whatever it raises fails the attempt.
#pragma once

#include <vector>

#include "controller/controller.hpp"
#include "job/job_row.hpp"

namespace sync_job {

struct HttpReply;

// What an attempt at a job of an HTTP push does; sending is no part of it.
struct PushStep {
    const HttpReply* reply = nullptr;  // writes back what this says. Null: it makes the request, which is the result
};

// What is known so far; the attempt reads it after a failure, too.
struct SyncContext {
    Job job;  // as the controller sees it: operation, target and context filled in as they are found
    Documents documents;
    SecretColumns secret;  // of the target
    bool trusted = false;  // the job type has the rights that the job has
    std::shared_ptr<Controller> controller;
    Status status = Status::finished;
    std::vector<Operation> closed;  // gates of the job that the type has closed
    bool own_transactions = false;  // the job may commit as it goes
    std::vector<KeptRow> kept;      // of the source, by any job type
    std::int64_t deletion = 0;      // the one of them that the job is about; 0: the document exists, though maybe not for the type
    bool was_not_there = false;     // for the type, neither now nor in what was kept
    pg::Value before, wanted;       // the target as it was, and as it should be: composite values
    pg::Value context;              // from the controller, in place of the job's
    pg::Value diff;                 // jsonb
    pg::Value result;               // jsonb: what background work returned
    pg::Value fingerprint;          // of an inserted row
    std::vector<Job> children;      // Relayed: in a dry run, still to be inserted after the rollback
    bool inserting = false;         // it has reached the insert: a unique violation may mean somebody else's insert
    bool engine_at_work = true;     // no code of the controller runs: trouble of the server is not the job's
    bool second_look = false;       // this is the attempt's second pass
    const PushStep* push = nullptr;  // of an HTTP push
};

// Runs code of the controller: what it raises, even trouble of the server, may be about that code alone.
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
// The document type of the relation; `key`: the declared one, if that is the relation `of_type` of the job type. Raises SetupError.
std::shared_ptr<DocumentType> find_own_documents(Oid relation, Oid of_type, const std::vector<std::string>& key);
// `side`: source or target.
[[noreturn]] void missing_document(const char* side, const std::string& name, const DocumentType& type, const char* hint);
void load_source(SyncContext& sync, const JobType& type);
// Forgets what was kept of the source, now that it has been used.
void forget_kept(const SyncContext& sync);
void sync_target(SyncContext& sync, const JobType& type, const Target& target);
// Where the document's target was, under values that it had.
void remove_left_behind(SyncContext& sync, const JobType& type, const std::vector<std::string>& names);

// What the trigger saw, in the job's context, may be out of date: if the document has been deleted since, it is a delete;
// if it exists again, an update.
void correct_operation_hint(Job& job, bool deleted);

// Writes back what the reply of the step says.
void write_answer(SyncContext& sync, const JobType& type);
// Whether this process is writing the answer to an HTTP push of this type: its own triggers leave that alone.
bool writes_answer_of(const std::string& type);

// Calls a hook that must not undo the sync: it runs in a subtransaction of its own, and an error becomes a warning.
void call_quietly(Hook hook, SyncContext& sync, pg::Value extra);

}  // namespace sync_job
