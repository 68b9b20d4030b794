"""tls_client: a TLS client whose every octet an attack can choose (RFC 8446, RFC 5246).

One suite of each version: AES-128-GCM and SHA-256, X25519, in TLS 1.2 with an ECDSA certificate. It
believes any certificate. The primitives are libcrypto's, by ctypes.

    client = TlsClient(target.connect())         client = TlsClient(sock, twelve=True)
    client.shake()
    client.sock.sendall(client.seal(DATA, b"...") + client.key_update())
    client.end()                                 # "unexpected_message", "closed", "reset"

SPDX-License-Identifier: Apache-2.0
"""

import ctypes
import hashlib
import hmac
import os
import struct

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
CLIENT_HELLO, SERVER_HELLO, KEY_EXCHANGE, CLIENT_KEY, FINISHED, KEY_UPDATE = 1, 2, 12, 16, 20, 24
X25519 = 29
SUITES = {False: 0x1301, True: 0xC02B}

# RFC 8446, section 6; those of its alerts that a server may have for such a client.
ALERTS = {0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow",
          40: "handshake_failure", 47: "illegal_parameter", 50: "decode_error", 51: "decrypt_error",
          70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
          100: "no_renegotiation", 109: "missing_extension", 110: "unsupported_extension"}


# ---- libcrypto -----------------------------------------------------------------------------------

_crypto = ctypes.CDLL("libcrypto.so.3")
for _name in ("EVP_CIPHER_CTX_new", "EVP_aes_128_gcm", "EVP_PKEY_new_raw_private_key",
              "EVP_PKEY_new_raw_public_key", "EVP_PKEY_CTX_new"):
    getattr(_crypto, _name).restype = ctypes.c_void_p
_NID_X25519, _GET_TAG, _SET_TAG, _TAG_BYTES = 1034, 0x10, 0x11, 16


def _must(result):
    if not result or result < 0:
        raise RuntimeError("libcrypto failed")
    return result


def _gcm(key, nonce, aad, octets, tag=None):
    """Seals, or with a tag opens; gives octets and tag, None for a wrong one."""
    context = ctypes.c_void_p(_must(_crypto.EVP_CIPHER_CTX_new()))
    out, count = ctypes.create_string_buffer(len(octets) + 1), ctypes.c_int()
    try:
        _must(_crypto.EVP_CipherInit_ex(context, ctypes.c_void_p(_crypto.EVP_aes_128_gcm()), None,
                                        key, nonce, int(tag is None)))
        _must(_crypto.EVP_CipherUpdate(context, None, ctypes.byref(count), aad, len(aad)))
        _must(_crypto.EVP_CipherUpdate(context, out, ctypes.byref(count), octets, len(octets)))
        if tag is not None:
            _must(_crypto.EVP_CIPHER_CTX_ctrl(context, _SET_TAG, _TAG_BYTES, tag))
        if _crypto.EVP_CipherFinal_ex(context, None, ctypes.byref(count)) != 1:
            return None
        if tag is None:
            tag = ctypes.create_string_buffer(_TAG_BYTES)
            _must(_crypto.EVP_CIPHER_CTX_ctrl(context, _GET_TAG, _TAG_BYTES, tag))
            tag = tag.raw
        return out.raw[:len(octets)], tag
    finally:
        _crypto.EVP_CIPHER_CTX_free(context)


class Share:
    """A key of X25519."""

    def __init__(self):
        self.key = ctypes.c_void_p(_must(
            _crypto.EVP_PKEY_new_raw_private_key(_NID_X25519, None, os.urandom(32), 32)))
        public, count = ctypes.create_string_buffer(32), ctypes.c_size_t(32)
        _must(_crypto.EVP_PKEY_get_raw_public_key(self.key, public, ctypes.byref(count)))
        self.public = public.raw

    def agree(self, other):
        peer = ctypes.c_void_p(_must(
            _crypto.EVP_PKEY_new_raw_public_key(_NID_X25519, None, other, len(other))))
        context = ctypes.c_void_p(_must(_crypto.EVP_PKEY_CTX_new(self.key, None)))
        secret, count = ctypes.create_string_buffer(32), ctypes.c_size_t(32)
        _must(_crypto.EVP_PKEY_derive_init(context))
        _must(_crypto.EVP_PKEY_derive_set_peer(context, peer))
        _must(_crypto.EVP_PKEY_derive(context, secret, ctypes.byref(count)))
        _crypto.EVP_PKEY_CTX_free(context)
        _crypto.EVP_PKEY_free(peer)
        return secret.raw

    def __del__(self):
        _crypto.EVP_PKEY_free(self.key)


def _sha(octets):
    return hashlib.sha256(octets).digest()


def _mac(key, octets):
    return hmac.new(key, octets, "sha256").digest()


def _expand(secret, label, context=b"", count=32):
    """HKDF-Expand-Label (RFC 8446, section 7.1), of one block."""
    name = b"tls13 " + label
    info = struct.pack(">HB", count, len(name)) + name + bytes([len(context)]) + context
    return _mac(secret, info + b"\x01")[:count]


def _prf(secret, label, seed, count):
    """RFC 5246, section 5."""
    seed, out = label + seed, b""
    rolling = seed
    while len(out) < count:
        rolling = _mac(secret, rolling)
        out += _mac(secret, rolling + seed)
    return out[:count]


# ---- records -------------------------------------------------------------------------------------

def record(kind, body, version=0x0303, length=None):
    return struct.pack(">BHH", kind, version, len(body) if length is None else length) + body


def message(kind, body, length=None):
    """A handshake message; `length` is announced instead of the true one."""
    return bytes([kind]) + struct.pack(">I", len(body) if length is None else length)[1:] + body


class Keys:
    """One direction's keys of one epoch."""

    def __init__(self, secret=None, key=None, salt=None):
        self.secret, self.sequence, self.twelve = secret, 0, secret is None
        self.key = key if self.twelve else _expand(secret, b"key", count=16)
        self.salt = salt if self.twelve else _expand(secret, b"iv", count=12)

    def _next(self):
        number = struct.pack(">Q", self.sequence)
        self.sequence += 1
        if self.twelve:
            return number, self.salt + number
        mixed = int.from_bytes(self.salt, "big") ^ self.sequence - 1
        return number, mixed.to_bytes(12, "big")

    def seal(self, kind, payload, padding=0):
        number, nonce = self._next()
        if self.twelve:
            aad = number + struct.pack(">BHH", kind, 0x0303, len(payload))
            return record(kind, number + b"".join(_gcm(self.key, nonce, aad, payload)))
        inner = payload + bytes([kind]) + bytes(padding)
        header = struct.pack(">BHH", DATA, 0x0303, len(inner) + _TAG_BYTES)
        return header + b"".join(_gcm(self.key, nonce, header, inner))

    def open(self, kind, body):
        """The record's true type and plaintext."""
        number, nonce = self._next()
        if self.twelve:
            nonce, body = self.salt + body[:8], body[8:]
        octets, tag = body[:-_TAG_BYTES], body[-_TAG_BYTES:]
        aad = struct.pack(">BHH", kind, 0x0303, len(octets) if self.twelve else len(body))
        opened = _gcm(self.key, nonce, number + aad if self.twelve else aad, octets, tag)
        if opened is None:
            raise RuntimeError("the server's record is not sealed with the keys agreed on")
        if self.twelve:
            return kind, opened[0]
        inner = opened[0].rstrip(b"\x00")
        return inner[-1], inner[:-1]

    def updated(self):
        return Keys(_expand(self.secret, b"traffic upd"))


def extension(kind, body):
    return struct.pack(">HH", kind, len(body)) + body


def client_hello(share=None, twelve=False, groups=(X25519,), versions=None, more=b"", suites=None,
                 random=bytes(range(32))):
    """A ClientHello message; `more` is appended to its extensions."""
    public = share.public if share else bytes(31) + b"\x09"
    names = struct.pack(f">H{len(groups)}H", 2 * len(groups), *groups)
    suites = struct.pack(">H", SUITES[twelve]) if suites is None else suites
    extensions = (extension(10, names) + extension(11, b"\x01\x00")
                  + extension(13, b"\x00\x06\x04\x03\x08\x04\x04\x01"))
    if not twelve:
        versions = versions or (0x0304,)
        extensions += (extension(43, struct.pack(f">B{len(versions)}H", 2 * len(versions), *versions))
                       + extension(51, struct.pack(">HHH", 36, X25519, 32) + public))
    extensions += more
    return message(CLIENT_HELLO, b"\x03\x03" + random + b"\x20" + bytes(32)
                   + struct.pack(">H", len(suites)) + suites + b"\x01\x00"
                   + struct.pack(">H", len(extensions)) + extensions)


# ---- a connection --------------------------------------------------------------------------------

class TlsClient:
    def __init__(self, sock, twelve=False):
        self.sock, self.twelve = sock, twelve
        self.share, self.random = Share(), os.urandom(32)
        self.received, self.transcript, self.messages = b"", b"", b""
        self.write = self.read = None  # Keys, once there are any
        self.data = b""

    # ---- the handshake ----

    def hello(self, **choices):
        """Sends nothing: the record, which counts as sent."""
        self.transcript = client_hello(self.share, self.twelve, random=self.random, **choices)
        return record(HANDSHAKE, self.transcript, 0x0301)

    def shake(self):
        self.sock.sendall(self.hello())
        self.sock.sendall(self.answer())
        if self.twelve:
            while self._next_message()[0] != FINISHED:
                pass
        return self

    def answer(self):
        """Takes the server's flight; the client's last one, to be sent."""
        return self._answer_12() if self.twelve else self._answer_13()

    def _answer_13(self):
        hello = self._next_message(SERVER_HELLO)
        secret = self.share.agree(self._key_share(hello))
        nothing = _sha(b"")
        early = _mac(bytes(32), bytes(32))
        shaking = _mac(_expand(early, b"derived", nothing), secret)
        seen = _sha(self.transcript)
        client = _expand(shaking, b"c hs traffic", seen)
        self.read = Keys(_expand(shaking, b"s hs traffic", seen))
        self.write = Keys(client)
        while self._next_message()[0] != FINISHED:
            pass
        seen = _sha(self.transcript)
        master = _mac(_expand(shaking, b"derived", nothing), bytes(32))
        finish = message(FINISHED, _mac(_expand(client, b"finished"), seen))
        flight = record(CHANGE_CIPHER_SPEC, b"\x01") + self.seal(HANDSHAKE, finish)
        self.write = Keys(_expand(master, b"c ap traffic", seen))
        self.read = Keys(_expand(master, b"s ap traffic", seen))
        return flight

    @staticmethod
    def _key_share(hello):
        at = 4 + 2 + 32
        at += 1 + hello[at] + 2 + 1 + 2
        while at < len(hello):
            kind, count = struct.unpack(">HH", hello[at:at + 4])
            if kind == 51:
                return hello[at + 8:at + 4 + count]
            at += 4 + count
        raise RuntimeError("the server's hello has no key share")

    def _answer_12(self):
        random = self._next_message(SERVER_HELLO)[6:38]
        exchange = self._next_message(KEY_EXCHANGE)
        public = exchange[8:8 + exchange[7]]
        while self._next_message()[0] != 14:
            pass
        secret = self.share.agree(public)
        master = _prf(secret, b"master secret", self.random + random, 48)
        block = _prf(master, b"key expansion", random + self.random, 40)
        key = message(CLIENT_KEY, bytes([32]) + self.share.public)
        self.transcript += key
        finish = message(FINISHED, _prf(master, b"client finished", _sha(self.transcript), 12))
        self.transcript += finish
        self.write = Keys(key=block[:16], salt=block[32:36])
        self._read_12 = Keys(key=block[16:32], salt=block[36:40])
        return (record(HANDSHAKE, key) + record(CHANGE_CIPHER_SPEC, b"\x01")
                + self.seal(HANDSHAKE, finish))

    # ---- out ----

    def seal(self, kind, payload, padding=0):
        return self.write.seal(kind, payload, padding)

    def key_update(self, asks=True):
        sealed = self.seal(HANDSHAKE, message(KEY_UPDATE, bytes([asks])))
        self.write = self.write.updated()
        return sealed

    # ---- in ----

    def _next_record(self):
        """Type and plaintext; None at the end."""
        while len(self.received) < 5 or len(self.received) < 5 + struct.unpack(
                ">H", self.received[3:5])[0]:
            more = self.sock.recv(65536)
            if not more:
                return None
            self.received += more
        kind, count = self.received[0], struct.unpack(">H", self.received[3:5])[0]
        body, self.received = self.received[5:5 + count], self.received[5 + count:]
        if kind == CHANGE_CIPHER_SPEC:
            if self.twelve:
                self.read = self._read_12
            return self._next_record()
        if self.read and (self.twelve or kind == DATA):
            return self.read.open(kind, body)
        return kind, body

    def _next_message(self, wanted=None):
        """A whole handshake message, which joins the transcript; others than `wanted` are skipped."""
        while len(self.messages) < 4 or len(self.messages) < 4 + int.from_bytes(
                self.messages[1:4], "big"):
            got = self._next_record()
            if got is None or got[0] != HANDSHAKE:
                raise RuntimeError(f"the server's handshake ends in {got}")
            self.messages += got[1]
        count = 4 + int.from_bytes(self.messages[1:4], "big")
        whole, self.messages = self.messages[:count], self.messages[count:]
        self.transcript += whole
        return whole if wanted in (None, whole[0]) else self._next_message(wanted)

    def receive(self):
        """The next data; what else comes is obeyed. None at the end, an alert's name as str."""
        while True:
            got = self._next_record()
            if got is None:
                return None
            kind, octets = got
            if kind == DATA:
                return octets
            if kind == ALERT:
                return ALERTS.get(octets[1], f"alert {octets[1]}")
            if not self.twelve and octets[:1] == bytes([KEY_UPDATE]):
                self.read = self.read.updated()

    def end(self):
        """Reads until the end, and names it: the last alert, or "closed" or "reset"."""
        last = "closed"
        try:
            while (got := self.receive()) is not None:
                if isinstance(got, str):
                    last = got
                else:
                    self.data += got
        except ConnectionError:
            last = "reset" if last == "closed" else last
        return last
