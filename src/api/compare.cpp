// compare_sync_documents(): what is out of step.
#include "core/text.hpp"
#include "engine/compare.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/json.hpp"
#include "queue/rights.hpp"

namespace sync_job {

namespace {

ComparisonRequest comparison_request(pg::Arguments& args) {
    ComparisonRequest request;
    request.condition = args.text(1).value_or("");
    if (auto most = args.int32(2)) {
        if (*most < 0) throw pg::Error("22023", "max_rows must not be negative: " + std::to_string(*most));
        request.max_rows = *most;
    }
    return request;
}

void add_row(pg::Arguments& args, const DifferentDocument& document, std::int64_t documents) {
    auto text = [](const std::optional<std::string>& value) {
        return value ? pg::Value{pg::text_datum(*value), false} : pg::Value{};
    };
    pg::Value row[] = {{pg::text_datum(to_text(document.difference)), false},
                       text(document.source),
                       text(document.target),
                       document.diff.empty() ? pg::Value{} : pg::Value{pg::json_from_text(document.diff), false},
                       {pg::bool_datum(document.waiting), false},
                       {pg::int64_datum(documents), false}};
    Datum values[std::size(row)];
    bool nulls[std::size(row)];
    for (std::size_t i = 0; i < std::size(row); i++) values[i] = row[i].datum, nulls[i] = row[i].null;
    args.add_row(values, nulls);
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_compare) {
    if (args.is_null(0)) throw pg::Error("22004", "sync_job_type must not be null");
    ComparisonRequest request = comparison_request(args);
    auto type = require_job_type(*args.text(0));
    require_comparable(*type);
    require_this_version();
    require_session_of(type->run_as, "sync job type " + quoted(type->name),
                       "Have a worker do it with enqueue_compare(...), or use SET SESSION AUTHORIZATION first.");
    args.begin_rows();
    Comparison comparison = compare(*type, request);
    for (const DifferentDocument& document : comparison.documents) add_row(args, document, 1);
    for (int i = 0; i < difference_count; i++) {
        for (bool waiting : {false, true}) {
            std::int64_t more = comparison.counts[i][waiting] - comparison.listed[i][waiting];
            if (more > 0) add_row(args, {static_cast<Difference>(i), {}, {}, {}, waiting}, more);
        }
    }
    if (!comparison.surplus_unknown.empty()) {
        pg::notice("nothing is said of surplus targets of sync job type " + quoted(type->name) + ": " + comparison.surplus_unknown);
    }
    return args.null_result();
}
