#include "serve/session.hpp"

#include <sys/random.h>

#include <algorithm>
#include <system_error>

#include "serve/changes.hpp"

namespace sync_job::serve {

namespace {

constexpr auto connect_limit = std::chrono::seconds(5);
constexpr auto longest_session = std::chrono::hours(12);
constexpr auto check_interval = std::chrono::seconds(5);
constexpr std::size_t most_waiting = 32;

// What a session depends on. No row: the role is gone. The role itself cannot see that its password has changed.
constexpr const char* role_sql =
    "SELECT r.rolsuper, pg_catalog.pg_is_in_recovery(),"
    " r.rolcanlogin AND coalesce(r.rolvaliduntil, 'infinity') > pg_catalog.now()"
    " AND pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CONNECT') AND current_user = session_user,"
    " pg_catalog.pg_backend_pid(),"
    " (SELECT n.nspname FROM pg_catalog.pg_extension AS e"
    "  JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'pg_sync_job'),"
    // A function that somebody else has created with the name of one of the extension's: a call could resolve to it.
    " (SELECT pg_catalog.min(o.oid::pg_catalog.regprocedure::pg_catalog.text) FROM pg_catalog.pg_extension AS e"
    "  JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid AND d.deptype = 'e'"
    "   AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass"
    "  JOIN pg_catalog.pg_proc AS p ON p.oid = d.objid"
    "  JOIN pg_catalog.pg_proc AS o ON o.proname = p.proname AND o.pronamespace = p.pronamespace"
    "  WHERE e.extname = 'pg_sync_job' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS own"
    "   WHERE own.classid = d.classid AND own.objid = o.oid AND own.refclassid = d.refclassid AND own.refobjid = e.oid AND own.deptype = 'e'))"
    " FROM pg_catalog.pg_roles AS r WHERE r.rolname = session_user";

constexpr const char* facts_sql =
    "SELECT pg_catalog.json_build_object('user', session_user, 'database', pg_catalog.current_database(),"
    " 'levels', l.levels, 'level', CASE WHEN 'manager' = ANY (l.levels) THEN 'manager' WHEN 'operator' = ANY (l.levels) THEN 'operator'"
    "  WHEN 'viewer' = ANY (l.levels) THEN 'viewer' ELSE 'none' END,"
    " 'superuser', r.rolsuper, 'extension_version', e.extversion, 'server_version', pg_catalog.current_setting('server_version'),"
    " 'schema', n.nspname, 'now', pg_catalog.now(), 'timezone', pg_catalog.current_setting('log_timezone'))"
    " FROM pg_catalog.pg_roles AS r, pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace,"
    " (SELECT ARRAY(SELECT v.level FROM pg_catalog.unnest('{viewer,operator,manager}'::pg_catalog.text[]) AS v(level)"
    "  WHERE sync_job_internal.has_level(v.level)) AS levels) AS l"
    " WHERE r.rolname = session_user AND e.extname = 'pg_sync_job'";

// 256 bits, in hexadecimal.
std::string random_name() {
    unsigned char bytes[32];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) throw std::system_error(errno, std::generic_category(), "getrandom");
    std::string text;
    for (const unsigned char byte : bytes) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

// Statements contain the schema's name, so characters with a meaning in SQL must not be in it. CREATE EXTENSION refuses these, too, but
// a schema can be renamed.
constexpr std::string_view unfit_for_schema = "\"'$\\@";

std::string with_schema(std::string sql, const std::string& schema) {
    constexpr std::string_view placeholder = "@extschema@";
    for (std::size_t at = 0; (at = sql.find(placeholder, at)) != std::string::npos; at += schema.size()) {
        sql.replace(at, placeholder.size(), schema);
    }
    return sql;
}

DatabaseError log_in_again(const std::string& reason) {
    return {"28000", "the session has ended: " + reason, "", "Log in again."};
}

DatabaseError replaced() { return {"57014", "replaced by a newer request", "", ""}; }

}  // namespace

// Holds the connection until it goes out of scope.
class Session::InTurn {
public:
    InTurn(Session& session, std::list<Turn>::iterator turn) : session_(session.shared_from_this()), turn_(turn) {}
    InTurn(const InTurn&) = delete;
    ~InTurn() {
        session_->turns_.erase(turn_);
        session_->turned_.happened();
    }

private:
    std::shared_ptr<Session> session_;
    std::list<Turn>::iterator turn_;
};

Session::Session(const Settings& settings, std::string database, std::string user)
    : id_(random_name()),
      token_(random_name()),
      database_(std::move(database)),
      user_(std::move(user)),
      read_only_(settings.read_only),
      allow_superusers_(settings.allow_superusers) {}

Async<std::shared_ptr<Session>> Session::begin(const Settings& settings, std::string database, std::string user, std::string& password) {
    std::shared_ptr<Session> self(new Session(settings, database, user));
    self->executor_ = co_await asio::this_coro::executor;
    self->connection_ = co_await Database::connect(settings.server, database, user, password, Clock::now() + connect_limit);
    co_await self->check_role();
    if (self->schema_.empty()) {
        throw DatabaseError{"42704", "database \"" + database + "\" has no extension pg_sync_job", "", "CREATE EXTENSION pg_sync_job;"};
    }
    self->connection_->on_loss = [weak = self->weak_from_this()](const char* reason) {
        if (const auto session = weak.lock()) session->end(reason);
    };
    co_return self;
}

// At log-in, and again before a request if the last check was some seconds ago.
Async<void> Session::check_role() {
    const auto facts = co_await connection_->query(role_sql);
    checked_ = Clock::now();
    const auto is = [&](std::size_t column) { return (*facts)[column] == "t"; };
    if (!facts || !is(2)) throw DatabaseError{"28000", "the role is gone, or may no longer log in here", "", ""};
    if (is(0) && !allow_superusers_) {
        throw DatabaseError{"42501", "superusers may not log in to the console", "",
                            "Log in as a role with the level that you need; or start the console with --allow-superusers."};
    }
    if ((*facts)[3] != std::to_string(connection_->process())) throw needs_direct_connection();
    if ((*facts)[5]) {
        throw DatabaseError{"42501", "somebody has made a function " + *(*facts)[5] + " beside one of the extension's",
                            "A call of the extension's could run it, as whoever is logged in.", "Drop it, and REVOKE CREATE on the schema of the extension."};
    }
    const std::string schema = (*facts)[4].value_or("");
    if (schema.find_first_of(unfit_for_schema) != std::string::npos) {
        throw DatabaseError{"42602", "the schema of the extension has a name with one of the characters " + std::string(unfit_for_schema), "",
                            "CREATE EXTENSION does not take such a name; give the schema another one with ALTER SCHEMA ... RENAME TO."};
    }
    standby_ = is(1);
    schema_ = schema.empty() ? "" : '"' + schema + '"';
}

const char* Session::expired(const Settings& settings) const {
    const auto now = Clock::now();
    if (now - began_ > longest_session) return "it has lasted 12 hours";
    if (now - last_used_ > std::chrono::duration<double, std::ratio<60>>(settings.idle_minutes)) return "nothing was done for a while";
    return nullptr;
}

void Session::end(std::string reason) {
    if (ended()) return;
    why_ended_ = std::move(reason);
    const auto connection = std::exchange(connection_, nullptr);
    connection->on_loss = nullptr;
    connection->on_notification = nullptr;
    connection->close();
    if (changes_) changes_->end(why_ended_);
    turned_.happened();
}

void Session::replace_older(const std::string& slot) {
    for (Turn& turn : turns_) {
        if (turn.slot != slot || turn.replaced || turn.mode == Mode::write) continue;
        turn.replaced = true;
        if (&turn == &turns_.front()) connection_->cancel();
    }
    turned_.happened();
}

Async<std::optional<Row>> Session::query(std::string sql, Parameters parameters, Mode mode, std::string slot) {
    const auto self = shared_from_this();
    if (ended()) throw log_in_again(why_ended_);
    if (turns_.size() >= most_waiting) throw DatabaseError{"53300", "too many requests of this session wait", "", ""};
    if (!slot.empty()) replace_older(slot);
    const auto turn = turns_.insert(turns_.end(), Turn{std::move(slot), mode});
    const InTurn in_turn(*this, turn);
    while (turn != turns_.begin() && !turn->replaced && !ended()) co_await turned_.wait();
    if (ended()) throw log_in_again(why_ended_);
    if (turn->replaced) throw replaced();
    const auto connection = connection_;
    if (Clock::now() - checked_ > check_interval) {
        try {
            co_await check_role();
        } catch (const DatabaseError& error) {
            if (error.code != "57014") end(error.message);
        }
        if (ended()) throw log_in_again(why_ended_);
        if (turn->replaced) throw replaced();
    }
    if (mode == Mode::write && read_only()) {
        throw DatabaseError{"25006", standby_ ? "this server is a standby, which can only be read" : "the console is read-only", "", ""};
    }
    co_return co_await connection->query(with_schema(std::move(sql), schema_), std::move(parameters), mode);
}

std::shared_ptr<Changes> Session::changes() {
    if (ended()) throw log_in_again(why_ended_);
    if (!changes_) {
        changes_ = std::make_shared<Changes>(weak_from_this());
        connection_->on_notification = [weak = std::weak_ptr(changes_)](std::string_view channel, std::string_view payload) {
            const auto changes = weak.lock();
            if (changes && channel == "sync_job_changed") changes->notified(payload);
        };
    }
    return changes_;
}

Async<std::string> Session::facts() {
    const auto row = co_await query(facts_sql);
    if (!row) throw log_in_again("the extension is gone");
    std::string text = *row->front();
    text.pop_back();
    co_return text + ", \"read_only\": " + (read_only() ? "true" : "false") + ", \"standby\": " + (standby_ ? "true" : "false") + "}";
}

}  // namespace sync_job::serve
