// Messages to the caller: on standard error, in psql's form.
#pragma once

#include <string>

namespace sync_job {

/// "ERROR:  message", then lines with the detail and the hint, if any.
void tell_message(const std::string& severity, const std::string& message, const std::string& detail = {}, const std::string& hint = {});

/// The same as JSON: {"error": {"code": …, "message": …, "detail": …, "hint": …}}.
void tell_error_json(const std::string& code, const std::string& message, const std::string& detail, const std::string& hint);

}  // namespace sync_job
