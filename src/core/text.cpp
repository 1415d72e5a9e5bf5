#include "core/text.hpp"

namespace sync_job {

std::string lower(std::string_view ascii) {
    std::string out(ascii);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

std::string quoted(std::string_view name) { return "\"" + std::string(name) + "\""; }

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
    std::string out;
    for (std::size_t i = 0; i < parts.size(); i++) {
        if (i > 0) out += separator;
        out += parts[i];
    }
    return out;
}

std::string scrubbed(std::string_view name) {
    std::string out;
    bool in_gap = false;
    for (char c : lower(name)) {
        bool gap = c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '-';
        if (!gap) out += c;
        if (gap && !in_gap) out += '_';
        in_gap = gap;
    }
    return out;
}

std::string make_title(std::string_view job_type, std::string_view source_type, std::string_view source_name,
                       std::string_view target_type, std::string_view target_name) {
    std::string title(source_type.empty() ? job_type : source_type);
    if (!target_type.empty() && !target_name.empty()) {
        title.append(" > ").append(target_type).append(": ").append(target_name);
    } else if (!source_name.empty()) {
        title.append(": ").append(source_name);
    }
    return title;
}

}  // namespace sync_job
