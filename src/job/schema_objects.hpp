// Where the extension's own objects are in this database: looked up once, again after their definition has changed.
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
    Oid live_id = 0, live_claim = 0, live_scheduled = 0, live_source = 0, live_job_id = 0, failed_id = 0, ended_id = 0;
    Oid type_table = 0, queue_table = 0, error_table = 0, deleted_table = 0;
    Oid id_sequence = 0, deleted_sequence = 0;
    Oid target_type = 0, result_type = 0;  // sync_job_target, sync_job_result
    // Why what sync_job_type says cannot be trusted: somebody else's trigger has the last word on its rows. Empty: it can.
    std::string type_table_problem;
    // False until ALTER EXTENSION UPDATE: what has come since that version is not there.
    bool current = true;

    Oid partition(Partition which) const;
    Oid id_index(Partition which) const;
    // A relation of @extschema@ or sync_job_internal, for SQL text.
    std::string in_schema(const char* name) const { return schema + "." + name; }
    // Of a table of the extension. For columns that have come since 0.1.0, and statements that name them.
    bool has_column(Oid table, std::string_view column) const;
    bool operator==(const SchemaObjects&) const = default;
};

// Raises 55000 when the extension is not installed here, or is of a version that this library does not know. An older one that
// it knows is good for enqueueing, reading and all that runs no job. The reference stays good, and always shows what is
// known by now: callers run code that looks again, and indexes have other OIDs after REINDEX CONCURRENTLY.
const SchemaObjects& schema_objects();

bool extension_installed();
// The extension is of another version than this library, so that no job may run.
struct OtherVersion {
    pg::Error error;  // says so
    bool known;       // an older one that is good for the rest
};
std::optional<OtherVersion> other_version();
// Raises that error: for whoever runs jobs in a session.
void require_this_version();

// Raises 55000 where the rules of sync_job_type may have been passed by.
void require_trusted_types();

// For the relcache callback; and where a table has been opened, before it is used.
void invalidate_schema_objects(Oid relation);
void refresh_schema_objects();

}  // namespace sync_job
