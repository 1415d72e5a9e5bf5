// SQL from C++: prepared once, called with typed arguments.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pg/row.hpp"
#include "pg/types.hpp"
#include "pg/value.hpp"

struct SPITupleTable;

namespace sync_job::pg {

// An SPI connection until the end of the scope; the current memory context stays as it was. After an exception, the
// abort closes it.
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
    MemoryContextData* level_ = nullptr;  // of a scope that allows commits: what its level of the SPI stack is known by
};

// Inside SpiScope(Commits::allowed), in a procedure that was called outside a transaction block.
void spi_commit();
void spi_rollback();  // also after an error, outside any subtransaction; raises 2D000 where nothing can be rolled back
// Takes the snapshot that a procedure runs with again, after a commit.
void ensure_portal_snapshot();

// The rows of one execution; they live until it is destroyed.
class Rows {
public:
    Rows(SPITupleTable* table, std::uint64_t affected);
    ~Rows();
    Rows(Rows&& other) noexcept;
    Rows(const Rows&) = delete;
    Rows& operator=(const Rows&) = delete;
    Rows& operator=(Rows&&) = delete;

    // Makes them live as long as the SpiScope instead.
    void keep() { kept_ = true; }

    std::uint64_t affected() const { return affected_; }  // rows returned, or rows changed
    std::uint64_t size() const;                           // rows returned
    int columns() const;
    std::string column_name(int column) const;
    Oid column_type(int column) const;
    Value copy(std::uint64_t row, int column) const;  // in the current memory context, detoasted
    // All columns of a row at once; they point into it.
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

// A prepared statement, kept for the life of the object, always with a generic plan. Executing it needs an SpiScope.
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

    // Raises an error if the statement is invalid, instead of leaving that to execute(). In an SpiScope.
    void prepare();
    // The same in a subtransaction and an SpiScope of its own: after an error the transaction goes on.
    void check();
    // With Access::by_index: no index fits, so it reads a whole table. Prepares it.
    bool reads_whole_table();
    // Of a statement with one subquery in its FROM: what the columns of that are made of.
    struct Traits {
        bool varies;       // from call to call: volatile, or it reads the time, the transaction or the job
        bool returns_set;  // may give several rows, or none
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

// The rows of one query, a part at a time. It reads with the snapshot that is active when it is opened, and its plan is made
// for the tables as they are then. In an SpiScope, and closed before that ends.
class Cursor {
public:
    explicit Cursor(const std::string& sql, const std::vector<Oid>& types = {}, const std::vector<Value>& arguments = {});
    ~Cursor();
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;

    // The next rows, at most so many; none at the end.
    Rows fetch(long most);

private:
    void* portal_;
    int exceptions_;
};

// All cached plans of this process, those of PL/pgSQL too, are rebuilt when they are next used.
void invalidate_plans();

// Raises 42601 when the text is not a single SQL expression, 42P02 when it has a parameter ($1).
void check_expression(const std::string& text);

// A CALL whose procedure may commit. Needs SpiScope(Commits::allowed) and no active snapshot but the portal's.
Rows call_committing(const std::string& sql, const std::vector<Oid>& types, const std::vector<Value>& arguments);

// One statement, once, no arguments.
Rows execute_sql(const std::string& sql);

// Runs one statement without arguments in a portal of its own, outside any transaction: it may be a CALL that
// commits.
void run_in_portal(const std::string& sql);

}  // namespace sync_job::pg
