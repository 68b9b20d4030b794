"""handshakes: the opening handshake, well and badly done, against a server.

A refusal must have the status that the case names, say Connection: close, and end TCP without
answering anything more. A 101 must be right in every header, and the connection behind it must work.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio

from . import deflate, grades, play as plays, wire
from .cases import Case, load_file

GROUP = "x.handshake"
RESPONSE_SECONDS = 3
END_SECONDS = 3

# What proves that a connection works.
PROOF = {"steps": [{"text": "Hello"}, {"close_after": 2}], "events": [{"text": "Hello"}], "end": "done"}


class Handshake:
    """One case of handshakes.json."""

    group = GROUP
    deflate = None
    server_only = True

    def __init__(self, data, lines):
        self.data = data
        self.id = data["id"]
        self.lines = list(data.get("lines", lines))
        self.statuses = data["status"] if isinstance(data["status"], list) else [data["status"]]
        self.edit()

    def edit(self):
        data, lines = self.data, self.lines
        if "line" in data:
            lines[0] = data["line"]
        if "target_octets" in data:
            lines[0] = f"GET /{'a' * data['target_octets']} HTTP/1.1"
        for name in data.get("without", []):
            lines[:] = [line for line in lines if not line.startswith(f"{name}:")]
        for name, value in data.get("with", {}).items():
            at = next(i for i, line in enumerate(lines) if line.startswith(f"{name}:"))
            lines[at] = f"{name}: {value}"
        lines += data.get("and", [])
        lines += [f"X-Number-{number}: {number}" for number in range(data.get("many", 0))]
        # Lines have a limit of their own, so padding comes in several.
        pads = range(0, data.get("pad", 0), 1000)
        lines += [f"X-Padding: {'a' * min(1000, data['pad'] - at)}" for at in pads]
        if "name_octets" in data:
            lines.append(f"X-{'a' * data['name_octets']}: a")

    def octets_count(self):
        return 0

    def request(self, target, key):
        newline = self.data.get("newline", "\r\n")
        text = self.data.get("before", "") + newline.join(self.lines) + newline * 2
        text += self.data.get("behind", "")
        for name, value in (("path", target.path), ("host", target.host_header), ("key", key)):
            text = text.replace("{" + name + "}", value)
        return text.encode("latin-1")

    def offer(self):
        name = "Sec-WebSocket-Extensions: "
        return ", ".join(line[len(name) :] for line in self.lines if line.startswith(name))


def load():
    data = load_file("handshakes.json")
    return [Handshake(one, data["request"]) for one in data["cases"]]


async def play(case, how, target, setting):
    """Plays one handshake; gives its verdict."""
    async with asyncio.timeout(plays.CONNECT_SECONDS * setting.patience):
        link = await target.open()
    key = wire.new_key()
    try:
        delivery = plays.Delivery(link, how, f"{setting.seed} {case.id}")
        await delivery.send(case.request(target, key), alone=True)
        async with asyncio.timeout(RESPONSE_SECONDS * setting.patience):
            head = await wire.read_head(link)
        if head.status not in case.statuses:
            return failed(case, how, f"status {head.status}, wanted {case.statuses}")
        for name, value in case.data.get("has", {}).items():
            if head.get(name) != value:
                return failed(case, how, f"{name}: {head.get(name)}, wanted {value}")
        if head.status == 101:
            return await accepted(case, how, setting, head, key, link)
        return await refused(case, how, setting, head, link)
    finally:
        link.close()


def failed(case, how, why):
    return grades.Verdict(case, how, grades.FAILED, grades.OK, why)


async def accepted(case, how, setting, head, key, link):
    """The 101 is right, what it accepts was offered, and an echo comes back."""
    offer = case.offer()
    answer = wire.check_response(head, key, offer)
    if answer is not None and (case.data.get("declined") or deflate.NAME not in offer):
        return failed(case, how, f"accepted {answer!r}")
    parameters = deflate.check_answer(answer, offer) if answer is not None else None
    proof = Case({"id": case.id, **PROOF}, GROUP)
    one = plays.Play(proof, link, "client", how, setting, parameters)
    await one.run()
    verdict = grades.judge(one, how)
    verdict.case = case
    return verdict


async def refused(case, how, setting, head, link):
    """The refusal ends the connection, and nothing follows it."""
    if case.data.get("stays"):
        return grades.Verdict(case, how, grades.OK, grades.OK)
    if not head.has_token("connection", "close"):
        return failed(case, how, f"status {head.status} without Connection: close")
    rest = b""
    try:
        async with asyncio.timeout(END_SECONDS * setting.patience):
            while piece := await link.read(65536):
                rest += piece
    except TimeoutError:
        return grades.Verdict(case, how, grades.OK, grades.FAILED_BY_CLIENT, "the server left TCP open")
    except ConnectionError:
        pass
    length = head.get("content-length")
    body = "HEAD" not in case.lines[0][:4]
    if b"HTTP/1.1 " in rest or (length is not None and body and int(length) != len(rest)):
        return failed(case, how, f"{len(rest)} octets behind the head, Content-Length {length}")
    return grades.Verdict(case, how, grades.OK, grades.OK)
