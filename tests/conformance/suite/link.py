"""link: one TCP connection of the tester, plain or TLS.

Not asyncio's streams: they forget what was received as soon as a send fails, and a peer that refuses
what we send closes while we are still sending. Here a send that fails ends the sending only; what the
peer said last is still read. Every piece that is put goes to the kernel in a send of its own.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio
import collections
import contextlib
import socket
import ssl

READ_OCTETS = 1 << 18
# A sender waits while more than this is not yet with the kernel.
UNSENT_OCTETS_MAX = 1 << 20

END = object()


class Link:
    """A connected socket.

    tls         an ssl.SSLContext, or None; with a context, handshake() comes first
    host        the server's name; None when the peer is the client
    """

    def __init__(self, connected, tls=None, host=None):
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.loop = asyncio.get_running_loop()
        self.socket = connected
        self.tls = None
        if tls:
            self.coming, self.going = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.tls = tls.wrap_bio(
                self.coming, self.going, server_side=host is None, server_hostname=host
            )
        self.pieces = collections.deque()
        self.unsent = 0
        self.sendable = asyncio.Event()
        self.drained = asyncio.Event()
        self.held = b""
        self.closed = False
        self.sending = asyncio.create_task(self.send_on())

    # Sending.

    def put(self, octets):
        """Queues one piece, which will be sent on its own."""
        if self.sending.done():
            return
        self.pieces.append(octets)
        self.unsent += len(octets)
        self.drained.clear()
        self.sendable.set()

    def put_end(self):
        """Half-closes behind what is queued."""
        if self.tls:
            raise ValueError("TLS has no half-close")
        self.pieces.append(END)
        self.sendable.set()

    def forget_unsent(self):
        """Drops what is queued; a piece that is half sent is finished."""
        self.pieces.clear()
        self.unsent = 0

    async def drain(self):
        """Waits until little is queued."""
        while self.unsent > UNSENT_OCTETS_MAX and not self.sending.done():
            self.drained.clear()
            await self.drained.wait()

    async def send_on(self):
        with contextlib.suppress(OSError):
            while True:
                while not self.pieces:
                    self.drained.set()
                    self.sendable.clear()
                    await self.sendable.wait()
                piece = self.pieces.popleft()
                if piece is END:
                    self.socket.shutdown(socket.SHUT_WR)
                    continue
                await self.send_piece(piece)
                self.unsent = max(0, self.unsent - len(piece))
                if self.unsent <= UNSENT_OCTETS_MAX:
                    self.drained.set()
        self.forget_unsent()
        self.drained.set()

    async def send_piece(self, piece):
        if self.tls:
            self.tls.write(piece)
            piece = self.going.read()
        left = memoryview(piece)
        while left:
            try:
                left = left[self.socket.send(left) :]
            except BlockingIOError:
                await self.writable()

    async def writable(self):
        ready = self.loop.create_future()
        self.loop.add_writer(self.socket, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            if not self.closed:
                self.loop.remove_writer(self.socket)

    # Receiving.

    async def read(self, count):
        """At most `count` octets; none at the end of TCP. Raises ConnectionError for a reset."""
        while not self.held:
            received = await self.receive()
            if not received:
                return b""
            self.held = received
        octets, self.held = self.held[:count], self.held[count:]
        return octets

    async def receive(self):
        if not self.tls:
            return await self.loop.sock_recv(self.socket, READ_OCTETS)
        while True:
            try:
                return self.tls.read(READ_OCTETS)
            except ssl.SSLWantReadError:
                await self.tls_more()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except ssl.SSLError as error:
                raise ConnectionError(str(error)) from error

    async def tls_more(self):
        if self.going.pending:
            await self.loop.sock_sendall(self.socket, self.going.read())
        received = await self.loop.sock_recv(self.socket, READ_OCTETS)
        if received:
            self.coming.write(received)
        else:
            self.coming.write_eof()

    async def handshake(self):
        """The TLS handshake, when there is TLS."""
        while self.tls:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self.tls_more()
        if self.tls and self.going.pending:
            await self.loop.sock_sendall(self.socket, self.going.read())

    def close(self):
        """Ends TCP now, if it was not ended before; unsent pieces are lost."""
        if self.closed:
            return
        self.closed = True
        self.sending.cancel()
        self.loop.remove_writer(self.socket)
        self.loop.remove_reader(self.socket)
        self.socket.close()

    async def close_behind_sent(self):
        """Ends TCP behind what is queued, in an orderly way."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while self.pieces and not self.sending.done():
                    await asyncio.sleep(0.001)
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)


async def connect(host, port, tls=None):
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = infos[0]
    connecting = socket.socket(family, kind, protocol)
    connecting.setblocking(False)
    try:
        await loop.sock_connect(connecting, address)
        link = Link(connecting, tls, host)
    except BaseException:
        connecting.close()
        raise
    try:
        await link.handshake()
    except BaseException as error:
        link.close()
        if isinstance(error, ssl.SSLError):
            raise ConnectionError(str(error)) from error
        raise
    return link
