// Does with the library pg_sync_job_http what its standard input says, for the tests: one JSON object a line, `do` says what. Each has
// an answer on standard output, {"reply": …} in the order asked; answers of requests come between as {"answer": …}. It waits as a worker
// does: for the library's descriptor and its own, in one thread.
#include <dlfcn.h>
#include <poll.h>
#include <unistd.h>

#include <clocale>
#include <csignal>
#include <cstring>
#include <deque>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "transport.h"

namespace {

using Json = nlohmann::json;

SyncJobHttp* transport = nullptr;
const SyncJobHttpApi* api = nullptr;
int rounds = 0;

// Bytes as the characters of the same number, and back: JSON knows no bytes.
std::string from_bytes(const SyncJobHttpText& text) {
    std::string result;
    for (size_t i = 0; i < text.length; i++) {
        const auto byte = static_cast<unsigned char>(text.data[i]);
        if (byte < 0x80) {
            result += static_cast<char>(byte);
        } else {
            result += static_cast<char>(0xc0 | byte >> 6);
            result += static_cast<char>(0x80 | (byte & 0x3f));
        }
    }
    return result;
}

std::string to_bytes(const std::string& text) {
    std::string result;
    for (size_t i = 0; i < text.size(); i++) {
        const auto byte = static_cast<unsigned char>(text[i]);
        result += static_cast<char>(byte < 0x80 ? byte : (byte & 0x03) << 6 | (static_cast<unsigned char>(text[++i]) & 0x3f));
    }
    return result;
}

// Keeps the texts to which a struct of the border points.
class Texts {
public:
    SyncJobHttpText of(const Json& object, const char* key) { return keep(object.value(key, std::string())); }
    SyncJobHttpText keep(const std::string& text) {
        const std::string& kept = texts_.emplace_back(to_bytes(text));
        return {kept.data(), kept.size()};
    }

private:
    std::deque<std::string> texts_;
};

struct Endpoint : SyncJobHttpEndpoint {
    explicit Endpoint(const Json& given) : SyncJobHttpEndpoint{} {
        name = texts.of(given, "name");
        scheme = texts.of(given, "scheme");
        host = texts.of(given, "host");
        port = given.value("port", 0);
        SyncJobHttpEndpoint::max_in_flight = given.value("max_in_flight", 8);
        requests_per_second = given.value("requests_per_second", 0.0);
        connect_timeout_ms = given.value("connect_timeout_ms", 20000);
        max_redirects = given.value("max_redirects", 0);
        max_pause_ms = given.value("max_pause_ms", 0);
        for (const Json& network : given.value("networks", Json::array())) list.push_back(texts.keep(network));
        networks = list.data();
        network_count = list.size();
        ca_file = texts.of(given, "ca_file");
        certificate_file = texts.of(given, "certificate_file");
        key_file = texts.of(given, "key_file");
    }
    Texts texts;
    std::vector<SyncJobHttpText> list;
};

struct Request : SyncJobHttpRequest {
    explicit Request(const Json& given) : SyncJobHttpRequest{} {
        id = given.value("id", uint64_t{0});
        endpoint = texts.of(given, "endpoint");
        method = texts.of(given, "method");
        target = texts.of(given, "target");
        for (const Json& header : given.value("headers", Json::array())) {
            list.push_back({texts.keep(header.at(0)), texts.keep(header.at(1)), header.size() > 2});
        }
        headers = list.data();
        header_count = list.size();
        body = texts.of(given, "body");
        timeout_ms = given.value("timeout_ms", 30000);
        max_answer_bytes = given.value("max_answer_bytes", 1000000);
    }
    Texts texts;
    std::vector<SyncJobHttpHeader> list;
};

Json outcome(const SyncJobHttpAnswer& answer) {
    static const char* names[] = {"", "definite", "unknown", "not sent"};
    Json headers = Json::array();
    for (size_t i = 0; i < answer.header_count; i++) headers.push_back({from_bytes(answer.headers[i].name), from_bytes(answer.headers[i].value)});
    return {{"id", answer.id},           {"outcome", names[answer.outcome]},        {"error", answer.error},
            {"status", answer.status},   {"error_text", from_bytes(answer.error_text)}, {"redirects", answer.redirects},
            {"headers", headers},        {"body", from_bytes(answer.body)},         {"retry_after_ms", answer.retry_after_ms},
            {"elapsed_ms", answer.elapsed_ms}, {"address", from_bytes(answer.address)}};
}

// What the library must leave as it was.
Json process_state() {
    Json handlers = Json::array();
    sigset_t mask;
    sigprocmask(SIG_BLOCK, nullptr, &mask);
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action{};
        sigaction(number, nullptr, &action);
        handlers.push_back({reinterpret_cast<uintptr_t>(action.sa_handler), action.sa_flags, sigismember(&mask, number)});
    }
    const auto count = [](const char* folder) { return std::distance(std::filesystem::directory_iterator(folder), {}); };
    return {{"locale", setlocale(LC_ALL, nullptr)}, {"signals", handlers}, {"threads", count("/proc/self/task")}, {"descriptors", count("/proc/self/fd")}, {"rounds", rounds}};
}

Json reply_to(const Json& given) {
    const std::string what = given.at("do");
    char error[1000] = "";
    const auto result = [&](int code) { return Json{{"error", code}, {"error_text", from_bytes({error, strlen(error)})}}; };
    Texts texts;
    if (what == "open") {
        const SyncJobHttpSettings settings{texts.keep(given.value("user_agent", "driver")), given.value("max_in_flight", 100), texts.of(given, "dns_servers")};
        transport = api->open(&settings, error, sizeof(error));
        return result(transport == nullptr ? SYNC_JOB_HTTP_INVALID : SYNC_JOB_HTTP_OK);
    }
    if (what == "endpoint") return result(api->endpoint(transport, &static_cast<const SyncJobHttpEndpoint&>(Endpoint(given)), error, sizeof(error)));
    if (what == "check_endpoint") return result(api->check_endpoint(&static_cast<const SyncJobHttpEndpoint&>(Endpoint(given)), error, sizeof(error)));
    if (what == "send") return result(api->send(transport, &static_cast<const SyncJobHttpRequest&>(Request(given)), error, sizeof(error)));
    if (what == "check_request") return result(api->check_request(&static_cast<const SyncJobHttpRequest&>(Request(given)), error, sizeof(error)));
    if (what == "process") return process_state();
    if (what == "state") {
        SyncJobHttpState state;
        api->state(transport, texts.of(given, "endpoint"), &state);
        return {{"in_flight", state.in_flight}, {"waiting", state.waiting}, {"room", state.room}, {"room_in_ms", state.room_in_ms}, {"paused_ms", state.paused_ms}};
    }
    if (what == "hmac") {
        unsigned char mac[64];
        return from_bytes({reinterpret_cast<char*>(mac), api->hmac(texts.of(given, "digest"), texts.of(given, "key"), texts.of(given, "data"), mac)});
    }
    if (what == "base64") {
        const SyncJobHttpText data = texts.of(given, "data");
        std::string out(data.length * 4 / 3 + 5, '\0');
        return out.substr(0, api->base64(data, out.data()));
    }
    if (what == "pause") {
        api->pause(transport, texts.of(given, "endpoint"), given.at("pause_ms"));
    } else if (what == "cancel") {
        api->cancel(transport, given.at("id"));
    } else if (what == "close") {
        api->close(transport);
        transport = nullptr;
    } else {
        throw std::invalid_argument("there is no such thing to do: " + what);
    }
    return result(SYNC_JOB_HTTP_OK);
}

void print(const char* what, const Json& value) { std::cout << Json{{what, value}}.dump() << '\n'; }

void pass_answers() {
    if (transport == nullptr) return;
    api->step(transport);
    while (const SyncJobHttpAnswer* answer = api->take(transport)) {
        print("answer", outcome(*answer));
        api->release(transport, answer);
    }
}

// False at its end.
bool read_input(std::string& input) {
    char buffer[65536];
    const ssize_t length = read(STDIN_FILENO, buffer, sizeof(buffer));
    if (length <= 0) return false;
    input.append(buffer, static_cast<size_t>(length));
    size_t begin = 0;
    for (size_t end; (end = input.find('\n', begin)) != std::string::npos; begin = end + 1) {
        print("reply", reply_to(Json::parse(input.substr(begin, end - begin))));
    }
    input.erase(0, begin);
    return true;
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 2) return 2;
    signal(SIGPIPE, SIG_IGN);
    void* library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    void* symbol = library == nullptr ? nullptr : dlsym(library, SYNC_JOB_HTTP_SYMBOL);
    if (symbol == nullptr) {
        std::cerr << dlerror() << '\n';
        return 1;
    }
    api = reinterpret_cast<SyncJobHttpApiFunction>(symbol)();
    if (api->version != SYNC_JOB_HTTP_VERSION || api->size < sizeof(SyncJobHttpApi)) return 1;
    std::string input;
    while (true) {
        pollfd wait[2] = {{STDIN_FILENO, POLLIN, 0}, {transport == nullptr ? -1 : api->fd(transport), POLLIN, 0}};
        poll(wait, 2, transport == nullptr ? -1 : static_cast<int>(api->next_timeout_ms(transport)));
        rounds++;
        if (wait[0].revents != 0 && !read_input(input)) break;
        pass_answers();
        std::cout.flush();
    }
    api->close(transport);
    return 0;
}
