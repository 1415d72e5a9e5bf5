// Where the output goes: how wide it is, and whether it shows colours.
#pragma once

#include <string>
#include <string_view>

namespace sync_job {

enum class Colour { none, red, green, yellow, cyan, dim, bold };

struct Terminal {
    bool interactive;  // standard output is a terminal
    bool colours;      // it is, and neither NO_COLOR nor TERM=dumb forbids them
    int columns;       // COLUMNS, else what the terminal says, else 80
    int lines;

    std::string paint(Colour colour, std::string_view text) const;
};

/// As of now: a window can change its size.
Terminal terminal();

/// The colour of a state of a job.
Colour colour_of_state(std::string_view status);

/// A span of time for people: 0.12 s, 45 s, 12 min, 3.5 h, 12 d. Empty for no text.
std::string span(std::string_view seconds);

}  // namespace sync_job
