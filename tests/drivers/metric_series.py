"""Series as they are written on the page, by what they are of; and metrics of a small catalog."""

from typing import Any, Final

from gateway.core import events
from gateway.core.accounts import Account
from gateway.core.catalog import (
    Cache,
    Catalog,
    Check,
    Deployment,
    Model,
    Route,
    Tactic,
    Tenant,
    Tier,
    TierModel,
)
from gateway.core.chat import Usage
from gateway.core.money import Price
from gateway.drivers.metrics.prometheus import Metrics
from tests.usage_lines import record

WHO: Final = events.About("r1", "acme", "auto", stream=False)
STREAMED: Final = events.About("r1", "acme", "auto", stream=True)
FIVE: Final = Usage(prompt=70, completion=20, cached=5, cache_write=3, reasoning=2)


def settled(
    cost: int, usage: Usage, about: events.About = WHO, why: str = "", **more: Any
) -> events.Settled:
    call = record("h", held=1000, cost=cost, usage=usage, seconds=0.5, **more)
    return events.Settled(about, call, why)


def ended(outcome: str, code: str = "", stream: str = "false") -> str:
    labels = f'code="{code}",outcome="{outcome}",route="auto",stream="{stream}",tenant="acme"'
    return f"gateway_requests_total{{{labels}}}"


def one(name: str, seconds: float, labels: str = "") -> dict[str, float]:
    return {f"{name}_sum{labels}": seconds, f"{name}_count{labels}": 1}


CALL = 'model="small",outcome="ok",provider="sim",purpose="answer",tier="cheap"'
COST = 'gateway_cost_usd_total{model="small",purpose="answer",tenant="acme",tier="cheap"}'
FOR = '{route="auto",stream="false"}'
AT = '{model="small",provider="sim"}'


def given(reason: str) -> str:
    return f'gateway_answers_total{{reason="{reason}",route="auto",tier="cheap"}}'


def first_token(judged: str) -> str:
    return f'{{judged="{judged}",model="small",provider="sim",route="auto"}}'


def tokens(kind: str) -> str:
    return f'gateway_tokens_total{{model="small",provider="sim",type="{kind}"}}'


def decided(decision: str, scope: str, meter: str) -> str:
    labels = f'decision="{decision}",meter="{meter}",scope="{scope}",tenant="acme"'
    return f"gateway_budget_decisions_total{{{labels}}}"


def budget(name: str, meter: str, per: str, mode: str, scope: str = "tenant") -> str:
    labels = f'meter="{meter}",mode="{mode}",per="{per}",scope="{scope}",tenant="acme"'
    return f"gateway_budget_{name}{{{labels}}}"


def read(meter: str, per: str, mode: str, *values: float) -> dict[str, float]:
    names = ("limit", "spent", "held")
    told = {budget(name, meter, per, mode): v for name, v in zip(names, values, strict=True)}
    return {name: value for name, value in told.items() if value}


def warned(scope: str, meter: str, per: str, mode: str, percent: str) -> str:
    which = f'meter="{meter}",mode="{mode}",per="{per}",percent="{percent}"'
    labels = f'{which},scope="{scope}",tenant="acme"'
    return f"gateway_budget_warnings_total{{{labels}}}"


def shadow(scope: str, meter: str) -> str:
    labels = f'meter="{meter}",scope="{scope}",tenant="acme"'
    return f"gateway_budget_shadow_refusals_total{{{labels}}}"


def by_tag(kind: str, tag: str, value: str, more: str = "") -> str:
    return f'gateway_tag_{kind}_total{{tag="{tag}",tenant="acme"{more},value="{value}"}}'


NOON: Final = 1_790_078_400.0
"""Of a day, and of a day of the week's: 12 hours are gone, by UTC."""


def spent_at(meter: str, per: str, mode: str, scope: str = "tenant") -> str:
    return budget("projected_exhaustion_timestamp_seconds", meter, per, mode, scope)


def of_call(part: float, purpose: str = "answer") -> dict[str, float]:
    """Of any call: that it was made, how long it took, and which part of its hold it cost."""
    return {
        f"gateway_upstream_attempts_total{{{CALL.replace('answer', purpose)}}}": 1,
        **one("gateway_upstream_duration_seconds", 0.5, AT),
        'gateway_settle_ratio_count{model="small"}': 1,
        **({'gateway_settle_ratio_sum{model="small"}': part} if part else {}),
    }


def climbed(what: str) -> str:
    return f'gateway_always_smart_{what}_usd_total{{route="climbing",tenant="acme"}}'


CLIMBING: Final = events.About("r1", "acme", "climbing", stream=False)
OWN: Final = Account("tenant", "acme", (), "acme")
ADA: Final = Account("user", "ada", (), "acme")
TAGGED: Final = events.About("r1", "acme", "auto", stream=False, tags={"use_case": "rag", "x": "y"})
TAGS: Final = {"use_case": ("rag", "chat"), "team": ("a",), "project": ()}


PRICES: Final = (Price(1_000, 2_000, 0, 0), Price(3_000_000, 15_000_000, 0, 0))
MODELS: Final = {
    name: Model(name, (Deployment(f"sim/{name}", "sim", name),), price, 9_000, 9_000, 900)
    for name, price in zip(("small", "large"), PRICES, strict=True)
}
SQL: Final = (Check("sql"),)
CATALOG: Final = Catalog(
    MODELS,
    {"cheap": Tier("cheap", (TierModel("small"),)), "smart": Tier("smart", (TierModel("large"),))},
    {
        "climbing": Route("climbing", ("cheap", "smart"), checks=SQL),
        "flat": Route("flat", ("cheap",)),
        "votes": Route("votes", ("cheap", "smart"), Tactic("vote"), cache=Cache()),
    },
)


def counting(**more: Any) -> Metrics:
    given = {"catalog": CATALOG, "wall": lambda: NOON, **more}
    return Metrics([Tenant("acme")], ["small@sim"], **given)


def samples(text: bytes) -> dict[str, float]:
    """The values of all lines but of buckets and of our processes."""
    lines = [line.rpartition(" ") for line in text.decode().splitlines() if line[0] != "#"]
    told = {name: float(value) for name, _, value in lines}
    assert len(told) == len(lines), "a series is told twice"
    return {
        name: value
        for name, value in told.items()
        if "_bucket" not in name and not name.startswith("process_")
    }
