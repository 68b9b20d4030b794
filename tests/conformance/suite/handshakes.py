"""handshakes: the opening handshake, well and badly done.

A server gets requests. A refusal must have a status that the case names, say Connection: close, and
end TCP without answering anything more; a 101 must be right in every header, and the connection
behind it must work. A client gets responses. Behind a good one the connection must work; on a bad one
the client must end TCP without sending anything more.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio

from . import deflate, grades, play as plays, wire
from .cases import Case, load_file

RESPONSE_SECONDS = 3
END_SECONDS = 3

# Header lines have a limit of their own, so padding comes in several.
PAD_LINE_OCTETS = 1000

# What proves that a connection works.
PROOF = {"steps": [{"text": "Hello"}, {"close_after": 2}], "events": [{"text": "Hello"}], "end": "done"}


class Handshake:
    """One case of handshakes.json: the lines of a good head, edited. `side` is whose head it is:
    "client" for a request, "server" for a response."""

    deflate = None

    def __init__(self, data, lines, side, group):
        self.data = data
        self.id = data["id"]
        self.group = group
        self.side = side
        self.server_only = side == "client"
        self.client_only = side == "server"
        self.lines = list(data.get("lines", lines))
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
        pads = range(0, data.get("pad", 0), PAD_LINE_OCTETS)
        lines += [f"X-Padding: {'a' * min(PAD_LINE_OCTETS, data['pad'] - at)}" for at in pads]
        if "name_octets" in data:
            lines.append(f"X-{'a' * data['name_octets']}: a")

    def octets_count(self):
        return 0

    def head(self, **values):
        newline = self.data.get("newline", "\r\n")
        text = self.data.get("before", "") + newline.join(self.lines) + newline * 2
        text += self.data.get("behind", "")
        for name, value in values.items():
            text = text.replace("{" + name + "}", value)
        return text.encode("latin-1")

    def statuses(self):
        status = self.data["status"]
        return status if isinstance(status, list) else [status]

    def offer(self):
        name = "Sec-WebSocket-Extensions: "
        return ", ".join(line[len(name) :] for line in self.lines if line.startswith(name))


def load():
    """All handshakes, and the names of their groups."""
    data = load_file("handshakes.json")
    requests, responses = data["groups"]
    cases = [Handshake(one, data["request"], "client", requests) for one in data["requests"]]
    cases += [Handshake(one, data["response"], "server", responses) for one in data["responses"]]
    return cases, data["groups"]


def failed(case, how, why):
    return grades.Verdict(case, how, grades.FAILED, grades.OK, why)


async def prove(case, how, setting, link, role, parameters=None):
    """Plays the proof that the connection works."""
    one = plays.Play(Case({"id": case.id, **PROOF}, case.group), link, role, how, setting, parameters)
    await one.run()
    verdict = grades.judge(one, how)
    verdict.case = case
    return verdict


async def request(case, how, target, setting):
    """Sends one request to a server; gives the verdict."""
    async with asyncio.timeout(plays.CONNECT_SECONDS * setting.patience):
        link = await target.open()
    key = wire.new_key()
    try:
        octets = case.head(path=target.path, host=target.host_header, key=key)
        await plays.Delivery(link, how, f"{setting.seed} {case.id}").send(octets, alone=True)
        async with asyncio.timeout(RESPONSE_SECONDS * setting.patience):
            head = await wire.read_head(link)
        if head.status not in case.statuses():
            return failed(case, how, f"status {head.status}, wanted {case.statuses()}")
        for name, value in case.data.get("has", {}).items():
            if head.get(name) != value:
                return failed(case, how, f"{name}: {head.get(name)}, wanted {value}")
        if head.status == 101:
            return await accepted(case, how, setting, head, key, link)
        return await refused(case, how, setting, head, link)
    finally:
        link.close()


async def accepted(case, how, setting, head, key, link):
    """The 101 is right, what it accepts was offered, and an echo comes back."""
    offer = case.offer()
    answer = wire.check_response(head, key, offer)
    if answer is not None and (case.data.get("declined") or deflate.NAME not in offer):
        return failed(case, how, f"accepted {answer!r}")
    parameters = deflate.check_answer(answer, offer) if answer is not None else None
    return await prove(case, how, setting, link, "client", parameters)


async def refused(case, how, setting, head, link):
    """The refusal ends the connection, and nothing follows it."""
    if case.data.get("stays"):
        return grades.Verdict(case, how, grades.OK, grades.OK)
    if not head.has_token("connection", "close"):
        return failed(case, how, f"status {head.status} without Connection: close")
    rest = await rest_of(link, setting)
    if rest is None:
        return grades.Verdict(case, how, grades.OK, grades.FAILED_BY_CLIENT, "the server left TCP open")
    length = head.get("content-length")
    body = not case.lines[0].startswith("HEAD ")
    if b"HTTP/1.1 " in rest or (length is not None and body and int(length) != len(rest)):
        return failed(case, how, f"{len(rest)} octets behind the head, Content-Length {length}")
    return grades.Verdict(case, how, grades.OK, grades.OK)


async def rest_of(link, setting):
    """What comes until the peer ends TCP; None when it does not."""
    rest = b""
    try:
        async with asyncio.timeout(END_SECONDS * setting.patience):
            while piece := await link.read(65536):
                rest += piece
    except TimeoutError:
        return None
    except ConnectionError:
        pass
    return rest


async def respond(case, how, link, setting):
    """Answers the request of a client under test; gives the verdict."""
    async with asyncio.timeout(plays.HANDSHAKE_SECONDS * setting.patience):
        key = wire.check_request(await wire.read_head(link))
    accept = wire.accept_of(key)
    octets = case.head(accept=accept, accept_swapped=accept.swapcase())
    await plays.Delivery(link, how, f"{setting.seed} {case.id}").send(octets, alone=True)
    if case.data["ok"]:
        return await prove(case, how, setting, link, "server")
    rest = await rest_of(link, setting)
    if rest is None:
        return grades.Verdict(case, how, grades.OK, grades.FAILED_BY_CLIENT, "the client left TCP open")
    if rest:
        return failed(case, how, f"{len(rest)} octets after a response that is wrong")
    return grades.Verdict(case, how, grades.OK, grades.OK)
