#include "job/internal_sql.hpp"

#include <optional>

#include "job/schema_objects.hpp"
#include "pg/role.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

std::string with_schema(std::string sql, const std::string& schema) {
    for (std::size_t at = sql.find("{}"); at != std::string::npos; at = sql.find("{}", at + schema.size())) {
        sql.replace(at, 2, schema);
    }
    return sql;
}

}  // namespace

std::vector<InternalStatement::Row> InternalStatement::run(const std::vector<pg::Value>& arguments, Sees sees) {
    const SchemaObjects& o = schema_objects();
    pg::OwnerScope owner(o.owner);
    pg::SpiScope spi;
    std::optional<pg::SnapshotScope> snapshot;
    if (sees == Sees::newest) snapshot.emplace();
    if (prepared_for_ != o.extension) {
        statement_ = std::make_shared<pg::Statement>(with_schema(sql_, o.schema), types_, pg::Statement::Access::by_index);
        prepared_for_ = o.extension;
    }
    std::shared_ptr<pg::Statement> statement = statement_;
    pg::Rows rows = statement->execute(arguments, sees == Sees::active);
    std::vector<Row> copied(rows.size());
    for (std::uint64_t i = 0; i < rows.size(); i++) {
        for (int column = 0; column < rows.columns(); column++) copied[i].push_back(rows.copy(i, column));
    }
    return copied;
}

std::string text_of(const pg::Value& value) { return value.null ? std::string() : std::string(pg::datum_text(value.datum)); }

std::unique_ptr<pg::Cursor> open_internal_cursor(const std::string& sql, const std::vector<Oid>& types, const std::vector<pg::Value>& arguments) {
    const SchemaObjects& o = schema_objects();
    pg::OwnerScope owner(o.owner);
    pg::SnapshotScope snapshot;
    return std::make_unique<pg::Cursor>(with_schema(sql, o.schema), types, arguments);
}

}  // namespace sync_job
