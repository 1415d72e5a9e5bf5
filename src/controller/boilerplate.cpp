#include "controller/boilerplate.hpp"

#include <algorithm>
#include <functional>
#include <map>

#include "core/text.hpp"
#include "engine/document.hpp"
#include "engine/objects.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"

namespace sync_job {

namespace {

using Places = std::map<std::string, std::string>;

// A template with $name$ places. What is put in is not looked at again: a name may look like a place.
std::string fill(const std::string& text, const Places& places) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = text[at] == '$' ? text.find('$', at + 1) : std::string::npos;
        auto place = end == std::string::npos ? places.end() : places.find(text.substr(at + 1, end - at - 1));
        if (place == places.end()) {
            out += text[at++];
        } else {
            out += place->second;
            at = end + 1;
        }
    }
    return out;
}

// A name in a comment must not end it.
std::string one_line(std::string text) {
    std::replace_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    return text;
}

// Dollar quotes that nothing within them ends.
std::string dollar_quote(const Places& places) {
    std::string tag = "$function";
    auto contains = [&](const auto& place) { return place.second.find(tag) != std::string::npos; };
    while (std::any_of(places.begin(), places.end(), contains)) tag += '_';
    return tag + "$";
}

struct Sides {
    std::shared_ptr<DocumentType> source, target;
    const pg::Column *source_key, *target_key, *link;  // link: the target column that names the source
    std::vector<std::string> shared;                   // columns of the same name, apart from keys
};

const pg::Column* column_at(const DocumentType& type, int number) { return &type.relation().columns[number - 1]; }

// The target column that holds the source's key: one named like the source table or its key, else the target's own key.
const pg::Column* guess_link(const DocumentType& source, const DocumentType& target) {
    const std::string& table = source.relation().name;
    const std::string& key = column_at(source, source.key()[0])->name;
    for (const pg::Column& column : target.relation().columns) {
        if (column.dropped || column.generated) continue;
        bool names_it = column.name == table || column.name == table + "_" + key || column.name == "erp_" + table ||
                        column.name == "source_" + key;
        if (names_it) return &column;
    }
    if (const pg::Column* same = target.relation().column(key); same != nullptr && !same->filled_by_default)
        return same;
    return column_at(target, target.key()[0]);
}

Sides sides_of(const JobType& type) {
    if (type.source == pg::no_oid || type.target == pg::no_oid) {
        throw pg::Error("55000", "sync job type " + quoted(type.name) + " has no " +
                                     (type.source == pg::no_oid ? "source" : "target") + " document type")
            .hint("A boilerplate needs both tables.");
    }
    Sides sides;
    sides.source = DocumentType::find(type.source, type.source_key);
    sides.target = DocumentType::find(type.target, type.target_key);
    sides.source_key = column_at(*sides.source, sides.source->key()[0]);
    sides.target_key = column_at(*sides.target, sides.target->key()[0]);
    sides.link = guess_link(*sides.source, *sides.target);
    for (const pg::Column& column : sides.target->relation().columns) {
        if (column.dropped || column.generated || column.name == sides.link->name) continue;
        if (column.name == sides.target_key->name) continue;
        const pg::Column* from = sides.source->relation().column(column.name);
        if (from != nullptr && from->type == column.type) sides.shared.push_back(column.name);
    }
    return sides;
}

std::string lines(const std::vector<std::string>& names, const std::function<std::string(const std::string&)>& line) {
    std::string out;
    for (const std::string& name : names) out += line(name);
    return out;
}

std::string id(const std::string& name) { return pg::quoted_identifier(name); }

std::string link_line(const Sides& sides, const std::string& from, const std::string& assignment,
                      const std::string& cast) {
    return from + id(sides.link->name) + assignment + "source_doc." + id(sides.source_key->name) + cast;
}

// How the source's key becomes a value of the link column.
std::string link_cast(const Sides& sides) {
    if (sides.link->type == sides.source_key->type) return "";
    return "::" + pg::type_name(sides.link->type);
}

constexpr const char* head = R"(-- Controller of sync job type "$type_text$": $source_text$ to $target_text$.
-- $module_text$.get_target_document() answers: which target belongs to a source, and what to do with it;
-- $module_text$.update_target_doc() answers: what the target is to look like. The framework does the rest.
CREATE SCHEMA $module$;

)";

constexpr const char* hooks = R"(
-- Optional, each in this schema: after_start(sync_job, source_doc), before_sync(sync_job, source_doc, target_doc),
-- after_sync(sync_job, source_doc, target_doc), finished(sync_job, source_doc, target_doc), failed(sync_job, source_doc, error jsonb).
)";

constexpr const char* sql_get_target =
    R"(CREATE FUNCTION $module$.get_target_document(sync_job $job$, source_doc $source$)
RETURNS $schema$.sync_job_target LANGUAGE sql STABLE AS $f$
    -- A source that is gone takes its target with it. update and delete need the target's name, insert none.
    SELECT $schema$.sync_job_target(
        CASE WHEN sync_job.context ->> 'trigger_operation' = 'Delete' THEN 'delete'
             WHEN t.name IS NULL THEN 'insert'
             ELSE 'update' END,
        target_document_name => t.name)
    FROM (SELECT 1) AS one
    LEFT JOIN (SELECT $target_key$::text AS name FROM $target$ WHERE $link$ = source_doc.$source_key$$link_cast$) AS t ON true
$f$;

)";

constexpr const char* plpgsql_update =
    R"(CREATE FUNCTION $module$.update_target_doc(sync_job $job$, source_doc $source$, INOUT target_doc $target$)
LANGUAGE plpgsql AS $f$
BEGIN
    $link_assignment$;
$assignments$END
$f$;
)";

constexpr const char* sql_update =
    R"(CREATE FUNCTION $module$.update_target_doc(sync_job $job$, source_doc $source$, target_doc $target$)
RETURNS $target$ LANGUAGE sql STABLE AS $f$
    SELECT jsonb_populate_record(target_doc, jsonb_build_object(
        $link_pair$$pairs$))
$f$;
)";

constexpr const char* python = R"(CREATE FUNCTION $module$.get_target_document(sync_job $job$, source_doc $source$)
RETURNS $schema$.sync_job_target LANGUAGE plpython3u AS $f$
    # A source that is gone takes its target with it. update and delete need the target's name, insert none.
    import json
    plan = plpy.prepare($query$, [$key_type$])
    found = plan.execute([source_doc[$source_key_text$]])
    name = found[0]["name"] if found else None
    context = json.loads(sync_job["context"] or "{}")
    if context.get("trigger_operation") == "Delete":
        operation = "delete"
    else:
        operation = "update" if name is not None else "insert"
    return {"operation": operation, "target_document_type": None, "target_document_name": name, "context": None}
$f$;

CREATE FUNCTION $module$.update_target_doc(sync_job $job$, source_doc $source$, target_doc $target$)
RETURNS $target$ LANGUAGE plpython3u AS $f$
    target_doc[$link_text$] = source_doc[$source_key_text$]
$python_lines$    return target_doc
$f$;
)";

std::string python_text(const std::string& text) {
    std::string out = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        if (c == '\n' || c == '\r') {
            out += c == '\n' ? "\\n" : "\\r";
        } else {
            out += c;
        }
    }
    return out + "\"";
}

}  // namespace

std::string boilerplate(const JobType& type, const std::string& wanted) {
    std::string language = lower(wanted);
    Sides sides = sides_of(type);
    const Objects& o = objects();
    std::string cast = link_cast(sides);
    std::string query = "SELECT " + id(sides.target_key->name) + "::text AS name FROM " +
                        sides.target->relation().quoted + " WHERE " + id(sides.link->name) + " = $1" + cast;
    Places places = {
        {"type_text", one_line(type.name)},
        {"source_text", one_line(sides.source->relation().quoted)},
        {"target_text", one_line(sides.target->relation().quoted)},
        {"module_text", one_line(id(type.module))},
        {"module", id(type.module)},
        {"source", sides.source->relation().quoted},
        {"target", sides.target->relation().quoted},
        {"job", o.in_schema("sync_job")},
        {"schema", o.schema},
        {"target_key", id(sides.target_key->name)},
        {"source_key", id(sides.source_key->name)},
        {"link", id(sides.link->name)},
        {"link_cast", cast},
        {"link_assignment", link_line(sides, "target_doc.", " := ", cast)},
        {"assignments", lines(sides.shared,
                              [](const std::string& name) {
                                  return "    target_doc." + id(name) + " := source_doc." + id(name) + ";\n";
                              })},
        {"link_pair", pg::quoted_literal(sides.link->name) + ", source_doc." + id(sides.source_key->name)},
        {"pairs", lines(sides.shared,
                        [](const std::string& name) {
                            return ",\n        " + pg::quoted_literal(name) + ", source_doc." + id(name);
                        })},
        {"query", python_text(query)},
        {"key_type", python_text(pg::type_name(sides.source_key->type))},
        {"source_key_text", python_text(sides.source_key->name)},
        {"link_text", python_text(sides.link->name)},
        {"python_lines", lines(sides.shared,
                               [](const std::string& name) {
                                   return "    target_doc[" + python_text(name) + "] = source_doc[" +
                                          python_text(name) + "]\n";
                               })}};
    places["f"] = dollar_quote(places);
    std::string body;
    if (language == "plpgsql") {
        body = std::string(sql_get_target) + plpgsql_update;
    } else if (language == "sql") {
        body = std::string(sql_get_target) + sql_update;
    } else if (language == "plpython3u") {
        body = python;
    } else {
        throw pg::Error("22023", "no boilerplate for language " + quoted(wanted))
            .hint("Languages are: plpgsql, sql, plpython3u.");
    }
    return fill(std::string(head) + body + hooks, places);
}

}  // namespace sync_job
