#include "engine/http_requests.hpp"

#include "job/internal_sql.hpp"
#include "job/schema_objects.hpp"
#include "pg/json.hpp"
#include "pg/memory.hpp"
#include "pg/table.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

pg::RowValues row_of(std::initializer_list<pg::Value> values) {
    pg::RowValues row;
    row.count = static_cast<int>(values.size());
    row.values = pg::allocate_array<Datum>(row.count);
    row.nulls = pg::allocate_array<bool>(row.count);
    int number = 0;
    for (const pg::Value& value : values) row.set(++number, value);
    return row;
}

pg::Value number(std::int64_t value) { return {pg::int64_datum(value), false}; }

std::vector<pg::Value> ids(const std::vector<std::int64_t>& jobs) { return {{pg::int64_array_datum(jobs), false}}; }

}  // namespace

void insert_requests(const std::vector<HttpFlight>& flights) {
    std::vector<pg::RowValues> requests, documents;
    for (const HttpFlight& flight : flights) {
        pg::Value answer = flight.answer ? pg::Value{pg::json_from_text(*flight.answer), false} : pg::Value();
        requests.push_back(row_of({number(flight.job), {pg::int32_datum(flight.number), false}, {pg::json_from_text(flight.request), false}, answer}));
        for (std::uint64_t key : flight.documents) documents.push_back(row_of({number(flight.job), number(static_cast<std::int64_t>(key))}));
    }
    if (requests.empty()) return;
    pg::Table(schema_objects().http_request, pg::TableLock::write).insert_many(requests);
    if (!documents.empty()) pg::Table(schema_objects().http_document, pg::TableLock::write).insert_many(documents);
    pg::command_counter_increment();
}

void delete_requests(const std::vector<std::int64_t>& jobs) {
    static auto& requests = *new InternalStatement("DELETE FROM sync_job_internal.http_request WHERE sync_job = ANY ($1)", {pg::type::int8_array});
    static auto& documents = *new InternalStatement("DELETE FROM sync_job_internal.http_document WHERE sync_job = ANY ($1)", {pg::type::int8_array});
    if (jobs.empty()) return;
    requests.run(ids(jobs));
    documents.run(ids(jobs));
}

void store_answers(const std::vector<const HttpFlight*>& flights) {
    static auto& update = *new InternalStatement(
        "UPDATE sync_job_internal.http_request AS r SET answer = a.answer::pg_catalog.jsonb FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS a (sync_job, answer) WHERE r.sync_job = a.sync_job",
        {pg::type::int8_array, pg::type::text_array});
    std::vector<std::int64_t> jobs;
    std::vector<std::string> answers;
    for (const HttpFlight* flight : flights) jobs.push_back(flight->job), answers.push_back(*flight->answer);
    if (!jobs.empty()) update.run({{pg::int64_array_datum(jobs), false}, {pg::text_array_datum(answers), false}});
}

std::vector<HttpFlight> stored_requests(const std::vector<std::int64_t>& jobs) {
    static auto& select = *new InternalStatement(
        "SELECT r.sync_job, r.number, r.request, r.answer, ARRAY(SELECT d.document FROM sync_job_internal.http_document AS d WHERE d.sync_job = r.sync_job)"
        " FROM sync_job_internal.http_request AS r WHERE r.sync_job = ANY ($1) ORDER BY r.sync_job",
        {pg::type::int8_array});
    std::vector<HttpFlight> flights;
    if (jobs.empty()) return flights;
    for (const auto& row : select.run(ids(jobs))) {
        HttpFlight flight;
        flight.job = pg::datum_int64(row[0].datum);
        flight.number = pg::datum_int32(row[1].datum);
        flight.request = pg::json_to_text(row[2].datum);
        if (!row[3].null) flight.answer = pg::json_to_text(row[3].datum);
        for (std::int64_t key : pg::datum_int64_array(row[4].datum)) flight.documents.push_back(static_cast<std::uint64_t>(key));
        for (const pg::JsonField& field : pg::json_fields(row[2].datum)) {
            if (field.key == "server") flight.endpoint = field.text;
        }
        flights.push_back(std::move(flight));
    }
    return flights;
}

std::vector<std::int64_t> jobs_left_over(const std::string& queue, unsigned int run_as) {
    static auto& select = *new InternalStatement(
        "SELECT l.id FROM sync_job_internal.http_request AS r JOIN sync_job_internal.sync_job_live AS l ON l.id = r.sync_job"
        " WHERE l.status = 'Started' AND l.queue = $1 AND l.run_as::oid = $2 ORDER BY l.id",
        {pg::type::text, pg::type::oid});
    std::vector<std::int64_t> jobs;
    for (const auto& row : select.run({{pg::text_datum(queue), false}, {pg::oid_datum(run_as), false}})) jobs.push_back(pg::datum_int64(row[0].datum));
    return jobs;
}

std::unordered_multimap<std::uint64_t, std::int64_t> taken_documents(const std::vector<std::uint64_t>& keys) {
    static auto& select = *new InternalStatement(
        "SELECT document, sync_job FROM sync_job_internal.http_document WHERE document = ANY ($1)", {pg::type::int8_array});
    std::unordered_multimap<std::uint64_t, std::int64_t> taken;
    std::vector<std::int64_t> asked(keys.begin(), keys.end());
    if (asked.empty()) return taken;
    for (const auto& row : select.run(ids(asked))) taken.emplace(static_cast<std::uint64_t>(pg::datum_int64(row[0].datum)), pg::datum_int64(row[1].datum));
    return taken;
}

std::string installation() {
    static auto& select = *new InternalStatement("SELECT installation::text FROM sync_job_internal.home WHERE system_identifier <> 0 LIMIT 1", std::vector<Oid>{});
    auto rows = select.run({});
    return rows.empty() ? std::string() : text_of(rows[0][0]);
}

}  // namespace sync_job
