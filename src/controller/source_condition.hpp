// source_condition of a job type: a row of the source for which it does not hold is a row that is not there. And surplus_condition: a
// row of the target for which it does not hold is not surplus, whatever the sources are.
#pragma once

#include <string>

#include "document/deleted_document.hpp"
#include "document/document.hpp"
#include "job/job_type.hpp"
#include "pg/spi.hpp"

namespace sync_job {

// As a condition over `source`, true or false; empty: the type has none.
std::string condition_sql(const JobType& type);

// The same over the target, whose row has this name in the statement.
std::string surplus_condition_sql(const JobType& type, const std::string& row);
// Raises what is wrong with it.
void check_surplus_condition(const JobType& type);

// Of a type that has one.
class SourceCondition {
public:
    // Raises what is wrong with it.
    explicit SourceCondition(const JobType& type);

    // Both run it as the current user, in an SpiScope.
    bool holds(pg::Value row);
    // Of a row that was kept. Raises what cannot be read and may matter.
    bool holds(const KeptDocument& kept);

private:
    std::shared_ptr<DocumentType> source_;
    ColumnSet reads_;
    pg::Statement statement_;
};

}  // namespace sync_job
