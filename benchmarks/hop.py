"""What one call to a provider costs, and nothing around it: CPU time of this process."""

import asyncio
import time
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
from gateway.core.plan import Limits, make_plan
from gateway.drivers.upstream.open import open_upstreams
from gateway.web.parse import read_request

AT_ONCE = 32
WARM_UP = 1_000
MOST = 60_000


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
        snapshot = read([("bench", config(self.port))], {})
        request = read_request(request_body("m", stream=False), {}, 64)
        draw = Random(1).random  # noqa: S311 - no secret
        ladder = ladders(snapshot.catalog)["m"]
        plan = make_plan(ladder, read_features(request), Limits(Tenant("bench")), draw)
        candidate = plan.rungs[0].candidates[0]
        left, answered = iter(range(total)), 0

        async with open_upstreams({}, time.time) as upstreams:
            upstream = await upstreams.turn(snapshot)

            async def client() -> None:
                nonlocal answered
                for _ in left:
                    completion = await upstream.send(candidate, request, timeout_s=10)
                    answered += completion.choices[0].finish == "stop"

            used, began = time.process_time(), time.perf_counter()
            await asyncio.gather(*(client() for _ in range(AT_ONCE)))
            used, seconds = time.process_time() - used, time.perf_counter() - began
        if answered != total:
            raise CannotRun(f"{self.name}: {answered} of {total} answers")
        return Cell(total, total, used, 0.0, seconds)


def config(port: int) -> str:
    url = f"http://127.0.0.1:{port}/v1"
    return f"""
providers: {{p: {{dialect: openai, base_url: "{url}", api_key: bench-not-a-secret}}}}
models: {{m: {{deployments: [{{provider: p}}], context: 128000, max_output: 2048, price: free}}}}
tenants: {{bench: {{anonymous: true}}}}
"""
