"""server.py: Tornado as an echo server and as a feed.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio
import collections
import sys

import tornado.web
import tornado.websocket

topics = collections.defaultdict(set)


class Echo(tornado.websocket.WebSocketHandler):
    def on_message(self, message):
        return self.write_message(message, binary=isinstance(message, bytes))


class Feed(tornado.websocket.WebSocketHandler):
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
    role, port = sys.argv[1], int(sys.argv[2])
    handler = Echo if role == "echo" else Feed
    tornado.web.Application([(r"/.*", handler)], websocket_max_message_size=1 << 30,
                            log_function=lambda handler: None).listen(
                                port, "127.0.0.1", backlog=65535)
    await asyncio.Event().wait()


asyncio.run(main())
