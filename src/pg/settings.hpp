// Settings (GUCs): those of the extension, and those a job runs with.
#pragma once

#include <string>
#include <string_view>

namespace sync_job::pg {

// Undoes, at the end of the scope, everything that any code has SET in it.
class SettingsScope {
public:
    SettingsScope();
    ~SettingsScope();
    SettingsScope(const SettingsScope&) = delete;
    SettingsScope& operator=(const SettingsScope&) = delete;

private:
    int nest_level_;
    int exceptions_;
};

// Like SET LOCAL, within the innermost SettingsScope.
void set_local(const char* name, const std::string& value);
// The same for a setting that only superusers may change, whoever the current user is.
void set_local_as_superuser(const char* name, const std::string& value);
// Like SET, for the rest of the session, and as its default.
void set_session(const char* name, const std::string& value);
// Sets it as ALTER DATABASE ... SET would have done at the beginning of the session.
void set_from_database(const char* name, const std::string& value);
// Like DISCARD ALL: settings, role and session user become what they were when the session began. Must be called outside a transaction.
void reset_settings();
std::string get_setting(const char* name);
std::string_view search_path();
// Whether this looks like a script of pg_dump, in which rows come before what they need: search_path is empty, and check_function_bodies is
// off.
bool restores();

// Definitions, to be made at load. The values are read from the variables.
struct IntegerSetting {
    const char* name;
    const char* description;
    const char* details;
    int* variable;
    int initial, minimum, maximum;
};
enum class Unit { none, milliseconds, seconds, days };
enum class Change { at_start, on_reload, by_superuser, by_user };
void define_setting(const IntegerSetting& setting, Unit unit, Change change);
void define_setting(const char* name, const char* description, const char* details, bool* variable, bool initial,
                    Change change);
// A text that is empty or passes the check; there can be only one setting with a check.
struct TextSetting {
    const char* name;
    const char* description;
    const char* details;
    char** variable;
    bool (*is_valid)(std::string_view text);  // null: any text is valid
    const char* expected;                     // a sentence for the error
    const char* initial = "";
};
void define_setting(const TextSetting& setting, Change change);
// A setting that can be read, but not set.
void define_constant(const char* name, const char* description, const char* details, const char* value);
void reserve_setting_prefix(const char* prefix);

// Rereads postgresql.conf if the postmaster has asked for that (SIGHUP).
void reload_settings_if_asked();

}  // namespace sync_job::pg
