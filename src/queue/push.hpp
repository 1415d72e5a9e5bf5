// Jobs of HTTP pushes wait apart from all others: they are held from the start, so that no claim of an ordinary worker meets them.
#pragma once

#include "job/job_row.hpp"

namespace sync_job {

// A job that only an HTTP worker runs: its type is an HTTP push, and it is about documents, not a comparison of them all.
bool is_push(const Job& job);
// Holds it, if it is Queued and due. One with a time is held when that has come.
void hold_push(Job& job);

// Its last request may have come to the server, or its answer is not written back yet: the number of its requests is in its
// checkpoint, and it can do no other job's work.
int requests_of(const Job& job);
void set_requests(Job& job, int number);

}  // namespace sync_job
