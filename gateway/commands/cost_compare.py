"""`tollgate cost compare`: a mix of models against each alone, and one's own machines."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from rich.console import Console

from gateway.commands.catalog import shipped
from gateway.commands.cost_estimate import (
    Asked,
    Scene,
    described,
    form_of,
    load_of,
    shelf_of,
    titled,
)
from gateway.commands.cost_machines import Own, OwnAsked, own_of, own_row
from gateway.commands.cost_options import MAX_REQUESTS, Wrong, climbs, percent, whole
from gateway.commands.cost_prices import (
    STATED,
    Catalog,
    Priced,
    Wanted,
    cheapest,
    instants,
    stated_prices,
)
from gateway.commands.cost_report import Row, as_csv, as_json, noted, say, show
from gateway.commands.cost_usage import Recorded, recorded
from gateway.config.faults import did_you_mean, quoted
from gateway.config.shelf import load_tiers
from gateway.core.calculator import (
    Climb,
    Load,
    break_even,
    month,
    one_call,
    one_mixed,
    one_request,
    spread,
)

_PARTS: Final = {"model": "model", "host": "host", "calls": "calls a month",
                 "usd_per_month": "USD a month"}  # fmt: skip
_RECORDED: Final = {"tier": "tier", "model": "model", "purpose": "purpose", "calls": "calls",
                    "usd": "USD"}  # fmt: skip
_HEADS: Final = {"what": "what", "model": "model", "host": "host",
                 "usd_per_request": "USD a request", "usd_per_month": "USD a month",
                 "mix_saves": "the mix saves"}  # fmt: skip
_EVEN: Final = {"own_machines_from": "own machines from"}
_MIX: Final = "mix"


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
    shop = _Shop(asked, scene, minutes)
    scales = _recorded(asked, usage, shop) if usage else _planned(asked, mix, shop)
    own = own_of(own_asked, scales.completion, scales.requests)
    rows = _rows(scales, own)
    if form == "csv":
        return as_csv(rows)
    if form == "json":
        return as_json({**scales.described, "parts": scales.parts, "compared": rows,
                        "own_machines": own and own.described()})  # fmt: skip
    show(f"the mix: {scales.title}", scales.heads, scales.parts, places, console)
    shown = [{**rows[0], "model": "as above"}, *rows[1:]]
    heads = {**_HEADS, **(_EVEN if own else {})}
    show(f"{scales.requests:,} requests a month", heads, shown, places, console)
    for line in [*noted([*scales.parts, *rows]), *scales.remarks, *(own.remarks() if own else ())]:
        say(line, console)
    return None


class _Shop:
    """Models by the names that options use: stated, of a tier, or of the catalog."""

    def __init__(self, asked: Asked, scene: Scene, minutes: Sequence[float]) -> None:
        self.asked, self.scene, self.minutes = asked, scene, minutes
        self.stated = stated_prices(asked.prices, asked.prices_file, scene.env)
        self._catalog: Catalog | None = None
        self._tiers: Mapping[str, tuple[str, ...]] | None = None

    @property
    def catalog(self) -> Catalog:
        if self._catalog is None:
            self._catalog = shelf_of(self.asked, self.scene)
        return self._catalog

    @property
    def tiers(self) -> Mapping[str, tuple[str, ...]]:
        if self._tiers is None:
            self._tiers = load_tiers(self.asked.config or shipped(), self.scene.env)
        return self._tiers

    def hosts(self, option: str, name: str) -> list[Priced]:
        """A tier is its first model. Raises Wrong."""
        if name in self.stated:
            return [self.stated[name]]
        found = self.catalog.at(name)
        if not found and name in self.tiers:
            return self.hosts(option, self.tiers[name][0])
        found = [each for each in found if self._fits(each)]
        if not found:
            raise Wrong(option, self._unknown(name))
        return found

    def wanted(self, names: Sequence[str]) -> list[list[Priced]]:
        """Those to compare with: `--model`, else these."""
        if not self.asked.models:
            return [self.hosts("--mix", name) for name in names]
        found: dict[str, list[Priced]] = {}
        for name in self.asked.models:
            if name in self.stated:
                found[name] = [self.stated[name]]
            else:
                wanted = Wanted((name,), self.asked.provider, self.asked.region)
                found.update(self.catalog.select(wanted))
        return list(found.values())

    def _fits(self, each: Priced) -> bool:
        asked = self.asked
        return asked.provider in (None, each.host) and (
            asked.region is None or asked.region in each.regions
        )

    def _unknown(self, name: str) -> str:
        if self.catalog.at(name):
            return f"{quoted(name)} is not sold at such a host"
        known = [*self.stated, *self.tiers]
        if hint := did_you_mean(name, known):
            return f"{quoted(name)} is no model and no tier{hint}"
        return self.catalog.unknown(name)


def _planned(asked: Asked, mix: Sequence[str], shop: _Shop) -> Scales:
    load, planned = load_of(asked), climbs("--mix", mix)

    def cost(priced: Priced) -> Fraction:
        return one_request(priced.rates(load.prompt, shop.minutes), load)

    calls = spread(planned)
    chosen = {name: cheapest(shop.hosts("--mix", name), cost) for name in calls}
    each = {name: cost(priced) for name, priced in chosen.items()}
    parts = [
        {
            "model": chosen[name].model,
            "host": chosen[name].host or STATED,
            "calls": month_of(share, load),
            "usd_per_month": month(each[name] * share, load.requests),
            "notes": chosen[name].remarks(load),
        }
        for name, share in calls.items()
    ]
    alone = [cheapest(hosts, cost) for hosts in shop.wanted(list(calls))]
    sides = [
        Side("alone", p.model, p.host or STATED, cost(p), p.remarks(load))
        for p in dict.fromkeys(alone)
    ]
    whole_mix = Side(_MIX, " ".join(_told(c) for c in planned), "", one_mixed(planned, each))
    return Scales(load.requests, Fraction(load.completion), whole_mix, sides, parts, _PARTS,
                  titled(load), described(load, asked))  # fmt: skip


def month_of(share: Fraction, load: Load) -> int:
    """Calls, rounded to a whole one."""
    return round(share * load.requests)


def _told(climb: Climb) -> str:
    return f"{'+'.join(climb.models)}={percent(climb.share)}"


def _recorded(asked: Asked, paths: Sequence[Path], shop: _Shop) -> Scales:
    """What each request of the record would have cost elsewhere, by its answer's tokens."""
    for option, text in (("--input", asked.prompt), ("--output", asked.completion)):
        if text:
            raise Wrong(option, "goes with --mix: --usage says how long requests are")
    for option, text in (("--cache-hit", asked.cached), ("--cache-write", asked.cache_write),
                         ("--batch", asked.batch)):  # fmt: skip
        if text != "0":
            raise Wrong(option, "goes with --mix: --usage says what was cached")
    found = recorded(paths)
    requests = whole("--requests", asked.requests, 1, MAX_REQUESTS) if asked.requests else None
    if not found.answers:
        raise Wrong("--usage", "has no record of an answer to compare with")
    completion = Fraction(sum(u.completion for u in found.answers), len(found.answers))
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

    names = list(dict.fromkeys(model for _, model, _ in found.calls))
    alone = [cheapest(hosts, cost) for hosts in shop.wanted(names)]
    sides = [Side("alone", p.model, p.host or STATED, cost(p), p.remarks(longest)) for p in alone]
    parts = [
        {"tier": tier, "model": model, "purpose": purpose, "calls": c.count, "usd": c.cost}
        for (tier, model, purpose), c in found.calls.items()
    ]
    mix = Side(_MIX, "as recorded", "", Fraction(found.cost, found.requests))
    about = {
        "recorded_requests": found.requests,
        "recorded_answers": len(found.answers),
        "recorded_usd": found.cost,
        "requests": requests or found.requests,
        "mean_output_tokens": completion,
        "records_twice": found.twice,
        "files_torn": found.torn,
    }
    return Scales(requests or found.requests, completion, mix, sides, parts, _RECORDED,
                  f"{found.requests:,} recorded requests", about, _remarks(found))  # fmt: skip


def _remarks(found: Recorded) -> list[str]:
    remarks = []
    if failed := found.requests - len(found.answers):
        remarks.append(f"{failed:,} requests had no answer: the mix paid for them, the rest is of "
                       "those that had one")  # fmt: skip
    if found.twice:
        remarks.append(f"{found.twice:,} records came twice and count once")
    if found.torn:
        remarks.append(f"{found.torn:,} files end within a line, which is left out")
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
