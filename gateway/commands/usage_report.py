"""What `tollgate usage` found, as a table, CSV or JSON. Amounts are exact to the nano-dollar."""

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table as RichTable

from gateway.commands.cost_report import as_csv, as_json
from gateway.core.money import usd
from gateway.core.records.table import Group, Sums, Table

_HEADS: Final = {
    "requests": "requests",
    "calls": "calls",
    "input_tokens": "tokens in",
    "cached_tokens": "cached",
    "cache_write_tokens": "cache write",
    "output_tokens": "tokens out",
    "reasoning_tokens": "reasoning",
    "cost_usd": "cost USD",
    "counted_share": "counted",
    "cache_hits": "hits",
    "saved_usd": "saved USD",
}
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a spreadsheet's formula begins, which a client may have sent as its user."""


def as_text(table: Table, form: str) -> str:
    """CSV or JSON."""
    rows = [_row(table.by, group, sums) for group, sums in table.rows()]
    if form == "json":
        total = _figures(table.total())
        return as_json({"by": list(table.by), "rows": rows, "total": total})
    if not rows:
        return ",".join([*table.by, *_HEADS])
    return as_csv([{key: _cell(value) for key, value in row.items()} for row in rows])


def show(table: Table, console: Console) -> None:
    rich_table = RichTable(show_footer=True)
    total = table.total()
    for place, column in enumerate(table.by):
        rich_table.add_column(column, footer="" if place else "total")
    for (key, head), figure in zip(_HEADS.items(), _figures(total).values(), strict=True):
        rich_table.add_column(head, footer=_format(key, figure), justify="right", no_wrap=True)
    for group, sums in table.rows():
        names = [name if name.isprintable() else repr(name) for name in group]
        figures = (_format(key, figure) for key, figure in _figures(sums).items())
        rich_table.add_row(*names, *figures)
    console.print(rich_table, highlight=False, markup=False)


def _row(by: Sequence[str], group: Group, sums: Sums) -> dict[str, Any]:
    return {**dict(zip(by, group, strict=True)), **_figures(sums)}


def _figures(sums: Sums) -> dict[str, Any]:
    return {
        "requests": sums.requests,
        "calls": sums.calls,
        "input_tokens": sums.prompt,
        "cached_tokens": sums.cached,
        "cache_write_tokens": sums.cache_write,
        "output_tokens": sums.completion,
        "reasoning_tokens": sums.reasoning,
        "cost_usd": sums.nanos,
        "counted_share": round(sums.counted / sums.calls, 6) if sums.calls else 0.0,
        "cache_hits": sums.hits,
        "saved_usd": sums.saved,
    }


def _format(key: str, figure: float) -> str:
    if key.endswith("_usd"):
        return usd(int(figure))
    if key == "counted_share":
        return f"{figure:.1%}"
    return f"{figure:,}"


def _cell(value: Any) -> Any:
    """A text that begins like a formula gets an apostrophe in front, as spreadsheets write it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
