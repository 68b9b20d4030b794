#!/usr/bin/python3
"""python_client.py: a WebSocket client written with Python's `websockets`, driven by JSON lines.

    python_client.py URL

Prints {"open": true}, then {"type": "text"|"binary", "base64": "..."} for each message that comes, at
the end {"closed": CODE}. Sends each line of its input that has the same shape.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio
import base64
import json
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


async def main(url):
    async with websockets.connect(url, max_size=None) as socket:
        say(open=True)
        sender = asyncio.create_task(send_lines(socket))
        try:
            while True:
                message = await socket.recv()
                is_text = isinstance(message, str)
                payload = message.encode() if is_text else message
                say(type="text" if is_text else "binary", base64=base64.b64encode(payload).decode())
        except websockets.ConnectionClosed as closed:
            say(closed=closed.code)
        sender.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
