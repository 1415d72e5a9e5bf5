// The part of document.hpp about the parts of a table: partitions, and shards of Citus.
//
// If its shard is on this node, a document is read and written there directly, as in an ordinary table. Through the planner of Citus,
// which serves the rest, that takes ten times as long.
#include "document/document.hpp"

#include <algorithm>

#include "pg/citus.hpp"
#include "pg/error.hpp"

namespace sync_job {

// A partition or a shard of this table, with the columns of the same names as its key.
std::shared_ptr<DocumentType> DocumentType::part(Oid relation) const {
    std::vector<std::string> key;
    for (int number : key_) key.push_back(relation_->columns[number - 1].name);
    return find(relation, key);
}

bool DocumentType::has_columns_of(Oid relation) const {
    if (relation == relation_->oid) return true;
    static struct {  // asked for each row
        const pg::RelationInfo* whole;
        Oid part;
        std::uint64_t generation;
        bool same;
    } last;
    if (last.whole == relation_.get() && last.part == relation && last.generation == document_generation()) return last.same;
    auto same = [](const pg::Column& one, const pg::Column& other) { return one.name == other.name && one.dropped == other.dropped; };
    const auto& other = part(relation)->relation_->columns;
    bool all = std::equal(other.begin(), other.end(), relation_->columns.begin(), relation_->columns.end(), same);
    last = {relation_.get(), relation, document_generation(), all};
    return all;
}

pg::RowValues DocumentType::row_of(Oid relation, Datum row) const {
    if (relation == relation_->oid) return pg::take_apart(row, *relation_);
    return row_of(relation, pg::take_apart(row, *part(relation)->relation_));
}

// Columns are matched by name.
pg::RowValues DocumentType::row_of(Oid relation, const pg::RowValues& from) const {
    if (has_columns_of(relation)) return from;
    auto other = part(relation);
    pg::RowValues to = pg::empty_row(*relation_);
    for (const pg::Column& column : relation_->columns) {
        const pg::Column* same_name = column.dropped ? nullptr : other->relation_->column(column.name);
        if (same_name != nullptr) to.set(column.number, from.at(same_name->number));
    }
    return to;
}

std::optional<std::size_t> DocumentType::shard_of(const pg::RowValues& row) const {
    if (distributed_ == nullptr || distributed_->shards.empty()) return std::nullopt;
    if (distributed_->key == 0) return 0;  // there is one
    if (row.at(distributed_->key).null) return std::nullopt;
    const pg::Column& column = relation_->columns[distributed_->key - 1];
    return distributed_->shard_of(row.at(column.number).datum, column.type, column.collation);
}

std::optional<std::size_t> DocumentType::shard_of(const std::string& name) const {
    if (distributed_ == nullptr) return std::nullopt;
    pg::RowValues row = pg::empty_row(*relation_);
    if (distributed_->key == 0) return shard_of(row);
    if (!contains(key_, distributed_->key)) return std::nullopt;
    std::vector<pg::Value> values = values_of(name);
    for (std::size_t i = 0; i < key_.size(); i++) row.set(key_[i], values[i]);
    return shard_of(row);
}

// Shards have no sequences or identities: the table fills their columns.
bool DocumentType::has_defaults_but(const ColumnSet& columns) const {
    return std::all_of(defaults_of_table_.begin(), defaults_of_table_.end(), [&](int column) { return contains(columns, column); });
}

// Describes the logical table, but with the name of the shard: SQL made from it goes to the shard, and its rows are those of the table.
std::shared_ptr<DocumentType> DocumentType::on_shard(std::size_t number) {
    if (distributed_ == nullptr || number >= distributed_->shards.size()) return nullptr;
    const pg::citus::DistributedTable::Shard& shard = distributed_->shards[number];
    if (shard.table == pg::no_oid || !pg::citus::enter_shard(relation_->oid, shard)) return nullptr;
    shards_.resize(distributed_->shards.size());
    if (shards_[number] != nullptr) return shards_[number];
    std::shared_ptr<DocumentType> type(new DocumentType);
    type->relation_ = pg::read_relation(relation_->oid);
    pg::require_current(*relation_);
    if (type->relation_ == nullptr) return nullptr;
    type->relation_->quoted = pg::quoted_relation_name(shard.table);
    type->label_ = label_;
    type->key_ = key_;
    type->name_is_text_ = name_is_text_;
    type->make_statements(relation_->quoted);
    auto columns_here = pg::read_relation(shard.table);
    for (const pg::Column& column : relation_->columns) {
        const pg::Column* same = column.dropped || columns_here == nullptr ? nullptr : columns_here->column(column.name);
        if (same != nullptr && column.filled_by_default && !same->filled_by_default) type->defaults_of_table_.push_back(column.number);
    }
    shards_[number] = type;
    return type;
}

}  // namespace sync_job
