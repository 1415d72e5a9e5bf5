// Asks before something is done; see the header.
#include "command/prompt.hpp"

#include "command/invocation.hpp"
#include "database/interrupt.hpp"
#include "text/message.hpp"

#include <iostream>
#include <unistd.h>

namespace sync_job {

void require_answer(bool yes) {
    if (!yes && isatty(STDIN_FILENO) != 1) {
        tell_message("ERROR", "there is no terminal to ask at", "", "Say --yes to go on without being asked.");
        throw Ended{exit_usage};
    }
}

bool confirm(const std::string& question, bool yes) {
    if (yes) {
        return true;
    }
    std::cout.flush();
    std::cerr << question << " [y/N] " << std::flush;
    std::string answer;
    char c;
    while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n') {  // not std::cin, which would keep reading after Ctrl-C
        answer.push_back(c);
    }
    interrupt::check();
    return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace sync_job
