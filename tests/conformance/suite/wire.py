"""wire: frames and opening handshakes, octet by octet, in both roles (RFC 6455).

What is written may be wrong on purpose. What is read may not: Reader raises Violation for anything
that the RFC does not allow the peer to send.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import hashlib
import os
import struct

MORE, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NAMES = {MORE: "more", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}
OPCODES = {name: opcode for opcode, name in NAMES.items()}

HEAD_OCTETS_MAX = 16384
MESSAGE_OCTETS_MAX = 80 << 20
NO_CODE = 1005  # stands for a close frame without a code


class Violation(Exception):
    """The peer sent what it must not send."""


class Ended(Exception):
    """The peer ended the TCP connection."""


def mask(octets, key):
    """XORs with the four key octets, as one long number."""
    count = len(octets)
    keys = (key * (count // 4 + 1))[:count]
    return (int.from_bytes(octets, "little") ^ int.from_bytes(keys, "little")).to_bytes(count, "little")


def frame(opcode, payload=b"", *, fin=1, rsv=0, masked=True, form=None, announced=None, key=None):
    """One frame.

    rsv         4, 2, 1: RSV1, RSV2, RSV3
    form        bits of the length field, 7, 16 or 64; the shortest that does when None
    announced   the length that the header says, when it is not the payload's
    key         the mask; a random one when None
    """
    length = len(payload) if announced is None else announced
    if form is None:
        form = 7 if length < 126 else 16 if length < 65536 else 64
    first = fin << 7 | rsv << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if form == 7:
        head = bytes([first, mask_bit | length])
    elif form == 16:
        head = bytes([first, mask_bit | 126]) + struct.pack(">H", length)
    else:
        head = bytes([first, mask_bit | 127]) + struct.pack(">Q", length)
    if not masked:
        return head + payload
    key = key or os.urandom(4)
    return head + key + mask(payload, key)


def close_payload(code=None, reason=b""):
    return b"" if code is None else struct.pack(">H", code) + reason


def close_code_valid(code):
    """What may stand in a close frame (RFC 6455, section 7.4, and the IANA registry)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


class Reader:
    """Reads what the peer sends, as messages and control frames, and forgives nothing.

    stream      a link.Link
    masked      whether the peer must mask: when it is the client
    inflater    deflate.Inflater when permessage-deflate was negotiated, else None
    """

    def __init__(self, stream, masked, inflater=None):
        self.stream = stream
        self.masked = masked
        self.inflater = inflater
        self.closed = False
        self.kind = None
        self.pieces = []
        self.compressed = False

    async def next(self):
        """The next (name, payload): text, binary, ping, pong or close; a close's payload is its
        (code, reason). Raises Ended when TCP ends between frames, Violation for everything wrong."""
        while True:
            opcode, fin, rsv, payload = await self.frame()
            if self.closed:
                raise Violation(f"a frame ({NAMES.get(opcode, opcode)}) after its close frame")
            if opcode >= 8:
                if not fin or len(payload) > 125 or rsv:
                    raise Violation("a control frame that is long, fragmented or has reserved bits")
                return self.control(opcode, payload)
            message = self.data(opcode, fin, rsv, payload)
            if message is not None:
                return message

    async def frame(self):
        head = await self.exactly(2, first=True)
        opcode, fin, rsv = head[0] & 15, head[0] >> 7, head[0] >> 4 & 7
        if opcode not in NAMES:
            raise Violation(f"the reserved opcode {opcode}")
        if bool(head[1] & 0x80) != self.masked:
            raise Violation("an unmasked frame" if self.masked else "a masked frame")
        length = head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", await self.exactly(2))
            shortest = length >= 126
        elif length == 127:
            (length,) = struct.unpack(">Q", await self.exactly(8))
            shortest = length >= 65536
        else:
            shortest = True
        if not shortest or length > MESSAGE_OCTETS_MAX:
            raise Violation(f"a length of {length} that is not minimal or too large")
        key = await self.exactly(4) if self.masked else None
        payload = await self.exactly(length)
        return opcode, fin, rsv, mask(payload, key) if key else payload

    async def exactly(self, count, first=False):
        if count == 0:
            return b""
        pieces, left = [], count
        try:
            while left > 0:
                piece = await self.stream.read(left)
                if not piece:
                    break
                pieces.append(piece)
                left -= len(piece)
        except ConnectionError as error:
            raise Ended(str(error)) from error
        if left == 0:
            return b"".join(pieces)
        raise Ended("end of TCP" if first and not pieces else "end of TCP inside a frame")

    def control(self, opcode, payload):
        if opcode != CLOSE:
            return NAMES[opcode], payload
        self.closed = True
        if len(payload) == 0:
            return "close", (NO_CODE, b"")
        if len(payload) == 1:
            raise Violation("a close frame of one octet")
        (code,) = struct.unpack(">H", payload[:2])
        if not close_code_valid(code):
            raise Violation(f"the close code {code}")
        return "close", (code, utf8(payload[2:], "a close reason"))

    def data(self, opcode, fin, rsv, payload):
        if (opcode == MORE) != (self.kind is not None):
            raise Violation("a continuation of nothing, or a message inside a message")
        if rsv not in (0, 4) or (rsv == 4 and (opcode == MORE or self.inflater is None)):
            raise Violation(f"the reserved bits {rsv} in a frame ({NAMES[opcode]})")
        if opcode != MORE:
            self.kind, self.compressed = NAMES[opcode], rsv == 4
        self.pieces.append(payload)
        if not fin:
            return None
        kind, whole = self.kind, b"".join(self.pieces)
        self.kind, self.pieces = None, []
        if self.compressed:
            whole = self.inflater.inflate(whole)
        return kind, utf8(whole, "a text message") if kind == "text" else whole


def utf8(octets, what):
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Violation(f"{what} that is not UTF-8") from error
    return octets


# The opening handshake (RFC 6455, section 4).


def new_key():
    return base64.b64encode(os.urandom(16)).decode()


def accept_of(key):
    """What Sec-WebSocket-Accept must say."""
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    return base64.b64encode(digest).decode()


def request_head(target, host, key, offer=None):
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]
    if offer:
        lines.append(f"Sec-WebSocket-Extensions: {offer}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def response_head(key, extensions=None):
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_of(key)}",
    ]
    if extensions:
        lines.append(f"Sec-WebSocket-Extensions: {extensions}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Head:
    """A parsed request or response head; a header that comes twice is joined with a comma."""

    def __init__(self, octets):
        text = octets.decode("latin-1")
        if not text.endswith("\r\n\r\n"):
            raise Violation("a head without its empty line")
        first, *lines = text[:-4].split("\r\n")
        self.first = first
        self.headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip() or not name:
                raise Violation(f"the header line {line!r}")
            name, value = name.lower(), value.strip(" \t")
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value

    @property
    def status(self):
        parts = self.first.split(" ", 2)
        if len(parts) < 2 or parts[0] != "HTTP/1.1" or not parts[1].isdigit():
            raise Violation(f"the status line {self.first!r}")
        return int(parts[1])

    def get(self, name):
        return self.headers.get(name)

    def has_token(self, name, token):
        return token in [part.strip().lower() for part in self.headers.get(name, "").split(",")]


async def read_head(stream):
    """Reads up to and with the empty line; raises Ended when TCP ends before it."""
    octets = b""
    while not octets.endswith(b"\r\n\r\n"):
        try:
            octet = await stream.read(1)
        except ConnectionError as error:
            raise Ended(str(error)) from error
        if not octet:
            raise Ended(f"end of TCP after {len(octets)} octets of a head")
        octets += octet
        if len(octets) > HEAD_OCTETS_MAX:
            raise Violation("a head without end")
    return Head(octets)


def check_response(head, key, offered):
    """Judges a response head; gives the value of Sec-WebSocket-Extensions or None."""
    if head.status != 101:
        raise Violation(f"the status {head.status} instead of 101")
    if head.get("upgrade") is None or head.get("upgrade").lower() != "websocket":
        raise Violation("no Upgrade: websocket")
    if not head.has_token("connection", "upgrade"):
        raise Violation("no Connection: Upgrade")
    if head.get("sec-websocket-accept") != accept_of(key):
        raise Violation("a wrong Sec-WebSocket-Accept")
    if head.get("sec-websocket-protocol") is not None:
        raise Violation("a subprotocol that was not offered")
    extensions = head.get("sec-websocket-extensions")
    if extensions is not None and not offered:
        raise Violation("an extension that was not offered")
    return extensions


def check_request(head):
    """Judges a client's request head; gives its key."""
    parts = head.first.split(" ")
    if len(parts) != 3 or parts[0] != "GET" or parts[2] != "HTTP/1.1" or not parts[1].startswith("/"):
        raise Violation(f"the request line {head.first!r}")
    if not head.get("host") or head.get("upgrade") is None:
        raise Violation("no Host or no Upgrade")
    if head.get("upgrade").lower() != "websocket" or not head.has_token("connection", "upgrade"):
        raise Violation("no Upgrade: websocket, Connection: Upgrade")
    if head.get("sec-websocket-version") != "13":
        raise Violation("a version that is not 13")
    key = head.get("sec-websocket-key") or ""
    try:
        octets = base64.b64decode(key, validate=True)
    except ValueError:
        octets = b""
    if len(octets) != 16:
        raise Violation(f"the key {key!r}")
    return key
