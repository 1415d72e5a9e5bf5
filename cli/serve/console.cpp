#include "serve/console.hpp"

#include <algorithm>
#include <iostream>

#include "serve/changes.hpp"
#include "serve/static_files.hpp"

namespace sync_job::serve {

namespace {

constexpr std::size_t largest_body = 1 << 20, largest_log_in = 8 << 10;

bool speaks_tls(const Settings& settings) {
    return !settings.tls_certificate.empty() ||
           (!settings.origins.empty() && std::ranges::all_of(settings.origins, [](const auto& origin) { return origin.starts_with("https://"); }));
}

Response not_allowed() { return error_response(405, "0A000", "this path has not that method", ""); }
Response not_found() { return error_response(404, "P0002", "there is nothing here", ""); }

}  // namespace

// __Host-: a cookie with that prefix cannot be set by another host, or without TLS.
Console::Console(const Settings& settings, const std::string& address, unsigned port, std::shared_ptr<Metrics> metrics)
    : settings_(settings),
      gate_(settings, address, port),
      secure_(speaks_tls(settings)),
      sessions_(settings, (secure_ ? "__Host-sync_job_" : "sync_job_") + std::to_string(port)),
      metrics_(std::move(metrics)) {}

std::optional<Response> Console::refuse(const Request& head) const {
    if (auto refused = gate_.check(head)) return refused;
    if (head.method == Method::other) return not_allowed();
    if (head.method == Method::post && !head.path.starts_with("/api/")) return not_allowed();
    if (head.path == "/metrics" && metrics_ && !metrics_->lets_in(head)) return error_response(401, "28000", "the token of the metrics is missing, or wrong");
    const bool open = head.path == "/api/login" || (head.path == "/api/session" && head.method == Method::get);
    if (head.path.starts_with("/api/") && !open && !sessions_.find(head)) {
        return error_response(401, "28000", "not logged in", "Log in.");
    }
    return std::nullopt;
}

std::shared_ptr<const void> Console::owner(const Request& head) const {
    if (head.path == "/metrics" && metrics_) return metrics_->owner(head);
    return sessions_.find(head);
}

std::size_t Console::body_limit(const Request& head) const {
    if (head.method != Method::post) return 0;
    return head.path == "/api/login" ? largest_log_in : largest_body;
}

Async<Response> Console::answer(const Request& request) {
    Response response;
    try {
        if (request.path.starts_with("/api/")) {
            response = co_await answer_api(request);
        } else if (request.path == "/metrics" && metrics_) {
            response = co_await metrics_->scrape(request);
        } else {
            response = answer_page(request);
        }
    } catch (const DatabaseError& error) {
        response = error_response(error);
    } catch (const std::exception& error) {
        std::cerr << "error: " << error.what() << std::endl;
        response = error_response(500, "XX000", "an error of the console itself", "Its log says more.");
    }
    co_return response;
}

Async<Response> Console::answer_api(const Request& request) {
    if (request.method == Method::head) co_return not_allowed();
    if (request.path == "/api/login") {
        if (request.method != Method::post) co_return not_allowed();
        co_return co_await sessions_.log_in(request, gate_.address_of(request), secure_);
    }
    const auto session = sessions_.find(request);
    if (!session && request.path == "/api/session") co_return log_in_facts();
    if (!session) co_return error_response(401, "28000", "not logged in", "Log in.");
    // A refresh of the page by itself is no activity of its user.
    if (!request.header("x-sync-job-refresh")) session->touch();
    co_return co_await answer_session(request, session);
}

// For visitors who are not logged in: what the log-in form shows.
Response Console::log_in_facts() const {
    Response response;
    response.body = "{\"user\":null," + common_facts();
    return response;
}

std::string Console::common_facts() const {
    std::string text = "\"databases\":[";
    for (const std::string& database : settings_.databases) {
        text += (text.back() == '[' ? "" : ",") + json_string(database);
    }
    return text + "]}";
}

Async<Response> Console::answer_session(const Request& request, std::shared_ptr<Session> session) {
    if (request.path == "/api/logout") {
        if (request.method != Method::post) co_return not_allowed();
        co_return sessions_.log_out(request, secure_);
    }
    if (request.path == "/api/session" && request.method == Method::get) {
        Response response;
        response.body = co_await session->facts();
        response.body.back() = ',';
        response.body += common_facts();
        co_return response;
    }
    if (request.path == "/api/changes" && request.method == Method::get) {
        Response response;
        response.content_type = "text/event-stream";
        response.stream = session->changes()->open();
        co_return response;
    }
    co_return co_await answer_route(request, session);
}

Async<Response> Console::answer_route(const Request& request, std::shared_ptr<Session> session) {
    Router::Match match = router_.find(request.method, request.path);
    if (!match.route) co_return match.other_method ? not_allowed() : not_found();
    const Route& route = *match.route;
    Parameters parameters = parameters_of(route, std::move(match.from_path), request);
    const std::string slot(request.header("x-sync-job-slot").value_or(""));
    const auto row = co_await session->query(std::string(route.sql), std::move(parameters), route.writes ? Mode::write : Mode::read, slot);
    if (!row || !row->front()) co_return error_response(404, "P0002", "there is no such thing, or you may not see it", "");
    Response response;
    response.body = std::move(*row->front());
    co_return response;
}

// A path without a file name comes from the page's own navigation.
Response Console::answer_page(const Request& request) const {
    Response response;
    if (request.path == "/healthz") {
        response.content_type = "text/plain";
        response.fixed_body = "ok\n";
        return response;
    }
    const bool has_ending = request.path.find('.') != std::string::npos;
    const StaticFile* file = find_static_file(has_ending ? request.path : "/index.html");
    if (!file) return not_found();
    response.content_type = content_type_of(file->path);
    response.fixed_body = file->content;
    return response;
}

}  // namespace sync_job::serve
