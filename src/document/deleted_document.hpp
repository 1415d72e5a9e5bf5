// Rows of documents as they were: kept by the triggers when a document is deleted, and when a change leaves a target behind
// under the value it had; found again by the jobs that sync this.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "document/document.hpp"
#include "pg/error.hpp"

namespace sync_job {

enum class Kept { deleted, changed };

// For triggers: a row for each type whose trigger fires. A row of more than 16 MB is kept without its largest columns, as the
// application's write must not fail because of it.
void keep_document(const DocumentType& type, const std::string& sync_job_type, const std::string& name,
                   const pg::RowValues& row, Kept why);
// Not before ALTER EXTENSION UPDATE: a library of 0.1.0 would take them for deletions.
bool keeps_changed_documents();

struct KeptRow {
    std::int64_t id = 0;
    pg::Timestamp kept_at = 0;
    bool own = false;       // of this type; or of 0.1.0, which did not say whose
    bool nameless = false;  // of 0.1.0, and kept_at is the start of the transaction
    bool is_deletion = false;
    Datum data = 0;  // exact jsonb
};

// Those of a document, the newest first. For who may SELECT it. None where the table's policies apply to the current user:
// whether they would have shown a row cannot be asked of one that is gone.
std::vector<KeptRow> kept_rows(const DocumentType& type, const std::string& sync_job_type, const std::string& name);
// Which of the documents have any that concern the type.
std::set<std::string> names_with_kept_rows(const DocumentType& type, const std::string& sync_job_type,
                                           const std::vector<std::string>& names);
// Those of the type go, and no other is a deletion any more: the document has been seen alive since.
void forget_earlier_lives(const std::vector<KeptRow>& rows);
// Those of the type go, but for `last`, the deletion that counts.
void forget_before(const std::vector<KeptRow>& rows, std::int64_t last);

// A kept row, as far as its columns can be read now.
struct KeptDocument {
    pg::RowValues row;
    ColumnSet absent;  // added, or renamed, since
    struct Unread {
        int column;
        std::shared_ptr<const pg::ErrorReport> error;  // names the row and the column
    };
    std::vector<Unread> unread;
    std::string described;  // the kept row of document "5" …
};
KeptDocument read_kept(const DocumentType& type, const std::string& name, const KeptRow& row);
// All of it as a composite value; raises what cannot be read.
pg::Value whole_document(const DocumentType& type, const KeptDocument& kept);

// The document as it was when it was deleted last, as a composite value; null when no record was kept. As kept_rows().
pg::Value find_deleted_document(const DocumentType& type, const std::string& name);

}  // namespace sync_job
