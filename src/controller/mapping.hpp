// The declaration of a declarative job type: which target belongs to a source (match), and what to set in it (field_map). It is turned into
// SQL once, which is run for one document or for many at a time.
//
// A value is a column of the source, a constant, or an SQL expression over `source` and `context`. It is computed in its own type, cast to
// that of the target column, and given that column's length or precision as an assignment would do. All values are computed as the current
// user.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "document/deleted_document.hpp"
#include "document/document.hpp"
#include "job/job_type.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/row.hpp"
#include "pg/spi.hpp"

namespace sync_job {

class Mapping {
public:
    // Raises what is wrong with the declaration.
    explicit Mapping(const JobType& type);

    // For distributed tables whose documents belong together shard by shard: the mapping of that shard alone, as if of ordinary tables.
    // Null: the tables are not of this kind, or the shard is on another node.
    Mapping* on_shard(std::size_t number);
    bool has_shards() const { return of_shards_ != nullptr; }

    DocumentType& source() const { return *source_; }
    DocumentType& target() const { return *target_; }
    // Whether there is no field_map: a native controller computes the rest.
    bool is_match_only() const { return match_only_; }
    // The columns that an insert sets: those of match and of field_map; and those that an update sets: only the latter.
    const ColumnSet& all_columns() const { return all_columns_; }
    const ColumnSet& set_columns() const { return set_columns_; }
    // Whether an index supports the look-up by match, and whether a unique one does.
    bool match_is_indexed() const { return match_indexed_; }
    bool match_is_unique() const;
    // The names of two targets that have the same match values; empty: there are none. Reads the whole target.
    std::vector<std::string> duplicates() const;
    // A match column that is GENERATED ALWAYS AS IDENTITY, so no insert can set it; or null.
    const pg::Column* match_given_by_database() const;

    // A row of the target type in which the columns of all_columns() are set.
    pg::RowValues evaluate(pg::Value source_row, pg::Value context);
    // Whether some values read the target (null in an insert) or the id of the job. evaluate_late() adds these to the row.
    bool reads_target() const { return early_count_ < items_.size(); }
    // Without a job (0), values that read its id stay as they are in the target.
    void evaluate_late(pg::RowValues& wanted, pg::Value source_row, pg::Value context, pg::Value target_row, std::int64_t job);
    // Columns that are set only while nobody has edited them.
    const ColumnSet& watched_columns() const { return watched_columns_; }
    // Columns that every update writes, because their expression has a different value each time. Needs an SpiScope.
    std::vector<std::string> restless_columns() const;
    // Where nothing is known yet, the values that the source's target has in the watched columns now count as written by a sync.
    void adopt(pg::Value source_row);
    // Before an update: gives the columns that a rule of field_map leaves alone the values that the target has. `unedited`: the watched
    // columns that may be written. Returns the columns that are not left alone.
    ColumnSet apply_rules(pg::RowValues& wanted, const pg::RowValues& target, const ColumnSet& unedited = {}) const;
    // Only the columns of match, from a kept row. Raises if match reads a column that cannot be read; other columns do not matter.
    pg::RowValues evaluate_match(const KeptDocument& kept, pg::Value context);
    // Whether a value of match is null: then no target belongs to the source.
    bool matches_nothing(const pg::RowValues& wanted) const;
    // Equal for values that match the same targets. Only if supports_many().
    std::uint64_t match_hash(const pg::RowValues& wanted) const;
    // The row that matches; null: none. Raises 21000 if there are two. With a lock, it waits for whoever is changing the row; it then does
    // not find a row that no longer matches, or one that policies prevent from being locked.
    enum class Lock { none, for_update };
    pg::Value find(const pg::RowValues& wanted, Lock lock, bool by_active_snapshot = false);

    // --- Match values that change, or that documents share (mapping_living.cpp) ---
    // Whether match reads more than the source's key: then a document may get another target.
    bool match_may_change() const { return match_may_change_; }
    // Whether any existing source document that the current user sees, and for which source_condition holds, has these
    // match values.
    enum class Living { no, yes, unknown };
    Living lives(const pg::RowValues& wanted);
    // Whether an index of the source finds the documents with given values. Without one, lives() is unknown for a large table.
    bool lives_by_index();

    // --- Many at a time (mapping_many.cpp); in an SpiScope, and the rows live as long as it ---
    // False if a column of the keys or items has an array or composite type, if the type of a match column has no hash function, or if the
    // target has policies, which may hide rows from a look-up with a lock.
    bool supports_many() const { return many_; }
    // Like evaluate(), for the source documents with these names. Documents that do not exist are left out; those for which
    // source_condition does not hold have no values. With the source row, if the rest is computed from that.
    struct Evaluated {
        std::size_t number;
        pg::RowValues row, source;
    };
    std::vector<Evaluated> evaluate_many(const std::vector<std::string>& names, const std::vector<pg::Value>& contexts);
    // The matching targets, locked; those without a target are left out. Does not wait: `busy` gets those whose target somebody else has
    // locked.
    std::vector<NumberedRow> lock_many(const std::vector<pg::RowValues>& wanted, std::vector<std::size_t>& busy);

    // Inserts the targets of these source documents without looking whether they exist: a unique index keeps out a second one. Returns the
    // rows as stored, in the same order, provided there are as many as documents. Only if inserts_sources().
    bool inserts_sources() const { return insert_sources_ != nullptr; }
    // For a native controller, which computes the rest before the rows are written: whether the same holds.
    bool inserts_unseen() const { return inserts_unseen_; }
    std::vector<pg::RowValues> insert_sources(const std::vector<std::string>& names, const std::vector<pg::Value>& contexts);
    // Updates these columns of the targets of these source documents as they are in the statement's snapshot; targets changed since then
    // are left out. Only if updates_sources().
    struct Updated {
        std::size_t number;
        pg::RowValues before, wanted, after;
    };
    bool updates_sources() const { return !matched_sources_.empty(); }
    // For a native controller: the sources with their targets, which are not locked; sources without one are left out. Only if
    // matches_sources().
    struct Matched {
        std::size_t number;
        pg::RowValues wanted, source, target;
        RowLocation location;
    };
    bool matches_sources() const { return match_sources_ != nullptr; }
    std::vector<Matched> match_sources(const std::vector<std::string>& names, const std::vector<pg::Value>& contexts);
    std::vector<Updated> update_sources(const std::vector<std::string>& names, const std::vector<pg::Value>& contexts,
                                        const ColumnSet& columns);

    // --- Whole tables (mapping_tables.cpp); in an SpiScope, by the active snapshot, the rows as long as one call of `found` ---
    // A source and its target that differ, or a source without a target.
    struct Unequal {
        bool missing, ambiguous;       // ambiguous: several targets match; or several sources match, and want this target to differ
        pg::RowValues source;          // its key
        pg::RowValues target, wanted;  // the key and the compared columns; none if it is missing
    };
    // For the sources for which `condition` holds (SQL over source; empty: all). The criterion is what an update would write; columns whose
    // expression has a different value each time are left out.
    // `adopts`: as after adopt() of each source.
    void each_unequal(const std::string& condition, const std::function<void(const Unequal&)>& found, bool adopts = false);
    // The keys of targets that no source maps to at all, and that do not have the values of on_delete.
    void each_surplus(const std::function<void(const pg::RowValues&)>& found);
    // How many targets could be surplus.
    std::int64_t count_targets() const;
    // lock_targets() locks those of these targets that nobody else has locked, and returns their names. still_surplus(), with a later
    // snapshot, returns those that still exist and are still surplus. Only if the target supports_many().
    std::vector<std::string> lock_targets(const std::vector<std::string>& names);
    std::vector<std::string> still_surplus(const std::vector<std::string>& names);

private:
    // When a column is written: always; only in an insert; in an insert, or if the target has null; or while nobody has edited it.
    enum class Only { always, insert, null, unedited };
    // A value as it is declared.
    struct Value {
        std::string form;  // column, value or expr
        pg::JsonField given;
        Only only = Only::always;
    };
    struct Item {
        int column;         // of the target
        int source_column;  // 0: a constant or an expression
        bool is_expression;
        bool late, reads_job;  // reads the target or the job's id: computed when the target is known
        Only only;
        std::string sql;
        Oid type;            // its base type
        std::int32_t typmod;
    };
    void read(const JobType& type);  // this and the functions it calls: mapping_declaration.cpp
    Item item(const pg::JsonField& field, const char* what) const;  // errors name the key
    Item checked_item(const pg::JsonField& field, const char* what) const;
    static Value declared_value(const pg::JsonField& field, const char* what);
    static Only rule_of(const std::string& column, const pg::JsonField& rule, const char* what);
    std::string expression(const std::string& name, const Value& value, const pg::Column& column, const char* what) const;
    void prepare_statements();
    void prepare_many();
    void refuse_varying_match() const;
    std::string insert_sources_sql(std::size_t arrays, const std::string& keys, const std::string& values) const;
    // The items from `first` up to but not including `end`, with the names of output_name().
    std::string values_sql(const std::string& context, std::size_t first, std::size_t end, const std::string& beside = "") const;
    static std::string output_name(std::size_t item);
    std::unique_ptr<pg::Statement> late_values(std::size_t first, std::size_t end) const;
    // `from`: the FROM item that the source is read from.
    std::unique_ptr<pg::Statement> one_document(std::size_t first, std::size_t end, const std::string& from) const;
    pg::RowValues only_row(const pg::Rows& rows, std::size_t count) const;
    [[noreturn]] void two_targets(const std::string& one, const std::string& other) const;
    std::unique_ptr<pg::Statement> match_over_readable(const KeptDocument& kept) const;
    Mapping(const JobType& type, std::shared_ptr<DocumentType> source, std::shared_ptr<DocumentType> target);
    bool keeps_shards() const;
    Mapping* here(const pg::RowValues& wanted);
    pg::Value find_distributed_locked(const pg::RowValues& wanted);
    void judge_match();
    std::string living_sql() const;
    pg::Statement* living();
    void raise_of_column() const;
    // Adds the name of the column to the server's error, which lacks it.
    static pg::Error in_column(const char* what, const std::string& target_column, const pg::Error& error);
    std::string match_condition(const std::string& value_prefix, const std::string& alias) const;
    std::vector<std::size_t> compared_items() const;
    pg::Statement::Traits traits_of(std::size_t item) const;
    std::string value_as_stored(std::size_t item) const;
    std::string match_condition_of_tables() const;
    std::string all_sources(std::size_t items, const std::string& condition, bool whole = false) const;
    std::string several(const std::string& name) const;
    std::string unequal_sql(const std::string& condition, const std::vector<std::size_t>& compared) const;
    std::string not_marked_as_gone() const;
    std::string surplus_condition() const;
    std::string value_name(std::size_t item) const;
    std::string values_beside_target() const;
    bool differs(Unequal& pair, const std::vector<std::size_t>& compared, bool adopts) const;
    std::string update_sources_sql(const ColumnSet& columns) const;
    std::vector<pg::Value> source_arrays(const std::vector<std::string>& names, const std::vector<pg::Value>& contexts) const;
    pg::Rows look_up_many(pg::Statement& statement, const std::vector<pg::RowValues>& wanted);
    pg::RowValues to_row(const pg::RowValues& result, int first) const;

    std::string type_name_, condition_;  // the source_condition of the type as SQL; empty: none
    std::string on_delete_values_;       // of the type, as JSON; empty: no values
    std::string may_be_surplus_;         // its surplus_condition as SQL; empty: none
    std::shared_ptr<DocumentType> source_, target_;
    std::vector<Item> items_;  // of match, then of field_map
    std::size_t match_count_ = 0, early_count_ = 0;  // match_count_: those of match; early_count_: those that do not read the target, which come first
    ColumnSet all_columns_, set_columns_, match_columns_, watched_columns_;
    bool match_only_ = false, inserts_unseen_ = false, match_indexed_ = false, many_ = false, match_may_change_ = false, match_is_shared_ = false;
    bool living_asked_ = false, living_by_index_ = false;  // living_asked_: living_ has been tried
    std::unique_ptr<pg::Statement> living_;                // null: it is not possible
    std::unique_ptr<pg::Statement> match_sources_;  // null: one statement cannot find a native controller's targets
    std::unique_ptr<pg::Statement> evaluate_, late_, match_, find_, find_locked_, evaluate_many_, find_many_, lock_many_;
    std::string matched_sources_;  // for FROM: sources by arrays, with their values (w) and targets; empty: one statement is not enough
    std::vector<Oid> source_array_types_;
    std::map<ColumnSet, std::shared_ptr<pg::Statement>> update_sources_;
    std::unique_ptr<JobType> of_shards_;                  // null: there are no shards
    std::map<std::size_t, std::unique_ptr<Mapping>> shards_;
    std::unique_ptr<pg::Statement> insert_sources_;  // null: nothing would prevent inserting a second target
};

}  // namespace sync_job
