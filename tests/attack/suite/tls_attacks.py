"""tls_attacks: hostile peers of a listener that speaks TLS, one record and one handshake at a time;
generators of figures as in attacks.py. Where each rule comes from stands in SECURITY.md.

SPDX-License-Identifier: Apache-2.0
"""

import dataclasses
import multiprocessing
import os
import random
import resource
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import typing

from .attacks import KIB, MIB, Figure, at_most, exactly, percentile, receive_kib, told
from .target import PATIENCE_S, TlsTarget, receive_all, wait_for_ends
from .tls_client import (ALERT, CHANGE_CIPHER_SPEC, DATA, FINISHED, HANDSHAKE, Share, TlsClient,
                         client_hello, extension, message, record)

CPU_MS_MAX = 3
ROUNDS = 5
BOTH, ONLY_12, ONLY_13 = (True, False), (True,), (False,)


@dataclasses.dataclass
class Case:
    what: str
    answers: str  # how the server ends it: an alert's name, "closed", "reset", ...
    attack: typing.Callable[[TlsClient], str | None]
    versions: tuple = BOTH


def say(client, octets):
    """Sends all that the server takes: it may have ended already, and that is looked at later."""
    try:
        client.sock.sendall(octets)
    except ConnectionError:
        pass


def answer_to(case, target, twelve):
    """How one attack was answered, and what it cost the server from its connect on, in ms."""
    client = TlsClient(target.connect(), twelve)
    before = target.cpu_s()
    try:
        answer = case.attack(client) or client.end()
    except TimeoutError:
        answer = "nothing"
    cpu_ms = 1e3 * (target.cpu_s() - before)
    client.sock.close()
    return answer, cpu_ms


def judge(case, target, twelve):
    answers, cpu_ms = set(), []
    for _ in range(ROUNDS):
        answer, spent = answer_to(case, target, twelve)
        answers.add(answer)
        cpu_ms.append(spent)
    what = f"TLS 1.{2 if twelve else 3}, {case.what}: {case.answers}"
    most = f"{max(cpu_ms):.2f} ms"
    good = answers == {case.answers}
    return Figure(what, f"<= {CPU_MS_MAX} ms", most if good else "/".join(sorted(answers)),
                  good and max(cpu_ms) <= CPU_MS_MAX)


def attack_with(cases):
    def attack(engine, quick):
        with TlsTarget("echo", engine, "--workers", "1") as target:
            target.serves()
            for case in cases:
                for twelve in case.versions:
                    yield judge(case, target, twelve)
            honest = "served" if target.serves() else "not served"
            yield exactly("an honest echo afterwards", honest, "served")
    return attack


# ---- before a handshake --------------------------------------------------------------------------


def speak_http(client):
    say(client, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return receive_all(client.sock)[9:12].decode()


def speak_garbage(client):
    say(client, b"\x80" + random.Random(1).randbytes(5000))


def hello_of(octets):
    """A ClientHello of about so many octets, padded as RFC 7685 has it."""
    return lambda client: say(client, client.hello(more=extension(21, bytes(octets - 200))))


def hello_announced(client):
    """The header of 16 KiB, and an octet now and then: what is announced is refused at once."""
    say(client, struct.pack(">BHH", HANDSHAKE, 0x0301, 16384) + b"\x01")


def hello_cut_off(client):
    hello = bytearray(client.hello())
    hello[-36:-32] = b"\x00\x33\x7f\xff"  # an extension longer than all of it
    say(client, hello)


def hello_in_octets(client):
    """Each octet of it a record: 6 octets for one, so that less than a KiB of hello fits."""
    hello = client_hello(more=extension(21, bytes(3800)))
    say(client, b"".join(record(HANDSHAKE, hello[i:i + 1], 0x0301) for i in range(len(hello))))


def hello_of_old(client):
    """TLS 1.1 at best."""
    old = b"\x03\x02" + client_hello(twelve=True)[6:]
    say(client, record(HANDSHAKE, message(1, old), 0x0301))


BEFORE = (
    Case("a plain request", "400", speak_http, ONLY_13),
    Case("5 KB of garbage", "closed", speak_garbage, ONLY_13),
    Case("a ClientHello of 15 KB", "record_overflow", hello_of(15000)),
    Case("one of 16 KiB, announced", "record_overflow", hello_announced, ONLY_13),
    Case("one of 4 KB, each octet a record", "record_overflow", hello_in_octets, ONLY_13),
    Case("one that reaches beyond its end", "decode_error", hello_cut_off, ONLY_13),
    Case("one with no group of ours", "handshake_failure",
         lambda client: say(client, client.hello(groups=(0x1d1d,)))),
    Case("one with no suite of ours", "handshake_failure",
         lambda client: say(client, client.hello(suites=b"\x00\x2f\xc0\x13"))),
    Case("one of TLS 1.1", "protocol_version", hello_of_old, ONLY_12),
)


# ---- in a handshake ------------------------------------------------------------------------------


def behind_hello(octets):
    return lambda client: say(client, client.hello() + octets)


def flood_behind_hello(octets, count=2000):
    """Behind the server's flight, so that each is looked at by itself."""
    def attack(client):
        say(client, client.hello())
        client.answer()
        say(client, octets * count)
    return attack


def early_data(client):
    """There is no 0-RTT: neither the offer nor the data is taken."""
    hello = client.hello(more=extension(42, b""))
    say(client, hello + 3 * record(DATA, bytes(200)))
    client.answer()


def early_flood(client):
    """RFC 8446, section 4.2.10, has servers skip it: ours bears no more than a hello may have."""
    hello = client.hello(more=extension(42, b""))
    say(client, hello + 50 * record(DATA, bytes(200)))


def plain_data(client):
    say(client, client.hello())
    client.answer()
    say(client, record(DATA, bytes(100)))


def sealed_data(client):
    """Under the handshake's keys, where only Finished may come."""
    def seal(kind, payload, padding=0):
        return client.write.seal(DATA, payload, padding)
    say(client, client.hello())
    client.seal = seal
    say(client, client.answer())


def wrong_finished(client):
    def seal(kind, payload, padding=0):
        return client.write.seal(kind, payload[:-1] + bytes([payload[-1] ^ 1]), padding)
    say(client, client.hello())
    client.seal = seal
    say(client, client.answer())


def second_hello(client):
    say(client, client.hello())
    client.answer()
    say(client, record(HANDSHAKE, client_hello(twelve=client.twelve)))


def large_flight(client):
    """Certificates that nobody asked for."""
    say(client, client.hello())
    client.answer()
    say(client, record(HANDSHAKE, message(11, bytes(12000))))


WARNINGS = flood_behind_hello(record(ALERT, b"\x01\x5a"))
CRUMBS = flood_behind_hello(record(HANDSHAKE, b"\x01"))
CHANGES = flood_behind_hello(record(CHANGE_CIPHER_SPEC, b"\x01"))

IN = (
    Case("a sealed record with nothing in it, at once", "closed",
         behind_hello(record(DATA, bytes(16)))),
    Case("an empty record", "closed", behind_hello(record(HANDSHAKE, b""))),
    Case("early data", "bad_record_mac", early_data, ONLY_13),
    Case("10 KB of early data", "record_overflow", early_flood, ONLY_13),
    Case("data before Finished", "unexpected_message", plain_data, ONLY_12),
    Case("data before Finished", "bad_record_mac", plain_data, ONLY_13),
    Case("data instead of Finished", "unexpected_message", sealed_data),
    Case("a wrong Finished", "closed", wrong_finished, ONLY_12),
    Case("a wrong Finished", "decrypt_error", wrong_finished, ONLY_13),
    Case("a second ClientHello", "closed", second_hello, ONLY_12),
    Case("a second ClientHello", "unexpected_message", second_hello, ONLY_13),
    Case("12 KB that nobody asked for", "closed", large_flight),
    Case("2,000 ChangeCipherSpecs", "closed", CHANGES, ONLY_12),
    Case("2,000 ChangeCipherSpecs", "illegal_parameter", CHANGES, ONLY_13),
    Case("2,000 warnings", "closed", WARNINGS, ONLY_12),
    Case("2,000 warnings", "unexpected_message", WARNINGS, ONLY_13),
    Case("a message in 2,000 octets", "closed", CRUMBS, ONLY_12),
    Case("a message in 2,000 octets", "unexpected_message", CRUMBS, ONLY_13),
)


# ---- after a handshake ---------------------------------------------------------------------------


def once_open(make):
    """`make` gives the octets to be sent, from a client whose handshake is done."""
    def attack(client):
        say(client.shake(), make(client))
    return attack


def behind_finished(make):
    """The same, in one segment with the client's last flight."""
    def attack(client):
        client.sock.sendall(client.hello())
        flight = client.answer()
        say(client, flight + make(client))
    return attack


def changed_record(client):
    sealed = bytearray(client.seal(DATA, b"attack at dawn"))
    sealed[-20] ^= 1
    return sealed


def renegotiate(client):
    """RFC 5246, section 7.4.1.2: a ClientHello under the keys of the session."""
    return client.seal(HANDSHAKE, client_hello(twelve=client.twelve))


def update_and_hide(client):
    """KeyUpdates that ask for one back, from one who does not read."""
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return b"".join(client.key_update() for _ in range(2000))


def close_and_go_on(client):
    """What is behind a close_notify is for nobody."""
    return client.seal(ALERT, b"\x01\x00") + client.seal(DATA, b"GET / HTTP/1.1\r\n\r\n")


AFTER = (
    Case("a sealed record with nothing in it", "closed",
         once_open(lambda client: record(DATA, bytes(16)))),
    Case("one with padding only", "unexpected_message",
         once_open(lambda client: client.seal(0, b"", 100)), ONLY_13),
    Case("500 KeyUpdates at once", "closed",
         once_open(lambda client: b"".join(client.key_update() for _ in range(500))), ONLY_13),
    Case("2,000 from one who does not read", "closed", once_open(update_and_hide), ONLY_13),
    Case("a KeyUpdate that asks for 2", "illegal_parameter",
         once_open(lambda client: client.seal(HANDSHAKE, message(24, b"\x02"))), ONLY_13),
    Case("1,000 empty records, well sealed", "closed",
         once_open(lambda client: b"".join(client.seal(DATA, b"") for _ in range(1000)))),
    Case("40 of 16 KB of padding", "closed",
         once_open(lambda client: b"".join(client.seal(DATA, b"", 16000) for _ in range(40))),
         ONLY_13),
    Case("1,000 warnings, well sealed", "closed",
         once_open(lambda client: b"".join(client.seal(ALERT, b"\x01\x5a") for _ in range(1000)))),
    Case("renegotiation", "closed", once_open(renegotiate), ONLY_12),
    Case("a ClientHello", "unexpected_message", once_open(renegotiate), ONLY_13),
    Case("a plain ClientHello", "closed",
         once_open(lambda client: record(HANDSHAKE, client_hello(twelve=client.twelve)))),
    Case("a message of 16 MiB, announced", "unexpected_message",
         once_open(lambda client: client.seal(HANDSHAKE, message(FINISHED, bytes(1000), 0xffffff))),
         ONLY_13),
    Case("a record longer than any", "closed",
         once_open(lambda client: record(DATA, bytes(100), length=0xffff))),
    Case("a heartbeat", "closed", once_open(lambda client: record(24, b"\x01\x40\x00" + bytes(16)))),
    Case("a changed record", "bad_record_mac", once_open(changed_record)),
    Case("a record twice", "bad_record_mac",
         once_open(lambda client: 2 * client.seal(DATA, b"once"))),
    Case("a forged close_notify", "closed",
         once_open(lambda client: record(ALERT, b"\x01\x00")), ONLY_13),
    Case("a request behind close_notify", "close_notify", once_open(close_and_go_on)),
    Case("Finished, close_notify and a request at once", "close_notify",
         behind_finished(close_and_go_on), ONLY_13),
)

# ---- client certificates -------------------------------------------------------------------------

P256_POINT = bytes.fromhex("06072a8648ce3d020106082a8648ce3d03010703420004")  # its type, in DER


def make_certificate(folder, name, issuer=None):
    """A certificate and its key, as files in PEM; it signs itself unless there is an issuer."""
    cert, key = os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key")
    signed = ["-CA", issuer[0], "-CAkey", issuer[1]] if issuer else []
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", f"/CN={name}",
                    "-out", cert, "-keyout", key, *signed], check=True, capture_output=True)
    return cert, key


def with_other_key(folder, cert, other):
    """The octets of a certificate, but for the key in it; and the key."""
    def der(path):
        with open(path, encoding="ascii") as file:
            return ssl.PEM_cert_to_DER_cert(file.read())
    octets, theirs = der(cert), der(other[0])
    at, from_at = (found.index(P256_POINT) + len(P256_POINT) for found in (octets, theirs))
    path = os.path.join(folder, "forged.pem")
    with open(path, "w", encoding="ascii") as file:
        file.write(ssl.DER_cert_to_PEM_cert(octets[:at] + theirs[from_at:from_at + 64]
                                            + octets[at + 64:]))
    return path, other[1]


def shown(target, pair, version):
    """What becomes of a client that shows a certificate, and the server's CPU for it in ms."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = version
    if pair:
        context.load_cert_chain(*pair)
    before = target.cpu_s()
    try:
        with context.wrap_socket(target.connect()) as sock:
            sock.sendall(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = "served" if sock.recv(100).startswith(b"HTTP/1.1 ") else "refused"
    except (ssl.SSLError, ConnectionError):
        answer = "refused"
    return answer, 1e3 * (target.cpu_s() - before)


def client_certificates(engine, quick):
    """CVE-2026-93302: the CA's own certificate, which anybody has, with another key in it."""
    with tempfile.TemporaryDirectory() as folder:
        ca = make_certificate(folder, "ca")
        stranger = make_certificate(folder, "mallory")
        shows = (("a certificate of the CA's", make_certificate(folder, "alice", ca), "served"),
                 ("a stranger's", stranger, "refused"),
                 ("the CA's own, with another key", with_other_key(folder, ca[0], stranger),
                  "refused"),
                 ("no certificate", None, "refused"))
        with TlsTarget("echo", engine, "--workers", "1", "--tls-client-ca", ca[0]) as target:
            shown(target, shows[0][1], ssl.TLSVersion.TLSv1_3)
            for what, pair, wanted in shows:
                for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                    answers, spent = zip(*(shown(target, pair, version) for _ in range(ROUNDS)))
                    good = set(answers) == {wanted}
                    yield Figure(f"TLS 1.{version - 0x0301}, {what}: {wanted}",
                                 f"<= {CPU_MS_MAX} ms",
                                 f"{max(spent):.2f} ms" if good else "/".join(sorted(set(answers))),
                                 good and max(spent) <= CPU_MS_MAX)


# ---- handshakes that stand still -----------------------------------------------------------------

HOLDERS = 2  # processes, so that the descriptors suffice
BEGUN_A_SECOND = 4000  # of each: a flood of connections is another attack
HONEST_A_SECOND = 50
HANDSHAKE_S = 10


def hold(port, source, count, pipe):
    """Begins so many handshakes and leaves them; tells when they have begun, then of their ends."""
    hello = record(HANDSHAKE, client_hello(Share()), 0x0301)
    begun, began = {}, time.monotonic()
    for i in range(count):
        if i % 50 == 0:
            time.sleep(max(0.0, began + i / BEGUN_A_SECOND - time.monotonic()))
        sock = socket.socket()
        sock.bind((source, 0))
        sock.settimeout(PATIENCE_S)
        sock.connect(("127.0.0.1", port))
        sock.send((hello[:1], hello, hello[:100], hello)[i % 4])
        begun[sock] = time.monotonic()
    pipe.send(max(begun.values()) - min(begun.values()))
    ends = wait_for_ends(begun, HANDSHAKE_S + 10)
    pipe.send((len(ends), max((ends[sock] - begun[sock] for sock in ends), default=0)))


class Honest:
    """Honest clients, so many a second whether those before are served or not; and the memory that
    the server has meanwhile."""

    def __init__(self, target):
        self.target, self.times, self.memory = target, [], 0
        self.over, self.clients = threading.Event(), []
        self.starter = threading.Thread(target=self.start_all)

    def be_served(self):
        try:
            self.times.append(self.target.serves() or PATIENCE_S)
        except (OSError, RuntimeError):
            self.times.append(PATIENCE_S)

    def start_all(self):
        began = time.monotonic()
        while not self.over.is_set():
            client = threading.Thread(target=self.be_served)
            client.start()
            self.clients.append(client)
            if len(self.clients) % 10 == 0:
                self.memory = max(self.memory, self.target.memory())
            time.sleep(max(0.0, began + len(self.clients) / HONEST_A_SECOND - time.monotonic()))

    def __enter__(self):
        self.starter.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.starter.join()
        for client in self.clients:
            client.join()


def memory_mib(engine, count, room):
    """What so many may cost two workers: 24 KiB each that has a place (net/conn/conn_tls.h; of the
    private wolfSSL), 2 KiB all others, and the buffers that they were received in."""
    places = 2 * max(256, room // 2 // 20)
    return (24 * places + 2 * count + receive_kib(engine, 2)) * KIB // MIB


def half_handshakes(engine, quick):
    """Half of them send a ClientHello, a quarter half of one, a quarter an octet."""
    count = 2000 if quick else 20000
    room = min(count + 1000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100)
    with TlsTarget("echo", engine, "--workers", "2", "--max-connections", str(room)) as target:
        calm = [target.serves() for _ in range(50)]
        before, cpu, started = target.memory(), target.cpu_s(), time.monotonic()
        holders = []
        with Honest(target) as honest:
            for i in range(HOLDERS):
                pipe, theirs = multiprocessing.Pipe()
                holder = multiprocessing.Process(
                    target=hold, args=(target.port, f"127.0.0.{2 + i}", count // HOLDERS, theirs))
                holder.start()
                holders.append((holder, pipe))
            begun_s = max(pipe.recv() for _, pipe in holders)
            ended, longest = zip(*(pipe.recv() for _, pipe in holders))
        cpu = (target.cpu_s() - cpu) / (time.monotonic() - started)
        for holder, _ in holders:
            holder.join()
        grown = honest.memory - before
        yield exactly(f"{count} half handshakes, ended by the server", sum(ended), count)
        yield told("begun within", f"{begun_s:.1f} s")
        yield at_most("the longest of them, from its connect", max(longest), HANDSHAKE_S + 1, "s")
        yield at_most("memory, most", grown / MIB, memory_mib(engine, count, room), "MiB")
        yield told("memory of each", f"{grown / count / KIB:.1f} KiB")
        yield told("CPU meanwhile, honest clients included", f"{100 * cpu:.1f} %")
        yield told(f"{len(honest.times)} honest handshakes and echoes, median before / during",
                   f"{1e3 * percentile(calm, .5):.1f}/{1e3 * percentile(honest.times, .5):.1f} ms")
        yield at_most("the same, 99 %", 1e3 * percentile(honest.times, .99), 1000, "ms")
        yield told("the same, the longest", f"{1e3 * max(honest.times):.1f} ms")


ALL = {
    "tls-before": attack_with(BEFORE),
    "tls-handshake": attack_with(IN),
    "tls-open": attack_with(AFTER),
    "tls-certificates": client_certificates,
    "tls-halves": half_handshakes,
}
