// Where the extension's own objects are in this database: looked up once, and again after a definition has changed.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/state.hpp"
#include "pg/error.hpp"
#include "pg/types.hpp"

namespace sync_job {

struct SchemaObjects {
    Oid extension = 0;
    Oid owner = 0;            // of the tables: the role the engine's own queries run as
    std::string schema;       // @extschema@, quoted
    std::string schema_name;  // the same, plain
    Oid schema_oid = 0;
    Oid job_table = 0, job_row_type = 0;
    Oid live = 0, failed = 0, ended = 0;
    Oid live_id = 0, live_claim = 0, live_scheduled = 0, live_held = 0, live_source = 0, live_job_id = 0;
    Oid failed_id = 0, ended_id = 0;
    Oid type_table = 0, queue_table = 0, error_table = 0, deleted_table = 0, written_table = 0;
    Oid document_table = 0;  // sync_job_document; not of 0.1.0
    Oid live_push = 0, http_request = 0, http_document = 0;  // the same
    Oid id_sequence = 0, deleted_sequence = 0;
    Oid target_type = 0, result_type = 0;  // sync_job_target, sync_job_result
    // Why the rows of sync_job_type cannot be trusted: a trigger that is not ours has the last word on them. Empty: they
    // can.
    std::string type_table_problem;
    // False until ALTER EXTENSION UPDATE: what was added since the old version is missing.
    bool current = true;

    Oid partition(Partition which) const;
    Oid id_index(Partition which) const;
    // A relation of @extschema@, for SQL text.
    std::string in_schema(const char* name) const { return schema + "." + name; }
    // Whether a table of the extension has the column. For columns added since 0.1.0, and statements that name them.
    bool has_column(Oid table, std::string_view column) const;
    bool operator==(const SchemaObjects&) const = default;
};

// Raises 55000 if the extension is not installed here, or has a version that this library does not know. A known older
// version will do for enqueueing, reading and everything else that runs no job. The reference stays valid and always
// shows the newest look-up: the caller may run code that looks again, and REINDEX CONCURRENTLY changes the OIDs of
// indexes.
const SchemaObjects& schema_objects();

// Locks the extension until the transaction ends; false if it does not exist. A process of the extension calls this before it uses the
// tables: DROP EXTENSION locks the extension first, and then the tables in an order of its own.
bool hold_extension();
// Set if the extension has another version than this library, so that no job may run.
struct OtherVersion {
    pg::Error error;  // to be raised
    bool known;       // an older one that will do for everything else
};
std::optional<OtherVersion> other_version();
// Raises that error; for sessions that run jobs.
void require_this_version();

// Raises 55000 if the checks of sync_job_type may have been bypassed.
void require_trusted_types();

// The first is for the relcache callback; the second is called after a table has been opened, before it is used.
void invalidate_schema_objects(Oid relation);
void refresh_schema_objects();

}  // namespace sync_job
