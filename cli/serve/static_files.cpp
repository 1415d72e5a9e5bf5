#include "serve/static_files.hpp"

#include <algorithm>
#include <span>

namespace sync_job::serve {

std::span<const StaticFile> static_files();  // made by embed.cmake

const StaticFile* find_static_file(std::string_view path) {
    const auto files = static_files();
    const auto found = std::ranges::find(files, path == "/" ? "/index.html" : path, &StaticFile::path);
    return found == files.end() ? nullptr : &*found;
}

std::string_view content_type_of(std::string_view path) {
    constexpr std::pair<std::string_view, std::string_view> types[] = {
        {".html", "text/html; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"}, {".css", "text/css; charset=utf-8"},
        {".svg", "image/svg+xml"},             {".png", "image/png"},                     {".ico", "image/x-icon"},
        {".json", "application/json"},         {".woff2", "font/woff2"},                  {".txt", "text/plain; charset=utf-8"},
        {".webmanifest", "application/manifest+json"},
    };
    for (const auto& [end, type] : types) {
        if (path.ends_with(end)) return type;
    }
    return "application/octet-stream";
}

}  // namespace sync_job::serve
