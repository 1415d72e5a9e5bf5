#include "serve/parameters.hpp"

#include <nlohmann/json.hpp>

#include "serve/database.hpp"

namespace sync_job::serve {

namespace {

void add(Named& parameters, std::string name, std::optional<std::string> value) {
    if (value && value->find('\0') != std::string::npos) {
        throw DatabaseError{"22021", "\"" + name + "\" has a zero byte", "", ""};
    }
    if (!parameters.emplace(name, std::move(value)).second) throw DatabaseError{"22023", "\"" + name + "\" is given twice", "", ""};
}

// Walks over an object that is known to be valid JSON.
class ObjectReader {
public:
    explicit ObjectReader(std::string_view text) : text_(text) {}

    void read(Named& parameters) {
        skip('{');
        while (next() != '}') {
            std::string name = nlohmann::json::parse(value());
            skip(':');
            next();
            const std::string_view raw = value();
            if (raw == "null") {
                add(parameters, std::move(name), std::nullopt);
            } else {
                add(parameters, std::move(name), raw[0] == '"' ? nlohmann::json::parse(raw).get<std::string>() : std::string(raw));
            }
            if (next() == ',') ++at_;
        }
    }

private:
    char next() {
        while (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r') ++at_;
        return text_[at_];
    }
    void skip(char expected) {
        if (next() == expected) ++at_;
    }

    void skip_string() {
        for (++at_; text_[at_] != '"'; ++at_) {
            if (text_[at_] == '\\') ++at_;
        }
        ++at_;
    }

    std::string_view value() {
        const std::size_t start = at_;
        int depth = 0;
        do {
            const char c = text_[at_];
            if (c == '"') {
                skip_string();
                continue;
            }
            if (c == '{' || c == '[') ++depth;
            if (c == '}' || c == ']') --depth;
            ++at_;
        } while (depth > 0 || (text_[start] != '"' && text_[start] != '{' && text_[start] != '[' && !ends_scalar(text_[at_])));
        return text_.substr(start, at_ - start);
    }

    static bool ends_scalar(char c) {
        return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\t' || c == '\n' || c == '\r';
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

void add_query_string(std::string_view query, Named& parameters) {
    while (!query.empty()) {
        const std::string_view pair = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), pair.size() + 1));
        if (pair.empty()) continue;
        const std::size_t equals = std::min(pair.find('='), pair.size());
        auto name = decoded(pair.substr(0, equals), true);
        auto value = decoded(equals < pair.size() ? pair.substr(equals + 1) : "", true);
        if (!name || !value) throw DatabaseError{"22021", "the query string is not UTF-8, percent-encoded", "", ""};
        add(parameters, std::move(*name), std::move(value));
    }
}

void add_json_object(std::string_view body, Named& parameters) {
    const std::size_t start = body.find_first_not_of(" \t\r\n");
    if (start == std::string_view::npos || body[start] != '{' || !nlohmann::json::accept(body)) {
        throw DatabaseError{"22P02", "the body is not a JSON object", "", ""};
    }
    ObjectReader(body).read(parameters);
}

std::string required(const Named& parameters, std::string_view name) {
    const auto found = parameters.find(name);
    if (found == parameters.end() || !found->second || found->second->empty()) {
        throw DatabaseError{"22023", "\"" + std::string(name) + "\" is missing", "", ""};
    }
    return *found->second;
}

}  // namespace sync_job::serve
