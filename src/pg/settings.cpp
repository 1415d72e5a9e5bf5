#include "pg/server.hpp"

#include "pg/error.hpp"
#include "pg/settings.hpp"

namespace sync_job::pg {

SettingsScope::SettingsScope() : nest_level_(NewGUCNestLevel()), exceptions_(std::uncaught_exceptions()) {}

SettingsScope::~SettingsScope() {
    if (std::uncaught_exceptions() == exceptions_) guarded_cleanup([&] { AtEOXact_GUC(false, nest_level_); });
}

void set_local(const char* name, const std::string& value) {
    guarded([&] {
        set_config_option(name, value.c_str(), superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                          true, 0, false);
    });
}

void set_local_as_superuser(const char* name, const std::string& value) {
    guarded(
        [&] { set_config_option(name, value.c_str(), PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false); });
}

void set_session(const char* name, const std::string& value) {
    guarded([&] { set_config_option(name, value.c_str(), PGC_SUSET, PGC_S_OVERRIDE, GUC_ACTION_SET, true, 0, false); });
}

void set_from_database(const char* name, const std::string& value) {
    guarded([&] { set_config_option(name, value.c_str(), PGC_SUSET, PGC_S_DATABASE, GUC_ACTION_SET, true, 0, false); });
}

void reset_settings() {
    guarded([] {
        StartTransactionCommand();
        SetPGVariable("session_authorization", NIL, false);
        ResetAllOptions();
        CommitTransactionCommand();
    });
}

std::string get_setting(const char* name) {
    const char* value = guarded([&] { return GetConfigOption(name, true, false); });
    return value == nullptr ? std::string() : std::string(value);
}

std::string_view search_path() { return namespace_search_path; }

bool restores() {
    std::string_view path = search_path();
    return path.empty() || path == "\"\"" || get_setting("check_function_bodies") == "off";
}

namespace {

int flags_of(Unit unit) {
    switch (unit) {
        case Unit::milliseconds:
            return GUC_UNIT_MS;
        case Unit::seconds:
            return GUC_UNIT_S;
        default:
            return 0;  // PostgreSQL has no unit "day"
    }
}

GucContext context_of(Change change) {
    switch (change) {
        case Change::at_start:
            return PGC_POSTMASTER;
        case Change::on_reload:
            return PGC_SIGHUP;
        case Change::by_superuser:
            return PGC_SUSET;
        case Change::by_user:
            return PGC_USERSET;
    }
    return PGC_SIGHUP;
}

}  // namespace

void define_setting(const IntegerSetting& setting, Unit unit, Change change) {
    guarded([&] {
        DefineCustomIntVariable(setting.name, setting.description, setting.details, setting.variable, setting.initial,
                                setting.minimum, setting.maximum, context_of(change), flags_of(unit), nullptr, nullptr,
                                nullptr);
    });
}

void define_setting(const char* name, const char* description, const char* details, bool* variable, bool initial,
                    Change change) {
    guarded([&] {
        DefineCustomBoolVariable(name, description, details, variable, initial, context_of(change), 0, nullptr, nullptr,
                                 nullptr);
    });
}

namespace {

bool (*text_is_valid)(std::string_view) = nullptr;
const char* expected_text = nullptr;

bool check_text(char** text, void**, GucSource) {
    if (**text == '\0' || text_is_valid(*text)) return true;
    GUC_check_errdetail("%s", expected_text);
    return false;
}

}  // namespace

void define_setting(const TextSetting& setting, Change change) {
    bool checked = setting.is_valid != nullptr;
    if (checked) {
        text_is_valid = setting.is_valid;
        expected_text = setting.expected;
    }
    guarded([&] {
        DefineCustomStringVariable(setting.name, setting.description, setting.details, setting.variable, setting.initial, context_of(change), 0,
                                   checked ? check_text : nullptr, nullptr, nullptr);
    });
}

void define_constant(const char* name, const char* description, const char* details, const char* value) {
    static char* unused;  // the server keeps the value here
    guarded([&] {
        DefineCustomStringVariable(name, description, details, &unused, value, PGC_INTERNAL,
                                   GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE, nullptr, nullptr, nullptr);
    });
}

void reserve_setting_prefix(const char* prefix) {
    guarded([&] { MarkGUCPrefixReserved(prefix); });
}

void reload_settings_if_asked() {
    if (!ConfigReloadPending) return;
    ConfigReloadPending = false;
    guarded([] { ProcessConfigFile(PGC_SIGHUP); });
}

}  // namespace sync_job::pg
