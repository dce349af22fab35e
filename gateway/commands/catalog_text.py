"""What `tollgate catalog` prints: a line for each host, or everything about one model."""

from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, Final, Literal

from rich.console import Console
from rich.table import Table

_BRIEF: Final = ("model", "tokens", "host", "in", "out", "notes")
_WIDE: Final = (
    "model", "tokens", "longest", "knows until", "answers", "can", "host", "regions", "in",
    "cached", "written", "out", "batch", "price from", "as of", "notes",
)  # fmt: skip
_NUMBERS: Final = frozenset({"tokens", "longest", "in", "cached", "written", "out"})
_NO_WRAP: Final = frozenset({"model", "tokens", "host", "in", "out"})
"""Columns that never wrap: with the longest prices they leave the notes 19 of 80 columns."""
_UNLIMITED: Final = 10_000
_THOUSAND: Final = 1_000


def console_for(file: IO[str], width: int | None) -> Console:
    """`width` is that of a terminal; None, as for a pipe, is as wide as needed."""
    return Console(file=file, width=_UNLIMITED if width is None else width, highlight=False)


def show(found: Sequence[dict[str, Any]], console: Console, *, wide: bool = False) -> None:
    """A line for each host. Long cells wrap: nothing is cut."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    heads = _WIDE if wide else _BRIEF
    for head in heads:
        justify: Literal["left", "right"] = "right" if head in _NUMBERS else "left"
        table.add_column(head, justify=justify, overflow="fold", no_wrap=head in _NO_WRAP)
    for model in found:
        own, about = _model_cells(model, wide=wide), _model_notes(model, wide=wide)
        for host in model["hosts"]:
            notes = "; ".join([*about, *_host_notes(host, wide=wide)])
            cells = {**own, **_host_cells(host), "notes": notes}
            table.add_row(*(cells.get(head, "") for head in heads))
            own, about = {}, []
    console.print(table, markup=False)
    hosts = [host for model in found for host in model["hosts"]]
    lacking = sum(not host["configured"] for host in hosts)
    lacking_note = f"; {lacking} hosts need variables that are not set" if lacking else ""
    console.print("\nPrices: USD per million tokens, for a short prompt at the dearest hour.")
    console.print(f"{len(found)} models, {len(hosts)} hosts{lacking_note}")


def detail(model: dict[str, Any]) -> Iterator[str]:
    """All that is known of one model, line by line."""
    deprecation = model["deprecated"]
    fields = {
        "context": f"{_tokens(model['context'])} tokens published, "
        f"{_tokens(model['usable_context'])} trusted",
        "longest answer": _tokens(model["max_output"]),
        "can": ", ".join(model["capabilities"]),
        "knows until": model["cutoff"],
        "answers": model["latency"],
        "tokens": f"up to {model['token_factor']:g} where others make one of a text",
        "deprecated": f"since {deprecation['since']}: use {deprecation['use_instead']}"
        if deprecation
        else "no",
    }
    yield model["model"]
    yield from _lines("  ", fields)
    for host in model["hosts"]:
        yield f"  at {host['provider']}, as {host['upstream']}"
        yield from _lines("    ", _host_fields(host))


def _host_fields(host: dict[str, Any]) -> dict[str, str | None]:
    fields = {
        "regions": ", ".join(host["regions"]) or None,
        "needs": ", ".join(host["lacks"]) or "nothing more",
        "price": host["price"] and f"USD per million tokens: {_price_text(host['price'])}",
    }
    if fee := host.get("search_fee"):
        unit = "calls that search" if fee["per"] == "call" else "searches"
        fields["searches"] = f"{_plain(fee['usd_per_thousand'])} USD for a thousand {unit}"
    for step in host["steps"]:
        above = f"above {_tokens(step['above'])}"
        fields[above] = f"prompts of more tokens, the whole call: {_price_text(step)}"
    for window in host["windows"]:
        hours = f"{window['hours']} {window['zone']}"
        fields[hours] = _price_text(window["price"])
        for step in window["steps"]:
            fields[f"{hours} above {_tokens(step['above'])}"] = _price_text(step)
    fields["batch"] = host["batch"] and f"{host['batch']} of the price"
    fields["price from"] = host["price_from"]
    fields["source"] = host["source"]
    fields["as of"] = host["as_of"]
    fields["doubts"] = "; ".join(host["doubts"]) or "none"
    return fields


def _lines(indent: str, fields: Mapping[str, str | None]) -> Iterator[str]:
    width = max(map(len, fields)) + 2
    for name, text in fields.items():
        yield f"{indent}{name:<{width}}{text or 'not stated'}"


def _price_text(price: Mapping[str, Any]) -> str:
    read, write = _plain(price["cached_input"]), _plain(price["cache_write"])
    text = (
        f"{_plain(price['input'])} in, {_plain(price['output'])} out, "
        f"{read} cached, {write} cache write"
    )
    if "audio_input" in price:
        text += f"; of sound {_plain(price['audio_input'])} in, {_plain(price['audio_output'])} out"
        text += f", {_plain(price['audio_cached_input'])} cached"
    if "image_output" in price:
        text += f"; of images {_plain(price['image_output'])} out"
    return text


def _model_cells(model: dict[str, Any], *, wide: bool) -> dict[str, str]:
    sizes = dict.fromkeys((model["usable_context"], model["context"]))
    thousands = [f"{size // _THOUSAND:,}k" for size in sizes if size]
    return {
        "model": model["model"],
        "tokens": (" of ".join(thousands) if wide else "".join(thousands[:1])) or "?",
        "longest": _tokens(model["max_output"]),
        "knows until": model["cutoff"] or "?",
        "answers": model["latency"] or "?",
        "can": ", ".join(model["capabilities"]),
    }


def _host_cells(host: dict[str, Any]) -> dict[str, str]:
    price = host["price"] or {}
    return {
        "host": host["provider"],
        "regions": ", ".join(host["regions"]),
        "in": _plain(price.get("input")),
        "out": _plain(price.get("output")),
        "cached": _plain(price.get("cached_input")),
        "written": _plain(price.get("cache_write")),
        "batch": host["batch"] or "",
        "price from": host["price_from"],
        "as of": host["as_of"] or "",
    }


def _model_notes(model: dict[str, Any], *, wide: bool) -> list[str]:
    deprecation, notes = model["deprecated"], []
    if deprecation:
        notes.append(f"deprecated: use {deprecation['use_instead']}" if wide else "deprecated")
    if model["token_factor"] != 1:
        notes.append(f"tokens x {model['token_factor']:g}")
    return notes


def _host_notes(host: dict[str, Any], *, wide: bool) -> list[str]:
    notes = list(host["doubts"])
    for step in host["steps"]:
        price = f"{_plain(step['input'])} / {_plain(step['output'])}"
        notes.append(f"{price} above {step['above'] // _THOUSAND:,}k")
    if host["windows"] and wide:
        notes.append("other prices at " + ", ".join(w["hours"] for w in host["windows"]))
    elif host["windows"]:
        notes.append("by the hour")
    if host["lacks"] and wide:
        notes.append(f"needs {', '.join(host['lacks'])}")
    return notes


def _tokens(size: int | None) -> str:
    return "?" if size is None else f"{size:,}"


def _plain(rate: Any) -> str:
    return "?" if rate is None else bytes(rate).decode()
