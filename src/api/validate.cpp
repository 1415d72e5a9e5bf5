// What is wrong with a job type, whether it exists or is not saved yet.
#include <string>
#include <vector>

#include "api/table_checks.hpp"
#include "controller/validation.hpp"
#include "core/text.hpp"
#include "job/job_type.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/rights.hpp"

namespace sync_job {

namespace {

Datum add_findings(pg::Arguments& args, const std::vector<Finding>& findings) {
    args.begin_rows();
    for (const Finding& finding : findings) {
        const pg::ErrorReport& report = *finding.report;
        const std::string texts[] = {finding.is_error ? "error" : "warning", finding.object, report.message,
                                     report.detail, report.hint, finding.field()};
        Datum values[std::size(texts)];
        bool nulls[std::size(texts)];
        for (std::size_t i = 0; i < std::size(texts); i++) {
            nulls[i] = texts[i].empty();
            values[i] = nulls[i] ? 0 : pg::text_datum(texts[i]);
        }
        args.add_row(values, nulls);
    }
    return args.null_result();
}

// What an INSERT that names no column would store.
TableRow default_row() {
    const SchemaObjects& o = schema_objects();
    auto table = pg::read_relation(o.type_table);
    pg::RowValues row = pg::empty_row(*table);
    pg::OwnerScope owner(o.owner);
    pg::SpiScope spi;
    pg::Statement defaults("SELECT adnum::int4, pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = $1 ORDER BY adnum", {pg::type::oid});
    pg::Rows columns = defaults.execute({{pg::oid_datum(o.type_table), false}});
    for (std::uint64_t i = 0; i < columns.size(); i++) {
        pg::Rows value = pg::execute_sql("SELECT " + columns.text(i, 1));
        row.set(pg::datum_int32(columns.at(i, 0).datum), value.copy(0, 0));
    }
    return TableRow(o.type_table, row);
}

// The columns that the definition names, read as the caller would write them: names of relations by the caller's search_path.
TableRow row_of(Datum definition, std::vector<Finding>& findings) {
    TableRow row = default_row();
    for (const pg::JsonField& field : pg::json_fields(definition)) {
        if (field.kind == pg::JsonKind::null) continue;
        try {
            pg::Subtransaction subtransaction;
            const pg::Column* column = row.relation().column(field.key);
            if (column == nullptr) throw pg::Error("42703", "table sync_job_type has no column " + quoted(field.key));
            pg::Value value = pg::json_to_value(field.value, column->type, column->typmod, false);
            row.set(column->name.c_str(), {pg::copy_value(value.datum, column->by_value, column->length), value.null});
            subtransaction.commit();
        } catch (const pg::Error& error) {
            if (!pg::is_specific(error)) throw;
            findings.push_back({true, field.key, error.share()});
        }
    }
    return row;
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_validate_type) {
    if (args.is_null(0)) throw pg::Error("22004", "name must not be null");  // no row would mean: ready
    auto type = require_job_type(*args.text(0));
    require_may_see(*type);
    return add_findings(args, validate(*type));
}

// If the table would refuse the row, it is not checked further: those checks run as run_as, which the caller may not be allowed to become.
SYNC_JOB_FUNCTION(sync_job_validate_type_definition) {
    if (args.is_null(0)) throw pg::Error("22004", "definition must not be null");
    require_level(Level::manager, "function validate_sync_job_type_definition()");
    std::vector<Finding> findings;
    TableRow row = row_of(args.datum(0), findings);
    for (Finding& finding : check_type_row(row)) findings.push_back(std::move(finding));
    if (findings.empty()) findings = validate(*job_type_of(row));
    return add_findings(args, findings);
}
