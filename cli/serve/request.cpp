#include "serve/request.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "serve/database.hpp"

namespace sync_job::serve {

std::optional<std::string_view> Request::header(std::string_view name) const {
    if (count(name) != 1) return std::nullopt;
    return std::ranges::find(headers, name, [](const auto& header) { return std::string_view(header.first); })->second;
}

std::size_t Request::count(std::string_view name) const {
    return static_cast<std::size_t>(std::ranges::count(headers, name, [](const auto& header) { return std::string_view(header.first); }));
}

std::string json_string(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool same_text(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    unsigned char difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
    return difference == 0;
}

namespace {

int status_of(std::string_view code) {
    const std::string_view kind = code.substr(0, 2);
    if (code == "42501" || code == "25006") return 403;
    if (code == "P0002" || code == "02000" || code == "42704") return 404;
    if (kind == "55" || kind == "40") return 409;
    if (code == "57014" || kind == "53" || kind == "08" || kind == "57") return 503;
    if (kind == "28") return 401;
    if (kind == "22" || kind == "23" || kind == "42" || kind == "0A" || kind == "54" || kind == "P0") return 400;
    return 500;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

Response error_response(const DatabaseError& error, int status) {
    Response response;
    response.status = status ? status : status_of(error.code);
    response.body = "{\"error\":{\"code\":" + json_string(error.code) + ",\"message\":" + json_string(error.message) +
                    ",\"detail\":" + json_string(error.detail) + ",\"hint\":" + json_string(error.hint) + "}}";
    return response;
}

Response error_response(int status, std::string code, std::string message, std::string hint) {
    return error_response(DatabaseError{std::move(code), std::move(message), "", std::move(hint)}, status);
}

std::optional<std::string> decoded(std::string_view text, bool plus_is_space) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%') {
            if (i + 2 >= text.size()) return std::nullopt;
            const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
            if (high < 0 || low < 0) return std::nullopt;
            result += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            result += plus_is_space && text[i] == '+' ? ' ' : text[i];
        }
    }
    if (result.find('\0') != std::string::npos) return std::nullopt;
    try {
        (void)nlohmann::json(result).dump();  // throws if it is not UTF-8
    } catch (const nlohmann::json::type_error&) {
        return std::nullopt;
    }
    return result;
}

}  // namespace sync_job::serve
