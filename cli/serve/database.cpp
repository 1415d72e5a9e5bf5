#include "serve/database.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace sync_job::serve {

namespace {

// A file that does not exist: the empty string would mean the default, a file of the user who runs the server.
constexpr const char* no_file = "/dev/null/none";

constexpr Oid type_text = 25;

// Passed when connecting, so that no statement runs with a role's own settings, and RESET goes back to these. The planner
// cannot know how few jobs a role may see: hence no sequential scans.
constexpr const char* session_settings =
    "-c search_path=pg_catalog,pg_temp -c statement_timeout=1s -c default_transaction_read_only=on"
    " -c default_transaction_isolation=read\\ committed -c row_security=on -c DateStyle=ISO -c IntervalStyle=postgres"
    " -c TimeZone=UTC -c extra_float_digits=1 -c bytea_output=hex -c xmlbinary=base64 -c standard_conforming_strings=on"
    " -c quote_all_identifiers=off -c client_min_messages=error -c idle_in_transaction_session_timeout=60s -c jit=off -c enable_seqscan=off -c role=none";

constexpr const char* mode_sql =
    "SELECT pg_catalog.set_config('statement_timeout', $1, false), pg_catalog.set_config('default_transaction_read_only', $2, false)";

struct Limit {
    const char* statement_timeout;
    std::chrono::seconds time;
};

// The limit that the server keeps, if it works at all; and when the console stops waiting for it.
Limit limit_of(Mode mode) {
    if (mode == Mode::write) return {"30s", std::chrono::seconds(30 + 5)};
    return {"1s", std::chrono::seconds(1 + 5)};
}

DatabaseError failed_to_connect(PGconn* connection, bool answered) {
    std::string reason = PQerrorMessage(connection);
    while (!reason.empty() && reason.back() == '\n') reason.pop_back();
    if (!answered) return {"08001", "the database server cannot be reached", reason, ""};
    // PgBouncer's message, unless it is configured to ignore the settings that a session must have.
    if (reason.find("unsupported startup parameter") != std::string::npos) return needs_direct_connection();
    return {"28000", "log-in refused", reason, ""};
}

DatabaseError error_of(const PGresult* result) {
    const auto field = [&](int code) -> std::string {
        const char* text = PQresultErrorField(result, code);
        return text ? text : "";
    };
    return {field(PG_DIAG_SQLSTATE), field(PG_DIAG_MESSAGE_PRIMARY), field(PG_DIAG_MESSAGE_DETAIL), field(PG_DIAG_MESSAGE_HINT)};
}

std::string repeated(const std::string& text, std::size_t times) {
    std::string all = text;
    for (std::size_t i = 1; i < times; ++i) all += "," + text;
    return all;
}

// libpq keeps the password for PQreset(), which is never called.
void wipe_password(PGconn* connection) {
    char* password = PQpass(connection);
    if (*password != '\0') explicit_bzero(password, strlen(password));
}

// The names and values that PQconnectStartParams() takes. Those that this libpq does not know are left out.
class ConnectionParameters {
public:
    void add(const char* name, std::string value) { values_.emplace_back(name, std::move(value)); }

    void add_if_known(const char* name, const char* value) {
        PQconninfoOption* known = PQconndefaults();
        for (const PQconninfoOption* option = known; option && option->keyword; ++option) {
            if (strcmp(option->keyword, name) == 0) add(name, value);
        }
        PQconninfoFree(known);
    }

    PGconn* start() const {
        std::vector<const char*> names, values;
        for (const auto& [name, value] : values_) {
            names.push_back(name);
            values.push_back(value.c_str());
        }
        names.push_back(nullptr);
        values.push_back(nullptr);
        constexpr int no_connection_strings = 0;
        return PQconnectStartParams(names.data(), values.data(), no_connection_strings);
    }

    ~ConnectionParameters() {
        for (auto& [name, value] : values_) explicit_bzero(value.data(), value.size());
    }

private:
    std::vector<std::pair<const char*, std::string>> values_;
};

PGconn* start_connecting(const DatabaseServer& server, const std::string& database, const std::string& user,
                         const std::string& password) {
    ConnectionParameters parameters;
    const std::size_t count = std::max<std::size_t>(1, server.addresses.size());
    parameters.add("host", repeated(server.host, count));
    std::string addresses;
    for (const std::string& address : server.addresses) addresses += (addresses.empty() ? "" : ",") + address;
    parameters.add("hostaddr", addresses);
    parameters.add("port", repeated(server.port, count));
    parameters.add("dbname", database);
    parameters.add("user", user);
    parameters.add("password", password);
    parameters.add("application_name", "sync-job serve");
    parameters.add("client_encoding", "UTF8");
    parameters.add("options", session_settings);
    parameters.add("passfile", no_file);
    parameters.add("sslcert", no_file);
    parameters.add("sslkey", no_file);
    parameters.add("gssencmode", "disable");
    parameters.add("sslmode", server.sslmode);
    parameters.add("sslrootcert", server.sslrootcert);
    parameters.add("keepalives_idle", "30");
    parameters.add("tcp_user_timeout", "30000");
    parameters.add_if_known("sslcertmode", "disable");
    parameters.add_if_known("require_auth", "password,md5,scram-sha-256");
    return parameters.start();
}

}  // namespace

DatabaseError needs_direct_connection() {
    return {"42501", "the console needs a direct connection to the server", "", "There is a connection pooler, such as PgBouncer, where --host and --port lead."};
}

void DatabaseServer::look_up() {
    addresses.clear();
    if (host.empty() || host[0] == '/' || host[0] == '@') return;
    addrinfo wanted{}, *found = nullptr;
    wanted.ai_socktype = SOCK_STREAM;
    if (const int error = getaddrinfo(host.c_str(), nullptr, &wanted, &found)) {
        throw DatabaseError{"08001", "could not look up host \"" + host + "\": " + gai_strerror(error), "", ""};
    }
    for (const addrinfo* one = found; one; one = one->ai_next) {
        char text[NI_MAXHOST];
        if (getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0) addresses.push_back(text);
    }
    freeaddrinfo(found);
}

Async<std::shared_ptr<Database>> Database::connect(const DatabaseServer& server, std::string database, std::string user,
                                                   std::string& password, Clock::time_point limit) {
    PGconn* connection = start_connecting(server, database, user, password);
    explicit_bzero(password.data(), password.size());
    if (!connection) throw std::bad_alloc();
    std::shared_ptr<Database> self(new Database(co_await asio::this_coro::executor, connection));
    PQsetNoticeProcessor(connection, [](void*, const char*) {}, nullptr);
    co_await self->finish_connecting(limit);
    wipe_password(connection);
    if (!PQconnectionUsedPassword(connection)) {
        throw DatabaseError{"28000", "log-in refused", "the server let the role in without asking for its password", ""};
    }
    PQsetnonblocking(connection, 1);
    self->socket_.assign(PQsocket(connection));
    asio::co_spawn(
        self->socket_.get_executor(), [self]() { return self->receive(); }, asio::detached);
    co_return self;
}

// libpq may use another socket in each step, so Asio has it only while waiting for it.
Async<void> Database::finish_connecting(Clock::time_point limit) {
    const auto over = std::make_shared<bool>(false);
    asio::steady_timer timer(socket_.get_executor(), limit);
    timer.async_wait([over, self = shared_from_this()](ErrorCode error) {
        if (error || *over) return;
        *over = true;
        self->socket_.cancel();
    });
    bool answered = false;
    auto step = PGRES_POLLING_WRITING;
    while (PQstatus(connection_) != CONNECTION_BAD && step != PGRES_POLLING_FAILED && step != PGRES_POLLING_OK && !*over) {
        ErrorCode ignored;
        socket_.assign(PQsocket(connection_));
        const auto what = step == PGRES_POLLING_READING ? socket_.wait_read : socket_.wait_write;
        co_await socket_.async_wait(what, asio::redirect_error(asio::use_awaitable, ignored));
        socket_.release();
        if (*over) break;
        if (PQstatus(connection_) == CONNECTION_AWAITING_RESPONSE) answered = true;
        step = PQconnectPoll(connection_);
    }
    const bool in_time = !*over;
    *over = true;
    if (!in_time) throw DatabaseError{"08001", "the database server cannot be reached", "it did not answer in time", ""};
    if (step != PGRES_POLLING_OK) throw failed_to_connect(connection_, answered);
}

Database::~Database() { close(); }

void Database::close() {
    if (!connection_) return;
    if (socket_.is_open()) socket_.release();
    PQfinish(std::exchange(connection_, nullptr));
    changed_.happened();
    if (on_loss) std::exchange(on_loss, nullptr)(why_lost_);
}

void Database::throw_if_lost() const {
    if (!connection_) throw DatabaseError{"08006", why_lost_, "", "Log in again."};
}

// With TLS, libpq may leave a part of a record unread, of which no poll of the socket will tell.
bool Database::read_what_is_there() {
    auto* tls = static_cast<SSL*>(PQsslStruct(connection_, "OpenSSL"));
    do {
        if (!PQconsumeInput(connection_)) return false;
    } while (tls && SSL_pending(tls) > 0);
    return true;
}

// Reads what comes, as long as there is a connection, also while no statement runs.
Async<void> Database::receive() {
    const auto self = shared_from_this();
    while (connection_) {
        ErrorCode error;
        co_await socket_.async_wait(socket_.wait_read, asio::redirect_error(asio::use_awaitable, error));
        if (!connection_) break;
        if (error || !read_what_is_there()) {
            if (!running_) {
                close();
            } else if (PQstatus(connection_) == CONNECTION_BAD) {
                changed_.happened();  // the statement reads the reason, and closes
                break;
            }
            continue;
        }
        while (PGnotify* notification = PQnotifies(connection_)) {
            if (on_notification) on_notification(notification->relname, notification->extra);
            PQfreemem(notification);
        }
        changed_.happened();
    }
}

Async<Database::Result> Database::next_result() {
    while (connection_ && PQstatus(connection_) != CONNECTION_BAD && PQisBusy(connection_)) co_await changed_.wait();
    throw_if_lost();
    co_return Result(PQgetResult(connection_));
}

// A stopped server, or a network that lets nothing through, never ends the statement: then the connection is closed.
Async<Database::Result> Database::execute(const std::string& sql, const Parameters& parameters) {
    const auto self = shared_from_this();
    const auto over = std::make_shared<bool>(false);
    asio::steady_timer timer(socket_.get_executor(), limit_of(mode_).time);
    timer.async_wait([over, weak = weak_from_this()](ErrorCode error) {
        const auto database = weak.lock();
        if (error || *over || !database) return;
        database->why_lost_ = "the database server does not answer";
        database->close();
    });
    while (cancelling_) co_await changed_.wait();
    throw_if_lost();
    std::vector<const char*> values;
    for (const auto& value : parameters) values.push_back(value ? value->c_str() : nullptr);
    const std::vector<Oid> types(values.size(), type_text);
    running_ = true;
    int unsent = PQsendQueryParams(connection_, sql.c_str(), static_cast<int>(values.size()), types.data(), values.data(), nullptr, nullptr, 0)
                     ? PQflush(connection_)
                     : -1;
    while (unsent > 0 && connection_) {
        ErrorCode ignored;
        co_await socket_.async_wait(socket_.wait_write, asio::redirect_error(asio::use_awaitable, ignored));
        if (connection_) unsent = PQflush(connection_);
    }
    Result result, last;
    while ((last = co_await next_result())) {
        if (!result || PQresultStatus(result.get()) != PGRES_FATAL_ERROR) result = std::move(last);
    }
    running_ = false;
    *over = true;
    const bool failed = !result || PQresultStatus(result.get()) == PGRES_FATAL_ERROR;
    const DatabaseError error = failed && result ? error_of(result.get()) : DatabaseError{};
    if (PQstatus(connection_) == CONNECTION_BAD) close();
    if (failed && !error.code.empty()) throw error;
    throw_if_lost();
    co_return result;
}

Async<void> Database::set_mode(Mode mode) {
    if (mode == mode_) co_return;
    const Parameters values = {limit_of(mode).statement_timeout, mode == Mode::write ? "off" : "on"};
    co_await execute(mode_sql, values);
    mode_ = mode;
}

Async<std::optional<Row>> Database::query(std::string sql, Parameters parameters, Mode mode) {
    co_await set_mode(mode);
    const Result result = co_await execute(sql, parameters);
    if (PQntuples(result.get()) == 0) co_return std::nullopt;
    Row row(static_cast<std::size_t>(PQnfields(result.get())));
    for (int column = 0; column < PQnfields(result.get()); ++column) {
        if (PQgetisnull(result.get(), 0, column)) continue;
        row[static_cast<std::size_t>(column)].emplace(PQgetvalue(result.get(), 0, column), static_cast<std::size_t>(PQgetlength(result.get(), 0, column)));
    }
    co_return row;
}

void Database::cancel() {
    if (!running_ || cancelling_ || !connection_) return;
    cancelling_ = true;
    asio::co_spawn(
        socket_.get_executor(), [self = shared_from_this()]() { return self->send_cancel(); }, asio::detached);
}

// PQcancel() blocks, so a child process calls it. The child closes inherited descriptors before this process goes on: otherwise Asio
// would get events of sockets that are closed here but still open there.
Async<void> Database::send_cancel() {
    PGcancel* request = PQgetCancel(connection_);
    int ends[2];
    if (request && pipe2(ends, O_CLOEXEC) == 0) {
        const pid_t child = fork();
        if (child == 0) {
            signal(SIGALRM, SIG_DFL);
            alarm(5);
            const int end = dup2(ends[1], 3);
            close_range(4, ~0U, 0);
            char error[256];
            if (write(end, "", 1) == 1) PQcancel(request, error, sizeof error);
            _exit(0);
        }
        ::close(ends[1]);
        asio::posix::stream_descriptor pipe(socket_.get_executor(), ends[0]);
        char byte;
        if (child > 0 && read(ends[0], &byte, 1) == 1) {
            ErrorCode ignored;
            co_await pipe.async_wait(pipe.wait_read, asio::redirect_error(asio::use_awaitable, ignored));
        }
        if (child > 0) waitpid(child, nullptr, 0);
    }
    PQfreeCancel(request);
    cancelling_ = false;
    changed_.happened();
}

}  // namespace sync_job::serve
