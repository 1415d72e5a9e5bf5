// Hooks into the server while other code runs: captured messages, commands on databases, and lines of context for error
// reports.
#pragma once

#include <string>

#include "pg/types.hpp"

namespace sync_job::pg {

// Installs the hooks; at load, once.
void install_hooks();

// Captures messages at NOTICE and above (except errors) while it lives. Needs a SettingsScope around it. What a nested
// one has captured is added to the outer one at its end.
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

// A line of CONTEXT for every error raised below it.
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

// DROP, RENAME and SET TABLESPACE of a database, and CREATE DATABASE with it as the template, need it to be free of
// sessions: `before` is called with its OID, then the command runs. `created` is called after a CREATE DATABASE.
struct DatabaseCommandHook {
    void (*before)(Oid database);
    void (*created)();
};
void on_database_command(DatabaseCommandHook hook);

// Called after COMMIT PREPARED and ROLLBACK PREPARED, in the transaction of that command. It must not raise.
void on_prepared_end(void (*ended)() noexcept);

}  // namespace sync_job::pg
