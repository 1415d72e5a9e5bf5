// Document types: relations whose rows are documents. Names, loading, saving, diffs.
//
// Documents are read and written as the current user, with that user's rights, by SQL that schema-qualifies every table
// and operator.
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

namespace pg::citus {
struct DistributedTable;
}

// The columns that changed, by attnum, ascending.
using ColumnSet = std::vector<int>;
bool contains(const ColumnSet& columns, int number);

// Columns whose values are never recorded: JobType::secret_columns. Everything that keeps a part of a document must be told them.
using SecretColumns = std::vector<std::string>;
bool is_secret(const std::string& column, const SecretColumns& secret);

// The row found for one item of a list; `number`: which one, from 0.
struct NumberedRow {
    std::size_t number;
    pg::RowValues row;
};

// Where a row was when it was read: an update since then has put it elsewhere.
struct RowLocation {
    pg::Value table, ctid;
};

class DocumentType {
public:
    // `declared_key`: column names, empty for the primary key. Raises 42P01 for a relation that is gone, 42809 for one
    // that cannot hold documents, 42P16 when it has no key, 42703 for a key column that does not exist.
    static std::shared_ptr<DocumentType> find(Oid relation, const std::vector<std::string>& declared_key);

    const pg::RelationInfo& relation() const { return *relation_; }
    const std::string& label() const { return label_; }  // for messages and titles
    const ColumnSet& key() const { return key_; }

    // --- Where Citus distributes the table: null elsewhere ---
    const pg::citus::DistributedTable* distributed() const { return distributed_.get(); }
    // The number of the shard to which the document, or the row, belongs; nothing: the key does not tell, or the table has no shards.
    std::optional<std::size_t> shard_of(const std::string& name) const;
    std::optional<std::size_t> shard_of(const pg::RowValues& row) const;
    // The same document type, with the same rows, but read and written on this shard itself, which cannot move until the transaction ends.
    // Null: the shard is on another node.
    std::shared_ptr<DocumentType> on_shard(std::size_t number);

    // --- Names ---
    std::string name_of(Datum row) const;
    std::string name_of(const pg::RowValues& row) const;
    // A row of another relation (a partition, whose columns may be in other positions) as a row of this type.
    pg::RowValues row_of(Oid relation, Datum row) const;
    pg::RowValues row_of(Oid relation, const pg::RowValues& row) const;
    // Whether the other relation's rows are rows of this type as they are.
    bool has_columns_of(Oid relation) const;
    // The whole row by the relation's alias, in SQL.
    const std::string& whole_row() const { return whole_row_; }
    // The name as name_of() would write it. Raises 22023 for one that the key's types reject.
    std::string canonical_name(const std::string& name) const;
    // Sets the key columns of a row from a name.
    void set_key(pg::RowValues& row, const std::string& name) const;

    // --- Rows, as composite values in the current memory context; null if there is none. In an SpiScope. ---
    enum class Lock { none, for_update };
    pg::Value load(const std::string& name, Lock lock);
    // False for some views.
    bool locks_rows() { return relation_->kind != 'v' || lockable(); }
    // Writes the columns; returns the row as stored. Raises 27000 if a trigger or rule suppressed it. `given`: identity
    // columns take the given values, even if GENERATED ALWAYS.
    enum class Identity { by_table, given };
    Datum insert(const pg::RowValues& row, const ColumnSet& columns, Identity identity = Identity::by_table);
    Datum update(const std::string& name, const pg::RowValues& row, const ColumnSet& columns);
    // Returns the row as it was; null if there was none.
    pg::Value remove(const std::string& name);

    // --- Many rows per statement; in an SpiScope, and the rows live as long as it ---
    // False if a key column is an array or composite; if the table is distributed, as rows then come back in any order; or if it is a
    // shard without defaults of its own.
    bool supports_many() const;
    // The keys of these names, as one array per key column.
    std::vector<pg::Value> key_arrays(const std::vector<std::string>& names) const;
    std::vector<Oid> key_array_types() const;
    // " FROM ... JOIN ... ON ...": the rows, by the relation's alias, whose keys are in these arrays, $1 and so on; j.sync_job_n numbers the names.
    std::string from_key_arrays() const;
    // Writes `columns` of each wanted row to the row with the key of its counterpart in `before`; returns the rows as
    // stored. Raises 27000 if one was suppressed. With `locations`, where they were read without a lock, also if one has been
    // changed since.
    std::vector<pg::RowValues> update_many(const std::vector<pg::RowValues>& before, const std::vector<pg::RowValues>& wanted,
                                           const ColumnSet& columns, const std::vector<RowLocation>& locations = {});
    std::vector<pg::RowValues> insert_many(const std::vector<pg::RowValues>& wanted, const ColumnSet& columns,
                                           Identity identity = Identity::by_table);
    // The rows of these names, locked; those that do not exist are left out. Waits for whoever has them locked.
    std::vector<NumberedRow> lock_many(const std::vector<std::string>& names);
    // Raises 27000 if one was suppressed, or is not there.
    void remove_many(const std::vector<std::string>& names);

    // --- Conversions and comparison ---
    // As to_jsonb() would; `sparse`: without the columns that are null.
    Datum to_json(Datum row, bool sparse = false) const;
    // A row from jsonb: columns it does not name keep their value in `base`; so do those with the same JSON value as
    // there, exactly as stored. `named`: the columns it names.
    pg::RowValues from_json(Datum jsonb, const pg::RowValues& base, ColumnSet* named) const;
    // Columns a controller may change (not generated ones) whose stored image differs.
    ColumnSet changed_columns(const pg::RowValues& before, const pg::RowValues& after) const;
    ColumnSet changed_columns(const pg::RowValues& before, const pg::RowValues& after, const ColumnSet& among) const;
    // The columns an insert writes: those not null, and those set on purpose; the others get their default.
    ColumnSet inserted_columns(const pg::RowValues& row, const ColumnSet& explicit_columns) const;
    // {"field": {"old": …, "new": …}} of every column whose stored image differs, generated ones too.
    // A missing row counts as one of nulls. Of a secret column: {"secret": true}.
    Datum diff(pg::Value before, pg::Value after, const SecretColumns& secret) const;
    Datum diff(const pg::RowValues& before, const pg::RowValues& after, const SecretColumns& secret) const;
    // As to_json(), for the record.
    Datum snapshot(Datum row, const SecretColumns& secret) const;
    // A hash of the stored row, for the record; null if it would reveal something about a secret.
    pg::Value fingerprint(const pg::RowValues& row, const SecretColumns& secret) const;

private:
    DocumentType() = default;
    std::vector<pg::Value> key_values(const std::string& name) const;
    // For a name stored earlier: the error says what the key is now.
    std::vector<pg::Value> values_of(const std::string& name) const;
    std::string key_condition(int first_parameter) const;
    std::vector<Oid> key_types() const;
    std::string key_equals_arrays() const;
    void require_all_written(std::size_t written, std::size_t wanted, const char* command) const;
    // The caller holds the result while executing it: a trigger may run a job that drops the statement here.
    std::shared_ptr<pg::Statement> statement(const std::string& sql, const std::vector<Oid>& types);
    bool lockable();
    void make_statements(const std::string& row_type);
    bool has_defaults_but(const ColumnSet& columns) const;
    std::shared_ptr<DocumentType> here(std::optional<std::size_t> shard) { return shard ? on_shard(*shard) : nullptr; }
    std::shared_ptr<DocumentType> part(Oid relation) const;
    Datum written(const pg::Rows& rows, const char* command) const;

    std::shared_ptr<pg::RelationInfo> relation_;
    std::shared_ptr<const pg::citus::DistributedTable> distributed_;
    std::string label_;
    ColumnSet key_;
    std::optional<bool> lockable_;           // of a view: whether its rows can be locked
    bool name_is_text_ = false;              // a single text column: its value is the name
    std::vector<std::shared_ptr<DocumentType>> shards_;  // null: not used yet
    ColumnSet defaults_of_table_;                        // of a shard: columns whose default only the distributed table has
    std::string whole_row_;                              // in SQL: by the alias; for a shard or a distributed table by its columns
    std::string named_, returning_;  // parts of statements: table AS alias, RETURNING alias
    std::string load_sql_, lock_sql_, remove_sql_;
    std::map<std::string, std::shared_ptr<pg::Statement>> statements_;
};

// For the record: what a controller's code says of fields, a JSON object, without the values of secret ones.
Datum without_secrets(Datum json, const SecretColumns& secret);

// Whether a value of the type can be an element of such an array.
bool fits_array(Oid base_type);
// A table made of array parameters, from $first on: "j" with the columns sync_job_1 … and the ordinality, sync_job_n.
std::string rows_from_arrays(int first_parameter, std::size_t count);
// The values of one column in all rows, as an array.
pg::Value column_array(const std::vector<pg::RowValues>& rows, const pg::Column& column);

// For the relcache callback.
void invalidate_document_types(Oid relation);
// Grows whenever a cached document type has become invalid.
std::uint64_t document_generation();

}  // namespace sync_job
