"""deflate: permessage-deflate for the tester (RFC 7692), and data to compress.

The peer is held to what it accepted: a window of 9 bits is inflated with a window of 9 bits, and
without context takeover every message is inflated on its own, so a peer that only says so fails.

SPDX-License-Identifier: Apache-2.0
"""

import functools
import random
import zlib

from .wire import Violation

NAME = "permessage-deflate"
FLAGS = ("client_no_context_takeover", "server_no_context_takeover")
BITS = ("client_max_window_bits", "server_max_window_bits")
TAIL = b"\x00\x00\xff\xff"
INFLATED_OCTETS_MAX = 80 << 20


def parse(extensions):
    """Parses a header value into a list of (name, {parameter: value or True})."""
    offers = []
    for offer in extensions.split(","):
        name, *parameters = [part.strip() for part in offer.split(";")]
        values = {}
        for parameter in parameters:
            key, equals, value = parameter.partition("=")
            key = key.strip()
            if key in values:
                raise Violation(f"the parameter {key} twice")
            values[key] = value.strip().strip('"') if equals else True
        offers.append((name, values))
    return offers


def check_answer(answer, offer):
    """Judges a server's answer against the offers; gives its parameters.

    source      RFC 7692, sections 5.1 and 7.1
    """
    chosen = parse(answer)
    if len(chosen) != 1 or chosen[0][0] != NAME:
        raise Violation(f"the extensions {answer!r}")
    parameters = chosen[0][1]
    for key, value in parameters.items():
        if key in FLAGS and value is not True:
            raise Violation(f"{key} with a value")
        if key in BITS and (value is True or not value.isdigit() or not 9 <= int(value) <= 15):
            raise Violation(f"{key}={value}")
        if key not in FLAGS and key not in BITS:
            raise Violation(f"the parameter {key}")
    if not any(fits(parameters, offered) for name, offered in parse(offer) if name == NAME):
        raise Violation(f"the answer {answer!r}, which fits no offer of {offer!r}")
    return parameters


def fits(parameters, offered):
    """Whether an answer takes up this offer."""
    if "server_no_context_takeover" in offered and "server_no_context_takeover" not in parameters:
        return False
    if "client_max_window_bits" in parameters and "client_max_window_bits" not in offered:
        return False
    wanted = offered.get("server_max_window_bits")
    given = parameters.get("server_max_window_bits")
    if wanted is not None and (given is None or int(given) > int(wanted)):
        return False
    return True


class Deflater:
    """Compresses what the tester sends. `side` is the tester's: "client" or "server"."""

    def __init__(self, parameters, side, takeover):
        bits = parameters.get(f"{side}_max_window_bits")
        self.bits = 15 if bits in (None, True) else int(bits)
        self.takeover = takeover and f"{side}_no_context_takeover" not in parameters
        self.stream = None

    def deflate(self, octets):
        if self.stream is None or not self.takeover:
            self.stream = zlib.compressobj(6, zlib.DEFLATED, -self.bits)
        out = self.stream.compress(octets) + self.stream.flush(zlib.Z_SYNC_FLUSH)
        # An empty message leaves nothing but the tail; one stored block stands for it.
        return out[: -len(TAIL)] or b"\x00"


class Inflater:
    """Inflates what the peer sends. `side` is the peer's."""

    def __init__(self, parameters, side):
        bits = parameters.get(f"{side}_max_window_bits")
        self.bits = 15 if bits in (None, True) else int(bits)
        self.takeover = f"{side}_no_context_takeover" not in parameters
        self.stream = None

    def inflate(self, octets):
        if self.stream is None or not self.takeover:
            self.stream = zlib.decompressobj(-self.bits)
        try:
            out = self.stream.decompress(octets + TAIL, INFLATED_OCTETS_MAX)
        except zlib.error as error:
            raise Violation(f"a message that does not inflate: {error}") from error
        if self.stream.unconsumed_tail:
            raise Violation("a message that inflates without end")
        if self.stream.eof:
            # The peer ended its stream (RFC 7692, section 7.2.3.5); what follows starts anew.
            self.stream = None
        return out


# Data to compress: made here, always the same; of the sizes and compressibility of what the public
# cases cut their messages from.


def words(dice, count):
    letters = "eeeettaaooinnsshrrdlucmwfgypbvk"
    return ["".join(dice.choice(letters) for _ in range(dice.randint(1, 9))) for _ in range(count)]


def make_json(dice):
    names, rows = words(dice, 200), []
    while sum(map(len, rows)) < 194056:
        rows.append(
            f'  {{"id": {len(rows)}, "name": "{dice.choice(names)} {dice.choice(names)}",'
            f' "price": {dice.randint(1, 99999) / 100}, "in_stock": {dice.choice(["true", "false"])},'
            f' "tags": ["{dice.choice(names)}", "{dice.choice(names)}"]}},\n'
        )
    return "".join(rows).encode()[:194056]


def make_html(dice):
    names, rows = words(dice, 500) + ["Größe", "naïve", "日本語", "😀"], []
    while sum(map(len, rows)) < 263647:
        text = " ".join(dice.choice(names) for _ in range(dice.randint(5, 30)))
        rows.append(f'<div class="item" id="i{len(rows)}"><p>{text}</p></div>\n')
    return "".join(rows).encode()


def make_book(dice):
    names, rows = words(dice, 4000), []
    while sum(map(len, rows)) < 222218:
        rows.append(" ".join(dice.choice(names) for _ in range(12)) + ".\r\n")
    return "".join(rows).encode()[:222218]


def make_image(dice):
    level, octets = 128, bytearray(b"BM")
    while len(octets) < 263222:
        level = min(255, max(0, level + dice.randint(-3, 3)))
        octets.append(level)
    return bytes(octets)


def make_document(dice):
    pieces = []
    while sum(map(len, pieces)) < 1042328:
        pieces.append(b"%d 0 obj << /Length %d >> stream\n" % (len(pieces), 4096))
        pieces.append(dice.randbytes(4096))
    return b"".join(pieces)[:1042328]


MAKERS = {
    "json": make_json,
    "html": make_html,
    "book": make_book,
    "image": make_image,
    "document": make_document,
}


@functools.cache
def data_of(name):
    return MAKERS[name](random.Random(name))


def messages_of(name, text, octets, count):
    """Messages of `octets` octets (characters, when text), cut one behind the other, round and
    round."""
    whole = data_of(name).decode() if text else data_of(name)
    whole = whole * (octets // len(whole) + 2)
    at = 0
    for _ in range(count):
        if at + octets > len(whole):
            at = 0
        message = whole[at : at + octets]
        at += octets
        yield message.encode() if text else message
