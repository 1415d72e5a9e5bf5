// Ctrl-C and the like: a flag that loops look at, and the end of the statement that is under way.
#pragma once

#include <libpq-fe.h>

#include <chrono>

namespace sync_job::interrupt {

/// From now on SIGINT and SIGTERM set the flag and cancel the statement under way, instead of ending the process.
void watch();

/// The statement under way on this connection is the one to cancel; nullptr: none is.
void cancel_with(PGcancel* cancel);

bool requested();

/// Throws Interrupted where somebody has asked for it.
void check();

/// Sleeps, and wakes up early for an interrupt; throws Interrupted then.
void sleep(std::chrono::milliseconds time);

}  // namespace sync_job::interrupt
