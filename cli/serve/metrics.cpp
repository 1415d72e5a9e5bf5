#include "serve/metrics.hpp"

#include <stdlib.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "serve/private_file.hpp"

namespace sync_job::serve {

namespace {

constexpr auto scrape_limit = std::chrono::seconds(1);

constexpr const char* metrics_sql =
    "SELECT pg_catalog.json_agg(pg_catalog.json_build_array(m.name, m.type, m.help, m.labels, m.value::pg_catalog.text))"
    " FROM @extschema@.sync_job_metrics() AS m";

std::string escaped(std::string_view text, bool quotes) {
    std::string result;
    for (const char c : text) {
        if (c == '\\') result += "\\\\";
        else if (c == '\n') result += "\\n";
        else if (c == '"' && quotes) result += "\\\"";
        else result += c;
    }
    return result;
}

// In OpenMetrics, a counter's family name has no _total; in both formats, a histogram's has none of its three endings.
std::string family_of(const Sample& sample, bool open_metrics) {
    const auto without = [&](std::string_view ending) { return sample.name.substr(0, sample.name.size() - ending.size()); };
    if (sample.type == "histogram") {
        for (const std::string_view ending : {"_bucket", "_sum", "_count"}) {
            if (sample.name.ends_with(ending)) return without(ending);
        }
    }
    if (sample.type == "counter" && open_metrics && sample.name.ends_with("_total")) return without("_total");
    return sample.name;
}

std::string value_of(const std::string& value) {
    if (value == "Infinity") return "+Inf";
    if (value == "-Infinity") return "-Inf";
    return value;
}

// OpenMetrics wants bucket limits as floating-point numbers.
std::string label_value(const std::pair<std::string, std::string>& label, bool open_metrics) {
    if (label.first == "le" && open_metrics && label.second.find_first_not_of("0123456789") == std::string::npos) return label.second + ".0";
    return escaped(label.second, true);
}

std::string line_of(const Sample& sample, bool open_metrics) {
    std::string line = sample.name;
    for (std::size_t i = 0; i < sample.labels.size(); ++i) {
        line += (i == 0 ? "{" : ",") + sample.labels[i].first + "=\"" + label_value(sample.labels[i], open_metrics) + "\"";
    }
    return line + (sample.labels.empty() ? " " : "} ") + value_of(sample.value) + "\n";
}

Sample sample_of(const nlohmann::json& row) {
    Sample sample{row[0], row[1], row[2], {}, row[4]};
    for (const auto& [name, value] : row[3].items()) {
        sample.labels.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
    }
    return sample;
}

// Read for each connection, so that it need not be kept.
std::string password_of(const Settings& settings) {
    if (!settings.metrics_password_file.empty()) return first_line_of_private_file(settings.metrics_password_file);
    const char* variable = getenv("SYNC_JOB_METRICS_PASSWORD");
    return variable ? variable : "";
}

}  // namespace

std::string rendered(const std::vector<Sample>& samples, bool open_metrics) {
    std::vector<std::string> order;
    std::map<std::string, std::string> families;
    for (const Sample& sample : samples) {
        const std::string family = family_of(sample, open_metrics);
        const auto [place, is_new] = families.try_emplace(family);
        if (is_new) {
            order.push_back(family);
            place->second = "# HELP " + family + " " + escaped(sample.help, open_metrics) + "\n# TYPE " + family + " " + sample.type + "\n";
        }
        place->second += line_of(sample, open_metrics);
    }
    std::string text;
    for (const std::string& family : order) text += families[family];
    return text + (open_metrics ? "# EOF\n" : "");
}

Metrics::Metrics(const Settings& settings) : settings_(settings) {
    settings_.read_only = true;
    settings_.allow_superusers = false;
}

bool Metrics::lets_in(const Request& request) const {
    return settings_.metrics_token.empty() || same_text(request.header("authorization").value_or(""), "Bearer " + settings_.metrics_token);
}

std::shared_ptr<const void> Metrics::owner(const Request& request) const {
    return settings_.metrics_token.empty() || !lets_in(request) ? nullptr : shared_from_this();
}

Async<void> Metrics::collect_of(std::string database) {
    Sample up{"sync_job_up", "gauge", "1: the database has answered.", {{"database", database}}, "0"};
    std::vector<Sample> samples;
    try {
        auto& session = sessions_[database];
        if (!session || session->ended()) {
            std::string password = password_of(settings_);
            if (password.empty()) throw DatabaseError{"28000", "the role of the metrics has no password", "", ""};
            session = co_await Session::begin(settings_, database, settings_.metrics_role, password);
        }
        const auto row = co_await session->query(metrics_sql);
        if (row && row->front()) {
            for (const auto& sample : nlohmann::json::parse(*row->front())) samples.push_back(sample_of(sample));
        }
        up.value = "1";
    } catch (const DatabaseError& error) {
        std::cerr << "no metrics of a database: " << error.message << (error.detail.empty() ? "" : ": ") << error.detail << std::endl;
    } catch (const std::exception& error) {
        std::cerr << "no metrics of a database: " << error.what() << std::endl;
    }
    collected_.push_back(std::move(up));
    std::ranges::move(samples, std::back_inserter(collected_));
}

// All scrapes that come meanwhile get the same result.
Async<void> Metrics::collect() {
    struct End {  // whatever is thrown
        std::shared_ptr<Metrics> metrics;
        ~End() {
            metrics->collecting_ = false;
            metrics->done_.happened();
        }
    } const end{shared_from_this()};
    collected_.clear();
    for (const std::string& database : settings_.databases) co_await collect_of(database);
}

Async<Response> Metrics::scrape(const Request& request) {
    const auto self = shared_from_this();
    const auto limit = Clock::now() + scrape_limit;
    if (!collecting_) {
        collecting_ = true;
        // Not in one expression with the lambda: GCC 12 would destroy its captures twice.
        const auto executor = co_await asio::this_coro::executor;
        asio::co_spawn(
            executor, [self]() { return self->collect(); }, asio::detached);
    }
    while (collecting_ && Clock::now() < limit) co_await done_.wait_until(limit);
    if (collecting_) co_return error_response(503, "57014", "the database does not answer within a second");
    const bool open_metrics = request.header("accept").value_or("").find("application/openmetrics-text") != std::string_view::npos;
    Response response;
    response.content_type = open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8" : "text/plain; version=0.0.4; charset=utf-8";
    response.body = rendered(collected_, open_metrics);
    co_return response;
}

}  // namespace sync_job::serve
