"""peer: the program under test: a server that runs, one that is started here, or a client.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import tempfile
import urllib.parse

from . import link

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
READY = re.compile(r"^ready: listening on (\S+) \((uring|epoll), \d+ workers?\)$", re.MULTILINE)
READY_SECONDS = 10
START_SECONDS = 10
STOP_SECONDS = 10

# What the cases need: section 9 has messages of 16 MiB and of 65537 fragments.
ECHO_FLAGS = {
    "--listen": "127.0.0.1:0",
    "--max-message": str(16 << 20),
    "--max-fragments": "0",
    "--max-output": str(64 << 20),
}
# What it is given when it has it; the cases that need it are skipped, out loud, when it has not. The
# memory lets contexts be taken over from message to message.
DEFLATE_FLAGS = {"--deflate": [], "--deflate-memory": [str(64 << 20)]}
# Over TLS or not.
TLS_FLAGS = {False: [], True: ["--tls-self-signed"]}


class Unusable(Exception):
    """The program cannot be tested here; the text says why."""


class Missing(Exception):
    """The machine lacks the engine that was asked for."""


class Target:
    """A server under test, by its URL."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise Unusable(f"{url} is not a ws:// or wss:// URL")
        self.url = url
        self.host = parts.hostname
        self.port = parts.port or (443 if parts.scheme == "wss" else 80)
        self.path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.host_header = parts.netloc
        self.tls = None
        if parts.scheme == "wss":
            # The subject is the protocol; test servers have certificates of their own making.
            self.tls = ssl.create_default_context()
            self.tls.check_hostname = False
            self.tls.verify_mode = ssl.CERT_NONE

    async def open(self):
        return await link.connect(self.host, self.port, self.tls)


class Server:
    """A `fanwire echo` of our own, for the time of a run."""

    def __init__(self, program, engine, tls=False):
        self.program = program
        self.scheme = "wss" if tls else "ws"
        flags = [word for pair in ECHO_FLAGS.items() for word in pair]
        self.command = [program, "echo", "--engine", engine, *flags, *TLS_FLAGS[tls]]
        self.process = None
        self.output = ""

    async def start(self):
        known = (await self.help()).split()
        for flag, values in DEFLATE_FLAGS.items():
            if flag in known:
                self.command += [flag, *values]
        self.process = await self.spawn(self.command)
        try:
            async with asyncio.timeout(READY_SECONDS):
                address = await self.ready()
        except TimeoutError:
            await self.stop()
            raise Unusable(f"no ready line from {shlex.join(self.command)}:\n{self.output}") from None
        self.reading = asyncio.create_task(self.read_on())
        return Target(f"{self.scheme}://{address}/")

    async def spawn(self, command):
        try:
            return await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as error:
            raise Unusable(f"{self.program}: {error.strerror}") from error

    async def help(self):
        asked = await self.spawn([self.program, "echo", "--help"])
        text, _ = await asked.communicate()
        return text.decode(errors="replace")

    async def ready(self):
        while not (found := READY.search(self.output)):
            line = await self.process.stdout.readline()
            if not line:
                await self.process.wait()
                if "io_uring does not work" in self.output:
                    raise Missing(self.output.strip().splitlines()[0])
                raise Unusable(f"{shlex.join(self.command)} ended before it was ready:\n{self.output}")
            self.output += line.decode(errors="replace")
        return found[1]

    async def read_on(self):
        while line := await self.process.stdout.readline():
            self.output += line.decode(errors="replace")

    async def stop(self):
        """Ends it as an operator would; gives its exit code, None when it had to be killed."""
        if self.process.returncode is not None:
            return self.process.returncode
        self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            return None


class Certificate:
    """A certificate for 127.0.0.1 that is its own CA, in files of its own, from the openssl command."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="fanwire-conformance-")
        self.file = os.path.join(self.folder.name, "certificate.pem")
        key = os.path.join(self.folder.name, "key.pem")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                   "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
                   "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", self.file]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Missing(f"openssl makes no certificate: {error}") from error
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.file, key)


class Client:
    """A client under test: a command that is given a URL, connects and echoes until it is closed.

    certificate     with one, over TLS; the command's {ca} becomes its file
    """

    def __init__(self, command, certificate=None):
        self.command = shlex.split(command)
        self.certificate = certificate  # its files live as long as it
        self.tls = certificate.context if certificate else None
        if certificate:
            self.command = [word.replace("{ca}", certificate.file) for word in self.command]
        if not any("{url}" in word for word in self.command):
            raise Unusable("the client's command needs a {url}")

    async def run(self, url):
        words = [word.replace("{url}", url) for word in self.command]
        return await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )

    async def session(self, play, patience):
        """Starts the client against a listener of its own and plays on the connection it makes."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            scheme = "wss" if self.tls else "ws"
            process = await self.run(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/")
            connection = None
            try:
                async with asyncio.timeout(START_SECONDS * patience):
                    accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
                    connection = link.Link(accepted, self.tls)
                    await connection.handshake()
                return await play(connection)
            finally:
                if connection:
                    connection.close()
                await self.end(process)

    async def end(self, process):
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
