// The table of functions behind transport.h. No exception leaves this file.
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "failure.hpp"
#include "transport.h"
#include "transport.hpp"

struct SyncJobHttp : sync_job::http::Transport {
    using Transport::Transport;
};

namespace sync_job::http {

namespace {

void say(char* error, size_t error_size, const char* text) {
    if (error == nullptr || error_size == 0) return;
    const size_t length = std::min(strlen(text), error_size - 1);
    memcpy(error, text, length);
    error[length] = '\0';
}

template <typename Function>
SyncJobHttpError checked(char* error, size_t error_size, Function function) noexcept {
    say(error, error_size, "");
    try {
        function();
        return SYNC_JOB_HTTP_OK;
    } catch (const Invalid& invalid) {
        say(error, error_size, invalid.what());
        return invalid.error;
    } catch (const std::bad_alloc&) {
        say(error, error_size, "out of memory");
    } catch (const std::exception& other) {
        say(error, error_size, other.what());
    }
    return SYNC_JOB_HTTP_INTERNAL;
}

// For functions that can fail only for lack of memory: then it is as if they had not been called.
template <typename Function>
void quiet(Function function) noexcept {
    checked(nullptr, 0, function);
}

SyncJobHttp* open(const SyncJobHttpSettings* settings, char* error, size_t error_size) {
    SyncJobHttp* transport = nullptr;
    checked(error, error_size, [&] { transport = new SyncJobHttp(Settings(*settings)); });
    return transport;
}

void close(SyncJobHttp* transport) { delete transport; }

SyncJobHttpError endpoint(SyncJobHttp* transport, const SyncJobHttpEndpoint* endpoint, char* error, size_t error_size) {
    return checked(error, error_size, [&] { transport->set_endpoint(*endpoint); });
}

void pause(SyncJobHttp* transport, SyncJobHttpText endpoint, int64_t pause_ms) {
    quiet([&] { transport->pause(text_of(endpoint), pause_ms); });
}

void state(SyncJobHttp* transport, SyncJobHttpText endpoint, SyncJobHttpState* state) {
    *state = {};
    quiet([&] { *state = transport->state(text_of(endpoint)); });
}

SyncJobHttpError check_endpoint(const SyncJobHttpEndpoint* endpoint, char* error, size_t error_size) {
    return checked(error, error_size, [&] { EndpointSettings{*endpoint}; });
}

SyncJobHttpError check_request(const SyncJobHttpRequest* request, char* error, size_t error_size) {
    return checked(error, error_size, [&] { Request{*request}; });
}

SyncJobHttpError send(SyncJobHttp* transport, const SyncJobHttpRequest* request, char* error, size_t error_size) {
    return checked(error, error_size, [&] { transport->send(*request); });
}

void cancel(SyncJobHttp* transport, uint64_t id) {
    quiet([&] { transport->cancel(id); });
}

int fd(const SyncJobHttp* transport) { return transport->fd(); }

int64_t next_timeout_ms(const SyncJobHttp* transport) { return transport->next_timeout_ms(); }

int32_t step(SyncJobHttp* transport) {
    int count = 0;
    quiet([&] { count = transport->step(); });
    return count;
}

const SyncJobHttpAnswer* take(SyncJobHttp* transport) {
    const SyncJobHttpAnswer* answer = nullptr;
    quiet([&] { answer = transport->take(); });
    return answer;
}

void release(SyncJobHttp* transport, const SyncJobHttpAnswer* answer) { transport->release(answer); }

size_t hmac(SyncJobHttpText digest, SyncJobHttpText key, SyncJobHttpText data, unsigned char* mac) {
    size_t length = 0;
    quiet([&] {
        const std::string name = text_of(digest);
        const EVP_MD* method = name == "sha256" ? EVP_sha256() : name == "sha1" ? EVP_sha1() : name == "sha384" ? EVP_sha384() : name == "sha512" ? EVP_sha512() : nullptr;
        unsigned written = 0;
        // An empty key is a key, but a null pointer is not.
        const char* bytes = key.length > 0 ? key.data : "";
        if (method != nullptr && HMAC(method, bytes, static_cast<int>(key.length), reinterpret_cast<const unsigned char*>(data.data), data.length, mac, &written) != nullptr) {
            length = written;
        }
    });
    return length;
}

size_t base64(SyncJobHttpText data, char* out) {
    return static_cast<size_t>(
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out), reinterpret_cast<const unsigned char*>(data.data), static_cast<int>(data.length)));
}

constexpr SyncJobHttpApi api = {.version = SYNC_JOB_HTTP_VERSION,
                                .size = sizeof(SyncJobHttpApi),
                                .open = open,
                                .close = close,
                                .endpoint = endpoint,
                                .pause = pause,
                                .state = state,
                                .check_endpoint = check_endpoint,
                                .check_request = check_request,
                                .send = send,
                                .cancel = cancel,
                                .fd = fd,
                                .next_timeout_ms = next_timeout_ms,
                                .step = step,
                                .take = take,
                                .release = release,
                                .hmac = hmac,
                                .base64 = base64};

}  // namespace

}  // namespace sync_job::http

extern "C" __attribute__((visibility("default"))) const SyncJobHttpApi* sync_job_http_api() { return &sync_job::http::api; }
