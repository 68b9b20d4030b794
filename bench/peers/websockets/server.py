"""server.py: Python websockets as an echo server.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio
import ssl
import sys

import websockets


async def echo(socket, path=None):
    async for message in socket:
        await socket.send(message)


async def main():
    port, over = int(sys.argv[2]), sys.argv[3]
    security = None
    if "tls" in over:
        security = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        security.load_cert_chain(sys.argv[4], sys.argv[5])
    async with websockets.serve(echo, "127.0.0.1", port, ssl=security,
                                compression="deflate" if "deflate" in over else None, max_size=1 << 30, ping_interval=None, backlog=65535):
        await asyncio.Event().wait()


asyncio.run(main())
