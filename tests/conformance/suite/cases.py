"""cases: reads the case files and expands payloads and tables (README.md tells the format).

SPDX-License-Identifier: Apache-2.0
"""

import json
import os

from . import deflate, wire

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

KINDS = ("text", "binary", "more", "close", "ping", "pong", "opcode", "rest", "raw")

# Frames that come in parts are masked with this key, so that the parts know it.
CUT_KEY = bytes.fromhex("3d21fa37")


def octets_of(payload):
    """A payload as the files write it: a string, {"hex"}, {"repeat", "octets"} or {"deflated"}."""
    if isinstance(payload, str):
        return payload.encode()
    if "hex" in payload:
        return bytes.fromhex(payload["hex"])
    if "deflated" in payload:
        return deflate.Deflater({}, "client", takeover=False).deflate(octets_of(payload["deflated"]))
    piece, count = bytes.fromhex(payload["repeat"]), payload["octets"]
    return (piece * (count // len(piece) + 1))[:count]


class Frame:
    """A step that sends a frame, or a message in fragments."""

    def __init__(self, step):
        self.kind = next(kind for kind in KINDS if kind in step)
        self.fin = step.get("fin", 1)
        self.rsv = step.get("rsv", 0)
        self.chop = step.get("chop", 0)
        self.alone = step.get("alone", False)
        self.fragment = step.get("fragment", 0)
        self.mask_wrong = step.get("mask") == "wrong"
        self.form = step.get("form")
        self.announced = step.get("announced")
        self.behind = step.get("behind", 0)
        if self.kind == "opcode":
            self.opcode, self.payload = step["opcode"], octets_of(step["payload"])
        elif self.kind == "raw":
            self.payload = bytes.fromhex(step["raw"])
        elif self.kind == "rest":
            self.payload = octets_of(step["rest"])
        else:
            self.opcode, self.payload = wire.OPCODES[self.kind], self.payload_of(step)

    def payload_of(self, step):
        value = step[self.kind]
        if self.kind == "close" and isinstance(value, int):
            return wire.close_payload(value, octets_of(step.get("reason", "")))
        return octets_of(value)

    def closes(self):
        """Whether this is a close frame that the peer can see as one: well formed, whatever its
        payload says."""
        formed = self.fin and not self.rsv and not self.mask_wrong and len(self.payload) <= 125
        return self.kind == "close" and formed

    def octets(self, masked):
        """The frames of this step on the wire, one entry each."""
        masked = masked != self.mask_wrong
        if self.kind == "raw":
            return [self.payload]
        if self.kind == "rest":
            turn = self.behind % 4
            key = CUT_KEY[turn:] + CUT_KEY[:turn]
            return [wire.mask(self.payload, key) if masked else self.payload]
        if not self.fragment:
            return [self.one(self.opcode, self.payload, self.fin, masked)]
        frames, opcode = [], self.opcode
        for at in range(0, max(1, len(self.payload)), self.fragment):
            frames.append(self.one(opcode, self.payload[at : at + self.fragment], 0, masked))
            opcode = wire.MORE
        if len(self.payload) % self.fragment == 0 and len(frames) > 1:
            # An exact multiple ends with an empty frame, as the public cases have it.
            frames.append(self.one(wire.MORE, b"", 1, masked))
        else:
            first = bytes([frames[-1][0] | 0x80])
            frames[-1] = first + frames[-1][1:]
        return frames

    def one(self, opcode, payload, fin, masked):
        rsv = self.rsv if opcode == self.opcode else 0
        key = CUT_KEY if self.announced is not None else None
        return wire.frame(
            opcode, payload, fin=fin, rsv=rsv, masked=masked, form=self.form,
            announced=self.announced, key=key,
        )


class Event:
    """An event that is expected: ("text", octets), ("timeout", tag), ..."""

    @staticmethod
    def of(event):
        (kind, value), = event.items()
        return (kind, value) if kind == "timeout" else (kind, octets_of(value))


class Case:
    """One case. `steps` holds Frame objects and the other steps as they stand in the file."""

    def __init__(self, data, group):
        self.id = data["id"]
        self.group = group
        self.note = data.get("note", "")
        self.steps = [Frame(s) if any(k in s for k in KINDS) else s for s in data.get("steps", [])]
        self.outcomes = [("OK", [Event.of(e) for e in data.get("events", [])])]
        for grade, events in data.get("or", {}).items():
            self.outcomes.append((grade, [Event.of(e) for e in events]))
        self.rounds = data.get("rounds")
        self.deflate = data.get("deflate")
        self.seconds = data.get("seconds")
        self.offer = data.get("offer")
        self.answers = data.get("answers")
        self.needs = data.get("needs")
        word, _, codes = data.get("end", "done").partition(" ")
        self.end = word
        self.codes = [int(code) for code in codes.split(",")] if codes else [1000]
        self.must_refuse = data.get("must_refuse", False)
        self.must_code = data.get("must_code", False)
        self.exact = data.get("exact", False)
        self.informational = data.get("informational", False)
        self.server_only = data.get("server_only", False)
        self.client_only = data.get("client_only", False)

    def octets_count(self):
        return sum(len(step.payload) for step in self.steps if isinstance(step, Frame))


def order(case_id):
    """Sorts 2.10 behind 2.9, and our own cases, x.*, last."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in case_id.split(".")]


def load_file(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return json.load(file)


def section_of(case_id, groups):
    """The longest prefix of the id that names a group."""
    parts = case_id.split(".")
    for count in range(len(parts), 0, -1):
        prefix = ".".join(parts[:count])
        if prefix in groups:
            return prefix
    raise ValueError(f"{case_id} is in no group")


def deflate_cases(table):
    """Sections 12 and 13: every section's parameters times every size."""
    for section, parameters in table["sections"].items():
        for number, size in enumerate(table["sizes"], 1):
            yield {
                "id": f"{section}.{number}",
                "deflate": {"messages": table["messages"], **size, **parameters},
                "seconds": size["seconds"],
                "offer": parameters["offer"],
                "answers": [parameters["answer"], parameters["answer_plain"]],
                "needs": "deflate",
            }


def load():
    """All cases, in order, and the names of the groups."""
    public, own = load_file("cases.json"), load_file("cases_own.json")
    groups = {**public["groups"], **own["groups"]}
    data = public["cases"] + list(deflate_cases(public["deflate"])) + own["cases"]
    cases = [Case(one, section_of(one["id"], groups)) for one in data]
    return sorted(cases, key=lambda case: order(case.id)), groups
