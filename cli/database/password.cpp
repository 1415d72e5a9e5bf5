// Asks for a password; see the header.
#include "database/password.hpp"

#include "database/interrupt.hpp"
#include "text/visible.hpp"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

namespace sync_job {

namespace {

/// The terminal without echo, as long as this lives.
class Silence {
public:
    explicit Silence(int terminal) : terminal_(terminal), works_(tcgetattr(terminal, &before_) == 0) {
        if (works_) {
            termios silent = before_;
            silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
            tcsetattr(terminal_, TCSAFLUSH, &silent);
        }
    }
    ~Silence() {
        if (works_) {
            tcsetattr(terminal_, TCSAFLUSH, &before_);
        }
    }
    Silence(const Silence&) = delete;
    Silence& operator=(const Silence&) = delete;

private:
    int terminal_;
    termios before_;
    bool works_;
};

void put(int to, const std::string& text) {
    if (write(to, text.data(), text.size()) < 0) {
        // If it cannot be written, nobody sees the prompt, but the answer is read all the same.
    }
}

}  // namespace

std::string ask_password(const std::string& user) {
    const int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
    const int from = terminal >= 0 ? terminal : STDIN_FILENO, to = terminal >= 0 ? terminal : STDERR_FILENO;
    std::string password;
    {
        const Silence silence(from);
        put(to, user.empty() ? "Password: " : "Password for user " + visible(user) + ": ");
        char c;
        while (read(from, &c, 1) == 1 && c != '\n' && c != '\r') {
            password.push_back(c);
        }
        put(to, "\n");
    }
    if (terminal >= 0) {
        close(terminal);
    }
    interrupt::check();
    return password;
}

}  // namespace sync_job
