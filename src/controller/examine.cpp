#include "controller/examine.hpp"

#include <functional>

#include "controller/controller.hpp"
#include "controller/mapping.hpp"
#include "core/text.hpp"
#include "engine/document.hpp"
#include "engine/running.hpp"
#include "pg/role.hpp"
#include "pg/settings.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

void check_run_as(const JobType& type) {
    std::string name = quoted(pg::role_name(type.run_as));
    if (!pg::role_exists(type.run_as)) throw pg::Error("42704", "role " + name + " does not exist");
    if (pg::workers_need_login && !pg::role_can_log_in(type.run_as)) {
        throw pg::Error("42501", "role " + name + " may not log in")
            .hint("ALTER ROLE … LOGIN, or name another role in run_as.");
    }
    if (!pg::role_can_connect(type.run_as)) {
        throw pg::Error("42501", "role " + name + " may not connect to this database")
            .hint("GRANT CONNECT ON DATABASE … to it.");
    }
}

pg::Error match_warning(const JobType& type, const Mapping& mapping) {
    std::string label = quoted(pg::relation_name(type.target));
    pg::Error warning("01000", mapping.match_is_indexed()
                                   ? "no unique index of " + label + " makes sure that one document matches"
                                   : "no index of " + label + " finds the document that matches");
    if (mapping.match_is_indexed()) {
        warning.detail("Two jobs at a time may insert two documents for one source; then both fail.");
    } else {
        warning.detail("Each look-up reads all documents; and two jobs at a time may insert two for one source.");
    }
    return warning.hint("Create a unique index on the columns of match.");
}

}  // namespace

std::vector<Finding> examine(const JobType& type) {
    std::vector<Finding> findings;
    auto look = [&](const std::string& object, const std::function<void()>& check) {
        try {
            pg::Subtransaction subtransaction;  // an error of the server must not end it all
            check();
            subtransaction.commit();
        } catch (const pg::Error& error) {
            findings.push_back({true, object, error.share()});
        }
    };
    look("run_as", [&] { check_run_as(type); });
    look("queue", [&] { require_queue(type.queue); });
    if (type.source != pg::no_oid)
        look("source_document_type", [&] { DocumentType::find(type.source, type.source_key); });
    if (type.target != pg::no_oid)
        look("target_document_type", [&] { DocumentType::find(type.target, type.target_key); });
    if (type.declarative()) {
        look("field_map", [&] {
            pg::SettingsScope settings;
            set_search_path(type);
            Mapping* mapping = find_controller(type)->mapping();
            if (!mapping->match_is_unique()) findings.push_back({false, "match", match_warning(type, *mapping).share()});
        });
    } else {
        examine_functions(type, look);
    }
    if (type.disabled) {
        findings.push_back(
            {false, "disabled", pg::Error("55000", "sync job type " + quoted(type.name) + " is disabled").share()});
    }
    return findings;
}

}  // namespace sync_job
