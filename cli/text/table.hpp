// Tables and lists of values that fit into the width of a terminal.
#pragma once

#include "text/terminal.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace sync_job {

/// What a column does when there is too little room: keep its width, or shrink to `least` characters.
struct TableColumn {
    std::string header;
    bool right = false;
    int least = 0;  // 0: it keeps its width
};

class Table {
public:
    explicit Table(std::vector<TableColumn> columns) : columns_(std::move(columns)) {}

    /// Texts from the database, as they are: the table makes them visible.
    void add(const std::vector<std::string>& cells, const std::vector<Colour>& colours = {});
    bool empty() const { return rows_.empty(); }

    /// The lines, header first; `wide`: nothing is cut off. Columns that are empty in all rows are left out.
    std::vector<std::string> lines(const Terminal& terminal, bool wide) const;

private:
    struct CellRow {
        std::vector<std::string> cells;
        std::vector<Colour> colours;
    };
    std::vector<int> widths(int room) const;

    std::vector<TableColumn> columns_;
    std::vector<CellRow> rows_;
};

/// Prints the lines of a table.
void print(const Table& table, bool wide);

/// Prints "label   value"; a value of several lines, or a long one, is continued below, indented.
void print_value(std::string_view label, std::string_view value, Colour colour = Colour::none);

/// Prints a heading.
void print_heading(std::string_view text);

/// Prints a script as it is to be run; only characters that a terminal would obey are made visible if the output is a terminal.
void print_script(std::string_view script);

/// Breaks visible text into lines of at most that many columns, at blanks if possible.
std::vector<std::string> wrap(std::string_view text, int columns);

}  // namespace sync_job
