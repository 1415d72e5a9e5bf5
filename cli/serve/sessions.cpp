#include "serve/sessions.hpp"

#include <algorithm>
#include <iostream>
#include <string.h>
#include <tuple>

#include "serve/parameters.hpp"

namespace sync_job::serve {

namespace {

// The values of all cookies of that name: another port of this host may have set more.
std::vector<std::string_view> cookies_of(const Request& request, std::string_view name) {
    std::vector<std::string_view> values;
    for (const auto& [header, text] : request.headers) {
        if (header != "cookie") continue;
        for (std::string_view rest = text; !rest.empty();) {
            std::string_view pair = rest.substr(0, rest.find(';'));
            rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
            pair.remove_prefix(std::min(pair.size(), pair.find_first_not_of(' ')));
            const std::size_t equals = pair.find('=');
            if (equals != std::string_view::npos && pair.substr(0, equals) == name) values.push_back(pair.substr(equals + 1));
        }
    }
    return values;
}

void wipe(std::string& text) { explicit_bzero(text.data(), text.size()); }

// So that a text cannot begin a new line in the log.
std::string on_one_line(std::string text) {
    std::ranges::replace_if(text, [](unsigned char c) { return c < ' ' || c >= 0x7f; }, '?');
    return text.substr(0, 500);
}

}  // namespace

std::shared_ptr<Session> Sessions::find(const Request& request) const {
    const auto token = request.header("x-sync-job-token");
    if (!token) return nullptr;
    for (const std::string_view id : cookies_of(request, cookie_name_)) {
        const auto found = by_id_.find(id);
        if (found != by_id_.end() && !found->second->ended() && same_text(found->second->token(), *token)) return found->second;
    }
    return nullptr;
}

std::string Sessions::set_cookie(const std::string& value, bool secure) const {
    return cookie_name_ + "=" + value + "; Path=/; HttpOnly; SameSite=Strict" + (secure ? "; Secure" : "") +
           (value.empty() ? "; Max-Age=0" : "");
}

// The new cookie replaces the old one, so nobody could use the old session any more, or log out of it.
void Sessions::end_those_of_browser(const Request& request) {
    for (const std::string_view id : cookies_of(request, cookie_name_)) {
        const auto found = by_id_.find(id);
        if (found == by_id_.end()) continue;
        found->second->end("the same browser has logged in again");
        by_id_.erase(found);
    }
}

// Called only after a successful log-in: otherwise it would reveal who is here, and let anybody throw people out. When all places are
// taken, the role with the most sessions gives up its oldest; among equals, the newcomer's role does. So nobody is shut out, and no role
// can push out others by logging in again and again.
void Sessions::make_room(const std::string& user) {
    std::erase_if(by_id_, [](const auto& entry) { return entry.second->ended(); });
    if (by_id_.size() < static_cast<std::size_t>(settings_.sessions)) return;
    std::map<std::string, int> places;
    for (const auto& [id, session] : by_id_) ++places[session->user()];
    if (const auto own = places.find(user); own != places.end()) ++own->second;
    const auto rank = [&](const Session& session) {
        return std::tuple(-places[session.user()], session.user() != user, session.last_used());
    };
    const auto leaves = std::ranges::min_element(by_id_, {}, [&](const auto& entry) { return rank(*entry.second); });
    leaves->second->end("others have logged in since, and there was no place for all");
    by_id_.erase(leaves);
}

Async<Response> Sessions::log_in(const Request& request, const std::string& address, bool secure) {
    Named named;
    add_json_object(request.body, named);
    const std::string database = required(named, "database"), user = required(named, "user");
    std::string password = required(named, "password");
    for (auto& [name, value] : named) {
        if (value) wipe(*value);
    }
    if (std::ranges::find(settings_.databases, database) == settings_.databases.end()) {
        throw DatabaseError{"28000", "log-in refused", "", "Choose one of the databases that the console was started for."};
    }
    LoginDelay::Attempt attempt(delay_, address, user);
    if (!co_await attempt.turn()) {
        Response busy = error_response(429, "53300", "too many log-ins from your address", "Try again in some seconds.");
        busy.headers.emplace_back("Retry-After", "5");
        co_return busy;
    }
    std::shared_ptr<Session> session;
    try {
        session = co_await Session::begin(settings_, database, user, password);
    } catch (DatabaseError& error) {
        std::cerr << "log-in refused: role \"" << on_one_line(user) << "\", from " << address << ": "
                  << on_one_line(error.detail.empty() ? error.message : error.detail) << std::endl;
        if (error.code == "28000") attempt.failed();
        error.detail.clear();
        if (error.code == "28000") error.hint = "The user or the password is wrong, or the server does not let this role in with a password.";
        throw;
    }
    end_those_of_browser(request);
    make_room(user);
    by_id_.emplace(session->id(), session);
    Response response;
    response.body = "{\"token\":" + json_string(session->token()) + "}";
    response.headers.emplace_back("Set-Cookie", set_cookie(session->id(), secure));
    co_return response;
}

Response Sessions::log_out(const Request& request, bool secure) {
    if (const auto session = find(request)) {
        session->end("you have logged out");
        by_id_.erase(session->id());
    }
    Response response;
    response.body = "{}";
    response.headers.emplace_back("Set-Cookie", set_cookie("", secure));
    return response;
}

Async<void> Sessions::watch() {
    for (;;) {
        co_await sleep_until(Clock::now() + std::chrono::seconds(5));
        for (const auto& [id, session] : by_id_) {
            if (const char* reason = session->expired(settings_)) session->end(reason);
        }
        std::erase_if(by_id_, [](const auto& entry) { return entry.second->ended(); });
    }
}

void Sessions::end_all(const std::string& reason) {
    for (const auto& [id, session] : by_id_) session->end(reason);
    by_id_.clear();
}

}  // namespace sync_job::serve
