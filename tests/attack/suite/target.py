"""target: a `fanwire` under attack, what it costs, and sockets that speak to it.

SPDX-License-Identifier: Apache-2.0
"""

import glob
import os
import re
import resource
import selectors
import socket
import ssl
import struct
import subprocess
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
PROGRAM = os.environ.get("FANWIRE_BIN", os.path.join(ROOT, "build/release/bin/fanwire"))
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
PATIENCE_S = 30


class Target:
    """A server of its own: `with Target("echo", "uring", "--deflate") as target`."""

    def __init__(self, command, engine, *flags, descriptors=None):
        self.arguments = [PROGRAM, command, "--quiet", "--engine", engine, "--listen", "127.0.0.1:0"]
        self.arguments += flags
        self.descriptors = descriptors

    def __enter__(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))

        self.process = subprocess.Popen(
            self.arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            preexec_fn=limit if self.descriptors else None,
        )
        line = self.process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if not found:
            self.process.wait()
            raise RuntimeError(f"no ready line from {' '.join(self.arguments)}: {line!r}")
        self.port = int(found.group(1))
        return self

    def __exit__(self, *_):
        alive = self.process.poll() is None
        self.process.terminate()
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        if not alive or code != 0:
            raise RuntimeError(f"the server ended with {code}")

    def cpu_s(self):
        """Processor time of all its threads, the kernel's helpers of its rings among them."""
        total = 0
        for path in glob.glob(f"/proc/{self.process.pid}/task/*/schedstat"):
            with open(path, encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def memory(self):
        """Octets of memory that is its own."""
        with open(f"/proc/{self.process.pid}/smaps_rollup", encoding="ascii") as file:
            return 1024 * int(re.search(r"Anonymous:\s+(\d+)", file.read()).group(1))

    def connect(self, receive_bytes=None):
        sock = socket.socket()
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.settimeout(PATIENCE_S)
        sock.connect(("127.0.0.1", self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def secure(self, sock):
        """The socket of an honest client, as it speaks to this server: TlsTarget has another."""
        return sock

    def open(self, path="/", more="", receive_bytes=None):
        """A WebSocket; what comes behind the 101 is lost."""
        sock = self.secure(self.connect(receive_bytes))
        sock.sendall(HANDSHAKE.format(path=path, more=more).encode())
        answer = receive_until(sock, b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(f"the handshake was answered {answer[:60]!r}")
        return sock

    def serves(self):
        """Whether an honest client has its echo, and how many seconds that took."""
        started = time.monotonic()
        sock = self.open()
        sock.sendall(frame(0x81, b"honest"))
        good = receive_until(sock, b"honest").endswith(b"\x81\x06honest")
        sock.close()
        return time.monotonic() - started if good else None


class TlsTarget(Target):
    """One that speaks TLS, with a throw-away certificate that its clients do not check."""

    def __init__(self, command, engine, *flags, descriptors=None):
        super().__init__(command, engine, "--tls-self-signed", *flags, descriptors=descriptors)
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    def secure(self, sock):
        return self.context.wrap_socket(sock)


def frame(first, payload, length=None):
    """A masked frame, its key zero; `length` is announced instead of the true one."""
    count = len(payload) if length is None else length
    if count < 126:
        head = struct.pack(">BB", first, 0x80 | count)
    elif count < 65536:
        head = struct.pack(">BBH", first, 0xFE, count)
    else:
        head = struct.pack(">BBQ", first, 0xFF, count)
    return head + bytes(4) + payload


def receive_until(sock, end):
    received = b""
    while end not in received:
        more = sock.recv(65536)
        if not more:
            break
        received += more
    return received


def receive_all(sock):
    """All that comes until the end, a reset among the ends."""
    received = b""
    try:
        while more := sock.recv(65536):
            received += more
    except ConnectionError:
        pass
    return received


def close_code(received):
    """The code of the close frame at the end of what was received; None when there is none."""
    at = received.rfind(b"\x88")
    if at < 0 or len(received) < at + 4 or received[at + 1] != len(received) - at - 2:
        return None
    return struct.unpack(">H", received[at + 2:at + 4])[0]


def send_while_taken(sock, octets, patience_s=0.5):
    """Sends until all is sent, nothing is taken any more, or the peer ended; gives the count."""
    sock.settimeout(patience_s)
    view, sent = memoryview(octets), 0
    try:
        while sent < len(view):
            sent += sock.send(view[sent:sent + (1 << 20)])
    except (TimeoutError, ConnectionError):
        pass
    sock.settimeout(PATIENCE_S)
    return sent


def wait_for_ends(socks, until_s):
    """Waits until the peer has ended every socket; gives the time at which it ended each."""
    started, ends = time.monotonic(), {}
    with selectors.EpollSelector() as selector:
        for sock in socks:
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ)
        left = len(socks)
        while left and time.monotonic() - started < until_s:
            for key, _ in selector.select(0.2):
                try:
                    if key.fileobj.recv(65536):
                        continue
                except BlockingIOError:
                    continue
                except ConnectionError:
                    pass
                selector.unregister(key.fileobj)
                ends[key.fileobj] = time.monotonic()
                left -= 1
    return ends
