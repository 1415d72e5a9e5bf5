#include "pg/server.hpp"

#include <utility>

#include "pg/flush_later.hpp"

namespace sync_job::pg {

// Sets the variable, not the setting, because this is for one commit only.
FlushLater::FlushLater() : before_(std::exchange(synchronous_commit, SYNCHRONOUS_COMMIT_OFF)) {}

FlushLater::~FlushLater() { synchronous_commit = before_; }

}  // namespace sync_job::pg
