#include "engine/recorded_change.hpp"

#include <algorithm>

#include "core/text.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"

namespace sync_job {

namespace {

Operation replayed(Operation recorded, bool backwards) {
    if (!backwards || recorded == Operation::update) return recorded;
    return recorded == Operation::insert ? Operation::remove : Operation::insert;
}

bool is_as(const ChangedField& field, const pg::RowValues& row, const pg::Value& wanted) {
    if (field.column == nullptr) return false;
    pg::Value found = row.at(field.column->number);
    if (wanted.null || found.null) return wanted.null == found.null;
    return pg::same_image(wanted.datum, found.datum, field.column->by_value, field.column->length);
}

std::string described(const DocumentType& documents, const std::string& name) {
    return quoted(documents.label()) + " " + quoted(name);
}

// The diff of a whole row leaves out nulls: columns not in it must be null.
std::vector<std::string> fields_beside(const DocumentType& documents, const RecordedChange& change, const pg::RowValues& row) {
    std::vector<std::string> fields;
    for (const pg::Column& column : documents.relation().columns) {
        if (column.dropped || column.generated || row.at(column.number).null) continue;
        auto is_this = [&](const ChangedField& field) { return field.column != nullptr && field.column->number == column.number; };
        if (std::none_of(change.fields.begin(), change.fields.end(), is_this)) fields.push_back(column.name);
    }
    return fields;
}

Obstacle not_recorded(const RecordedChange& change) {
    Obstacle obstacle;
    for (const ChangedField& field : change.fields) {
        if (!field.recorded) obstacle.fields.push_back(field.name);
    }
    if (obstacle.fields.empty()) return obstacle;
    std::vector<std::string> names;
    for (const std::string& name : obstacle.fields) names.push_back(quoted(name));
    bool secret = std::any_of(change.fields.begin(), change.fields.end(), [](const ChangedField& field) { return field.secret; });
    obstacle.detail = "The values of " + join(names, ", ") + (secret ? " are secret, and were not recorded." : " were too large to be recorded.");
    obstacle.hint = "Change the document by hand.";
    return obstacle;
}

Obstacle not_as_recorded(const DocumentType& documents, const RecordedChange& change, const std::string& name, const pg::RowValues& row) {
    Obstacle obstacle;
    bool removes = change.operation == Operation::remove;
    if (removes && !change.has_diff) {
        if (pg::same_image(pg::fingerprint(row, documents.relation()), change.fingerprint.datum, false, 16)) return obstacle;
        obstacle.detail = described(documents, name) + " has been changed since it was inserted.";
        obstacle.hint = "Change or delete it by hand.";
        return obstacle;
    }
    for (const ChangedField& field : change.fields) {
        if (!is_as(field, row, field.from)) obstacle.fields.push_back(field.name);
    }
    if (!removes) return obstacle;
    for (std::string& field : fields_beside(documents, change, row)) obstacle.fields.push_back(std::move(field));
    return obstacle;
}

}  // namespace

RecordedChange read_change(const DocumentType& documents, Operation recorded, pg::Value diff, pg::Value fingerprint, bool backwards) {
    RecordedChange change{replayed(recorded, backwards), !diff.null, {}, fingerprint};
    if (diff.null) return change;
    pg::CanonicalOutput canonical;
    for (const pg::JsonField& item : pg::json_fields(diff.datum)) {
        ChangedField& field = change.fields.emplace_back();
        field.name = item.key;
        field.column = documents.relation().column(item.key);
        auto sides = pg::json_fields(item.value);
        field.recorded = sides.size() == 2;
        field.secret = sides.size() == 1 && sides[0].key == "secret";
        for (const pg::JsonField& side : sides) {
            if (field.column == nullptr || !field.recorded) break;
            bool from = (side.key == "old") != backwards;
            (from ? field.from : field.to) = pg::json_to_value(side.value, field.column->type, field.column->typmod, true);
        }
    }
    return change;
}

std::string name_before(const DocumentType& documents, const RecordedChange& change, const std::string& recorded_name) {
    const ColumnSet& key = documents.key();
    auto of_key = [&](const ChangedField& field) {
        return field.column != nullptr && field.recorded && contains(key, field.column->number);
    };
    if (change.operation != Operation::update || std::none_of(change.fields.begin(), change.fields.end(), of_key)) return recorded_name;
    pg::RowValues row = pg::empty_row(documents.relation());
    documents.set_key(row, recorded_name);
    for (const ChangedField& field : change.fields) {
        if (of_key(field)) row.set(field.column->number, field.from);
    }
    return documents.name_of(row);
}

Obstacle take_along(const DocumentType& documents, const RecordedChange& change, const std::string& name, DocumentState& state) {
    Obstacle obstacle = not_recorded(change);
    if (!obstacle.none()) return obstacle;
    if (!change.has_diff && change.fingerprint.null) {
        obstacle.detail = "No diff of it was kept.";
    } else if (change.operation == Operation::insert) {
        if (state) obstacle.detail = described(documents, name) + " already exists.";
    } else if (!state) {
        obstacle.detail = described(documents, name) + " does not exist any more.";
    } else {
        obstacle = not_as_recorded(documents, change, name, *state);
    }
    if (obstacle.none()) force_along(documents, change, state);
    return obstacle;
}

bool tells_result(const RecordedChange& change) {
    return change.operation == Operation::remove || (change.has_diff && not_recorded(change).none());
}

void force_along(const DocumentType& documents, const RecordedChange& change, DocumentState& state) {
    if (change.operation == Operation::remove) {
        state.reset();
        return;
    }
    if (change.operation == Operation::update && !state) return;
    state = change.operation == Operation::insert ? pg::empty_row(documents.relation()) : pg::copy_of(*state);
    for (const ChangedField& field : change.fields) {
        if (field.column != nullptr && field.recorded) state->set(field.column->number, field.to);
    }
}

bool same_state(const DocumentType& documents, const DocumentState& one, const DocumentState& other) {
    if (!one || !other) return one.has_value() == other.has_value();
    return documents.changed_columns(*one, *other).empty();
}

ColumnSet columns_to_insert(const DocumentType& documents, const pg::RowValues& row) {
    ColumnSet columns;
    for (const pg::Column& column : documents.relation().columns) {
        if (column.dropped || column.generated) continue;
        bool null_on_purpose = column.filled_by_default && !column.not_null;
        if (!row.at(column.number).null || null_on_purpose) columns.push_back(column.number);
    }
    return columns;
}

}  // namespace sync_job
