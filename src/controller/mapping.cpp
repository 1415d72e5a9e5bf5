#include "controller/mapping.hpp"

#include <algorithm>

#include "core/text.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"

namespace sync_job {

namespace {

std::string output_name(std::size_t index) { return "sync_job_" + std::to_string(index + 1); }

std::vector<pg::JsonField> fields_of(const std::string& json) { return pg::json_fields(pg::json_from_text(json)); }

std::string in_column(const char* what, const std::string& target_column) {
    return std::string(what) + " of column " + quoted(target_column);
}

}  // namespace

Mapping::Mapping(const JobType& type)
    : type_name_(type.name),
      source_(DocumentType::find(type.source, type.source_key)),
      target_(DocumentType::find(type.target, type.target_key)) {
    read(type);
    match_indexed_ = pg::has_index_for(type.target, match_columns_, false);
    many_ = source_->supports_many() && target_->supports_many();
    for (const Item& item : items_) many_ = many_ && pg::array_type_of(item.type) != pg::no_oid;
    prepare_statements();
}

bool Mapping::match_is_unique() const { return pg::has_index_for(target_->relation().oid, match_columns_, true); }

// --- Reading the declaration ---

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
                .hint("Leave it out of field_map: match columns are set when a document is inserted.");
        }
    }
    for (std::size_t i = 0; i < items_.size(); i++) {
        all_columns_.push_back(items_[i].column);
        (i < match_count_ ? match_columns_ : set_columns_).push_back(items_[i].column);
    }
    std::sort(all_columns_.begin(), all_columns_.end());
    std::sort(set_columns_.begin(), set_columns_.end());
}

Mapping::Item Mapping::item(const pg::JsonField& field, const char* what) const {
    const pg::Column* column = target_->relation().column(field.key);
    if (column == nullptr) {
        throw pg::Error("42703", std::string(what) + " names column " + quoted(field.key) + ", which document type " +
                                     quoted(target_->label()) + " does not have");
    }
    if (column->generated) {
        throw pg::Error("428C9", std::string(what) + " names column " + quoted(field.key) + ", which is generated")
            .detail("Its value is computed by the database.");
    }
    if (std::string(what) == "match" && column->equality.empty()) {
        throw pg::Error("42883", "match names column " + quoted(field.key) + ", whose type has no equality operator");
    }
    return {column->number, expression(field, *column, what), pg::base_type(column->type),
            pg::base_typmod(column->type, column->typmod)};
}

std::string Mapping::expression(const pg::JsonField& field, const pg::Column& column, const char* what) const {
    if (field.kind == pg::JsonKind::string) {
        if (source_->relation().column(field.text) == nullptr) {
            throw pg::Error("42703", in_column(what, field.key) + " names source column " + quoted(field.text) +
                                         ", which document type " + quoted(source_->label()) + " does not have")
                .hint("A constant is written as {\"value\": …}, an expression as {\"expr\": \"…\"}.");
        }
        return "source." + pg::quoted_identifier(field.text);
    }
    std::vector<pg::JsonField> parts;
    if (field.kind == pg::JsonKind::object) parts = pg::json_fields(field.value);
    if (parts.size() == 1 && parts[0].key == "value") {
        pg::CanonicalOutput canonical;
        pg::Value value = pg::json_to_value(parts[0].value, pg::base_type(column.type), -1, false);
        return value.null ? "NULL"
                          : pg::quoted_literal(pg::value_to_text(value.datum, pg::base_type(column.type)));
    }
    if (parts.size() == 1 && parts[0].key == "expr" && parts[0].kind == pg::JsonKind::string) {
        try {
            pg::check_expression(parts[0].text);
        } catch (const pg::Error& error) {
            throw pg::Error(error.sqlstate(), in_column(what, field.key) + ": " + error.report().message)
                .detail(error.report().detail)
                .hint("It is one SQL expression over source and context, as in upper(source.name).");
        }
        return "(" + parts[0].text + "\n)";
    }
    throw pg::Error("22023", in_column(what, field.key) + " is neither a source column, a constant nor an expression")
        .detail("It is: " + shortened(pg::json_to_text(field.value), 60) + ".")
        .hint("Write \"column\", {\"value\": …} or {\"expr\": \"…\"}.");
}

// --- Statements ---

// Computed in a subquery of its own for each row, so that an aggregate or a window function finds one row, or none to
// work on, whether one document is asked for or many.
std::string Mapping::values_sql() const {
    std::vector<std::string> values;
    for (std::size_t i = 0; i < items_.size(); i++) {
        values.push_back("CAST(" + items_[i].sql + " AS " + pg::qualified_type_name(items_[i].type) + ") AS " +
                         output_name(i));
    }
    return "CROSS JOIN LATERAL (SELECT " + join(values, ", ") + ") AS v";
}

std::string Mapping::match_condition(const std::string& value_prefix) const {
    std::vector<std::string> conditions;
    for (std::size_t i = 0; i < match_count_; i++) {
        const pg::Column& column = target_->relation().columns[items_[i].column - 1];
        conditions.push_back("t." + pg::quoted_identifier(column.name) + " " + column.equality + " " + value_prefix +
                             std::to_string(i + 1));
    }
    return join(conditions, " AND ");
}

void Mapping::prepare_statements() {
    const pg::RelationInfo &source = source_->relation(), &target = target_->relation();
    using Access = pg::Statement::Access;
    Access by_match = match_indexed_ ? Access::by_index : Access::any;
    auto make = [](const std::string& sql, const std::vector<Oid>& types, Access access) {
        return std::make_unique<pg::Statement>(sql, types, access);
    };
    std::vector<Oid> match_types, match_arrays;
    for (std::size_t i = 0; i < match_count_; i++) {
        match_types.push_back(items_[i].type);
        match_arrays.push_back(pg::array_type_of(items_[i].type));
    }
    evaluate_ = make("SELECT v.* FROM pg_catalog.unnest(ARRAY[$1]) AS source "
                     "CROSS JOIN pg_catalog.unnest(ARRAY[$2]) AS context (context) " + values_sql(),
                     {source.row_type, pg::type::jsonb}, Access::any);
    find_ = make("SELECT " + target.whole_row("t") + " FROM " + target.quoted + " AS t WHERE " + match_condition("$") +
                     " LIMIT 2",
                 match_types, by_match);
    if (!many_) return;
    std::vector<Oid> key_arrays;
    std::vector<std::string> keys;
    for (int number : source_->key()) {
        const pg::Column& column = source.columns[number - 1];
        key_arrays.push_back(pg::array_type_of(pg::base_type(column.type)));
        keys.push_back("source." + pg::quoted_identifier(column.name) + " " + column.equality + " j.sync_job_" +
                       std::to_string(key_arrays.size()));
    }
    key_arrays.push_back(pg::array_type_of(pg::type::jsonb));
    evaluate_many_ = make("SELECT j.sync_job_n, v.* FROM " + rows_from_arrays(1, key_arrays.size()) + " JOIN " +
                              source.quoted + " AS source ON " + join(keys, " AND ") +
                              " CROSS JOIN LATERAL (SELECT j.sync_job_" + std::to_string(key_arrays.size()) +
                              ") AS context (context) " + values_sql(),
                          key_arrays, Access::by_index);
    lock_many_ = make("SELECT j.sync_job_n, " + target.whole_row("t") + " FROM " +
                          rows_from_arrays(1, match_arrays.size()) + " JOIN " + target.quoted + " AS t ON " + match_condition("j.sync_job_") + " FOR NO KEY UPDATE OF t",
                      match_arrays, by_match);
}

// --- One document ---

// What the statement computed, from column `first` on, in the columns of the target.
pg::RowValues Mapping::to_row(const pg::RowValues& result, int first) const {
    pg::RowValues row = pg::empty_row(target_->relation());
    for (std::size_t i = 0; i < items_.size(); i++) {
        pg::Value value = result.at(first + static_cast<int>(i));
        row.set(items_[i].column, pg::with_typmod(value, items_[i].type, items_[i].typmod));
    }
    return row;
}

pg::RowValues Mapping::evaluate(pg::Value source_row, pg::Value context) {
    pg::Rows rows = evaluate_->execute({source_row, context});
    if (rows.size() != 1) {
        throw pg::Error("21000", "match or field_map of sync job type " + quoted(type_name_) + " gives " +
                                     std::to_string(rows.size()) + " rows for one document")
            .hint("An expression must return one value; one that returns a set does not.");
    }
    pg::RowValues result = pg::empty_row(target_->relation());
    for (std::size_t i = 0; i < items_.size(); i++) {
        result.set(items_[i].column, pg::with_typmod(rows.copy(0, static_cast<int>(i)), items_[i].type, items_[i].typmod));
    }
    return result;
}

bool Mapping::matches_nothing(const pg::RowValues& wanted) const {
    return std::any_of(match_columns_.begin(), match_columns_.end(),
                       [&](int column) { return wanted.at(column).null; });
}

std::string Mapping::match_name(const pg::RowValues& wanted) const {
    pg::CanonicalOutput canonical;
    std::string name;
    for (std::size_t i = 0; i < match_count_; i++) {
        std::string text = pg::value_to_text(wanted.at(items_[i].column).datum, items_[i].type);
        name += std::to_string(text.size()) + ":" + text;
    }
    return name;
}

namespace {

[[noreturn]] void two_targets(const std::string& label) {
    throw pg::Error("21000", "more than one document of type " + quoted(label) + " matches the source document")
        .hint("Make match unique: a unique index on its columns keeps it so.");
}

}  // namespace

pg::Value Mapping::find(const pg::RowValues& wanted) {
    std::vector<pg::Value> values;
    for (std::size_t i = 0; i < match_count_; i++) values.push_back(wanted.at(items_[i].column));
    pg::Rows rows = find_->execute(values);
    if (rows.empty()) return {};
    if (rows.size() > 1) two_targets(target_->label());
    return {pg::copy_row(rows.at(0, 0).datum), false};
}

// --- Many documents ---

std::vector<NumberedRow> Mapping::evaluate_many(const std::vector<std::string>& names,
                                                const std::vector<pg::Value>& contexts) {
    std::vector<pg::Value> arguments = source_->key_arrays(names);
    arguments.push_back({pg::array_datum(contexts, pg::type::jsonb), false});
    pg::Rows rows = evaluate_many_->execute(arguments);
    rows.keep();
    std::vector<NumberedRow> found;
    std::vector<bool> seen(names.size());
    for (std::uint64_t i = 0; i < rows.size(); i++) {
        pg::RowValues values = rows.whole(i);
        auto number = static_cast<std::size_t>(pg::datum_int64(values.at(1).datum) - 1);
        if (seen[number]) throw pg::Error("21000", "a document gave several rows");  // said better where it runs alone
        seen[number] = true;
        found.push_back({number, to_row(values, 2)});
    }
    return found;
}

std::vector<NumberedRow> Mapping::lock_many(const std::vector<pg::RowValues>& wanted) {
    std::vector<pg::Value> arguments;
    for (std::size_t i = 0; i < match_count_; i++) {
        arguments.push_back(column_array(wanted, target_->relation().columns[items_[i].column - 1]));
    }
    pg::Rows rows = lock_many_->execute(arguments);
    rows.keep();
    std::vector<NumberedRow> found;
    std::vector<bool> seen(wanted.size());
    for (std::uint64_t i = 0; i < rows.size(); i++) {
        auto number = static_cast<std::size_t>(rows.int64(i, 0) - 1);
        if (seen[number]) two_targets(target_->label());
        seen[number] = true;
        found.push_back({number, pg::take_apart(rows.at(i, 1).datum, target_->relation())});
    }
    return found;
}

}  // namespace sync_job
