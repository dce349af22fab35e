"""The running sums of one life."""

from typing import Final

from msgspec import Struct

from gateway.core.accounts import Warned
from gateway.core.chat import Usage
from gateway.core.records.record import UsageRecord

_NOTHING_YET: Final = Usage()


class Tab(Struct):
    """The sums of one life. Amounts are nano-dollars, times are seconds."""

    attempts: list[UsageRecord] = []
    """The calls that were made, what became of each, and what it cost."""
    usage: Usage = _NOTHING_YET
    """Of the answer that is given."""
    budget_left: int | None = None
    """What its tightest budget has left."""
    escalations: int = 0
    upstream_s: float = 0.0
    first_token_s: float | None = None
    """How long after the life began an answer began to flow."""
    client_gone: bool = False
    """Whether the client has left: what is still read is read only for its usage."""
    verdict_missing: bool = False
    """Whether an answer passed without the verdict of an external check."""
    signals: tuple[int, ...] = ()
    """Of the request, for its first record; see core/learned/signals.py."""
    warned: tuple[Warned, ...] = ()
    """Soft budgets that stand at 80 or 100 percent."""
    max_cost: int | None = None
    """What all calls together may cost; None where nothing limits it."""
    spent: int = 0
    """On all attempts."""
    held: int = 0
    """Set aside for those that are under way, where `max_cost` bounds that."""
    request_count: int = 1
    """How many requests the next call counts as: one, until the first call is held; then none."""

    def hold(self, nanos: int) -> bool:
        """Whether there is room for a call that may cost so much; if so, that is held for it."""
        if self.max_cost is not None:
            if self.spent + self.held + nanos > self.max_cost:
                return False
            self.held += nanos
        return True

    def release(self, nanos: int) -> None:
        """What was held for a call that is over, or was not made."""
        if self.max_cost is not None:
            self.held -= nanos
