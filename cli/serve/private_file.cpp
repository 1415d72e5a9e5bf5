#include "serve/private_file.hpp"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

namespace sync_job::serve {

namespace {

constexpr std::size_t longest_line = 4096;

class OpenFile {
public:
    explicit OpenFile(const std::string& path) : file_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
        if (file_ < 0) throw std::runtime_error("could not open \"" + path + "\": " + strerror(errno));
    }
    OpenFile(const OpenFile&) = delete;
    ~OpenFile() { close(file_); }
    int number() const { return file_; }

private:
    const int file_;
};

// Checks the open file, so that it is the one that is read. A pipe or device cannot be read again by others.
void check_private(const OpenFile& file, const std::string& path) {
    struct stat facts{};
    if (fstat(file.number(), &facts) != 0) throw std::runtime_error("could not look at \"" + path + "\": " + strerror(errno));
    if (!S_ISREG(facts.st_mode)) return;
    const mode_t of_others = facts.st_uid == 0 ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO;
    if ((facts.st_mode & of_others) == 0) return;
    throw std::runtime_error("others may read or write \"" + path + "\": its mode must be 0600 or less" +
                             (facts.st_uid == 0 ? ", or 0640, as it belongs to root" : ""));
}

}  // namespace

void check_private_file(const std::string& path) { check_private(OpenFile(path), path); }

std::string first_line_of_private_file(const std::string& path) {
    const OpenFile file(path);
    check_private(file, path);
    char bytes[longest_line];
    std::string line;
    line.reserve(2 * longest_line);  // so that no copy is left behind
    for (ssize_t length = 1; length > 0 && line.size() < longest_line && line.find('\n') == std::string::npos;) {
        length = read(file.number(), bytes, sizeof bytes);
        if (length < 0) throw std::runtime_error("could not read \"" + path + "\": " + strerror(errno));
        line.append(bytes, static_cast<std::size_t>(length));
    }
    explicit_bzero(bytes, sizeof bytes);
    line.resize(std::min(line.find('\n'), line.size()));
    return line;
}

}  // namespace sync_job::serve
