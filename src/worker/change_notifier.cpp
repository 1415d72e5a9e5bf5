// While somebody watches, each commit marks in shared memory what has changed (shared/metrics.hpp).
#include "worker/change_notifier.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <string>

#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/xact.hpp"
#include "shared/metrics.hpp"

namespace sync_job {

namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr auto shortest_pause = Milliseconds(500);
constexpr std::size_t longest_payload = 7900;  // a notification must be shorter than 8000 bytes

struct Changes {
    std::set<std::string> types, queues;
    bool all = false;  // more than these, or something that is neither a type nor a queue: ask for everything
};

Changes take_changes(DatabaseSlot& database) {
    Changes changes;
    changes.all = database.any_change.exchange(false);
    for_each_series(database.database, [&](Series& series) {
        if (!series.changed.exchange(false)) return;
        if (std::strcmp(series.type, other_label) == 0) changes.all = true;
        changes.types.insert(series.type);
        changes.queues.insert(series.queue);
    });
    return changes;
}

void add_names(pg::JsonBuilder& json, const char* key, const std::set<std::string>& names) {
    json.key(key);
    json.begin_array();
    for (const std::string& name : names) json.string(name);
    json.end_array();
}

std::string digest_of(const Changes& changes) {
    pg::JsonBuilder json;
    json.begin_object();
    add_names(json, "types", changes.types);
    add_names(json, "queues", changes.queues);
    json.key("all");
    json.boolean(changes.all);
    json.end_object();
    std::string text = pg::json_to_text(json.finish());
    return text.size() <= longest_payload ? text : digest_of({{}, {}, true});
}

}  // namespace

std::optional<Milliseconds> ChangeNotifier::due(DatabaseSlot& database) const {
    if (!database.change_pending) return std::nullopt;
    if (!is_watched(database)) {
        database.change_pending = false;
        return std::nullopt;
    }
    return std::max(Milliseconds(0), std::chrono::ceil<Milliseconds>(told_ + shortest_pause - Clock::now()));
}

void ChangeNotifier::notify(DatabaseSlot& database) {
    if (due(database) != Milliseconds(0)) return;
    told_ = Clock::now();
    database.change_pending = false;
    pg::start_transaction();
    try {
        pg::notify("sync_job_changed", digest_of(take_changes(database)));
        pg::commit_transaction();
    } catch (const pg::Error& error) {  // for example, the notification queue is full; watchers poll from time to time anyway
        pg::abort_transaction();
        if (!failed_) pg::log_error("could not tell listeners of changes of sync jobs", error);
        failed_ = true;
        database.any_change = true;
        return;
    }
    failed_ = false;
}

}  // namespace sync_job
