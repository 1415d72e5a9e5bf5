// Text from the database, made safe for a terminal: nothing in it moves the cursor, changes colours, changes the direction of
// writing, or is invisible.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sync_job {

/// One line: control characters (C0, DEL, C1), line separators, marks that change the direction of writing and invisible characters
/// are written as \n, \t, \x1b, \u202e; bytes that are not UTF-8 as \xff.
std::string visible(std::string_view text);

/// The lines of a text, each made visible; tabs become blanks.
std::vector<std::string> visible_lines(std::string_view text);

/// How many columns of a terminal a visible text takes.
int width(std::string_view text);

/// Not wider than `columns`; an ellipsis marks what is cut off.
std::string cut(std::string_view text, int columns);

/// JSON text as the database sent it, with whatever visible() would change in it written as \u escapes, which mean the same.
std::string visible_json(std::string_view json);

}  // namespace sync_job
