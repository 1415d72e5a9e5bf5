#include "serve/router.hpp"

#include <algorithm>

#include "serve/database.hpp"

namespace sync_job::serve {

namespace {

std::vector<std::string_view> segments_of(std::string_view path) {
    std::vector<std::string_view> segments;
    while (!path.empty()) {
        path.remove_prefix(1);  // the slash
        const std::string_view segment = path.substr(0, path.find('/'));
        segments.push_back(segment);
        path.remove_prefix(segment.size());
    }
    return segments;
}

bool is_name(std::string_view segment) { return segment.starts_with('{'); }

bool matches(const std::vector<std::string_view>& pattern, const std::vector<std::string_view>& segments) {
    return std::ranges::equal(pattern, segments, [](std::string_view expected, std::string_view given) {
        return is_name(expected) ? !given.empty() : expected == given;
    });
}

}  // namespace

// Routes with fewer placeholders come first: /api/jobs/count before /api/jobs/{id}.
Router::Router() {
    for (const auto table : {overview_routes(), jobs_routes(), job_routes(), actions_routes(), types_routes(), status_routes(), forms_routes()}) {
        for (const Route& route : table) entries_.push_back({&route, segments_of(route.path)});
    }
    std::ranges::stable_sort(entries_, {}, [](const Entry& entry) { return std::ranges::count_if(entry.segments, is_name); });
}

Router::Match Router::find(Method method, std::string_view path) const {
    const auto segments = segments_of(path);
    Match match;
    for (const Entry& entry : entries_) {
        if (!matches(entry.segments, segments)) continue;
        if (entry.route->method != method) {
            match.other_method = true;
            continue;
        }
        for (std::size_t i = 0; i < segments.size(); ++i) {
            if (!is_name(entry.segments[i])) continue;
            auto value = decoded(segments[i], false);
            if (!value) throw DatabaseError{"22021", "the path is not UTF-8, percent-encoded", "", ""};
            match.from_path.emplace(entry.segments[i].substr(1, entry.segments[i].size() - 2), std::move(value));
        }
        match.route = entry.route;
        break;
    }
    return match;
}

Parameters parameters_of(const Route& route, Named from_path, const Request& request) {
    Named named = std::move(from_path);
    add_query_string(request.query, named);
    if (request.method == Method::post) add_json_object(request.body.empty() ? "{}" : request.body, named);
    Parameters parameters;
    for (const std::string_view name : route.parameters) {
        const auto found = named.find(name);
        parameters.push_back(found == named.end() ? std::nullopt : std::move(found->second));
        if (found != named.end()) named.erase(found);
    }
    if (!named.empty()) throw DatabaseError{"22023", "there is no parameter \"" + named.begin()->first + "\" here", "", ""};
    return parameters;
}

}  // namespace sync_job::serve
