"""Metrics of requests: how each ended, how long it took, and what its answer was worth.

What most requests count in is found once for each way they can end, and remembered.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from gateway.core import events
from gateway.drivers.metrics.cells import NOWHERE, Series
from gateway.drivers.metrics.families import Families, Labels, observe_seconds
from gateway.drivers.metrics.saved import Saved, Smart
from gateway.drivers.metrics.shape import A_TOKEN, SECONDS, SHORT, edges

_REQUESTS: Final = "gateway_requests_total"
_LASTED: Final = "gateway_request_duration_seconds"
_VERDICTS: Final = "gateway_check_verdicts_total"
_ESCALATIONS: Final = "gateway_escalations_total"
_FALLBACKS: Final = "gateway_fallbacks_total"
_VOTED: Final = ("agreed", "lone_vote")
_MOST: Final = 1_024
"""Ways that checks may end, each of which has a record of its own."""
_SECONDS: Final = edges(SECONDS)
_SHORT: Final = edges(SHORT)
_A_TOKEN: Final = edges(A_TOKEN)

_Way: TypeAlias = tuple[str, str, bool, str, str]
"""route, tenant, whether it streams, tier, reason"""
_Cells: TypeAlias = tuple[int, int, Smart | None]
"""The request, how long it took and why its answer was given, and what the last tier would take."""


class Lives:
    """`hears` says what each event counts in."""

    def __init__(self, of: Families, saved: Saved) -> None:
        self._of = of
        self._cells = of.cells
        self._saved = saved
        self._in_flight = of["gateway_inflight_requests"][()]
        self._overhead = of["gateway_overhead_seconds"][()]
        self._replies: dict[_Way, _Cells] = {}
        self._verdicts: dict[Labels, dict[Labels, int]] = {}
        """By those that failed, and by all."""
        self._orders = of.joined(_VERDICTS)
        """How many of these have a record of their own, at most."""
        self._steps: dict[Series, int] = {}
        self._waits: dict[Labels, tuple[int, int]] = {}
        self.hears: Mapping[type, Callable[[Any], None]] = {
            events.Began: self._began,
            events.Judged: self._judged,
            events.Escalated: self._escalated,
            events.FellBack: self._fell_back,
            events.Replied: self._replied,
            events.Denied: self._denied,
            events.Dropped: self._dropped,
        }

    def reconfigure(self) -> None:
        """What was found went by another configuration."""
        self._replies.clear()

    def _began(self, event: events.Began) -> None:
        self._cells.values[self._in_flight] += 1.0

    def _judged(self, event: events.Judged) -> None:
        try:
            at = self._verdicts[event.failed][event.checks]
        except KeyError:
            at = self._verdict(event.checks, event.failed)
        self._cells.values[at] += 1.0

    def _escalated(self, event: events.Escalated) -> None:
        self._stepped((_ESCALATIONS, event.from_tier, event.to_tier, event.reason))

    def _fell_back(self, event: events.FellBack) -> None:
        self._stepped((_FALLBACKS, event.from_model, event.to_model, event.reason))

    def _stepped(self, step: Series) -> None:
        try:
            at = self._steps[step]
        except KeyError:
            at = self._steps[step] = self._of.together(step)
        self._cells.values[at] += 1.0

    def _replied(self, event: events.Replied) -> None:
        about, seconds = event.about, event.seconds
        way = (about.route, about.tenant, about.stream, event.tier, event.reason)
        try:
            at, lasted, smart = self._replies[way]
        except KeyError:
            at, lasted, smart = self._reply(way)
        values = self._cells.values
        values[self._in_flight] -= 1.0
        values[at] += 1.0
        values[lasted] += seconds
        values[lasted + bisect_left(_SECONDS, seconds)] += 1.0
        ours, overhead = seconds - event.upstream_s, self._overhead
        if ours > 0.0:  # of several calls at once the seconds are added up
            values[overhead] += ours
        values[overhead + bisect_left(_SHORT, ours)] += 1.0
        if smart is not None:
            charge, price, alone, mixed = smart
            values[alone] += charge(price, event.usage)
            values[mixed] += event.spent
        if about.stream:
            self._streamed(event)

    def _streamed(self, event: events.Replied) -> None:
        """What was held came to its client when it was whole."""
        first, reason = event.first_token_s, event.reason
        judged = "no" if reason == "unjudged" else "cached" if reason == "cached" else "early"
        if first is None and judged != "cached":
            judged = "whole"
        to = (event.model, event.provider, event.about.route, judged)
        try:
            wait, pace = self._waits[to]
        except KeyError:
            wait, pace = self._wait(to)
        values = self._cells.values
        waited = event.seconds if first is None else first
        values[wait] += waited
        values[wait + bisect_left(_SECONDS, waited)] += 1.0
        more = event.usage.completion - 1
        if more > 0 and judged == "no" and first is not None:
            a_token = (event.seconds - first) / more
            values[pace] += a_token
            values[pace + bisect_left(_A_TOKEN, a_token)] += 1.0

    def _denied(self, event: events.Denied) -> None:
        self._ended(event.about, "denied", event.code, event.seconds)

    def _dropped(self, event: events.Dropped) -> None:
        self._ended(event.about, "dropped", "", event.seconds)

    def _ended(self, about: events.About, outcome: str, code: str, seconds: float) -> None:
        stream = _word(stream=about.stream)
        self._of.add(_REQUESTS, about.route, about.tenant, stream, outcome, code)
        lasted = self._of[_LASTED][about.route, stream]
        values = self._cells.values
        values[self._in_flight] -= 1.0
        observe_seconds(values, lasted, SECONDS, seconds)

    def _reply(self, way: _Way) -> _Cells:
        of, (route, tenant, streams, tier, reason) = self._of, way
        stream = _word(stream=streams)
        asked = of[_REQUESTS][route, tenant, stream, "replied", ""]
        told: list[Series] = [(_LASTED, route, stream)]
        if reason != "unjudged":
            told.append(("gateway_answers_total", route, tier, reason))
        if reason in _VOTED:
            told.append(("gateway_votes_total", route, reason))
        smart = None if reason == "cached" else self._saved.smart(tenant, route)
        found = self._replies[way] = (asked, of.together(*told), smart)
        return found

    def _wait(self, to: Labels) -> tuple[int, int]:
        wait = self._of["gateway_time_to_first_token_seconds"][to]
        paces = self._of["gateway_time_per_output_token_seconds"]
        found = self._waits[to] = (wait, paces[to[:2]] if to[3] == "no" else NOWHERE)
        return found

    def _verdict(self, checks: Labels, failed: Labels) -> int:
        """Clients may ask for checks in any order: of very many no record is made."""
        verdicts = [(_VERDICTS, each, "failed" if each in failed else "passed") for each in checks]
        if self._orders >= _MOST:
            for verdict in verdicts:
                self._of.add(*verdict)
            return NOWHERE
        at = self._of.together(*verdicts) if checks else NOWHERE
        self._verdicts.setdefault(failed, {})[checks] = at
        self._orders += 1
        return at


def _word(*, stream: bool) -> str:
    return "true" if stream else "false"
