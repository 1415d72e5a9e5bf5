// SQL from C++: prepared once, executed with typed arguments.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pg/row.hpp"
#include "pg/types.hpp"
#include "pg/value.hpp"

struct SPITupleTable;

namespace sync_job::pg {

// An SPI connection until the end of the scope; does not change the current memory context. After an exception, the abort closes it.
class SpiScope {
public:
    enum class Commits { never, allowed };
    explicit SpiScope(Commits commits = Commits::never);
    ~SpiScope();
    SpiScope(const SpiScope&) = delete;
    SpiScope& operator=(const SpiScope&) = delete;

private:
    int exceptions_;
    MemoryContextData* outer_level_;
    MemoryContextData* level_ = nullptr;  // for a scope that allows commits: the context that identifies its level of the SPI stack
};

// Only inside SpiScope(Commits::allowed), in a procedure that was called outside a transaction block.
void spi_commit();
void spi_rollback();  // also after an error, outside any subtransaction; raises 2D000 if it cannot roll back
// Takes the snapshot again that a procedure runs with, after a commit.
void ensure_portal_snapshot();

// The rows of one execution; they live as long as this object.
class Rows {
public:
    Rows(SPITupleTable* table, std::uint64_t affected);
    ~Rows();
    Rows(Rows&& other) noexcept;
    Rows(const Rows&) = delete;
    Rows& operator=(const Rows&) = delete;
    Rows& operator=(Rows&&) = delete;

    // Makes the rows live as long as the SpiScope instead.
    void keep() { kept_ = true; }

    std::uint64_t affected() const { return affected_; }  // rows returned, or rows changed
    std::uint64_t size() const;                           // rows returned
    int columns() const;
    std::string column_name(int column) const;
    Oid column_type(int column) const;
    Value copy(std::uint64_t row, int column) const;  // in the current memory context, detoasted
    // All columns of a row at once; they point into the row.
    RowValues whole(std::uint64_t row) const;
    bool empty() const { return size() == 0; }
    Value at(std::uint64_t row, int column) const;          // both from 0; points into the row
    std::string text(std::uint64_t row, int column) const;  // of a text column; empty for NULL
    std::int64_t int64(std::uint64_t row, int column) const { return datum_int64(at(row, column).datum); }
    Oid oid(std::uint64_t row, int column) const { return datum_oid(at(row, column).datum); }
    bool boolean(std::uint64_t row, int column) const { return datum_bool(at(row, column).datum); }

private:
    SPITupleTable* table_;
    std::uint64_t affected_;
    int exceptions_;
    bool kept_ = false;
};

// A prepared statement, kept as long as this object, always with a generic plan. Executing it needs an SpiScope.
class Statement {
public:
    enum class Access {
        any,
        // Planned without sequential scans, and with nested loop joins only: a plan made for an empty table must still
        // serve a large one.
        by_index
    };
    Statement(std::string sql, std::vector<Oid> argument_types, Access access = Access::any);
    ~Statement();
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    // Raises an error if the statement is invalid, instead of leaving that to execute(). Needs an SpiScope.
    void prepare();
    // The same in a subtransaction and an SpiScope of its own: after an error the transaction goes on.
    void check();
    // With Access::by_index: whether it reads a whole table because no index fits. Prepares the statement.
    bool reads_whole_table();
    // For a statement with one subquery in its FROM: properties of the expressions of that subquery's columns.
    struct Traits {
        bool varies;       // different from call to call: volatile, or depends on the time, the transaction or the job
        bool returns_set;  // may return several rows, or none
    };
    Traits traits();
    Rows execute(const std::vector<Value>& arguments, bool read_only = false, std::int64_t max_rows = 0);
    Rows execute(const Value* arguments, int count, bool read_only = false, std::int64_t max_rows = 0);

private:
    std::string sql_;
    std::vector<Oid> argument_types_;
    Access access_;
    void* plan_ = nullptr;
};

// Reads the rows of one query, some at a time, with the snapshot that is active when it is opened; its plan is made for the tables as they
// are then. Needs an SpiScope, and must be closed before that ends.
class Cursor {
public:
    explicit Cursor(const std::string& sql, const std::vector<Oid>& types = {}, const std::vector<Value>& arguments = {});
    ~Cursor();
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;

    // The next rows, at most `most`; empty at the end.
    Rows fetch(long most);

private:
    void* portal_;
    int exceptions_;
};

// Makes all cached plans of this process, including those of PL/pgSQL, be rebuilt when they are next used.
void invalidate_plans();

// Raises 42601 if the text is not a single SQL expression, 42P02 if it has a parameter ($1).
void check_expression(const std::string& text);

// Executes a CALL whose procedure may commit. Needs SpiScope(Commits::allowed), and no active snapshot except the portal's.
Rows call_committing(const std::string& sql, const std::vector<Oid>& types, const std::vector<Value>& arguments);

// Executes one statement, once, without arguments.
Rows execute_sql(const std::string& sql);

// Runs one statement without arguments in a portal of its own, outside any transaction: it may be a CALL that
// commits.
void run_in_portal(const std::string& sql);

}  // namespace sync_job::pg
