"""What nobody's request does: charge expired holds, and read where budgets stand for metrics."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from gateway.core.accounts import Account, Purse
from gateway.core.catalog import Tenant
from gateway.core.errors import LedgerDown
from gateway.core.events import BudgetRead, HoldsRead
from gateway.core.money import Nanos
from gateway.core.ports import LedgerDriver, Observer

EVERY_S: Final = 2.0
_FEW: Final = 50
"""So many tenants are read at each scrape as well, so that what it shows is of this moment."""


class Janitor:
    """While the ledger is down there is nothing to be done, and nothing is raised."""

    def __init__(self, ledger: LedgerDriver, tenants: Sequence[Tenant], observe: Observer) -> None:
        self._ledger = ledger
        self._tenants = tenants
        self._observe = observe

    async def keep_house(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Run until cancelled."""
        while True:
            await self.round()
            await sleep(EVERY_S)

    async def before_a_scrape(self) -> None:
        if len(self._tenants) <= _FEW:
            await self.round()

    async def round(self) -> None:
        try:
            for tenant in self._tenants:
                await self._tidy(tenant)
        except LedgerDown:
            return

    async def _tidy(self, tenant: Tenant) -> None:
        await self._ledger.sweep((tenant.name,))
        self._observe(HoldsRead(tenant.name, await self._ledger.open_holds(tenant.name)))
        account = Account("tenant", tenant.name, tenant.budgets, tenant.name, tenant.timezone)
        purse = Purse(tenant.name, (account,))
        for balance in await self._ledger.balances(purse):
            budget = balance.budget
            self._observe(
                BudgetRead(
                    tenant.name,
                    budget.per,
                    Nanos(budget.cap),
                    Nanos(balance.spent),
                    Nanos(balance.held),
                )
            )
