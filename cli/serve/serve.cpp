#include "serve/serve.hpp"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstring>
#include <iostream>
#include <optional>
#include <stdexcept>

#include "serve/console.hpp"
#include "serve/http.hpp"
#include "serve/private_file.hpp"
#include "serve/settings.hpp"

extern char** environ;

namespace sync_job::serve {

namespace {

// libpq uses them for parameters that are not given; whoever logs in must not get those of whoever started the server.
void forget_libpq_environment() {
    std::vector<std::string> names;
    for (char** variable = environ; *variable; ++variable) {
        if (strncmp(*variable, "PG", 2) == 0) names.emplace_back(*variable, strcspn(*variable, "="));
    }
    for (const std::string& name : names) unsetenv(name.c_str());
}

void allow_many_files() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void check(const Settings& settings) {
    const auto wrong = [](const std::string& what) { throw std::invalid_argument(what); };
    if (settings.databases.empty()) wrong("--databases must say to which databases one may log in");
    if (settings.tls_certificate.empty() != settings.tls_key.empty()) wrong("--tls-certificate and --tls-key need each other");
    for (const std::string& origin : settings.origins) {
        const bool http = origin.starts_with("http://"), https = origin.starts_with("https://");
        const std::string host = origin.substr(origin.find("://") + 3);
        if ((!http && !https) || host.empty() || host.find_first_of("/?#@ ") != std::string::npos) {
            wrong("--origin \"" + origin + "\" is no origin, as in https://console.example");
        }
    }
}

void check_metrics(Settings& settings) {
    const auto wrong = [](const std::string& what) { throw std::invalid_argument(what); };
    if (settings.metrics_role.empty()) {
        if (!settings.metrics_listen.empty() || !settings.metrics_token_file.empty()) wrong("metrics need --metrics-role");
        return;
    }
    if (settings.metrics_listen.empty() && settings.metrics_token_file.empty()) wrong("metrics need --metrics-listen or --metrics-token-file");
    if (!settings.metrics_password_file.empty()) check_private_file(settings.metrics_password_file);
    if (settings.metrics_token_file.empty()) return;
    settings.metrics_token = first_line_of_private_file(settings.metrics_token_file);
    if (settings.metrics_token.size() < 16) wrong("\"" + settings.metrics_token_file + "\" has no token of at least 16 characters in its first line");
}

// An address of its own has nothing but the metrics. Prometheus may use any name, so Host is checked only on loopback.
Answerer answerer_of(std::shared_ptr<Metrics> metrics, const Settings& settings, const Listener& listener) {
    const bool loopback = is_loopback(listener.address());
    const auto gate = std::make_shared<Gate>(settings, listener.address(), listener.port());
    return {[metrics, gate, loopback](const Request& head) -> std::optional<Response> {
                if (auto refused = loopback ? gate->check(head) : std::nullopt) return refused;
                if (head.path != "/metrics") return error_response(404, "P0002", "there is only /metrics here");
                if (head.method != Method::get && head.method != Method::head) return error_response(405, "0A000", "this path has not that method");
                if (!metrics->lets_in(head)) return error_response(401, "28000", "the token of the metrics is missing, or wrong");
                return std::nullopt;
            },
            [metrics](const Request& head) { return metrics->owner(head); }, [](const Request&) { return std::size_t{0}; }, [metrics](const Request& request) { return metrics->scrape(request); }};
}

// Requests in progress when the program ends are destroyed with the event loop, and need the console until then.
Answerer answerer_of(std::shared_ptr<Console> console) {
    return {[console](const Request& head) { return console->refuse(head); }, [console](const Request& head) { return console->owner(head); },
            [console](const Request& head) { return console->body_limit(head); }, [console](const Request& request) { return console->answer(request); }};
}

std::string url_of(const Listener& listener, bool tls) {
    const std::string address = listener.address();
    const bool ipv6 = address.find(':') != std::string::npos;
    return (tls ? "https://" : "http://") + (ipv6 ? "[" + address + "]" : address) + ":" + std::to_string(listener.port()) + "/";
}

}  // namespace

void run(Settings settings) {
    check(settings);
    check_metrics(settings);
    forget_libpq_environment();
    allow_many_files();
    signal(SIGPIPE, SIG_IGN);
    settings.server.look_up();

    asio::io_context context(1);
    const bool tls = !settings.tls_certificate.empty();
    const auto tls_files = tls ? tls_context(settings.tls_certificate, settings.tls_key) : nullptr;
    Listener listener(context, settings.listen, tls_files);
    const auto metrics = settings.metrics_role.empty() ? nullptr : std::make_shared<Metrics>(settings);
    std::optional<Listener> metrics_listener;
    if (!settings.metrics_listen.empty()) {
        metrics_listener.emplace(context, settings.metrics_listen, tls_files);
        asio::co_spawn(context, metrics_listener->run(answerer_of(metrics, settings, *metrics_listener)), asio::detached);
    }
    const auto console = std::make_shared<Console>(settings, listener.address(), listener.port(), metrics_listener ? nullptr : metrics);
    asio::co_spawn(context, listener.run(answerer_of(console)), asio::detached);
    asio::co_spawn(
        context, [console] { return console->watch(); }, asio::detached);

    // The first signal ends everything; what does not end by itself is abandoned.
    asio::signal_set signals(context, SIGINT, SIGTERM);
    signals.async_wait([&](ErrorCode, int) {
        listener.stop();
        if (metrics_listener) metrics_listener->stop();
        console->end("the console is shut down");
        context.stop();
    });
    std::cout << "The console is at " << url_of(listener, tls) << std::endl;
    if (metrics_listener) std::cout << "Its metrics are at " << url_of(*metrics_listener, tls) << "metrics" << std::endl;
    context.run();
}

}  // namespace sync_job::serve
