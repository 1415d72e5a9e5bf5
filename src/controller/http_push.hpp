// What an HTTP push has in place of a controller: makes the request for one document or for many, and writes values of the answer into the
// source or the target. Sends nothing: a request is a jsonb value, which the engine keeps until it has been answered
// (engine/http_requests.hpp):
//
//   {"server": …, "method": …, "target": path and query, "headers": {name: text | {"secret": …} | {"hmac": …}}, "body": text,
//    "operation": …, "key": the header for the idempotency key, "documents": names of a batch, "keys": their keys in the answer}
//
// All values are computed, and all writing is done, as the current user.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "controller/controller.hpp"
#include "controller/http_declaration.hpp"
#include "pg/spi.hpp"

namespace sync_job {

// A server's answer, for one document.
struct HttpReply {
    int status = 0;
    pg::JsonField headers;  // an object of texts; names are in lower case
    pg::JsonField body;     // in a batch, the document's own part; null: it was not JSON
};

class HttpPush {
public:
    // Raises what is wrong with the declaration: its values and its columns. For servers and secrets, call require_endpoint().
    explicit HttpPush(const JobType& type);

    const HttpDeclaration& declaration() const { return http_; }
    // Raises if the role may not use the server, or lacks one of the secrets.
    void require_endpoint(Oid role) const;

    // Both need an SpiScope. The request for one document; if the type has batch: a batch of one.
    Datum render(const Job& job, pg::Value source_row, Operation operation);
    struct Batch {
        std::vector<std::string> names;  // of the documents in the batch
        Datum request = 0;
    };
    // For those of the documents that exist and for which source_condition holds.
    Batch render_many(const Job& set, const std::vector<std::string>& names);

    // Needs an SpiScope. Does nothing for a source or target that is gone.
    void write_answer(const std::string& source_name, const HttpReply& reply);

private:
    // A template, and the statement that computes its values.
    struct Bound {
        const HttpTemplate* request;
        std::vector<const HttpValue*> values;
        std::unique_ptr<pg::Statement> statement;
    };
    class Row;
    void bind(Bound& bound, const HttpTemplate& request, bool many);
    void add_values(Bound& bound, bool many) const;
    std::string sql_of(const HttpValue& value) const;
    std::string values_sql(const Bound& bound, int first_parameter) const;
    void raise_of_value(const Bound& bound) const;
    std::vector<Oid> job_types(bool with_source) const;
    void check_answer() const;
    std::string target_of(const HttpTemplate& request, const Row& row) const;
    void add_headers(pg::JsonBuilder& json, const HttpTemplate& request, const Row& row, const Job& job) const;
    static Datum body_of(const HttpTemplate& request, const Row& row);
    struct Contents {
        Operation operation;
        const std::string* body;  // null: none
        std::vector<std::string> names, keys;
    };
    Datum request_json(const HttpTemplate& request, const Row& row, const Job& job, const Contents& contents) const;
    pg::Value find_target(const std::vector<pg::JsonField>& match);
    void write_target(const std::string& source_name, const HttpReply& reply);

    HttpDeclaration http_;
    std::shared_ptr<DocumentType> source_, target_;  // null: the job type has none
    std::string condition_;
    HttpValue key_;  // for a batch whose answers have keys
    Bound send_, remove_, many_;
    std::unique_ptr<pg::Statement> find_target_;
};

}  // namespace sync_job
