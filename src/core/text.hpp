// Text helpers: case, quoting for messages, scrubbed names, titles.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sync_job {

std::string lower(std::string_view ascii);

// In double quotes, as PostgreSQL's messages quote a name.
std::string quoted(std::string_view name);
// Without this, std::quoted(), which the headers of newer compilers declare, would be the better match for a std::string.
inline std::string quoted(const std::string& name) { return quoted(std::string_view(name)); }
inline std::string quoted(const char* name) { return quoted(std::string_view(name)); }
inline std::string quoted(std::string& name) { return quoted(std::string_view(name)); }

std::string join(const std::vector<std::string>& parts, std::string_view separator);

// Lower case, each run of whitespace and hyphens turned into one underscore: `SAP Customer Sync` → `sap_customer_sync`.
std::string scrubbed(std::string_view name);

// "source > target: target name", or "source: source name", or "source"; the job type stands in for a missing source.
// Empty means none.
std::string make_title(std::string_view job_type, std::string_view source_type, std::string_view source_name,
                       std::string_view target_type, std::string_view target_name);

}  // namespace sync_job
