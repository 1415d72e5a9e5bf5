// GET /metrics: the result of the extension's sync_job_metrics(), in the format of Prometheus. A role of its own, with the level viewer,
// queries it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "serve/request.hpp"
#include "serve/session.hpp"

namespace sync_job::serve {

// A row of sync_job_metrics(), and the database it comes from.
struct Sample {
    std::string name, type, help;
    std::vector<std::pair<std::string, std::string>> labels;
    std::string value;
};

// In Prometheus' classic format, or as OpenMetrics. Samples of one family are put together, where its first one is.
std::string rendered(const std::vector<Sample>& samples, bool open_metrics);

class Metrics : public std::enable_shared_from_this<Metrics> {
public:
    explicit Metrics(const Settings& settings);

    // By its token, if there is one.
    bool lets_in(const Request& request) const;
    // All who have the token count as one owner; without a token there is none.
    std::shared_ptr<const void> owner(const Request& request) const;
    // Within a second, or 503.
    Async<Response> scrape(const Request& request);

private:
    Async<void> collect();
    Async<void> collect_of(std::string database);

    Settings settings_;
    std::map<std::string, std::shared_ptr<Session>> sessions_;  // by database
    bool collecting_ = false;
    std::vector<Sample> collected_;
    Event done_;
};

}  // namespace sync_job::serve
