#include "controller/source_condition.hpp"

#include <algorithm>

#include "controller/columns_read.hpp"
#include "pg/error.hpp"
#include "pg/xact.hpp"

namespace sync_job {

std::string condition_sql(const JobType& type) {
    return type.source_condition.empty() ? std::string() : "((" + type.source_condition + "\n) IS TRUE)";
}

SourceCondition::SourceCondition(const JobType& type)
    : source_(DocumentType::find(type.source, type.source_key)),
      reads_(condition_reads(type, *source_)),
      statement_("SELECT 1 FROM pg_catalog.unnest(ARRAY[$1]) AS source WHERE " + condition_sql(type), {source_->relation().row_type}) {
    try {
        pg::check_expression(type.source_condition);
        pg::Subtransaction subtransaction;
        {
            pg::SpiScope spi;
            pg::SnapshotScope snapshot;
            statement_.prepare();
        }
        subtransaction.commit();
    } catch (const pg::Error& error) {
        const pg::ErrorReport& report = error.report();
        throw pg::Error(error.sqlstate(), "source_condition: " + report.message)
            .detail(report.detail)
            .hint(report.hint.empty() ? "It is one condition over source, as in source.country = 'DE'." : report.hint);
    }
}

bool SourceCondition::holds(pg::Value row) { return !statement_.execute({row}).empty(); }

bool SourceCondition::holds(const KeptDocument& kept) {
    for (const KeptDocument::Unread& unread : kept.unread) {
        if (std::find(reads_.begin(), reads_.end(), unread.column) == reads_.end()) continue;
        throw pg::Error(std::make_shared<pg::ErrorReport>(*unread.error));
    }
    return holds(pg::Value{pg::put_together(kept.row, source_->relation()), false});
}

}  // namespace sync_job
