// Results as JSON; see the header.
#include "text/json.hpp"

#include "text/visible.hpp"

#include <nlohmann/json.hpp>

namespace sync_job {

namespace {

/// The server's types by their OIDs, which never change.
enum : Oid { type_bool = 16, type_int8 = 20, type_int2 = 21, type_int4 = 23, type_oid = 26, type_json = 114, type_float4 = 700, type_float8 = 701,
             type_timestamptz = 1184, type_numeric = 1700, type_jsonb = 3802 };

/// "2026-11-29 02:30:56.5+00" as "2026-11-29T02:30:56.5Z"; infinity and the like as they are.
std::string iso_time(std::string text) {
    if (text.size() > 10 && text[10] == ' ') {
        text[10] = 'T';
        if (text.ends_with("+00")) {
            text.replace(text.size() - 3, 3, "Z");
        }
    }
    return json_string(text);
}

}  // namespace

std::string json_string(std::string_view text) {
    using json = nlohmann::json;
    return visible_json(json(text).dump(-1, ' ', false, json::error_handler_t::replace));
}

std::string json_strings(const std::vector<std::string>& texts) {
    return nlohmann::json(texts).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string json_value(const Result& result, int row, int column) {
    if (result.is_null(row, column)) {
        return "null";
    }
    const std::string_view text = result.text(row, column);
    switch (result.type(column)) {
        case type_bool: return text == "t" ? "true" : "false";
        case type_json:
        case type_jsonb: return visible_json(text);
        case type_timestamptz: return iso_time(std::string(text));
        case type_int2:
        case type_int4:
        case type_int8:
        case type_oid: return std::string(text);
        case type_numeric:
        case type_float4:
        case type_float8:
            if (text.find_first_not_of("0123456789+-.eE") == std::string_view::npos) {
                return std::string(text);
            }
            break;  // NaN, Infinity
        default: break;
    }
    return json_string(text);
}

std::string json_object(const Row& row) {
    std::string object = "{";
    const Result& result = row.result();
    for (int column = 0; column < result.columns(); column++) {
        object += (column ? ", " : "") + json_string(result.name(column)) + ": " + json_value(result, row.number(), column);
    }
    return object + "}";
}

std::string json_array(const Result& result) {
    std::string array = "[";
    for (const Row row : result) {
        array += (row.number() ? ",\n  " : "\n  ") + json_object(row);
    }
    return array + (result.empty() ? "]" : "\n]");
}

}  // namespace sync_job
