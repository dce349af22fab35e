"""Whether cheap answers are as good as the smart model's: measured, and acted on.

A share of the answers that a vote or a cheap rung gave is also asked of the smart tier. Where too
few mean the same, the smart tier answers instead, and a share of its requests is also put to the
cheap ones, to see whether they have become better. It begins the same way, with the smart tier
answering: the first dozen requests cost the same in either order. Both are billed as audit.

A state is of one route and one bucket of requests. It is plain numbers that only grow by
observations, so that any store can hold it.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Final, Literal, Protocol

from msgspec import Struct, structs

from gateway.core.features import Features
from gateway.core.money import Nanos
from gateway.core.trials import GuardSettings

__all__ = [
    "BUCKETS", "DEFAULT_SETTINGS", "Growth", "Guard", "GuardDecision", "GuardSettings",
    "GuardStore", "State", "bucket", "lower_bound",
]  # fmt: skip

_LONG: Final = 2_000
"""Tokens: a prompt above it is another kind of request."""
_Z: Final = 1.645
"""The bound is wrong in at most one case of twenty."""

_FEWEST: Final = 10
"""Comparisons."""

BUCKETS: Final = ("json", "json-long", "text", "text-long", "tools", "tools-long")
"""All that `bucket` can say."""

State = Literal["learning", "on", "off"]
GuardDecision = Literal["cheap", "audited", "smart", "probed"]
"""The cheap ones answer, or they do and the smart one is asked too; the smart one answers, or it
does and the cheap ones are asked too."""


DEFAULT_SETTINGS: Final = GuardSettings()


class Guard(Struct, frozen=True):
    """What was seen of one bucket: comparisons, and how many of them meant the same."""

    seen: float = 0.0
    agreed: float = 0.0
    tried: int = 0
    """How often both were asked."""
    spent: int = 0
    """Nano-dollars, audits among them."""
    audit: int = 0
    """Nano-dollars of audits."""

    @property
    def rate(self) -> float:
        """Of the comparisons, how many meant the same; 1.0 before the first."""
        return self.agreed / self.seen if self.seen else 1.0

    @property
    def bound(self) -> float:
        """What that rate is at least, with 95 % confidence: Wilson's lower bound."""
        return lower_bound(self.agreed, self.seen)

    def observe(self, agreed: bool, settings: GuardSettings = DEFAULT_SETTINGS) -> "Guard":
        """One more comparison; both counts fade once there are as many as are remembered."""
        fade = min(1.0, settings.memory / (self.seen + 1.0))
        seen, same = (self.seen + 1.0) * fade, (self.agreed + agreed) * fade
        return structs.replace(self, seen=seen, agreed=same, tried=self.tried + 1)

    def missed(self) -> "Guard":
        """The others were asked too, and nothing could be compared."""
        return structs.replace(self, tried=self.tried + 1)

    def pay(self, spent: Nanos, *, audit: bool = False) -> "Guard":
        """What a request cost, or its audit."""
        return structs.replace(
            self, spent=self.spent + spent, audit=self.audit + (spent if audit else 0)
        )

    def decided(self, settings: GuardSettings = DEFAULT_SETTINGS) -> bool:
        """Whether enough was seen: fewer comparisons will do where they leave no doubt. And where
        hardly any answers can be compared, it is decided that nothing can be seen.
        """
        if self.seen >= min(settings.least, settings.memory) or self.unseen(settings):
            return True
        if self.seen < _FEWEST:
            return False
        best = 1.0 - lower_bound(self.seen - self.agreed, self.seen)
        return self.bound >= settings.threshold or best < settings.threshold

    def unseen(self, settings: GuardSettings = DEFAULT_SETTINGS) -> bool:
        """Whether it was tried often, and little was seen."""
        return self.tried >= 3 * settings.least and self.seen < _FEWEST

    def allows(self, settings: GuardSettings = DEFAULT_SETTINGS) -> bool:
        """Whether the cheap ones may answer: not before they are seen to be good enough."""
        return self.unseen(settings) or (
            self.decided(settings) and self.bound >= settings.threshold
        )

    def state(self, settings: GuardSettings = DEFAULT_SETTINGS) -> State:
        """Whether the cheap ones are on or off, or that is not decided yet."""
        if self.allows(settings):
            return "on"
        return "off" if self.decided(settings) else "learning"

    def compares(self, draw: float, settings: GuardSettings = DEFAULT_SETTINGS) -> bool:
        """Whether this request is also asked of the others. `draw` is random, in [0, 1)."""
        if not self.decided(settings):
            return True
        if self.audit > settings.cap * self.spent:
            return False
        return draw < (settings.share if self.allows(settings) else settings.probe)

    def decide(self, draw: float, settings: GuardSettings = DEFAULT_SETTINGS) -> GuardDecision:
        """Who answers, and whether the others are asked too."""
        compares = self.compares(draw, settings)
        if self.allows(settings):
            return "audited" if compares else "cheap"
        return "probed" if compares else "smart"


class Growth(Struct, frozen=True):
    """What somebody has seen since: comparisons in their order, and those that told nothing."""

    same: tuple[bool, ...] = ()
    missed: int = 0
    spent: int = 0
    audit: int = 0
    memory: int = DEFAULT_SETTINGS.memory

    def onto(self, guard: Guard) -> Guard:
        """The state with it."""
        settings = GuardSettings(memory=self.memory)
        for same in self.same:
            guard = guard.observe(same, settings)
        tried, spent = guard.tried + self.missed, guard.spent + self.spent
        return structs.replace(guard, tried=tried, spent=spent, audit=guard.audit + self.audit)


class GuardStore(Protocol):
    """Where the states are that all replicas share. Raises LedgerDown, and nothing else."""

    async def grow(self, number: int, growths: Mapping[str, Growth]) -> Mapping[str, Guard]:
        """Add to each state, and give all of them as they are now; who is new begins at nothing.

        A caller counts its numbers up. The same number again adds nothing: it may be sent again
        when it is not known whether it was added.
        """
        ...

    async def aclose(self) -> None: ...


def lower_bound(successes: float, trials: float) -> float:
    """Wilson's, of a share; 0.0 without trials."""
    if trials <= 0:
        return 0.0
    share, z2 = successes / trials, _Z * _Z
    spread = _Z * sqrt(max(share * (1 - share), 0.0) / trials + z2 / (4 * trials * trials))
    return max((share + z2 / (2 * trials) - spread) / (1 + z2 / trials), 0.0)


def bucket(features: Features) -> str:
    """Which kind of request this is: cheap ones may be good at one and poor at another."""
    kind = "text"
    if "tools" in features.needs:
        kind = "tools"
    elif "json_schema" in features.needs:
        kind = "json"
    return f"{kind}-long" if features.prompt > _LONG else kind
