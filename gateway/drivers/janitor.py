"""What nobody's request does: charge expired holds, and read where budgets stand for metrics."""

from collections.abc import Awaitable, Callable, Sequence

from gateway.core.catalog import Tenant
from gateway.core.errors import LedgerDown
from gateway.core.events import BudgetRead, HoldsRead
from gateway.core.ports import Account, LedgerDriver, Observer, Purse


async def keep_house(
    ledger: LedgerDriver,
    tenants: Sequence[Tenant],
    observe: Observer,
    sleep: Callable[[float], Awaitable[None]],
    every_s: float = 2.0,
) -> None:
    """Run until cancelled. While the ledger is down there is nothing to be done."""
    while True:
        for tenant in tenants:
            try:
                await tidy(ledger, tenant, observe)
            except LedgerDown:
                break
        await sleep(every_s)


async def tidy(ledger: LedgerDriver, tenant: Tenant, observe: Observer) -> None:
    """One tenant's round. Raises LedgerDown."""
    await ledger.sweep((tenant.name,))
    observe(HoldsRead(tenant.name, await ledger.open_holds(tenant.name)))
    account = Account("tenant", tenant.name, tenant.budgets)
    purse = Purse(tenant.name, tenant.timezone, (account,))
    for balance in await ledger.balances(purse):
        budget = balance.budget
        observe(BudgetRead(tenant.name, budget.per, budget.cap, balance.spent, balance.held))
