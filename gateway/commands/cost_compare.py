"""`tollgate cost compare`: a mix of models against each alone, and one's own machines."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from rich.console import Console

from gateway.commands.cost_estimate import (
    Asked,
    Scene,
    described,
    form_of,
    load_of,
    titled,
)
from gateway.commands.cost_machines import Own, OwnAsked, own_of, own_row
from gateway.commands.cost_models import Shop
from gateway.commands.cost_options import MAX_REQUESTS, climbs, percent, whole
from gateway.commands.cost_prices import (
    STATED,
    Priced,
    cheapest,
    instants,
)
from gateway.commands.cost_report import Row, as_csv, as_json, noted, say, show
from gateway.commands.cost_usage import Recorded, recorded
from gateway.commands.wrong_option import Wrong
from gateway.core.calculator import (
    Load,
    break_even,
    month,
    one_call,
    one_mixed,
    one_request,
    spread,
)

_PARTS: Final = {
    "model": "model",
    "host": "host",
    "calls": "calls a month",
    "usd_per_month": "USD a month",
}
_RECORDED: Final = {
    "tier": "tier",
    "model": "model",
    "purpose": "purpose",
    "calls": "calls",
    "usd": "USD",
}
_HEADS: Final = {
    "what": "what",
    "model": "model",
    "host": "host",
    "usd_per_request": "USD a request",
    "usd_per_month": "USD a month",
    "mix_saves": "the mix saves",
}
_EVEN: Final = {"own_machines_from": "own machines from"}
_MIX, _ALONE = "mix", "alone"


class Side(Struct, frozen=True):
    """One way of answering; `request` is what one costs on average, in nano-dollars."""

    what: str
    model: str
    host: str
    request: Fraction
    notes: Sequence[str] = ()


class Scales(Struct, frozen=True):
    """What is weighed. `completion` is the mean of an answer's tokens."""

    requests: int
    completion: Fraction
    mix: Side
    alone: Sequence[Side]
    parts: Sequence[Row]
    heads: Mapping[str, str]
    """Of the parts."""
    title: str
    described: Mapping[str, Any]
    remarks: Sequence[str] = ()


def compare(
    asked: Asked,
    mix: Sequence[str],
    usage: Sequence[Path],
    own_asked: OwnAsked,
    scene: Scene,
    console: Console,
) -> str | None:
    """The text to print, or None when the console has it. Raises Wrong, ConfigError."""
    form, places = form_of(asked)
    if bool(mix) == bool(usage):
        raise Wrong(
            "--mix", "or --usage is needed, and not both: the mix as shares, or as recorded"
        )
    minutes = instants(asked.hours, asked.zone, scene.now)
    shop = Shop(asked, scene, minutes)
    scales = _recorded(asked, usage, shop) if usage else _planned(asked, mix, shop)
    own = own_of(own_asked, scales.completion, scales.requests)
    rows = _rows(scales, own)
    if form == "csv":
        return as_csv(rows)
    if form == "json":
        told = {"parts": scales.parts, "compared": rows, "own_machines": own and own.described()}
        return as_json({**scales.described, **told})
    show(f"the mix: {scales.title}", scales.heads, scales.parts, places, console)
    shown = [{**rows[0], "model": "as above"}, *rows[1:]]
    heads = {**_HEADS, **(_EVEN if own else {})}
    show(f"{scales.requests:,} requests a month", heads, shown, places, console)
    for line in [*noted([*scales.parts, *rows]), *scales.remarks, *(own.remarks() if own else ())]:
        say(line, console)
    return None


def _planned(asked: Asked, mix: Sequence[str], shop: Shop) -> Scales:
    load, planned = load_of(asked), climbs("--mix", mix)

    def cost(priced: Priced) -> Fraction:
        return one_request(priced.rates(load.prompt, shop.minutes), load)

    calls = spread(planned)
    chosen = {name: cheapest(shop.hosts("--mix", name), cost) for name in calls}
    each = {name: cost(priced) for name, priced in chosen.items()}
    alone = dict.fromkeys(cheapest(hosts, cost) for hosts in shop.to_compare("--mix", list(calls)))
    paths = " ".join(f"{'+'.join(climb.models)}={percent(climb.share)}" for climb in planned)
    return Scales(
        requests=load.requests,
        completion=Fraction(load.completion),
        mix=Side(_MIX, paths, "", one_mixed(planned, each)),
        alone=[Side(_ALONE, p.model, p.host or STATED, cost(p), p.remarks(load)) for p in alone],
        parts=[
            {
                "model": chosen[name].model,
                "host": chosen[name].host or STATED,
                "calls": round(share * load.requests),
                "usd_per_month": month(each[name] * share, load.requests),
                "notes": chosen[name].remarks(load),
            }
            for name, share in calls.items()
        ],
        heads=_PARTS,
        title=titled(load),
        described=described(load, asked),
    )


def _recorded(asked: Asked, paths: Sequence[Path], shop: Shop) -> Scales:
    """What each request of the record would have cost elsewhere, by its answer's tokens."""
    for option, text, usual in (
        ("--input", asked.prompt, ""),
        ("--output", asked.completion, ""),
        ("--cache-hit", asked.cached, "0"),
        ("--cache-write", asked.cache_write, "0"),
        ("--batch", asked.batch, "0"),
    ):
        if text != usual:
            raise Wrong(option, "goes with --mix: --usage says it of each request")
    found = recorded(paths)
    if asked.requests:
        requests = whole("--requests", asked.requests, 1, MAX_REQUESTS)
    else:
        requests = found.requests
    longest = Load(
        1,
        max(u.prompt for u in found.answers),
        max(u.completion for u in found.answers),
        Fraction(int(any(u.cached for u in found.answers))),
    )

    def cost(priced: Priced) -> Fraction:
        starts = [0, *(step.above + 1 for step in priced.tariff.rises())]
        parts = found.by_length(starts).items()
        total = (one_call(priced.rates(start, shop.minutes), usage) for start, usage in parts)
        return sum(total, Fraction(0)) / len(found.answers)

    seen = dict.fromkeys(model for _, model, _ in found.calls)
    known = [name for name in seen if shop.knows(name)]
    unknown = [] if asked.models else [name for name in seen if name not in known]
    alone = [cheapest(hosts, cost) for hosts in shop.to_compare("--usage", known)]
    completion = Fraction(sum(u.completion for u in found.answers), len(found.answers))
    return Scales(
        requests=requests,
        completion=completion,
        mix=Side(_MIX, "as recorded", "", Fraction(found.cost, found.requests)),
        alone=[Side(_ALONE, p.model, p.host or STATED, cost(p), p.remarks(longest)) for p in alone],
        parts=[
            {
                "tier": tier,
                "model": model,
                "purpose": purpose,
                "calls": each.count,
                "usd": each.cost,
            }
            for (tier, model, purpose), each in found.calls.items()
        ],
        heads=_RECORDED,
        title=f"{found.requests:,} recorded requests",
        described={
            "requests": requests,
            "recorded_requests": found.requests,
            "recorded_answers": len(found.answers),
            "recorded_usd": found.cost,
            "mean_output_tokens": completion,
            "records_twice": found.twice,
            "files_torn": found.torn,
            "not_compared": unknown,
        },
        remarks=_remarks(found, unknown),
    )


def _remarks(found: Recorded, unknown: Sequence[str]) -> list[str]:
    remarks = []
    if unknown:
        remarks.append(f"not compared, for want of a price here: {', '.join(unknown)}")
    if failed := found.requests - len(found.answers):
        remarks.append(f"without an answer: {failed:,} requests, which only the mix pays for")
    if found.twice:
        remarks.append(f"records that came twice, and count once: {found.twice:,}")
    if found.torn:
        remarks.append(f"files that end within a line, which is left out: {found.torn:,}")
    return remarks


def _rows(scales: Scales, own: Own | None) -> Sequence[Row]:
    """The mix, then each alone, the cheapest first, then machines of one's own."""
    sides = [scales.mix, *sorted(scales.alone, key=lambda side: (side.request, side.model))]
    rows = [_row(side, scales, own) for side in sides]
    if own:
        paid = month(scales.mix.request, scales.requests)
        rows.append(own_row(own, scales.requests, paid))
    return rows


def _row(side: Side, scales: Scales, own: Own | None) -> dict[str, Any]:
    return {
        "what": side.what,
        "model": side.model,
        "host": side.host,
        "usd_per_request": side.request,
        "usd_per_month": month(side.request, scales.requests),
        "mix_saves": saved(scales.mix.request, side.request) if side.what != _MIX else None,
        "own_machines_from": own and break_even(own.machines, own.room, side.request),
        "notes": list(side.notes),
    }


def saved(mix: Fraction, other: Fraction) -> str | None:
    """Of what the other would cost; negative where the mix is dearer."""
    return percent((other - mix) / other) if other else None
