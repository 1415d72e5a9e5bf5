// The extension's own tables are ordinary tables to others: what may be hung on them, and what is refused.
#pragma once

#include <string>

#include "pg/types.hpp"

namespace sync_job {

// Has the server ask here when a trigger or foreign key is made, or a table truncated.
void register_table_guard();

// What somebody has hung on the tables that keeps the jobs from being enqueued or recorded, as a sentence; empty: nothing.
std::string in_the_way();

// Raises 55000 where rows of the table are referred to by a foreign key: the engine deletes them without asking it.
void require_not_referred_to(Oid relation);

}  // namespace sync_job
