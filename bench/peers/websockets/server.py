"""server.py: Python websockets as an echo server.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio
import sys

import websockets


async def echo(socket, path=None):
    async for message in socket:
        await socket.send(message)


async def main():
    async with websockets.serve(echo, "127.0.0.1", int(sys.argv[2]), compression=None,
                                max_size=1 << 30, ping_interval=None, backlog=65535):
        await asyncio.Event().wait()


asyncio.run(main())
