"""What a reserve and its settle cost the client: CPU time of this process, on one event loop."""

import asyncio
import time
from dataclasses import dataclass
from itertools import count

import uvloop

from benchmarks import cpu
from benchmarks.servers import CannotRun
from benchmarks.table import Cell
from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.money import Nanos
from gateway.core.ports import LedgerDriver
from gateway.core.snapshot import Leasing
from gateway.drivers.ledger.leased_ledger import LeasedLedger
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis

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
    turns: bool = False
    """Whether each call takes a turn of the loop, where its reserve and its settle take none."""

    def calibrate(self, cpu_s: float) -> int:
        """How many pairs take about so much CPU time."""
        cell = self.measure(WARM_UP)
        return min(MOST, max(WARM_UP, int(cpu_s / cell.cpu_s * WARM_UP)))

    def measure(self, total: int) -> Cell:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(self._measure(total))

    def open(self) -> LedgerDriver:
        return RedisLedger(self.server.url, timeout_s=5)

    async def _measure(self, total: int) -> Cell:
        assert self.server.pid
        budgets = (Budget(10**15, "day"), Budget(10**15, "month"))
        purse = Purse("bench", (Account("tenant", "bench", budgets, "bench"),))
        ledger = self.open()
        numbers = iter(range(self.done, self.done + total))
        self.done += total

        async def client() -> None:
            for number in numbers:
                hold = await ledger.reserve(purse, f"h{number:08x}", CEILING, f"l{number}")
                assert isinstance(hold, Hold)
                if self.turns:
                    await asyncio.sleep(0)
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


@dataclass
class LeasedPairs(Pairs):
    """The same by one who has a lease: most pairs ask the server nothing."""

    name: str = "the same, leased"
    done: int = 10**9
    turns: bool = True

    def open(self) -> LedgerDriver:
        numbers, run = count(), self.done
        return LeasedLedger(
            RedisLedger(self.server.url, timeout_s=5),
            Leasing(10**12),
            clock=time.monotonic,
            new_id=lambda: f"lease{run}-{next(numbers)}",
        )
