"""Expired holds are charged within seconds in however many homes, whoever made them and died."""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from textwrap import dedent
from typing import Final

import pytest
from redis import Redis
from redis.commands.core import Script

from gateway.core.accounts import Amounts, Hold, Purse
from gateway.core.catalog import Organisation, Tenant
from gateway.core.errors import LedgerDown
from gateway.core.events import Event, HoldsExpired
from gateway.core.money import Nanos
from gateway.drivers.ledger.memory_ledger import MemoryLedger
from gateway.drivers.ledger.plans import prefix
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.ledger.sweeper import EVERY_S, Sweeper
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.drivers.usage.open import homes_of
from tests.promises import Reached

pytest_plugins = ("tests.redis_server",)

TTL_S: Final = 600.0
ONE: Final = Amounts(Nanos(1))
WITHIN_S: Final = 5.0


class World(MemoryLedger):
    """A ledger whose clock is moved by the sweeper's rests; `down` and `broken` homes fail."""

    def __init__(self, homes: Iterable[str]) -> None:
        super().__init__(lambda: self.now, TTL_S, self.observe)
        self.now = 1_000_000.0
        self.asked: list[str] = []
        self.over: dict[str, float] = {}
        """When each home's holds were charged."""
        self.down = False
        self.broken: dict[str, Exception] = {}
        self.renewed: list[float] = []
        """When the places of its own requests were renewed."""
        self.sweeper = Sweeper(self, homes, TTL_S, lambda: self.now)

    def observe(self, event: Event) -> None:
        if isinstance(event, HoldsExpired):
            self.over[event.tenant] = self.now

    def renew_places(self) -> None:
        self.renewed.append(self.now)

    async def first_expiry(self, homes: Sequence[str]) -> list[float | None]:
        if self.down:
            raise LedgerDown("down")
        self.asked += homes
        found = await super().first_expiry(homes)
        return [0.0 if h in self.broken else at for h, at in zip(homes, found, strict=True)]

    async def sweep(self, homes: Iterable[str]) -> list[HoldsExpired]:
        (home,) = homes
        if home in self.broken:
            raise self.broken[home]
        return await super().sweep((home,))

    async def hold(self, home: str, hold_id: str = "h") -> float:
        """When it is over."""
        assert isinstance(await self.reserve(Purse(home, ()), hold_id, ONE), Hold)
        return self.now + TTL_S

    async def pass_by(self, seconds: float) -> None:
        for _ in range(int(seconds / EVERY_S)):
            await self.sweeper.round(self.rest)
            self.now += EVERY_S

    async def rest(self, seconds: float) -> None:
        self.now += seconds


def names(count: int) -> list[str]:
    return [f"home {number}" for number in range(count)]


@pytest.mark.parametrize("down", [False, True])
async def test_the_places_of_its_own_requests_are_renewed_in_time(down: bool) -> None:
    """Three times while they would live: twice may fail."""
    world = World(names(3))
    world.down, began = down, world.now

    async def rest(seconds: float) -> None:
        world.now += seconds
        if world.now > began + 2 * TTL_S:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await world.sweeper.run(rest)
    gaps = [late - early for early, late in pairwise([began, *world.renewed])]
    assert len(gaps) in {5, 6}
    assert max(gaps) < TTL_S / 3 + 2 * EVERY_S


async def test_each_expired_hold_is_charged_in_time_and_sleeping_homes_cost_little() -> None:
    homes = names(20_000)
    world = World(homes)
    ends: dict[str, float] = {}
    for second in range(1_300):
        if second in {0, 1, 200, 599, 600, 640}:
            for home in homes[second::1_009]:
                ends.setdefault(home, await world.hold(home))
        await world.pass_by(1)
    late = [world.over[home] - end for home, end in ends.items()]
    assert len(late) > 100
    assert 0 <= min(late) <= max(late) <= 2 * EVERY_S
    # At the start all of them; then of a sleeping one, once in 300 to 600 seconds.
    assert len(world.asked) < 20_000 * (1 + 1_300 / 300)


async def test_a_home_that_is_busy_is_asked_when_its_oldest_hold_is_over() -> None:
    world = World(["busy"])
    for second in range(1_200):
        await world.hold("busy", f"h{second}")
        await world.pass_by(1)
        assert len(world._books["busy"].open) <= TTL_S + 2
    assert world.over["busy"] == pytest.approx(world.now, abs=2)


async def test_after_an_outage_all_that_was_missed_is_made_up_for_at_once() -> None:
    homes = names(3_000)
    world = World(homes)
    await world.pass_by(1)
    for home in homes:
        await world.hold(home)
    world.down = True
    await world.pass_by(2 * TTL_S)
    assert not world.over
    world.down = False
    began = world.now
    await world.pass_by(2)
    assert world.over.keys() == {*homes}
    assert max(world.over.values()) <= began + 1


@pytest.mark.parametrize("error", [LedgerDown("wrongtype"), KeyError("x")])
async def test_what_is_wrong_with_some_holds_up_nobody(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    homes = names(1_000)
    world = World(homes)
    world.broken = dict.fromkeys(homes[::3], error)
    caplog.set_level(logging.ERROR)
    sound = [home for home in homes if home not in world.broken]
    ends = [await world.hold(home) for home in sound]
    await world.pass_by(TTL_S + WITHIN_S)
    assert {home for home in sound if world.over[home] <= ends[0] + WITHIN_S} == {*sound}
    told = [] if isinstance(error, LedgerDown) else ["the expired holds"]
    assert [record.getMessage()[:17] for record in caplog.records] == told
    await world.hold(homes[0])
    world.broken.clear()
    await world.pass_by(TTL_S + WITHIN_S)
    assert homes[0] in world.over, "mended, it is looked at as all others"


async def test_homes_may_be_added_and_none_is_forgotten() -> None:
    world = World(["a"])
    end = await world.hold("a")
    world.sweeper.reconfigure(["b"])
    await world.hold("b")
    await world.pass_by(TTL_S + WITHIN_S)
    assert world.over == {"a": pytest.approx(end, abs=2), "b": pytest.approx(end, abs=2)}
    assert world.asked.count("a") <= 4


def test_an_organisation_is_a_home() -> None:
    globex = Organisation("globex")
    tenants = [Tenant("a", organisation=globex), Tenant("b"), Tenant("c", organisation=globex)]
    assert [*homes_of(tenants)] == ["globex", "b"]


async def test_a_cluster_says_of_homes_in_all_slots_when_a_hold_is_over(cluster_redis: str) -> None:
    homes = names(300)
    ledger = RedisLedger("redis+cluster://" + await _port_of(cluster_redis), timeout_s=10)
    for home in homes[::2]:
        await ledger.reserve(Purse(home, ()), "h", ONE)
    found = await ledger.first_expiry(homes)
    assert [at is not None and TTL_S - 60 < at <= TTL_S for at in found] == [True, False] * 150
    await ledger.aclose()


DYING: Final = dedent("""
    import asyncio, sys
    from gateway.core.accounts import Amounts, Purse
    from gateway.core.money import Nanos
    from gateway.drivers.ledger.redis_ledger import RedisLedger

    async def main() -> None:
        url, ttl, homes = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
        ledger = RedisLedger(url, ttl_s=ttl, timeout_s=60)
        for at in range(0, len(homes), 100):
            some = homes[at : at + 100]
            await asyncio.gather(
                *(ledger.reserve(Purse(home, ()), "h", Amounts(Nanos(1))) for home in some)
            )
        print("held", flush=True)
        await asyncio.sleep(600)

    asyncio.run(main())
""")


FIRST: Final = """
local first = 0
for _, key in ipairs(KEYS) do
  local over = tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or 0)
  if over > 0 and (first == 0 or over < first) then first = over end
end
local now = redis.call('TIME')
return string.format('%.0f %.0f', first, now[1] * 1000 + now[2] / 1000)
"""
"""When the first open hold of all these homes is over, 0 where none is open, and now (Unix ms)."""


class Watch:
    """Counts the sweeper's rounds, and in how many a hold is seen open that is over."""

    def __init__(self) -> None:
        self.rounds = 0
        self.late_rounds = 0
        self.late_s = 0.0

    async def rest(self, seconds: float) -> None:
        self.rounds += seconds == EVERY_S
        await asyncio.sleep(seconds)

    async def all_charged(self, first: Script, keys: list[str]) -> None:
        """Until no hold is open."""
        seen: dict[float, int] = {}
        while True:
            over, now = map(float, first(keys=keys).split())
            if over == 0:
                return
            if now > over:
                self.late_s = max(self.late_s, (now - over) / 1_000)
                rounds = self.rounds - seen.setdefault(over, self.rounds)
                self.late_rounds = max(self.late_rounds, rounds)
                assert self.late_rounds * EVERY_S <= WITHIN_S, "a hold is left"
            await asyncio.sleep(0.1)


async def test_another_gateway_charges_what_a_killed_one_held_in_thousands_of_homes(
    own_redis: EmbeddedRedis, reached: Reached
) -> None:
    ttl_s, homes = 6.0, names(10_000)
    held = homes[::4]
    events: list[Event] = []
    ledger = RedisLedger(own_redis.url, ttl_s=ttl_s, timeout_s=60, observe=events.append)
    watch = Watch()
    sweeping = asyncio.create_task(Sweeper(ledger, homes, ttl_s, time.monotonic).run(watch.rest))
    dying = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DYING, own_redis.url, str(ttl_s), *held,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert dying.stdout is not None
    assert await dying.stdout.readline() == b"held\n"
    dying.send_signal(signal.SIGKILL)
    assert await dying.wait() == -signal.SIGKILL
    with Redis(unix_socket_path=own_redis.url.removeprefix("unix://")) as server:
        keys = [f"{prefix(home)}holds" for home in held]
        await watch.all_charged(server.register_script(FIRST), keys)
    last = watch.rounds + 2
    while watch.rounds < last:  # what Redis has done, the sweeper has heard of
        await asyncio.sleep(0.05)
    sweeping.cancel()
    await asyncio.wait([sweeping])
    await ledger.aclose()
    charged = [event for event in events if isinstance(event, HoldsExpired)]
    assert sorted(event.tenant for event in charged) == sorted(held)
    assert sum(event.holds for event in charged) == len(held)
    told = f"{watch.late_s:.1f} s after their expiry, {watch.late_rounds} rounds of the sweeper"
    reached("money", "holds of a killed gateway, 2,500 of 10,000 homes", told, "5 s")


async def _port_of(url: str) -> str:
    with Redis(unix_socket_path=url.removeprefix("unix://")) as server:
        return f"127.0.0.1:{server.config_get('port')['port']}"
