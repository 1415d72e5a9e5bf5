// source_condition of a job type: a source row for which it does not hold counts as nonexistent. And surplus_condition: a target row for
// which it does not hold is not surplus, whatever the sources are.
#pragma once

#include <string>

#include "document/deleted_document.hpp"
#include "document/document.hpp"
#include "job/job_type.hpp"
#include "pg/spi.hpp"

namespace sync_job {

// As an SQL condition over `source`, true or false; empty: the type has none.
std::string condition_sql(const JobType& type);

// The same for surplus_condition, over the target; `row`: the name of its row in the statement.
std::string surplus_condition_sql(const JobType& type, const std::string& row);
// Raises what is wrong with surplus_condition.
void check_surplus_condition(const JobType& type);

// The source_condition of a type that has one.
class SourceCondition {
public:
    // Raises what is wrong with source_condition.
    explicit SourceCondition(const JobType& type);

    // Both run the condition as the current user, and need an SpiScope.
    bool holds(pg::Value row);
    // For a kept row. Raises if a column that may matter cannot be read.
    bool holds(const KeptDocument& kept);

private:
    std::shared_ptr<DocumentType> source_;
    ColumnSet reads_;
    pg::Statement statement_;
};

}  // namespace sync_job
