"""`tollgate top`: what a gateway does now, from its `/metrics`.

Counters are read twice; rates are the difference per second. A counter that fell was reset by a
restart, and counts from zero.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

Labels = tuple[tuple[str, str], ...]
_CIRCUITS: Final = {0: "closed", 1: "half open", 2: "open"}
_LEDGER: Final = {0: "answers", 1: "away: local shares", 2: "away: requests are refused"}
_QUANTILES: Final = {"p50_s": 0.5, "p95_s": 0.95}
_HOUR: Final = 3600
_NEARLY: Final = 0.8


class Reading(Struct, frozen=True):
    """The samples of a scrape by name and labels, and when it was made, in seconds of any clock."""

    at: float
    samples: Mapping[str, Mapping[Labels, float]]

    def of(self, name: str) -> Mapping[Labels, float]:
        return self.samples.get(name, {})


def metrics_of(url: str) -> str:
    """The URL of /metrics, also for `localhost:4000` and for the base_url of an SDK. Raises
    ValueError for what is no URL.
    """
    url = url if "://" in url else f"http://{url}"
    at = urlsplit(url)
    if at.scheme not in ("http", "https") or not at.hostname:
        raise ValueError("no URL")
    return at._replace(path="/metrics").geturl() if at.path in ("", "/", "/v1", "/v1/") else url


def read(text: str, at: float) -> Reading:
    """Raises ValueError for what is no Prometheus text."""
    samples: dict[str, dict[Labels, float]] = defaultdict(dict)
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples[sample.name][tuple(sorted(sample.labels.items()))] = sample.value
    except ValueError:  # it quotes what it could not read
        raise ValueError("what answers has no metrics of a gateway") from None
    if not any(name.startswith("gateway_") for name in samples):
        raise ValueError("it has no metrics of a gateway")
    return Reading(at, samples)


def view(now: Reading, before: Reading | None = None) -> dict[str, Any]:
    """What is shown, as JSON values. Without an earlier reading rates are None, and all else is
    since the gateway began.
    """
    span = None if before is None else max(now.at - before.at, 1e-9)

    def increase(name: str) -> dict[Labels, float]:
        earlier = {} if before is None else before.of(name)
        return {at: _increase(value, earlier.get(at, 0.0)) for at, value in now.of(name).items()}

    def rate(amount: float, per: float = 1.0) -> float | None:
        return None if span is None else amount / span * per

    def money(name: str) -> float:
        return math.fsum(now.of(name).values())

    requests, calls = (
        increase("gateway_requests_total"),
        increase("gateway_upstream_attempts_total"),
    )
    tiers = _sum_by(increase("gateway_answers_total"), "tier")
    spent = math.fsum(increase("gateway_cost_usd_total").values())
    would, did = (f"gateway_always_smart_{kind}_usd_total" for kind in ("cost", "actual"))
    return {
        "span_s": span,
        "requests": {
            "per_s": rate(sum(requests.values())),
            "count": int(sum(requests.values())),
            "in_flight": int(sum(now.of("gateway_inflight_requests").values())),
            "outcomes": {key: int(n) for key, n in _sum_by(requests, "outcome").items() if n},
            **_quantiles(increase("gateway_request_duration_seconds_bucket")),
        },
        "money": {
            "usd": spent,
            "usd_per_hour": rate(spent, _HOUR),
            "usd_since_start": money("gateway_cost_usd_total"),
            "saved_usd_since_start": money(would) - money(did),
        },
        "tiers": [
            {"tier": tier, "answers": int(n), "share": n / sum(tiers.values())}
            for tier, n in tiers.items()
            if n
        ],
        "escalations": int(sum(increase("gateway_escalations_total").values())),
        "providers": [
            _provider(provider, ends, span)
            for provider, ends in _group_by(calls, "provider", "outcome")
            if sum(ends.values())
        ],
        "circuits": [
            {"deployment": dict(at)["deployment"], "state": _CIRCUITS.get(int(state), "unknown")}
            for at, state in now.of("gateway_circuit_state").items()
            if state
        ],
        "budgets": list(_budgets(now)),
        "ledger": _LEDGER.get(int(max(now.of("gateway_ledger_mode").values(), default=0)), "?"),
    }  # fmt: skip


_GOOD: Final = frozenset(
    ("ok", "cut", "outrun", "dropped", "shutting_down", "rejected", "unsuitable")
)
"""Ends of calls that are not the provider's fault."""


def _provider(name: str, ends: Mapping[str, float], span: float | None) -> dict[str, Any]:
    calls = sum(ends.values())
    failed = sum(n for end, n in ends.items() if end not in _GOOD)
    per_s = None if span is None else calls / span
    return {"provider": name, "calls": int(calls), "per_s": per_s, "failed": int(failed)}


def _increase(value: float, earlier: float) -> float:
    return value - earlier if value >= earlier else value


def _sum_by(samples: Mapping[Labels, float], label: str) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for at, value in samples.items():
        sums[dict(at).get(label, "")] += value
    return dict(sums)


def _group_by(
    samples: Mapping[Labels, float], one: str, other: str
) -> Iterator[tuple[str, dict[str, float]]]:
    for name in _sum_by(samples, one):
        yield (
            name,
            _sum_by({at: n for at, n in samples.items() if dict(at).get(one) == name}, other),
        )


def _quantiles(buckets: Mapping[Labels, float]) -> dict[str, float | None]:
    """Interpolated within a bucket; in the last one, its lower bound."""
    ladder = sorted((float(le), n) for le, n in _sum_by(buckets, "le").items())
    count = ladder[-1][1] if ladder else 0.0
    return {name: _quantile(ladder, share * count) if count else None
            for name, share in _QUANTILES.items()}  # fmt: skip


def _quantile(ladder: list[tuple[float, float]], rank: float) -> float:
    low, below = 0.0, 0.0
    for high, n in ladder:
        if n >= rank:
            within = 0.0 if math.isinf(high) or n == below else (rank - below) / (n - below)
            return low + (0.0 if math.isinf(high) else (high - low) * within)
        low, below = high, n
    return low


def _budgets(now: Reading) -> Iterator[dict[str, Any]]:
    """The fullest first."""
    spent, held = now.of("gateway_budget_spent"), now.of("gateway_budget_held")
    rows: list[dict[str, Any]] = [
        {**dict(at), "limit": limit, "spent": spent.get(at, 0.0), "held": held.get(at, 0.0),
         "share": (spent.get(at, 0.0) + held.get(at, 0.0)) / limit if limit else 0.0}
        for at, limit in now.of("gateway_budget_limit").items()
        if not math.isnan(limit)  # a reload took it away
    ]  # fmt: skip
    yield from sorted(rows, key=lambda row: -float(row["share"]))


# ---- for a person


def show(figures: Mapping[str, Any], url: str, rows: int = 12) -> RenderableType:
    """Longer tables are cut to so many rows."""
    tables = (
        _table(("tier", "answers", "share"), [
            (each["tier"], f"{each['answers']:,}", f"{each['share']:.0%}")
            for each in figures["tiers"]
        ], rows),
        _table(("provider", "calls", "a second", "failed"), [
            (each["provider"], f"{each['calls']:,}", _number(each["per_s"]), f"{each['failed']:,}")
            for each in figures["providers"]
        ], rows),
        _table(("circuit", "state"), [
            (each["deployment"], each["state"]) for each in figures["circuits"]
        ], rows),
        _table(("budget", "of", "spent", "held", "limit", "full"), [
            (f"{each['meter']} per {each['per']} ({each['mode']})",
             f"{each['scope']} {each['tenant']}", _plain(each["spent"]), _plain(each["held"]),
             _plain(each["limit"]), _full(each["share"]))
            for each in figures["budgets"]
        ], rows),
    )  # fmt: skip
    return Group(_head(figures, url), *(part for each in tables if each for part in (Text(), each)))


def _head(figures: Mapping[str, Any], url: str) -> Text:
    requests, money = figures["requests"], figures["money"]
    since = "since it began" if figures["span_s"] is None else f"in {figures['span_s']:.1f} s"
    outcomes = ", ".join(f"{n:,} {name}" for name, n in requests["outcomes"].items()) or "none"
    flow = f"{_number(requests['per_s'])} a second, {requests['in_flight']:,} in flight"
    began = f"{money['usd_since_start']:,.6f} USD, saved {money['saved_usd_since_start']:,.6f}"
    lines = [
        f"{url}   ledger: {figures['ledger']}",
        f"requests  {flow}; {since}: {outcomes}; {figures['escalations']:,} climbed",
        f"latency   p50 {_number(requests['p50_s'])} s, p95 {_number(requests['p95_s'])} s",
        f"money     {_number(money['usd_per_hour'])} USD an hour; since it began {began}",
    ]
    return Text("\n".join(lines))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.3g}"


def _plain(amount: float) -> str:
    """To a millionth, and never as 9.5e-05."""
    return f"{amount:,.6f}".rstrip("0").rstrip(".")


def _full(share: float) -> Text:
    style = "red" if share >= 1 else "yellow" if share >= _NEARLY else ""
    return Text(f"{share:.0%}", style)


def _table(heads: tuple[str, ...], rows: list[tuple[Any, ...]], most: int) -> Table | None:
    if not rows:
        return None
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, head in enumerate(heads):
        table.add_column(head, justify="left" if i == 0 else "right")
    for row in rows[:most]:
        table.add_row(*row)
    if len(rows) > most:
        table.add_row(f"and {len(rows) - most} more")
    return table
