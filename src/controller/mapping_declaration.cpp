// The part of mapping.hpp that reads and checks the declaration, match and field_map, and turns it into SQL.
#include <algorithm>

#include "controller/mapping.hpp"
#include "core/text.hpp"
#include "pg/error.hpp"
#include "pg/expression.hpp"
#include "pg/json.hpp"

namespace sync_job {

namespace {

std::vector<pg::JsonField> fields_of(const std::string& json) {
    if (json.empty()) return {};  // a native controller has none: its code says what to set
    return pg::json_fields(pg::json_from_text(json));
}

std::string of_column(const char* what, const std::string& target_column) {
    return std::string(what) + " of column " + quoted(target_column);
}

}  // namespace

pg::Error Mapping::in_column(const char* what, const std::string& target_column, const pg::Error& error) {
    const pg::ErrorReport& report = error.report();
    return pg::Error(error.sqlstate(), of_column(what, target_column) + ": " + report.message)
        .detail(report.detail)
        .hint(report.hint)
        .column(std::string(what) + "." + target_column);
}

void Mapping::read(const JobType& type) {
    std::vector<pg::JsonField> match = fields_of(type.match);
    for (const pg::JsonField& field : match) items_.push_back(item(field, "match"));
    match_count_ = items_.size();
    for (const pg::JsonField& field : fields_of(type.field_map)) {
        auto same = std::find_if(match.begin(), match.end(), [&](const auto& other) { return other.key == field.key; });
        if (same == match.end()) {
            items_.push_back(item(field, "field_map"));
        } else if (!pg::json_equal(same->value, field.value)) {
            throw pg::Error("22023", "column " + quoted(field.key) + " has one value in match and another in field_map")
                .hint("Leave it out of field_map: match columns are set when a document is inserted.")
                .column("field_map." + field.key);
        }
    }
    auto late = std::stable_partition(items_.begin(), items_.end(), [](const Item& item) { return !item.late; });
    early_count_ = static_cast<std::size_t>(late - items_.begin());
    for (std::size_t i = 0; i < items_.size(); i++) {
        all_columns_.push_back(items_[i].column);
        (i < match_count_ ? match_columns_ : set_columns_).push_back(items_[i].column);
        if (items_[i].only == Only::unedited) watched_columns_.push_back(items_[i].column);
    }
    for (int number : watched_columns_) {
        const std::string& name = target_->relation().columns[number - 1].name;
        if (!is_secret(name, type.secret_columns)) continue;
        throw pg::Error("0A000", "column " + quoted(name) + " is secret, and has the rule {\"only\": \"unedited\"}")
            .detail("A hash of its value would be kept, from which a short value can be found out.")
            .hint("Use the rule insert or null.")
            .column("field_map." + name);
    }
    std::sort(all_columns_.begin(), all_columns_.end());
    std::sort(set_columns_.begin(), set_columns_.end());
}

namespace {

constexpr const char* forms_of_value = "Write \"column\", {\"column\": \"...\"}, {\"value\": ...} or {\"expr\": \"...\"}.";

}  // namespace

// "column" is short for {"column": "column"}. An object may have a rule besides the value.
Mapping::Value Mapping::declared_value(const pg::JsonField& field, const char* what) {
    Value value;
    if (field.kind == pg::JsonKind::string) {
        value.form = "column";
        value.given = field;
        return value;
    }
    std::vector<pg::JsonField> parts;
    if (field.kind == pg::JsonKind::object) parts = pg::json_fields(field.value);
    for (const pg::JsonField& part : parts) {
        if (part.key == "only") {
            value.only = rule_of(field.key, part, what);
        } else if (value.form.empty()) {
            value.form = part.key;
            value.given = part;
        } else {
            value.form = "several";
        }
    }
    bool is_text = value.given.kind == pg::JsonKind::string;
    bool known = value.form == "value" || (is_text && (value.form == "column" || value.form == "expr"));
    if (known) return value;
    throw pg::Error("22023", of_column(what, field.key) + " is neither a source column, a constant nor an expression")
        .detail("It is: " + pg::clipped(pg::json_to_text(field.value), 60) + ".")
        .hint(forms_of_value);
}

Mapping::Only Mapping::rule_of(const std::string& column, const pg::JsonField& rule, const char* what) {
    if (std::string(what) == "match") {
        throw pg::Error("22023", of_column(what, column) + " has a rule")
            .detail("The columns of match are set when a document is inserted.");
    }
    if (rule.text == "insert") return Only::insert;
    if (rule.text == "null") return Only::null;
    if (rule.text == "unedited") return Only::unedited;
    throw pg::Error("22023", of_column(what, column) + " has an invalid rule: " + quoted(pg::clipped(rule.text, 60)))
        .hint("Valid rules are: {\"only\": \"insert\"}, {\"only\": \"null\"}, {\"only\": \"unedited\"}.");
}

Mapping::Item Mapping::item(const pg::JsonField& field, const char* what) const {
    try {
        return checked_item(field, what);
    } catch (pg::Error& error) {
        throw error.column(std::string(what) + "." + field.key);
    }
}

Mapping::Item Mapping::checked_item(const pg::JsonField& field, const char* what) const {
    const pg::Column* column = target_->relation().column(field.key);
    if (column == nullptr) {
        throw pg::Error("42703", std::string(what) + " names column " + quoted(field.key) + ", which document type " +
                                     quoted(target_->label()) + " does not have");
    }
    if (column->generated) {
        throw pg::Error("428C9", std::string(what) + " names column " + quoted(field.key) + ", which is generated")
            .detail("Its value is computed by the database.");
    }
    if (column->always_identity && std::string(what) == "field_map") {
        throw pg::Error("428C9", "field_map names column " + quoted(field.key) + ", which is GENERATED ALWAYS AS IDENTITY")
            .detail("Its value is given by the database.")
            .hint("Leave it out; or make it GENERATED BY DEFAULT.");
    }
    if (std::string(what) == "match" && column->equality.empty()) {
        throw pg::Error("42883", "match names column " + quoted(field.key) + ", whose type has no equality operator");
    }
    Value value = declared_value(field, what);
    std::string sql = expression(field.key, value, *column, what);
    bool is_expression = value.form == "expr";
    bool reads_job = is_expression && pg::mentions(value.given.text, {"sync_job_id"});
    bool late = reads_job || (is_expression && pg::mentions(value.given.text, {"target"}));
    if (late && std::string(what) == "match") {
        throw pg::Error("22023", of_column(what, field.key) + " reads target or sync_job_id")
            .detail("It says which target belongs to the source, whatever job asks.");
    }
    return {column->number, value.form == "column" ? source_->relation().column(value.given.text)->number : 0, is_expression,
            late, reads_job, value.only, sql, pg::base_type(column->type), pg::base_typmod(column->type, column->typmod)};
}

std::string Mapping::expression(const std::string& name, const Value& value, const pg::Column& column, const char* what) const {
    const std::string& text = value.given.text;
    if (value.form == "column") {
        if (source_->relation().column(text) == nullptr) {
            throw pg::Error("42703", of_column(what, name) + " names source column " + quoted(text) +
                                         ", which document type " + quoted(source_->label()) + " does not have")
                .hint("A constant is written as {\"value\": ...}, an expression as {\"expr\": \"...\"}.");
        }
        return "source." + pg::quoted_identifier(text);
    }
    if (value.form == "value") {
        pg::CanonicalOutput canonical;
        try {
            pg::Value constant = pg::json_to_value(value.given.value, pg::base_type(column.type), -1, false);
            return constant.null ? "NULL" : pg::quoted_literal(pg::value_to_text(constant.datum, pg::base_type(column.type)));
        } catch (const pg::Error& error) {
            throw in_column(what, name, error);
        }
    }
    try {
        pg::check_expression(text);
    } catch (const pg::Error& error) {
        throw pg::Error(error.sqlstate(), of_column(what, name) + ": " + error.report().message)
            .detail(error.report().detail)
            .hint("It is one SQL expression over source and context, as in upper(source.name).");
    }
    return "(" + text + "\n)";
}

}  // namespace sync_job
