// Job types and queues as the engine uses them: read once per backend, and again after a row has changed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/retry.hpp"
#include "core/state.hpp"
#include "job/table_row.hpp"
#include "pg/value.hpp"

namespace sync_job {

struct JobType {
    std::string name;
    Oid source = 0, target = 0;                       // no_oid: none
    std::vector<std::string> source_key, target_key;  // empty: the primary key
    std::vector<std::string> secret_columns;          // of the target: their values are never recorded
    std::string module;
    std::string match, field_map;  // as JSON; empty: none
    std::string source_condition;   // SQL; empty: none
    std::string surplus_condition;  // the same, over the target
    std::string http;  // as JSON; empty: none
    bool declarative() const { return !field_map.empty(); }
    std::string library;  // of a native controller; empty: none
    bool library_trusted = false;  // a superuser has set or confirmed it
    bool native() const { return !library.empty(); }
    bool is_push() const { return !http.empty(); }  // no controller: HTTP workers send its documents
    bool background = false;  // the built-in type of plain background work: it calls the job's procedure
    bool publish_events = false, publish_starts = false;
    std::optional<bool> batchable;
    std::string queue;
    int priority = 0;
    std::optional<std::int64_t> timeout;  // microseconds, like all times here
    std::int64_t retry_delay = 0;
    std::string retry_backoff;
    int max_retries = 0;
    std::optional<int> concurrency_limit;
    bool verbose_logging = false, disabled = false, paused = false;
    int set_size = 1;  // documents of one set job
    // The gates of the type: they hold when a job runs, whatever it was enqueued with.
    bool insert_enabled = true, update_enabled = true, delete_enabled = true;
    bool enables(Operation operation) const;
    // What happens to the target when its source is gone.
    enum class OnDelete { remove, keep, set };
    OnDelete on_delete = OnDelete::remove;
    std::string on_delete_values;  // set: columns and their values, as JSON
    bool ignore_synced = false;    // ignores what was written by a job whose source is this type's target
    Oid run_as = 0;
    std::vector<Oid> granted_to;  // roles that may enqueue though they cannot become run_as
    // relation_name() of source and target, empty where there is none, for titles.
    std::string source_label, target_label;
};

constexpr int most_in_set_job = 1000;

// Plain background work has no row in sync_job_type: its jobs run as whoever enqueues them.
constexpr const char* background_type_name = "Background Job";

struct Queue {
    std::string name;
    int max_workers = 0;
    std::int64_t timeout = 0;
    bool paused = false;
    bool publish_events = false;
};

// The columns that source_key or target_key names; none for null. The checks of the table rule out null elements.
std::vector<std::string> key_columns(const pg::Value& text_array);

// The type that a row of sync_job_type describes; granted to nobody.
std::shared_ptr<JobType> job_type_of(const TableRow& row);

// Null if there is none of that name.
std::shared_ptr<const JobType> find_job_type(const std::string& name);
// Raises 42704 with a hint.
std::shared_ptr<const JobType> require_job_type(const std::string& name);
std::shared_ptr<const Queue> find_queue(const std::string& name);
std::shared_ptr<const Queue> require_queue(const std::string& name);
std::vector<Queue> all_queues();

// Grows whenever types or queues may have changed: caches built from them compare it.
std::uint64_t job_type_generation();
// The names of the types that are HTTP pushes.
const std::vector<std::string>& push_types();
// For the relcache callback: types depend on the definitions of their relations too.
void invalidate_job_types(Oid relation);

}  // namespace sync_job
