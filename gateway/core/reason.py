"""The way of one life, in the words of the header `x-gateway-reason`."""

from msgspec import Struct

from gateway.core.plan import Candidate
from gateway.core.strategies.course import BUDGET
from gateway.core.strategy import Because


class Trail(Struct):
    """Why it began where it did, and why each call after the first was made: "auto-1 regex"."""

    words: list[str] = []
    _because: Because | None = None

    def note(self, word: str) -> None:
        self.words.append(word)

    def because(self, because: Because) -> None:
        """Once, however many calls are made for it. Who was short of money is told by `short`."""
        if because.after is None or because is self._because:
            return
        self._because = because
        if because.why != BUDGET:
            self.words.append(f"{because.after.model.name} {because.why}")

    def short(self, candidate: Candidate) -> None:
        """It could not be asked for want of money, and another might."""
        word = f"{candidate.model.name} {BUDGET}"
        if self.words[-1:] != [word]:
            self.words.append(word)

    def after(self, why: str) -> str:
        return "; ".join((why, *self.words)) if self.words else why
