// The header traceparent of W3C Trace Context: which trace a request belongs to, and which part of it has caused it.
#pragma once

#include <string_view>

namespace sync_job {

// As its grammar has it: version, trace-id, parent-id and trace-flags, in lower case; a version after 00 may have more.
bool is_traceparent(std::string_view text);

}  // namespace sync_job
