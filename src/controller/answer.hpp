// Reads and checks what a controller returns, whatever language it is written in: targets, and the result of execute().
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "controller/controller.hpp"

namespace sync_job {

// A target as the controller returned it.
struct TargetFields {
    std::optional<std::string> operation, name;
    Oid document_type = 0;  // no_oid: that of the job type
    pg::Value context;
};

// `function`: the controller's function that returned it, for errors. A JSON null means the same as NULL, and gives no fields.
TargetFields read_target_json(Datum json, const std::string& function);
// Nothing: the controller named no target.
std::optional<Target> to_target(const TargetFields& fields, const JobType& type, const Job& job, const std::string& function);
// Reads the list that before_relay returned.
std::vector<Target> read_targets_json(Datum json, const JobType& type, const Job& job, const std::string& function);

// Reads the result of execute(): a value of type sync_job_result, or jsonb.
BypassResult read_result(pg::Value value, bool json, const std::string& function);

// A relation that a controller named, by OID or as text.
Oid relation_from_text(const std::string& text);
void require_object(Datum json, const std::string& function);

}  // namespace sync_job
