#!/usr/bin/python3
"""python_server.py: a WebSocket server written with Python's `websockets`: sends each line of its input,
as JSON, to the one client that connects, and prints what comes back.

    python_server.py [CERTIFICATE KEY]

With files of a certificate it is over TLS.

Prints {"port": N}, {"open": true}, then {"type": "text"|"binary", "base64": "..."} for each message, at
the end {"closed": CODE}. The input's end closes the connection with 1000.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio
import base64
import json
import ssl
import sys

import websockets


def say(**what):
    print(json.dumps(what), flush=True)


async def send_lines(socket):
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async for line in reader:
        message = json.loads(line)
        payload = base64.b64decode(message["base64"])
        await socket.send(payload.decode() if message["type"] == "text" else payload)


async def serve(socket, done):
    say(open=True)
    sender = asyncio.create_task(send_lines(socket))
    sender.add_done_callback(lambda _: asyncio.create_task(socket.close(1000)))
    try:
        while True:
            message = await socket.recv()
            is_text = isinstance(message, str)
            payload = message.encode() if is_text else message
            say(type="text" if is_text else "binary", base64=base64.b64encode(payload).decode())
    except websockets.ConnectionClosed as closed:
        say(closed=closed.code)
    done.set_result(True)


async def main():
    done = asyncio.get_running_loop().create_future()

    async def handle(socket, *_):
        await serve(socket, done)

    tls = None
    if len(sys.argv) == 3:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[1], sys.argv[2])
    async with websockets.serve(handle, "127.0.0.1", 0, max_size=None, ssl=tls) as server:
        say(port=server.sockets[0].getsockname()[1])
        await done


if __name__ == "__main__":
    asyncio.run(main())
