// server.cpp: Boost.Beast as an echo server.
//
// SPDX-License-Identifier: Apache-2.0
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <cstdlib>
#include <memory>
#include <string>

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;

class session : public std::enable_shared_from_this<session>
{
    beast::websocket::stream<tcp::socket> socket_;
    beast::flat_buffer buffer_;

    void read()
    {
        socket_.async_read(buffer_, [self = shared_from_this()](beast::error_code error, size_t) {
            if (!error)
                self->write();
        });
    }

    void write()
    {
        socket_.text(socket_.got_text());
        socket_.async_write(buffer_.data(),
                            [self = shared_from_this()](beast::error_code error, size_t) {
                                self->buffer_.consume(self->buffer_.size());
                                if (!error)
                                    self->read();
                            });
    }

public:
    explicit session(tcp::socket socket, bool deflate) : socket_(std::move(socket))
    {
        beast::websocket::permessage_deflate options;
        options.server_enable = deflate;
        options.compLevel = 6; // ours and npm ws's
        socket_.set_option(options);
        socket_.next_layer().set_option(tcp::no_delay(true));
        socket_.read_message_max(1 << 30);
        socket_.auto_fragment(false);
    }

    void start()
    {
        socket_.async_accept([self = shared_from_this()](beast::error_code error) {
            if (!error)
                self->read();
        });
    }
};

static void accept(tcp::acceptor &acceptor, bool deflate)
{
    acceptor.async_accept([&acceptor, deflate](beast::error_code error, tcp::socket socket) {
        if (!error)
            std::make_shared<session>(std::move(socket), deflate)->start();
        accept(acceptor, deflate);
    });
}

int main(int, char **argv)
{
    asio::io_context context(1);
    tcp::acceptor acceptor(context);
    tcp::endpoint at(asio::ip::make_address("127.0.0.1"),
                     static_cast<unsigned short>(std::atoi(argv[2])));
    acceptor.open(at.protocol());
    acceptor.set_option(tcp::acceptor::reuse_address(true));
    acceptor.bind(at);
    acceptor.listen(65535);
    accept(acceptor, std::string(argv[3]).find("deflate") != std::string::npos);
    context.run();
}
