// GET /api/changes: tells a page when to ask again. A session listens once, for all of its streams. A notification is a hint, not a
// fact: anybody can send one.
#pragma once

#include <list>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "serve/request.hpp"

namespace sync_job::serve {

class Session;

class Changes : public std::enable_shared_from_this<Changes> {
public:
    explicit Changes(std::weak_ptr<Session> session) : session_(std::move(session)) {}

    // Another stream; if there are too many, the oldest ends. The first event says whether changes are announced ("listen") or not ("poll").
    std::shared_ptr<Stream> open();
    void notified(std::string_view payload);
    void end(const std::string& reason);

private:
    class One;

    Async<void> watch();
    Async<void> deliver();
    Async<bool> listen(Session& session);
    void send(const std::string& event);

    const std::weak_ptr<Session> session_;
    std::list<One*> streams_;
    bool running_ = false, listening_ = false, known_ = false, ended_ = false;
    std::set<std::string> types_, queues_;  // announced as changed
    bool all_ = false, pending_ = false;
    Event changed_, opened_;
};

}  // namespace sync_job::serve
