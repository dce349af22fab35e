"""What Python executes for a request, and for an event of a stream: of one version of Python it is
the same on every machine, and however busy that is.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

from benchmarks import executed
from benchmarks.executed import Executed, Function
from benchmarks.gateways import Setting
from benchmarks.hop import one_call, spent_s
from benchmarks.servers import SUT_CPU, CannotRun, pinned
from benchmarks.stage import Ask, Stage
from benchmarks.systems import System
from benchmarks.table import Reading, Readings
from benchmarks.upstreams import CALM_PACE_MS, EVENTS

REQUESTS, STREAMS = 640, 16
"""A gateway that counts is slow: of more streams events would wait, and come together."""
ROUNDS = 2
"""One and the next hardly differ."""
ROOMS: Final[Mapping[str, tuple[str, ...]]] = {
    "web": ("web/",),
    "life: handle, hold, call, strategies": (
        "handle.py",
        "hold.py",
        "call.py",
        "rounds.py",
        "core/strategies/",
    ),
    "core, without strategies": ("core/",),
    "wire": ("wire/",),
    "drivers/upstream": ("drivers/upstream/",),
    "drivers/ledger, drivers/redis": ("drivers/ledger/", "drivers/redis/"),
    "drivers/metrics": ("drivers/metrics/",),
    "all others of the gateway": ("",),
}
"""A file of the gateway is in the first whose names it begins with."""
OUTSIDE: Final = "not of the gateway"
_GATEWAY: Final = f"{Path(__file__).parents[2] / 'gateway'}/"
_PATIENCE_S: Final = 60.0


class Spent(NamedTuple):
    """On each request, or event."""

    instructions: float
    calls: float


class Counted(NamedTuple):
    """Of so many requests, or events."""

    functions: list[Function]
    per: int


class Counting:
    """A gateway that counts, with its ledger in the embedded server."""

    def __init__(self, stage: Stage, stack: ExitStack) -> None:
        self._stage, self._file = stage, stage.folder / "executed"
        prefix = [*pinned(SUT_CPU), sys.executable, "-m", "benchmarks.executed", str(self._file)]
        self._gateway = stage.gateway(stack, Setting("counting", prefix=prefix, patience_s=120))

    def request(self) -> Counted:
        return self._counted(self._stage.through(self._gateway, "counting", "auto"), REQUESTS)

    def climbing(self) -> Counted:
        """The first model refuses, the second answers."""
        row = self._stage.through(self._gateway, "counting", "climbs", calls_each=2)
        return self._counted(row, REQUESTS)

    def event(self) -> Counted:
        """Of a stream that flows: without checks. All streams are open at once."""
        ask = Ask("calm", stream=True, connections=STREAMS)
        row = self._stage.through(self._gateway, "counting", "auto-calm", ask)
        return self._counted(row, STREAMS)

    def _counted(self, row: System, total: int) -> Counted:
        """Once it is warm."""
        self._taken()
        row.measure(total)
        self._taken()
        cell = row.measure(total)
        return Counted(self._taken(), cell.per)

    def _taken(self) -> list[Function]:
        os.kill(self._gateway.pid, signal.SIGUSR1)
        until = time.monotonic() + _PATIENCE_S
        while not self._file.exists():
            if time.monotonic() > until:
                raise CannotRun("the gateway does not tell what it has executed")
            time.sleep(0.01)
        found = executed.read(self._file)
        self._file.unlink()
        return found


async def one_call_counted(port: int) -> Counted:
    """In this process."""
    counting = Executed()
    async with one_call(port) as ask:
        for _ in range(2):  # the first are to warm it
            counting.taken()
            counting.start()
            await spent_s(ask, REQUESTS)
            counting.stop()
    return Counted(counting.taken(), REQUESTS)


def by_room(counted: Counted) -> dict[str, Spent]:
    found = {room: Spent(0, 0) for room in (*ROOMS, OUTSIDE)}
    for each in counted.functions:
        room = room_of(each.file)
        before = found[room]
        found[room] = Spent(
            before.instructions + each.instructions / counted.per,
            before.calls + each.calls / counted.per,
        )
    return found


def room_of(file: str) -> str:
    if not file.startswith(_GATEWAY):
        return OUTSIDE
    name = file.removeprefix(_GATEWAY)
    return next(room for room, names in ROOMS.items() if name.startswith(names))


def whole(rooms: Mapping[str, Spent]) -> Spent:
    return Spent(
        sum(each.instructions for each in rooms.values()),
        sum(each.calls for each in rooms.values()),
    )


def less(rooms: Mapping[str, Spent], *others: Mapping[str, Spent]) -> dict[str, Spent]:
    return {
        room: Spent(
            each.instructions - sum(other[room].instructions for other in others),
            each.calls - sum(other[room].calls for other in others),
        )
        for room, each in rooms.items()
    }


def instructions(stage: Stage, stack: ExitStack) -> Readings:
    counting, turns = Counting(stage, stack), range(min(ROUNDS, stage.effort.rounds))
    requests = [by_room(counting.request()) for _ in turns]
    call = by_room(uvloop.run(one_call_counted(stage.provider("fast").port)))
    rows: dict[str, Reading] = {}
    for what, rounds in (
        ("request", requests),
        ("escalating", [less(by_room(counting.climbing()), each, call) for each in requests]),
        ("event", [by_room(counting.event()) for _ in turns]),
    ):
        for at, unit in enumerate(Spent._fields):
            rows[f"{what}: {unit}"] = Reading(unit, [whole(each)[at] for each in rounds])
            for room in rounds[0]:
                told = Reading(unit, [each[room][at] for each in rounds])
                rows[f"  {what}, {unit}: {room}"] = told
    note = (
        f"Python {sys.version_info.major}.{sys.version_info.minor}. {REQUESTS} requests as in "
        f"`chat`; {STREAMS} streams of {EVENTS} events, {CALM_PACE_MS} ms apart, told for each "
        "event. Escalating: what it adds to a request, but for the second call to a provider. A "
        "coroutine that goes on is a call, too."
    )
    return Readings("Instructions of Python, and calls of functions written in it", rows, note)
