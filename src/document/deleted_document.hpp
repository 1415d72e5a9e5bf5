// Documents that are gone: kept when they were deleted, found again by the jobs that sync the deletion.
#pragma once

#include <string>

#include "document/document.hpp"

namespace sync_job {

// Keeps the row as it was. For triggers.
void keep_deleted_document(const DocumentType& type, const std::string& name, const pg::RowValues& row);

// The document as it was when it was deleted last, as a composite value; null when no record was kept. For who may SELECT
// it and has not found it. Null, too, where the table's policies apply to the current user: whether they would have
// shown the row cannot be asked of a row that is gone.
pg::Value find_deleted_document(const DocumentType& type, const std::string& name);

}  // namespace sync_job
