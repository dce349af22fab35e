"""What the metrics of one request cost: the events of a life, told again and again, in this
process.
"""

import asyncio
import time
from dataclasses import dataclass

import httpx

from benchmarks.hop import config
from benchmarks.servers import CannotRun
from benchmarks.systems import request_body
from benchmarks.table import Cell
from gateway.app import open_gateway
from gateway.config.load import read
from gateway.core.events import Event
from gateway.drivers.metrics.prometheus import Metrics

BATCH = 2_000


@dataclass(frozen=True)
class MetricsAlone:
    """A row. `port` is the upstream's, which is asked once."""

    name: str
    port: int

    def calibrate(self, cpu_s: float) -> int:
        self.measure(BATCH)
        cell = self.measure(BATCH)
        return max(BATCH, int(cpu_s / cell.cpu_s * BATCH))

    def measure(self, total: int) -> Cell:
        return asyncio.run(self._measure(total))

    async def _measure(self, total: int) -> Cell:
        snapshot = read([("bench", "redis: {url: memory}\n" + config(self.port))], {})
        told: list[Event] = []
        async with open_gateway(snapshot, [told.append]) as gateway:
            transport = httpx.ASGITransport(gateway.front)
            async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
                body = request_body("m", stream=False)
                answer = await client.post("/v1/chat/completions", content=body)
            life = [event for event in told if getattr(event, "about", None) is not None]
            if answer.status_code != 200 or not life:
                raise CannotRun(f"{self.name}: {answer.text}")
            return _observe(gateway.metrics, life, total)


def _observe(metrics: Metrics, life: list[Event], total: int) -> Cell:
    used, began = time.process_time(), time.perf_counter()
    for _ in range(total):
        for event in life:
            metrics.observe(event)
    used, seconds = time.process_time() - used, time.perf_counter() - began
    return Cell(total, total, used, 0.0, seconds)
