#include "pg/server.hpp"

extern "C" {
#include "mb/pg_wchar.h"
}

#include "pg/error.hpp"
#include "pg/hooks.hpp"
#include "pg/settings.hpp"

namespace sync_job::pg {

namespace {

emit_log_hook_type previous_log_hook = nullptr;
ProcessUtility_hook_type previous_utility_hook = nullptr;
DatabaseCommandHook database_hook = {};
void (*prepared_ended)() noexcept = nullptr;
std::string* captured = nullptr;
int log_level_before_capture = WARNING;

constexpr std::size_t most_captured = 1 << 20;

void capture_line(const char* label, const char* text) {
    if (text == nullptr || captured->size() > most_captured) return;
    captured->append(label);
    captured->append(text, strnlen(text, most_captured));
    captured->push_back('\n');
    if (captured->size() > most_captured) {
        captured->resize(pg_mbcliplen(captured->data(), static_cast<int>(captured->size()), most_captured));
        captured->append("\nNOTICE:  further messages are omitted\n");
    }
}

void on_log(ErrorData* data) {
    if (captured != nullptr && data->elevel >= NOTICE && data->elevel < ERROR) {
        try {
            capture_line(data->elevel == WARNING ? "WARNING:  " : "NOTICE:  ", data->message);
            capture_line("DETAIL:  ", data->detail);
            capture_line("HINT:  ", data->hint);
        } catch (...) {
            // Out of memory: the message is lost, the job is not.
        }
        if (data->elevel < log_level_before_capture) data->output_to_server = false;
    }
    if (previous_log_hook != nullptr) previous_log_hook(data);
}

bool moves_to_tablespace(const AlterDatabaseStmt* statement) {
    ListCell* cell;
    foreach (cell, statement->options) {
        if (std::strcmp(lfirst_node(DefElem, cell)->defname, "tablespace") == 0) return true;
    }
    return false;
}

// The template that CREATE DATABASE copies.
const char* template_of(const CreatedbStmt* statement) {
    ListCell* cell;
    foreach (cell, statement->options) {
        DefElem* option = lfirst_node(DefElem, cell);
        if (std::strcmp(option->defname, "template") == 0 && option->arg != nullptr) return defGetString(option);
    }
    return "template1";
}

// The database that must have no sessions for the command, or null.
const char* database_of(Node* statement) {
    switch (nodeTag(statement)) {
        case T_DropdbStmt:
            return castNode(DropdbStmt, statement)->dbname;
        case T_RenameStmt: {
            auto* rename = castNode(RenameStmt, statement);
            return rename->renameType == OBJECT_DATABASE ? rename->subname : nullptr;
        }
        case T_AlterDatabaseStmt: {
            auto* alter = castNode(AlterDatabaseStmt, statement);
            return moves_to_tablespace(alter) ? alter->dbname : nullptr;
        }
        case T_CreatedbStmt:
            return template_of(castNode(CreatedbStmt, statement));
        default:
            return nullptr;
    }
}

bool owns(Oid catalog, Oid object) {
#if PG_VERSION_NUM >= 160000
    return object_ownercheck(catalog, object, GetUserId());
#else
    return catalog == DatabaseRelationId ? pg_database_ownercheck(object, GetUserId()) : pg_extension_ownercheck(object, GetUserId());
#endif
}

const char* extension_changed_by(Node* statement) {
    if (IsA(statement, AlterExtensionStmt)) return castNode(AlterExtensionStmt, statement)->extname;
    if (!IsA(statement, AlterObjectSchemaStmt)) return nullptr;
    auto* move = castNode(AlterObjectSchemaStmt, statement);
    return move->objectType == OBJECT_EXTENSION ? strVal(move->object) : nullptr;
}

// ALTER EXTENSION locks the tables one after the other. A transaction of a scheduler or worker that has locked the first table and wants
// another one would deadlock with it. So, like DROP EXTENSION, it first waits here until no such transaction is in progress
// (lock_extension()).
void lock_before_change(Node* statement) {
    const char* name = extension_changed_by(statement);
    if (name == nullptr || std::strcmp(name, "pg_sync_job") != 0 || RecoveryInProgress()) return;
    Oid extension = get_extension_oid(name, true);
    if (extension != no_oid && owns(ExtensionRelationId, extension)) LockDatabaseObject(ExtensionRelationId, extension, 0, AccessExclusiveLock);
}

// If this returns false, the command fails, and must not have disturbed anybody. A role that may copy a database without owning it copies a
// template, which no worker serves.
bool may_succeed(Node* statement, Oid database, bool top_level) {
    if (!owns(DatabaseRelationId, database)) return false;
    if (IsA(statement, RenameStmt)) return database != MyDatabaseId;
    if (IsInTransactionBlock(top_level)) return false;
    return IsA(statement, CreatedbStmt) || database != MyDatabaseId;
}

void run_next(PlannedStmt* statement, const char* query, bool read_only_tree, ProcessUtilityContext context,
              ParamListInfo parameters, QueryEnvironment* environment, DestReceiver* receiver,
              QueryCompletion* completion) {
    auto next = previous_utility_hook != nullptr ? previous_utility_hook : standard_ProcessUtility;
    next(statement, query, read_only_tree, context, parameters, environment, receiver, completion);
}

bool ends_prepared(Node* statement) {
    if (!IsA(statement, TransactionStmt)) return false;
    TransactionStmtKind kind = castNode(TransactionStmt, statement)->kind;
    return kind == TRANS_STMT_COMMIT_PREPARED || kind == TRANS_STMT_ROLLBACK_PREPARED;
}

void on_utility(PlannedStmt* statement, const char* query, bool read_only_tree, ProcessUtilityContext context,
                ParamListInfo parameters, QueryEnvironment* environment, DestReceiver* receiver,
                QueryCompletion* completion) {
    const char* database = database_hook.before != nullptr ? database_of(statement->utilityStmt) : nullptr;
    if (database == nullptr) {
        lock_before_change(statement->utilityStmt);
        bool prepared = ends_prepared(statement->utilityStmt);
        run_next(statement, query, read_only_tree, context, parameters, environment, receiver, completion);
        if (prepared && prepared_ended != nullptr) prepared_ended();
        return;
    }
    boundary([&] {
        bool top_level = context == PROCESS_UTILITY_TOPLEVEL;
        Oid oid = guarded([&] { return get_database_oid(database, true); });
        bool creates = IsA(statement->utilityStmt, CreatedbStmt);
        bool acts = oid != no_oid && guarded([&] { return may_succeed(statement->utilityStmt, oid, top_level); });
        if (acts) database_hook.before(oid);
        guarded([&] {
            run_next(statement, query, read_only_tree, context, parameters, environment, receiver, completion);
        });
        if (creates) database_hook.created();
    });
}

void add_context_line(void* line) { errcontext("%s", static_cast<std::string*>(line)->c_str()); }

}  // namespace

void install_hooks() {
    previous_log_hook = emit_log_hook;
    emit_log_hook = on_log;
    previous_utility_hook = ProcessUtility_hook;
    ProcessUtility_hook = on_utility;
}

void on_database_command(DatabaseCommandHook hook) { database_hook = hook; }
void on_prepared_end(void (*ended)() noexcept) { prepared_ended = ended; }

namespace {

// The lowest level of messages that this process writes to the log.
int log_level() {
#if PG_VERSION_NUM >= 190000
    return log_min_messages[MyBackendType];
#else
    return log_min_messages;
#endif
}

}  // namespace

MessageCapture::MessageCapture(bool active) : active_(active), outer_(captured) {
    if (!active_) return;
    if (outer_ == nullptr) log_level_before_capture = log_level();
    if (log_level() > NOTICE) set_local_as_superuser("log_min_messages", "notice");
    captured = &text_;
}

MessageCapture::~MessageCapture() {
    if (!active_) return;
    captured = outer_;
    if (outer_ == nullptr) return;
    try {
        outer_->append(text_);
    } catch (...) {
        // Out of memory: the messages are lost, the job is not.
    }
}

const std::string& MessageCapture::text() const { return text_; }

ErrorContext::ErrorContext(const std::string& line) : line_(line) {
    static_assert(sizeof(ErrorContextCallback) <= sizeof(callback_));
    auto* callback = reinterpret_cast<ErrorContextCallback*>(callback_);
    callback->previous = error_context_stack;
    callback->callback = add_context_line;
    callback->arg = &line_;
    error_context_stack = callback;
}

ErrorContext::~ErrorContext() { error_context_stack = reinterpret_cast<ErrorContextCallback*>(callback_)->previous; }

}  // namespace sync_job::pg
