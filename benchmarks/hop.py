"""What one call to a provider costs, and nothing around it: CPU time of this process."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

import uvloop

from benchmarks.servers import CannotRun
from benchmarks.systems import request_body
from benchmarks.table import Cell
from gateway.config.load import read
from gateway.core.catalog import Tenant
from gateway.core.features import read_features
from gateway.core.ladder import ladders
from gateway.core.plan import PlanContext, make_plan
from gateway.drivers.upstream.open import open_upstreams
from gateway.web.parse import read_request
from gateway.web.shapes import Shapes

AT_ONCE = 32
WARM_UP = 1_000
MOST = 60_000
Ask = Callable[[], Awaitable[None]]
"""Raises CannotRun when it is answered wrongly."""


@dataclass(frozen=True)
class Hop:
    """A row: the request is written, sent, its answer read, as the gateway does it."""

    name: str
    port: int

    def calibrate(self, cpu_s: float) -> int:
        self.measure(WARM_UP)
        cell = self.measure(WARM_UP)
        return max(WARM_UP, min(MOST, int(cpu_s / cell.cpu_s * WARM_UP)))

    def measure(self, total: int) -> Cell:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(self._measure(total))

    async def _measure(self, total: int) -> Cell:
        async with one_call(self.port) as ask:
            began = time.perf_counter()
            used = await spent_s(ask, total)
            return Cell(total, total, used, 0.0, time.perf_counter() - began)


@asynccontextmanager
async def one_call(port: int) -> AsyncIterator[Ask]:
    """Of a request that came before, as those of a gateway under load did."""
    snapshot = read([("bench", config(port))], {})
    body, shapes = request_body("m", stream=False), Shapes()
    *_, request = (read_request(body, {}, 64, shapes) for _ in range(3))
    if request.shape is None:
        raise CannotRun("a request that came before is not known")
    draw = Random(1).random  # noqa: S311 - no secret
    ladder = ladders(snapshot.catalog)["m"]
    plan = make_plan(ladder, read_features(request), PlanContext(Tenant("bench")), draw)
    candidate = plan.rungs[0].candidates[0]

    async with open_upstreams({}, time.time) as upstreams:
        upstream = await upstreams.reconfigure(snapshot)

        async def ask() -> None:
            completion = await upstream.send(candidate, request, timeout_s=10)
            if completion.choices[0].finish != "stop":
                raise CannotRun(f"one call was answered {completion}")

        yield ask


async def spent_s(ask: Ask, total: int) -> float:
    """CPU time of this process for so many, some of them at once."""
    left = iter(range(total))

    async def client() -> None:
        for _ in left:
            await ask()

    used = time.process_time()
    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return time.process_time() - used


def config(port: int) -> str:
    url = f"http://127.0.0.1:{port}/v1"
    return f"""
providers: {{p: {{dialect: openai, base_url: "{url}", api_key: bench-not-a-secret}}}}
models: {{m: {{deployments: [{{provider: p}}], context: 128000, max_output: 2048, price: free}}}}
tenants: {{bench: {{anonymous: true}}}}
"""
