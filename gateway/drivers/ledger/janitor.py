"""Reads the state of budgets for metrics. Expired holds are charged by the sweeper.

All groups of budgets are read every two seconds, up to MAX_GROUPS. Of more, half of a round are
those of tenants that sent something since they were last read, and the rest are the others in turn:
so 100,000 idle ones cost no more than 200.
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
from gateway.core.observers import Handlers
from gateway.core.ports import LedgerDriver, Observer
from gateway.drivers.ledger.homes import DataLost

EVERY_S: Final = 2.0
MAX_GROUPS: Final = 200
"""The most groups read in a round: some 60 ms of work."""
_FEW: Final = 50
"""Up to so many groups are also read before each scrape, so that its values are current."""
_TENANTS_AT_ONCE: Final = 50
"""Tenants of an organisation that are read with one operation."""

_log: Final = logging.getLogger("gateway")


class BudgetGroup(Struct, frozen=True):
    """Accounts of one home that are read together. `first`: the open holds are read as well."""

    home: str
    purse: Purse
    first: bool


class ActiveHomes:
    """An observer: homes with new holds. Needed only with too many groups for one round."""

    def __init__(self) -> None:
        self.homes: dict[str, None] = {}
        self.handlers: Handlers = {Reserved: self.observe}

    def observe(self, event: Event) -> None:
        if type(event) is Reserved:
            self.homes[event.about.organisation or event.about.tenant] = None


class Janitor:
    """Errors do not stop it: neither an unreachable ledger nor a home with unreadable data. The
    latter is logged once, until a round has no errors.
    """

    def __init__(
        self,
        ledger: LedgerDriver,
        tenants: Sequence[Tenant],
        observe: Observer,
        active: ActiveHomes | None = None,
        retries: Callable[[], int] | None = None,
        *,
        show_circuits: Callable[[], None] = lambda: None,
        max_groups: int = MAX_GROUPS,
    ) -> None:
        """`retries` gives how many retries this process has left in its budget; `show_circuits`
        tells of circuits that time alone has moved.
        """
        self._ledger = ledger
        self._observe = observe
        self._max_groups = max_groups
        self._active = active or ActiveHomes()
        self._retries = retries
        self._show_circuits = show_circuits
        self._logged: set[str] = set()
        self.reconfigure(tenants)

    def reconfigure(self, tenants: Sequence[Tenant]) -> None:
        """Read only these from now on."""
        self._groups = list(_make_groups(tenants))
        self._next_index = 0
        self._by_home: dict[str, list[BudgetGroup]] = {}
        for group in self._groups:
            self._by_home.setdefault(group.home, []).append(group)

    async def run(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Run until cancelled."""
        while True:
            await self.round()
            await sleep(EVERY_S)

    async def before_scrape(self) -> None:
        if len(self._groups) <= _FEW:
            await self.round()

    async def round(self) -> None:
        if self._retries is not None:
            self._observe(RetriesRead(self._retries()))
        self._show_circuits()
        healthy, answers, current = True, False, self._groups
        for group in [*self._groups_to_read()]:
            try:
                await self._read_group(group, current)
                answers = True
            except LedgerDown as error:
                if answers or isinstance(error.__cause__, DataLost):
                    continue  # the others are as they were, in a cluster maybe on another node
                if group in current:  # another one is asked first in the next round
                    current.append(current.pop(current.index(group)))
                return
            except Exception as error:  # noqa: BLE001 - one home's trouble is not the others'
                healthy = False
                kind = type(error).__name__
                if kind not in self._logged:
                    self._logged.add(kind)
                    _log.exception("the budgets of %s cannot be read", group.home)
        if healthy:
            self._logged.clear()

    def _groups_to_read(self) -> list[BudgetGroup]:
        if len(self._groups) <= self._max_groups:
            return self._groups
        groups: dict[BudgetGroup, None] = {}
        # At most half of the round, so that all others have their turn.
        active = self._active.homes
        for home in list(islice(active, self._max_groups // 2)):
            if len(groups) >= self._max_groups // 2:
                break
            del active[home]
            groups.update(dict.fromkeys(self._by_home.get(home, ())[: self._max_groups // 2]))
        while len(groups) < self._max_groups:
            groups[self._groups[self._next_index]] = None
            self._next_index = (self._next_index + 1) % len(self._groups)
        return list(groups)

    async def _read_group(self, group: BudgetGroup, current: Sequence[BudgetGroup]) -> None:
        """Nothing is told once `current` are not the groups any more: the gauges of budgets that a
        reload took away would stay as they were.
        """
        if group.first:
            holds = await self._ledger.open_holds(group.home)
            if current is self._groups:
                self._observe(HoldsRead(group.home, holds))
        balances = await self._ledger.balances(group.purse)
        for each in balances if current is self._groups else ():
            self._observe(BudgetRead(each.account, each.budget, each.spent, each.held))


def _make_groups(tenants: Sequence[Tenant]) -> Iterator[BudgetGroup]:
    alone = [tenant for tenant in tenants if tenant.organisation is None]
    for tenant in alone:
        yield BudgetGroup(tenant.name, Purse(tenant.name, (_account(tenant),)), first=True)
    shared: dict[str, tuple[Organisation, list[Tenant]]] = {}
    for tenant in tenants:
        if tenant.organisation is not None:
            shared.setdefault(tenant.organisation.name, (tenant.organisation, []))[1].append(tenant)
    for name, (organisation, members) in shared.items():
        own = Account("organisation", name, organisation.budgets, "", organisation.timezone)
        yield BudgetGroup(name, Purse(name, (own,), name), first=True)
        for at in range(0, len(members), _TENANTS_AT_ONCE):
            accounts = tuple(map(_account, members[at : at + _TENANTS_AT_ONCE]))
            yield BudgetGroup(name, Purse(name, accounts, name), first=False)


def _account(tenant: Tenant) -> Account:
    return Account("tenant", tenant.name, tenant.budgets, tenant.name, tenant.timezone)
