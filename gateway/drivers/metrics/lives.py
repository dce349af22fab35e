"""Metrics of requests: how each ended, how long it took, and what its answer was worth.

The cells that most requests count in are looked up once for each set of labels, and cached.
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
_DURATION: Final = "gateway_request_duration_seconds"
_VERDICTS: Final = "gateway_check_verdicts_total"
_ESCALATIONS: Final = "gateway_escalations_total"
_FALLBACKS: Final = "gateway_fallbacks_total"
_VOTED: Final = ("agreed", "lone_vote")
_MAX_VERDICT_RECORDS: Final = 1_024
"""Combinations of verdicts that have a combined record."""
_SECONDS: Final = edges(SECONDS)
_SHORT: Final = edges(SHORT)
_A_TOKEN: Final = edges(A_TOKEN)

_ReplyKey: TypeAlias = tuple[str, str, bool, str, str]
"""route, tenant, whether it streams, tier, reason"""
_Cells: TypeAlias = tuple[int, int, Smart | None]
"""Cells of: the request, its duration and reason, and what the last tier would have cost."""


class Lives:
    """`handlers` count events by type."""

    def __init__(self, families: Families, saved: Saved) -> None:
        self._families = families
        self._cells = families.cells
        self._saved = saved
        self._in_flight = families["gateway_inflight_requests"][()]
        self._overhead = families["gateway_overhead_seconds"][()]
        self._replies: dict[_ReplyKey, _Cells] = {}
        self._verdicts: dict[Labels, dict[Labels, int]] = {}
        """By the failed checks, then by all checks."""
        self._verdict_records = families.count_combined(_VERDICTS)
        """How many of these have a combined record, at most."""
        self._steps: dict[Series, int] = {}
        self._waits: dict[Labels, tuple[int, int]] = {}
        self.handlers: Mapping[type, Callable[[Any], None]] = {
            events.Began: self._began,
            events.Judged: self._judged,
            events.Escalated: self._escalated,
            events.FellBack: self._fell_back,
            events.Replied: self._replied,
            events.Denied: self._denied,
            events.Dropped: self._dropped,
        }

    def reconfigure(self) -> None:
        """Drop cached cells, which depend on the configuration."""
        self._replies.clear()

    def _began(self, event: events.Began) -> None:
        self._cells.values[self._in_flight] += 1.0

    def _judged(self, event: events.Judged) -> None:
        try:
            at = self._verdicts[event.failed][event.checks]
        except KeyError:
            at = self._verdict_cell(event.checks, event.failed)
        self._cells.values[at] += 1.0

    def _escalated(self, event: events.Escalated) -> None:
        self._count_step((_ESCALATIONS, event.from_tier, event.to_tier, event.reason))

    def _fell_back(self, event: events.FellBack) -> None:
        self._count_step((_FALLBACKS, event.from_model, event.to_model, event.reason))

    def _count_step(self, step: Series) -> None:
        try:
            at = self._steps[step]
        except KeyError:
            at = self._families.combined(step)
            if at != NOWHERE:
                self._steps[step] = at
        self._cells.values[at] += 1.0

    def _replied(self, event: events.Replied) -> None:
        about, seconds = event.about, event.seconds
        key = (about.route, about.tenant, about.stream, event.tier, event.reason)
        try:
            at, duration, smart = self._replies[key]
        except KeyError:
            at, duration, smart = self._reply_cells(key)
        values = self._cells.values
        values[self._in_flight] -= 1.0
        values[at] += 1.0
        values[duration] += seconds
        values[duration + bisect_left(_SECONDS, seconds)] += 1.0
        own_seconds, overhead = seconds - event.upstream_s, self._overhead
        if own_seconds > 0.0:  # upstream_s is the sum of concurrent calls, so it may be longer
            values[overhead] += own_seconds
        values[overhead + bisect_left(_SHORT, own_seconds)] += 1.0
        if smart is not None:
            charge, price, top_cost, actual_cost = smart
            if event.usage.reported_cost:
                values[top_cost] += self._saved.reported(event, charge(price, event.usage))
            else:
                values[top_cost] += charge(price, event.usage)
            values[actual_cost] += event.spent
        if about.stream:
            self._streamed(event)

    def _streamed(self, event: events.Replied) -> None:
        """Time to the first token, and per token; a held answer's first token comes at its end."""
        first, reason = event.first_token_s, event.reason
        judged = "no" if reason == "unjudged" else "cached" if reason == "cached" else "early"
        if first is None and judged != "cached":
            judged = "whole"
        labels = (event.model, event.provider, event.about.route, judged)
        try:
            wait, pace = self._waits[labels]
        except KeyError:
            wait, pace = self._wait_cells(labels)
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
        self._count_end(event.about, "denied", event.code, event.seconds)

    def _dropped(self, event: events.Dropped) -> None:
        self._count_end(event.about, "dropped", "", event.seconds)

    def _count_end(self, about: events.About, outcome: str, code: str, seconds: float) -> None:
        stream = _bool_label(stream=about.stream)
        self._families.add(_REQUESTS, about.route, about.tenant, stream, outcome, code)
        duration = self._families[_DURATION][about.route, stream]
        values = self._cells.values
        values[self._in_flight] -= 1.0
        observe_seconds(values, duration, SECONDS, seconds)

    def _reply_cells(self, key: _ReplyKey) -> _Cells:
        families, (route, tenant, streams, tier, reason) = self._families, key
        stream = _bool_label(stream=streams)
        requests = families[_REQUESTS][route, tenant, stream, "replied", ""]
        series: list[Series] = [(_DURATION, route, stream)]
        if reason != "unjudged":
            series.append(("gateway_answers_total", route, tier, reason))
        if reason in _VOTED:
            series.append(("gateway_votes_total", route, reason))
        smart = None if reason == "cached" else self._saved.smart(tenant, route)
        cells = (requests, families.combined(*series), smart)
        if NOWHERE not in (*cells[:2], *(smart or ())[2:]):
            self._replies[key] = cells
        return cells

    def _wait_cells(self, labels: Labels) -> tuple[int, int]:
        wait = self._families["gateway_time_to_first_token_seconds"][labels]
        paces = self._families["gateway_time_per_output_token_seconds"]
        paced = labels[3] == "no"
        cells = (wait, paces[labels[:2]] if paced else NOWHERE)
        if NOWHERE not in cells[: 1 + paced]:
            self._waits[labels] = cells
        return cells

    def _verdict_cell(self, checks: Labels, failed: Labels) -> int:
        """Clients may ask for checks in any order, so the number of combined records is bounded."""
        verdicts = [(_VERDICTS, each, "failed" if each in failed else "passed") for each in checks]
        if self._verdict_records >= _MAX_VERDICT_RECORDS:
            for verdict in verdicts:
                self._families.add(*verdict)
            return NOWHERE
        at = self._families.combined(*verdicts) if checks else NOWHERE
        if checks and at == NOWHERE:
            return NOWHERE
        self._verdicts.setdefault(failed, {})[checks] = at
        self._verdict_records += 1
        return at


def _bool_label(*, stream: bool) -> str:
    return "true" if stream else "false"
