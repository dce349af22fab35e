"""What is compared: a system is sent requests, and each of its answers is checked."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks import cpu
from benchmarks.load import Done, Load
from benchmarks.servers import CannotRun
from benchmarks.table import Cell

BODY_BYTES = 1024
NEEDLE = b'"finish_reason":"stop"'
WARM_UP = 2_000
MOST = 60_000


@dataclass(frozen=True)
class Door:
    """Where a server is asked: the process that is measured, and what it wants of a request.

    `headers` are each ended by CR LF.
    """

    port: int
    pid: int
    model: str = "bench"
    path: str = "/v1/chat/completions"
    headers: str = ""


@dataclass(frozen=True)
class System:
    """One row. `calls` tells how many calls its upstream has had since it was last asked; there are
    `calls_each` for a request.
    """

    name: str
    load: Load
    run: Callable[[Load, int], Done]
    pid: int
    calls: Callable[[], int]
    ledger_pid: int | None = None
    events: int = 0
    """Of each answer; 0 when it is no stream."""
    calls_each: int = 1
    beside: str = "nginx"
    """The row that it is compared with."""
    total: int = 0
    """How many requests to send; 0 for as many as take some CPU time."""
    warm_up: int = WARM_UP

    def calibrate(self, cpu_s: float) -> int:
        """Warm up, and tell how many requests take about so much CPU time; half of it for streams,
        whose events come at their own pace.
        """
        width = self.load.connections
        few = max(self.warm_up // 5 if self.events else self.warm_up, min(width, 1_000))
        if self.total:
            if self.warm_up:
                self.measure(min(self.total, few))
            return self.total
        self.measure(few)
        cell = self.measure(few)
        wanted = cpu_s / 2 if self.events else cpu_s
        return max(100, width, min(MOST, int(wanted / max(cell.cpu_s / few, 1e-6))))

    def measure(self, total: int) -> Cell:
        """Raises CannotRun when anything about the answers is not as it should be."""
        self.calls()
        before, ledger_before = self._used()
        try:
            done = self.run(self.load, total)
        except CannotRun as error:
            raise CannotRun(f"{self.name}: {error}") from None
        after, ledger_after = self._used()
        self._check(done, total)
        per = done.events if self.events else total
        used, ledger = after - before, ledger_after - ledger_before
        return Cell(total, per, used, ledger, done.seconds, done.latency_ms, done.first_ms)

    def _used(self) -> tuple[float, float]:
        ledger = cpu.seconds(self.ledger_pid) if self.ledger_pid is not None else 0.0
        return cpu.seconds(self.pid), ledger

    def _check(self, done: Done, total: int) -> None:
        told = f"{self.name}: {total} requests"
        if done.requests != total or done.wrong:
            said = (done.why.encode() + b" " + done.last)[:300]
            raise CannotRun(f"{told}, {done.wrong} wrong answers, the last {said!r}")
        if (calls := self.calls()) != total * self.calls_each:
            raise CannotRun(f"{told}, but {calls} calls upstream")
        if done.events != self.events * total:
            raise CannotRun(f"{told}, {done.events} events instead of {self.events * total}")
        if not self.events and "choices" not in json.loads(done.last):
            raise CannotRun(f"{told}, the last answer is no completion: {done.last[:300]!r}")


class Row(Protocol):
    @property
    def name(self) -> str: ...

    def calibrate(self, cpu_s: float) -> int:
        """How many requests take about so much CPU time."""
        ...

    def measure(self, total: int) -> Cell: ...


@dataclass(frozen=True)
class Group:
    """Rows that are measured in turn. `latency` says whether their latencies are of interest,
    `rounds` how many are enough where each takes long.
    """

    title: str
    unit: str
    systems: Sequence[Row]
    latency: bool = False
    note: str = ""
    rounds: int = 1_000

    @property
    def beside(self) -> dict[str, str]:
        """Each row's reference, of those that have one."""
        return {row.name: getattr(row, "beside", "") for row in self.systems}


def request_body(model: str, *, stream: bool, size: int = BODY_BYTES) -> bytes:
    """A chat request of so many bytes. The simulator repeats its question, word by word."""
    question = " ".join(f"word{number}" for number in range(45))
    asked: dict[str, object] = {
        "model": model,
        "messages": [
            {"role": "system", "content": ""},
            {"role": "user", "content": question},
        ],
        "temperature": 0.7,
        "max_tokens": 400,
    }
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    short = json.dumps(asked)
    filler = "You answer briefly. " * (size // 20 + 1)
    system = filler[: size - len(short)]
    return short.replace('"system", "content": ""', f'"system", "content": "{system}"').encode()
