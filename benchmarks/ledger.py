"""What a reserve and its settle cost the client: CPU time of this process, on one event loop."""

import asyncio
import time
from dataclasses import dataclass

import uvloop

from benchmarks import cpu
from benchmarks.servers import CannotRun
from benchmarks.table import Cell
from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.money import Nanos
from gateway.drivers.embedded_redis import EmbeddedRedis
from gateway.drivers.redis_ledger import RedisLedger

AT_ONCE = 32
WARM_UP = 2_000
MOST = 60_000
CEILING, COST = Amounts(Nanos(50_000), 500, 1), Amounts(Nanos(7_000), 80)


@dataclass
class Pairs:
    """A row. Each pair is one command to reserve and one to settle: a round trip each, and all of
    one turn of the loop in one write.
    """

    server: EmbeddedRedis
    name: str = "reserve + settle"
    done: int = 0

    def calibrate(self, cpu_s: float) -> int:
        """How many pairs take about so much CPU time."""
        cell = self.measure(WARM_UP)
        return min(MOST, max(WARM_UP, int(cpu_s / cell.cpu_s * WARM_UP)))

    def measure(self, total: int) -> Cell:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(self._measure(total))

    async def _measure(self, total: int) -> Cell:
        assert self.server.pid
        budgets = (Budget(10**15, "day"), Budget(10**15, "month"))
        purse = Purse("bench", (Account("tenant", "bench", budgets, "bench"),))
        ledger = RedisLedger(self.server.url, timeout_s=5)
        numbers = iter(range(self.done, self.done + total))
        self.done += total

        async def client() -> None:
            for number in numbers:
                hold = await ledger.reserve(purse, f"h{number}", CEILING, f"l{number}")
                assert isinstance(hold, Hold)
                await ledger.settle(hold, COST)

        before = (await ledger.balances(purse))[0].spent
        used, served, began = time.process_time(), cpu.seconds(self.server.pid), time.perf_counter()
        await asyncio.gather(*(client() for _ in range(AT_ONCE)))
        seconds, used = time.perf_counter() - began, time.process_time() - used
        served = cpu.seconds(self.server.pid) - served
        spent = (await ledger.balances(purse))[0].spent - before
        await ledger.aclose()
        if spent != total * COST.nanos:
            raise CannotRun(f"the ledger counted {spent} of {total * COST.nanos} nano-dollars")
        return Cell(total, total, used, served, seconds)
