"""server.py: aiohttp as an echo server and as a feed.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio
import collections
import ssl
import sys

from aiohttp import WSMsgType, web

topics = collections.defaultdict(set)
role, port, over = sys.argv[1:4]
security = None
if "tls" in over:
    security = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    security.load_cert_chain(sys.argv[4], sys.argv[5])


async def serve(request):
    socket = web.WebSocketResponse(compress="deflate" in over, max_msg_size=1 << 30, autoping=True)
    await socket.prepare(request)
    if role != "echo":
        topics[request.path].add(socket)
    try:
        async for message in socket:
            if role == "echo" and message.type == WSMsgType.BINARY:
                await socket.send_bytes(message.data)
            elif role == "echo" and message.type == WSMsgType.TEXT:
                await socket.send_str(message.data)
    finally:
        topics[request.path].discard(socket)
    return socket


async def publish(request):
    body = await request.read()
    subscribers = topics[request.path]
    await asyncio.gather(*(socket.send_bytes(body) for socket in subscribers))
    return web.json_response({"receivers": len(subscribers)})


application = web.Application(client_max_size=1 << 30)
application.router.add_get("/{path:.*}", serve)
application.router.add_post("/{path:.*}", publish)
web.run_app(application, host="127.0.0.1", port=int(port), ssl_context=security, backlog=65535, access_log=None,
            print=None)
