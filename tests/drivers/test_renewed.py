"""Values that run out: who fetches, who waits, and what a failure costs."""

import asyncio
import math
from dataclasses import dataclass, field

import pytest

from gateway.core.errors import Misconfigured
from gateway.drivers.upstream.renewed import Issued, Renewed

LIFE_S = 3600.0


@dataclass
class Source:
    """Gives out 1, 2, 3...; one that is shut lets nobody through until it is opened."""

    now: float = 1_000_000.0
    life_s: float = LIFE_S
    look_again_s: float = math.inf
    fails: str = ""
    count: int = 0
    at_once: int = 0
    most: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()
        self.renewed = Renewed(self.fetch, lambda: self.now)

    async def fetch(self) -> Issued[int]:
        self.count += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await self.open.wait()
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.fails:
            raise Misconfigured(self.fails)
        return Issued(self.count, self.now + self.life_s, self.look_again_s)

    async def get(self) -> int:
        return await self.renewed.get(5)

    async def settle(self) -> None:
        """Until nothing is fetched any more."""
        for _ in range(5):
            await asyncio.sleep(0)


async def test_many_wait_for_one_fetch() -> None:
    source = Source()
    assert await asyncio.gather(*(source.get() for _ in range(20))) == [1] * 20
    assert (source.count, source.most) == (1, 1)


@pytest.mark.parametrize(
    ("life_s", "passed_s", "values", "fetched"),
    [
        (3600, 3299, [1, 1], 1),
        (3600, 3301, [1, 2], 2),  # renewed five minutes ahead, behind a call that need not wait
        (3600, 3591, [2, 2], 2),  # the last seconds are not used: the call waits
        (3600, 9999, [2, 2], 2),
        (400, 299, [1, 1], 1),  # a short life is renewed in its last quarter
        (400, 301, [1, 2], 2),
        (math.inf, 1e9, [1, 1], 1),
    ],
)
async def test_when_it_is_renewed(
    life_s: float, passed_s: float, values: list[int], fetched: int
) -> None:
    source = Source(life_s=life_s)
    await source.get()
    source.now += passed_s
    found = []
    for _ in range(2):
        found.append(await source.get())
        await source.settle()
    assert (found, source.count) == (values, fetched)


async def test_a_source_that_does_not_say_when_it_ends_is_looked_at_again() -> None:
    source = Source(life_s=math.inf, look_again_s=60)
    await source.get()
    source.now += 61
    assert await source.get() == 1
    await source.settle()
    assert await source.get() == 2


async def test_a_failure_is_told_and_not_repeated_at_once() -> None:
    source = Source(fails="no")
    for _ in range(3):
        with pytest.raises(Misconfigured, match="no"):
            await source.get()
    assert source.count == 1
    source.now += 6
    source.fails = ""
    assert await source.get() == 2


async def test_a_renewal_that_fails_behind_the_calls_costs_nothing_while_the_value_is_good() -> (
    None
):
    source = Source()
    await source.get()
    source.now += 3400
    source.fails = "no"
    for _ in range(3):
        assert await source.get() == 1
        await source.settle()
    assert source.count == 2
    source.now += 195
    with pytest.raises(Misconfigured, match="no"):
        await source.get()


async def test_what_has_expired_when_it_comes_is_not_used() -> None:
    source = Source(life_s=5)
    with pytest.raises(Misconfigured, match="have expired"):
        await source.get()


async def test_refusals_fetch_anew_once_and_rarely() -> None:
    source = Source()
    found = []
    for passed_s in (0, 0, 29, 31):
        source.now += passed_s
        found.append(await source.get())
        source.renewed.refused()
    assert found == [1, 2, 2, 2]
    assert await source.get() == 3


async def test_a_refused_value_is_used_on_when_there_is_no_other() -> None:
    """Most refusals are of a model: they must not take the credentials from all others."""
    source = Source()
    await source.get()
    source.renewed.refused()
    source.fails = "no"
    assert await source.get() == 1


async def test_who_leaves_takes_nothing_from_who_waits() -> None:
    source = Source()
    source.open.clear()
    first, second = asyncio.create_task(source.get()), asyncio.create_task(source.get())
    await source.settle()
    first.cancel()
    await source.settle()
    source.open.set()
    assert await second == 1
    assert source.count == 1


async def test_the_wait_is_bounded() -> None:
    source = Source()
    source.open.clear()
    with pytest.raises(Misconfigured, match="did not come in time"):
        await source.renewed.get(0.01)
    await source.renewed.aclose()
    assert source.count == 1
