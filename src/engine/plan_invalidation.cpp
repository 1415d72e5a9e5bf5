#include "engine/plan_invalidation.hpp"

#include <algorithm>
#include <unordered_map>

#include "pg/catalog.hpp"
#include "pg/spi.hpp"

namespace sync_job {

namespace {

// Below this a wrong plan costs little.
constexpr std::int64_t small = 4;

// The size of each table, in pages, that the plans in use were made for.
std::unordered_map<Oid, std::int64_t>& planned_sizes() {
    static auto& sizes = *new std::unordered_map<Oid, std::int64_t>;  // never destroyed: the server may be gone by then
    return sizes;
}

bool outgrown(Oid relation) {
    std::int64_t now = std::max(small, pg::relation_pages(relation));
    auto [planned, is_new] = planned_sizes().try_emplace(relation, small);
    return now >= 2 * planned->second || 2 * now <= planned->second;
}

}  // namespace

void invalidate_outgrown_plans(const JobType& type) {
    bool any = false;
    for (Oid relation : {type.source, type.target}) any = (relation != pg::no_oid && outgrown(relation)) || any;
    if (!any) return;
    pg::invalidate_plans();
    for (auto& [relation, pages] : planned_sizes()) pages = std::max(small, pg::relation_pages(relation));
}

}  // namespace sync_job
