#!/usr/bin/python3
"""deflate.py: exchanges compressed messages with an echo server, by Python's `websockets`.

    deflate.py URL

Each combination of permessage-deflate parameters that the library can offer, each with the same
messages: empty, short, repeated, long, text and binary, compressible and not. What the server agreed on
must fit what was asked for. The last line is "N passed, N failed, N skipped".

SPDX-License-Identifier: Apache-2.0
"""

import asyncio
import random
import sys

try:
    import websockets
    from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
except ImportError:
    print("skipped: python3-websockets is not installed")
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(77)

OFFERS = [
    {"client_max_window_bits": None},
    {"client_max_window_bits": True},
    {"client_max_window_bits": 9},
    {"client_max_window_bits": 15},
    {"server_max_window_bits": 9},
    {"server_max_window_bits": 12},
    {"server_max_window_bits": 15},
    {"server_no_context_takeover": True},
    {"client_no_context_takeover": True},
    {"server_no_context_takeover": True, "client_no_context_takeover": True},
    {"server_no_context_takeover": True, "client_no_context_takeover": True,
     "server_max_window_bits": 10, "client_max_window_bits": 10},
]


def messages():
    """The same for every offer; the noise does not compress."""
    noise = random.Random(7692)
    tick = '{"symbol":"ALDR","price":%d.25,"change":-1.5,"volume":%d,"side":"buy"}'
    yield from ["", "a", "€", "", b"", b"\0"]
    yield from (tick % (i, i * 37) for i in range(50))
    yield from ["x" * 125, "x" * 126, "x" * 65536, bytes(65536)]
    yield "the quick brown fox " * 3000
    yield from (noise.randbytes(count) for count in (1, 125, 126, 1000, 65000, 65536))
    yield from (tick % (i, i * 37) for i in range(50))


def fits(offer, answer):
    """Whether an answer says what RFC 7692, section 7.1, wants it to say to an offer."""
    said = dict((part.strip().split("=") + [None])[:2] for part in answer.split(";"))
    if "permessage-deflate" not in said:
        return False
    if offer.get("server_no_context_takeover") and "server_no_context_takeover" not in said:
        return False
    if "server_max_window_bits" in offer:
        return 9 <= int(said["server_max_window_bits"]) <= offer["server_max_window_bits"]
    return True


async def exchange(url, offer):
    factory = ClientPerMessageDeflateFactory(**{"client_max_window_bits": True, **offer})
    async with websockets.connect(
        url, extensions=[factory], compression=None, max_size=None
    ) as socket:
        answer = socket.response_headers.get("Sec-WebSocket-Extensions", "")
        assert fits(offer, answer), f"the answer was {answer!r}"
        count = 0
        for message in messages():
            await socket.send(message)
            echo = await asyncio.wait_for(socket.recv(), 10)
            assert echo == message, f"message {count} of {len(message)} came back as {len(echo)}"
            count += 1
        return count, answer


async def main(url):
    passed = failed = 0
    for offer in OFFERS:
        name = ", ".join(f"{key}={value}" for key, value in offer.items())
        try:
            count, answer = await exchange(url, offer)
            print(f"ok      {name}: {count} messages; {answer}")
            passed += 1
        except Exception as error:  # whatever goes wrong is a failure of this offer
            print(f"FAILED  {name}: {error!r}")
            failed += 1
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(sys.argv[1])))
