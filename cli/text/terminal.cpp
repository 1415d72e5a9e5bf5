// Where the output goes; see the header.
#include "text/terminal.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/ioctl.h>
#include <unistd.h>

namespace sync_job {

namespace {

int number_of(const char* variable) {
    const char* value = std::getenv(variable);
    return value ? std::atoi(value) : 0;
}

}  // namespace

Terminal terminal() {
    Terminal terminal{};
    terminal.interactive = isatty(STDOUT_FILENO) == 1;
    const char *no_colour = std::getenv("NO_COLOR"), *kind = std::getenv("TERM");
    terminal.colours = terminal.interactive && !(no_colour && *no_colour) && kind && std::strcmp(kind, "dumb") != 0;
    winsize size = {};
    if (terminal.interactive && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
        terminal.columns = size.ws_col, terminal.lines = size.ws_row;
    }
    if (const int columns = number_of("COLUMNS"); columns > 0) {
        terminal.columns = columns;
    }
    if (const int lines = number_of("LINES"); lines > 0) {
        terminal.lines = lines;
    }
    terminal.columns = terminal.columns > 0 ? terminal.columns : 80;
    terminal.lines = terminal.lines > 0 ? terminal.lines : 24;
    return terminal;
}

std::string Terminal::paint(Colour colour, std::string_view text) const {
    const char* code = nullptr;
    switch (colour) {
        case Colour::none: break;
        case Colour::red: code = "31"; break;
        case Colour::green: code = "32"; break;
        case Colour::yellow: code = "33"; break;
        case Colour::cyan: code = "36"; break;
        case Colour::dim: code = "2"; break;
        case Colour::bold: code = "1"; break;
    }
    if (!colours || !code || text.empty()) {
        return std::string(text);
    }
    return std::string("\x1b[") + code + "m" + std::string(text) + "\x1b[0m";
}

Colour colour_of_state(std::string_view status) {
    if (status == "Failed") {
        return Colour::red;
    }
    if (status == "Finished" || status == "Relayed") {
        return Colour::green;
    }
    if (status == "Started") {
        return Colour::cyan;
    }
    return status == "Queued" || status == "Pending" ? Colour::yellow : Colour::dim;
}

std::string span(std::string_view seconds) {
    if (seconds.empty()) {
        return {};
    }
    const double s = std::atof(std::string(seconds).c_str());
    const double size = s < 0 ? -s : s;
    char text[32];
    if (size < 10) {
        std::snprintf(text, sizeof text, size < 1 ? "%.3f s" : "%.1f s", s);
    } else if (size < 120) {
        std::snprintf(text, sizeof text, "%.0f s", s);
    } else if (size < 7200) {
        std::snprintf(text, sizeof text, "%.0f min", s / 60);
    } else if (size < 172800) {
        std::snprintf(text, sizeof text, "%.1f h", s / 3600);
    } else {
        std::snprintf(text, sizeof text, "%.0f d", s / 86400);
    }
    return text;
}

}  // namespace sync_job
