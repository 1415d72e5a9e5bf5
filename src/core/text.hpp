// Small work on text: case, quoting for messages, scrubbed names, titles.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sync_job {

std::string lower(std::string_view ascii);

// Quoted as PostgreSQL's messages quote a name: "so".
std::string quoted(std::string_view name);
// Else a newer compiler's headers bring std::quoted(), which would fit a std::string better.
inline std::string quoted(const std::string& name) { return quoted(std::string_view(name)); }
inline std::string quoted(const char* name) { return quoted(std::string_view(name)); }
inline std::string quoted(std::string& name) { return quoted(std::string_view(name)); }

std::string join(const std::vector<std::string>& parts, std::string_view separator);

// Lower case, every run of blanks and hyphens one underscore: `SAP Customer Sync` → `sap_customer_sync`.
std::string scrubbed(std::string_view name);

// "source > target: target name", or "source: source name", or "source"; the job type stands in for a source there is not.
// Empty texts mean: none.
std::string make_title(std::string_view job_type, std::string_view source_type, std::string_view source_name,
                       std::string_view target_type, std::string_view target_name);

}  // namespace sync_job
