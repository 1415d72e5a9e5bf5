// The pages, which are a part of the program. There is no file system behind them.
#pragma once

#include <string_view>

namespace sync_job::serve {

struct StaticFile {
    std::string_view path, content;
};

// Null where there is none.
const StaticFile* find_static_file(std::string_view path);
std::string_view content_type_of(std::string_view path);

}  // namespace sync_job::serve
