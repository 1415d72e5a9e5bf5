// The header traceparent of W3C Trace Context: the trace that a request belongs to, and the part of it that caused the request.
#pragma once

#include <string_view>

namespace sync_job {

// By its grammar: version, trace-id, parent-id and trace-flags, in lower case; a version after 00 may have more.
bool is_traceparent(std::string_view text);

}  // namespace sync_job
