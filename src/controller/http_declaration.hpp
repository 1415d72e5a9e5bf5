// What sync_job_type.http says: where a document is sent, what the request is made of, and what of its answer counts. Read and
// checked for its form; whether columns, servers and secrets are there is for who uses it (http_controller.hpp, http_endpoint.hpp).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pg/json.hpp"

namespace sync_job {

// A value in the manner of field_map: a column of the source, a constant, or an SQL expression. In a path also a text as it is.
struct HttpValue {
    enum class From { text, constant, column, expression };
    From from = From::text;
    std::string text;     // a text; a constant as text; the name of a column; SQL
    std::string constant;  // as JSON: a Datum would not last as long as this does
    std::string place;    // as in http.path, for errors
    bool computed() const { return from == From::column || from == From::expression; }
};

struct HttpHeader {
    enum class Kind { value, secret, hmac };
    std::string name;
    Kind kind = Kind::value;
    HttpValue value;
    std::string secret;  // its name in the user mapping
    std::string prefix;  // before the secret or the HMAC
    std::string digest = "sha256", encoding = "hex";
};

// A request, or what of it is different for a deletion.
struct HttpTemplate {
    std::string method;
    std::vector<HttpValue> path;
    std::vector<std::pair<std::string, HttpValue>> query;
    std::vector<HttpHeader> headers;
    std::optional<HttpValue> whole_body;
    std::optional<std::vector<std::pair<std::string, HttpValue>>> fields;  // of the body
    bool has_body() const { return whole_body || fields; }
};

// Of an answer: a place in its body, one of its headers, or its status.
struct HttpAnswerPart {
    enum class From { body, header, status };
    std::string column;
    From from = From::body;
    std::vector<std::string> pointer;
    std::string header;
};

struct HttpAnswerRule {
    std::vector<HttpAnswerPart> source, target;
    std::vector<std::pair<std::string, std::string>> match;  // of the target: its column, and that of the source
    bool any() const { return !source.empty() || !target.empty(); }
};

struct HttpBatch {
    int size = 0;
    std::string in;                       // the field of the body that has the list; empty: the body is the list
    std::vector<std::string> answers;     // where the list is in the answer
    std::vector<std::string> answer_key;  // within an element; empty: by position
    std::string key;                      // the source column that it is equal to
    std::vector<std::string> status;      // within an element; empty: all are well
    std::vector<std::string> ok;          // the values that mean so, as texts
    std::vector<std::string> error;       // within an element: why not
};

struct HttpDeclaration {
    std::string server;
    HttpTemplate send;
    std::optional<HttpTemplate> remove;         // of a document that is gone; none: nothing is sent
    std::vector<std::pair<int, int>> success;   // statuses, from and to; empty: 200 to 299
    HttpAnswerRule answer;
    std::optional<HttpBatch> batch;
    std::string key_header = "Idempotency-Key";  // empty: none is sent
    bool succeeds(int status, bool deletes) const;
};

// Raises what is wrong with it, naming the key as in http.path.
HttpDeclaration read_http_declaration(const std::string& json);

// The value at the place in the document; none: there is none.
std::optional<pg::JsonField> at_pointer(const pg::JsonField& document, const std::vector<std::string>& pointer);

}  // namespace sync_job
