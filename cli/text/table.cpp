// Tables that fit; see the header.
#include "text/table.hpp"

#include "text/visible.hpp"

#include <algorithm>
#include <iostream>
#include <numeric>

namespace sync_job {

namespace {

constexpr int gap = 2;
constexpr int label_width = 12;

std::string padded(const std::string& text, int columns, bool right, Colour colour, const Terminal& terminal) {
    const std::string blanks(static_cast<std::size_t>(std::max(0, columns - width(text))), ' ');
    const std::string shown = terminal.paint(colour, text);
    return right ? blanks + shown : shown + blanks;
}

}  // namespace

void Table::add(const std::vector<std::string>& cells, const std::vector<Colour>& colours) {
    CellRow row{{}, colours};
    for (const std::string& cell : cells) {
        row.cells.push_back(visible(cell));
    }
    row.cells.resize(columns_.size());
    row.colours.resize(columns_.size(), Colour::none);
    rows_.push_back(std::move(row));
}

/// The width of each column, 0 for one without any value; of the columns that can shrink, the widest shrinks first.
std::vector<int> Table::widths(int room) const {
    std::vector<int> widths(columns_.size(), 0);
    for (std::size_t i = 0; i < columns_.size(); i++) {
        for (const CellRow& row : rows_) {
            widths[i] = std::max(widths[i], width(row.cells[i]));
        }
        if (widths[i] > 0) {
            widths[i] = std::max(widths[i], width(columns_[i].header));
        }
    }
    const auto total = [&] {
        const auto shown = std::count_if(widths.begin(), widths.end(), [](int w) { return w > 0; });
        return std::accumulate(widths.begin(), widths.end(), 0) + gap * static_cast<int>(std::max<std::ptrdiff_t>(0, shown - 1));
    };
    while (room > 0 && total() > room) {
        std::size_t widest = columns_.size();
        for (std::size_t i = 0; i < columns_.size(); i++) {
            const bool gives_way = columns_[i].least > 0 && widths[i] > columns_[i].least;
            if (gives_way && (widest == columns_.size() || widths[i] > widths[widest])) {
                widest = i;
            }
        }
        if (widest == columns_.size()) {
            break;
        }
        widths[widest]--;
    }
    return widths;
}

std::vector<std::string> Table::lines(const Terminal& terminal, bool wide) const {
    const std::vector<int> widths = this->widths(wide ? 0 : terminal.columns);
    std::vector<std::string> lines;
    const auto add_line = [&](const std::vector<std::string>& cells, const std::vector<Colour>& colours) {
        std::string line;
        for (std::size_t i = 0; i < cells.size(); i++) {
            if (widths[i] > 0) {
                line += line.empty() ? "" : std::string(gap, ' ');
                line += padded(wide ? cells[i] : cut(cells[i], widths[i]), widths[i], columns_[i].right, colours[i], terminal);
            }
        }
        line.erase(line.find_last_not_of(' ') + 1);
        lines.push_back(line);
    };
    std::vector<std::string> headers;
    for (const TableColumn& column : columns_) {
        headers.push_back(column.header);
    }
    add_line(headers, std::vector<Colour>(columns_.size(), Colour::bold));
    for (const CellRow& row : rows_) {
        add_line(row.cells, row.colours);
    }
    return lines;
}

void print(const Table& table, bool wide) {
    for (const std::string& line : table.lines(terminal(), wide)) {
        std::cout << line << '\n';
    }
}

std::vector<std::string> wrap(std::string_view text, int columns) {
    std::vector<std::string> lines;
    columns = std::max(columns, 10);
    while (width(text) > columns) {
        std::string head = cut(text, columns + 1);  // with an ellipsis, which is one column
        head.resize(head.size() - std::string_view("…").size());
        const std::size_t blank = head.rfind(' ');
        if (blank != std::string::npos && blank > head.size() / 3) {
            head.resize(blank);
        }
        lines.push_back(head);
        text.remove_prefix(head.size());
        text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    }
    lines.emplace_back(text);
    return lines;
}

void print_value(std::string_view label, std::string_view value, Colour colour) {
    const Terminal screen = terminal();
    const int room = screen.interactive ? screen.columns - label_width - 1 : 80 - label_width - 1;
    std::string begin(label);
    begin.resize(std::max<std::size_t>(label_width, begin.size()), ' ');
    for (const std::string& line : visible_lines(value)) {
        for (const std::string& part : wrap(line, room)) {
            std::cout << screen.paint(Colour::dim, begin) << ' ' << screen.paint(colour, part) << '\n';
            begin.assign(label_width, ' ');
        }
    }
}

void print_script(std::string_view script) {
    if (!terminal().interactive) {
        std::cout << script << (script.ends_with('\n') ? "" : "\n");
        return;
    }
    for (const std::string& line : visible_lines(script)) {
        std::cout << line << '\n';
    }
}

void print_heading(std::string_view text) {
    std::cout << '\n' << terminal().paint(Colour::bold, text) << '\n';
}

}  // namespace sync_job
