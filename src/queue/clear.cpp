#include "queue/clear.hpp"

#include <string>
#include <vector>

#include "job/internal_sql.hpp"
#include "job/schema_objects.hpp"
#include "job/table_guard.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"
#include "pg/xact.hpp"
#include "queue/task.hpp"
#include "shared/settings.hpp"

namespace sync_job {

namespace {

using Ids = std::vector<std::int64_t>;

std::int64_t remove_jobs(InternalStatement& remove, const Ids& ids) {
    pg::Subtransaction subtransaction;
    std::int64_t count = pg::datum_int64(remove.run({{pg::int64_array_datum(ids), false}})[0][0].datum);
    subtransaction.commit();
    return count;
}

// All at once; or one by one if something of a user's, such as a foreign key, holds one of them: that one stays.
std::int64_t clear_from(InternalStatement& select, InternalStatement& remove, pg::Timestamp before, int most,
                        Needed needed, KeptJobs& kept) {
    Ids ids;
    pg::Value keep{pg::bool_datum(needed == Needed::stay), false};
    for (const auto& row : select.run({{pg::int64_datum(before), false}, {pg::int32_datum(most), false}, keep})) {
        ids.push_back(pg::datum_int64(row[0].datum));
    }
    if (ids.empty()) return 0;
    try {
        return remove_jobs(remove, ids);
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
    }
    std::int64_t count = 0;
    for (std::int64_t id : ids) {
        try {
            count += remove_jobs(remove, {id});
        } catch (const pg::Error& error) {
            if (!pg::is_specific(error)) throw;
            if (kept.count++ == 0) kept.reason = error.report().message;
        }
    }
    return count;
}

}  // namespace

std::int64_t clear_jobs(pg::Timestamp before, int most, Needed needed, KeptJobs& kept) {
    static const std::string errors_too = " WHERE id = ANY ($1) RETURNING id),"
        " errors AS (DELETE FROM {}.sync_job_error AS e USING gone WHERE e.sync_job = gone.id)";
    static const std::string count_them = " SELECT count(*) FROM gone";
    static const std::string not_waited_for =
        " AND (NOT $3 OR NOT EXISTS (SELECT FROM sync_job_internal.dependency AS d WHERE d.waits_for = j.id))"
        " LIMIT $2 FOR UPDATE OF j SKIP LOCKED";
    const std::vector<Oid> types = {pg::type::timestamptz, pg::type::int4, pg::type::boolean};
    static auto& ended = *new InternalStatement(
        "SELECT j.id FROM sync_job_internal.sync_job_ended AS j WHERE j.ended_at < $1" + not_waited_for, types);
    static const auto remove_from = [](const std::string& partition) {
        return "WITH gone AS (DELETE FROM sync_job_internal." + partition + errors_too;
    };
    static const auto documents_from = [](const std::string& partition) {
        return ", documents AS (DELETE FROM {}.sync_job_document AS d WHERE d.sync_job IN (SELECT id FROM sync_job_internal." +
               partition + " WHERE id = ANY ($1) AND " + may_have_documents + "))";
    };
    static auto& remove_ended = *new InternalStatement(
        remove_from("sync_job_ended") + documents_from("sync_job_ended") + count_them, {pg::type::int8_array});
    static auto& remove_ended_of_0_1_0 =
        *new InternalStatement(remove_from("sync_job_ended") + count_them, {pg::type::int8_array});
    static auto& failed = *new InternalStatement(
        "SELECT j.id FROM sync_job_internal.sync_job_failed AS j WHERE j.ended_at < $1 AND j.retry_after IS NULL" + not_waited_for,
        types);
    static auto& remove_failed = *new InternalStatement(
        remove_from("sync_job_failed") + documents_from("sync_job_failed") + count_them, {pg::type::int8_array});
    static auto& remove_failed_of_0_1_0 =
        *new InternalStatement(remove_from("sync_job_failed") + count_them, {pg::type::int8_array});
    static auto& documents = *new InternalStatement(
        "DELETE FROM {}.sync_job_deleted_document WHERE id IN ("
        " SELECT d.id FROM {}.sync_job_deleted_document AS d WHERE d.deleted_at < $1"
        " AND NOT EXISTS (SELECT FROM {}.sync_job AS j WHERE j.source_document_name = d.document_name"
        "  AND j.source_document_type = d.document_type AND j.status IN ('Pending', 'Queued', 'Started', 'Failed'))"
        " LIMIT $2 FOR UPDATE OF d SKIP LOCKED)",
        {pg::type::timestamptz, pg::type::int4});
    static auto& events = *new InternalStatement(
        "DELETE FROM {}.sync_job_event WHERE id IN (SELECT e.id FROM {}.sync_job_event AS e WHERE e.created_at < $1 ORDER BY e.id"
        " LIMIT $2 FOR UPDATE OF e SKIP LOCKED)",
        {pg::type::timestamptz, pg::type::int4});
    // The newest changes of a type that is there are kept, however old they are.
    static auto& changes = *new InternalStatement(
        "DELETE FROM {}.sync_job_type_change WHERE ctid = ANY (ARRAY(SELECT c.ctid FROM"
        " (SELECT ctid, sync_job_type, changed_at, row_number() OVER (PARTITION BY sync_job_type ORDER BY changed_at DESC) AS place"
        "  FROM {}.sync_job_type_change) AS c WHERE c.changed_at < $1"
        " AND (c.place > 100 OR NOT EXISTS (SELECT FROM {}.sync_job_type AS t WHERE t.name = c.sync_job_type)) LIMIT $2))",
        {pg::type::timestamptz, pg::type::int4});
    const SchemaObjects& o = schema_objects();
    Oid event_table = pg::relation_oid(o.schema_oid, "sync_job_event");
    for (Oid table : {o.ended, o.failed, o.error_table, o.deleted_table, event_table}) require_not_referred_to(table);
    if (o.current) require_not_referred_to(o.document_table);
    std::int64_t count = clear_from(ended, o.current ? remove_ended : remove_ended_of_0_1_0, before, most, needed, kept);
    if (count < most) count += clear_from(failed, o.current ? remove_failed : remove_failed_of_0_1_0, before, most - static_cast<int>(count), needed, kept);
    for (InternalStatement* others : {&documents, &events, o.current ? &changes : nullptr}) {
        if (others != nullptr) others->run({{pg::int64_datum(before), false}, {pg::int32_datum(most), false}});
    }
    return count;
}

namespace {

bool may_clear() {
    static auto& select = *new InternalStatement(
        "SELECT coalesce((SELECT bool_and(clears_jobs) FROM sync_job_internal.home), false)"
        " OR EXISTS (SELECT FROM pg_settings WHERE name = 'sync_job.log_retention_days' AND source <> 'default')",
        std::vector<Oid>{});
    return pg::datum_bool(select.run({})[0][0].datum);
}

}  // namespace

bool clear_by_retention() {
    constexpr int at_a_time = 1000;
    constexpr std::int64_t day = 86400LL * 1000000;
    if (settings.log_retention_days < 0 || !may_clear()) return false;
    KeptJobs kept;
    std::int64_t count = clear_jobs(pg::now() - settings.log_retention_days * day, at_a_time, Needed::stay, kept);
    static pg::Timestamp said = 0;  // it is met again each time
    if (kept.count > 0 && pg::now() - said > day) {
        said = pg::now();
        pg::log(kept.message(), kept.detail());
    }
    return count >= at_a_time;
}

}  // namespace sync_job
