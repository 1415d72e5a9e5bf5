#include "pg/server.hpp"

#include <utility>

#include "pg/flush_later.hpp"

namespace sync_job::pg {

// The variable, and not the setting, as it is for this commit alone.
FlushLater::FlushLater() : before_(std::exchange(synchronous_commit, SYNCHRONOUS_COMMIT_OFF)) {}

FlushLater::~FlushLater() { synchronous_commit = before_; }

}  // namespace sync_job::pg
