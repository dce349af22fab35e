"""What a provider says that a call costs: some put it into the usage, each in its own way.

`cost`, in US dollars, is all that OpenRouter charges to its account, and gateways that imitate it
have the same. Where that account has a key of the model's own provider (`is_byok`), the provider
bills `cost_details.upstream_inference_cost` beside it. Perplexity's `cost` is an object: its
`total_cost` has the fee of the request in it. xAI counts ticks, its tools with them. DeepInfra's
`estimated_cost` is by the service tier. A gateway like this one has `gateway.cost_usd`.
Sources: openrouter.ai/docs (Usage Accounting), docs.x.ai (Cost Tracking), BerriAI/litellm#17887,
#38802 and #39069.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from gateway.core.money import nanos

MOST_USD: Final = 1_000
"""From here on an amount is taken for a mistake: no call costs so much."""
TICKS: Final = 10**10
"""Of xAI's, in a dollar."""
FIELDS: Final = (
    "cost", "cost_currency", "cost_details", "cost_in_usd_ticks", "currency", "estimated_cost",
    "gateway", "is_byok",
)  # fmt: skip
"""Of a usage, that are looked at here."""
_DOLLARS: Final = (None, "USD", "usd")


def reported_cost(usage: Mapping[str, Any]) -> int:
    """Nano-dollars, rounded up, from a decoded usage: the largest amount where it has several, and
    0 where it has none, or none that can be believed. So 0 is as good as no amount: some send it
    where they do not know.
    """
    if not (_in_dollars(usage.get("currency")) and _in_dollars(usage.get("cost_currency"))):
        return 0
    found = usage.get("cost")
    if isinstance(found, Mapping):
        found = found.get("total_cost") if _in_dollars(found.get("currency")) else None
    cost = _nanos(found)
    details, ours = usage.get("cost_details"), usage.get("gateway")
    if usage.get("is_byok") is True and isinstance(details, Mapping):
        cost += _nanos(details.get("upstream_inference_cost"))
    return max(
        cost,
        _nanos(usage.get("cost_in_usd_ticks"), TICKS),
        _nanos(usage.get("estimated_cost")),
        _nanos(ours.get("cost_usd")) if isinstance(ours, Mapping) else 0,
    )


def _in_dollars(currency: Any) -> bool:
    """Some say which it is; nobody knows here what others are worth."""
    return currency in _DOLLARS


def _nanos(value: Any, a_dollar: int = 1) -> int:
    """An amount, of which so many make a dollar, as nano-dollars; 0 for what is none. The last
    digits of a float may come from adding up, and must not round it up.
    """
    if type(value) not in (int, float) or not 0 < value < MOST_USD * a_dollar:
        return 0
    exact = Decimal(f"{value:.15g}") if type(value) is float else Decimal(value)
    return nanos(exact / a_dollar)
