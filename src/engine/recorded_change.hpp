// What a job has recorded of a change of one document, and taking a row along it: forwards, as a dry run is applied, or
// backwards, as a job is undone. Value by value, exactly.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/state.hpp"
#include "document/document.hpp"

namespace sync_job {

// One field of a diff: what it must be, and what it becomes.
struct ChangedField {
    std::string name;
    const pg::Column* column = nullptr;  // null: it was dropped
    bool recorded = true;                // false: its values were too large, or are secret
    bool secret = false;
    pg::Value from, to;
};

struct RecordedChange {
    Operation operation;  // what is to be done
    bool has_diff = false;
    std::vector<ChangedField> fields;
    pg::Value fingerprint;  // of the row that was inserted
};

// The values live in the current memory context. `diff` and `fingerprint` may be null.
RecordedChange read_change(const DocumentType& documents, Operation recorded, pg::Value diff, pg::Value fingerprint, bool backwards);

// The document's name before it is taken along the change. The record has that after it was made, and the change may be one of the key.
std::string name_before(const DocumentType& documents, const RecordedChange& change, const std::string& recorded_name);

// Why a document cannot be taken along: the fields that are not as the diff says, or a sentence.
struct Obstacle {
    std::vector<std::string> fields;
    std::string detail, hint;
    bool none() const { return fields.empty() && detail.empty(); }
};

// A document; without a row it does not exist.
using DocumentState = std::optional<pg::RowValues>;

// Takes it along, if it is as the change says; `name` is for messages.
Obstacle take_along(const DocumentType& documents, const RecordedChange& change, const std::string& name, DocumentState& state);
// Whether the record tells how the document is after it: no value is missing, as one that is secret or was too large.
bool tells_result(const RecordedChange& change);
// The same, whatever it is like; a value that is missing stays as it is.
void force_along(const DocumentType& documents, const RecordedChange& change, DocumentState& state);
// Whether the two are the same, but for generated columns.
bool same_state(const DocumentType& documents, const DocumentState& one, const DocumentState& other);

// The columns to insert so that a document is as it was: a null is written where a default would take its place.
ColumnSet columns_to_insert(const DocumentType& documents, const pg::RowValues& row);

}  // namespace sync_job
