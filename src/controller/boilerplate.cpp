#include "controller/boilerplate.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <map>

#include "core/text.hpp"
#include "document/document.hpp"
#include "job/schema_objects.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"

namespace sync_job {

namespace {

using Places = std::map<std::string, std::string>;

// Fills the $name$ places of a template. Inserted text is not scanned again: a name may look like a place.
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

// A name must not end the comment that it is in.
std::string one_line(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    return text;
}

// A dollar quote that no text inside it can end.
std::string dollar_quote(const Places& places) {
    std::string tag = "$function";
    auto contains = [&](const auto& place) { return place.second.find(tag) != std::string::npos; };
    while (std::any_of(places.begin(), places.end(), contains)) tag += '_';
    return tag + "$";
}

// A target column that holds a part of the source's key.
struct Link {
    const pg::Column *target, *source;
};

struct Sides {
    std::shared_ptr<DocumentType> source, target;
    std::vector<Link> links;
    std::vector<std::string> shared;  // columns of the same name and type, except keys filled by a default
};

const pg::Column* column_at(const DocumentType& type, int number) { return &type.relation().columns[number - 1]; }

// The target column that holds the source's key: one with the name of the source table or of its key, else the target's own key.
const pg::Column* guess_link(const DocumentType& source, const DocumentType& target) {
    const std::string& table = source.relation().name;
    const std::string& key = column_at(source, source.key()[0])->name;
    const std::array<std::string, 4> names{table, table + "_" + key, "erp_" + table, "source_" + key};
    for (const pg::Column& column : target.relation().columns) {
        if (column.dropped || column.generated) continue;
        for (const std::string& name : names) {
            if (column.name == name) return &column;
        }
    }
    if (const pg::Column* same = target.relation().column(key); same != nullptr && !same->filled_by_default)
        return same;
    return column_at(target, target.key()[0]);
}

// For a key of several columns: those that the target has, too, under the same names; if there are none, as for a key of one column.
std::vector<Link> guess_links(const DocumentType& source, const DocumentType& target) {
    std::vector<Link> links;
    for (int number : source.key()) {
        const pg::Column* from = column_at(source, number);
        const pg::Column* to = target.relation().column(from->name);
        if (source.key().size() > 1 && to != nullptr && !to->generated) links.push_back({to, from});
    }
    if (links.empty()) links.push_back({guess_link(source, target), column_at(source, source.key()[0])});
    return links;
}

bool is_linked(const Sides& sides, const pg::Column& column) {
    return std::any_of(sides.links.begin(), sides.links.end(),
                       [&](const Link& link) { return link.target->number == column.number; });
}

bool is_own_key(const DocumentType& target, const pg::Column& column) {
    bool in_key = std::count(target.key().begin(), target.key().end(), column.number) > 0;
    return in_key && (column.filled_by_default || target.key().size() == 1);
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
    sides.links = guess_links(*sides.source, *sides.target);
    for (const pg::Column& column : sides.target->relation().columns) {
        if (column.dropped || column.generated || is_linked(sides, column)) continue;
        if (is_own_key(*sides.target, column)) continue;
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

// The value of a link column: the source's key, in the column's type.
std::string key_value(const Link& link, const std::string& key) {
    return link.target->type == link.source->type ? key : key + "::" + pg::qualified_type_name(link.target->type);
}

std::string source_field(const std::string& name) { return "source_doc." + id(name); }

// The condition that finds the target of a source; each key value is a parameter, $1 …, or the source's field.
std::string match(const Sides& sides, bool by_parameters) {
    std::vector<std::string> conditions;
    for (const Link& link : sides.links) {
        std::string key = by_parameters ? "$" + std::to_string(conditions.size() + 1) : source_field(link.source->name);
        conditions.push_back("target." + id(link.target->name) + " = " + key_value(link, key));
    }
    return join(conditions, " AND ");
}

// The name of a target: its key as text; for several columns, a JSON array of texts.
std::string target_name(const DocumentType& target) {
    std::vector<std::string> parts;
    for (int number : target.key()) parts.push_back("target." + id(column_at(target, number)->name) + "::text");
    return parts.size() == 1 ? parts[0] : "jsonb_build_array(" + join(parts, ", ") + ")::text";
}

std::string assignments(const Sides& sides) {
    std::string out;
    for (const Link& link : sides.links) {
        out += "    target_doc." + id(link.target->name) + " := " + key_value(link, source_field(link.source->name)) +
               ";\n";
    }
    return out + lines(sides.shared, [](const std::string& name) {
               return "    target_doc." + id(name) + " := " + source_field(name) + ";\n";
           });
}

// All columns of the target in order, for ROW(…).
std::string row_values(const Sides& sides) {
    std::vector<std::string> values;
    for (const pg::Column& column : sides.target->relation().columns) {
        if (column.dropped) continue;
        std::string value = "target_doc." + id(column.name);
        for (const Link& link : sides.links) {
            if (link.target->number == column.number) value = key_value(link, source_field(link.source->name));
        }
        if (std::count(sides.shared.begin(), sides.shared.end(), column.name) > 0) value = source_field(column.name);
        values.push_back(value);
    }
    return join(values, ",\n        ");
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
    LEFT JOIN (SELECT $target_name$ AS name
               FROM $target$ AS target WHERE $match$) AS t ON true
$f$;

)";

constexpr const char* plpgsql_update =
    R"(CREATE FUNCTION $module$.update_target_doc(sync_job $job$, source_doc $source$, INOUT target_doc $target$)
LANGUAGE plpgsql AS $f$
BEGIN
$assignments$END
$f$;
)";

constexpr const char* sql_update =
    R"(CREATE FUNCTION $module$.update_target_doc(sync_job $job$, source_doc $source$, target_doc $target$)
RETURNS $target$ LANGUAGE sql STABLE AS $f$
    SELECT ROW(
        $row_values$)::$target$
$f$;
)";

constexpr const char* python = R"(CREATE FUNCTION $module$.get_target_document(sync_job $job$, source_doc $source$)
RETURNS $schema$.sync_job_target LANGUAGE plpython3u AS $f$
    # A source that is gone takes its target with it. update and delete need the target's name, insert none.
    import json
    plan = plpy.prepare($query$, [$key_types$])
    found = plan.execute([$key_values$])
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
$python_lines$    return target_doc
$f$;
)";

constexpr const char* native = R"(// Controller of sync job type "$type_text$": $source_text$ to $target_text$.
// get_target_document() answers: which target belongs to a source, and what to do with it;
// update_target_doc() answers: what the target is to look like. The framework does the rest.
//
//   include=$(pg_config --includedir-server)/extension
//   g++ -std=c++20 -O2 -fPIC -fvisibility=hidden -I $include -shared -Wl,--version-script=$include/sync_job/exports.map -o $library$.so $library$.cpp
//   install $library$.so $(pg_config --pkglibdir)/sync_job/
//
// Then, as a superuser: UPDATE sync_job_type SET library = '$library$' WHERE name = the type's.
#include <sync_job/controller.hpp>

using namespace sync_job;

struct Sync : Controller {
    std::optional<Target> get_target_document(const Job& job, const Document& source) override {
        // A source that is gone takes its target with it. update and delete need the target's name, insert none.
        auto found = sql($query$, $key_values$);
        bool gone = job.context().value("trigger_operation", "") == "Delete";
        if (found.empty()) return gone ? std::optional<Target>() : Target::insert();
        std::string name = found[0].get<std::string>("name");
        return gone ? Target::remove(name) : Target::update(name);
    }

    void update_target_doc(const Job&, const Document& source, Document& target) override {
$lines$    }

    // Optional: after_start(job, source), before_sync(job, source, target), after_sync(job, source, target),
    // finished(job, source, target), failed(job, source, error).
};

SYNC_JOB_CONTROLLER(Sync)
)";

// A string literal of C++ and of Python.
std::string quoted_text(const std::string& text) {
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

// A name fit for a file.
std::string scrubbed_to_letters(const std::string& name) {
    std::string out = scrubbed(name);
    std::erase_if(out, [](char c) { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_'; });
    return out.empty() ? "controller" : out;
}

std::string native_boilerplate(const JobType& type, const Sides& sides) {
    std::vector<std::string> values, conditions;
    std::string body;
    for (const Link& link : sides.links) {
        std::string value = "source[" + quoted_text(link.source->name) + "]";
        values.push_back(value);
        conditions.push_back("target." + id(link.target->name) + " = $" + std::to_string(values.size()) + "::" +
                             pg::qualified_type_name(link.target->type));
        body += "        target[" + quoted_text(link.target->name) + "] = " + value + ";\n";
    }
    body += lines(sides.shared, [](const std::string& column) {
        return "        target[" + quoted_text(column) + "] = source[" + quoted_text(column) + "];\n";
    });
    const std::string& target = sides.target->relation().quoted;
    return fill(native, {{"type_text", one_line(type.name)},
                         {"source_text", one_line(sides.source->relation().quoted)},
                         {"target_text", one_line(target)},
                         {"library", type.library.empty() ? scrubbed_to_letters(type.name) : one_line(type.library)},
                         {"query", quoted_text("SELECT " + target_name(*sides.target) + " AS name FROM " + target + " AS target WHERE " +
                                               join(conditions, " AND "))},
                         {"key_values", join(values, ", ")},
                         {"lines", body}});
}

}  // namespace

std::string boilerplate(const JobType& type, const std::string& wanted) {
    std::string language = lower(wanted);
    Sides sides = sides_of(type);
    if (language == "c++") return native_boilerplate(type, sides);
    const SchemaObjects& o = schema_objects();
    const pg::RelationInfo& target = sides.target->relation();
    std::string name = target_name(*sides.target);
    std::vector<std::string> key_types, key_values;
    std::string python_lines;
    for (const Link& link : sides.links) {
        std::string key = "source_doc[" + quoted_text(link.source->name) + "]";
        key_types.push_back(quoted_text(pg::qualified_type_name(link.source->type)));
        key_values.push_back(key);
        python_lines += "    target_doc[" + quoted_text(link.target->name) + "] = " + key + "\n";
    }
    python_lines += lines(sides.shared, [](const std::string& column) {
        return "    target_doc[" + quoted_text(column) + "] = source_doc[" + quoted_text(column) + "]\n";
    });
    Places places = {{"type_text", one_line(type.name)},
                     {"source_text", one_line(sides.source->relation().quoted)},
                     {"target_text", one_line(target.quoted)},
                     {"module_text", one_line(id(type.module))},
                     {"module", id(type.module)},
                     {"source", sides.source->relation().quoted},
                     {"target", target.quoted},
                     {"job", o.in_schema("sync_job")},
                     {"schema", o.schema},
                     {"target_name", name},
                     {"match", match(sides, false)},
                     {"assignments", assignments(sides)},
                     {"row_values", row_values(sides)},
                     {"query", quoted_text("SELECT " + name + " AS name FROM " + target.quoted + " AS target WHERE " +
                                           match(sides, true))},
                     {"key_types", join(key_types, ", ")},
                     {"key_values", join(key_values, ", ")},
                     {"python_lines", python_lines}};
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
            .hint("Languages are: plpgsql, sql, plpython3u, c++.");
    }
    return fill(std::string(head) + body + hooks, places);
}

}  // namespace sync_job
