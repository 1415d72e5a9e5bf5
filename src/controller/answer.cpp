#include "controller/answer.hpp"

#include "core/text.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/row.hpp"

namespace sync_job {

Oid relation_from_text(const std::string& text) { return pg::datum_oid(pg::text_to_value(text, pg::type::regclass)); }

void require_object(Datum json, const std::string& function) {
    if (pg::json_kind(json) == pg::JsonKind::object) return;
    throw pg::Error("22023", "function " + function + " returned no JSON object")
        .detail("It returned: " + pg::clipped(pg::json_to_text(json), 60) + ".");
}

namespace {

Operation operation_from(const std::string& text, const std::string& function) {
    if (auto operation = parse_operation(text)) return *operation;
    throw pg::Error("22023", "invalid operation " + quoted(text) + " from function " + function)
        .hint("Valid operations are: " + std::string(operation_list()) + ".");
}

pg::Value json_or_null(const pg::JsonField& field) {
    if (field.kind == pg::JsonKind::null) return {};
    return {field.value, false};
}

void require_target_key(const std::string& key, const std::string& function) {
    for (const char* known : {"operation", "target_document_type", "target_document_name", "context"}) {
        if (key == known) return;
    }
    throw pg::Error("22023", "invalid key " + quoted(key) + " in a target from function " + function)
        .hint("Valid keys are: operation, target_document_type, target_document_name, context.");
}

}  // namespace

TargetFields read_target_json(Datum json, const std::string& function) {
    TargetFields fields;
    if (pg::json_kind(json) == pg::JsonKind::null) return fields;
    require_object(json, function);
    for (const pg::JsonField& field : pg::json_fields(json)) {
        require_target_key(field.key, function);
        if (field.kind == pg::JsonKind::null) continue;
        if (field.key == "operation") fields.operation = field.text;
        if (field.key == "target_document_name") fields.name = field.text;
        if (field.key == "target_document_type") fields.document_type = relation_from_text(field.text);
        if (field.key == "context") fields.context = json_or_null(field);
    }
    return fields;
}

std::optional<Target> to_target(const TargetFields& fields, const JobType& type, const Job& job,
                                const std::string& function) {
    Oid fixed = job.oid(JobColumn::target_document_type);  // from the job type, or set when the job was enqueued
    if (fields.document_type == pg::no_oid && fixed == pg::no_oid) return std::nullopt;
    if (!fields.operation) {
        if (fields.document_type == pg::no_oid && !fields.name) return std::nullopt;
        throw pg::Error("22004", "function " + function + " named a target without an operation")
            .hint("Return sync_job_target('insert' | 'update' | 'delete', ...), or NULL for no target.");
    }
    if (!fields.context.null && pg::json_kind(fields.context.datum) != pg::JsonKind::object) {
        throw pg::Error("22023", "function " + function + " named a target whose context is no JSON object")
            .detail("It is: " + pg::clipped(pg::json_to_text(fields.context.datum), 60) + ".");
    }
    Target target;
    target.operation = operation_from(*fields.operation, function);
    target.document_type = fields.document_type;
    target.document_name = fields.name;
    target.context = fields.context;
    if (target.operation != Operation::insert && !target.document_name) {
        if (target.operation == Operation::remove) return std::nullopt;  // nothing found to delete
        throw pg::Error("22004", "function " + function + " returned an update without target_document_name")
            .hint("Name the document to update, or return operation insert.");
    }
    if (fields.document_type != pg::no_oid && type.target != pg::no_oid && fields.document_type != type.target) {
        throw pg::Error("42804", "function " + function + " named target document type " +
                                     quoted(pg::relation_name(fields.document_type)) + ", but sync job type " +
                                     quoted(type.name) + " fixes " + quoted(type.target_label))
            .hint("Leave target_document_type of the sync job type NULL to choose it for each job.");
    }
    return target;
}

std::vector<Target> read_targets_json(Datum json, const JobType& type, const Job& job, const std::string& function) {
    if (pg::json_kind(json) != pg::JsonKind::array) {
        throw pg::Error("22023", "function " + function + " returned no JSON array")
            .detail("It returned: " + pg::clipped(pg::json_to_text(json), 60) + ".");
    }
    std::vector<Target> targets;
    for (const pg::JsonField& item : pg::json_elements(json)) {
        if (auto target = to_target(read_target_json(item.value, function), type, job, function)) targets.push_back(*target);
    }
    return targets;
}

BypassResult read_result(pg::Value value, bool json, const std::string& function) {
    BypassResult result;
    if (value.null) return result;
    std::optional<std::string> operation;
    if (json) {
        if (pg::json_kind(value.datum) != pg::JsonKind::object) return result;
        for (const pg::JsonField& field : pg::json_fields(value.datum)) {
            if (field.kind == pg::JsonKind::null) continue;
            if (field.key == "target_document_type") result.document_type = relation_from_text(field.text);
            if (field.key == "target_document_name") result.document_name = field.text;
            if (field.key == "operation") operation = field.text;
            if (field.key == "diff") result.diff = {field.value, false};
        }
    } else {
        pg::RowValues row = pg::take_apart(value.datum, 4);
        if (!row.nulls[0]) result.document_type = pg::datum_oid(row.values[0]);
        if (!row.nulls[1]) result.document_name = std::string(pg::datum_text(row.values[1]));
        if (!row.nulls[2]) operation = std::string(pg::datum_text(row.values[2]));
        if (!row.nulls[3]) result.diff = {row.values[3], false};
    }
    if (operation) result.operation = operation_from(*operation, function);
    return result;
}

}  // namespace sync_job
