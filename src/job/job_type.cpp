#include "job/job_type.hpp"

#include <algorithm>
#include <unordered_map>

#include "core/text.hpp"
#include "job/schema_objects.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/table.hpp"

namespace sync_job {

namespace {

std::uint64_t generation = 1;
std::uint64_t types_read_at = 0, queues_read_at = 0;
Oid type_table = pg::no_oid, queue_table = pg::no_oid;  // as of the last reading

template <class T>
using Cache = std::unordered_map<std::string, std::shared_ptr<const T>>;

Cache<JobType>& types() {
    static auto& cache = *new Cache<JobType>;  // never destroyed: the server may be gone by then
    return cache;
}
Cache<Queue>& queues() {
    static auto& cache = *new Cache<Queue>;  // never destroyed: the server may be gone by then
    return cache;
}

std::optional<std::int64_t> microseconds(const pg::Value& interval) {
    if (interval.null) return std::nullopt;
    return pg::interval_microseconds(interval.datum);
}

std::vector<Oid> grants_of(const std::string& name) {
    Oid table = pg::relation_oid(pg::schema_oid("sync_job_internal"), "type_grant");
    std::vector<Oid> roles;
    for (const pg::RowValues& row : pg::read_rows(table, {"role"}, &name)) roles.push_back(pg::datum_oid(row.values[0]));
    return roles;
}

void read_on_delete(JobType& type, const std::string& text) {
    if (text == "keep") {
        type.on_delete = JobType::OnDelete::keep;
    } else if (!text.empty() && text != "delete") {
        type.on_delete = JobType::OnDelete::set;
        type.on_delete_values = text;
    }
}

std::shared_ptr<const JobType> read_type(const std::string& name) {
    const SchemaObjects& o = schema_objects();
    type_table = o.type_table;
    require_trusted_types();
    std::vector<pg::RowValues> rows = pg::read_rows(o.type_table, {}, &name);
    if (rows.empty()) return nullptr;
    auto type = job_type_of(TableRow(o.type_table, rows[0]));
    type->granted_to = grants_of(name);
    return type;
}

void read_queues() {
    std::uint64_t reading = generation;
    queue_table = schema_objects().queue_table;
    queues().clear();
    for (const pg::RowValues& row : pg::read_rows(queue_table, {"name", "max_workers", "timeout", "paused", "publish_events"})) {
        auto queue = std::make_shared<Queue>();
        queue->name = pg::datum_text(row.values[0]);
        queue->max_workers = pg::datum_int32(row.values[1]);
        queue->timeout = pg::interval_microseconds(row.values[2]);
        queue->paused = pg::datum_bool(row.values[3]);
        queue->publish_events = pg::datum_bool(row.values[4]);
        queues().emplace(queue->name, queue);
    }
    queues_read_at = reading;
}

}  // namespace

// Columns that a table of version 0.1.0 does not have are null.
std::shared_ptr<JobType> job_type_of(const TableRow& row) {
    auto type = std::make_shared<JobType>();
    auto json = [&](const char* column) { return row.is_null(column) ? std::string() : pg::json_to_text(row.at(column).datum); };
    type->name = row.text("name");
    type->source = row.oid("source_document_type");
    type->target = row.oid("target_document_type");
    type->source_key = key_columns(row.at("source_key"));
    type->target_key = key_columns(row.at("target_key"));
    type->secret_columns = key_columns(row.at("secret_columns"));
    type->module = row.text("module");
    type->field_map = json("field_map");
    type->match = json("match");
    type->library = row.text("library");
    type->library_trusted = row.flag("library_trusted");
    type->http = json("http");
    if (!row.is_null("batchable")) type->batchable = row.flag("batchable");
    type->queue = row.text("queue");
    type->priority = pg::datum_int32(row.at("priority").datum);
    type->timeout = microseconds(row.at("timeout"));
    type->retry_delay = microseconds(row.at("retry_delay")).value_or(0);
    type->retry_backoff = row.text("retry_backoff");
    type->max_retries = pg::datum_int32(row.at("max_retries").datum);
    if (!row.is_null("concurrency_limit")) type->concurrency_limit = pg::datum_int32(row.at("concurrency_limit").datum);
    type->verbose_logging = row.flag("verbose_logging");
    type->disabled = row.flag("disabled");
    type->paused = row.flag("paused");
    type->publish_events = row.flag("publish_events");
    type->publish_starts = row.flag("publish_starts");
    type->run_as = row.oid("run_as");
    if (!row.is_null("set_size")) type->set_size = pg::datum_int32(row.at("set_size").datum);
    type->insert_enabled = row.flag("insert_enabled", true);
    type->update_enabled = row.flag("update_enabled", true);
    type->delete_enabled = row.flag("delete_enabled", true);
    type->source_condition = row.text("source_condition");
    type->surplus_condition = row.text("surplus_condition");
    read_on_delete(*type, row.text("on_delete"));
    type->ignore_synced = row.flag("ignore_synced");
    if (type->source != pg::no_oid) type->source_label = pg::relation_name(type->source);
    if (type->target != pg::no_oid) type->target_label = pg::relation_name(type->target);
    return type;
}

bool JobType::enables(Operation operation) const {
    switch (operation) {
        case Operation::insert:
            return insert_enabled;
        case Operation::update:
            return update_enabled;
        case Operation::remove:
            break;
    }
    return delete_enabled;
}

std::vector<std::string> key_columns(const pg::Value& text_array) {
    std::vector<std::string> names;
    if (text_array.null) return names;
    for (const pg::JsonField& name : pg::json_elements(pg::value_to_json(text_array.datum, pg::type::text_array, false))) {
        names.push_back(name.text);
    }
    return names;
}

namespace {

std::shared_ptr<const JobType> background_type() {
    static auto& type = *new std::shared_ptr<const JobType>([] {
        auto made = std::make_shared<JobType>();
        made->name = background_type_name;
        made->background = true;
        made->batchable = false;
        made->queue = "default";
        made->retry_delay = 60 * 1000000LL;
        made->retry_backoff = "linear";
        return made;
    }());
    return type;
}

}  // namespace

std::shared_ptr<const JobType> find_job_type(const std::string& name) {
    if (name == background_type_name) return background_type();
    if (types_read_at != generation) {
        types().clear();
        types_read_at = generation;
    }
    auto found = types().find(name);
    if (found != types().end()) return found->second;
    auto type = read_type(name);
    // After an invalidation while it was read, the type is good for now, but not cached.
    if (type != nullptr && types_read_at == generation) types().emplace(name, type);
    return type;
}

std::shared_ptr<const JobType> require_job_type(const std::string& name) {
    if (auto type = find_job_type(name)) return type;
    pg::Error error("42704", "sync job type " + quoted(name) + " does not exist");
    std::size_t start = name.find_first_not_of(" \t\r\n");
    if (start != std::string::npos && name[start] == '{') {
        throw error.hint("To pass all parameters as one object, cast it: enqueue_sync_job('{...}'::jsonb).");
    }
    throw error.hint("Job types are the rows of table sync_job_type; their names are case-sensitive.");
}

std::shared_ptr<const Queue> find_queue(const std::string& name) {
    if (queues_read_at != generation) read_queues();
    auto found = queues().find(name);
    return found == queues().end() ? nullptr : found->second;
}

std::shared_ptr<const Queue> require_queue(const std::string& name) {
    if (auto queue = find_queue(name)) return queue;
    std::vector<std::string> known;
    for (const auto& [key, value] : queues()) known.push_back(quoted(key));
    std::sort(known.begin(), known.end());
    throw pg::Error("42704", "queue " + quoted(name) + " does not exist")
        .detail("Queues are: " + join(known, ", ") + ".")
        .hint("Add a queue with INSERT INTO sync_job_queue (name) VALUES (...).");
}

std::vector<Queue> all_queues() {
    find_queue("");
    std::vector<Queue> all;
    for (const auto& [name, queue] : queues()) all.push_back(*queue);
    return all;
}

const std::vector<std::string>& push_types() {
    static std::uint64_t looked_at = 0;
    static auto& names = *new std::vector<std::string>;
    if (looked_at == generation) return names;
    looked_at = generation;
    names.clear();
    if (!schema_objects().current) return names;
    type_table = schema_objects().type_table;
    for (const pg::RowValues& row : pg::read_rows(type_table, {"name", "http"})) {
        if (!row.nulls[1]) names.emplace_back(pg::datum_text(row.values[0]));
    }
    return names;
}

std::uint64_t job_type_generation() { return generation; }

void invalidate_job_types(Oid relation) {
    bool concerns_us = relation == pg::no_oid || relation == type_table || relation == queue_table;
    for (const auto& [name, type] : types()) {
        concerns_us = concerns_us || relation == type->source || relation == type->target;
    }
    if (concerns_us) generation++;
}

}  // namespace sync_job
