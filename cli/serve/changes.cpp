#include "serve/changes.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <nlohmann/json.hpp>

#include "serve/session.hpp"

namespace sync_job::serve {

namespace {

// Often enough for watch_sync_jobs(), which lasts for a minute; also notices that a role is gone.
constexpr auto heartbeat = std::chrono::seconds(15);
constexpr auto shortest_pause = std::chrono::milliseconds(500);
constexpr std::size_t most_streams = 20, most_names = 500, longest_backlog = 4;

// Only the extension's own function, in whatever schema: somebody may have planted another one of that name.
constexpr const char* has_watch_sql =
    "SELECT NOT pg_catalog.pg_is_in_recovery() AND EXISTS (SELECT FROM pg_catalog.pg_extension AS e"
    " JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid AND d.deptype = 'e'"
    " JOIN pg_catalog.pg_proc AS p ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.objid"
    " WHERE e.extname = 'pg_sync_job' AND p.proname = 'watch_sync_jobs')";
constexpr const char* watch_sql = "SELECT @extschema@.watch_sync_jobs()";

// The names sent that this role may see.
constexpr const char* known_sql =
    "SELECT pg_catalog.json_build_object("
    "'types', ARRAY(SELECT t.name FROM @extschema@.sync_job_type AS t WHERE t.name IN (SELECT pg_catalog.json_array_elements_text($1::pg_catalog.json)) ORDER BY 1),"
    " 'queues', ARRAY(SELECT q.name FROM @extschema@.sync_job_queue AS q WHERE q.name IN (SELECT pg_catalog.json_array_elements_text($2::pg_catalog.json)) ORDER BY 1),"
    " 'all', $3::pg_catalog.bool)";

std::string event(std::string_view name, std::string_view data) {
    return "event: " + std::string(name) + "\ndata: " + std::string(data) + "\n\n";
}

// False: too many names, or not the expected form.
bool take_names(const nlohmann::json& digest, const char* key, std::set<std::string>& names) {
    const auto list = digest.find(key);
    if (list == digest.end() || !list->is_array()) return false;
    for (const auto& name : *list) {
        if (!name.is_string() || names.size() >= most_names) return false;
        const auto& text = name.get_ref<const std::string&>();
        if (text.find('\0') != std::string::npos) return false;
        names.insert(text);
    }
    return true;
}

}  // namespace

class Changes::One : public Stream {
public:
    explicit One(std::shared_ptr<Changes> changes) : changes_(std::move(changes)) { changes_->streams_.push_back(this); }
    ~One() override { changes_->streams_.remove(this); }

    void add(const std::string& text) {
        if (backlog_.size() >= longest_backlog) {  // the client does not read: one event stands for all
            backlog_.clear();
            backlog_.push_back(event("changed", R"({"types":[],"queues":[],"all":true})"));
        } else {
            backlog_.push_back(text);
        }
        added_.happened();
    }
    void end(const std::string& reason) {
        backlog_.push_back(event("end", "{\"reason\":" + json_string(reason) + "}"));
        ended_ = true;
        added_.happened();
    }

    Async<std::optional<std::string>> next() override {
        if (backlog_.empty() && !ended_) co_await added_.wait_until(Clock::now() + heartbeat);
        if (!backlog_.empty()) {
            std::string text = std::move(backlog_.front());
            backlog_.pop_front();
            co_return text;
        }
        if (ended_) co_return std::nullopt;
        co_return ":\n\n";
    }

private:
    const std::shared_ptr<Changes> changes_;
    std::list<std::string> backlog_;
    bool ended_ = false;
    Event added_;
};

std::shared_ptr<Stream> Changes::open() {
    if (streams_.size() >= most_streams) {
        One* oldest = streams_.front();
        streams_.pop_front();
        oldest->end("the session has opened more streams");
    }
    const auto stream = std::make_shared<One>(shared_from_this());
    if (known_) stream->add(event(listening_ ? "listen" : "poll", "{}"));
    if (!known_) opened_.happened();
    if (!running_) {
        running_ = true;
        const auto session = session_.lock();
        const auto self = shared_from_this();
        asio::co_spawn(
            session->executor(), [self]() { return self->watch(); }, asio::detached);
        asio::co_spawn(
            session->executor(), [self]() { return self->deliver(); }, asio::detached);
    }
    return stream;
}

void Changes::send(const std::string& text) {
    for (One* stream : streams_) stream->add(text);
}

void Changes::end(const std::string& reason) {
    ended_ = true;
    for (One* stream : streams_) stream->end(reason);
    streams_.clear();
    opened_.happened();
    changed_.happened();
}

// A role needs a level for it: others get no notifications.
Async<bool> Changes::listen(Session& session) {
    try {
        auto answer = co_await session.query(has_watch_sql);
        if (!answer || answer->front() != "t") co_return false;
        co_await session.query("LISTEN sync_job_changed");
        answer = co_await session.query(watch_sql);
        co_return answer && answer->front() == "t";
    } catch (const DatabaseError&) {
        co_return false;
    }
}

// Runs from the first stream on, as long as the session exists; without streams it asks for nothing.
Async<void> Changes::watch() {
    const auto self = shared_from_this();
    while (!ended_) {
        const auto session = session_.lock();
        if (!session || streams_.empty()) {
            known_ = false;
            co_await opened_.wait();
            continue;
        }
        const bool listening = co_await listen(*session);
        if (!known_ || listening != listening_) send(event(listening ? "listen" : "poll", "{}"));
        known_ = true;
        listening_ = listening;
        if (!ended_) co_await opened_.wait_until(Clock::now() + heartbeat);
    }
}

void Changes::notified(std::string_view payload) {
    const auto digest = nlohmann::json::parse(payload, nullptr, false);
    const bool understood = digest.is_object() && take_names(digest, "types", types_) && take_names(digest, "queues", queues_);
    if (!understood || digest.value("all", nlohmann::json()) != false) all_ = true;
    pending_ = true;
    changed_.happened();
}

// However many notifications come, the streams of a session get at most two events per second.
Async<void> Changes::deliver() {
    const auto self = shared_from_this();
    while (!ended_) {
        if (!pending_) {
            co_await changed_.wait();
            continue;
        }
        const std::string types = nlohmann::json(std::exchange(types_, {})).dump(), queues = nlohmann::json(std::exchange(queues_, {})).dump();
        Parameters parameters = {types, queues, std::exchange(all_, false) ? "t" : "f"};
        pending_ = false;
        const auto session = session_.lock();
        if (!session) break;
        try {
            const auto known = co_await session->query(known_sql, std::move(parameters));
            if (known && known->front()) send(event("changed", *known->front()));
        } catch (const DatabaseError&) {
            send(event("changed", R"({"types":[],"queues":[],"all":true})"));
        }
        co_await sleep_until(Clock::now() + shortest_pause);
    }
}

}  // namespace sync_job::serve
