"""What the calls of one life have come to so far."""

from typing import Final

from msgspec import Struct

from gateway.core.accounts import Warned
from gateway.core.chat import Completion, Usage
from gateway.core.usage_record import UsageRecord

_NOTHING_YET: Final = Usage()


class Tab(Struct):
    """What one life's calls have come to so far. Amounts are nano-dollars."""

    attempts: list[UsageRecord] = []
    """The calls that were made, what became of each, and what it cost."""
    usage: Usage = _NOTHING_YET
    """Of the answer that is given."""
    answer: Completion | None = None
    """That answer, unless it flows."""
    left: int | None = None
    """What its tightest budget has left."""
    escalations: int = 0
    upstream_s: float = 0.0
    first_token_s: float | None = None
    """When an answer began to flow, since the life began."""
    text: int = 0
    """How many tokens we count in a prompt that is all text; 0 where it is not."""
    gone: bool = False
    """The client is: what is still read is read for its usage only."""
    signals: tuple[int, ...] = ()
    warned: list[Warned] = []
    """Soft budgets that stand at 80 or 100 percent."""
    most: int | None = None
    """What all calls together may cost; None where nothing says."""
    spent: int = 0
    """On all attempts."""
    held: int = 0
    """Set aside for those that are under way."""
    counts: int = 1
    """As how many requests the next call counts: as one, until the first of them is held."""

    def has_room(self, nanos: int) -> bool:
        """For a call that may cost so much."""
        return self.most is None or self.spent + self.held + nanos <= self.most
