// Compares all documents of a job type with their targets, and writes nothing: what a sync of each would do.
//
// Declarative types: a few statements over whole tables, by one snapshot. Functions: each document as in a dry run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "job/job_row.hpp"
#include "job/job_type.hpp"

namespace sync_job {

enum class Difference { missing, different, surplus, ambiguous };
constexpr int difference_count = 4;
const char* to_text(Difference difference);

struct DifferentDocument {
    Difference difference;
    std::optional<std::string> source, target;  // names
    std::string diff;                           // JSON; empty: none
    bool waiting;                               // a job of it waits: no fault
};

struct Comparison {
    std::vector<DifferentDocument> documents;  // as many as were asked for
    // Of all: how many, by difference, and whether they wait.
    std::int64_t counts[difference_count][2] = {};
    std::int64_t listed[difference_count][2] = {};  // of these, in `documents`
    std::string surplus_unknown;                    // why nothing is said of surplus targets; empty: it is
};

struct ComparisonRequest {
    std::string condition;                 // SQL over source; empty: all
    std::optional<std::int64_t> max_rows;  // none: all
};

// Whether jobs of the type may delete targets, or mark them as gone: its gates, and on_delete.
bool may_remove_targets(const JobType& type);
// Raises 0A000 for what cannot be compared.
void require_comparable(const JobType& type);
// Raises what is wrong with a condition, SQL over the source; with the search_path of the type.
void check_condition(const JobType& type, const std::string& condition);
// As the current user, who is run_as of the type.
Comparison compare(const JobType& type, const ComparisonRequest& request);

// Jobs that compare: what is asked for is in their context; the result, as jsonb, has the counts and the documents.
pg::Value comparison_context(const ComparisonRequest& request);
ComparisonRequest comparison_request_of(const Job& job);
pg::Value run_comparison(const Job& job, const JobType& type);

}  // namespace sync_job
