// The part of mapping.hpp about tables that Citus distributes.
#include "controller/mapping.hpp"
#include "pg/citus.hpp"

namespace sync_job {

// Whether whatever a source matches is on the source's own shard: there is only one, or its distribution column is matched with that of the
// target.
bool Mapping::keeps_shards() const {
    const pg::citus::DistributedTable *source = source_->distributed(), *target = target_->distributed();
    if (source == nullptr || target == nullptr || source->shards.empty() || !pg::citus::are_colocated(*source, *target)) return false;
    if (source->key == 0) return true;  // each table has one shard
    for (std::size_t i = 0; i < match_count_; i++) {
        if (items_[i].column == target->key && items_[i].source_column == source->key) return contains(source_->key(), source->key);
    }
    return false;
}

Mapping* Mapping::on_shard(std::size_t number) {
    if (of_shards_ == nullptr) return nullptr;
    std::shared_ptr<DocumentType> source = source_->on_shard(number), target = target_->on_shard(number);
    if (source == nullptr || target == nullptr) return nullptr;
    if (auto found = shards_.find(number); found != shards_.end()) return found->second.get();
    std::unique_ptr<Mapping> made(new Mapping(*of_shards_, source, target));
    return shards_.emplace(number, std::move(made)).first->second.get();
}

Mapping* Mapping::here(const pg::RowValues& wanted) {
    if (of_shards_ == nullptr) return nullptr;
    std::optional<std::size_t> shard = target_->shard_of(wanted);
    return shard ? on_shard(*shard) : nullptr;
}

// Citus can only lock rows of a single shard, which it finds by the key.
pg::Value Mapping::find_distributed_locked(const pg::RowValues& wanted) {
    pg::Value found = find(wanted, Lock::none);
    if (found.null) return {};
    std::string name = target_->name_of(found.datum);
    if (target_->load(name, DocumentType::Lock::for_update).null) return {};
    found = find(wanted, Lock::none);
    return !found.null && target_->name_of(found.datum) == name ? found : pg::Value();
}

}  // namespace sync_job
