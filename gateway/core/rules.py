"""Rules before tiers: the first whose every condition holds says which rungs are climbed."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, structs

from gateway.core.hours import minute_of, within
from gateway.core.money import Nanos
from gateway.core.tokens import AROUND_TOKENS

_NO_TAGS: Final[Mapping[str, frozenset[str]]] = {}


class Traits(Struct, frozen=True):
    """What rules look at in a request. Sizes are in tokens; `at` is Unix seconds."""

    prompt: int
    output: int | None
    script: str | None
    has: frozenset[str]
    tools: int
    tags: Mapping[str, str]
    regions: frozenset[str] | None
    """Where the answer may come from: the region that was asked for, else those of the tenant or of
    its key. None is anywhere.
    """
    max_latency_ms: int | None
    max_cost: Nanos | None
    at: float
    strategy: str | None = None
    """What the client asked for by name, as are the checks."""
    checks: tuple[str, ...] = ()


class Between(Struct, frozen=True):
    """Above `low` and at most `high`; None is no bound."""

    low: int | None = None
    high: int | None = None

    def holds(self, value: int) -> bool:
        return (self.low is None or value > self.low) and (self.high is None or value <= self.high)


ANY: Final = Between()


class Hours(Struct, frozen=True):
    """From `begin` up to but not including `end`, in minutes since midnight in `zone`; one that
    ends at or before its begin ends on the next day.
    """

    begin: int
    end: int
    zone: str = "UTC"

    def holds(self, unix_seconds: float) -> bool:
        return within(self.begin, minute_of(unix_seconds, self.zone), self.end)


class When(Struct, frozen=True):
    """Conditions: each that is set must hold. With none it always holds."""

    prompt: Between = ANY
    output: Between | None = None
    """Of the limit that the client set: never holds where it set none."""
    scripts: frozenset[str] | None = None
    has: frozenset[str] = frozenset()
    """All of these."""
    lacks: frozenset[str] = frozenset()
    """None of these."""
    tools: Between = ANY
    tags: Mapping[str, frozenset[str]] = _NO_TAGS
    """Each tag with one of its values."""
    regions: frozenset[str] | None = None
    """All that the answer may come from are among these."""
    latency_ms: int | None = None
    """The client asked for an answer within so many milliseconds, or fewer."""
    cost: Nanos | None = None
    """The client set a cap of so much, or less."""
    hours: Hours | None = None
    strategies: frozenset[str] | None = None
    """The client asked for one of these."""
    checks: frozenset[str] | None = None
    """The client asked for any of these."""


TEXT: Final = frozenset({"code", "script"})
"""Traits that are read from the text, and only where a rule asks for them."""


def looks(when: When) -> frozenset[str]:
    """Which of TEXT a rule asks for."""
    script = frozenset() if when.scripts is None else frozenset({"script"})
    return script | ((when.has | when.lacks) & TEXT)


def holds(when: When, traits: Traits) -> bool:
    """Whether a request meets every condition. Most rules set one or two, and each request is held
    against all of them: what is not set is not looked into.
    """
    return (
        (when.prompt is ANY or when.prompt.holds(traits.prompt))
        and (when.tools is ANY or when.tools.holds(traits.tools))
        and (not when.has or when.has <= traits.has)
        and (not when.lacks or not when.lacks & traits.has)
        and (when.scripts is None or traits.script in when.scripts)
        and (when.regions is None or _confined(traits.regions, when.regions))
        and (not when.tags or _tagged(traits.tags, when.tags))
        and (when.output is None or _within(traits.output, when.output))
        and (when.latency_ms is None or _at_most(traits.max_latency_ms, when.latency_ms))
        and (when.cost is None or _at_most(traits.max_cost, when.cost))
        and (when.strategies is None or traits.strategy in when.strategies)
        and (when.checks is None or not when.checks.isdisjoint(traits.checks))
        and (when.hours is None or when.hours.holds(traits.at))
    )


def by_tags(when: When, tags: Mapping[str, str]) -> bool | None:
    """Whether the conditions are met, as far as tags tell; None where there are others."""
    if not _tagged(tags, when.tags):
        return False
    return True if structs.replace(when, tags=_NO_TAGS) == When() else None


def never(when: When) -> str | None:
    """Why no request can meet the conditions; None when one can."""
    for name, span in (("prompt", when.prompt), ("output", when.output), ("tools", when.tools)):
        if span is None or span.low is None or span.high is None:
            continue
        if span.low >= span.high:
            return f"nothing is above {span.low} and at most {span.high} ({name})"
    if when.prompt.high is not None and when.prompt.high <= AROUND_TOKENS:
        return f"a prompt is held for more than {AROUND_TOKENS} tokens"
    if when.output is not None and when.output.high == 0:
        return "no limit is 0 (output)"
    if both := when.has & when.lacks:
        return f"it cannot have and lack {', '.join(sorted(both))}"
    if "tools" in when.lacks and (when.tools.low or 0) > 0:
        return "it cannot lack tools and have some"
    return None


def _tagged(tags: Mapping[str, str], wanted: Mapping[str, frozenset[str]]) -> bool:
    return all(tags.get(name) in values for name, values in wanted.items())


def _within(value: int | None, span: Between) -> bool:
    return value is not None and span.holds(value)


def _confined(regions: frozenset[str] | None, to: frozenset[str]) -> bool:
    return regions is not None and regions <= to


def _at_most(value: int | None, bound: int) -> bool:
    return value is not None and value <= bound
