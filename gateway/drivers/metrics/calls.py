"""Metrics of calls to providers: how each ended, how long it took, what was held for it and spent.

The cells that a call counts in are looked up once for each set of labels, and cached.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from gateway.core import events
from gateway.core.chat import Usage
from gateway.core.money import Nanos
from gateway.core.records.record import UsageRecord
from gateway.core.tags import Known, labelled
from gateway.drivers.metrics.budgets import per_of
from gateway.drivers.metrics.cells import NOWHERE
from gateway.drivers.metrics.families import Families, Labels
from gateway.drivers.metrics.saved import Saved
from gateway.drivers.metrics.shape import PARTS, SECONDS, edges

_DECISIONS: Final = "gateway_budget_decisions_total"
_TOKENS: Final = "gateway_tokens_total"
_VOTES: Final = "gateway_votes_total"
_USUAL_PURPOSES: Final = ("answer", "escalation")
"""The purposes of most calls, which have no metrics beyond the common ones, unless by tag."""
_SECONDS: Final = edges(SECONDS)
_PARTS: Final = edges(PARTS)

_Cells: TypeAlias = tuple[int, int, int, int, int, bool]
"""Cells of: the call and its duration, settle ratio, cost, input and output tokens; and whether it
may count in more metrics."""


class Calls:
    """`handlers` count events by type."""

    def __init__(self, families: Families, saved: Saved) -> None:
        self._families = families
        self._cells = families.cells
        self._saved = saved
        self._tags: Known = {}
        self._calls: dict[Labels, _Cells] = {}
        self._granted: dict[str, int] = {}
        self.handlers: Mapping[type, Callable[[Any], None]] = {
            events.Reserved: self._reserved,
            events.HoldRefused: self._refused,
            events.Settled: self._settled,
            events.BudgetWarned: self._budget_warned,
        }

    def reconfigure(self, tags: Known) -> None:
        """Count cost and tokens by those of these tags that list their values."""
        self._tags = {name: values for name, values in tags.items() if values}
        self._calls.clear()

    def _reserved(self, event: events.Reserved) -> None:
        try:
            at = self._granted[event.about.tenant]
        except KeyError:
            at = self._granted_cell(event.about.tenant)
        self._cells.values[at] += 1.0

    def _refused(self, event: events.HoldRefused) -> None:
        self._families.add(_DECISIONS, event.about.tenant, "refused", event.scope, event.meter)

    def _settled(self, event: events.Settled) -> None:
        call = event.record
        labels = (call.provider, call.tenant, call.model, call.tier, call.purpose, call.outcome)
        try:
            span, part, spent, prompt, completion, special = self._calls[labels]
        except KeyError:
            span, part, spent, prompt, completion, special = self._call_cells(labels)
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
            self._families.add("gateway_counted_settles_total", call.provider, call.model)
        if cost > held:
            self._families.add("gateway_budget_overrun_usd_total", call.tenant, by=cost - held)
            self._families.add("gateway_budget_overruns_total", call.tenant)
        if special:
            self._count_special(event.about, call, event.why)

    def _more_tokens(self, provider: str, model: str, usage: Usage) -> None:
        counts = (usage.cached, usage.cache_write, usage.reasoning)
        for kind, tokens in zip(("cached_input", "cache_write", "reasoning"), counts, strict=True):
            if tokens:
                self._families.add(_TOKENS, provider, model, kind, by=tokens)

    def _count_special(self, about: events.About, call: UsageRecord, why: str) -> None:
        """Metrics of a call with another purpose than most, or with tags."""
        if self._tags:
            self._charge_back(about, call)
        if call.purpose == "audit":
            self._saved.audited(about.tenant, about.route, Nanos(call.cost))
        elif call.purpose == "arbitration":
            self._families.add(_VOTES, about.route, "arbitrated")
        if why == "incomparable":
            self._families.add(_VOTES, about.route, why)

    def _charge_back(self, about: events.About, call: UsageRecord) -> None:
        usage = call.usage
        for tag, value in labelled(about.tags, self._tags).items():
            labels = (about.tenant, tag, value)
            self._families.add("gateway_tag_cost_usd_total", *labels, by=call.cost)
            self._families.add("gateway_tag_tokens_total", *labels, "input", by=usage.prompt)
            self._families.add("gateway_tag_tokens_total", *labels, "output", by=usage.completion)

    def _budget_warned(self, event: events.BudgetWarned) -> None:
        """The label is the request's tenant, not the account: that may be a user's."""
        tenant, scope, budget = event.about.tenant, event.account.scope, event.budget
        if budget.mode == "shadow":
            self._families.add("gateway_budget_shadow_refusals_total", tenant, scope, budget.meter)
        else:
            per, percent = per_of(budget), str(event.percent)
            labels = (tenant, scope, budget.meter, per, budget.mode, percent)
            self._families.add("gateway_budget_warnings_total", *labels)

    def _granted_cell(self, tenant: str) -> int:
        cell = self._families[_DECISIONS][tenant, "granted", "none", "none"]
        if cell != NOWHERE:
            self._granted[tenant] = cell
        return cell

    def _call_cells(self, labels: Labels) -> _Cells:
        families, (provider, tenant, model, tier, purpose, outcome) = self._families, labels
        attempts = ("gateway_upstream_attempts_total", provider, model, tier, purpose, outcome)
        cells = (
            families.combined(("gateway_upstream_duration_seconds", provider, model), attempts),
            families["gateway_settle_ratio"][model,],
            families["gateway_cost_usd_total"][tenant, model, tier, purpose],
            families[_TOKENS][provider, model, "input"],
            families[_TOKENS][provider, model, "output"],
            purpose not in _USUAL_PURPOSES or bool(self._tags),
        )
        if NOWHERE not in cells[:5]:
            self._calls[labels] = cells
        return cells
