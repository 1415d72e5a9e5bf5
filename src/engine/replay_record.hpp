// Records that changes were applied or reverted: as a job of its own, which can be viewed, and undone in turn.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/recorded_change.hpp"
#include "engine/replay_list.hpp"
#include "engine/replay_many.hpp"
#include "job/job_row.hpp"

namespace sync_job {

// A Finished job with an id of its own. Like the job whose changes are replayed, except for what it has done.
Job new_replay_record(const Job& replayed, bool backwards, pg::Timestamp started);

struct RecordedDocument {
    std::string source, target;
    const DocumentState *before, *after;
};

// The record for many documents of one type: the replaying job `own`, if that is about such documents; else a job that is inserted at the
// end.
class ReplayRecord {
public:
    ReplayRecord(const ReplayRequest& request, const ReplayGroup& group, const Job* own);
    std::int64_t id();
    void add(const DocumentType& type, const std::vector<RecordedDocument>& documents);
    // Called after the last document. The job's id, if a job was needed.
    std::optional<std::int64_t> finish();

private:
    const ReplayRequest& request_;
    std::string type_name_;
    SecretColumns secret_;
    std::int64_t sample_, id_ = 0, count_ = 0;
    std::optional<std::int64_t> own_;
    pg::Timestamp started_;
};

}  // namespace sync_job
