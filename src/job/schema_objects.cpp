#include "job/schema_objects.hpp"

#include <algorithm>

#include "core/text.hpp"
#include "job/job_row.hpp"
#include "pg/attached.hpp"
#include "pg/background.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"

namespace sync_job {

namespace {

SchemaObjects& cached() {
    static auto& objects = *new SchemaObjects;  // never destroyed: the server may be gone by then
    return objects;
}
bool stale = true;

[[noreturn]] void incomplete(const std::string& what) {
    throw pg::Error("55000", "extension pg_sync_job is damaged: " + what)
        .hint("Restore the extension's objects, or drop and create the extension.");
}

Oid required(Oid oid, const char* name) {
    if (oid == pg::no_oid) incomplete(std::string(name) + " is missing");
    return oid;
}

// The library reads and writes columns by position: the table must have those it was built for, or the first of them,
// as in an older version. Columns that users have added come after these and move with the row from partition to
// partition, so all partitions must have the same ones.
void check_columns(Oid relation, const std::vector<pg::Column>& first, bool current) {
    std::vector<pg::Column> columns = pg::table_columns(relation);
    int count = static_cast<int>(columns.size());
    bool same = columns.size() == first.size() && count >= (current ? job_column_count : oldest_job_column_count);
    for (int i = 0; same && i < count; i++) {
        bool known = i < job_column_count;
        same = known ? columns[i].name == job_column_names[i] && columns[i].type == job_column_types[i]
                     : current && columns[i].dropped == first[i].dropped && columns[i].type == first[i].type;
    }
    if (!same) {
        incomplete("the columns of " + pg::relation_name(relation) + " are not those of version " SYNC_JOB_VERSION);
    }
}

std::string problem_of_types(Oid type_table, Oid internal) {
    auto check = pg::functions_named(internal, "check_type");
    if (check.size() != 1) incomplete("function check_type() is missing");
    std::string problem = pg::other_word_on_rows(type_table, check[0].oid);
    return problem.empty() ? problem : "table sync_job_type cannot be trusted: " + problem;
}

// The versions before this one that the library can work with, until ALTER EXTENSION UPDATE.
bool is_known(const std::string& version) { return version == "0.1.0"; }

pg::Error version_error(const pg::ExtensionInfo& extension) {
    pg::Error error("55000", "sync jobs of database \"" + pg::my_database_name() +
                                 "\" wait: extension pg_sync_job has version " + extension.version +
                                 ", but the library has version " SYNC_JOB_VERSION);
    return error.hint(is_known(extension.version)
                          ? "Use ALTER EXTENSION pg_sync_job UPDATE in it."
                          : "Restart the server with the library of that version, or use ALTER EXTENSION pg_sync_job "
                            "UPDATE if the library is newer.");
}

SchemaObjects look_up() {
    auto extension = pg::find_extension("pg_sync_job");
    if (!extension) {
        throw pg::Error("55000", "extension pg_sync_job is not installed in this database")
            .hint("Use CREATE EXTENSION pg_sync_job.");
    }
    bool current = extension->version == SYNC_JOB_VERSION;
    if (!current && !is_known(extension->version)) throw version_error(*extension);
    SchemaObjects objects, *found = &objects;
    found->current = current;
    found->extension = extension->oid;
    found->schema_oid = extension->schema;
    found->schema_name = pg::schema_name(extension->schema);
    found->schema = pg::quoted_identifier(found->schema_name);
    Oid internal = required(pg::schema_oid("sync_job_internal"), "schema sync_job_internal");
    auto visible = [&](const char* name) { return required(pg::relation_oid(extension->schema, name), name); };
    auto hidden = [&](const char* name) { return required(pg::relation_oid(internal, name), name); };
    found->job_table = visible("sync_job");
    found->job_row_type = pg::row_type_of(found->job_table);
    found->live = hidden("sync_job_live");
    found->failed = hidden("sync_job_failed");
    found->ended = hidden("sync_job_ended");
    found->live_id = hidden("sync_job_live_id");
    found->live_claim = hidden("sync_job_live_claim");
    found->live_scheduled = hidden("sync_job_live_scheduled");
    if (current) {
        found->live_held = hidden("sync_job_live_held");
        found->live_push = hidden("sync_job_live_push");
        found->http_request = hidden("http_request");
        found->http_document = hidden("http_document");
    }
    found->live_source = hidden("sync_job_live_source");
    found->live_job_id = hidden("sync_job_live_job_id");
    found->failed_id = hidden("sync_job_failed_id");
    found->ended_id = hidden("sync_job_ended_id");
    found->type_table = visible("sync_job_type");
    found->queue_table = visible("sync_job_queue");
    found->error_table = visible("sync_job_error");
    found->deleted_table = visible("sync_job_deleted_document");
    if (current) found->document_table = visible("sync_job_document");
    if (current) found->written_table = hidden("written");
    found->id_sequence = hidden("sync_job_id_seq");
    found->deleted_sequence = visible("sync_job_deleted_document_id_seq");
    found->target_type = required(pg::type_oid(extension->schema, "sync_job_target"), "type sync_job_target");
    found->result_type = required(pg::type_oid(extension->schema, "sync_job_result"), "type sync_job_result");
    found->owner = pg::relation_owner(found->job_table);
    std::vector<pg::Column> columns = pg::table_columns(found->live);
    for (Oid table : {found->live, found->failed, found->ended, found->job_table}) {
        if (!pg::belongs_to_extension(table, extension->oid)) incomplete(pg::relation_name(table) + " is not its own");
        check_columns(table, columns, current);
    }
    found->type_table_problem = problem_of_types(found->type_table, internal);
    return objects;
}

bool is_one_of_ours(const SchemaObjects& o, Oid relation) {
    for (Oid own : {o.job_table, o.live, o.failed, o.ended, o.live_id, o.live_claim, o.live_scheduled, o.live_held, o.live_source,
                    o.live_job_id, o.failed_id, o.ended_id, o.type_table, o.queue_table, o.error_table, o.deleted_table,
                    o.document_table, o.written_table, o.id_sequence, o.live_push, o.http_request, o.http_document}) {
        if (relation == own) return true;
    }
    return false;
}

}  // namespace

Oid SchemaObjects::partition(Partition which) const {
    return which == Partition::live ? live : which == Partition::failed ? failed : ended;
}

Oid SchemaObjects::id_index(Partition which) const {
    return which == Partition::live ? live_id : which == Partition::failed ? failed_id : ended_id;
}

bool SchemaObjects::has_column(Oid table, std::string_view column) const {
    if (current) return true;
    auto info = pg::read_relation(table);
    return info != nullptr && std::any_of(info->columns.begin(), info->columns.end(),
                                          [&](const auto& known) { return known.name == column; });
}

const SchemaObjects& schema_objects() {
    if (stale) {
        stale = false;  // an invalidation that arrives while we look makes it stale again
        try {
            SchemaObjects found = look_up();
            if (!(found == cached())) cached() = std::move(found);
        } catch (...) {
            stale = true;  // the next call must not return the old result
            throw;
        }
    }
    return cached();
}

void require_trusted_types() {
    if (schema_objects().type_table_problem.empty()) return;
    throw pg::Error("55000", schema_objects().type_table_problem)
        .hint("A superuser should look for triggers on it that are not the extension's, drop them, and look at the rows.");
}

bool hold_extension() {
    auto extension = pg::find_extension("pg_sync_job");
    return extension && pg::lock_extension(extension->oid);
}

std::optional<OtherVersion> other_version() {
    auto extension = pg::find_extension("pg_sync_job");
    if (!extension || extension->version == SYNC_JOB_VERSION) return std::nullopt;
    return OtherVersion{version_error(*extension), is_known(extension->version)};
}

void require_this_version() {
    if (auto other = other_version()) throw other->error;
}

void invalidate_schema_objects(Oid relation) {
    if (relation == pg::no_oid || is_one_of_ours(cached(), relation)) stale = true;
}

void refresh_schema_objects() { schema_objects(); }

}  // namespace sync_job
