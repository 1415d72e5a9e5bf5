// Documents that are gone: kept when they were deleted, found again by the jobs that sync the deletion.
#pragma once

#include <string>

#include "document/document.hpp"

namespace sync_job {

// Keeps the row as it was. For triggers.
void keep_deleted_document(const DocumentType& type, const std::string& name, const pg::RowValues& row);

// The document as it was when it was deleted last, as a composite value; null when no record was kept.
pg::Value find_deleted_document(const DocumentType& type, const std::string& name);

}  // namespace sync_job
