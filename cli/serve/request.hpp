// A request and its answer, for all parts of the server. Only http.cpp uses Beast.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serve/async.hpp"

namespace sync_job::serve {

struct DatabaseError;

enum class Method { get, head, post, other };

struct Request {
    Method method = Method::other;
    std::string path, query;  // of the target, still encoded
    std::string body;
    std::string peer;  // the address at the other end
    std::vector<std::pair<std::string, std::string>> headers;  // names in lower case

    // The header of this name (in lower case), if there is exactly one.
    std::optional<std::string_view> header(std::string_view name) const;
    std::size_t count(std::string_view name) const;
};

// A body that is sent a piece at a time.
class Stream {
public:
    virtual ~Stream() = default;
    virtual Async<std::optional<std::string>> next() = 0;  // none: the end
};

struct Response {
    int status = 200;
    std::string content_type = "application/json";
    std::string body;
    std::string_view fixed_body;  // part of the program, instead of body
    std::vector<std::pair<std::string, std::string>> headers;
    std::shared_ptr<Stream> stream;  // instead of a body
    bool close = false;
};

// An error in PostgreSQL's form; the HTTP status follows from its code unless one is given.
Response error_response(const DatabaseError& error, int status = 0);
Response error_response(int status, std::string code, std::string message, std::string hint = "");

// %41 → A, and in a query string + → a space. None if the result is not UTF-8 without a zero byte.
std::optional<std::string> decoded(std::string_view text, bool plus_is_space);

// Compares in constant time, for secrets.
bool same_text(std::string_view a, std::string_view b);

// The text as a JSON string, with its quotes. What is not UTF-8 is replaced.
std::string json_string(std::string_view text);

}  // namespace sync_job::serve
