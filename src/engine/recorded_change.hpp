// The change of one document that a job has recorded, and replaying it on a row: forwards to apply a dry run, or backwards to undo a job.
// Value by value, exactly.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/state.hpp"
#include "document/document.hpp"

namespace sync_job {

// One field of a diff: the value it must have, and the value it gets.
struct ChangedField {
    std::string name;
    const pg::Column* column = nullptr;  // null: the column was dropped
    bool recorded = true;                // false: its values were too large or are secret
    bool secret = false;
    pg::Value from, to;
};

struct RecordedChange {
    Operation operation;  // the operation to perform
    bool has_diff = false;
    std::vector<ChangedField> fields;
    pg::Value fingerprint;  // of the inserted row
};

// The values live in the current memory context. `diff` and `fingerprint` may be null.
RecordedChange read_change(const DocumentType& documents, Operation recorded, pg::Value diff, pg::Value fingerprint, bool backwards);

// The document's name before the change is replayed. The record has the name after it was made, and the change may be one of the key.
std::string name_before(const DocumentType& documents, const RecordedChange& change, const std::string& recorded_name);

// Why a change cannot be replayed on a document: the fields that are not as the diff says, or a text.
struct Obstacle {
    std::vector<std::string> fields;
    std::string detail, hint;
    bool none() const { return fields.empty() && detail.empty(); }
};

// The state of a document; without a row, it does not exist.
using DocumentState = std::optional<pg::RowValues>;

// Replays the change, if the document is as the change says; `name` is for messages.
Obstacle take_along(const DocumentType& documents, const RecordedChange& change, const std::string& name, DocumentState& state);
// Whether the record fully determines the document after the change: no value is missing because it is secret or was too large.
bool tells_result(const RecordedChange& change);
// Replays the change whatever the document is like; a column whose value is missing stays unchanged.
void force_along(const DocumentType& documents, const RecordedChange& change, DocumentState& state);
// Whether the two are the same, apart from generated columns.
bool same_state(const DocumentType& documents, const DocumentState& one, const DocumentState& other);

// The columns to insert so that the document is exactly as before: a null is written if a default would otherwise take its place.
ColumnSet columns_to_insert(const DocumentType& documents, const pg::RowValues& row);

}  // namespace sync_job
