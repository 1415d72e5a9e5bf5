#include "pg/server.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pg/error.hpp"
#include "pg/shared_library.hpp"

namespace sync_job::pg {

namespace {

FileIdentity identity_of(const struct stat& status) {
    return {status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

Error cannot_open(const std::string& path, const std::string& why) {
    return Error("55000", "could not open library \"" + path + "\"").detail(why.empty() ? why : why + ".");
}

// A file descriptor, closed at the end of the scope unless it is kept.
struct Descriptor {
    int number;
    explicit Descriptor(int opened) : number(opened) {}
    ~Descriptor() {
        if (number >= 0) close(number);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int keep() { return std::exchange(number, -1); }
};

// Static variables of templates and inline functions exist once per process (STB_GNU_UNIQUE), even with RTLD_LOCAL. Libraries that have
// classes of the same names, or other versions of a header, would share them. In the copy, these are turned into ordinary symbols. A file
// that is not a library is left unchanged: the loader will report that.
void make_symbols_own(char* image, std::size_t size) {
    auto within = [&](std::size_t at, std::size_t bytes) { return at <= size && bytes <= size - at; };
    ElfW(Ehdr) header;
    if (size < sizeof(header)) return;
    std::memcpy(&header, image, sizeof(header));
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_shentsize != sizeof(ElfW(Shdr))) return;
    if (!within(header.e_shoff, std::size_t{header.e_shnum} * sizeof(ElfW(Shdr)))) return;
    for (int i = 0; i < header.e_shnum; i++) {
        ElfW(Shdr) section;
        std::memcpy(&section, image + header.e_shoff + i * sizeof(section), sizeof(section));
        if (section.sh_type != SHT_DYNSYM || !within(section.sh_offset, section.sh_size)) continue;
        for (std::size_t at = 0; at + sizeof(ElfW(Sym)) <= section.sh_size; at += sizeof(ElfW(Sym))) {
            ElfW(Sym) symbol;
            std::memcpy(&symbol, image + section.sh_offset + at, sizeof(symbol));
            if (ELF64_ST_BIND(symbol.st_info) != STB_GNU_UNIQUE) continue;
            symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, ELF64_ST_TYPE(symbol.st_info));
            std::memcpy(image + section.sh_offset + at, &symbol, sizeof(symbol));
        }
    }
}

void make_symbols_own(int memory, std::size_t size) {
    void* image = size == 0 ? MAP_FAILED : mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (image == MAP_FAILED) return;
    make_symbols_own(static_cast<char*>(image), size);
    munmap(image, size);
}

// The path that is opened instead of the file's. The descriptor stays open: the loader identifies a library by its path, which contains the
// descriptor's number. If the kernel does not provide such memory, the file itself is used.
std::string copy_in_memory(const std::string& path, int file, off_t size) {
    Descriptor memory(memfd_create(path.substr(path.rfind('/') + 1).c_str(), MFD_CLOEXEC));
    if (memory.number < 0) return path;
    for (off_t at = 0; at < size;) {
        ssize_t copied = sendfile(memory.number, file, &at, static_cast<std::size_t>(size - at));
        if (copied < 0 && errno == EINTR) continue;
        if (copied <= 0) throw cannot_open(path, "It cannot be read, or became shorter meanwhile");
    }
    make_symbols_own(memory.number, static_cast<std::size_t>(size));
    return "/proc/self/fd/" + std::to_string(memory.keep());
}

}  // namespace

std::string path_of_library(const std::string& folder, const std::string& file) {
    constexpr std::string_view server_folder = "$libdir";
    std::string whole = folder;
    bool of_server = folder.starts_with(server_folder) && (folder.size() == server_folder.size() || folder[server_folder.size()] == '/');
    if (of_server) whole = pkglib_path + folder.substr(server_folder.size());
    return whole + "/" + file;
}

SharedLibrary::SharedLibrary(const std::string& path) : path_(path) {
    Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status {};
    if (file.number < 0) {
        bool missing = errno == ENOENT || errno == ENOTDIR;
        std::string why = strerror(errno);
        if (missing) throw Error("58P01", "there is no library \"" + path + "\"");
        throw cannot_open(path, why);
    }
    if (fstat(file.number, &status) != 0 || !S_ISREG(status.st_mode)) throw cannot_open(path, "It is no file");
    identity_ = identity_of(status);
    std::string opened = copy_in_memory(path, file.number, status.st_size);
    handle_ = dlopen(opened.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ != nullptr) return;
    const char* why = dlerror();
    std::string reason = why == nullptr ? "" : why;
    if (std::size_t at = reason.find(opened + ": "); at != std::string::npos) reason.erase(at, opened.size() + 2);
    throw cannot_open(path, reason);
}

const void* SharedLibrary::symbol(const char* name) const { return dlsym(handle_, name); }

bool SharedLibrary::replaced() const noexcept {
    struct stat status {};
    return stat(path_.c_str(), &status) != 0 || identity_of(status) != identity_;
}

}  // namespace sync_job::pg
