// What the text of an SQL expression tells; nothing is looked up.
#pragma once

#include <set>
#include <string>

namespace sync_job::pg {

// What an expression reads of a row. `names`: what may be its columns, written alone or behind the row's name. `all`: maybe
// anything, as the row is named as a whole, or there is a subquery.
struct NamesRead {
    std::set<std::string> names;
    bool all = false;
};
NamesRead names_read(const std::string& expression, const std::string& row);
// Whether one of the names stands in it where a table or a column does, in a subquery, too.
bool mentions(const std::string& expression, const std::set<std::string>& names);

}  // namespace sync_job::pg
