// Messages on standard error; see the header.
#include "text/message.hpp"

#include "text/json.hpp"
#include "text/visible.hpp"

#include <iostream>

namespace sync_job {

namespace {

void tell_lines(const std::string& label, const std::string& text) {
    if (text.empty()) {
        return;
    }
    std::string begin = label + ":  ";
    for (const std::string& line : visible_lines(text)) {
        std::cerr << begin << line << '\n';
        begin.clear();
    }
}

}  // namespace

void tell_message(const std::string& severity, const std::string& message, const std::string& detail, const std::string& hint) {
    std::cout.flush();  // so that the order of the output is right
    tell_lines(visible(severity), message);
    tell_lines("DETAIL", detail);
    tell_lines("HINT", hint);
    std::cerr.flush();
}

void tell_error_json(const std::string& code, const std::string& message, const std::string& detail, const std::string& hint) {
    const auto value = [](const std::string& text) { return text.empty() ? std::string("null") : json_string(text); };
    std::cout.flush();
    std::cerr << "{\"error\": {\"code\": " << value(code) << ", \"message\": " << json_string(message) << ", \"detail\": " << value(detail)
              << ", \"hint\": " << value(hint) << "}}" << std::endl;
}

}  // namespace sync_job
