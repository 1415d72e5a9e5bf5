// Document types: relations whose rows are documents. Names, loading, saving, diffs.
//
// What reads and writes documents runs as the current user, with that user's rights, through SQL that names every
// table and operator by its schema.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pg/catalog.hpp"
#include "pg/row.hpp"
#include "pg/spi.hpp"

namespace sync_job {

// The columns that changed, by attnum, ascending.
using ColumnSet = std::vector<int>;

// A row that answers for one of a list: `number` is its place there, from 0.
struct NumberedRow {
    std::size_t number;
    pg::RowValues row;
};

class DocumentType {
public:
    // `declared_key`: column names, empty for the primary key. Raises 42P01 for a relation that is gone, 42809 for one
    // that cannot hold documents, 42P16 when it has no key, 42703 for a key column that does not exist.
    static std::shared_ptr<DocumentType> find(Oid relation, const std::vector<std::string>& declared_key);

    const pg::RelationInfo& relation() const { return *relation_; }
    const std::string& label() const { return label_; }  // for messages and titles
    const ColumnSet& key() const { return key_; }

    // --- Names ---
    std::string name_of(Datum row) const;
    std::string name_of(const pg::RowValues& row) const;
    // A row of another relation as one of this type's: of a partition, whose columns may lie elsewhere.
    pg::RowValues row_of(Oid relation, Datum row) const;
    pg::RowValues row_of(Oid relation, const pg::RowValues& row) const;
    // The name as name_of() would write it. Raises 22023 for one that the key's types do not take.
    std::string canonical_name(const std::string& name) const;
    // Sets the key columns of a row from a name.
    void set_key(pg::RowValues& row, const std::string& name) const;

    // --- Rows, as composite values in the current memory context; null when there is none. In an SpiScope. ---
    enum class Lock { none, for_update };
    pg::Value load(const std::string& name, Lock lock);
    // Not of every view.
    bool locks_rows() { return relation_->kind != 'v' || lockable(); }
    // Writes the columns; returns the row as it is stored now. Raises 27000 when a trigger or rule suppressed it.
    // `given`: values of identity columns are taken as they are, also where they are GENERATED ALWAYS.
    enum class Identity { by_table, given };
    Datum insert(const pg::RowValues& row, const ColumnSet& columns, Identity identity = Identity::by_table);
    Datum update(const std::string& name, const pg::RowValues& row, const ColumnSet& columns);
    // The row as it was; null when there was none.
    pg::Value remove(const std::string& name);

    // --- Many rows a statement; in an SpiScope, and the rows live as long as it ---
    // Not where a column of the key is an array or composite.
    bool supports_many() const;
    // The keys of these names, as an array for each column of the key.
    std::vector<pg::Value> key_arrays(const std::vector<std::string>& names) const;
    // Writes `columns` of each wanted row into the row that has the key of the one before it; the rows as they are stored
    // now. Raises 27000 when one was suppressed.
    std::vector<pg::RowValues> update_many(const std::vector<pg::RowValues>& before,
                                           const std::vector<pg::RowValues>& wanted, const ColumnSet& columns);
    std::vector<pg::RowValues> insert_many(const std::vector<pg::RowValues>& wanted, const ColumnSet& columns);

    // --- Conversions and comparison ---
    // As to_jsonb() would; `sparse`: without the columns that are null.
    Datum to_json(Datum row, bool sparse = false) const;
    // A row from jsonb: columns it does not name keep what `base` has. A column whose JSON value is the one that
    // `base` shows stays as it is stored. `named`: the columns it names.
    pg::RowValues from_json(Datum jsonb, const pg::RowValues& base, ColumnSet* named) const;
    // Columns a controller may change (generated ones are the database's) whose stored image differs.
    ColumnSet changed_columns(const pg::RowValues& before, const pg::RowValues& after) const;
    ColumnSet changed_columns(const pg::RowValues& before, const pg::RowValues& after, const ColumnSet& among) const;
    // The columns an insert writes: those not null, and those set on purpose; the others get their default.
    ColumnSet inserted_columns(const pg::RowValues& row, const ColumnSet& explicit_columns) const;
    // {"field": {"old": …, "new": …}} of every column whose stored image differs, generated ones too.
    // A missing row counts as one of nulls.
    Datum diff(pg::Value before, pg::Value after) const;
    Datum diff(const pg::RowValues& before, const pg::RowValues& after) const;

private:
    DocumentType() = default;
    std::vector<pg::Value> key_values(const std::string& name) const;
    // Of a name that has been told before: the error says what the key is now.
    std::vector<pg::Value> values_of(const std::string& name) const;
    std::string key_condition(int first_parameter) const;
    std::vector<Oid> key_types() const;
    void require_all_written(std::size_t written, std::size_t wanted, const char* command) const;
    // To be held while it is executed: a trigger may run a job that makes others.
    std::shared_ptr<pg::Statement> statement(const std::string& sql, const std::vector<Oid>& types);
    bool lockable();
    Datum written(const pg::Rows& rows, const char* command) const;

    std::shared_ptr<pg::RelationInfo> relation_;
    std::string label_;
    ColumnSet key_;
    std::optional<bool> lockable_;           // of a view: whether its rows can be locked
    bool name_is_text_ = false;              // a single text column: its value is the name
    std::string named_, returning_;  // parts of statements: table AS alias, RETURNING alias
    std::string load_sql_, lock_sql_, remove_sql_;
    std::map<std::string, std::shared_ptr<pg::Statement>> statements_;
};

// A value of the type can be an element of such an array.
bool fits_array(Oid base_type);
// A table made of arrays, parameters from $first on: "j" with the columns sync_job_1 … and the place, sync_job_n, from 1.
std::string rows_from_arrays(int first_parameter, std::size_t count);
// The values of one column in all rows, as an array.
pg::Value column_array(const std::vector<pg::RowValues>& rows, const pg::Column& column);

// For the relcache callback.
void invalidate_document_types(Oid relation);
// Drops what has been marked so; where no document type is in use.
std::uint64_t document_generation();

}  // namespace sync_job
