#include "controller/source_condition.hpp"

#include "controller/columns_read.hpp"
#include "pg/error.hpp"
#include "pg/xact.hpp"

namespace sync_job {

std::string condition_sql(const JobType& type) {
    return type.source_condition.empty() ? std::string() : "((" + type.source_condition + "\n) IS TRUE)";
}

std::string surplus_condition_sql(const JobType& type, const std::string& row) {
    if (type.surplus_condition.empty()) return {};
    return "EXISTS (SELECT FROM pg_catalog.unnest(ARRAY[" + row + "]) AS target WHERE (" + type.surplus_condition + "\n))";
}

namespace {

pg::Error in_condition(const char* which, const pg::Error& error, const char* hint) {
    const pg::ErrorReport& report = error.report();
    return pg::Error(error.sqlstate(), std::string(which) + ": " + report.message)
        .detail(report.detail)
        .hint(report.hint.empty() ? hint : report.hint);
}

void check(const std::string& text, pg::Statement& statement) {
    pg::check_expression(text);
    statement.check();
}

}  // namespace

void check_surplus_condition(const JobType& type) {
    if (type.surplus_condition.empty()) return;
    auto target = DocumentType::find(type.target, type.target_key);
    pg::Statement statement("SELECT 1 FROM " + target->relation().quoted + " AS " + target->relation().alias + " WHERE " +
                                surplus_condition_sql(type, target->relation().alias),
                            {});
    try {
        check(type.surplus_condition, statement);
    } catch (const pg::Error& error) {
        throw in_condition("surplus_condition", error, "It is one condition over target, as in target.origin = 'ERP'.");
    }
}

SourceCondition::SourceCondition(const JobType& type)
    : source_(DocumentType::find(type.source, type.source_key)),
      reads_(condition_reads(type, *source_)),
      statement_("SELECT 1 FROM pg_catalog.unnest(ARRAY[$1]) AS source WHERE " + condition_sql(type), {source_->relation().row_type}) {
    try {
        check(type.source_condition, statement_);
    } catch (const pg::Error& error) {
        throw in_condition("source_condition", error, "It is one condition over source, as in source.country = 'DE'.");
    }
}

bool SourceCondition::holds(pg::Value row) { return !statement_.execute({row}).empty(); }

bool SourceCondition::holds(const KeptDocument& kept) {
    for (const KeptDocument::Unread& unread : kept.unread) {
        if (!contains(reads_, unread.column)) continue;
        throw pg::Error(std::make_shared<pg::ErrorReport>(*unread.error));
    }
    return holds(pg::Value{pg::put_together(kept.row, source_->relation()), false});
}

}  // namespace sync_job
