// For monitoring: sync_job_metrics() returns counts from shared memory and measurements from the tables, in the terms of
// Prometheus; watch_sync_jobs() asks for notifications of changes.
#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "job/internal_sql.hpp"
#include "pg/background.hpp"
#include "pg/error.hpp"
#include "pg/float8.hpp"
#include "pg/function.hpp"
#include "pg/json.hpp"
#include "pg/memory.hpp"
#include "pg/role.hpp"
#include "pg/shared.hpp"
#include "pg/xact.hpp"
#include "queue/gauges.hpp"
#include "queue/rights.hpp"
#include "shared/activity.hpp"
#include "shared/endpoints.hpp"
#include "shared/metrics.hpp"
#include "shared/settings.hpp"

namespace sync_job {

namespace {

using Labels = std::vector<std::pair<const char*, std::string>>;

// Writes the rows of the result, those of one name together, as a scrape must have them.
class Output {
public:
    explicit Output(pg::Arguments& args) : args_(args), database_(pg::my_database_name()), any_(args.is_null(0)) {
        if (!any_) names_ = args.text_array(0);
        args_.begin_rows();
    }

    // A metric, to which `write` adds the samples; only if it was asked for. The name of a histogram is without the suffix of a sample.
    void metric(const char* name, const char* type, const char* help, const std::function<void()>& write) {
        if (!any_ && std::find(names_.begin(), names_.end(), name) == names_.end()) return;
        name_ = name;
        type_ = pg::text_datum(type);
        help_ = pg::text_datum(help);
        write();
    }
    void add(const Labels& labels, double value, const char* suffix = "") {
        row_.reset();
        pg::MemorySwitch in_it(row_);
        pg::JsonBuilder json;
        json.begin_object();
        json.key("database");
        json.string(database_);
        for (const auto& [key, text] : labels) {
            json.key(key);
            json.string(text);
        }
        json.end_object();
        Datum values[] = {pg::text_datum(name_ + suffix), type_, help_, json.finish(), pg::float8_datum(value)};
        bool nulls[5] = {};
        args_.add_row(values, nulls);
    }

private:
    pg::Arguments& args_;
    std::string database_;
    bool any_;
    std::vector<std::string> names_;
    std::string name_;
    Datum type_ = 0, help_ = 0;
    pg::Memory row_{"metric"};
};

// Computed when the first of several metrics needs it.
template <typename T>
class Lazy {
public:
    explicit Lazy(std::function<T()> find) : find_(std::move(find)) {}
    const T& operator()() {
        if (!value_) value_ = find_();
        return *value_;
    }

private:
    std::function<T()> find_;
    std::optional<T> value_;
};

// --- What is counted ---

struct Counted {
    std::string type, queue;
    Tally tally;
};

std::vector<Counted> read_series() {
    std::vector<Counted> all;
    if (shared() == nullptr) return all;
    for_each_series(pg::my_database(), [&](Series& series) {
        Counted& one = all.emplace_back(Counted{series.type, series.queue, {}});
        for (std::size_t i = 0; i < counters; i++) one.tally[i] = series.counts[i].load(std::memory_order_relaxed);
    });
    std::sort(all.begin(), all.end(), [](const Counted& one, const Counted& other) {
        return std::tie(one.queue, one.type) < std::tie(other.queue, other.type);
    });
    return all;
}

std::uint64_t at(const Counted& counted, Counter counter) { return counted.tally[static_cast<std::size_t>(counter)]; }

// Consecutive counters from `first` on: a series for each value of the label.
template <std::size_t N>
void add_counts(Output& output, const std::vector<Counted>& all, Counter first, const char* label, const char* const (&values)[N]) {
    for (const Counted& counted : all) {
        for (std::size_t i = 0; i < N; i++) {
            std::uint64_t count = counted.tally[static_cast<std::size_t>(first) + i];
            output.add({{"queue", counted.queue}, {"type", counted.type}, {label, values[i]}}, static_cast<double>(count));
        }
    }
}

void add_count(Output& output, const std::vector<Counted>& all, Counter counter) {
    for (const Counted& counted : all) {
        output.add({{"queue", counted.queue}, {"type", counted.type}}, static_cast<double>(at(counted, counter)));
    }
}

std::string seconds_text(std::int64_t microseconds) {
    char text[32];
    std::snprintf(text, sizeof(text), "%g", static_cast<double>(microseconds) / 1e6);
    return text;
}

// `count` returns the count of each bucket and, after the last, the sum of the times.
void add_histogram(Output& output, const Labels& of, const std::function<std::uint64_t(std::size_t)>& count) {
    std::array<std::string, time_buckets> bounds;
    std::transform(time_bounds.begin(), time_bounds.end(), bounds.begin(), seconds_text);
    bounds.back() = "+Inf";
    Labels labels = of;
    labels.emplace_back("le", "");
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < time_buckets; i++) {
        sum += count(i);
        labels.back().second = bounds[i];
        output.add(labels, static_cast<double>(sum), "_bucket");
    }
    output.add(of, static_cast<double>(count(time_buckets)) / 1e6, "_sum");
    output.add(of, static_cast<double>(sum), "_count");
}

void add_all_counts(Output& output) {
    Lazy<std::vector<Counted>> all(read_series);
    auto count = [&](const char* name, const char* help, Counter counter) {
        output.metric(name, "counter", help, [&] { add_count(output, all(), counter); });
    };
    auto histogram = [&](const char* name, const char* help, std::size_t which) {
        output.metric(name, "histogram", help, [&] {
            for (const Counted& counted : all()) {
                add_histogram(output, {{"queue", counted.queue}, {"type", counted.type}}, [&](std::size_t i) { return counted.tally[which + i]; });
            }
        });
    };
    output.metric("sync_job_jobs_total", "counter", "Attempts that have ended, and jobs that were canceled, by the state that this led to.", [&] {
        add_counts(output, all(), Counter::finished, "status", {"Finished", "Skipped", "No Target", "Relayed", "Failed", "Canceled"});
    });
    output.metric("sync_job_documents_total", "counter", "Documents that jobs of one document and set jobs have dealt with, by what became of them.", [&] {
        add_counts(output, all(), Counter::inserted, "result", {"inserted", "updated", "deleted", "skipped", "no_target", "failed"});
    });
    count("sync_job_enqueued_total", "Jobs that were enqueued.", Counter::enqueued);
    count("sync_job_deduplicated_total", "Requests for a job that a waiting one already fulfilled.", Counter::deduplicated);
    count("sync_job_retries_total", "Failed jobs that were queued again, by time or by hand.", Counter::retries);
    histogram("sync_job_run_seconds", "How long attempts took.", run_histogram);
    histogram("sync_job_wait_seconds", "How long jobs waited for their first attempt since they were enqueued, or due.", wait_histogram);
}

// --- What is measured ---

using Row = InternalStatement::Row;

// The labels of the database's types: their own names for the first ones by name.
class TypeLabels {
public:
    TypeLabels() {
        static auto& select = *new InternalStatement("SELECT name, queue FROM {}.sync_job_type ORDER BY name LIMIT $1", {pg::type::int8});
        for (const Row& row : select.run({{pg::int64_datum(most_counted_types), false}})) queues_.emplace(text_of(row[0]), text_of(row[1]));
    }
    // A type that no longer exists keeps its name as long as there is room.
    std::string operator()(const std::string& type) {
        if (queues_.count(type) > 0) return type;
        if (queues_.size() + gone_.size() < most_counted_types) gone_.insert(type);
        return gone_.count(type) > 0 ? type : other_label;
    }
    const std::map<std::string, std::string>& queues() const { return queues_; }

private:
    std::map<std::string, std::string> queues_;
    std::set<std::string> gone_;
};

struct Standing {
    std::map<std::pair<std::string, std::string>, Backlog> backlogs;  // by queue and type
    std::map<std::string, double> behind;                            // seconds, by type
};

Standing read_standing(TypeLabels& label) {
    Standing standing;
    for (const auto& [type, queue] : label.queues()) {
        standing.backlogs[{queue, type}];
        standing.behind[type];
    }
    for (const Backlog& of : read_backlog()) {
        std::string type = label(of.type);
        Backlog& sum = standing.backlogs[{of.queue, type}];
        sum.waiting += of.waiting;
        sum.scheduled += of.scheduled;
        sum.held += of.held;
        sum.pending += of.pending;
        sum.retrying += of.retrying;
        sum.failed += of.failed;
        if (!of.oldest) continue;
        double& behind = standing.behind[type];
        behind = std::max(behind, static_cast<double>(pg::now() - *of.oldest) / 1e6);
    }
    return standing;
}

void add_backlog(Output& output, const Standing& standing, std::int64_t Backlog::*count) {
    for (const auto& [key, backlog] : standing.backlogs) {
        output.add({{"queue", key.first}, {"type", key.second}}, static_cast<double>(backlog.*count));
    }
}

void add_standing(Output& output, TypeLabels& label) {
    Lazy<Standing> standing([&] { return read_standing(label); });
    auto count = [&](const char* name, const char* help, std::int64_t Backlog::*what) {
        output.metric(name, "gauge", help, [&] { add_backlog(output, standing(), what); });
    };
    count("sync_job_waiting", "Jobs that are due.", &Backlog::waiting);
    count("sync_job_scheduled", "Queued jobs whose time has not come.", &Backlog::scheduled);
    count("sync_job_held", "Queued jobs that are not started as their type is paused.", &Backlog::held);
    count("sync_job_pending", "Jobs that wait for other jobs, or to be started.", &Backlog::pending);
    count("sync_job_retrying", "Jobs that have failed and will be retried.", &Backlog::retrying);
    count("sync_job_failed", "Jobs that have failed for good, or are held as the set-up of their type is broken.", &Backlog::failed);
    output.metric("sync_job_oldest_change_seconds", "gauge",
                  "For how long the oldest change that is not in step yet has waited; 0: all is in step, but for what has failed for good.", [&] {
                      for (const auto& [type, seconds] : standing().behind) output.add({{"type", type}}, seconds);
                  });
}

// Kept by the scheduler.
std::map<std::string, Row> read_last_looks(TypeLabels& label) {
    static auto& select = *new InternalStatement(
        "SELECT sync_job_type, extract(epoch FROM at)::float8, out_of_step::float8, extract(epoch FROM compared_at)::float8"
        " FROM sync_job_internal.last_success ORDER BY at DESC",
        std::vector<Oid>{});
    std::map<std::string, Row> last;  // the latest, if several types are counted as one
    for (Row& row : select.run({})) last.try_emplace(label(text_of(row[0])), std::move(row));
    return last;
}

void add_last_looks(Output& output, TypeLabels& label) {
    Lazy<std::map<std::string, Row>> last([&] { return read_last_looks(label); });
    auto column = [&](int number, const char* name, const char* help) {
        output.metric(name, "gauge", help, [&] {
            for (const auto& [type, row] : last()) {
                if (!row[number].null) output.add({{"type", type}}, pg::datum_float8(row[number].datum));
            }
        });
    };
    column(1, "sync_job_last_success_timestamp_seconds", "When a job of the type ended well last.");
    column(2, "sync_job_out_of_step", "Documents that the last comparison of the whole type found out of step.");
    column(3, "sync_job_compared_timestamp_seconds", "When that comparison ended.");
}

void add_queues(Output& output) {
    static auto& select = *new InternalStatement("SELECT name, paused, max_workers FROM {}.sync_job_queue ORDER BY name", std::vector<Oid>{});
    Lazy<std::vector<Row>> rows([] { return select.run({}); });
    output.metric("sync_job_queue_paused", "gauge", "1: no job of the queue is started.", [&] {
        for (const Row& row : rows()) output.add({{"queue", text_of(row[0])}}, pg::datum_bool(row[1].datum) ? 1 : 0);
    });
    output.metric("sync_job_queue_max_workers", "gauge", "The most workers that the queue may have.", [&] {
        for (const Row& row : rows()) output.add({{"queue", text_of(row[0])}}, pg::datum_int32(row[2].datum));
    });
}

// Numbers of the whole database.
void add_types(Output& output) {
    static auto& select = *new InternalStatement(
        "SELECT (SELECT count(*) FROM {}.sync_job_type WHERE paused),"
        " (SELECT count(DISTINCT sync_job_type) FROM {}.sync_job_setup_error),"
        " (SELECT count(DISTINCT sync_job_type) FROM {}.sync_job_setup_error WHERE held_since IS NOT NULL),"
        " CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END::bigint",
        std::vector<Oid>{});
    Lazy<Row> row([] { return select.run({}).at(0); });
    auto column = [&](int number, const char* name, const char* help) {
        output.metric(name, "gauge", help, [&] { output.add({}, static_cast<double>(pg::datum_int64(row()[number].datum))); });
    };
    column(0, "sync_job_types_paused", "Job types that are paused.");
    column(1, "sync_job_types_broken", "Job types whose set-up is broken.");
    column(2, "sync_job_types_held", "Job types that are held as their set-up has been broken for long.");
    column(3, "sync_job_in_recovery", "1: a standby, on which no job runs.");
}

void add_alerts(Output& output) {
    static auto& select = *new InternalStatement(
        "SELECT name, measure, state = 'firing' FROM {}.sync_job_alert ORDER BY name LIMIT $1", {pg::type::int8});
    output.metric("sync_job_alerts_firing", "gauge", "Alerts of table sync_job_alert; 1: firing.", [&] {
        for (const Row& row : select.run({{pg::int64_datum(most_counted_types), false}})) {
            output.add({{"alert", text_of(row[0])}, {"measure", text_of(row[1])}}, pg::datum_bool(row[2].datum) ? 1 : 0);
        }
    });
}

// --- Endpoints of HTTP pushes ---

struct NamedEndpoint {
    std::string name;
    const SharedEndpoint* shared;
    std::uint64_t at(std::size_t count) const { return shared->counts[count].load(std::memory_order_relaxed); }
};

// The endpoints to which something was sent since the server started.
std::vector<NamedEndpoint> read_endpoints() {
    static auto& select = *new InternalStatement("SELECT srvname::text FROM pg_catalog.pg_foreign_server WHERE oid = $1", {pg::type::oid});
    std::vector<NamedEndpoint> all;
    for_each_endpoint(pg::my_database(), [&](SharedEndpoint& endpoint) {
        for (const Row& row : select.run({{pg::oid_datum(endpoint.server), false}})) all.push_back({text_of(row[0]), &endpoint});
    });
    std::sort(all.begin(), all.end(), [](const NamedEndpoint& one, const NamedEndpoint& other) { return one.name < other.name; });
    return all;
}

int requests_of_all(Oid server, std::atomic<int> RequestUse::*count) {
    int sum = 0;
    for (const WorkerSlot& slot : used_slots(*shared())) {
        if (slot.state != SlotState::running || slot.database != pg::my_database()) continue;
        for (const RequestUse& use : request_uses(slot)) sum += use.key == endpoint_key(server) ? (use.*count).load() : 0;
    }
    return sum;
}

void add_endpoint_counts(Output& output, const NamedEndpoint& of) {
    constexpr const char* ends[] = {"2xx", "3xx", "4xx", "5xx", "unknown", "not sent"};
    for (std::size_t i = 0; i < std::size(ends); i++) output.add({{"foreign_server", of.name}, {"answer", ends[i]}}, static_cast<double>(of.at(i)));
}

void add_endpoints(Output& output) {
    Lazy<std::vector<NamedEndpoint>> all(read_endpoints);
    output.metric("sync_job_http_requests_total", "counter", "HTTP requests that are over, by the class of the status; unknown: it is not known whether the server has had it.", [&] {
        for (const NamedEndpoint& of : all()) add_endpoint_counts(output, of);
    });
    output.metric("sync_job_http_request_seconds", "histogram", "How long HTTP requests took that have left.", [&] {
        for (const NamedEndpoint& of : all()) {
            add_histogram(output, {{"foreign_server", of.name}}, [&](std::size_t i) { return of.at(request_histogram + i); });
        }
    });
    auto measure = [&](const char* name, const char* help, const std::function<double(const SharedEndpoint&)>& value) {
        output.metric(name, "gauge", help, [&] {
            for (const NamedEndpoint& of : all()) output.add({{"foreign_server", of.name}}, value(*of.shared));
        });
    };
    measure("sync_job_http_in_flight", "HTTP requests under way.", [](const SharedEndpoint& of) { return requests_of_all(of.server, &RequestUse::in_flight); });
    measure("sync_job_http_waiting", "HTTP requests that are ready, and wait for in_flight, per_second or the end of a pause.",
            [](const SharedEndpoint& of) { return requests_of_all(of.server, &RequestUse::waiting); });
    measure("sync_job_http_pause_seconds", "How much longer the endpoint rests, as its server has asked for; 0: it does not.",
            [](const SharedEndpoint& of) { return std::max(0.0, static_cast<double>(of.paused_until - pg::now()) / 1e6); });
}

// --- Processes ---

const char* state_of(const WorkerSlot& slot) {
    switch (slot.state) {
        case SlotState::starting:
            return "starting";
        case SlotState::session:
            return "session";
        default:
            return read_activity(slot).job == 0 ? "idle" : "running";
    }
}

void add_workers(Output& output) {
    std::map<std::pair<std::string, std::string>, int> workers;
    for (const WorkerSlot& slot : used_slots(*shared())) {
        if (slot.state != SlotState::free && slot.database == pg::my_database()) workers[{slot.queue, state_of(slot)}]++;
    }
    for (const auto& [key, count] : workers) output.add({{"queue", key.first}, {"state", key.second}}, count);
}

void add_processes(Output& output) {
    output.metric("sync_job_workers", "gauge", "Processes that run jobs, by what they do; session: one that is not a worker.", [&] { add_workers(output); });
    output.metric("sync_job_max_workers", "gauge", "The setting sync_job.max_workers, for all databases together.", [&] { output.add({}, settings.max_workers); });
    output.metric("sync_job_scheduler_up", "gauge", "1: the scheduler of the database runs.", [&] {
        const DatabaseSlot* database = find_database_slot(pg::my_database());
        output.add({}, database != nullptr && pg::process_exists(database->scheduler_pid) ? 1 : 0);
    });
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_metrics) {
    if (!has_level(pg::current_user(), Level::operator_)) require_level(Level::viewer, "function sync_job_metrics()");
    Output output(args);
    output.metric("sync_job_library_info", "gauge", "1; version: of the library.", [&] { output.add({{"version", SYNC_JOB_VERSION}}, 1); });
    add_all_counts(output);
    TypeLabels label;
    add_standing(output, label);
    add_last_looks(output, label);
    add_queues(output);
    add_types(output);
    add_alerts(output);
    if (shared() == nullptr) return args.null_result();
    add_endpoints(output);
    add_processes(output);
    return args.null_result();
}

SYNC_JOB_FUNCTION(sync_job_watch) {
    Oid user = pg::current_user();
    bool other_level = has_level(user, Level::operator_) || has_level(user, Level::manager);
    if (!other_level) require_level(Level::viewer, "function watch_sync_jobs()");
    DatabaseSlot* database = find_database_slot(pg::my_database());
    bool heard = database != nullptr && pg::process_exists(database->scheduler_pid);
    if (heard) database->watched_until = pg::now() + watch_microseconds;
    return pg::bool_datum(heard);
}
