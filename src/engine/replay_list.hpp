// What a list of jobs has changed: the jobs, including those that they led to, and document by document the changes that they recorded.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/recorded_change.hpp"
#include "job/job_type.hpp"
#include "pg/spi.hpp"

namespace sync_job {

// Jobs of one type that wrote to documents of one type.
struct ReplayGroup {
    std::shared_ptr<const JobType> type;
    Oid target = pg::no_oid;
    std::int64_t sample = 0;  // one of them
    std::vector<std::int64_t> jobs;
};

// For these jobs and those that they led to: children of a relay, documents that left a set or a full sync. Jobs that changed nothing are
// left out. The group of the newest job comes first, or last if they are applied. Raises what makes all of it impossible: 42704 for a job
// that does not exist, 55000 for one that has not ended, 42501 if its role is not the session's.
std::vector<ReplayGroup> jobs_to_replay(const std::vector<std::int64_t>& ids, bool backwards);

// The type of the jobs, which must all have the same one, for a job that replays them. Raises 22023; 42501 for somebody who can neither
// become their role nor is an operator.
std::shared_ptr<const JobType> type_to_replay(const std::vector<std::int64_t>& ids);

struct ListedChange {
    std::int64_t sync_job;
    std::string source, target;  // names as recorded
    RecordedChange change;
};

// Reads the changes document by document, in the order in which they are to be replayed. Needs an SpiScope, and must be closed before that
// ends.
class ListedChanges {
public:
    ListedChanges(const ReplayGroup& group, const DocumentType& documents, bool backwards);
    // The changes of at most `most` more documents, in the current memory context.
    using OfDocument = std::vector<ListedChange>;
    std::vector<OfDocument> next(std::size_t most);

private:
    const DocumentType& documents_;
    bool backwards_;
    std::unique_ptr<pg::Cursor> cursor_;
    std::optional<pg::Rows> rows_;
    std::uint64_t at_ = 0;
};

}  // namespace sync_job
