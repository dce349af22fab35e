"""Metrics of calls to providers: how each ended, how long it took, what was held for it and spent.

What a call counts in is found once for each way it can end, and remembered.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from gateway.core import events
from gateway.core.chat import Usage
from gateway.core.money import Nanos
from gateway.core.tags import Known, labelled
from gateway.core.usage_record import UsageRecord
from gateway.drivers.metrics.budgets import per_of
from gateway.drivers.metrics.families import Families, Labels
from gateway.drivers.metrics.saved import Saved
from gateway.drivers.metrics.shape import PARTS, SECONDS, edges

_DECISIONS: Final = "gateway_budget_decisions_total"
_TOKENS: Final = "gateway_tokens_total"
_VOTES: Final = "gateway_votes_total"
_MERE: Final = ("answer", "escalation")
"""Why most calls are made; of them nothing more is told, unless they are charged back."""
_SECONDS: Final = edges(SECONDS)
_PARTS: Final = edges(PARTS)

_Cells: TypeAlias = tuple[int, int, int, int, int, bool]
"""The call and how long it took, its part of its hold, its cost, tokens in and out; and whether it
may count in more."""


class Calls:
    """`hears` says what each event counts in."""

    def __init__(self, of: Families, saved: Saved) -> None:
        self._of = of
        self._cells = of.cells
        self._saved = saved
        self._tags: Known = {}
        self._calls: dict[Labels, _Cells] = {}
        self._granted: dict[str, int] = {}
        self.hears: Mapping[type, Callable[[Any], None]] = {
            events.Reserved: self._reserved,
            events.HoldRefused: self._refused,
            events.Settled: self._settled,
            events.BudgetWarned: self._budget_warned,
        }

    def reconfigure(self, tags: Known) -> None:
        """Charge back by these tags that list their values."""
        self._tags = {name: values for name, values in tags.items() if values}
        self._calls.clear()

    def _reserved(self, event: events.Reserved) -> None:
        try:
            at = self._granted[event.about.tenant]
        except KeyError:
            at = self._grant(event.about.tenant)
        self._cells.values[at] += 1.0

    def _refused(self, event: events.HoldRefused) -> None:
        self._of.add(_DECISIONS, event.about.tenant, "refused", event.scope, event.meter)

    def _settled(self, event: events.Settled) -> None:
        call = event.record
        to = (call.provider, call.tenant, call.model, call.tier, call.purpose, call.outcome)
        try:
            span, part, spent, prompt, completion, more = self._calls[to]
        except KeyError:
            span, part, spent, prompt, completion, more = self._call(to)
        usage, seconds, values = call.usage, call.seconds, self._cells.values
        cost, held = call.cost, call.held
        values[span] += seconds
        values[span + bisect_left(_SECONDS, seconds)] += 1.0
        if held:
            ratio = cost / held
            values[part] += ratio
            values[part + bisect_left(_PARTS, ratio)] += 1.0
        values[spent] += cost
        values[prompt] += usage.prompt
        values[completion] += usage.completion
        if usage.cached or usage.cache_write or usage.reasoning:
            self._more_tokens(call.provider, call.model, usage)
        if call.counted:
            self._of.add("gateway_counted_settles_total", call.provider, call.model)
        if cost > held:
            self._of.add("gateway_budget_overrun_usd_total", call.tenant, by=cost - held)
            self._of.add("gateway_budget_overruns_total", call.tenant)
        if more:
            self._more(event.about, call, event.why)

    def _more_tokens(self, provider: str, model: str, usage: Usage) -> None:
        beside = (usage.cached, usage.cache_write, usage.reasoning)
        for kind, many in zip(("cached_input", "cache_write", "reasoning"), beside, strict=True):
            if many:
                self._of.add(_TOKENS, provider, model, kind, by=many)

    def _more(self, about: events.About, call: UsageRecord, why: str) -> None:
        """Of a call that was made for another reason than most, or that may be charged back."""
        if self._tags:
            self._charge_back(about, call)
        if call.purpose == "audit":
            self._saved.audited(about.tenant, about.route, Nanos(call.cost))
        elif call.purpose == "arbitration":
            self._of.add(_VOTES, about.route, "arbitrated")
        if why == "incomparable":
            self._of.add(_VOTES, about.route, why)

    def _charge_back(self, about: events.About, call: UsageRecord) -> None:
        usage = call.usage
        for tag, value in labelled(about.tags, self._tags).items():
            whose = (about.tenant, tag, value)
            self._of.add("gateway_tag_cost_usd_total", *whose, by=call.cost)
            self._of.add("gateway_tag_tokens_total", *whose, "input", by=usage.prompt)
            self._of.add("gateway_tag_tokens_total", *whose, "output", by=usage.completion)

    def _budget_warned(self, event: events.BudgetWarned) -> None:
        """Whose request it was is told, not whose account: that may be a user's."""
        tenant, scope, budget = event.about.tenant, event.account.scope, event.budget
        if budget.mode == "shadow":
            self._of.add("gateway_budget_shadow_refusals_total", tenant, scope, budget.meter)
        else:
            per, percent = per_of(budget), str(event.percent)
            which = (tenant, scope, budget.meter, per, budget.mode, percent)
            self._of.add("gateway_budget_warnings_total", *which)

    def _grant(self, tenant: str) -> int:
        found = self._of[_DECISIONS][tenant, "granted", "none", "none"]
        self._granted[tenant] = found
        return found

    def _call(self, to: Labels) -> _Cells:
        of, (provider, tenant, model, tier, purpose, outcome) = self._of, to
        attempts = ("gateway_upstream_attempts_total", provider, model, tier, purpose, outcome)
        found = self._calls[to] = (
            of.together(("gateway_upstream_duration_seconds", provider, model), attempts),
            of["gateway_settle_ratio"][model,],
            of["gateway_cost_usd_total"][tenant, model, tier, purpose],
            of[_TOKENS][provider, model, "input"],
            of[_TOKENS][provider, model, "output"],
            purpose not in _MERE or bool(self._tags),
        )
        return found
