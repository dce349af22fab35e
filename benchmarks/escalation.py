"""What a second rung costs beyond the two calls: a request that climbs, less one that does not,
less a call alone. Each of them drifts by more than what is left. So they are asked in turn, some
milliseconds each, of a gateway in this process; the difference is taken in each turn.
"""

import asyncio
import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import uvloop
from starlette.types import ASGIApp, Message

from benchmarks.gateways import CONFIG, KEY, environment
from benchmarks.hop import Ask, one_call, spent_s
from benchmarks.servers import CannotRun
from benchmarks.systems import NEEDLE, request_body
from benchmarks.table import Cell
from benchmarks.upstreams import Provider
from gateway.app import open_gateway
from gateway.commands.serve import tune_gc
from gateway.config.load import load

A_TURN = 64
WARM_UP = 10
"""Turns."""
A_TURN_S = 0.05
"""CPU time, about."""
CALLS = {"climbs": 2, "auto": 1}
"""That each route's requests take."""


@dataclass(frozen=True)
class Escalation:
    """A row. `folder` is where the ledger of its gateway has its data."""

    name: str
    folder: Path
    providers: Mapping[str, Provider]

    def calibrate(self, cpu_s: float) -> int:
        return max(3, round(cpu_s / A_TURN_S)) * A_TURN

    def measure(self, total: int) -> Cell:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(self._measure(total))

    async def _measure(self, total: int) -> Cell:
        env = environment(self.folder, self.providers, "embedded", self.folder / "escalation")
        upstream = self.providers["fast"]
        async with AsyncExitStack() as stack:
            gateway = await stack.enter_async_context(open_gateway(load([CONFIG], env), env=env))
            asks = [asking(gateway.front, route) for route in CALLS]
            asks.append(await stack.enter_async_context(one_call(upstream.port)))
            stack.enter_context(collecting_as_served())
            for _ in range(WARM_UP):
                await beyond_s(asks)
            upstream.count()
            began = time.perf_counter()
            turns = [await beyond_s(asks) for _ in range(max(1, total // A_TURN))]
            seconds, calls = time.perf_counter() - began, upstream.count()
        if calls != len(turns) * A_TURN * (sum(CALLS.values()) + 1):
            raise CannotRun(f"{self.name}: {calls} calls upstream in {len(turns)} turns")
        return Cell(total, total, median(turns) * total, 0.0, seconds)


@contextmanager
def collecting_as_served() -> Iterator[None]:
    before = gc.get_threshold()
    tune_gc()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


async def beyond_s(asks: list[Ask]) -> float:
    """CPU seconds of each request that climbs, less those of the others."""
    climbs, *others = [await spent_s(ask, A_TURN) for ask in asks]
    return (climbs - sum(others)) / A_TURN


def asking(front: ASGIApp, route: str) -> Ask:
    """Of the app itself: what the way to it costs is the same for both routes."""
    body = request_body(route, stream=False)
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "query_string": b"",
        "headers": [
            (b"authorization", b"Bearer " + KEY.encode()),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ],
    }

    async def ask() -> None:
        unheard = [body]
        answer: list[bytes] = []

        async def receive() -> Message:
            if not unheard:
                await asyncio.get_running_loop().create_future()  # nobody leaves
            return {"type": "http.request", "body": unheard.pop()}

        async def send(message: Message) -> None:
            answer.append(message.get("body", b""))

        await front(dict(scope), receive, send)
        if NEEDLE not in b"".join(answer):
            raise CannotRun(f"{route} was answered {answer}")

    return ask
