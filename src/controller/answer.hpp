// What a controller answers, whatever it is written in: targets, and what execute() returns. Read and checked.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "controller/controller.hpp"

namespace sync_job {

// A target as the controller gave it.
struct TargetFields {
    std::optional<std::string> operation, name;
    Oid document_type = 0;  // no_oid: the job type's
    pg::Value context;
};

// `function`: which one of the controller, for errors. Nothing for a JSON null, which means what NULL means.
TargetFields read_target_json(Datum json, const std::string& function);
// Nothing: the controller named no target.
std::optional<Target> to_target(const TargetFields& fields, const JobType& type, const Job& job, const std::string& function);
// The list that before_relay returned.
std::vector<Target> read_targets_json(Datum json, const JobType& type, const Job& job, const std::string& function);

// Of execute(): a value of sync_job_result, or jsonb.
BypassResult read_result(pg::Value value, bool json, const std::string& function);

// A relation given by a controller, as OID or as text.
Oid relation_from_text(const std::string& text);
void require_object(Datum json, const std::string& function);

}  // namespace sync_job
