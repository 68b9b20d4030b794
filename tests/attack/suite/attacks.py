"""attacks: each a generator of figures; what it does and where its limits come from stands in
SECURITY.md.

SPDX-License-Identifier: Apache-2.0
"""

import dataclasses
import http.client
import random
import socket
import struct
import time
import zlib

from .target import (DEFLATE, HANDSHAKE, PATIENCE_S, Target, close_code, frame, receive_all,
                     receive_until, send_while_taken, wait_for_ends)

KIB = 1024
MIB = 1024 * KIB
MESSAGE_MAX = 64 * KIB


@dataclasses.dataclass
class Figure:
    what: str
    limit: str | None
    measured: str
    good: bool | None  # None: told, not judged
    attack: str = ""

    def is_time(self):
        """Whether a busy machine alone can make it miss its limit."""
        return self.measured.endswith((" ms", " s", " %"))


def at_most(what, measured, limit, unit, digits=1):
    return Figure(what, f"<= {limit} {unit}", f"{measured:.{digits}f} {unit}", measured <= limit)


def exactly(what, measured, wanted):
    return Figure(what, str(wanted), str(measured), measured == wanted)


def told(what, measured):
    return Figure(what, None, measured, None)


def alive(target):
    """An honest client is served after all of it."""
    return exactly("an honest echo afterwards", "served" if target.serves() else "not served", "served")


def receive_kib(engine, workers):
    """A ring's receive buffers: of the 4 MiB of each worker, more and more are touched."""
    return 4096 * workers if engine == "uring" else 0


def growth(target, before, least=0):
    return max(target.memory() - before, least)


# ---- requests ------------------------------------------------------------------------------------


def headers(engine, quick):
    """ws CVE-2024-37890: more headers than the limit."""
    with Target("serve", engine) as target:
        wrong = []
        for count in (0, 1, 62, 63, 64, 65, 100, 101, 2000, 10000):
            sock = target.connect()
            lines = "".join(f"X-{i}: y\r\n" for i in range(count))
            send_while_taken(sock, f"GET /healthz HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
            status = receive_until(sock, b"\r\n")[9:12]
            if status != (b"200" if count <= 63 else b"431"):
                wrong.append((count, status))
            sock.close()
        yield exactly("0 to 10,000 headers: answered 200, beyond 64 with 431", len(wrong), 0)


def drip(target, head, rest):
    """CPU for the rest of a request, in packets of one octet."""
    sock = target.connect()
    sock.sendall(head)
    time.sleep(0.05)
    before = target.cpu_s()
    for i in range(len(rest)):
        sock.send(rest[i:i + 1])
    status = receive_until(sock, b"\r\n")[9:12]
    spent = target.cpu_s() - before
    sock.close()
    return spent, status


def head_drip(engine, quick):
    """tungstenite CVE-2023-43669: a parser that begins anew with each packet."""
    rounds = 3 if quick else 21
    with Target("serve", engine, "--handshake-timeout", "60") as target:
        filler = b"X-Filler: " + b"f" * 300 + b"\r\n"
        rest = filler * 25 + b"\r\n"
        begun = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
        post = b"POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(rest)
        beyond, statuses = [], set()
        for _ in range(rounds):
            whole, status = drip(target, begun, rest)
            body, _ = drip(target, post, rest)
            beyond.append((whole - body) * 1000)
            statuses.add(status)
        beyond.sort()
        yield exactly(f"a head of {len(begun) + len(rest)} octets in packets of 1", statuses, {b"200"})
        yield at_most("CPU beyond that of a body dripped alike, median", beyond[rounds // 2], 2, "ms", 2)
        yield alive_http(target)


def alive_http(target):
    connection = http.client.HTTPConnection("localhost", target.port, timeout=PATIENCE_S)
    connection.request("GET", "/healthz")
    return exactly("an honest request afterwards", connection.getresponse().status, 200)


def connect_many(target, count, octets=b""):
    socks = []
    for _ in range(count):
        sock = target.connect()
        if octets:
            sock.sendall(octets)
        socks.append(sock)
    return socks


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def slowloris(engine, quick):
    """A deadline from the accept on, which a dripped octet does not move."""
    count = 200 if quick else 10000
    with Target("echo", engine, "--workers", "2") as target:
        calm = [target.serves() for _ in range(100)]
        before = target.memory()
        started = time.monotonic()
        accepted, socks = {}, []
        for _ in range(count):
            socks += connect_many(target, 1, b"G")
            accepted[socks[-1]] = time.monotonic()
        grown = growth(target, before)
        during, head, at = [], b"ET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100, 0
        cpu, begun = target.cpu_s(), time.monotonic()
        while time.monotonic() - started < 4:  # before the first deadline
            for sock in socks:
                try:
                    sock.send(head[at:at + 1])
                except ConnectionError:
                    pass
            at += 1
            during += [target.serves() for _ in range(10)]
            time.sleep(max(0.0, begun + at - time.monotonic()))
        cpu = (target.cpu_s() - cpu) / (time.monotonic() - begun)
        ends = wait_for_ends(socks, 15)
        longest = max((ends[sock] - accepted[sock] for sock in ends), default=0)
        yield exactly(f"{count} connections at 1 octet/s, closed by the server", len(ends), count)
        yield at_most("the longest of them, from its accept", longest, 6, "s")
        yield at_most("memory of each", grown / count / KIB, 4, "KiB")
        yield told("CPU meanwhile, honest clients included", f"{100 * cpu:.1f} %")
        yield told("honest connect + echo, median before / during",
                   f"{1e3 * percentile(calm, .5):.2f}/{1e3 * percentile(during, .5):.2f} ms")
        yield told("the same, 99 %",
                   f"{1e3 * percentile(calm, .99):.2f}/{1e3 * percentile(during, .99):.2f} ms")
        yield alive(target)


def bad_version(engine, quick):
    """What stands behind a refused upgrade is not a request: proxies think otherwise."""
    with Target("serve", engine) as target:
        sock = target.connect()
        request = HANDSHAKE.format(path="/topics/a", more="").replace("Version: 13", "Version: 12")
        sock.sendall(request.encode() + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = receive_all(sock)
        yield exactly("a wrong version, then a request: answers", received.count(b"HTTP/1.1 "), 1)
        yield exactly("its status", received[9:12], b"426")


# ---- frames --------------------------------------------------------------------------------------


def length_bomb(engine, quick):
    """No allocation is proportional to a length that is only announced."""
    with Target("echo", engine, "--workers", "1") as target:
        for name, length in (("2^63-1", 2**63 - 1), ("2^31", 2**31), ("limit+1", MESSAGE_MAX + 1)):
            times, codes = [], set()
            for _ in range(20):
                sock = target.open()
                started = time.monotonic()
                sock.sendall(frame(0x82, b"", length))
                received = receive_until(sock, b"\x88")
                times.append(time.monotonic() - started)
                codes.add(close_code(received + receive_all(sock)))
                sock.close()
            yield exactly(f"{name} announced: closed with", codes, {1009})
            yield at_most("in, median", 1e3 * percentile(times, .5), 10, "ms", 2)
        count = 100 if quick else 1000
        socks = [target.open() for _ in range(count)]
        before = target.memory()
        for sock in socks:
            sock.sendall(frame(0x82, b"twenty octets, no more"[:20], MESSAGE_MAX))
        time.sleep(0.3)
        yield at_most("memory of one that announced 64 KiB and sent 20 octets",
                      growth(target, before) / count / KIB, 4, "KiB", 2)
        yield alive(target)


def fragment_flood(engine, quick):
    """ws CVE-2026-62389: empty fragments count."""
    count = 10000 if quick else 1000000
    with Target("echo", engine, "--workers", "1") as target:
        target.serves()
        before = target.memory()
        sock = target.open()
        sent = send_while_taken(sock, frame(0x01, b"") + frame(0x00, b"") * count)
        code = close_code(receive_all(sock))
        yield Figure(f"{count} empty fragments: closed with", "1009 or reset",
                     str(code or f"reset after {sent // 6}"), code in (1009, None))
        yield at_most("memory", growth(target, before) / KIB, 1024, "KiB", 0)
        exact = target.open()
        exact.sendall(frame(0x01, b"") + frame(0x00, b"") * 127)
        time.sleep(0.1)
        exact.sendall(frame(0x89, b"ping"))
        yield exactly("after the 128th it is open", receive_until(exact, b"ping")[:2], b"\x8a\x04")
        exact.sendall(frame(0x00, b""))
        yield exactly("the 129th is answered", close_code(receive_all(exact)), 1009)
        yield alive(target)


def fragment_sum(engine, quick):
    """undici CVE-2026-9675: a limit on each frame and not on their sum."""
    with Target("echo", engine) as target:
        sock = target.open()
        sock.sendall(frame(0x02, bytes(MESSAGE_MAX // 2)) + frame(0x00, bytes(MESSAGE_MAX // 2)))
        sock.sendall(frame(0x00, b"x"))
        yield exactly("two halves of the limit and an octet", close_code(receive_all(sock)), 1009)


def ping_flood(engine, quick):
    """ws 8.23.0: pings from a peer that does not read."""
    count = 20000 if quick else 1000000
    with Target("echo", engine, "--workers", "1") as target:
        sock = target.open()
        sock.sendall(frame(0x89, b"") * 100)
        received = receive_all(sock)
        yield exactly("100 pings at once: answered", received.count(b"\x8a\x00"), 20)
        yield exactly("then closed with", close_code(received), 1008)
        yield alive(target)
    with Target("echo", engine, "--workers", "1", "--max-control-rate", "0") as target:
        target.serves()
        sock = target.open(receive_bytes=4096)
        before = target.memory()
        cpu = target.cpu_s()
        sent = send_while_taken(sock, frame(0x89, bytes(125)) * count) // 131
        yield told("without that rule: pings taken from a peer that does not read", str(sent))
        yield told("CPU of each", f"{1e6 * (target.cpu_s() - cpu) / max(sent, 1):.2f} us")
        yield at_most("memory, receive buffers among it", growth(target, before) / KIB,
                      1024 + receive_kib(engine, 1), "KiB", 0)
        sock.close()
        yield alive(target)


def close_stall(engine, quick):
    """Peers that do not answer our close."""
    count = 200 if quick else 10000
    with Target("serve", engine, "--workers", "2") as target:
        socks = [target.open("/topics/a") for _ in range(count)]
        sent = {}
        for sock in socks:
            sock.sendall(frame(0x81, b"talk"))  # serve answers 1003 and waits for our close
            sent[sock] = time.monotonic()
        ends = wait_for_ends(socks, 15)
        yield exactly(f"{count} peers that ignore a close, ended", len(ends), count)
        longest = max((ends[sock] - sent[sock] for sock in ends), default=0)
        yield at_most("the longest of them after", longest, 6, "s")
        yield alive_http(target)


def slow_consumer(engine, quick):
    """A quarter of the budget owed for 10 s."""
    with Target("serve", engine, "--workers", "1", "--max-output", str(64 * MIB)) as target:
        count = 3
        socks = [target.open("/topics/a", receive_bytes=65536) for _ in range(count)]
        before = target.memory()
        for _ in range(30):
            connection = http.client.HTTPConnection("localhost", target.port, timeout=PATIENCE_S)
            connection.request("POST", "/topics/a", bytes(MIB))
            connection.getresponse().read()
            connection.close()
        grown = growth(target, before)
        time.sleep(8.5)
        still = sum(1 for sock in socks if sock.send(frame(0x8A, b"")) > 0)
        time.sleep(2.5)
        after = growth(target, before)
        yield exactly(f"{count} that do not read 30 MiB of a 64 MiB budget, open after 8.5 s", still, count)
        yield at_most("memory that 30 shared messages cost all of them", grown / MIB, 40, "MiB")
        codes = {close_code(receive_all(sock)[-64:]) for sock in socks}
        yield exactly("closed with", codes, {1013})
        yield at_most("memory given back", after / MIB, 8, "MiB")


# ---- compression ---------------------------------------------------------------------------------


def zeros_deflated(count):
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    out = deflater.compress(bytes(count)) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return out[:-4]


def deflate_bomb(engine, quick):
    """websocket-driver CVE-2026-54464: the limit is on what is inflated."""
    with Target("echo", engine, "--deflate", "--workers", "1") as target:
        # What honest messages have is in place before: the inflater, which all connections share, room for
        # what is assembled, the receive memory, where pieces stand at another spot each time.
        sock = target.open(more=DEFLATE)
        sock.sendall(frame(0xC2, zeros_deflated(MESSAGE_MAX)))
        receive_until(sock, b"\xc2")
        sock.close()
        sock = target.open()
        for _ in range(16 + 2 * receive_kib(engine, 1) * KIB // MESSAGE_MAX):
            sock.sendall(frame(0x82, bytes(MESSAGE_MAX)))
            left = 10 + MESSAGE_MAX
            while left > 0:
                left -= len(sock.recv(left)) or left
        sock.close()
        for name, size in (("1 KiB", KIB), ("63 KiB", 63 * KIB)):
            bomb = zeros_deflated(size * 1032)
            target.open(more=DEFLATE).close()
            memory, cpu, codes = [], [], set()
            for _ in range(5 if quick else 50):
                sock = target.open(more=DEFLATE)
                before, spent = target.memory(), target.cpu_s()
                sock.sendall(frame(0xC2, bomb))
                codes.add(close_code(receive_until(sock, b"\x88")[:64]) or close_code(receive_all(sock)))
                cpu.append(1e3 * (target.cpu_s() - spent))
                memory.append(growth(target, before) / KIB)
                sock.close()
            yield exactly(f"{name} of zeros x 1032 ({len(bomb)} octets): closed with", codes, {1009})
            yield at_most("memory, most, beyond an honest message's", max(memory), 64, "KiB", 0)
            yield at_most("CPU, median", percentile(cpu, .5), 5, "ms", 2)
        sock = target.open(more=DEFLATE)
        sock.sendall(frame(0xC2, bytes(b"\x00"), 128 * KIB + 8))
        yield exactly("128 KiB, beyond the limit on the wire: closed with",
                      close_code(receive_all(sock)), 1009)
        sock = target.open(more=DEFLATE)
        sock.sendall(frame(0xC2, zeros_deflated(MIB)) + frame(0xC2, b"\xff\xff garbage \xff") * 100)
        yield exactly("a bomb, then malformed blocks: closed with", close_code(receive_all(sock)), 1009)
        yield alive(target)


# ---- room ----------------------------------------------------------------------------------------


def echo_times(sock, seconds):
    """How long each of many echoes took on a connection, 20 a second."""
    times, started = [], time.monotonic()
    while time.monotonic() - started < seconds:
        sent = time.monotonic()
        sock.sendall(frame(0x81, b"still here"))
        receive_until(sock, b"still here")
        times.append(time.monotonic() - sent)
        time.sleep(0.05)
    return times


def descriptors(engine, quick):
    """Descriptors run out: neither a spin nor a drop."""
    clients = 1000
    with Target("echo", engine, "--workers", "1", "--handshake-timeout", "60", "--max-connections",
                "100000", descriptors=256) as target:
        old = target.open()
        calm = echo_times(old, 2)
        socks = connect_many(target, clients, HANDSHAKE.format(path="/", more="").encode())
        time.sleep(1)
        cpu, started = target.cpu_s(), time.monotonic()
        echoes = echo_times(old, 1 if quick else 5)
        share = (target.cpu_s() - cpu) / (time.monotonic() - started)
        yield at_most(f"{clients} clients at 256 descriptors: CPU", 100 * share, 5, "%")
        yield at_most("echoes of who was there, median", 1e3 * percentile(echoes, .5), 2, "ms", 2)
        yield told("the same, 99 %, before / meanwhile",
                   f"{1e3 * percentile(calm, .99):.2f}/{1e3 * percentile(echoes, .99):.2f} ms")
        served = 0
        for sock in socks:  # each one that goes makes room for the next
            sock.settimeout(PATIENCE_S)
            served += receive_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 101")
            sock.close()
        yield exactly("all of them served in the end", served, clients)
        started = time.monotonic()
        target.serves()
        yield at_most("a new one is served after", time.monotonic() - started, 1, "s", 2)


def full_table(engine, quick):
    """Every worker is full."""
    room, clients = 100, 1000
    with Target("echo", engine, "--workers", "2", "--handshake-timeout", "60", "--max-connections",
                str(room)) as target:
        socks = connect_many(target, clients, HANDSHAKE.format(path="/", more="").encode())
        time.sleep(1)
        cpu, started = target.cpu_s(), time.monotonic()
        time.sleep(1 if quick else 5)
        share = (target.cpu_s() - cpu) / (time.monotonic() - started)
        yield at_most(f"{clients} clients, room for {room}: CPU", 100 * share, 5, "%")
        served = 0
        for sock in socks:
            served += receive_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 101")
            sock.close()
        yield exactly("all of them served in the end", served, clients)
        yield alive(target)


def garbage(engine, quick):
    """Connections that begin well or not at all, and end badly."""
    count = 2000 if quick else 100000
    chance = random.Random(1)
    begun = HANDSHAKE.format(path="/", more="").encode()
    beginnings = (b"", b"", b"GET ", b"GET / HTTP/1.1\r\n", begun, begun + b"\x81\x85", begun + b"\x88",
                  b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
    reset = struct.pack("ii", 1, 0)
    with Target("echo", engine, "--workers", "2") as target:
        before = None
        for i in range(count):
            if i == count // 10:
                before = target.memory()
            sock = target.connect()
            sock.send(chance.choice(beginnings) + chance.randbytes(chance.randrange(300)))
            if chance.random() < 0.5:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            sock.close()
        time.sleep(2)
        yield at_most(f"{count} garbage connections: memory since the first tenth",
                      growth(target, before) / KIB, 1024 + receive_kib(engine, 2), "KiB", 0)
        yield alive(target)


ALL = {
    "headers": headers,
    "head-drip": head_drip,
    "slowloris": slowloris,
    "bad-version": bad_version,
    "length-bomb": length_bomb,
    "fragment-flood": fragment_flood,
    "fragment-sum": fragment_sum,
    "ping-flood": ping_flood,
    "close-stall": close_stall,
    "slow-consumer": slow_consumer,
    "deflate-bomb": deflate_bomb,
    "descriptors": descriptors,
    "full-table": full_table,
    "garbage": garbage,
}
