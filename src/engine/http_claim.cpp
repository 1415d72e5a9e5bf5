#include "engine/http_claim.hpp"

#include <algorithm>
#include <chrono>

#include "controller/controller.hpp"
#include "controller/http_push.hpp"
#include "controller/search_path.hpp"
#include "engine/attempt.hpp"
#include "engine/claim.hpp"
#include "engine/document_batch.hpp"
#include "engine/sync.hpp"
#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "pg/deadline.hpp"
#include "pg/hooks.hpp"
#include "pg/json.hpp"
#include "pg/settings.hpp"
#include "pg/xact.hpp"
#include "queue/events.hpp"
#include "queue/in_progress.hpp"
#include "queue/push.hpp"
#include "queue/record.hpp"
#include "queue/rights.hpp"
#include "queue/set_record.hpp"
#include "queue/setup_error.hpp"
#include "shared/document_locks.hpp"
#include "shared/metrics.hpp"
#include "shared/slots.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using C = JobColumn;
using Op = pg::ScanCondition::Operator;

constexpr std::size_t most_at_a_time = 200;
constexpr int most_passed_over = 5000;
constexpr auto longest_rendering = std::chrono::milliseconds(200);
constexpr std::size_t fewest_read = 16, most_read = 128;  // jobs that are read together

// How many documents a request of the type may have. The attempt will report what is wrong with the declaration.
std::size_t most_in_batch(const JobType& type) {
    try {
        pg::Subtransaction subtransaction;
        HttpDeclaration http = read_http_declaration(type.http);
        subtransaction.commit();
        return http.batch ? static_cast<std::size_t>(http.batch->size) : 1;
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
        return 1;
    }
}

}  // namespace

// Locks all jobs first: rendering runs in subtransactions, and no scan must be open around these.
std::vector<HttpFlight> HttpClaim::claim() {
    require_writable_tables();
    collect();
    leave_taken();
    std::vector<std::int64_t> with_requests;
    for (const Claimed& claimed : claimed_) {
        if (requests_of(claimed.job) > 0) with_requests.push_back(claimed.job.id());
    }
    std::unordered_map<std::int64_t, HttpFlight> stored;
    for (HttpFlight& flight : stored_requests(with_requests)) stored.emplace(flight.job, std::move(flight));
    auto end = std::chrono::steady_clock::now() + longest_rendering;
    for (const Claimed& claimed : claimed_) {
        if (std::chrono::steady_clock::now() > end && met_ + flights_.size() > 0) {
            gave_up_ = true;  // the others stay unchanged
            break;
        }
        if (auto known = stored.find(claimed.job.id()); known != stored.end()) {
            start(claimed, std::move(known->second));  // exactly what was sent before
        } else if (is_set(claimed.job)) {
            render_set(claimed);
        } else {
            render(claimed);
        }
        pg::command_counter_increment();
    }
    insert_requests(new_requests_);
    met_ += static_cast<int>(flights_.size());
    if (met_ > 0) announce_ended_at_commit();
    return std::move(flights_);
}

void HttpClaim::collect() {
    for (const std::string& name : push_types()) {
        auto type = find_job_type(name);
        if (type == nullptr || !type->is_push() || type->paused) continue;
        collect_of(type);
    }
}

bool HttpClaim::Claimed::any_free() const { return keys.empty() || std::find(free.begin(), free.end(), true) != free.end(); }

namespace {

// Marks documents as not free if a request of another job has them: it is in flight, or nobody knows what became of it.
template <class Jobs>
void mark_taken(Jobs& jobs) {
    std::vector<std::uint64_t> keys;
    for (const auto& one : jobs) {
        for (std::size_t i = 0; i < one.keys.size(); i++) {
            if (one.free[i]) keys.push_back(one.keys[i]);
        }
    }
    auto taken = taken_documents(keys);
    if (taken.empty()) return;
    for (auto& one : jobs) {
        for (std::size_t i = 0; i < one.keys.size(); i++) {
            auto [from, to] = taken.equal_range(one.keys[i]);
            one.has_request = one.has_request || std::any_of(from, to, [&](const auto& entry) { return entry.second == one.job.id(); });
            if (std::any_of(from, to, [&](const auto& entry) { return entry.second != one.job.id(); })) one.free[i] = false;
        }
    }
}

}  // namespace

// Some of the next due jobs. Each has the documents that it could have if no other process wanted them.
std::vector<HttpClaim::Claimed> HttpClaim::read_some(pg::IndexScan& scan, const std::shared_ptr<const JobType>& type, std::size_t most) const {
    std::vector<Claimed> met;
    while (met.size() < most && scan.next()) {
        Claimed claimed{Job(scan.row()), type, {}, {}, false};
        if (is_set(claimed.job)) {
            claimed.keys = document_keys(claimed.job);
        } else if (std::uint64_t key = document_key(claimed.job); key != 0) {
            claimed.keys = {key};
        }
        for (std::uint64_t key : claimed.keys) claimed.free.push_back(!limits_.is_taken(key));
        met.push_back(std::move(claimed));
    }
    mark_taken(met);
    return met;
}

bool HttpClaim::has_place(std::size_t most) const { return claimed_.size() < most_at_a_time && documents_ + most <= most_documents; }

// Jobs whose documents are taken are passed over before any of these are locked, and take up no room. There may be very many such jobs: a
// claim gives up after a few thousand, and the next claim goes on after them.
void HttpClaim::collect_of(const std::shared_ptr<const JobType>& type) {
    int room = limits_.room(*type), passed_over = 0;
    if (room <= 0) return;
    std::size_t most = most_in_batch(*type);
    Sweep& sweep = sweeps_[type->name];
    ClaimPosition at = sweep.at.value_or(ClaimPosition());
    pg::Table table(schema_objects().live, pg::TableLock::write);
    pg::IndexScan scan(table, schema_objects().live_push,
                       {{1, Op::equal_text, pg::text_datum(queue_)}, {2, Op::equal_oid, pg::oid_datum(run_as_)}, {3, Op::equal_text, pg::text_datum(type->name)}},
                       pg::ScanStart{4, at.priority, at.id});
    bool at_end = false;
    while (!at_end && room > 0 && has_place(most) && passed_over < most_passed_over) {
        auto wanted = std::clamp<std::size_t>(static_cast<std::size_t>(room), fewest_read, most_read);
        std::vector<Claimed> met = read_some(scan, type, wanted);
        at_end = met.size() < wanted;
        for (Claimed& claimed : met) {
            if (room <= 0 || !has_place(most)) break;
            at = {claimed.job.int32(C::priority), claimed.job.id() + 1};
            bool taken = take(table, claimed, most, sweep);
            sweep.behind.insert(claimed.keys.begin(), claimed.keys.end());
            if (taken) {
                claimed_.push_back(std::move(claimed));
                room--;
            } else {
                passed_over++;
            }
        }
    }
    sweep.at.reset();
    if (passed_over >= most_passed_over) sweep.at = at;
    if (!sweep.at) sweep.behind.clear();
    gave_up_ = gave_up_ || sweep.at;
}

// Locks its row and those of its documents that it may have, if any.
bool HttpClaim::take(pg::Table& table, Claimed& claimed, std::size_t most, const Sweep& sweep) {
    const Job& seen = claimed.job;
    bool due = seen.is_null(C::scheduled_at) || seen.int64(C::scheduled_at) <= pg::now();
    if (!due || limits_.is_left_out(seen.id())) return false;
    // A job that waits for a request does not precede it, even if it came earlier.
    for (std::size_t i = 0; i < claimed.keys.size() && !claimed.has_request; i++) {
        if (sweep.behind.count(claimed.keys[i]) > 0) claimed.free[i] = false;
    }
    if (!claimed.any_free()) return false;
    lock_documents_of(claimed, most);
    if (!claimed.any_free()) return false;
    pg::StoredRow row;
    bool locked = table.lock(seen.place, false, &row) == pg::LockResult::locked;
    if (locked) claimed.job = Job(row);
    return locked;
}

// Locks as many documents of a set as fit into a request, among those that no transaction of another process has.
void HttpClaim::lock_documents_of(Claimed& claimed, std::size_t most) {
    std::vector<std::size_t> wanted;
    std::vector<std::uint64_t> keys;
    for (std::size_t i = 0; i < claimed.keys.size() && wanted.size() < most; i++) {
        if (!claimed.free[i]) continue;
        wanted.push_back(i);
        keys.push_back(claimed.keys[i]);
    }
    std::vector<bool> locked = lock_documents(keys);
    claimed.free.assign(claimed.keys.size(), false);
    for (std::size_t i = 0; i < wanted.size(); i++) claimed.free[wanted[i]] = locked[i];
    documents_ += keys.size();
}

// Leaves out documents for which another process has begun a request since they were read: it has already unlocked them.
void HttpClaim::leave_taken() {
    mark_taken(claimed_);
    std::erase_if(claimed_, [](const Claimed& claimed) { return !claimed.any_free(); });
}

void HttpClaim::start(const Claimed& claimed, HttpFlight flight) {
    Job started = as_started(claimed.job);
    set_requests(started, flight.number);
    store_job({started, Partition::live});
    note_change(started);
    publish_start(started);
    flight.type = claimed.type->name;
    flight.most_of_type = claimed.type->concurrency_limit.value_or(0);
    flight.timeout = started.microseconds(C::timeout) / 1000;
    flights_.push_back(std::move(flight));
}

void HttpClaim::make_request(const Claimed& claimed, Datum request, const std::vector<std::string>& names) {
    HttpFlight flight;
    flight.job = claimed.job.id();
    flight.number = requests_of(claimed.job) + 1;
    flight.fresh = true;
    flight.request = pg::json_to_text(request);
    for (const pg::JsonField& field : pg::json_fields(request)) {
        if (field.key == "server") flight.endpoint = field.text;
    }
    if (is_set(claimed.job)) {
        auto all = pg::datum_text_array(claimed.job.datum(C::source_documents));
        for (std::size_t i = 0; i < all.size(); i++) {
            if (std::find(names.begin(), names.end(), all[i]) != names.end()) flight.documents.push_back(claimed.keys[i]);
        }
    } else {
        flight.documents = claimed.keys;
    }
    new_requests_.push_back(flight);
    start(claimed, std::move(flight));
}

// Jobs that have nothing to send end here; those that met a deadlock or the like are left as they are.
void HttpClaim::render(const Claimed& claimed) {
    PushStep step;
    AttemptLimits limits;
    limits.push = &step;
    Outcome outcome = attempt(claimed.job, limits);
    if (outcome.verdict != Verdict::ended) {
        clear_in_progress(claimed.job.id());
        return;
    }
    bool sends = outcome.error == nullptr && outcome.job.status() == Status::finished && !outcome.job.flag(C::dry_run);
    if (!sends) {
        outcome.job.clear(C::checkpoint);
        met_++;
        return record({outcome});
    }
    clear_in_progress(claimed.job.id());
    make_request(claimed, outcome.job.datum(C::result), {});
}

namespace {

HttpPush::Batch render_batch(const Job& set, const JobType& type, const std::vector<std::string>& names) {
    pg::ErrorContext context("sync " + describe(set));
    Job started = as_started(set);
    CurrentJobScope current(started, describe(set), depth_of(set));
    pg::SettingsScope settings;
    set_search_path(type);
    pg::Deadline deadline(set.microseconds(C::timeout));
    pg::Subtransaction subtransaction;
    HttpPush::Batch batch;
    {
        pg::SpiScope spi;
        pg::SnapshotScope snapshot;
        require_trusted_type(type, set);
        auto controller = find_controller(type);
        try {
            controller->push()->require_endpoint(set.oid(C::run_as));
        } catch (const pg::Error& error) {
            throw SetupError(error);
        }
        batch = controller->push()->render_many(set, names);
    }
    deadline.stop();
    subtransaction.commit();
    return batch;
}

}  // namespace

// Renders as many of the free documents as one request may have. Documents that do not exist, or that have left the type's scope, get jobs
// of their own.
void HttpClaim::render_set(const Claimed& claimed) {
    std::vector<std::string> all = pg::datum_text_array(claimed.job.datum(C::source_documents)), names, rest;
    SetProgress set{as_started(claimed.job), {}};
    try {
        auto controller = find_controller(*claimed.type);
        const auto& batch = controller->push()->declaration().batch;
        std::size_t most = batch ? static_cast<std::size_t>(batch->size) : 0;
        for (std::size_t i = 0; i < all.size(); i++) (claimed.free[i] && names.size() < most ? names : rest).push_back(all[i]);
        bool closed = !claimed.type->update_enabled || !claimed.job.enables(Operation::update);
        HttpPush::Batch rendered;
        if (!closed && !names.empty()) rendered = render_batch(claimed.job, *claimed.type, names);
        if (rendered.names.size() == names.size() && !names.empty()) {
            clear_in_progress(claimed.job.id());
            return make_request(claimed, rendered.request, rendered.names);
        }
        std::vector<std::string> gone;
        for (const std::string& name : names) {
            if (std::find(rendered.names.begin(), rendered.names.end(), name) == rendered.names.end()) gone.push_back(name);
        }
        if (closed) {
            set.done[Count::skipped] += static_cast<std::int64_t>(names.size());
        } else {
            set.done = hand_over(set.job, most == 0 ? all : gone);
            if (most == 0) rest.clear();
            rest.insert(rest.begin(), rendered.names.begin(), rendered.names.end());  // they are sent when the set is claimed next
        }
        set.done.left = rest;
    } catch (const SetupError& error) {
        met_++;
        return record({setup_failure(set.job, error)});
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
        set.done = hand_over(set.job, names);  // one of them cannot be sent; jobs of their own show which
        set.done.left = rest;
    }
    met_++;
    record_set(set);
    clear_in_progress(claimed.job.id());
}

}  // namespace sync_job
