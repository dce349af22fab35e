"""What a panel is: its title, what it says, its unit, and what it asks; and parts of questions."""

from typing import Final, Literal

from msgspec import Struct


class Panel(Struct, frozen=True):
    """`queries` are PromQL and the legend of each."""

    title: str
    description: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: Literal["timeseries", "stat", "state-timeline"] = "timeseries"
    stacked: bool = False
    below_0: bool = False
    width: int = 8


class Row(Struct, frozen=True):
    title: str
    panels: tuple[Panel, ...]


class Board(Struct, frozen=True):
    """`name` is that of the file."""

    name: str
    title: str
    description: str
    rows: tuple[Row, ...]


TENANT: Final = 'tenant=~"$tenant"'
FAILED: Final = (
    'outcome=~"unreachable|reset|timed_out|throttled|overloaded|faulty|broken|misconfigured"'
)


def rate(name: str, of: str = "", by: str = "") -> str:
    labels = f"{{{of}}}" if of else ""
    grouped = f"sum by ({by}) " if by else "sum"
    return f"{grouped}(rate({name}{labels}[$__rate_interval]))"


def part(of: str, whole: str) -> str:
    return f"{of} / ({whole} > 0)"


def or_0(rated: str, beside: str) -> str:
    """A rate that is 0 where nothing of the kind has happened yet."""
    return f"({rated} or 0 * {beside})"


def quantiles(name: str, *which: float, by: str = "", of: str = "") -> tuple[tuple[str, str], ...]:
    labels = f"{{{of}}}" if of else ""
    grouped, legend = ("le, " + by, f" {{{{{by}}}}}") if by else ("le", "")
    return tuple(
        (
            (
                f"histogram_quantile({q}, sum by ({grouped}) "
                f"(rate({name}_bucket{labels}[$__rate_interval])))"
            ),
            f"p{q * 100:g}{legend}",
        )
        for q in which
    )


REQUESTS: Final = rate("gateway_requests_total", TENANT)
REPLIED: Final = rate("gateway_requests_total", 'outcome="replied"')
COST: Final = "gateway_cost_usd_total"
ALONE: Final = "gateway_always_smart_cost_usd_total"
MIXED: Final = "gateway_always_smart_actual_usd_total"
USED: Final = (
    '(gateway_budget_spent{scope=~"tenant|organisation",' + TENANT + "}"
    ' + gateway_budget_held{scope=~"tenant|organisation",' + TENANT + "})"
    ' / (gateway_budget_limit{scope=~"tenant|organisation",' + TENANT + "} > 0)"
)
BUDGET: Final = "{{tenant}} {{meter}} per {{per}} ({{mode}})"
