"""`tollgate cost compare`: a mix of models against each model alone, and self-hosted ones."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from rich.console import Console

from gateway.commands.cost_estimate import (
    CostOptions,
    PriceContext,
    describe,
    format_of,
    load_of,
    title_of,
)
from gateway.commands.cost_machines import OwnMachines, OwnMachinesOptions, own_machines, own_row
from gateway.commands.cost_models import ModelLookup
from gateway.commands.cost_options import MAX_REQUESTS, parse_int, parse_mix, percent
from gateway.commands.cost_prices import (
    STATED,
    Priced,
    cheapest,
    instants,
)
from gateway.commands.cost_report import Row, as_csv, as_json, note_lines, say, show
from gateway.commands.cost_usage import RecordedUsage, read_recorded_usage
from gateway.commands.wrong_option import WrongOption
from gateway.core.calculator import (
    Load,
    break_even,
    month,
    one_call,
    one_mixed,
    one_request,
    spread,
)
from gateway.core.usage import Usage

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


class Comparison(Struct, frozen=True):
    """What is compared. `completion` is the mean number of tokens of an answer."""

    requests: int
    completion: Fraction
    mix: Side
    alone: Sequence[Side]
    parts: Sequence[Row]
    heads: Mapping[str, str]
    """The column titles of `parts`."""
    title: str
    fields: Mapping[str, Any]
    remarks: Sequence[str] = ()


def compare(
    options: CostOptions,
    mix: Sequence[str],
    usage: Sequence[Path],
    own_options: OwnMachinesOptions,
    context: PriceContext,
    console: Console,
) -> str | None:
    """The text to print, None if the console has it. Raises WrongOption and ConfigError."""
    form, places = format_of(options)
    if bool(mix) == bool(usage):
        raise WrongOption(
            "--mix", "or --usage is needed, and not both: the mix as shares, or as recorded"
        )
    minutes = instants(options.hours, options.zone, context.now)
    lookup = ModelLookup(options, context, minutes)
    comparison = (
        _recorded_mix(options, usage, lookup) if usage else _planned_mix(options, mix, lookup)
    )
    own = own_machines(own_options, comparison.completion, comparison.requests)
    rows = _rows(comparison, own)
    if form == "csv":
        return as_csv(rows)
    if form == "json":
        results = {
            "parts": comparison.parts,
            "compared": rows,
            "own_machines": own and own.describe(),
        }
        return as_json({**comparison.fields, **results})
    show(f"the mix: {comparison.title}", comparison.heads, comparison.parts, places, console)
    table = [{**rows[0], "model": "as above"}, *rows[1:]]
    heads = {**_HEADS, **(_EVEN if own else {})}
    show(f"{comparison.requests:,} requests a month", heads, table, places, console)
    for line in [
        *note_lines([*comparison.parts, *rows]),
        *comparison.remarks,
        *(own.remarks() if own else ()),
    ]:
        say(line, console)
    return None


def _planned_mix(options: CostOptions, mix: Sequence[str], lookup: ModelLookup) -> Comparison:
    load, planned = load_of(options), parse_mix("--mix", mix)

    def cost(priced: Priced) -> Fraction:
        return one_request(priced.rates(load.prompt, lookup.minutes), load)

    calls = spread(planned)
    chosen = {name: cheapest(lookup.hosts("--mix", name), cost) for name in calls}
    each = {name: cost(priced) for name, priced in chosen.items()}
    alone = dict.fromkeys(
        cheapest(hosts, cost) for hosts in lookup.to_compare("--mix", list(calls))
    )
    paths = " ".join(f"{'+'.join(climb.models)}={percent(climb.share)}" for climb in planned)
    return Comparison(
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
        title=title_of(load),
        fields=describe(load, options),
    )


def _recorded_mix(options: CostOptions, paths: Sequence[Path], lookup: ModelLookup) -> Comparison:
    """What the recorded requests cost, and would have cost at each model alone."""
    for option, text, default in (
        ("--input", options.prompt, ""),
        ("--output", options.completion, ""),
        ("--cache-hit", options.cached, "0"),
        ("--cache-write", options.cache_write, "0"),
        ("--batch", options.batch, "0"),
    ):
        if text != default:
            raise WrongOption(option, "goes with --mix: --usage says it of each request")
    found = read_recorded_usage(paths)
    if options.requests:
        requests = parse_int("--requests", options.requests, 1, MAX_REQUESTS)
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
        total = (one_call(priced.rates(start, lookup.minutes), usage) for start, usage in parts)
        return sum(total, Fraction(0)) / len(found.answers)

    seen = dict.fromkeys(model for _, model, _ in found.calls)
    known = [name for name in seen if lookup.knows(name)]
    unknown = [] if options.models else [name for name in seen if name not in known]
    alone = [cheapest(hosts, cost) for hosts in lookup.to_compare("--usage", known)]
    completion = Fraction(sum(u.completion for u in found.answers), len(found.answers))
    return Comparison(
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
        fields={
            "requests": requests,
            "recorded_requests": found.requests,
            "recorded_answers": len(found.answers),
            "recorded_usd": found.cost,
            "mean_output_tokens": completion,
            "records_twice": found.duplicates,
            "files_torn": found.truncated,
            "not_compared": unknown,
        },
        remarks=_remarks(found, unknown),
    )


def _remarks(found: RecordedUsage, unknown: Sequence[str]) -> list[str]:
    remarks = []
    if unknown:
        remarks.append(f"not compared, for want of a price here: {', '.join(unknown)}")
    if failed := found.requests - len(found.answers):
        remarks.append(f"without an answer: {failed:,} requests, which only the mix pays for")
    if beside := sum(map(_is_beside_text, found.answers)):
        remarks.append(
            f"with sound, images or searches of the web: {beside:,} answers; what those cost is in"
            " the mix, and each model alone is priced by text"
        )
    if reported := sum(bool(usage.reported_cost) for usage in found.answers):
        remarks.append(
            f"whose provider says what they cost: {reported:,} answers; that is in the mix, and"
            " each model alone is at its price"
        )
    if found.duplicates:
        remarks.append(f"records that came twice, and count once: {found.duplicates:,}")
    if found.truncated:
        remarks.append(f"files that end within a line, which is left out: {found.truncated:,}")
    return remarks


def _is_beside_text(usage: Usage) -> bool:
    sound = usage.audio_prompt or usage.audio_completion
    return bool(sound or usage.image_completion or usage.searches)


def _rows(comparison: Comparison, own: OwnMachines | None) -> Sequence[Row]:
    """The mix, then each model alone, the cheapest first, then own machines."""
    sides = [comparison.mix, *sorted(comparison.alone, key=lambda side: (side.request, side.model))]
    rows = [_row(side, comparison, own) for side in sides]
    if own:
        paid = month(comparison.mix.request, comparison.requests)
        rows.append(own_row(own, comparison.requests, paid))
    return rows


def _row(side: Side, comparison: Comparison, own: OwnMachines | None) -> dict[str, Any]:
    return {
        "what": side.what,
        "model": side.model,
        "host": side.host,
        "usd_per_request": side.request,
        "usd_per_month": month(side.request, comparison.requests),
        "mix_saves": share_saved(comparison.mix.request, side.request)
        if side.what != _MIX
        else None,
        "own_machines_from": own and break_even(own.machines, own.room, side.request),
        "notes": list(side.notes),
    }


def share_saved(mix: Fraction, other: Fraction) -> str | None:
    """As a share of what the other costs; negative where the mix costs more."""
    return percent((other - mix) / other) if other else None
