// Old rows of documents. Triggers keep one when a document is deleted, or when a change leaves a target behind under
// the old value; the jobs that sync this find it again.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "document/document.hpp"
#include "job/internal_sql.hpp"
#include "pg/error.hpp"

namespace sync_job {

enum class Kept { deleted, changed };

// For triggers: one row for each type whose trigger fires, with all columns or those of `only`. A row of more than 16 MB is kept
// without its largest columns, as the application's write must not fail because of it.
void keep_document(const DocumentType& type, const std::string& sync_job_type, const std::string& name,
                   const pg::RowValues& row, Kept why, const std::optional<ColumnSet>& only);
// False until ALTER EXTENSION UPDATE: a library of 0.1.0 would take them for deletions.
bool keeps_changed_documents();

struct KeptRow {
    std::int64_t id = 0;
    pg::Timestamp kept_at = 0;
    bool own = false;       // of this type; or from 0.1.0, which did not record the type
    bool nameless = false;  // from 0.1.0, and kept_at is the start of the transaction
    bool is_deletion = false;
    Datum data = 0;  // exact jsonb
};

// The kept rows of a document, newest first, for a caller that may SELECT it. None if the table's policies apply to the
// current user: they cannot be checked for a row that is gone.
std::vector<KeptRow> kept_rows(const DocumentType& type, const std::string& sync_job_type, const std::string& name,
                               InternalStatement::Sees sees = InternalStatement::Sees::newest);
// The kept rows of interest to the type, without data, of those of the documents that have any.
std::map<std::string, std::vector<KeptRow>> kept_rows_of(const DocumentType& type, const std::string& sync_job_type,
                                                         const std::vector<std::string>& names);
// Deletes the type's own rows, and marks the others as no longer deletions: the document has been seen alive since.
void forget_earlier_lives(const std::vector<KeptRow>& rows);
// Deletes the type's own rows except `last`, the deletion that counts.
void forget_before(const std::vector<KeptRow>& rows, std::int64_t last);

// A kept row, as far as its columns can be read now.
struct KeptDocument {
    pg::RowValues row;
    ColumnSet absent;  // added, or renamed, since
    struct Unread {
        int column;
        std::shared_ptr<const pg::ErrorReport> error;  // names the row and the column
        bool on_purpose = false;                       // its value was not to be kept
    };
    std::vector<Unread> unread;
    std::string described;  // the kept row of document "5" …
};
KeptDocument read_kept(const DocumentType& type, const std::string& name, const KeptRow& row);
// The whole row as a composite value; raises the error of a column that cannot be read.
pg::Value whole_document(const DocumentType& type, const KeptDocument& kept);

// The document as it was when last deleted, as a composite value, with null for what was left out on purpose; null if no row was kept.
// Same rights as for kept_rows().
pg::Value find_deleted_document(const DocumentType& type, const std::string& name);

}  // namespace sync_job
