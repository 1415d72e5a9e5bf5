// Commits that do not wait for the disk: their WAL is written by the WAL writer soon after, or by the next commit that waits. For
// the parts of work that is done again, as far as it is lost, before anybody is told that it has ended.
#pragma once

namespace sync_job::pg {

class FlushLater {
public:
    FlushLater();
    ~FlushLater();
    FlushLater(const FlushLater&) = delete;
    FlushLater& operator=(const FlushLater&) = delete;

private:
    int before_;
};

}  // namespace sync_job::pg
