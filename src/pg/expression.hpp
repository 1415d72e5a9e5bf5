// What the text alone of an SQL expression tells; nothing is looked up.
#pragma once

#include <set>
#include <string>

namespace sync_job::pg {

// What an expression reads of a row. `names`: names that may be its columns, written alone or after the row's name. `all`: it may read
// anything, because it uses the whole row or has a subquery.
struct NamesRead {
    std::set<std::string> names;
    bool all = false;
};
NamesRead names_read(const std::string& expression, const std::string& row);
// Whether one of these names is used as a table or column, even in a subquery.
bool mentions(const std::string& expression, const std::set<std::string>& names);

}  // namespace sync_job::pg
