"""play: performs one case on one connection, and notes what came back.

The tester is the client when it tests a server, and the server when it tests a client; the steps are
the same. Steps are performed in order, right after the handshake, without waiting for replies unless
a step says so; a task of its own reads what comes.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio
import contextlib
import random

from . import deflate, wire
from .cases import Frame, octets_of

# The tester's own patience, in seconds; all but the first are those of the public suite.
CONNECT_SECONDS = 10
HANDSHAKE_SECONDS = 5
REPLY_TO_CLOSE_SECONDS = 1
DROP_TCP_SECONDS = 1
CASE_SECONDS = 60

# How the octets of the frames are handed to TCP.
WHOLE, OCTETS, RANDOM = "whole", "octets", "random"
# More than this is not sent octet by octet; each costs a system call, and in TLS a record.
OCTETS_COUNT_MAX = 70_000
TLS_OCTETS_COUNT_MAX = 5_000
# Random pieces have at most one of these sizes; long frames are not cut into ever so many.
RANDOM_SIZES = (2, 20, 300, 3000, 30000)
RANDOM_PIECES_MAX = 2000


class Skipped(Exception):
    """The case cannot be played here; the text says why."""


class Setting:
    """What all cases of a run share."""

    def __init__(self, patience=1.0, seed=1, messages=None, deflate_octets=None):
        self.patience = patience
        self.seed = seed
        self.messages = messages
        self.deflate_octets = deflate_octets


class Delivery:
    """Hands octets to TCP in the pieces that the delivery and the step want."""

    def __init__(self, link, how, seed):
        self.link = link
        self.how = how
        self.dice = random.Random(seed)
        self.held = []

    async def send(self, octets, chop=0, alone=False):
        if self.how == WHOLE and not chop and not alone:
            self.held.append(octets)
            return
        await self.flush()
        if self.how == OCTETS:
            await self.put_pieces(octets, lambda: 1)
        elif self.how == RANDOM:
            sizes = [size for size in RANDOM_SIZES if len(octets) < size * RANDOM_PIECES_MAX]
            largest = self.dice.choice(sizes)
            await self.put_pieces(octets, lambda: self.dice.randint(1, largest))
        else:
            await self.put_pieces(octets, lambda: chop or len(octets))
        if alone:
            await asyncio.sleep(0.01)

    async def put_pieces(self, octets, size):
        at, pieces = 0, 0
        while at < len(octets):
            end = at + size()
            self.link.put(octets[at:end])
            at, pieces = end, pieces + 1
            if pieces % 64 == 0:
                await self.link.drain()
                await asyncio.sleep(0)
        await self.link.drain()

    async def flush(self):
        held, self.held = b"".join(self.held), []
        if held:
            self.link.put(held)
            await self.link.drain()


class Play:
    """One case on one open connection. Afterwards, for grades.py:

    events          what came: (kind, octets or tag), in order
    violation       what the peer must not have done, or None
    peer_closed     the code of its close frame (1005 for none), or None when no close frame came
    tester_closed   whether the tester sent a close frame
    first           "peer" or "tester": who began to close, by a frame or by ending TCP
    gave_up         the fail timer went off: the peer did not fail the connection
    left_open       the peer is the server and did not end TCP in time
    """

    def __init__(self, case, link, role, how, setting, parameters=None):
        self.case = case
        self.link = link
        self.role = role
        self.setting = setting
        peer_role = "server" if role == "client" else "client"
        inflater = deflate.Inflater(parameters, peer_role) if parameters is not None else None
        self.parameters = parameters
        self.reader = wire.Reader(link, masked=role == "server", inflater=inflater)
        self.delivery = Delivery(link, how, f"{setting.seed} {case.id}")
        self.events = []
        self.violation = None
        self.peer_closed = None
        self.tester_closed = False
        self.first = None
        self.gave_up = False
        self.left_open = False
        self.out_of_time = False
        self.over = asyncio.Event()
        self.arrived = asyncio.Event()
        self.timers = []

    async def run(self):
        reading = asyncio.create_task(self.read())
        seconds = self.case.seconds or CASE_SECONDS
        try:
            async with asyncio.timeout(seconds * self.setting.patience):
                await self.perform()
                await self.over.wait()
        except TimeoutError:
            self.out_of_time = True
        finally:
            for task in [reading, *self.timers]:
                task.cancel()
            await asyncio.gather(reading, *self.timers, return_exceptions=True)
            self.link.close()

    async def perform(self):
        if self.case.rounds:
            await self.play_rounds()
        elif self.case.deflate:
            await self.play_deflate()
        else:
            await self.play_steps()

    async def play_steps(self):
        await self.check_done()
        for step in self.case.steps:
            if self.over.is_set():
                return
            if isinstance(step, Frame):
                await self.send(step)
                continue
            await self.delivery.flush()
            if "wait" in step:
                await self.wait(step)
            elif "fail_after" in step:
                self.timer(step["fail_after"], self.give_up)
            elif "close_after" in step:
                self.timer(step["close_after"], self.close_empty)
            elif "half_close" in step:
                if self.link.tls:
                    raise Skipped("TLS has no half-close")
                self.link.put_end()
        await self.delivery.flush()

    async def send(self, step):
        if step.closes():
            self.tester_closes()
        for octets in step.octets(masked=self.role == "client"):
            await self.delivery.send(octets, step.chop, step.alone)

    async def wait(self, step):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(step["wait"] * self.setting.patience):
                await self.over.wait()
        if not self.over.is_set() and "tag" in step and self.peer_closed is None:
            self.events.append(("timeout", step["tag"]))

    # Messages in lockstep: the next goes when the echo of the last has come.

    async def play_rounds(self):
        kind = "text" if "text" in self.case.rounds else "binary"
        payload = octets_of(self.case.rounds[kind])
        count = self.setting.messages or self.case.rounds["messages"]
        octets = wire.frame(wire.OPCODES[kind], payload, masked=self.role == "client")
        for _ in range(count):
            await self.delivery.send(octets)
            await self.delivery.flush()
            if not await self.echoed(kind, payload):
                return
        self.events = []
        await self.close(1000)

    async def play_deflate(self):
        table = self.case.deflate
        kind = table["type"]
        count = self.setting.messages or table["messages"]
        if self.setting.deflate_octets:
            count = max(20, min(count, self.setting.deflate_octets // table["octets"]))
        # The offers say client_no_context_takeover; a server that takes over is the harder test.
        deflater = deflate.Deflater(self.parameters, self.role, takeover=self.role == "server")
        for message in deflate.messages_of(table["data"], kind == "text", table["octets"], count):
            compressed = deflater.deflate(message)
            for octets in self.compressed_frames(kind, compressed, table["fragment"]):
                await self.delivery.send(octets)
            await self.delivery.flush()
            if not await self.echoed(kind, message):
                return
        self.events = []
        await self.close(1000)

    def compressed_frames(self, kind, compressed, fragment):
        opcode, rsv, fragment = wire.OPCODES[kind], 4, fragment or len(compressed)
        for at in range(0, len(compressed), fragment):
            last = at + fragment >= len(compressed)
            piece = compressed[at : at + fragment]
            yield wire.frame(opcode, piece, fin=int(last), rsv=rsv, masked=self.role == "client")
            opcode, rsv = wire.MORE, 0

    async def echoed(self, kind, payload):
        """Waits for one echo; notes a wrong one and gives False."""
        while not self.events and not self.over.is_set():
            self.arrived.clear()
            await self.arrived.wait()
        if self.over.is_set() or self.peer_closed is not None:
            return False
        event = self.events.pop(0)
        if event != (kind, payload):
            self.events.append(event)
            await self.close(1000)
            return False
        return True

    # Closing.

    def tester_closes(self):
        if not self.tester_closed:
            self.first = self.first or "tester"
            self.tester_closed = True
            self.timer(REPLY_TO_CLOSE_SECONDS, self.no_reply)

    async def close(self, code=None):
        if self.tester_closed or self.over.is_set():
            return
        self.tester_closes()
        payload = wire.close_payload(code)
        await self.delivery.send(wire.frame(wire.CLOSE, payload, masked=self.role == "client"))
        await self.delivery.flush()

    async def close_empty(self):
        await self.close()

    async def give_up(self):
        if not self.tester_closed and self.peer_closed is None:
            self.gave_up = True
            await self.close(1001)

    async def no_reply(self):
        if self.peer_closed is None:
            self.left_open = True
            self.over.set()

    def timer(self, seconds, action):
        async def later():
            await asyncio.sleep(seconds * self.setting.patience)
            if not self.over.is_set():
                await action()

        self.timers.append(asyncio.create_task(later()))

    # Reading.

    async def read(self):
        try:
            while self.peer_closed is None:
                kind, payload = await self.reader.next()
                await self.note(kind, payload)
            await self.see_the_end()
        except wire.Ended:
            self.first = self.first or "peer"
        except wire.Violation as violation:
            self.violation = str(violation)
        except ConnectionError:
            pass
        self.over.set()
        self.arrived.set()

    async def note(self, kind, payload):
        if kind == "close":
            await self.note_close(*payload)
            return
        self.events.append((kind, payload))
        self.arrived.set()
        if kind == "ping" and not self.tester_closed:
            pong = wire.frame(wire.PONG, payload, masked=self.role == "client")
            self.link.put(pong)
        await self.check_done()

    async def note_close(self, code, _reason):
        self.peer_closed = code
        self.first = self.first or "peer"
        self.arrived.set()
        if not self.tester_closed:
            self.tester_closed = True
            answer = wire.close_payload(None if code == wire.NO_CODE else code)
            self.delivery.held.clear()
            self.link.forget_unsent()
            self.link.put(wire.frame(wire.CLOSE, answer, masked=self.role == "client"))

    async def see_the_end(self):
        """After both close frames the server ends TCP; nothing else may come before."""
        if self.role == "server":
            await self.link.close_behind_sent()
            return
        try:
            async with asyncio.timeout(DROP_TCP_SECONDS * self.setting.patience):
                rest = await self.link.read(1)
        except TimeoutError:
            self.left_open = True
            return
        if rest:
            raise wire.Violation("octets after its close frame")

    async def check_done(self):
        """Closes with 1000 as soon as all that is expected has come."""
        steps = self.case.end == "done" and not self.case.rounds and not self.case.deflate
        if steps and self.events == self.case.outcomes[0][1]:
            await self.close(1000)


async def connect(target, case, how, setting):
    """Opens a connection to a server, does the opening handshake and plays; gives the Play."""
    async with asyncio.timeout(CONNECT_SECONDS * setting.patience):
        link = await target.open()
    try:
        key = wire.new_key()
        head = wire.request_head(target.path, target.host_header, key, case.offer)
        await Delivery(link, how, f"{setting.seed} {case.id} head").send(head, alone=True)
        async with asyncio.timeout(HANDSHAKE_SECONDS * setting.patience):
            answer = wire.check_response(await wire.read_head(link), key, case.offer)
        parameters = None
        if case.needs and answer is None:
            raise Skipped("permessage-deflate was not negotiated")
        if answer is not None:
            parameters = deflate.check_answer(answer, case.offer)
        if case.needs == "takeover" and "client_no_context_takeover" in parameters:
            raise Skipped("the server does not let the client take its context over")
        play = Play(case, link, "client", how, setting, parameters)
        await play.run()
        return play
    finally:
        link.close()


async def accept(link, case, how, setting):
    """Does the server's side of the opening handshake with a client and plays; gives the Play."""
    async with asyncio.timeout(HANDSHAKE_SECONDS * setting.patience):
        head = await wire.read_head(link)
    key = wire.check_request(head)
    answer = choose_answer(case, head.get("sec-websocket-extensions"))
    parameters = deflate.parse(answer)[0][1] if answer else None
    response = wire.response_head(key, answer)
    await Delivery(link, how, f"{setting.seed} {case.id} head").send(response, alone=True)
    play = Play(case, link, "server", how, setting, parameters)
    await play.run()
    return play


def choose_answer(case, offered):
    """What a tester that is the server answers to a client's offer."""
    if not case.needs:
        return None
    for name, parameters in deflate.parse(offered or ""):
        if name == deflate.NAME:
            bare = "client_max_window_bits" not in parameters
            answer = case.answers[bare] if case.answers else deflate.NAME
            if answer:
                return answer
            raise Skipped("the client does not offer client_max_window_bits")
    raise Skipped("the client does not offer permessage-deflate")
