// One HTTP request to one address, with libcurl, which decides nothing: no name to look up, no redirect, no proxy.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "failure.hpp"
#include "multi.hpp"
#include "request.hpp"

namespace sync_job::http {

class Transfer {
public:
    struct Plan {
        const Request& request;  // it outlives the transfer, like the endpoint and the user agent
        const EndpointSettings& endpoint;
        const std::string& user_agent;
        Url url;
        Address address;
        Milliseconds timeout, connect_timeout;
        void* owner;
    };

    Transfer(Multi& multi, Plan plan);
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;
    ~Transfer() { multi_.give_back(handle_); }

    // The owner of a handle that has finished.
    static void* owner(CURL* handle);

    // Whether something of the request may have been sent.
    bool sent() const { return sent_; }
    // How it ended. No error, or ANSWER_TOO_LARGE: the answer is there.
    Failure failure(CURLcode code) const;

    int status() const;
    std::vector<Header> headers() const;
    std::optional<std::string> header(const char* name) const;
    std::string& body() { return body_; }
    const Address& address() const { return plan_.address; }
    const Url& url() const { return plan_.url; }

private:
    void set_message();
    void set_limits();
    void set_connection();
    template <typename Value>
    void set(CURLoption option, Value value);
    Failure failure_before_sending(CURLcode code) const;
    bool is_pinned(const std::optional<Address>& address) noexcept;

    static curl_socket_t open_socket(void* transfer, curlsocktype purpose, curl_sockaddr* address);
    static int about_to_send(void* transfer, char* address, char* local_address, int port, int local_port);
    static size_t head_came(char* data, size_t size, size_t count, void* transfer);
    static size_t body_came(char* data, size_t size, size_t count, void* transfer);

    struct FreeList {
        void operator()(curl_slist* list) const { curl_slist_free_all(list); }
    };
    using List = std::unique_ptr<curl_slist, FreeList>;
    static void append(List& list, const std::string& line);

    Multi& multi_;
    const Plan plan_;
    CURL* const handle_;
    List headers_, connect_to_;
    char error_[CURL_ERROR_SIZE] = "";
    bool sent_ = false, refused_ = false, head_too_large_ = false, body_too_large_ = false, no_memory_ = false;
    int socket_error_ = 0;
    size_t head_size_ = 0;
    std::string body_;
};

}  // namespace sync_job::http
