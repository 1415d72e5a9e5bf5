// Somebody who is logged in: a role's own connection, and the requests that wait for it.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "serve/database.hpp"
#include "serve/settings.hpp"

namespace sync_job::serve {

class Changes;

class Session : public std::enable_shared_from_this<Session> {
public:
    // Throws DatabaseError if this role may not log in.
    static Async<std::shared_ptr<Session>> begin(const Settings& settings, std::string database, std::string user, std::string& password);

    const std::string& id() const { return id_; }
    const std::string& token() const { return token_; }
    const std::string& user() const { return user_; }
    const std::string& database() const { return database_; }
    bool read_only() const { return read_only_ || standby_; }
    bool standby() const { return standby_; }
    bool ended() const { return !connection_; }
    asio::any_io_executor executor() const { return executor_; }

    // The user has done something.
    void touch() { last_used_ = Clock::now(); }
    Clock::time_point last_used() const { return last_used_; }
    // Why the session is over; null while it is not.
    const char* expired(const Settings& settings) const;
    void end(std::string reason);
    const std::string& why_ended() const { return why_ended_; }

    // Runs a statement in its turn. Only the newest request of a slot counts: it cancels an older statement that reads, but never one that
    // writes. @extschema@ is replaced. Throws DatabaseError; 57014 for a request that was superseded.
    Async<std::optional<Row>> query(std::string sql, Parameters parameters = {}, Mode mode = Mode::read, std::string slot = "");

    // Facts for the page, as a JSON object.
    Async<std::string> facts();

    // Announces changes to the open streams.
    std::shared_ptr<Changes> changes();

private:
    struct Turn {
        std::string slot;
        Mode mode;
        bool replaced = false;
    };
    class InTurn;

    Session(const Settings& settings, std::string database, std::string user);
    Async<void> check_role();
    void replace_older(const std::string& slot);

    const std::string id_, token_, database_, user_;
    const bool read_only_, allow_superusers_;
    bool standby_ = false;
    std::string schema_, why_ended_;
    asio::any_io_executor executor_;
    std::shared_ptr<Database> connection_;
    std::shared_ptr<Changes> changes_;
    const Clock::time_point began_ = Clock::now();
    Clock::time_point last_used_ = began_, checked_ = began_;
    std::list<Turn> turns_;  // the first has the connection
    Event turned_;
};

}  // namespace sync_job::serve
