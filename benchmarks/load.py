"""Send a fixed number of one request over keep-alive connections, and check each answer.

load.c does it where there is a C compiler; the class here does the same, slower.
"""

import asyncio
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any, cast

import uvloop

from benchmarks.servers import CannotRun

PATIENCE_S = 20.0
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Load:
    """`needle` is in every right body. Each of `keys` asks in turn; they are of one length.

    With a `rate` the requests come at random times, so many a second on average, whether or not
    those before are answered; without it each connection asks as soon as it is answered.
    """

    port: int
    body: bytes
    keys: Sequence[str]
    connections: int
    needle: bytes
    path: str = "/v1/chat/completions"
    rate: float = 0.0
    headers: str = ""
    """More of them, each ended by CR LF."""

    def request(self, key: str) -> bytes:
        """As the official SDK would send it, more or less: nobody is to compress."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n"
            "accept: application/json\r\naccept-encoding: identity\r\n"
            "content-type: application/json\r\nuser-agent: OpenAI/Python 1.99.0\r\n"
            f"{self.headers}"
            f"authorization: Bearer {key}\r\ncontent-length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


@dataclass(frozen=True)
class Done:
    """`latency_ms` is the 50th, 99th and 99.9th percentile, from when a request was due to its
    answer's end; `first_ms` the median until its body's first byte. `run_python` tells neither.
    """

    requests: int
    wrong: int
    events: int
    """Server-sent events of all answers together."""
    seconds: float
    last: bytes
    """The last body."""
    latency_ms: tuple[float, ...] = ()
    first_ms: float = 0.0
    again: int = 0
    """How many were asked a second time: their connection was closed before a byte of an answer."""
    why: str = ""
    """The first line of the last wrong answer, where the load tells it."""


def run_c(program: Path, load: Load, total: int, prefix: Sequence[str], folder: Path) -> Done:
    requests, last = folder / "requests", folder / "last"
    requests.write_bytes(b"".join(load.request(key) for key in load.keys))
    width = load.connections if load.rate else min(load.connections, total)
    command = [*prefix, str(program), str(load.port), str(width), str(total), str(load.rate)]
    command += [str(requests), str(len(load.keys)), load.needle.decode(), str(last)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise CannotRun(ran.stderr.strip())
    told: dict[str, Any] = json.loads(ran.stdout)
    done = Done(**told, last=last.read_bytes())
    return replace(done, latency_ms=tuple(done.latency_ms))


def run_python(load: Load, total: int) -> Done:
    return uvloop.run(_send(load, total))


async def _send(load: Load, total: int) -> Done:
    loop = asyncio.get_running_loop()
    counts = _Counts(load, total, loop.create_future())
    began = loop.time()
    for _ in range(min(load.connections, total)):
        await loop.create_connection(lambda: _Connection(counts), "127.0.0.1", load.port)
    try:
        async with asyncio.timeout(PATIENCE_S + total / 100):
            await counts.finished
    except TimeoutError:
        raise CannotRun(f"{counts.ended} of {total} answers, and no more") from None
    seconds = loop.time() - began
    return Done(counts.ended, counts.wrong, counts.events, seconds, counts.last)


class _Counts:
    def __init__(self, load: Load, total: int, finished: "asyncio.Future[None]") -> None:
        self.requests = cycle([load.request(key) for key in load.keys])
        self.needle = load.needle
        self.left = total
        self.total = total
        self.finished = finished
        self.ended = self.wrong = self.events = 0
        self.last = b""

    def end(self, head: bytes, body: bytes) -> None:
        blocks = [] if body.endswith(b"}") else body.split(b"\n\n")[:-1]
        events = sum(not block.startswith(b":") for block in blocks)
        right = head.startswith(b"HTTP/1.1 200 ") and self.needle in body
        self.wrong += not (right and body.endswith((b"}", DONE)))
        self.events += events
        self.last = body
        self.ended += 1
        if self.ended == self.total and not self.finished.done():
            self.finished.set_result(None)


class _Connection(asyncio.Protocol):
    def __init__(self, counts: _Counts) -> None:
        self.counts = counts
        self.got = bytearray()
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it
        self._ask()

    def data_received(self, data: bytes) -> None:
        self.got += data
        head, end, rest = bytes(self.got).partition(b"\r\n\r\n")
        if not end:
            return
        body = _whole(head.lower(), rest)
        if body is not None:
            self.busy = False
            self.counts.end(head, body)
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.busy:  # no answer: the run is wrong, and need not go on
            self.counts.wrong += 1
            if not self.counts.finished.done():
                self.counts.finished.set_result(None)

    def _ask(self) -> None:
        self.got.clear()
        if not self.counts.left:
            self.transport.close()
            return
        self.counts.left -= 1
        self.busy = True
        self.transport.write(next(self.counts.requests))


def _whole(head: bytes, rest: bytes) -> bytes | None:
    """The body, once it is whole."""
    _, told, length = head.partition(b"\r\ncontent-length:")
    if told:
        size = int(length.split(b"\r\n", 1)[0])
        return rest if len(rest) == size else None
    if not rest.endswith(b"0\r\n\r\n"):
        return None
    body = bytearray()
    while True:
        size_line, end, rest = rest.partition(b"\r\n")
        size = int(size_line, 16)
        if not end or not size:
            return bytes(body)
        body += rest[:size]
        rest = rest[size + 2 :]
