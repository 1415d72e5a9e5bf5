#include "controller/http_declaration.hpp"

#include <algorithm>
#include <charconv>

#include "core/http_text.hpp"
#include "core/text.hpp"
#include "pg/error.hpp"
#include "pg/spi.hpp"
#include "pg/value.hpp"

namespace sync_job {

namespace {

using Fields = std::vector<pg::JsonField>;

constexpr const char* forms_of_value = "Write \"column\", {\"column\": \"...\"}, {\"value\": ...} or {\"expr\": \"...\"}.";

pg::Error wrong(const std::string& place, const std::string& what) {
    return pg::Error("22023", place + " " + what).column(place);
}

pg::Error wrong(const std::string& place, const std::string& what, const pg::JsonField& given) {
    return wrong(place, what).detail("It is: " + pg::clipped(given.kind == pg::JsonKind::null ? "null" : given.text, 60) + ".");
}

Fields members(const pg::JsonField& field, const std::string& place) {
    if (field.kind != pg::JsonKind::object) throw wrong(place, "must be a JSON object", field);
    return pg::json_fields(field.value);
}

std::string required_text(const pg::JsonField& field, const std::string& place) {
    if (field.kind != pg::JsonKind::string || field.text.empty()) throw wrong(place, "must be a text", field);
    return field.text;
}

int whole_number(const pg::JsonField& field, const std::string& place, int least, int most) {
    int number = 0;
    const char* end = field.text.data() + field.text.size();
    auto [read_to, error] = std::from_chars(field.text.data(), end, number);
    if (field.kind == pg::JsonKind::number && error == std::errc() && read_to == end && number >= least && number <= most) return number;
    throw wrong(place, "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most), field);
}

[[noreturn]] void unknown_key(const std::string& place, const pg::JsonField& field, const char* known) {
    throw pg::Error("22023", place + " has an unknown key: " + quoted(field.key)).hint(std::string("It may have ") + known + ".").column(place + "." + field.key);
}

// --- Values ---

HttpValue read_value(const pg::JsonField& field, const std::string& place) {
    HttpValue value;
    value.place = place;
    if (field.kind == pg::JsonKind::string) {
        value.from = HttpValue::From::column;
        value.text = field.text;
        return value;
    }
    Fields parts;
    if (field.kind == pg::JsonKind::object) parts = pg::json_fields(field.value);
    const pg::JsonField* part = parts.size() == 1 ? &parts[0] : nullptr;
    bool is_text = part != nullptr && part->kind == pg::JsonKind::string;
    if (part != nullptr && part->key == "value") {
        value.from = HttpValue::From::constant;
        value.text = part->text;
        value.constant = pg::json_to_text(part->value);
    } else if (is_text && part->key == "column") {
        value.from = HttpValue::From::column;
        value.text = part->text;
    } else if (is_text && part->key == "expr") {
        value.from = HttpValue::From::expression;
        value.text = part->text;
        try {
            pg::check_expression(value.text);
        } catch (const pg::Error& error) {
            throw pg::Error(error.sqlstate(), place + ": " + error.report().message).detail(error.report().detail)
                .hint("It is one SQL expression over source and context, as in upper(source.name).").column(place);
        }
    } else {
        throw wrong(place, "is neither a source column, a constant nor an expression", field).hint(forms_of_value);
    }
    return value;
}

std::vector<std::pair<std::string, HttpValue>> read_values(const pg::JsonField& field, const std::string& place) {
    std::vector<std::pair<std::string, HttpValue>> values;
    for (const pg::JsonField& one : members(field, place)) values.emplace_back(one.key, read_value(one, place + "." + one.key));
    return values;
}

// Such as "/products/{sku}": a text with source columns in braces.
void add_path_text(std::vector<HttpValue>& path, const std::string& text, const std::string& place) {
    auto add_literal = [&](const std::string& literal) {
        if (literal.empty()) return;
        if (!is_path_text(literal)) {
            throw wrong(place, "has a character that must not stand in a path").detail("It is: " + pg::clipped(literal, 60) + ".")
                .hint("A query is written under query; other characters as %XX.");
        }
        HttpValue value;
        value.text = literal;
        value.place = place;
        path.push_back(value);
    };
    std::size_t from = 0;
    while (from < text.size()) {
        std::size_t open = text.find('{', from);
        add_literal(text.substr(from, open == std::string::npos ? open : open - from));
        if (open == std::string::npos) return;
        std::size_t close = text.find('}', open);
        if (close == std::string::npos || close == open + 1) throw wrong(place, "has a brace without a column").hint("Write /products/{column}.");
        HttpValue value;
        value.from = HttpValue::From::column;
        value.text = text.substr(open + 1, close - open - 1);
        value.place = place;
        path.push_back(value);
        from = close + 1;
    }
}

std::vector<HttpValue> read_path(const pg::JsonField& field, const std::string& place) {
    std::vector<HttpValue> path;
    if (field.kind == pg::JsonKind::array) {
        for (const pg::JsonField& part : pg::json_elements(field.value)) {
            if (part.kind == pg::JsonKind::string) {
                add_path_text(path, part.text, place);
            } else {
                path.push_back(read_value(part, place));
            }
        }
    } else {
        add_path_text(path, required_text(field, place), place);
    }
    if (path.empty() || path[0].from != HttpValue::From::text || path[0].text[0] != '/') throw wrong(place, "must begin with a slash");
    return path;
}

// --- Headers ---

HttpHeader read_header(const pg::JsonField& field, const std::string& place) {
    HttpHeader header;
    header.name = field.key;
    if (!is_header_name(field.key)) throw wrong(place, "is no name of a header");
    if (is_reserved_header(field.key)) throw wrong(place, "cannot be set").detail("The header says where a message goes, or where it ends.");
    Fields parts;
    if (field.kind == pg::JsonKind::object) parts = pg::json_fields(field.value);
    bool own = std::any_of(parts.begin(), parts.end(), [](const auto& part) { return part.key == "secret" || part.key == "hmac"; });
    if (!own) {
        header.value = read_value(field, place);
        return header;
    }
    for (const pg::JsonField& part : parts) {
        std::string at = place + "." + part.key;
        if (part.key == "secret" || part.key == "hmac") {
            header.kind = part.key == "secret" ? HttpHeader::Kind::secret : HttpHeader::Kind::hmac;
            header.secret = required_text(part, at);
        } else if (part.key == "prefix") {
            header.prefix = part.kind == pg::JsonKind::string ? part.text : required_text(part, at);
        } else if (part.key == "over") {
            if (required_text(part, at) != "body") throw wrong(at, "must be body", part);
        } else if (part.key == "digest") {
            header.digest = lower(required_text(part, at));
            if (header.digest != "sha256" && header.digest != "sha1" && header.digest != "sha384" && header.digest != "sha512") {
                throw wrong(at, "must be sha256, sha1, sha384 or sha512", part);
            }
        } else if (part.key == "encoding") {
            header.encoding = lower(required_text(part, at));
            if (header.encoding != "hex" && header.encoding != "base64") throw wrong(at, "must be hex or base64", part);
        } else {
            unknown_key(place, part, "secret or hmac, prefix, over, digest and encoding");
        }
    }
    if (!header.prefix.empty() && !is_header_value(header.prefix + ".")) throw wrong(place + ".prefix", "has a control character");
    return header;
}

std::vector<HttpHeader> read_headers(const pg::JsonField& field, const std::string& place) {
    std::vector<HttpHeader> headers;
    for (const pg::JsonField& one : members(field, place)) headers.push_back(read_header(one, place + "." + one.key));
    return headers;
}

// --- The parts of a request ---

std::string read_method(const pg::JsonField& field, const std::string& place) {
    std::string method = required_text(field, place);
    for (char& c : method) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    for (const char* known : {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}) {
        if (method == known) return method;
    }
    throw wrong(place, "must be GET, HEAD, POST, PUT, PATCH or DELETE", field);
}

void read_body(HttpTemplate& request, const pg::JsonField& field, const std::string& place) {
    request.whole_body.reset();
    request.fields.reset();
    if (field.kind == pg::JsonKind::null) return;
    Fields parts = members(field, place);
    if (parts.size() == 1 && parts[0].key == "expr" && parts[0].kind == pg::JsonKind::string) {
        request.whole_body = read_value(field, place);
    } else {
        request.fields = read_values(field, place);
    }
}

bool read_part(HttpTemplate& request, const pg::JsonField& field, const std::string& place) {
    if (field.key == "method") {
        request.method = read_method(field, place);
    } else if (field.key == "path") {
        request.path = read_path(field, place);
    } else if (field.key == "query") {
        request.query = read_values(field, place);
    } else if (field.key == "headers") {
        request.headers = read_headers(field, place);
    } else if (field.key == "body") {
        read_body(request, field, place);
    } else {
        return false;
    }
    return true;
}

// Whatever is not declared for a removal is as for other documents, except for the body.
HttpTemplate read_removal(const HttpTemplate& send, const pg::JsonField& field) {
    HttpTemplate remove = send;
    remove.method = "DELETE";
    remove.whole_body.reset();
    remove.fields.reset();
    for (const pg::JsonField& part : members(field, "http.delete")) {
        if (!read_part(remove, part, "http.delete." + part.key)) unknown_key("http.delete", part, "method, path, query, headers and body");
    }
    return remove;
}

// --- Answers ---

std::vector<std::string> read_pointer(const pg::JsonField& field, const std::string& place) {
    std::vector<std::string> pointer;
    if (field.kind != pg::JsonKind::string || (!field.text.empty() && field.text[0] != '/')) {
        throw wrong(place, "must be a place in the answer, as in /data/id", field);
    }
    for (std::size_t from = 1; from <= field.text.size() && !field.text.empty();) {
        std::size_t to = std::min(field.text.find('/', from), field.text.size());
        std::string step;
        for (std::size_t i = from; i < to; i++) {
            bool escaped = field.text[i] == '~' && i + 1 < to && (field.text[i + 1] == '0' || field.text[i + 1] == '1');
            step += escaped ? (field.text[i + 1] == '0' ? '~' : '/') : field.text[i];
            if (escaped) i++;
        }
        pointer.push_back(step);
        from = to + 1;
    }
    return pointer;
}

std::vector<HttpAnswerPart> read_answer_parts(const pg::JsonField& field, const std::string& place) {
    std::vector<HttpAnswerPart> parts;
    for (const pg::JsonField& one : members(field, place)) {
        HttpAnswerPart part;
        std::string at = place + "." + one.key;
        part.column = one.key;
        Fields forms;
        if (one.kind == pg::JsonKind::object) forms = pg::json_fields(one.value);
        if (forms.size() == 1 && forms[0].key == "header") {
            part.from = HttpAnswerPart::From::header;
            part.header = lower(required_text(forms[0], at));
        } else if (forms.size() == 1 && forms[0].key == "status") {
            part.from = HttpAnswerPart::From::status;
        } else {
            part.pointer = read_pointer(one, at);
        }
        parts.push_back(part);
    }
    return parts;
}

HttpAnswerRule read_answer(const pg::JsonField& field) {
    HttpAnswerRule rule;
    for (const pg::JsonField& part : members(field, "http.answer")) {
        std::string at = "http.answer." + part.key;
        if (part.key == "source") {
            rule.source = read_answer_parts(part, at);
        } else if (part.key == "target") {
            rule.target = read_answer_parts(part, at);
        } else if (part.key == "match") {
            for (const pg::JsonField& one : members(part, at)) rule.match.emplace_back(one.key, required_text(one, at + "." + one.key));
        } else {
            unknown_key("http.answer", part, "source, target and match");
        }
    }
    if (rule.target.empty() != rule.match.empty()) {
        throw wrong("http.answer", "needs both target and match, or neither").hint("match says which target belongs to a source: {\"target column\": \"source column\"}.");
    }
    return rule;
}

std::vector<std::pair<int, int>> read_success(const pg::JsonField& field) {
    std::vector<std::pair<int, int>> statuses;
    if (field.kind != pg::JsonKind::array) throw wrong("http.success", "must be a list of statuses, as in [200, 201]", field);
    for (const pg::JsonField& one : pg::json_elements(field.value)) {
        int status = whole_number(one, "http.success", 100, 599);
        statuses.emplace_back(status, status);
    }
    if (statuses.empty()) throw wrong("http.success", "must name at least one status");
    return statuses;
}

std::vector<std::string> read_ok(const pg::JsonField& field) {
    std::vector<std::string> values;
    if (field.kind != pg::JsonKind::array) throw wrong("http.batch.ok", "must be a list of values", field);
    for (const pg::JsonField& one : pg::json_elements(field.value)) values.push_back(one.text);
    return values;
}

HttpBatch read_batch(const pg::JsonField& field) {
    HttpBatch batch;
    batch.ok = {"200", "201", "202", "204", "true", "ok", "OK", "success"};
    for (const pg::JsonField& part : members(field, "http.batch")) {
        std::string at = "http.batch." + part.key;
        if (part.key == "size") {
            constexpr int most = 1000;
            batch.size = whole_number(part, at, 1, most);
        } else if (part.key == "in") {
            batch.in = required_text(part, at);
        } else if (part.key == "answers") {
            batch.answers = read_pointer(part, at);
        } else if (part.key == "key") {
            for (const pg::JsonField& one : members(part, at)) {
                if (one.key == "answer") {
                    batch.answer_key = read_pointer(one, at + ".answer");
                } else if (one.key == "source") {
                    batch.key = required_text(one, at + ".source");
                } else {
                    unknown_key(at, one, "answer and source");
                }
            }
            if (batch.key.empty() || batch.answer_key.empty()) throw wrong(at, "needs answer and source");
        } else if (part.key == "status") {
            batch.status = read_pointer(part, at);
        } else if (part.key == "ok") {
            batch.ok = read_ok(part);
        } else if (part.key == "error") {
            batch.error = read_pointer(part, at);
        } else {
            unknown_key("http.batch", part, "size, in, answers, key, status, ok and error");
        }
    }
    if (batch.size == 0) throw wrong("http.batch", "needs size");
    return batch;
}

// In a batch, only the body is about a single document.
void require_no_source(const HttpDeclaration& http) {
    auto refuse = [](const HttpValue& value) {
        if (!value.computed()) return;
        throw wrong(value.place, "reads a document, but a batch has many").hint("With batch, only body is computed for each document.");
    };
    for (const HttpValue& value : http.send.path) refuse(value);
    for (const auto& [name, value] : http.send.query) refuse(value);
    for (const HttpHeader& header : http.send.headers) {
        if (header.kind == HttpHeader::Kind::value) refuse(header.value);
    }
    if (!http.send.has_body()) throw wrong("http.batch", "needs body, which says what is sent of each document");
}

}  // namespace

bool HttpDeclaration::succeeds(int status, bool deletes) const {
    if (success.empty()) return (status >= 200 && status <= 299) || (deletes && (status == 404 || status == 410));
    return std::any_of(success.begin(), success.end(), [&](const auto& range) { return status >= range.first && status <= range.second; });
}

HttpDeclaration read_http_declaration(const std::string& json) {
    HttpDeclaration http;
    std::optional<pg::JsonField> remove;
    for (const pg::JsonField& field : pg::json_fields(pg::json_from_text(json))) {
        std::string place = "http." + field.key;
        if (read_part(http.send, field, place)) continue;
        if (field.key == "server") {
            http.server = required_text(field, place);
        } else if (field.key == "delete") {
            remove = field;
        } else if (field.key == "success") {
            http.success = read_success(field);
        } else if (field.key == "answer") {
            http.answer = read_answer(field);
        } else if (field.key == "batch") {
            http.batch = read_batch(field);
        } else if (field.key == "key") {
            http.key_header = field.kind == pg::JsonKind::boolean && field.text == "false" ? "" : required_text(field, place);
            if (!http.key_header.empty() && (!is_header_name(http.key_header) || is_reserved_header(http.key_header))) throw wrong(place, "is no header that can be set");
        } else {
            unknown_key("http", field, "server, method, path, query, headers, body, delete, success, answer, batch and key");
        }
    }
    if (http.server.empty()) throw wrong("http", "needs server, the name of a foreign server of the wrapper sync_job_http");
    if (http.send.path.empty()) throw wrong("http", "needs path");
    if (http.send.method.empty()) http.send.method = "POST";
    if (remove) http.remove = read_removal(http.send, *remove);
    if (http.batch) require_no_source(http);
    return http;
}

std::optional<pg::JsonField> at_pointer(const pg::JsonField& document, const std::vector<std::string>& pointer) {
    pg::JsonField at = document;
    for (const std::string& step : pointer) {
        bool is_list = at.kind == pg::JsonKind::array;
        if (!is_list && at.kind != pg::JsonKind::object) return std::nullopt;
        Fields parts = is_list ? pg::json_elements(at.value) : pg::json_fields(at.value);
        std::size_t found = parts.size();
        if (is_list) {
            const char* end = step.data() + step.size();
            auto [read_to, error] = std::from_chars(step.data(), end, found);
            if (error != std::errc() || read_to != end) return std::nullopt;
        } else {
            found = static_cast<std::size_t>(std::find_if(parts.begin(), parts.end(), [&](const auto& part) { return part.key == step; }) - parts.begin());
        }
        if (found >= parts.size()) return std::nullopt;
        at = parts[found];
    }
    return at;
}

}  // namespace sync_job
