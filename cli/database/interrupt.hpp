// Ctrl-C and the like: sets a flag that loops check, and cancels the statement under way.
#pragma once

#include <libpq-fe.h>

#include <chrono>

namespace sync_job::interrupt {

/// From now on SIGINT and SIGTERM set the flag and cancel the statement under way, instead of ending the process.
void watch();

/// The statement under way on this connection is the one to cancel; nullptr: none is.
void cancel_with(PGcancel* cancel);

bool requested();

/// Throws Interrupted if the flag is set.
void check();

/// Sleeps, and wakes up early for an interrupt; throws Interrupted then.
void sleep(std::chrono::milliseconds time);

}  // namespace sync_job::interrupt
