"""Accounts: who pays for a call, out of which budgets, and what is set aside or spent.

Every budget is one mechanism: add up to a maximum, atomically, or refuse. What is added is told
by its meter: nano-dollars, tokens, requests, or requests at once.
"""

from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct

from gateway.core.catalog import Budget
from gateway.core.money import Nanos

Scope = Literal["organisation", "tenant", "user", "key", "tag", "model", "provider"]
_BITS: Final = 53
"""Of an amount; one that is negative has more."""
LARGEST: Final = 2**_BITS - 1
"""The most that one amount may be, and one cap: a number in Redis' Lua is exact up to it."""
EACH: Final = "*"
"""In `Purse.per_call`: the budget is for each model, or each provider, by itself."""


class Amounts(Struct, frozen=True, gc=False):
    """What one call takes of each meter. A request is counted with its first call only."""

    nanos: Nanos
    tokens: int = 0
    requests: int = 0


def checked(amounts: Amounts) -> Amounts:
    """The same, where the ledger can count it. Raises ValueError for what is negative, 2^53 or
    more, or not a whole number at all.
    """
    try:
        if not (amounts.nanos | amounts.tokens | amounts.requests) >> _BITS:
            return amounts
    except TypeError:
        pass
    raise ValueError(f"not an amount that can be held: {amounts}")


def bounded(amounts: Amounts) -> Amounts:
    """What is charged for an amount: the nearest that the ledger can count. Raises ValueError for
    what is not a whole number.
    """
    try:
        if not (amounts.nanos | amounts.tokens | amounts.requests) >> _BITS:
            return amounts
    except TypeError:
        raise ValueError(f"not an amount that can be charged: {amounts}") from None
    nanos, tokens, requests = amounts.nanos, amounts.tokens, amounts.requests
    return Amounts(Nanos(_within(nanos)), _within(tokens), _within(requests))


def _within(amount: int) -> int:
    return min(max(amount, 0), LARGEST)


class Account(Struct, frozen=True, cache_hash=True):
    """A holder of budgets. `name` is unique in its scope and `owner`: the tenant whose account it
    is, or "" for one of the organisation's own. Calendar periods follow `timezone` (IANA).
    """

    scope: Scope
    name: str
    budgets: tuple[Budget, ...]
    owner: str = ""
    timezone: str = "UTC"


class Purse(Struct, frozen=True, cache_hash=True):
    """All the accounts that a request spends from, at once.

    `per_call` are accounts of a model or provider: only the calls that go there spend from them.
    """

    tenant: str
    accounts: tuple[Account, ...]
    organisation: str = ""
    per_call: tuple[Account, ...] = ()

    @property
    def home(self) -> str:
        """Whose ledger it is in: what shares a home is counted in one atomic step."""
        return self.organisation or self.tenant

    def of_call(self, model: str, provider: str) -> "Purse":
        """The accounts that a call to this model at this provider spends from."""
        return _of_call(self, model, provider) if self.per_call else self


def has_places(purse: Purse) -> bool:
    """Whether any of its calls may take a place among requests at once."""
    accounts = (*purse.accounts, *purse.per_call)
    return any(budget.meter == "at_once" for each in accounts for budget in each.budgets)


@lru_cache(maxsize=4096)
def _of_call(purse: Purse, model: str, provider: str) -> Purse:
    accounts = list(purse.accounts)
    for account in purse.per_call:
        name = model if account.scope == "model" else provider
        if account.name in {name, EACH}:
            accounts.append(
                Account(account.scope, name, account.budgets, account.owner, account.timezone)
            )
    return Purse(purse.tenant, tuple(accounts), purse.organisation)


class Warned(Struct, frozen=True):
    """A budget that a hold brought to a share of its cap, in percent: 80 or 100.

    `first` for the hold that did so, once in a period over all replicas: of a rolling budget once
    in its length, of one of requests at once once in an hour. A budget in shadow mode that would
    have refused is told as 100, `first` each time.
    """

    account: Account
    budget: Budget
    percent: Literal[80, 100]
    first: bool
    spent: int
    """And held: with this hold, in the meter's unit."""
    resets_at: float | None
    """The end of its period, in Unix seconds; None where it has none, or rolls."""


class Hold(Struct, frozen=True, gc=False):
    """What is set aside for one call that is not settled yet. `left` is what the tightest hard
    budget of money has left beside it; None where there is none. Values only, so no cycles.
    """

    id: str
    purse: Purse
    amounts: Amounts
    left: Nanos | None = None
    warned: tuple[Warned, ...] = ()


class Refusal(Struct, frozen=True):
    """Why a hold was refused: the budget that would have been passed, and what it has left, in
    its meter's unit. Of several the first in the purse is named, those of requests at once last.

    `resets_at` is when it has room again at the latest, in Unix seconds: the end of its period, or
    when enough has left a rolling window. None for a budget in total, or of requests at once.
    """

    account: Account
    budget: Budget
    left: int
    resets_at: float | None = None
    now: float = 0.0
    """Unix seconds by the ledger's clock."""
    first: bool = False
    """Whether this brought the budget to its cap, for the first time in the period; see Warned."""
    wanted: int = 0
    """What was to be held of it."""

    @property
    def too_large(self) -> bool:
        """What was wanted is more than the whole cap: no wait makes room for it."""
        return self.wanted > self.budget.cap

    @property
    def for_good(self) -> bool:
        """Waiting does not help: it is too large, or the budget has no period that ends."""
        in_total = self.budget.per == "total" and self.budget.meter != "at_once"
        return in_total or self.too_large


class Balance(Struct, frozen=True):
    """One budget in its current period, in its meter's unit. Requests at once are all `held`."""

    account: Account
    budget: Budget
    spent: int
    held: int
