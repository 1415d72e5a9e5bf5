// The callbacks at the end of transactions only add to atomics and set latches: an error there would be a PANIC.
#include "shared/metrics.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/state.hpp"
#include "pg/background.hpp"
#include "pg/value.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

constexpr int nowhere = -1;
constexpr int most_series_of_database = 512;

// FNV-1a with 64 bits; two keys with the same hash (practically impossible) would be counted together.
std::uint64_t hash_of(std::string_view text, std::uint64_t hash = 14695981039346656037u) {
    for (unsigned char c : text) hash = (hash ^ c) * 1099511628211u;
    return hash;
}

std::uint64_t key_of(Oid database, std::string_view type, std::string_view queue) {
    std::uint64_t hash = hash_of(queue, hash_of(type) ^ (database * 0x9E3779B97F4A7C15u));
    return hash == 0 ? 1 : hash;
}

// A name that is too long is cut and ends with its hash, so that long names stay different.
std::string label_of(std::string_view name) {
    if (name.size() < label_bytes) return std::string(name);
    char end[20];
    std::snprintf(end, sizeof(end), "~%016llx", static_cast<unsigned long long>(hash_of(name)));
    return pg::clipped_to_bytes(std::string(name), label_bytes - static_cast<int>(sizeof(end))) + end;
}

int find_series(std::uint64_t key) {
    Series* series = shared()->series;
    for (int i = 0; i < most_series; i++) {
        if (series[i].key.load(std::memory_order_acquire) == key) return i;
    }
    return nowhere;
}

// The place for another series, or nowhere. The last places are reserved: one per database, for everything without a series of its own.
int free_place(Oid database, std::uint64_t type_key, bool last_resort) {
    std::unordered_set<std::uint64_t> types;
    int place = nowhere, of_database = 0;
    const Series* series = shared()->series;
    for (int i = 0; i < most_series; i++) {
        if (series[i].key == 0) {
            if (place == nowhere && (last_resort || i < most_series - most_databases)) place = i;
        } else if (series[i].database == database) {
            of_database++;
            types.insert(series[i].type_key);
        }
    }
    if (last_resort) return place;
    types.insert(type_key);
    types.erase(hash_of(other_label));
    return of_database >= most_series_of_database || types.size() > most_counted_types ? nowhere : place;
}

int make_series(Oid database, std::string_view type, std::string_view queue, bool last_resort) {
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    std::uint64_t key = key_of(database, type, queue);
    if (int known = find_series(key); known != nowhere) return known;  // another process was faster
    int place = free_place(database, hash_of(type), last_resort);
    if (place == nowhere) return nowhere;
    Series& series = shared()->series[place];
    series.database = database;
    series.type_key = hash_of(type);
    std::string type_label = label_of(type);
    std::memcpy(series.type, type_label.c_str(), type_label.size() + 1);
    std::size_t length = queue.copy(series.queue, queue_name_bytes - 1);
    series.queue[length] = '\0';
    series.changed = false;
    for (auto& count : series.counts) count = 0;
    series.key.store(key, std::memory_order_release);
    return place;
}

// The series, created if necessary; if there is no place, that of type "other" in the queue; and if there is none for that, the one
// for everything.
int series_for(Oid database, std::string_view type, std::string_view queue) {
    if (int known = find_series(key_of(database, type, queue)); known != nowhere) return known;
    if (int made = make_series(database, type, queue, false); made != nowhere) return made;
    if (DatabaseSlot* slot = find_database_slot(database)) slot->series_lacking = true;
    if (int made = make_series(database, other_label, queue, false); made != nowhere) return made;
    return make_series(database, other_label, other_label, true);
}

// Remembers, in this process, where the series are. Forgets all when some were freed.
int known_series(std::string_view type, std::string_view queue) {
    static auto& known = *new std::unordered_map<std::uint64_t, int>;
    static std::uint32_t freed = 0;
    constexpr std::size_t most = 10000;
    if (std::uint32_t now = shared()->series_freed; now != freed || known.size() > most) {
        known.clear();
        freed = now;
    }
    Oid database = pg::my_database();
    std::uint64_t key = key_of(database, type, queue);
    auto found = known.find(key);
    if (found != known.end()) return found->second;
    return known[key] = series_for(database, type, queue);
}

// What the current transaction has done: a note for each series and level of subtransactions, the deepest last.
struct Note {
    int series;
    std::uint64_t key;
    int level;
    Tally counts;
};

std::vector<Note>& notes() {
    static auto& all = *new std::vector<Note>;
    return all;
}
bool any_change = false;

Note* find_note(int series, int level) {
    auto& all = notes();
    for (auto note = all.rbegin(); note != all.rend() && note->level >= level; ++note) {
        if (note->series == series && note->level == level) return &*note;
    }
    return nullptr;
}

Note* note_of(const Job& job) {
    if (shared() == nullptr) return nullptr;
    int series = known_series(job.text(C::sync_job_type), job.text(C::queue));
    if (series == nowhere) return nullptr;
    int level = pg::transaction_level();
    if (Note* known = find_note(series, level)) return known;
    return &notes().emplace_back(Note{series, shared()->series[series].key, level, {}});
}

void add(Tally& counts, std::size_t histogram, std::int64_t microseconds) {
    microseconds = std::max<std::int64_t>(microseconds, 0);  // the clock was set back
    std::size_t bucket = std::lower_bound(time_bounds.begin(), time_bounds.end(), microseconds) - time_bounds.begin();
    counts[histogram + bucket]++;
    counts[histogram + time_buckets] += microseconds;
}

void tell(DatabaseSlot& database) {
    if (!database.change_pending.exchange(true)) pg::wake_process(database.scheduler_process);
}

void act(Shared& s) {
    DatabaseSlot* database = find_database_slot(pg::my_database());
    bool watched = database != nullptr && is_watched(*database);
    for (const Note& note : notes()) {
        Series& series = s.series[note.series];
        if (series.key != note.key) continue;  // freed meanwhile
        for (std::size_t i = 0; i < counters; i++) {
            if (note.counts[i] != 0) series.counts[i].fetch_add(note.counts[i], std::memory_order_relaxed);
        }
        if (watched) series.changed = true;
    }
    if (!watched) return;
    if (any_change) database->any_change = true;
    tell(*database);
}

void at_transaction_end(bool committed) {
    if (notes().empty() && !any_change) return;
    Shared* s = shared();
    if (committed && s != nullptr) act(*s);
    notes().clear();
    any_change = false;
}

// The notes of a subtransaction that commits become its parent's; those of one that is rolled back are dropped.
void at_subtransaction_end(bool committed, int level) {
    auto& all = notes();
    if (all.empty() || all.back().level < level) return;
    auto first = std::find_if(all.begin(), all.end(), [&](const Note& note) { return note.level >= level; });
    auto end = first;
    if (committed) {
        for (auto note = first; note != all.end(); ++note) {
            Note* above = nullptr;
            for (auto other = all.begin(); other != end && above == nullptr; ++other) {
                if (other->series == note->series && other->level == level - 1) above = &*other;
            }
            if (above != nullptr) {
                for (std::size_t i = 0; i < counters; i++) above->counts[i] += note->counts[i];
            } else {
                note->level = level - 1;
                *end++ = *note;
            }
        }
    }
    all.erase(end, all.end());
}

// --- What follows from the end of a job ---

Counter counter_of(Status status) {
    static_assert(static_cast<int>(Counter::canceled) - static_cast<int>(Counter::finished) == static_cast<int>(Status::canceled) - static_cast<int>(Status::finished));
    auto index = static_cast<std::size_t>(status) - static_cast<std::size_t>(Status::finished);
    return static_cast<Counter>(static_cast<std::size_t>(Counter::finished) + index);
}

// What became of the document, for a job about a single one.
Counter document_counter(const Job& job) {
    switch (job.status()) {
        case Status::skipped:
            return Counter::document_skipped;
        case Status::no_target:
            return Counter::without_target;
        case Status::failed:
            return Counter::document_failed;
        case Status::finished:
            break;
        default:
            return Counter::all;
    }
    auto operation = job.operation();
    if (!operation) return Counter::all;
    switch (*operation) {
        case Operation::insert:
            return Counter::inserted;
        case Operation::update:
            return Counter::updated;
        case Operation::remove:
            break;
    }
    return Counter::deleted;
}

}  // namespace

void count_job(const Job& job, Counter counter, std::uint64_t by) {
    if (Note* note = note_of(job)) note->counts[static_cast<std::size_t>(counter)] += by;
}

void count_end(const Job& job) {
    Note* note = note_of(job);
    if (note == nullptr || !has_ended(job.status())) return;
    note->counts[static_cast<std::size_t>(counter_of(job.status()))]++;
    bool of_one_document = job.is_null(C::documents) && !job.is_null(C::source_document_name) && !job.flag(C::dry_run);
    Counter document = of_one_document ? document_counter(job) : Counter::all;
    if (document != Counter::all) note->counts[static_cast<std::size_t>(document)]++;
    if (job.is_null(C::started_at)) return;
    std::int64_t started = job.int64(C::started_at);
    if (!job.is_null(C::ended_at)) add(note->counts, run_histogram, job.int64(C::ended_at) - started);
    if (job.int32(C::retry_count) > 0) return;  // a retry has not been waiting since the job was enqueued
    std::int64_t due = job.int64(C::created_at);
    if (!job.is_null(C::scheduled_at)) due = std::max(due, job.int64(C::scheduled_at));
    add(note->counts, wait_histogram, started - due);
}

void note_change(const Job& job) { note_of(job); }
void note_change() { any_change = shared() != nullptr; }

bool is_watched(const DatabaseSlot& database) { return database.watched_until > pg::now(); }

void show_change(std::string_view type, std::string_view queue) {
    DatabaseSlot* database = find_database_slot(pg::my_database());
    if (database == nullptr || !is_watched(*database)) return;
    int series = known_series(type, queue);
    if (series == nowhere) return;
    shared()->series[series].changed = true;
    tell(*database);
}

void for_each_series(Oid database, const std::function<void(Series&)>& act) {
    for (Series& series : shared()->series) {
        if (series.key != 0 && series.database == database) act(series);
    }
}

namespace {

bool forget_where(const std::function<bool(const Series&)>& goes) {
    pg::SharedLock lock(pg::SharedLock::Mode::write);
    bool any = false;
    for (Series& series : shared()->series) {
        if (series.key == 0 || !goes(series)) continue;
        series.key = 0;
        any = true;
    }
    if (any) shared()->series_freed++;
    return any;
}

}  // namespace

void forget_series(Oid database) {
    forget_where([&](const Series& series) { return series.database == database; });
}

void forget_series_but(DatabaseSlot& database, const std::vector<std::string>& types) {
    std::unordered_set<std::uint64_t> keys{hash_of(other_label)};
    for (const std::string& type : types) keys.insert(hash_of(type));
    bool any = forget_where([&](const Series& series) { return series.database == database.database && !keys.contains(series.type_key); });
    if (any) database.series_lacking = false;
}

void register_metrics() {
    pg::on_transaction_end(at_transaction_end);
    pg::on_subtransaction_end(at_subtransaction_end);
}

}  // namespace sync_job
