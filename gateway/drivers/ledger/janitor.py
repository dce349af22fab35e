"""Reads for metrics where budgets stand. What expires is charged by the sweeper.

All are looked at every two seconds, up to `MOST`. Of more, those whose tenants sent something
since they were last looked at come first, in half of a round, and the others in turn, `MOST` in
each round: so 100,000 that sleep cost no more than 200.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from msgspec import Struct

from gateway.core.accounts import Account, Purse
from gateway.core.catalog import Organisation, Tenant
from gateway.core.errors import LedgerDown
from gateway.core.events import BudgetRead, Event, HoldsRead, Reserved, RetriesRead
from gateway.core.observers import Hears
from gateway.core.ports import LedgerDriver, Observer

EVERY_S: Final = 2.0
MOST: Final = 200
"""So many are looked at in a round: some 60 ms of work."""
_FEW: Final = 50
"""So many are looked at before each scrape as well, so that what it shows is of this moment."""
_TOGETHER: Final = 50
"""So many tenants of an organisation are read with one operation."""

_log: Final = logging.getLogger("gateway")


class Place(Struct, frozen=True):
    """What is looked at together: accounts of one home. `first` of that home: its holds, too."""

    home: str
    purse: Purse
    first: bool


class Awake:
    """Homes whose money moved: an observer, needed only where there are too many for one round."""

    def __init__(self) -> None:
        self.homes: dict[str, None] = {}
        self.hears: Hears = {Reserved: self.observe}

    def observe(self, event: Event) -> None:
        if type(event) is Reserved:
            self.homes[event.about.organisation or event.about.tenant] = None


class Janitor:
    """Whatever is wrong in a round, the next one comes: a ledger that is down, or one home whose
    data it cannot read. That is logged once, until a round is sound again.
    """

    def __init__(
        self,
        ledger: LedgerDriver,
        tenants: Sequence[Tenant],
        observe: Observer,
        awake: Awake | None = None,
        retries: Callable[[], int] | None = None,
        *,
        most: int = MOST,
    ) -> None:
        """`retries` says how many this process could afford."""
        self._ledger = ledger
        self._observe = observe
        self._most = most
        self._awake = awake or Awake()
        self._retries = retries
        self._told: set[str] = set()
        self.reconfigure(tenants)

    def reconfigure(self, tenants: Sequence[Tenant]) -> None:
        """From now on there are only these."""
        self._places = list(_places(tenants))
        self._turn = 0
        self._of: dict[str, list[Place]] = {}
        for place in self._places:
            self._of.setdefault(place.home, []).append(place)

    async def keep_house(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Run until cancelled."""
        while True:
            await self.round()
            await sleep(EVERY_S)

    async def before_a_scrape(self) -> None:
        if len(self._places) <= _FEW:
            await self.round()

    async def round(self) -> None:
        if self._retries is not None:
            self._observe(RetriesRead(self._retries()))
        sound = True
        for place in self._chosen():
            try:
                await self._look(place)
            except LedgerDown:
                return
            except Exception as error:  # noqa: BLE001 - one home's trouble is not the others'
                sound = False
                kind = type(error).__name__
                if kind not in self._told:
                    self._told.add(kind)
                    _log.exception("the budgets of %s cannot be read", place.home)
        if sound:
            self._told.clear()

    def _chosen(self) -> list[Place]:
        if len(self._places) <= self._most:
            return self._places
        chosen: dict[Place, None] = {}
        # Half of the round at most, so that all others have their turn.
        awake = self._awake.homes
        for home in list(islice(awake, self._most // 2)):
            if len(chosen) >= self._most // 2:
                break
            del awake[home]
            chosen.update(dict.fromkeys(self._of.get(home, ())[: self._most // 2]))
        while len(chosen) < self._most:
            chosen[self._places[self._turn]] = None
            self._turn = (self._turn + 1) % len(self._places)
        return list(chosen)

    async def _look(self, place: Place) -> None:
        if place.first:
            self._observe(HoldsRead(place.home, await self._ledger.open_holds(place.home)))
        for each in await self._ledger.balances(place.purse):
            self._observe(BudgetRead(each.account, each.budget, each.spent, each.held))


def _places(tenants: Sequence[Tenant]) -> Iterator[Place]:
    alone = [tenant for tenant in tenants if tenant.organisation is None]
    for tenant in alone:
        yield Place(tenant.name, Purse(tenant.name, (_account(tenant),)), first=True)
    shared: dict[str, tuple[Organisation, list[Tenant]]] = {}
    for tenant in tenants:
        if tenant.organisation is not None:
            shared.setdefault(tenant.organisation.name, (tenant.organisation, []))[1].append(tenant)
    for name, (organisation, members) in shared.items():
        own = Account("organisation", name, organisation.budgets, "", organisation.timezone)
        yield Place(name, Purse(name, (own,), name), first=True)
        for at in range(0, len(members), _TOGETHER):
            some = tuple(map(_account, members[at : at + _TOGETHER]))
            yield Place(name, Purse(name, some, name), first=False)


def _account(tenant: Tenant) -> Account:
    return Account("tenant", tenant.name, tenant.budgets, tenant.name, tenant.timezone)
