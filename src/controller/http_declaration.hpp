// The contents of sync_job_type.http: where a document is sent, what the request consists of, and what is used of the answer. Only the form
// is checked here. Whether columns, servers and secrets exist is checked by those who use it (http_push.hpp, http_endpoint.hpp).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pg/json.hpp"

namespace sync_job {

// A value like those of field_map: a source column, a constant, or an SQL expression. In a path also a literal text.
struct HttpValue {
    enum class From { text, constant, column, expression };
    From from = From::text;
    std::string text;     // a literal text; a constant as text; the name of a column; SQL
    std::string constant;  // as JSON text: a Datum would not live as long as this object
    std::string place;    // where it stands, such as http.path; for errors
    bool computed() const { return from == From::column || from == From::expression; }
};

struct HttpHeader {
    enum class Kind { value, secret, hmac };
    std::string name;
    Kind kind = Kind::value;
    HttpValue value;
    std::string secret;  // its name in the user mapping
    std::string prefix;  // precedes the secret or the HMAC
    std::string digest = "sha256", encoding = "hex";
};

// A request, or the parts of it that differ for a deletion.
struct HttpTemplate {
    std::string method;
    std::vector<HttpValue> path;
    std::vector<std::pair<std::string, HttpValue>> query;
    std::vector<HttpHeader> headers;
    std::optional<HttpValue> whole_body;
    std::optional<std::vector<std::pair<std::string, HttpValue>>> fields;  // fields of the body
    bool has_body() const { return whole_body || fields; }
};

// A part of an answer: a place in its body, one of its headers, or its status.
struct HttpAnswerPart {
    enum class From { body, header, status };
    std::string column;
    From from = From::body;
    std::vector<std::string> pointer;
    std::string header;
};

struct HttpAnswerRule {
    std::vector<HttpAnswerPart> source, target;
    std::vector<std::pair<std::string, std::string>> match;  // a target column, and the source column it must equal
    bool any() const { return !source.empty() || !target.empty(); }
};

struct HttpBatch {
    int size = 0;
    std::string in;                       // the field of the body that has the list; empty: the body is the list
    std::vector<std::string> answers;     // where the list is in the body of the answer
    std::vector<std::string> answer_key;  // within an element, its key; empty: elements are matched by position
    std::string key;                      // the source column that the key equals
    std::vector<std::string> status;      // within an element, its status; empty: all elements succeeded
    std::vector<std::string> ok;          // the statuses that mean success, as texts
    std::vector<std::string> error;       // within an element, the error message
};

struct HttpDeclaration {
    std::string server;
    HttpTemplate send;
    std::optional<HttpTemplate> remove;         // for a document that is gone; none: nothing is sent
    std::vector<std::pair<int, int>> success;   // ranges of statuses, inclusive; empty: 200 to 299
    HttpAnswerRule answer;
    std::optional<HttpBatch> batch;
    std::string key_header = "Idempotency-Key";  // empty: none is sent
    bool succeeds(int status, bool deletes) const;
};

// Raises what is wrong with it, with the key, such as http.path.
HttpDeclaration read_http_declaration(const std::string& json);

// The value at this place in the document; nothing: there is none.
std::optional<pg::JsonField> at_pointer(const pg::JsonField& document, const std::vector<std::string>& pointer);

}  // namespace sync_job
