#include "controller/search_path.hpp"

#include <algorithm>
#include <unordered_map>

#include "core/text.hpp"
#include "document/document.hpp"
#include "job/schema_objects.hpp"
#include "pg/catalog.hpp"
#include "pg/settings.hpp"
#include "pg/trust.hpp"

namespace sync_job {

namespace {

std::string last_path, session_path;

struct Path {
    std::uint64_t types = 0, documents = 0, rights = 0;
    std::string text;
    std::vector<LeftOut> left_out;
};

std::uint64_t rights_generation = 1;

// The order alone does not decide: of two functions with the same name, the one whose arguments match exactly wins, even over one in
// pg_catalog. So the path must not contain a schema in which an untrusted role could create functions.
Path path_for(const JobType& type) {
    Path path{job_type_generation(), document_generation(), rights_generation, {}, {}};
    std::vector<std::string> seen, kept;
    auto add = [&](const std::string& schema) {
        if (std::find(seen.begin(), seen.end(), schema) != seen.end()) return;
        seen.push_back(schema);
        Oid oid = pg::schema_oid(schema);
        auto creator = oid == pg::no_oid ? std::nullopt : pg::untrusted_creator(oid, type.run_as);
        if (creator) {
            path.left_out.push_back({schema, *creator});
        } else {
            kept.push_back(pg::quoted_identifier(schema));
        }
    };
    if (!type.module.empty() && !type.declarative()) add(type.module);
    for (Oid relation : {type.source, type.target}) {
        if (relation != pg::no_oid) add(pg::relation_schema(relation));
    }
    add(schema_objects().schema_name);
    kept.push_back("pg_temp");
    path.text = join(kept, ", ");
    return path;
}

const Path& cached_path(const JobType& type) {
    static auto& paths = *new std::unordered_map<std::string, Path>;
    Path& cached = paths[type.name];
    if (cached.types != job_type_generation() || cached.documents != document_generation() ||
        cached.rights != rights_generation) {
        cached = path_for(type);
    }
    return cached;
}

}  // namespace

const std::string& search_path_of(const JobType& type) {
    return type.background ? session_path : cached_path(type).text;
}

const std::vector<LeftOut>& left_out_of_search_path(const JobType& type) {
    static auto& none = *new std::vector<LeftOut>;
    return type.background ? none : cached_path(type).left_out;
}

void invalidate_search_paths() { rights_generation++; }

void remember_session_search_path() { session_path = pg::search_path(); }

void set_search_path(const JobType& type) {
    last_path = search_path_of(type);
    if (!last_path.empty() && pg::search_path() != last_path) pg::set_local("search_path", last_path);
}

const std::string& last_search_path() { return last_path; }

}  // namespace sync_job
