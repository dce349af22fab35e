"""Deadlines strike late by a tick at most, never early, and only when they have not moved."""

import asyncio
import time
from dataclasses import dataclass, field

import pytest

from gateway.drivers.upstream.deadline_wheel import NEVER, TICK_S, DeadlineWheel
from tests.in_time import in_time

SLACK_S = 0.05


@dataclass(eq=False)
class Thing:
    deadline: float
    due: float = NEVER
    struck: list[float] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def deadline_passed(self, now: float) -> None:
        self.struck.append(time.monotonic())
        self.done.set()

    async def strikes_in_time(self, began: float) -> None:
        await in_time(max(self.deadline - began, 0) + TICK_S + SLACK_S, self.done.wait())


async def test_each_strikes_once_in_time() -> None:
    wheel, began = DeadlineWheel(), time.monotonic()
    things = [Thing(began + delay) for delay in (0.2, 0.01, 0.1, -5.0, 0.06, 0.2)]
    for thing in things:
        wheel.watch(thing)
    await asyncio.gather(*(thing.strikes_in_time(began) for thing in things))
    await asyncio.sleep(2 * TICK_S)
    for thing in things:
        (at,) = thing.struck
        assert at >= max(thing.deadline, began)


@pytest.mark.parametrize(("first", "then"), [(0.05, 0.25), (0.25, 0.05), (30.0, 0.1)])
async def test_a_deadline_that_moves(first: float, then: float) -> None:
    wheel, began = DeadlineWheel(), time.monotonic()
    thing = Thing(began + first)
    wheel.watch(thing)
    thing.deadline = began + then
    wheel.watch(thing)
    await thing.strikes_in_time(began)
    assert len(thing.struck) == 1
    assert thing.struck[0] - began >= then


async def test_one_that_is_forgotten() -> None:
    wheel = DeadlineWheel()
    gone, stays = Thing(time.monotonic() + 0.05), Thing(time.monotonic() + 0.05)
    wheel.watch(gone)
    wheel.watch(stays)
    wheel.forget(gone)
    wheel.forget(gone)
    await asyncio.wait_for(stays.done.wait(), 30)
    await asyncio.sleep(TICK_S)
    assert gone.struck == []
    wheel.watch(gone)
    await asyncio.wait_for(gone.done.wait(), 30)


async def test_many_calls_of_one_thing_leave_nothing_behind() -> None:
    wheel = DeadlineWheel()
    thing = Thing(0)
    for number in range(10_000):
        thing.deadline = time.monotonic() + (60 if number % 2 else 0.5)
        wheel.watch(thing)
    assert sum(map(len, wheel._slots.values())) == 1
    assert len(wheel._slots) < 100
    wheel.close()
    await asyncio.sleep(0.6)
    assert thing.struck == []
