// HTTP: connections, with or without TLS; reads requests from them and sends answers.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "serve/request.hpp"

namespace boost::asio::ssl {
class context;
}

namespace sync_job::serve {

// Who answers.
struct Answerer {
    std::function<std::optional<Response>(const Request& head)> refuse;
    // Whose request it is: a session, or null. When there are too many connections, those of nobody, or of a session that is gone, are
    // closed first.
    std::function<std::shared_ptr<const void>(const Request& head)> owner;
    std::function<std::size_t(const Request& head)> body_limit;
    std::function<Async<Response>(const Request& request)> answer;
};

class Listener {
public:
    // Listens at "ADDRESS:PORT" or "[ADDRESS]:PORT". Throws std::runtime_error.
    Listener(asio::io_context& context, const std::string& where, std::shared_ptr<asio::ssl::context> tls);
    ~Listener();

    std::string address() const;
    unsigned port() const;
    Async<void> run(Answerer answerer);
    // Accepts no more connections, and closes the existing ones.
    void stop();

private:
    struct State;
    std::shared_ptr<State> state_;
};

// Certificate (with its chain) and key, from files in PEM. Throws std::runtime_error.
std::shared_ptr<asio::ssl::context> tls_context(const std::string& certificate, const std::string& key);

}  // namespace sync_job::serve
