// SQL on the extension's own tables, off the hot path: run as their owner, prepared once.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pg/spi.hpp"

namespace sync_job {

class InternalStatement {
public:
    // `{}` in the text stands for the extension's schema. Meant to be a static; nothing is prepared before its first
    // use.
    InternalStatement(std::string sql, std::vector<Oid> types) : sql_(std::move(sql)), types_(std::move(types)) {}

    // Runs as the owner with search_path pinned. Opens its own SPI connection; copies the values of the rows into the
    // current memory context.
    using Row = std::vector<pg::Value>;
    // `active`: reads what the active snapshot sees; only for a statement that only reads.
    enum class Sees { newest, active };
    std::vector<Row> run(const std::vector<pg::Value>& arguments, Sees sees = Sees::newest);

private:
    std::string sql_;
    std::vector<Oid> types_;
    std::shared_ptr<pg::Statement> statement_;  // each run holds a reference
    Oid prepared_for_ = pg::no_oid;
};

// A text in such a row; empty for NULL.
std::string text_of(const pg::Value& value);

// The same for rows that are read a part at a time: to be called in the SpiScope in which the cursor is used and closed. With the newest
// snapshot, even for whole tables.
std::unique_ptr<pg::Cursor> open_internal_cursor(const std::string& sql, const std::vector<Oid>& types, const std::vector<pg::Value>& arguments);

}  // namespace sync_job
