// Hooks into the server while other code runs: capturing messages, commands on databases, and context lines for error reports.
#pragma once

#include <string>

#include "pg/types.hpp"

namespace sync_job::pg {

// Installs the hooks. Called once, at load.
void install_hooks();

// While it lives, captures messages at NOTICE and above (except errors). Needs a SettingsScope around it. When a nested one ends, what it
// has captured is added to the outer one.
class MessageCapture {
public:
    explicit MessageCapture(bool active);
    ~MessageCapture();
    MessageCapture(const MessageCapture&) = delete;
    MessageCapture& operator=(const MessageCapture&) = delete;
    const std::string& text() const;

private:
    bool active_;
    std::string text_;
    std::string* outer_ = nullptr;
};

// A line of CONTEXT for every error that is raised while it lives.
class ErrorContext {
public:
    explicit ErrorContext(const std::string& line);
    ~ErrorContext();
    ErrorContext(const ErrorContext&) = delete;
    ErrorContext& operator=(const ErrorContext&) = delete;

private:
    alignas(8) unsigned char callback_[32];
    std::string line_;
};

// DROP, RENAME and SET TABLESPACE of a database, and CREATE DATABASE with it as the template, need it to have no sessions: `before` is
// called with its OID, then the command runs. `created` is called after a CREATE DATABASE.
struct DatabaseCommandHook {
    void (*before)(Oid database);
    void (*created)();
};
void on_database_command(DatabaseCommandHook hook);

// Called after COMMIT PREPARED and ROLLBACK PREPARED, in the transaction of that command. It must not raise.
void on_prepared_end(void (*ended)() noexcept);

}  // namespace sync_job::pg
