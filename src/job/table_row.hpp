// A row of one of the extension's own tables, its columns by name.
#pragma once

#include <memory>
#include <string>

#include "pg/catalog.hpp"
#include "pg/row.hpp"

namespace sync_job {

class TableRow {
public:
    TableRow(Oid relation, const pg::RowValues& row) : relation_(pg::read_relation(relation)), values_(pg::copy_of(row)) {}
    TableRow(Oid relation, Datum row)
        : relation_(pg::read_relation(relation)), values_(pg::copy_of(pg::take_apart(row, *relation_))) {}

    const pg::RelationInfo& relation() const { return *relation_; }
    // Null for a column that the table of an older version does not have.
    pg::Value at(const char* column) const {
        const pg::Column* known = relation_->column(column);
        return known == nullptr ? pg::Value() : values_.at(known->number);
    }
    bool is_null(const char* column) const { return at(column).null; }
    std::string text(const char* column) const {
        pg::Value value = at(column);
        return value.null ? std::string() : std::string(pg::datum_text(value.datum));
    }
    Oid oid(const char* column) const {
        pg::Value value = at(column);
        return value.null ? pg::no_oid : pg::datum_oid(value.datum);
    }
    bool flag(const char* column, bool otherwise = false) const {
        pg::Value value = at(column);
        return value.null ? otherwise : pg::datum_bool(value.datum);
    }
    void set(const char* column, Datum datum) { set(column, pg::Value{datum, false}); }
    void set(const char* column, pg::Value value) { values_.set(number(column), value); }
    Datum row() const { return pg::put_together(values_, *relation_); }

private:
    int number(const char* name) const { return relation_->column(name)->number; }
    std::unique_ptr<pg::RelationInfo> relation_;
    pg::RowValues values_;
};

}  // namespace sync_job
