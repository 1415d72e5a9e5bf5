// A connection to PostgreSQL that never blocks the event loop: libpq's non-blocking calls, with Asio waiting for its socket.
#pragma once

#include <libpq-fe.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/async.hpp"

namespace sync_job::serve {

// Where the server is. From the command line, never from whoever logs in.
struct DatabaseServer {
    std::string host, port = "5432", sslmode, sslrootcert;
    std::vector<std::string> addresses;  // of the host, if that is a name: looked up once, because a look-up blocks

    void look_up();
};

// An error of PostgreSQL, or one of this program in the same form.
struct DatabaseError {
    std::string code, message, detail, hint;
};

// The error for a pooler, whose sessions are shared.
DatabaseError needs_direct_connection();

using Parameters = std::vector<std::optional<std::string>>;  // NULL: absent
using Row = std::vector<std::optional<std::string>>;

// How the statements that follow run.
enum class Mode { read, write };

class Database : public std::enable_shared_from_this<Database> {
public:
    // With a password, and in no other way. It is wiped, here and in libpq, when the connection is established.
    // Throws DatabaseError: 28000 if the server refuses it for any reason, with the server's message as the detail, which must not be
    // shown to the person who tries; 08001 if there is no server.
    static Async<std::shared_ptr<Database>> connect(const DatabaseServer& server, std::string database, std::string user,
                                                    std::string& password, Clock::time_point limit);
    ~Database();
    Database(const Database&) = delete;

    // One statement at a time: the caller must make sure of that. Returns the first row, if there is one. Throws DatabaseError.
    // If the server has not answered 5 seconds after it should have ended the statement, the connection is closed: 08006.
    Async<std::optional<Row>> query(std::string sql, Parameters parameters = {}, Mode mode = Mode::read);

    // Makes the running statement end with an error, unless it ends by itself. No other statement begins before that.
    void cancel();

    bool alive() const { return connection_ != nullptr; }
    int process() const { return PQbackendPID(connection_); }
    void close();

    std::function<void(std::string_view channel, std::string_view payload)> on_notification;
    std::function<void(const char* reason)> on_loss;  // the server has ended the connection, or does not answer

private:
    struct ResultDeleter {
        void operator()(PGresult* result) const { PQclear(result); }
    };
    using Result = std::unique_ptr<PGresult, ResultDeleter>;

    Database(asio::any_io_executor executor, PGconn* connection) : connection_(connection), socket_(executor) {}
    Async<void> finish_connecting(Clock::time_point limit);
    Async<void> set_mode(Mode mode);
    Async<Result> execute(const std::string& sql, const Parameters& parameters);
    Async<Result> next_result();
    Async<void> receive();
    Async<void> send_cancel();
    bool read_what_is_there();
    void throw_if_lost() const;

    PGconn* connection_;
    asio::posix::stream_descriptor socket_;
    bool running_ = false, cancelling_ = false;
    const char* why_lost_ = "the connection to the database server is lost";
    Mode mode_ = Mode::read;
    Event changed_;  // something has come from the server, or a request to cancel is through
};

}  // namespace sync_job::serve
