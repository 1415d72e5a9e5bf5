#include "controller/http_push.hpp"

#include <algorithm>

#include "controller/http_endpoint.hpp"
#include "controller/kinds.hpp"
#include "controller/source_condition.hpp"
#include "core/http_text.hpp"
#include "core/text.hpp"
#include "pg/error.hpp"
#include "pg/role.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

// A value in the form that it has in a path, a query or a header.
std::string plain_text(Datum datum, Oid type) {
    if (type == pg::type::boolean) return pg::datum_bool(datum) ? "true" : "false";
    pg::CanonicalOutput canonical;
    std::string text = pg::value_to_text(datum, type);
    bool quoted_json = type == pg::type::jsonb && pg::json_kind(datum) == pg::JsonKind::string;
    if (!quoted_json) return text;
    pg::JsonBuilder list;
    list.begin_array();
    list.value(datum, false, type, false);
    list.end_array();
    return pg::json_elements(list.finish())[0].text;
}

pg::Error in_place(const std::string& place, const pg::Error& error) {
    const pg::ErrorReport& report = error.report();
    return pg::Error(error.sqlstate(), place + ": " + report.message).detail(report.detail).hint(report.hint).column(place);
}

}  // namespace

// The values that the statement computed for one document.
class HttpPush::Row {
public:
    Row(const Bound& bound, const pg::Rows* rows, std::uint64_t row, int first) : bound_(bound), rows_(rows), row_(row), first_(first) {}

    // Nothing: the value is null.
    std::optional<std::string> text(const HttpValue& value) const {
        if (!value.computed()) return value.text;
        pg::Value computed = at(value);
        if (computed.null) return std::nullopt;
        return plain_text(computed.datum, type(value));
    }
    void add_json(pg::JsonBuilder& json, const HttpValue& value) const {
        pg::Value part = value.computed() ? at(value) : pg::Value{pg::json_from_text(value.constant), false};
        if (part.null) return json.null();
        json.value(part.datum, false, value.computed() ? type(value) : pg::type::jsonb, false);
    }
    pg::Value at(const HttpValue& value) const { return rows_->at(row_, column(value)); }
    Oid type(const HttpValue& value) const { return rows_->column_type(column(value)); }

private:
    int column(const HttpValue& value) const {
        auto found = std::find(bound_.values.begin(), bound_.values.end(), &value);
        return first_ + static_cast<int>(found - bound_.values.begin());
    }
    const Bound& bound_;
    const pg::Rows* rows_;
    std::uint64_t row_;
    int first_;
};

// --- Statements ---

HttpPush::HttpPush(const JobType& type) : http_(read_http_declaration(type.http)), condition_(condition_sql(type)) {
    if (type.source != pg::no_oid) source_ = DocumentType::find(type.source, type.source_key);
    if (type.target != pg::no_oid) target_ = DocumentType::find(type.target, type.target_key);
    if (http_.batch && source_ == nullptr) throw pg::Error("22023", "http.batch needs source_document_type").column("http.batch");
    if (http_.batch && !source_->supports_many()) {
        throw pg::Error("0A000", "http.batch: the key of document type " + quoted(source_->label()) + " has an array or a composite type").column("http.batch");
    }
    if (http_.batch) {
        key_.from = HttpValue::From::column;
        key_.text = http_.batch->key;
        key_.place = "http.batch.key.source";
        bind(many_, http_.send, true);
    } else {
        bind(send_, http_.send, false);
    }
    if (http_.remove) bind(remove_, *http_.remove, false);
    check_answer();
}

std::string HttpPush::sql_of(const HttpValue& value) const {
    if (value.from == HttpValue::From::expression) return "(" + value.text + "\n)";
    if (source_ == nullptr || source_->relation().column(value.text) == nullptr) {
        throw pg::Error("42703", value.place + " names source column " + quoted(value.text) +
                                     (source_ == nullptr ? ", but the type has no source"
                                                         : ", which document type " + quoted(source_->label()) + " does not have"))
            .hint("A constant is written as {\"value\": ...}, an expression as {\"expr\": \"...\"}.")
            .column(value.place);
    }
    return "source." + pg::quoted_identifier(value.text);
}

void HttpPush::add_values(Bound& bound, bool many) const {
    auto add = [&](const HttpValue& value) {
        if (value.computed()) bound.values.push_back(&value);
    };
    for (const HttpValue& value : bound.request->path) add(value);
    for (const auto& [name, value] : bound.request->query) add(value);
    for (const HttpHeader& header : bound.request->headers) {
        if (header.kind == HttpHeader::Kind::value) add(header.value);
    }
    if (bound.request->whole_body) add(*bound.request->whole_body);
    if (bound.request->fields) {
        for (const auto& [name, value] : *bound.request->fields) add(value);
    }
    if (many && !http_.batch->key.empty()) add(key_);
}

// Computed in a subquery of its own for each row, like the values of a field_map.
std::string HttpPush::values_sql(const Bound& bound, int first_parameter) const {
    std::string sql = "SELECT true AS sync_job_is_there";
    int number = 0;
    for (const HttpValue* value : bound.values) sql += ", " + sql_of(*value) + " AS sync_job_" + std::to_string(++number);
    auto parameter = [&](int offset) { return "$" + std::to_string(first_parameter + offset); };
    return sql + " FROM (SELECT " + parameter(0) + ", " + parameter(1) + ", " + parameter(2) + ") AS job (context, operation, sync_job_id)";
}

std::vector<Oid> HttpPush::job_types(bool with_source) const {
    std::vector<Oid> types = {pg::type::jsonb, pg::type::text, pg::type::int8};
    if (with_source && source_ != nullptr) types.push_back(source_->relation().row_type);
    return types;
}

void HttpPush::bind(Bound& bound, const HttpTemplate& request, bool many) {
    bound.request = &request;
    add_values(bound, many);
    if (many) {
        std::vector<Oid> types = source_->key_array_types();
        int first = static_cast<int>(types.size()) + 1;
        for (Oid type : job_types(false)) types.push_back(type);
        std::string row = " CROSS JOIN LATERAL pg_catalog.unnest(ARRAY[" + source_->relation().alias + "]) AS source";
        bound.statement = std::make_unique<pg::Statement>(
            "SELECT j.sync_job_n, v.*" + source_->from_key_arrays() + row + " CROSS JOIN LATERAL (" + values_sql(bound, first) + ") AS v" +
                (condition_.empty() ? "" : " WHERE " + condition_) + " ORDER BY j.sync_job_n",
            types, pg::Statement::Access::by_index);
    } else {
        std::string from = source_ == nullptr ? "(SELECT 1) AS sync_job_one" : "pg_catalog.unnest(ARRAY[$4]) AS source";
        bound.statement = std::make_unique<pg::Statement>("SELECT v.* FROM " + from + " CROSS JOIN LATERAL (" + values_sql(bound, 1) + ") AS v", job_types(true));
    }
    try {
        bound.statement->check();
    } catch (const pg::Error&) {
        raise_of_value(bound);
        throw;
    }
}

// The statement for all values raises an error: finds the value that causes it.
void HttpPush::raise_of_value(const Bound& bound) const {
    for (const HttpValue* value : bound.values) {
        Bound alone;
        alone.request = bound.request;
        alone.values = {value};
        std::string from = source_ == nullptr ? "(SELECT 1) AS sync_job_one" : "pg_catalog.unnest(ARRAY[$4]) AS source";
        try {
            pg::Statement("SELECT v.* FROM " + from + " CROSS JOIN LATERAL (" + values_sql(alone, 1) + ") AS v", job_types(true)).check();
        } catch (const pg::Error& error) {
            throw in_place(value->place, error);
        }
    }
}

void HttpPush::require_endpoint(Oid role) const {
    HttpEndpoint endpoint = find_endpoint(http_.server, role);
    HttpSecrets secrets = secrets_of(endpoint, role);
    for (const HttpTemplate* request : {&http_.send, http_.remove ? &*http_.remove : nullptr}) {
        if (request == nullptr) continue;
        for (const HttpHeader& header : request->headers) {
            if (header.kind == HttpHeader::Kind::value || secrets.contains(header.secret)) continue;
            throw pg::Error("42704", "server " + quoted(http_.server) + " has no secret " + quoted(header.secret) + " for role " + quoted(pg::role_name(role)))
                .hint("CREATE USER MAPPING FOR ... SERVER ... OPTIONS (" + pg::quoted_identifier(header.secret) + " '...').")
                .column("http.headers." + header.name);
        }
    }
}

// --- Requests ---

std::string HttpPush::target_of(const HttpTemplate& request, const Row& row) const {
    std::string target;
    for (const HttpValue& value : request.path) {
        if (value.from == HttpValue::From::text) {
            target += value.text;
            continue;
        }
        std::string text = row.text(value).value_or("");
        // It would be the address of another document, or of all documents.
        if (text.empty() || text == "." || text == "..") {
            throw pg::Error("22023", value.place + " has a part that is " + (text.empty() ? "empty" : quoted(text)))
                .detail("The request would go to another place of the server than the one for the document.");
        }
        target += percent_encoded(text);
    }
    char separator = '?';
    for (const auto& [name, value] : request.query) {
        auto text = row.text(value);
        if (!text) continue;
        target += separator + percent_encoded(name) + "=" + percent_encoded(*text);
        separator = '&';
    }
    return target;
}

namespace {

void add_secret_header(pg::JsonBuilder& json, const HttpHeader& header) {
    bool is_hmac = header.kind == HttpHeader::Kind::hmac;
    json.key(header.name);
    json.begin_object();
    json.field(is_hmac ? "hmac" : "secret", header.secret);
    if (!header.prefix.empty()) json.field("prefix", header.prefix);
    if (is_hmac) {
        json.field("digest", header.digest);
        json.field("encoding", header.encoding);
    }
    json.end_object();
}

bool names_header(const HttpTemplate& request, const char* name) {
    return std::any_of(request.headers.begin(), request.headers.end(), [&](const HttpHeader& header) { return lower(header.name) == name; });
}

}  // namespace

void HttpPush::add_headers(pg::JsonBuilder& json, const HttpTemplate& request, const Row& row, const Job& job) const {
    json.key("headers");
    json.begin_object();
    for (const HttpHeader& header : request.headers) {
        if (header.kind != HttpHeader::Kind::value) {
            add_secret_header(json, header);
            continue;
        }
        auto text = row.text(header.value);
        if (!text) continue;
        if (!is_header_value(*text)) {
            throw pg::Error("22023", "http.headers." + header.name + " has a control character, or a blank at an end")
                .detail("A header ends with its line.");
        }
        json.field(header.name, *text);
    }
    if (request.has_body() && !names_header(request, "content-type")) json.field("Content-Type", "application/json");
    if (!job.is_null(C::traceparent) && !names_header(request, "traceparent")) json.field("traceparent", job.text(C::traceparent));
    json.end_object();
}

// The body for one document, as jsonb. If the body is an expression of another type, its text is sent.
Datum HttpPush::body_of(const HttpTemplate& request, const Row& row) {
    pg::JsonBuilder json;
    if (request.whole_body) {
        json.begin_array();
        row.add_json(json, *request.whole_body);
        json.end_array();
        return pg::json_elements(json.finish())[0].value;
    }
    json.begin_object();
    for (const auto& [name, value] : *request.fields) {
        json.key(name);
        row.add_json(json, value);
    }
    json.end_object();
    return json.finish();
}

namespace {

void add_list(pg::JsonBuilder& json, const char* key, const std::vector<std::string>& texts) {
    if (texts.empty()) return;
    json.key(key);
    json.begin_array();
    for (const std::string& text : texts) json.string(text);
    json.end_array();
}

}  // namespace

Datum HttpPush::request_json(const HttpTemplate& request, const Row& row, const Job& job, const Contents& contents) const {
    pg::JsonBuilder json;
    json.begin_object();
    json.field("server", http_.server);
    json.field("method", request.method);
    json.field("target", target_of(request, row));
    add_headers(json, request, row, job);
    if (contents.body != nullptr) {
        json.key("body");
        json.string(*contents.body);
    }
    json.field("operation", to_text(contents.operation));
    if (!http_.key_header.empty()) json.field("key", http_.key_header);
    add_list(json, "documents", contents.names);
    add_list(json, "keys", contents.keys);
    json.end_object();
    return json.finish();
}

namespace {

std::string text_of_list(const HttpBatch& batch, const std::vector<Datum>& bodies) {
    pg::JsonBuilder json;
    if (!batch.in.empty()) {
        json.begin_object();
        json.key(batch.in);
    }
    json.begin_array();
    for (Datum body : bodies) json.value(body, false, pg::type::jsonb, false);
    json.end_array();
    if (!batch.in.empty()) json.end_object();
    return pg::json_to_text(json.finish());
}

std::vector<pg::Value> job_values(const Job& job, Operation operation) {
    return {{job.datum(C::context), job.is_null(C::context)}, {pg::text_datum(to_text(operation)), false}, {job.datum(C::id), false}};
}

}  // namespace

Datum HttpPush::render(const Job& job, pg::Value source_row, Operation operation) {
    bool removes = operation == Operation::remove;
    if (http_.batch && !removes) return render_many(job, {std::string(job.text(C::source_document_name))}).request;
    Bound& bound = removes ? remove_ : send_;
    std::vector<pg::Value> arguments = job_values(job, operation);
    if (source_ != nullptr) arguments.push_back(source_row);
    pg::Rows rows = bound.statement->execute(arguments);
    if (rows.size() != 1) {
        throw pg::Error("21000", "the values of http give " + std::to_string(rows.size()) + " rows for one document")
            .hint("An expression must return one value; one that returns a set does not.");
    }
    Row row(bound, &rows, 0, 1);
    std::string body;
    const HttpTemplate& request = *bound.request;
    bool as_text = request.whole_body && row.type(*request.whole_body) != pg::type::jsonb && row.type(*request.whole_body) != pg::type::json &&
                   !pg::is_composite(row.type(*request.whole_body));
    if (as_text) {
        body = row.text(*request.whole_body).value_or("");
    } else if (request.has_body()) {
        body = pg::json_to_text(body_of(request, row));
    }
    return request_json(request, row, job, {operation, request.has_body() ? &body : nullptr, {}, {}});
}

HttpPush::Batch HttpPush::render_many(const Job& set, const std::vector<std::string>& names) {
    std::vector<pg::Value> arguments = source_->key_arrays(names);
    for (const pg::Value& value : job_values(set, Operation::update)) arguments.push_back(value);
    pg::Rows rows = many_.statement->execute(arguments);
    Batch batch;
    Contents contents{Operation::update, nullptr, {}, {}};
    std::vector<Datum> bodies;
    constexpr int first_value = 2;  // after the number of the name and the flag sync_job_is_there
    for (std::uint64_t i = 0; i < rows.size(); i++) {
        Row row(many_, &rows, i, first_value);
        auto number = static_cast<std::size_t>(rows.int64(i, 0) - 1);
        if (!batch.names.empty() && batch.names.back() == names[number]) {
            throw pg::Error("21000", "the values of http give several rows for one document")
                .hint("An expression must return one value; one that returns a set does not.");
        }
        batch.names.push_back(names[number]);
        if (!http_.batch->key.empty()) contents.keys.push_back(row.text(key_).value_or(""));
        bodies.push_back(body_of(http_.send, row));
    }
    if (bodies.empty()) return batch;
    std::string body = text_of_list(*http_.batch, bodies);
    contents.body = &body;
    contents.names = batch.names;
    batch.request = request_json(http_.send, Row(many_, &rows, 0, first_value), set, contents);
    return batch;
}

// --- The controller that the engine asks ---

namespace {

class PushController : public Controller {
public:
    explicit PushController(const JobType& type) : push_(type), keeps_(type.on_delete == JobType::OnDelete::keep) {}

    HttpPush* push() override { return &push_; }
    bool bypass() const override { return true; }
    bool has(Hook) const override { return false; }
    HookResult result_of(Hook) const override { return HookResult::nothing; }
    std::vector<Target> targets_from_json(Datum, const Job&) const override { return {}; }
    std::vector<Target> targets(const Job&, const Documents&) override { return {}; }
    pg::RowValues update(const Job&, const Documents&, const pg::RowValues&, ColumnSet*) override { return {}; }
    pg::Value call_hook(Hook, const Job&, const Documents&, pg::Value) override { return {}; }

    // Makes the request, which is the result; sends nothing.
    BypassResult execute(const Job& job, const Documents& documents) override {
        BypassResult result;
        result.operation = operation_of(job, documents);
        bool removes = *result.operation == Operation::remove;
        if (!job.enables(*result.operation) || (removes && keeps_)) {
            result.status = Status::skipped;
        } else if (removes && !push_.declaration().remove) {
            result.status = Status::no_target;
        } else {
            require_endpoint();
            result.result = {push_.render(job, documents.source, *result.operation), false};
        }
        return result;
    }

private:
    static Operation operation_of(const Job& job, const Documents& documents) {
        if (documents.source_is_deleted) return Operation::remove;
        if (auto given = job.operation()) return *given;
        if (!job.is_null(C::context)) {
            for (const pg::JsonField& field : pg::json_fields(job.datum(C::context))) {
                if (field.key == "trigger_operation" && field.text == to_text(Operation::insert)) return Operation::insert;
            }
        }
        return Operation::update;
    }

    void require_endpoint() const {
        try {
            push_.require_endpoint(pg::current_user());
        } catch (const pg::Error& error) {
            throw SetupError(error);
        }
    }

    HttpPush push_;
    bool keeps_;
};

}  // namespace

std::shared_ptr<Controller> make_push_controller(const JobType& type) { return std::make_shared<PushController>(type); }

}  // namespace sync_job
