// Validation of tables that Citus distributes.
#include "controller/controller.hpp"
#include "controller/mapping.hpp"
#include "controller/validation.hpp"
#include "core/text.hpp"
#include "document/document.hpp"
#include "pg/catalog.hpp"
#include "pg/citus.hpp"

namespace sync_job {

namespace {

using pg::citus::DistributedTable;
using Kind = DistributedTable::Kind;

std::string distribution_column(const DocumentType& documents) {
    return quoted(documents.relation().columns[documents.distributed()->key - 1].name);
}

// A finding for a key that does not determine the shard of a document.
void check_key(const DocumentType& documents, const char* object, const char* key, std::vector<Finding>& findings) {
    const DistributedTable* table = documents.distributed();
    if (table == nullptr || table->kind != Kind::by_hash || contains(documents.key(), table->key)) return;
    findings.push_back({true, object,
                        pg::Error("0A000", "the key of " + quoted(documents.label()) + " does not contain " + distribution_column(documents) +
                                               ", by which it is distributed")
                            .detail("Citus locks and changes a row only where its shard is known.")
                            .hint("Name the column in " + std::string(key) + ", too.")
                            .share()});
}

pg::Error far_target(const DocumentType& source, const DocumentType& target) {
    return pg::Error("01000", "a document of " + quoted(source.label()) + " and its target in " + quoted(target.label()) +
                                  " may lie on different nodes")
        .detail("Such a job goes to the other node for its target, takes several times as long, and is committed in two phases.")
        .hint("create_distributed_table() with colocate_with puts rows with the same value of their distribution columns on the same node.");
}

}  // namespace

void refuse_as_source(Oid relation) {
    auto table = pg::citus::distributed_table(relation);
    if (table == nullptr || table->kind != Kind::reference) return;
    throw pg::Error("0A000", quoted(pg::relation_name(relation)) + " is a reference table of Citus, and cannot be the source of sync jobs")
        .detail("It has a copy on each node, where its triggers would enqueue a job each.")
        .hint("Distribute it by a column, or have what writes the table enqueue the jobs.");
}

void check_distribution(const JobType& type, std::vector<Finding>& findings) {
    if (type.source == pg::no_oid) return;
    bool from_shards = pg::citus::is_distributed(type.source);
    if (!from_shards && (type.target == pg::no_oid || !pg::citus::is_distributed(type.target))) return;
    refuse_as_source(type.source);
    auto source = DocumentType::find(type.source, type.source_key);
    check_key(*source, "source_document_type", "source_key", findings);
    if (type.target == pg::no_oid) return;
    auto target = DocumentType::find(type.target, type.target_key);
    check_key(*target, "target_document_type", "target_key", findings);
    const DistributedTable *from = source->distributed(), *to = target->distributed();
    bool together = from != nullptr && to != nullptr && pg::citus::are_colocated(*from, *to);
    if (!together) findings.push_back({false, "target_document_type", far_target(*source, *target).share()});
    if (!together || type.match.empty() || from->kind != Kind::by_hash || Mapping(type).has_shards()) return;
    findings.push_back({false, "match",
                        pg::Error("01000", "match does not say which shard the target is on")
                            .detail("Each look-up asks all shards, and the jobs do not run many at once.")
                            .hint("Match " + distribution_column(*target) + " with the source's column " + distribution_column(*source) + ".")
                            .share()});
}

}  // namespace sync_job
