// The pages, which are part of the program. No file system is involved.
#pragma once

#include <string_view>

namespace sync_job::serve {

struct StaticFile {
    std::string_view path, content;
};

// Null if there is none.
const StaticFile* find_static_file(std::string_view path);
std::string_view content_type_of(std::string_view path);

}  // namespace sync_job::serve
