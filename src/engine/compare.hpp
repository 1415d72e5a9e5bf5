// Compares all documents of a job type with their targets: finds what a sync of each would do, and writes nothing.
//
// Declarative types: a few statements over whole tables, with one snapshot. Types with functions: each document as in a dry run.
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
    bool waiting;                               // a job of it is waiting, so this is not a fault
};

struct Comparison {
    std::vector<DifferentDocument> documents;  // at most as many as requested
    // How many there are in all, by difference and by whether a job is waiting.
    std::int64_t counts[difference_count][2] = {};
    std::int64_t listed[difference_count][2] = {};  // how many of these are in `documents`
    std::string surplus_unknown;                    // why surplus targets are unknown; empty: they are known
};

struct ComparisonRequest {
    std::string condition;                 // SQL over source; empty: all
    std::optional<std::int64_t> max_rows;  // none: all
};

// Whether jobs of the type may delete targets or mark them as gone, according to its gates and on_delete.
bool may_remove_targets(const JobType& type);
// Raises 0A000 for what cannot be compared.
void require_comparable(const JobType& type);
// Raises what is wrong with a condition (SQL over the source), using the search_path of the type.
void check_condition(const JobType& type, const std::string& condition);
// Runs as the current user, who must be run_as of the type.
Comparison compare(const JobType& type, const ComparisonRequest& request);

// For jobs that compare: the request is in their context; the result, as jsonb, has the counts and the documents.
pg::Value comparison_context(const ComparisonRequest& request);
ComparisonRequest comparison_request_of(const Job& job);
pg::Value run_comparison(const Job& job, const JobType& type);

}  // namespace sync_job
