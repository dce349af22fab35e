"""Figures of routes, by their records: what a request cost, how often it climbed, how long it
took, and how often answers that were compared meant the same. Intervals are of 95 %.

A route has one line for the requests that it answered, and one for those that it was a shadow of.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from math import sqrt
from typing import Final, Literal

from msgspec import Struct

from gateway.core.money import PER_USD
from gateway.core.records.line import Line
from gateway.core.records.record import BEHIND, CACHED, COMPARED

Seen = Literal["answered", "shadow"]
_WHOLE: Final = ("ok", "cut")
_Z: Final = 1.96


class Estimate(Struct, frozen=True):
    """`low` and `high` are None where there is too little to say."""

    value: float
    low: float | None = None
    high: float | None = None


class Figures(Struct, frozen=True):
    """US dollars and seconds. None: nothing is recorded of it."""

    route: str
    seen: Seen
    requests: int
    usd: float
    """In all, without audits."""
    usd_per_request: Estimate | None
    escalated: Estimate | None
    """The share of requests with answers from more than one tier."""
    agreed: Estimate | None
    """Of answers that could be compared: a shadow's with those that were given, a guarded route's
    first tier with its last."""
    compared: int
    incomparable: int
    p50_s: Estimate | None
    p95_s: Estimate | None
    """From the first call's begin to the last one's end."""
    audit_usd: float
    """What the guard's audits cost."""


class _Request:
    __slots__ = ("begin", "end", "nanos", "tiers")

    def __init__(self) -> None:
        self.nanos = 0
        self.tiers: frozenset[str] = frozenset()
        self.begin: float | None = None
        self.end = 0.0

    def add(self, line: Line) -> None:
        self.nanos += line.charged.nanos
        if line.outcome in _WHOLE:
            self.tiers |= {line.tier}
        kind = line.ledger.kind if line.ledger is not None else "settled"
        if line.time and kind == "settled":
            end = datetime.fromisoformat(line.time).timestamp()
            begin = end - line.seconds
            self.begin = begin if self.begin is None else min(self.begin, begin)
            self.end = max(self.end, end)


class RouteFigures:
    """`add` each line once. Lines of other routes are passed over."""

    def __init__(self, routes: Iterable[str]) -> None:
        self.routes = tuple(dict.fromkeys(routes))
        self._requests: dict[tuple[str, Seen], dict[str, _Request]] = {}
        self._said: dict[tuple[str, Seen], dict[str, int]] = {}
        self._audits: dict[str, int] = {}

    def add(self, line: Line) -> None:
        if line.route not in self.routes or line.purpose == CACHED:
            return
        request, _, hidden = line.request.partition(BEHIND)
        which: tuple[str, Seen] = (line.route, "shadow" if hidden == "shadow" else "answered")
        if line.purpose == COMPARED:
            outcomes = self._said.setdefault(which, {})
            outcomes[line.outcome] = outcomes.get(line.outcome, 0) + 1
        elif hidden == "guard":
            self._audits[line.route] = self._audits.get(line.route, 0) + line.charged.nanos
        else:
            requests = self._requests.setdefault(which, {})
            requests.setdefault(request, _Request()).add(line)

    def figures(self) -> Iterator[Figures]:
        """In the order of the routes; those that are not in the records have nothing but a name."""
        for route in self.routes:
            shadow = (route, "shadow") in self._requests
            if (route, "answered") in self._requests or not shadow:
                yield self._figures(route, "answered")
            if shadow:
                yield self._figures(route, "shadow")

    def _figures(self, route: str, seen: Seen) -> Figures:
        requests = list(self._requests.get((route, seen), {}).values())
        outcomes = self._said.get((route, seen), {})
        agreed, differed = outcomes.get("agreed", 0), outcomes.get("differed", 0)
        costs = [request.nanos / PER_USD for request in requests]
        spans = sorted(each.end - each.begin for each in requests if each.begin is not None)
        climbed = sum(len(request.tiers) > 1 for request in requests)
        return Figures(
            route=route,
            seen=seen,
            requests=len(requests),
            usd=sum(request.nanos for request in requests) / PER_USD,
            usd_per_request=mean(costs),
            escalated=share(climbed, len(requests)),
            agreed=share(agreed, agreed + differed),
            compared=agreed + differed,
            incomparable=outcomes.get("incomparable", 0),
            p50_s=percentile(spans, 0.50),
            p95_s=percentile(spans, 0.95),
            audit_usd=(self._audits.get(route, 0) if seen == "answered" else 0) / PER_USD,
        )


def mean(values: Sequence[float]) -> Estimate | None:
    """With the normal interval; of a single value there is none."""
    if not values:
        return None
    count, middle = len(values), sum(values) / len(values)
    if count == 1:
        return Estimate(middle)
    spread = sqrt(sum((value - middle) ** 2 for value in values) / (count - 1) / count)
    return Estimate(middle, max(middle - _Z * spread, 0.0), middle + _Z * spread)


def share(some: int, of: int) -> Estimate | None:
    """With Wilson's interval."""
    if not of:
        return None
    part, z2 = some / of, _Z * _Z
    middle, scale = part + z2 / (2 * of), 1 + z2 / of
    spread = _Z * sqrt(part * (1 - part) / of + z2 / (4 * of * of))
    return Estimate(part, max((middle - spread) / scale, 0.0), min((middle + spread) / scale, 1.0))


def percentile(ordered: Sequence[float], at: float) -> Estimate | None:
    """By order statistics."""
    if not ordered:
        return None
    last = len(ordered) - 1
    spread = _Z * sqrt(at * (1 - at) / len(ordered))
    places = [min(max(at + step, 0.0), 1.0) for step in (0.0, -spread, spread)]
    value, low, high = (ordered[round(place * last)] for place in places)
    return Estimate(value, low, high) if last else Estimate(value)
