// Commits that do not wait for the disk: their WAL is written soon after by the WAL writer, or by the next commit that waits. For parts of
// work that, if lost, is done again before anybody is told that it has ended.
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
