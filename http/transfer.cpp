#include "transfer.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace sync_job::http {

namespace {

constexpr size_t head_at_most = 64 * 1024;

}  // namespace

Transfer::Transfer(Multi& multi, Plan plan) : multi_(multi), plan_(std::move(plan)), handle_(multi.handle()) {
    try {
        set_message();
        set_limits();
        set_connection();
        multi.add(handle_);
    } catch (...) {
        multi.give_back(handle_);
        throw;
    }
}

template <typename Value>
void Transfer::set(CURLoption option, Value value) {
    const CURLcode code = curl_easy_setopt(handle_, option, value);
    if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
    if (code != CURLE_OK) throw std::runtime_error(std::string("libcurl takes no option ") + std::to_string(option) + ": " + curl_easy_strerror(code));
}

void Transfer::append(List& list, const std::string& line) {
    curl_slist* longer = curl_slist_append(list.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    static_cast<void>(list.release());
    list.reset(longer);
}

void Transfer::set_message() {
    const Request& request = plan_.request;
    set(CURLOPT_PRIVATE, plan_.owner);
    set(CURLOPT_URL, (plan_.url.origin.text() + "/").c_str());
    set(CURLOPT_REQUEST_TARGET, plan_.url.target.c_str());  // not in the URL, which each version of libcurl normalizes differently
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_USERAGENT, plan_.user_agent.c_str());
    set(CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
    if (request.method == "HEAD") {
        set(CURLOPT_NOBODY, 1L);
    } else if (!request.body.empty() || request.method.starts_with('P')) {  // POST, PUT and PATCH have a body, even if it is empty
        set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
        set(CURLOPT_POSTFIELDS, request.body.data());
    }
    if (request.method != "HEAD") set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    append(headers_, "Expect:");
    if (!request.has_header("Content-Type")) append(headers_, "Content-Type:");
    const bool elsewhere = plan_.url.origin != plan_.endpoint.origin;
    for (const Header& header : request.headers) {
        if (header.secret && elsewhere) continue;
        append(headers_, header.name + (header.value.empty() ? ";" : ": " + header.value));
    }
    set(CURLOPT_HTTPHEADER, headers_.get());
}

void Transfer::set_limits() {
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(plan_.timeout.count()));
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(plan_.connect_timeout.count()));
    set(CURLOPT_ERRORBUFFER, error_);
    set(CURLOPT_HEADERFUNCTION, head_came);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_WRITEFUNCTION, body_came);
    set(CURLOPT_WRITEDATA, this);
}

void Transfer::set_connection() {
    const std::string address = plan_.address.text();
    // The name is used in the request and to check the certificate; the connection goes to this address only.
    append(connect_to_, "::" + (plan_.address.family == AF_INET6 ? "[" + address + "]" : address) + ":");
    set(CURLOPT_CONNECT_TO, connect_to_.get());
    set(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    set(CURLOPT_OPENSOCKETDATA, this);
    set(CURLOPT_PREREQFUNCTION, about_to_send);
    set(CURLOPT_PREREQDATA, this);
    set(CURLOPT_PROTOCOLS_STR, plan_.url.origin.scheme.c_str());
    set(CURLOPT_PROXY, "");
    set(CURLOPT_NOPROXY, "*");
    set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    const EndpointSettings& endpoint = plan_.endpoint;
    const char* ca_file = endpoint.ca_file.empty() ? curl_version_info(CURLVERSION_NOW)->cainfo : endpoint.ca_file.c_str();
    if (ca_file != nullptr) {  // without a folder of certificates: with one, libcurl would read the file again for each connection
        set(CURLOPT_CAINFO, ca_file);
        set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
        set(CURLOPT_CA_CACHE_TIMEOUT, 60L);
    }
    if (plan_.url.origin != endpoint.origin || endpoint.certificate_file.empty()) return;
    set(CURLOPT_SSLCERT, endpoint.certificate_file.c_str());
    set(CURLOPT_SSLKEY, (endpoint.key_file.empty() ? endpoint.certificate_file : endpoint.key_file).c_str());
    set(CURLOPT_KEYPASSWD, "");  // else OpenSSL would ask for the passphrase of a key at the terminal
}

void* Transfer::owner(CURL* handle) {
    void* owner = nullptr;
    curl_easy_getinfo(handle, CURLINFO_PRIVATE, &owner);
    return owner;
}

// Checked again when the socket is opened, and when the request is sent, also on a reused connection.
bool Transfer::is_pinned(const std::optional<Address>& address) noexcept {
    try {
        refused_ = refused_ || !address || *address != plan_.address || why_refused(*address, plan_.endpoint.networks);
    } catch (...) {
        refused_ = no_memory_ = true;
    }
    return !refused_;
}

curl_socket_t Transfer::open_socket(void* data, curlsocktype purpose, curl_sockaddr* address) {
    Transfer& transfer = *static_cast<Transfer*>(data);
    if (purpose != CURLSOCKTYPE_IPCXN || !transfer.is_pinned(Address::of(address->addr))) return CURL_SOCKET_BAD;
    const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    transfer.socket_error_ = fd < 0 ? errno : 0;
    return fd;
}

int Transfer::about_to_send(void* data, char* address, char*, int, int) {
    Transfer& transfer = *static_cast<Transfer*>(data);
    std::optional<Address> connected;
    try {
        connected = Address::parse(address);
    } catch (...) {
        transfer.no_memory_ = true;
    }
    if (!transfer.is_pinned(connected)) return CURL_PREREQFUNC_ABORT;
    transfer.sent_ = true;
    return CURL_PREREQFUNC_OK;
}

size_t Transfer::head_came(char*, size_t size, size_t count, void* data) {
    Transfer& transfer = *static_cast<Transfer*>(data);
    transfer.head_size_ += size * count;
    transfer.head_too_large_ = transfer.head_size_ > head_at_most;
    return transfer.head_too_large_ ? 0 : size * count;
}

size_t Transfer::body_came(char* data, size_t size, size_t count, void* owner) {
    Transfer& transfer = *static_cast<Transfer*>(owner);
    const size_t length = size * count, room = static_cast<size_t>(transfer.plan_.request.max_answer_bytes) - transfer.body_.size();
    try {
        transfer.body_.append(data, std::min(length, room));
    } catch (...) {
        transfer.no_memory_ = true;
        return 0;
    }
    transfer.body_too_large_ = length > room;
    return transfer.body_too_large_ ? 0 : length;
}

Failure Transfer::failure(CURLcode code) const {
    const std::string to = "\"" + plan_.url.origin.host + "\" (" + plan_.address.text() + ")";
    if (code == CURLE_OK) return {};
    if (no_memory_ || code == CURLE_OUT_OF_MEMORY) return {SYNC_JOB_HTTP_INTERNAL, "out of memory"};
    if (!sent_) return failure_before_sending(code);
    if (body_too_large_) {
        return {SYNC_JOB_HTTP_ANSWER_TOO_LARGE, "answer of " + to + " is longer than " + std::to_string(plan_.request.max_answer_bytes) + " bytes"};
    }
    if (head_too_large_) return {SYNC_JOB_HTTP_HEAD_TOO_LARGE, "answer of " + to + " has more than " + std::to_string(head_at_most) + " bytes of headers"};
    const std::string why = error_[0] != '\0' ? error_ : curl_easy_strerror(code);
    switch (code) {
        case CURLE_OPERATION_TIMEDOUT: return {SYNC_JOB_HTTP_TIMEOUT, "no whole answer of " + to + " in time"};
        case CURLE_BAD_CONTENT_ENCODING:
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_WEIRD_SERVER_REPLY: return {SYNC_JOB_HTTP_NOT_HTTP, "answer of " + to + " cannot be read: " + why};
        default: return {SYNC_JOB_HTTP_BROKEN, "connection to " + to + " ended before the answer was whole: " + why};
    }
}

Failure Transfer::failure_before_sending(CURLcode code) const {
    const std::string to = "\"" + plan_.url.origin.host + "\" (" + plan_.address.text() + ") port " + std::to_string(plan_.url.origin.port);
    if (refused_) return {SYNC_JOB_HTTP_ADDRESS_REFUSED, "connection to " + to + " would go to another address"};
    if (socket_error_ != 0) return {SYNC_JOB_HTTP_INTERNAL, "could not open a socket: " + std::generic_category().message(socket_error_)};
    const std::string why = error_[0] != '\0' ? error_ : curl_easy_strerror(code);
    long system_error = 0;
    curl_easy_getinfo(handle_, CURLINFO_OS_ERRNO, &system_error);
    switch (code) {
        case CURLE_OPERATION_TIMEDOUT: return {SYNC_JOB_HTTP_CONNECT_FAILED, "no connection to " + to + " in time"};
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_CLIENTCERT: return {SYNC_JOB_HTTP_TLS_FAILED, "no TLS with " + to + ": " + why};
        default:
            return {SYNC_JOB_HTTP_CONNECT_FAILED,
                    "could not connect to " + to + ": " + (system_error != 0 ? std::generic_category().message(static_cast<int>(system_error)) : why)};
    }
}

int Transfer::status() const {
    long status = 0;
    curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
    return static_cast<int>(status);
}

std::vector<Header> Transfer::headers() const {
    std::vector<Header> result;
    for (curl_header* header = nullptr; (header = curl_easy_nextheader(handle_, CURLH_HEADER, -1, header)) != nullptr;) {
        result.push_back({header->name, header->value, false});
    }
    return result;
}

std::optional<std::string> Transfer::header(const char* name) const {
    curl_header* header = nullptr;
    if (curl_easy_header(handle_, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return std::nullopt;
    return header->value;
}

}  // namespace sync_job::http
