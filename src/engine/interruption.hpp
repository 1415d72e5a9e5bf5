// A session that runs jobs is cancelled by its user or its statement_timeout: what had run is recorded, and then its statement ends.
#pragma once

#include "pg/error.hpp"

namespace sync_job {

// Of an error while jobs run that is neither the cancellation of a job nor a time limit of the engine's: remembered, if it is a
// cancellation and this is no worker, which goes on.
void note_interruption(const pg::Error& error);
// One is remembered: no more jobs are begun.
bool is_interrupted();
void forget_interruption();
// Raises it.
void raise_interruption();

}  // namespace sync_job
