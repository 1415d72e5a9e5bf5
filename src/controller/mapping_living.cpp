// The part of mapping.hpp about match values that change or that documents share: whether any source has them.
#include "controller/mapping.hpp"
#include "core/text.hpp"
#include "pg/error.hpp"
#include "pg/xact.hpp"

namespace sync_job {

// The key identifies a document: if match includes all its columns, no other document shares the match.
void Mapping::judge_match() {
    ColumnSet plain;
    for (std::size_t i = 0; i < match_count_; i++) {
        int column = items_[i].source_column;
        if (column != 0) plain.push_back(column);
        match_may_change_ = match_may_change_ || items_[i].is_expression ||
                            (column != 0 && !contains(source_->key(), column));
    }
    for (int column : source_->key()) match_is_shared_ = match_is_shared_ || !contains(plain, column);
}

// Compares values as the target compares them. An integer of another length is not cast, so that an index on it can be used.
std::string Mapping::living_sql() const {
    std::vector<std::string> conditions;
    for (std::size_t i = 0; i < match_count_; i++) {
        const Item& item = items_[i];
        const pg::Column& column = target_->relation().columns[item.column - 1];
        const pg::Column* from = item.source_column == 0 ? nullptr : &source_->relation().columns[item.source_column - 1];
        std::string value;
        if (from != nullptr && pg::is_integer(pg::base_type(from->type)) && pg::is_integer(item.type)) {
            value = item.sql + from->base_cast;
            conditions.push_back(value + " OPERATOR(pg_catalog.=) $" + std::to_string(i + 1));
            continue;
        }
        std::int32_t typmod = pg::is_text(item.type) ? -1 : item.typmod;
        value = "CAST(" + item.sql + " AS " + pg::qualified_type_name(item.type, typmod) + ")";
        // If the collation makes no difference, leave it out, so that an index of the source in its own collation can be used.
        bool no_difference = from != nullptr && (from->collation == column.collation ||
                                                 (pg::equal_only_if_same_bytes(from->collation) && pg::equal_only_if_same_bytes(column.collation)));
        if (!no_difference) value += pg::collate_clause(column.collation);
        conditions.push_back(value + " " + column.equality + " $" + std::to_string(i + 1));
    }
    if (!condition_.empty()) conditions.push_back(condition_);
    return "SELECT 1 FROM " + source_->relation().quoted + " AS source WHERE " + join(conditions, " AND ") + " LIMIT 1";
}

// Null if there can be no such statement: match has an expression that reads the context or that is not allowed in a condition.
pg::Statement* Mapping::living() {
    if (living_asked_) return living_.get();
    living_asked_ = true;
    if (pg::row_security_applies(source_->relation().oid)) return nullptr;
    std::vector<Oid> types;
    for (std::size_t i = 0; i < match_count_; i++) types.push_back(items_[i].type);
    auto statement = std::make_unique<pg::Statement>(living_sql(), types, pg::Statement::Access::by_index);
    try {
        pg::Subtransaction subtransaction;
        {
            pg::SpiScope spi;
            pg::SnapshotScope snapshot;
            living_by_index_ = !statement->reads_whole_table();
        }
        subtransaction.commit();
        living_ = std::move(statement);
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
    }
    return living_.get();
}

bool Mapping::lives_by_index() { return !match_is_shared_ || (living() != nullptr && living_by_index_); }

Mapping::Living Mapping::lives(const pg::RowValues& wanted) {
    constexpr std::int64_t most_pages = 1024;  // 8 MB, a few milliseconds
    if (!match_is_shared_) return Living::no;
    if (Mapping* shard = here(wanted)) return shard->lives(wanted);
    pg::Statement* statement = living();
    bool too_slow = !living_by_index_ && pg::relation_pages(source_->relation().oid).value_or(0) > most_pages;
    if (statement == nullptr || too_slow) return Living::unknown;
    std::vector<pg::Value> values;
    for (std::size_t i = 0; i < match_count_; i++) values.push_back(wanted.at(items_[i].column));
    return statement->execute(values).empty() ? Living::no : Living::yes;
}

}  // namespace sync_job
