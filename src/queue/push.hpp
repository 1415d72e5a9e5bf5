// Jobs of HTTP pushes wait apart from all others: they are held from the start, so that ordinary workers never claim them.
#pragma once

#include "job/job_row.hpp"

namespace sync_job {

// A job that only an HTTP worker runs: its type is an HTTP push, and it is about documents, not a comparison of them all.
bool is_push(const Job& job);
// Holds it, if it is Queued and due. A scheduled job is held when its time has come.
void hold_push(Job& job);

// Above 0: its last request may have reached the server, or the answer has not been written back yet. The number of its requests is in
// its checkpoint, and the job cannot absorb another request.
int requests_of(const Job& job);
void set_requests(Job& job, int number);

}  // namespace sync_job
