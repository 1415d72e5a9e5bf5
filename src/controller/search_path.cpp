#include "controller/search_path.hpp"

#include <unordered_map>
#include <vector>

#include "core/text.hpp"
#include "document/document.hpp"
#include "job/schema_objects.hpp"
#include "pg/catalog.hpp"
#include "pg/settings.hpp"

namespace sync_job {

namespace {

std::string last_path, session_path;

std::string path_for(const JobType& type) {
    std::vector<std::string> path;
    auto add = [&](const std::string& schema) {
        std::string quoted_schema = pg::quoted_identifier(schema);
        for (const std::string& present : path) {
            if (present == quoted_schema) return;
        }
        path.push_back(quoted_schema);
    };
    if (!type.module.empty() && !type.declarative()) add(type.module);
    for (Oid relation : {type.source, type.target}) {
        if (relation != pg::no_oid) add(pg::relation_schema(relation));
    }
    add(schema_objects().schema_name);
    path.push_back("pg_temp");
    return join(path, ", ");
}

}  // namespace

const std::string& search_path_of(const JobType& type) {
    if (type.background) return session_path;
    struct Cached {
        std::uint64_t types = 0, documents = 0;
        std::string path;
    };
    static auto& paths = *new std::unordered_map<std::string, Cached>;
    Cached& cached = paths[type.name];
    if (cached.types != job_type_generation() || cached.documents != document_generation()) {
        cached = {job_type_generation(), document_generation(), path_for(type)};
    }
    return cached.path;
}

void remember_session_search_path() { session_path = pg::search_path(); }

void set_search_path(const JobType& type) {
    last_path = search_path_of(type);
    if (!last_path.empty() && pg::search_path() != last_path) pg::set_local("search_path", last_path);
}

const std::string& last_search_path() { return last_path; }

}  // namespace sync_job
