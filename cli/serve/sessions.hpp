// All sessions, and the log-in.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "serve/login_delay.hpp"
#include "serve/request.hpp"
#include "serve/session.hpp"

namespace sync_job::serve {

class Sessions {
public:
    // The cookie's name contains the port, as browsers send the cookies of one port of a host to all ports.
    Sessions(const Settings& settings, std::string cookie_name) : settings_(settings), cookie_name_(std::move(cookie_name)) {}

    // The session whose cookie and token both come with the request.
    std::shared_ptr<Session> find(const Request& request) const;

    Async<Response> log_in(const Request& request, const std::string& address, bool secure);
    Response log_out(const Request& request, bool secure);

    // Runs forever: ends sessions whose time is over.
    Async<void> watch();
    void end_all(const std::string& reason);

private:
    std::string set_cookie(const std::string& value, bool secure) const;
    void make_room(const std::string& user);
    void end_those_of_browser(const Request& request);

    const Settings& settings_;
    const std::string cookie_name_;
    std::map<std::string, std::shared_ptr<Session>, std::less<>> by_id_;
    LoginDelay delay_;
};

}  // namespace sync_job::serve
