// The part of document.hpp about the values of a document: as JSON and from it, which ones differ, and what of them is recorded.
#include <algorithm>

#include "core/text.hpp"
#include "document/document.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"

namespace sync_job {

namespace {

Datum row_to_json(const pg::RowValues& row, const pg::RelationInfo& relation, bool sparse) {
    pg::JsonBuilder json;
    json.begin_object();
    for (const pg::Column& column : relation.columns) {
        if (column.dropped || (sparse && row.nulls[column.number - 1])) continue;
        json.key(column.name);
        pg::Value value = row.at(column.number);
        json.value(value.datum, value.null, column.type, false);
    }
    json.end_object();
    return json.finish();
}

}  // namespace

Datum DocumentType::to_json(Datum row, bool sparse) const {
    return row_to_json(pg::take_apart(row, *relation_), *relation_, sparse);
}

namespace {

pg::Value field_value(const pg::Column& column, const pg::JsonField& field) {
    try {
        return pg::json_to_value(field.value, column.type, column.typmod, false);
    } catch (const pg::Error& error) {
        throw pg::Error(error.sqlstate(),
                        "field " + quoted(field.key) + " of the target document: " + error.report().message)
            .detail(error.report().detail)
            .hint(error.report().hint);
    }
}

}  // namespace

pg::RowValues DocumentType::from_json(Datum jsonb, const pg::RowValues& base, ColumnSet* named) const {
    pg::RowValues row = pg::copy_of(base);
    for (const pg::JsonField& field : pg::json_fields(jsonb)) {
        const pg::Column* column = relation_->column(field.key);
        if (column == nullptr) {
            throw pg::Error("42703", "the target document has a field " + quoted(field.key) + " that document type " +
                                         quoted(label_) + " does not have");
        }
        if (column->generated) continue;
        named->push_back(column->number);
        pg::Value old = base.at(column->number);
        // Compared as text: 1.5 and 1.50 are equal as jsonb, but stored differently.
        bool same = !old.null && pg::json_to_text(pg::value_to_json(old.datum, column->type, false)) ==
                                     pg::json_to_text(field.value);
        if (!same) row.set(column->number, field_value(*column, field));
    }
    return row;
}

namespace {

bool same(const pg::Column& column, pg::Value one, pg::Value other) {
    if (one.null || other.null) return one.null == other.null;
    return pg::same_image(one.datum, other.datum, column.by_value, column.length);
}

}  // namespace

ColumnSet DocumentType::changed_columns(const pg::RowValues& before, const pg::RowValues& after) const {
    ColumnSet changed;
    for (const pg::Column& column : relation_->columns) {
        if (column.dropped || column.generated) continue;
        if (!same(column, before.at(column.number), after.at(column.number))) changed.push_back(column.number);
    }
    return changed;
}

ColumnSet DocumentType::changed_columns(const pg::RowValues& before, const pg::RowValues& after,
                                        const ColumnSet& among) const {
    ColumnSet changed;
    for (int number : among) {
        if (!same(relation_->columns[number - 1], before.at(number), after.at(number))) changed.push_back(number);
    }
    return changed;
}

ColumnSet DocumentType::inserted_columns(const pg::RowValues& row, const ColumnSet& explicit_columns) const {
    ColumnSet set;
    for (const pg::Column& column : relation_->columns) {
        if (column.dropped || column.generated) continue;
        if (contains(explicit_columns, column.number) || !row.nulls[column.number - 1]) set.push_back(column.number);
    }
    return set;
}

bool contains(const ColumnSet& columns, int number) { return std::find(columns.begin(), columns.end(), number) != columns.end(); }

bool is_secret(const std::string& column, const SecretColumns& secret) {
    return std::find(secret.begin(), secret.end(), column) != secret.end();
}

namespace {

// In place of a value.
void add_flag(pg::JsonBuilder& json, const std::string& column, const char* flag) {
    json.key(column);
    json.begin_object();
    json.key(flag);
    json.boolean(true);
    json.end_object();
}

}  // namespace

Datum without_secrets(Datum object, const SecretColumns& secret) {
    if (secret.empty() || pg::json_kind(object) != pg::JsonKind::object) return object;
    pg::JsonBuilder json;
    json.begin_object();
    for (const pg::JsonField& field : pg::json_fields(object)) {
        if (is_secret(field.key, secret) && field.kind != pg::JsonKind::null) {
            add_flag(json, field.key, "secret");
        } else {
            json.key(field.key);
            json.value(field.value, false, pg::type::jsonb, false);
        }
    }
    json.end_object();
    return json.finish();
}

Datum DocumentType::snapshot(Datum row, const SecretColumns& secret) const { return without_secrets(to_json(row), secret); }

pg::Value DocumentType::fingerprint(const pg::RowValues& row, const SecretColumns& secret) const {
    for (const std::string& name : secret) {
        const pg::Column* column = relation_->column(name);
        if (column != nullptr && !row.at(column->number).null) return {};
    }
    return {pg::fingerprint(row, *relation_), false};
}

Datum DocumentType::diff(pg::Value before, pg::Value after, const SecretColumns& secret) const {
    auto row_of = [&](const pg::Value& value) {
        return value.null ? pg::empty_row(*relation_) : pg::take_apart(value.datum, *relation_);
    };
    return diff(row_of(before), row_of(after), secret);
}

namespace {

// jsonb is limited to 256 MB, and a value may take several times as much space there as in its column.
constexpr std::size_t most_bytes_in_diff = 16 << 20;

std::size_t stored_bytes(const pg::Column& column, pg::Value value) {
    return value.null ? 0 : pg::stored_bytes(value.datum, column.length);
}

}  // namespace

Datum DocumentType::diff(const pg::RowValues& old_row, const pg::RowValues& new_row, const SecretColumns& secret) const {
    pg::CanonicalOutput canonical;
    pg::JsonBuilder json;
    std::size_t left = most_bytes_in_diff;
    json.begin_object();
    for (const pg::Column& column : relation_->columns) {
        if (column.dropped) continue;
        pg::Value old_value = old_row.at(column.number), new_value = new_row.at(column.number);
        if (same(column, old_value, new_value)) continue;
        std::size_t bytes = stored_bytes(column, old_value) + stored_bytes(column, new_value);
        if (is_secret(column.name, secret)) {
            add_flag(json, column.name, "secret");
        } else if (bytes > left) {
            add_flag(json, column.name, "too_large");
        } else {
            left -= bytes;
            json.change(column.name, old_value, new_value, column.type);
        }
    }
    json.end_object();
    return json.finish();
}

}  // namespace sync_job
