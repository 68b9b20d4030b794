// server.cpp: Boost.Beast as an echo server.
//
// SPDX-License-Identifier: Apache-2.0
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <cstdlib>
#include <memory>

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
    explicit session(tcp::socket socket) : socket_(std::move(socket))
    {
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

static void accept(tcp::acceptor &acceptor)
{
    acceptor.async_accept([&acceptor](beast::error_code error, tcp::socket socket) {
        if (!error)
            std::make_shared<session>(std::move(socket))->start();
        accept(acceptor);
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
    accept(acceptor);
    context.run();
}
