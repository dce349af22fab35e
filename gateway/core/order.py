"""In which order the candidates of a rung are asked."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final, Literal

from msgspec import Struct

from gateway.core.chat import Usage
from gateway.core.money import Price, cost, usd
from gateway.core.pace import LatencyTracker

Order = Literal["listed", "cheapest", "fastest", "least_busy"]
ORDERS: Final = ("listed", "cheapest", "fastest", "least_busy")
"""`listed` is as the configuration lists them, those with a weight drawn by it first."""
TYPICAL_OUTPUT: Final = 400
"""Tokens of answer that an expected cost supposes, where the client did not ask for fewer."""
_SUPPOSED_S: Final = {"fast": 0.5, "normal": 2.0, "slow": 6.0}
"""Until enough was observed: by the catalog's class of latency."""


class RankingFacts(Struct, frozen=True):
    """What is known of a candidate when it is compared: by name, and tokens."""

    deployment: str
    price: Price
    """Of this minute."""
    prompt: int
    prefix: int
    """How much of the prompt is a beginning that a cache may hold."""
    output: int
    latency: str | None
    caches: bool = True
    """Whether a prompt cache is asked for, or written without that."""

    @property
    def held(self) -> int:
        """How much of the beginning a cache may hold: who charges more for what is written, writes
        and reads only what is marked.
        """
        return self.prefix if self.caches or self.price.cache_write <= self.price.input else 0


def ordered(
    order: Order, facts: Sequence[RankingFacts], pace: LatencyTracker, warm: AbstractSet[str]
) -> list[int]:
    """The positions, best first. Equals keep their order, the warm ones before the cold."""
    keys = [(_key(order, each, pace, warm), each.deployment not in warm) for each in facts]
    return sorted(range(len(facts)), key=keys.__getitem__)


def _key(order: Order, of: RankingFacts, pace: LatencyTracker, warm: AbstractSet[str]) -> float:
    if order == "cheapest":
        return expected(of, warm=of.deployment in warm)
    if order == "fastest":
        seen = pace.quantile(of.deployment, 0.5)
        return _SUPPOSED_S.get(of.latency or "normal", 2.0) if seen is None else seen
    return pace.in_flight(of.deployment) if order == "least_busy" else 0.0


def describe(order: Order, of: RankingFacts, pace: LatencyTracker, warm: AbstractSet[str]) -> str:
    """For people: what decides its place."""
    cached = ", its prompt cache holds the beginning" if of.held and of.deployment in warm else ""
    if order == "cheapest":
        return f"${usd(expected(of, warm=bool(cached)))} at this hour{cached}"
    if order == "fastest":
        seen = pace.quantile(of.deployment, 0.5)
        if seen is None:
            supposed = _key(order, of, pace, warm)
            return f"supposed to begin within {supposed:g} s: too little was seen{cached}"
        return f"half of its answers begin within {seen:.2g} s{cached}"
    if order == "least_busy":
        return f"{pace.in_flight(of.deployment)} calls out{cached}"
    return f"as listed{cached}"


def expected(of: RankingFacts, *, warm: bool) -> int:
    """Nano-dollars of a typical answer. Who is warm reads the beginning from its cache; who is
    not writes it first, so that moving a conversation costs what it costs.
    """
    output = min(of.output, TYPICAL_OUTPUT)
    if warm:
        return cost(of.price, Usage(of.prompt, output, cached=of.held))
    return cost(of.price, Usage(of.prompt, output, cache_write=of.held))
