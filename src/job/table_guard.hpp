// To users the extension's own tables are ordinary tables: which triggers and foreign keys are allowed, and what is
// refused.
#pragma once

#include <string>

#include "pg/types.hpp"

namespace sync_job {

// Makes the server ask here before a trigger or foreign key is created, or a table truncated.
void register_table_guard();

// What users have attached to the tables that prevents jobs from being enqueued or recorded, as a sentence; empty:
// nothing.
std::string in_the_way();

// Raises 55000 if a foreign key references the table: the engine deletes rows without checking it.
void require_not_referred_to(Oid relation);

}  // namespace sync_job
