// If a session that runs jobs is cancelled by its user or by its statement_timeout, what has run so far is recorded, and then its statement
// ends.
#pragma once

#include "pg/error.hpp"

namespace sync_job {

// Called for an error while jobs run that is neither the cancellation of a job nor a time limit of the engine. Remembers it if it is a
// cancellation, except in a worker, which goes on.
void note_interruption(const pg::Error& error);
// Whether a cancellation is remembered: then no more jobs are begun.
bool is_interrupted();
void forget_interruption();
// Raises the remembered error, if any.
void raise_interruption();

}  // namespace sync_job
