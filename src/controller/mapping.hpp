// What a declarative job type says: which target belongs to a source (match), and what to set in it (field_map). Turned
// into SQL once, which is run for one document or for many at a time.
//
// A value is a column of the source, a constant, or an SQL expression over `source` and `context`. It is computed in its
// own type, cast to that of the target column, and given that column's length or precision as an assignment would.
// Whatever is computed runs as the current user.
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

    // Of distributed tables whose documents belong together shard by shard: the same on that shard alone, as of ordinary tables. Null:
    // the tables are not such, or it lies elsewhere.
    Mapping* on_shard(std::size_t number);
    bool has_shards() const { return of_shards_ != nullptr; }

    DocumentType& source() const { return *source_; }
    DocumentType& target() const { return *target_; }
    // There is no field_map: a native controller computes the rest.
    bool is_match_only() const { return match_only_; }
    // The columns an insert sets: those of match and of field_map; an update only the latter.
    const ColumnSet& all_columns() const { return all_columns_; }
    const ColumnSet& set_columns() const { return set_columns_; }
    // Whether an index supports the look-up by match, and whether a unique one does.
    bool match_is_indexed() const { return match_indexed_; }
    bool match_is_unique() const;
    // Two targets that have the same match values, by name; none: there are none. Reads the whole target.
    std::vector<std::string> duplicates() const;
    // A column of the match that is GENERATED ALWAYS AS IDENTITY: no insert can set it.
    const pg::Column* match_given_by_database() const;

    // Rows of the target type in which the columns of all_columns() are filled in.
    pg::RowValues evaluate(pg::Value source_row, pg::Value context);
    // The values that read the target (null in an insert) or the id of the job, into the same row.
    bool reads_target() const { return early_count_ < items_.size(); }
    // Without a job (0) what reads its id stays as it is.
    void evaluate_late(pg::RowValues& wanted, pg::Value source_row, pg::Value context, pg::Value target_row, std::int64_t job);
    // Columns set only while nobody has edited them.
    const ColumnSet& watched_columns() const { return watched_columns_; }
    // Those that each update writes, as their expression has another value each time. In an SpiScope.
    std::vector<std::string> restless_columns() const;
    // What the target of the source has in them counts as written by a sync, where nothing is known.
    void adopt(pg::Value source_row);
    // Before an update: what a rule of field_map leaves alone gets the value that the target has. `unedited`: those of the
    // watched columns that may be written. Returns which of all columns are not left alone.
    ColumnSet apply_rules(pg::RowValues& wanted, const pg::RowValues& target, const ColumnSet& unedited = {}) const;
    // The columns of match alone, from a row that was kept. Raises if match reads a column that cannot be read; the
    // others do not matter.
    pg::RowValues evaluate_match(const KeptDocument& kept, pg::Value context);
    // A value of the match is null: no target belongs to the source.
    bool matches_nothing(const pg::RowValues& wanted) const;
    // The same for values that match the same targets. Only if supports_many().
    std::uint64_t match_hash(const pg::RowValues& wanted) const;
    // The row that matches; null: none. Raises 21000 if there are two. With a lock it waits for whoever changes the
    // row, and finds neither a row that no longer matches then nor one that policies prevent from being locked.
    enum class Lock { none, for_update };
    pg::Value find(const pg::RowValues& wanted, Lock lock, bool by_active_snapshot = false);

    // --- Match values that change, or that documents share (mapping_living.cpp) ---
    // Match reads more than the source's key: a document may get another target.
    bool match_may_change() const { return match_may_change_; }
    // Whether any existing source document that the current user sees, and for which source_condition holds, has these
    // match values.
    enum class Living { no, yes, unknown };
    Living lives(const pg::RowValues& wanted);
    // Whether an index of the source finds those that have a value: without one, lives() is unknown for a large table.
    bool lives_by_index();

    // --- Many at a time (mapping_many.cpp); in an SpiScope, and the rows live as long as it ---
    // False if a column of keys or items is an array or composite, a match column has no hash function, or the target
    // has policies, which may hide rows from a look-up with a lock.
    bool supports_many() const { return many_; }
    // As evaluate(), for the source documents of these names; those that do not exist are left out, and those for which
    // source_condition does not hold have no values. With the source, where the rest is computed of that.
    struct Evaluated {
        std::size_t number;
        pg::RowValues row, source;
    };
    std::vector<Evaluated> evaluate_many(const std::vector<std::string>& names, const std::vector<pg::Value>& contexts);
    // The targets that match, locked; those that have none are left out. Waits for nobody: of which somebody else has the target
    // locked, `busy` says.
    std::vector<NumberedRow> lock_many(const std::vector<pg::RowValues>& wanted, std::vector<std::size_t>& busy);

    // Inserts the targets of these source documents, without a look whether one is there: a unique index keeps it from being a second
    // one. The rows as stored, in the same order: as long as there are as many as documents. Only if inserts_sources().
    bool inserts_sources() const { return insert_sources_ != nullptr; }
    // Of a native controller, which computes the rest before they are written: the same is known to hold.
    bool inserts_unseen() const { return inserts_unseen_; }
    std::vector<pg::RowValues> insert_sources(const std::vector<std::string>& names, const std::vector<pg::Value>& contexts);
    // Updates these columns of the targets of these source documents, as they are by the statement's snapshot; those that are no
    // longer so are left out. Only if updates_sources().
    struct Updated {
        std::size_t number;
        pg::RowValues before, wanted, after;
    };
    bool updates_sources() const { return !matched_sources_.empty(); }
    // Of a native controller: the sources with their targets, locked; those that have none are left out. Only if locks_sources().
    struct Matched {
        std::size_t number;
        pg::RowValues wanted, source, target;
    };
    bool locks_sources() const { return lock_sources_ != nullptr; }
    std::vector<Matched> lock_sources(const std::vector<std::string>& names, const std::vector<pg::Value>& contexts);
    std::vector<Updated> update_sources(const std::vector<std::string>& names, const std::vector<pg::Value>& contexts,
                                        const ColumnSet& columns);

    // --- Whole tables (mapping_tables.cpp); in an SpiScope, by the active snapshot, the rows as long as one call of `found` ---
    // A source and its target that differ, or a source that has none.
    struct Unequal {
        bool missing, ambiguous;       // ambiguous: several targets match, or several sources want this one to differ
        pg::RowValues source;          // its key
        pg::RowValues target, wanted;  // the key, and the columns compared; none if it is missing
    };
    // Of the sources for which `condition` holds (SQL over source; empty: all). What an update would write decides; columns
    // whose expression gives another value each time are left out.
    // `adopts`: as after adopt() of each.
    void each_unequal(const std::string& condition, const std::function<void(const Unequal&)>& found, bool adopts = false);
    // Targets to which no source maps at all, and that do not have the values of on_delete: the key.
    void each_surplus(const std::function<void(const pg::RowValues&)>& found);
    // Those that may be surplus.
    std::int64_t count_targets() const;
    // Of these targets: locks those that nobody else has locked, and tells which; and, by a later snapshot, which are there and
    // surplus still. Where the target supports_many().
    std::vector<std::string> lock_targets(const std::vector<std::string>& names);
    std::vector<std::string> still_surplus(const std::vector<std::string>& names);

private:
    // When a column is written: always; in an insert only; in an insert, and where the target has null; or while nobody has
    // edited it.
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
        bool late, reads_job;  // it reads the target, or which job runs: computed when the target is known
        Only only;
        std::string sql;
        Oid type;            // its base type
        std::int32_t typmod;
    };
    void read(const JobType& type);  // and what it is made of: mapping_declaration.cpp
    Item item(const pg::JsonField& field, const char* what) const;  // an error names the key
    Item checked_item(const pg::JsonField& field, const char* what) const;
    static Value declared_value(const pg::JsonField& field, const char* what);
    static Only rule_of(const std::string& column, const pg::JsonField& rule, const char* what);
    std::string expression(const std::string& name, const Value& value, const pg::Column& column, const char* what) const;
    void prepare_statements();
    void prepare_many();
    void refuse_varying_match() const;
    std::string insert_sources_sql(std::size_t arrays, const std::string& keys, const std::string& values) const;
    // The items from `first` to before `end`, each as output_name() calls it.
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
    // Adds the column to the server's error, which does not name it.
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
    std::string on_delete_values_;       // of the type, as JSON; empty: it sets none
    std::string may_be_surplus_;         // its surplus_condition as SQL; empty: none
    std::shared_ptr<DocumentType> source_, target_;
    std::vector<Item> items_;  // of match, then of field_map
    std::size_t match_count_ = 0, early_count_ = 0;  // of match; and of all that do not read the target, which come first
    ColumnSet all_columns_, set_columns_, match_columns_, watched_columns_;
    bool match_only_ = false, inserts_unseen_ = false, match_indexed_ = false, many_ = false, match_may_change_ = false, match_is_shared_ = false;
    bool living_asked_ = false, living_by_index_ = false;  // living_ has been tried
    std::unique_ptr<pg::Statement> living_;                // null: it cannot be asked
    std::unique_ptr<pg::Statement> lock_sources_;  // null: where a native controller's targets are not found by one statement
    std::unique_ptr<pg::Statement> evaluate_, late_, match_, find_, find_locked_, evaluate_many_, find_many_, lock_many_;
    std::string matched_sources_;  // in FROM: sources by arrays, with their values (w) and targets; empty: not in one statement
    std::vector<Oid> source_array_types_;
    std::map<ColumnSet, std::shared_ptr<pg::Statement>> update_sources_;
    std::unique_ptr<JobType> of_shards_;                  // null: it has no shards
    std::map<std::size_t, std::unique_ptr<Mapping>> shards_;
    std::unique_ptr<pg::Statement> insert_sources_;  // null: where nothing keeps a second target from being inserted
};

}  // namespace sync_job
