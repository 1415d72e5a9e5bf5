#include "serve/http.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <algorithm>
#include <iostream>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <stdexcept>
#include <string.h>

#include "serve/gate.hpp"
#include "serve/private_file.hpp"

namespace sync_job::serve {

namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;

namespace {

// How long a client may take: for its handshake, for a head (or to send nothing between two requests), for a body, to read an answer.
constexpr auto handshake_limit = std::chrono::seconds(10);
constexpr auto head_limit = std::chrono::seconds(20);
constexpr auto body_time_limit = std::chrono::seconds(30);
constexpr auto answer_limit = std::chrono::seconds(60);
constexpr std::size_t largest_head = 16 << 10;
constexpr std::size_t most_connections = 500;
constexpr std::ptrdiff_t most_of_owner = 40;  // a browser opens six
constexpr std::size_t most_places = 2 * most_connections;  // including those that are closed and still wait for something

const auto awaited = asio::use_awaitable;

std::string lower(beast::string_view text) {
    std::string result(text.data(), text.size());
    for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return result;
}

std::string plain(beast::string_view text) { return std::string(text.data(), text.size()); }

Request head_of(const http::request<http::string_body>& message, const std::string& peer) {
    Request request;
    switch (message.method()) {
        case http::verb::get: request.method = Method::get; break;
        case http::verb::head: request.method = Method::head; break;
        case http::verb::post: request.method = Method::post; break;
        default: break;
    }
    const std::string target = plain(message.target());
    const std::size_t question = std::min(target.find('?'), target.size());
    request.path = target.substr(0, question);
    request.query = question < target.size() ? target.substr(question + 1) : "";
    request.peer = peer;
    for (const auto& field : message) request.headers.emplace_back(lower(field.name_string()), plain(field.value()));
    return request;
}

// What comes in; it may contain a password.
class ReadBuffer {
public:
    ReadBuffer() : bytes_(std::make_unique_for_overwrite<char[]>(length)), unread(bytes_.get(), length) {}
    ReadBuffer(const ReadBuffer&) = delete;
    ~ReadBuffer() { explicit_bzero(bytes_.get(), length); }

    void wipe_what_was_read() {
        auto* begin = static_cast<char*>(unread.data().data());
        char* end = begin + unread.size();
        explicit_bzero(bytes_.get(), static_cast<std::size_t>(begin - bytes_.get()));
        explicit_bzero(end, static_cast<std::size_t>(bytes_.get() + length - end));
    }

private:
    static constexpr std::size_t length = largest_head + (64 << 10);
    const std::unique_ptr<char[]> bytes_;

public:
    beast::flat_static_buffer_base unread;
};

// Bad HTTP, as opposed to the end of the connection, when nobody is left to answer.
bool is_bad_http(const ErrorCode& error) {
    static const ErrorCode end_of_stream = http::error::end_of_stream;
    return error.category() == end_of_stream.category() && error != end_of_stream;
}

// Whether a proxy could see a different end of this request than we do, and so send what follows as part of another request (request
// smuggling): then nothing after the head is read. Beast treats an unknown Transfer-Encoding as none, and undoes line folding.
bool is_ambiguous(const http::request<http::string_body>& message) {
    const auto codings = message.count(http::field::transfer_encoding), lengths = message.count(http::field::content_length);
    if (codings + lengths > 1) return true;
    if (codings == 1 && (message.version() != 11 || lower(message[http::field::transfer_encoding]) != "chunked")) return true;
    return lengths == 1 && message[http::field::content_length].find_first_not_of("0123456789") != beast::string_view::npos;
}

// Reads on until the buffer has a whole head, or one that is too long. True: a header line is continued in the next one.
template <class Connection>
Async<bool> wait_for_head(Connection& connection, beast::flat_static_buffer_base& unread, ErrorCode& error) {
    for (;;) {
        const std::string_view seen(static_cast<const char*>(unread.data().data()), unread.size());
        const std::size_t end = seen.find("\r\n\r\n");
        if (error || end != std::string_view::npos || seen.size() >= largest_head) {
            const std::string_view head = seen.substr(0, end);
            co_return head.find("\r\n ") != std::string_view::npos || head.find("\r\n\t") != std::string_view::npos;
        }
        const std::size_t length = co_await connection.async_read_some(unread.prepare(4096), asio::redirect_error(awaited, error));
        unread.commit(length);
    }
}

// The head of an answer, without its body.
template <class Message>
void fill_head(Message& message, const Response& response, const http::request<http::string_body>& request) {
    message.version(request.version());
    message.result(static_cast<unsigned>(response.status));
    message.set(http::field::content_type, response.content_type);
    message.set(http::field::cache_control, "no-store");
    for (const auto& [name, value] : security_headers()) message.set(name, value);
    for (const auto& [name, value] : response.headers) message.insert(name, value);
    message.keep_alive(request.keep_alive() && !response.close);
}

}  // namespace

struct Listener::State : std::enable_shared_from_this<State> {
    State(asio::io_context& context, std::shared_ptr<asio::ssl::context> tls_to_use) : acceptor(context), tls(std::move(tls_to_use)) {}

    // A connection; its socket closes when the listener stops.
    struct Place {
        beast::tcp_stream* stream;
        bool closed = false;
        std::weak_ptr<const void> last_owner = {};  // the session to which its last request belonged

        const void* owner() const { return last_owner.lock().get(); }
    };
    using Places = std::list<Place>;

    Async<void> accept();
    Async<void> serve(tcp::socket socket);
    template <class Connection>
    Async<void> converse(Connection& connection, Places::iterator place, std::string peer);
    template <class Connection>
    Async<bool> send(Connection& connection, const http::request<http::string_body>& request, const Response& response);
    template <class Connection>
    Async<void> send_stream(Connection& connection, const http::request<http::string_body>& request, const Response& response);
    Async<void> close_gently(beast::tcp_stream& stream);
    bool make_room();
    void keep_to_limit(const void* owner);
    static void close_oldest(Places& places, const std::function<bool(const Place&)>& of);

    tcp::acceptor acceptor;
    std::shared_ptr<asio::ssl::context> tls;
    Answerer answerer;
    Places places;
};

Listener::Listener(asio::io_context& context, const std::string& where, std::shared_ptr<asio::ssl::context> tls)
    : state_(std::make_shared<State>(context, std::move(tls))) {
    const std::size_t colon = where.rfind(':');
    std::string address = colon == std::string::npos ? where : where.substr(0, colon);
    if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
    if (address == "localhost") address = "127.0.0.1";
    ErrorCode error;
    const auto parsed = asio::ip::make_address(address, error);
    const std::string port = colon == std::string::npos ? "" : where.substr(colon + 1);
    const bool number = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos && std::stoul(port) < 65536;
    if (error || !number) throw std::runtime_error("\"" + where + "\" is no address and port, as in 127.0.0.1:8080");
    const tcp::endpoint endpoint(parsed, static_cast<unsigned short>(std::stoul(port)));
    try {
        state_->acceptor.open(endpoint.protocol());
        state_->acceptor.set_option(tcp::acceptor::reuse_address(true));
        state_->acceptor.bind(endpoint);
        state_->acceptor.listen();
    } catch (const boost::system::system_error& failure) {
        throw std::runtime_error("could not listen at " + where + ": " + failure.code().message());
    }
}

Listener::~Listener() { stop(); }

std::string Listener::address() const { return state_->acceptor.local_endpoint().address().to_string(); }
unsigned Listener::port() const { return state_->acceptor.local_endpoint().port(); }

Async<void> Listener::run(Answerer answerer) {
    state_->answerer = std::move(answerer);
    return state_->accept();
}

void Listener::stop() {
    ErrorCode ignored;
    state_->acceptor.close(ignored);
    for (const auto& place : state_->places) place.stream->close();
}

Async<void> Listener::State::accept() {
    const auto self = shared_from_this();
    while (acceptor.is_open()) {
        ErrorCode error;
        tcp::socket socket = co_await acceptor.async_accept(asio::redirect_error(awaited, error));
        if (error == asio::error::operation_aborted) break;
        if (error) {  // out of file descriptors, say: not again at once
            co_await sleep_until(Clock::now() + std::chrono::milliseconds(100));
            continue;
        }
        if (!make_room()) continue;  // closes it
        asio::co_spawn(
            acceptor.get_executor(),
            [self, socket = std::move(socket)]() mutable { return self->serve(std::move(socket)); }, asio::detached);
    }
}

void Listener::State::close_oldest(Places& places, const std::function<bool(const Place&)>& of) {
    const auto oldest = std::ranges::find_if(places, [&](const Place& place) { return !place.closed && of(place); });
    if (oldest == places.end()) return;
    oldest->closed = true;
    oldest->stream->close();
}

// If there are too many connections, closes the oldest that belongs to no session, or else one of the session that has most. So nobody
// can shut out sessions by opening connections without end.
// What a closed connection waits for goes on without it: until that is over, its place is taken. False: no place is free.
bool Listener::State::make_room() {
    if (places.size() >= most_places) return false;
    if (std::ranges::count(places, false, &Place::closed) < static_cast<std::ptrdiff_t>(most_connections)) return true;
    std::map<const void*, int> counts;
    for (const Place& place : places) counts[place.owner()] += place.closed ? 0 : 1;
    const auto most = std::ranges::max_element(counts, {}, [](const auto& entry) { return std::pair(!entry.first && entry.second > 0, entry.second); });
    close_oldest(places, [&](const Place& place) { return place.owner() == most->first; });
    return true;
}

void Listener::State::keep_to_limit(const void* owner) {
    const auto count = std::ranges::count_if(places, [&](const Place& place) { return !place.closed && place.owner() == owner; });
    if (owner && count > most_of_owner) close_oldest(places, [&](const Place& place) { return place.owner() == owner; });
}

Async<void> Listener::State::serve(tcp::socket socket) {
    const auto self = shared_from_this();
    ErrorCode error;
    const auto peer = socket.remote_endpoint(error).address().to_string();
    socket.set_option(tcp::no_delay(true), error);
    beast::tcp_stream stream(std::move(socket));
    try {
        if (!tls) {
            const auto place = places.insert(places.end(), {&stream});
            const auto leave = std::shared_ptr<void>(nullptr, [self, place](void*) { self->places.erase(place); });
            co_await converse(stream, place, peer);
            co_await close_gently(stream);
        } else {
            TlsStream encrypted(std::move(stream), *tls);
            const auto place = places.insert(places.end(), {&beast::get_lowest_layer(encrypted)});
            const auto leave = std::shared_ptr<void>(nullptr, [self, place](void*) { self->places.erase(place); });
            beast::get_lowest_layer(encrypted).expires_after(handshake_limit);
            co_await encrypted.async_handshake(asio::ssl::stream_base::server, awaited);
            co_await converse(encrypted, place, peer);
            beast::get_lowest_layer(encrypted).expires_after(handshake_limit);
            co_await encrypted.async_shutdown(asio::redirect_error(awaited, error));
        }
    } catch (const boost::system::system_error&) {  // the client is gone, or too slow
    } catch (const std::exception& failure) {
        std::cerr << "error: " << failure.what() << std::endl;
    }
}

// Closed at once, with something unread, the client would lose the answer.
Async<void> Listener::State::close_gently(beast::tcp_stream& stream) {
    ErrorCode error;
    stream.socket().shutdown(tcp::socket::shutdown_send, error);
    stream.expires_after(std::chrono::seconds(2));
    char unread[8192];
    for (int reads = 0; !error && reads < 256; ++reads) {
        co_await stream.async_read_some(asio::buffer(unread), asio::redirect_error(awaited, error));
    }
}

template <class Connection>
Async<void> Listener::State::converse(Connection& connection, Places::iterator place, std::string peer) {
    ReadBuffer buffer;
    auto& lowest = beast::get_lowest_layer(connection);
    for (bool more = true; more;) {
        http::request_parser<http::string_body> parser;
        parser.header_limit(largest_head);
        parser.body_limit(std::numeric_limits<std::uint64_t>::max());  // until the owner is known (in Boost 1.74, none means zero)
        lowest.expires_after(head_limit);
        ErrorCode error;
        const bool folded = co_await wait_for_head(connection, buffer.unread, error);
        if (!error) co_await http::async_read_header(connection, buffer.unread, parser, asio::redirect_error(awaited, error));
        if (error && !is_bad_http(error)) co_return;  // the client is gone, or too slow
        if (error) {
            Response bad = error_response(error == http::error::header_limit ? 431 : 400, "22023", "the request is no good HTTP: " + error.message());
            bad.close = true;
            lowest.expires_after(answer_limit);
            const http::request<http::string_body> unknown(http::verb::get, "/", 11);
            co_await send(connection, unknown, bad);
            co_return;
        }
        Request request = head_of(parser.get(), peer);
        const bool ambiguous = folded || is_ambiguous(parser.get());
        std::optional<Response> response = ambiguous ? error_response(400, "22023", "where the request ends is not clear") : answerer.refuse(request);
        place->last_owner = response ? nullptr : answerer.owner(request);
        keep_to_limit(place->owner());
        const std::size_t limit = answerer.body_limit(request);
        if (!response && parser.content_length() && *parser.content_length() > limit) {
            response = error_response(413, "54000", "the body is too large", "At most " + std::to_string(limit) + " bytes are read.");
        }
        if (response) {
            response->close = ambiguous || !parser.is_done();  // its body is not read
        } else {
            parser.body_limit(limit);
            lowest.expires_after(body_time_limit);
            co_await http::async_read(connection, buffer.unread, parser, asio::redirect_error(awaited, error));
            if (error == http::error::body_limit) {
                response = error_response(413, "54000", "the body is too large", "");
                response->close = true;
            } else if (error) {
                co_return;
            } else {
                buffer.wipe_what_was_read();
                request.body = std::move(parser.get().body());
                lowest.expires_never();
                response = co_await answerer.answer(request);
                explicit_bzero(request.body.data(), request.body.size());
            }
        }
        lowest.expires_after(answer_limit);
        more = co_await send(connection, parser.get(), *response);
    }
}

// False: this was the last one.
template <class Connection>
Async<bool> Listener::State::send(Connection& connection, const http::request<http::string_body>& request, const Response& response) {
    if (response.stream) {
        co_await send_stream(connection, request, response);
        co_return false;
    }
    http::response<http::span_body<const char>> message;
    fill_head(message, response, request);
    const std::string_view body = response.fixed_body.empty() ? std::string_view(response.body) : response.fixed_body;
    message.body() = beast::span<const char>(body.data(), body.size());
    message.content_length(body.size());
    http::response_serializer<http::span_body<const char>> serializer(message);
    if (request.method() == http::verb::head) {
        co_await http::async_write_header(connection, serializer, awaited);
    } else {
        co_await http::async_write(connection, serializer, awaited);
    }
    co_return message.keep_alive();
}

template <class Connection>
Async<void> Listener::State::send_stream(Connection& connection, const http::request<http::string_body>& request, const Response& response) {
    auto& lowest = beast::get_lowest_layer(connection);
    http::response<http::empty_body> message;
    fill_head(message, response, request);
    message.keep_alive(false);
    message.chunked(true);
    http::response_serializer<http::empty_body> serializer(message);
    co_await http::async_write_header(connection, serializer, awaited);
    for (;;) {
        lowest.expires_never();
        const std::optional<std::string> piece = co_await response.stream->next();
        lowest.expires_after(answer_limit);
        if (!piece) break;
        co_await asio::async_write(connection, http::make_chunk(asio::buffer(*piece)), awaited);
    }
    co_await asio::async_write(connection, http::make_chunk_last(), awaited);
}

std::shared_ptr<asio::ssl::context> tls_context(const std::string& certificate, const std::string& key) {
    check_private_file(key);
    const auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
    SSL_CTX* const native = context->native_handle();
    // All of TLS 1.3, and of 1.2 what has forward secrecy; whatever the machine's settings say.
    if (SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION) != 1 || SSL_CTX_set_max_proto_version(native, 0) != 1 ||
        SSL_CTX_set_cipher_list(native, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
        SSL_CTX_set_ciphersuites(native, "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256") != 1) {
        throw std::runtime_error("could not set the versions and ciphers of TLS");
    }
    SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    try {
        context->use_certificate_chain_file(certificate);
        context->use_private_key_file(key, asio::ssl::context::pem);
    } catch (const boost::system::system_error& error) {
        throw std::runtime_error("could not use the certificate \"" + certificate + "\" with the key \"" + key + "\": " + error.code().message());
    }
    return context;
}

}  // namespace sync_job::serve
