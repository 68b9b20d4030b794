"""server.py: Tornado as an echo server and as a feed.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio
import collections
import ssl
import sys

import tornado.web
import tornado.websocket

role, port, over = sys.argv[1:4]
topics = collections.defaultdict(set)


class Handler(tornado.websocket.WebSocketHandler):
    def get_compression_options(self):
        return {} if "deflate" in over else None


class Echo(Handler):
    def on_message(self, message):
        return self.write_message(message, binary=isinstance(message, bytes))


class Feed(Handler):
    def open(self):
        topics[self.request.path].add(self)

    def on_message(self, message):
        pass

    def on_close(self):
        topics[self.request.path].discard(self)

    def post(self):
        subscribers = topics[self.request.path]
        for subscriber in subscribers:
            subscriber.write_message(self.request.body, binary=True)
        self.finish({"receivers": len(subscribers)})


async def main():
    handler = Echo if role == "echo" else Feed
    security = None
    if "tls" in over:
        security = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        security.load_cert_chain(sys.argv[4], sys.argv[5])
    tornado.web.Application([(r"/.*", handler)], websocket_max_message_size=1 << 30,
                            log_function=lambda handler: None).listen(
                                int(port), "127.0.0.1", backlog=65535, ssl_options=security)
    await asyncio.Event().wait()


asyncio.run(main())
