"""The answers of `tollgate cost` as a table, CSV or JSON.

A table rounds USD to `--places`; CSV and JSON are exact to the nano-dollar.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import ceil
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from gateway.core.explain.prices import dollars
from gateway.core.money import PER_USD, usd

Row = Mapping[str, Any]
"""A line; amounts are Fractions or whole numbers of nano-dollars under keys with "usd" in them."""

_LEFT: Final = ("what", "model", "host", "tier", "purpose")
_RATE_PLACES: Final = 5
"""Digits of nano-dollars by which a rate in a table is rounded: to a hundredth of a cent."""


def as_json(data: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(_exact(data))).decode()


def as_csv(rows: Sequence[Row]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow([_csv_cell(key, value) for key, value in row.items()])
    return out.getvalue().rstrip("\n")


def show(
    title: str, heads: Mapping[str, str], rows: Sequence[Row], places: int, console: Console
) -> None:
    """`heads` are the columns: the key in a row, and the title."""
    say(title, console)
    table = Table()
    for key, head in heads.items():
        table.add_column(head, justify="left" if key in _LEFT else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(_format_cell(key, row[key], places) for key in heads))
    console.print(table, markup=False)


def note_lines(rows: Sequence[Row]) -> list[str]:
    """A line for each note, with the models that it is about."""
    notes: dict[str, dict[str, None]] = {}
    for row in rows:
        for note in row.get("notes", ()):
            notes.setdefault(note, {})[str(row["model"])] = None
    return [f"{note}: {', '.join(models)}" for note, models in notes.items()]


def say(text: str, console: Console) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def amount(nanos: Fraction | int, places: int) -> str:
    """USD, rounded half up: 9,750.00."""
    exact = Decimal(ceil(nanos)) / PER_USD
    return f"{exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):,}"


def _format_cell(key: str, value: Any, places: int) -> str:
    if value is None:
        return ""
    if "usd_per_mtok" in key:
        return usd(int(round(value, -_RATE_PLACES)))
    if key == "usd_per_request":
        return usd(ceil(value))
    if "usd" in key:
        return amount(value, places)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _csv_cell(key: str, value: Any) -> Any:
    if value is None:
        return ""
    if "usd" in key:
        return usd(ceil(value))
    return "; ".join(value) if isinstance(value, list) else value


def _exact(data: Any, key: str = "") -> Any:
    if isinstance(data, Mapping):
        return {name: _exact(value, name) for name, value in data.items()}
    if isinstance(data, list):
        return [_exact(value, key) for value in data]
    if isinstance(data, Fraction) or ("usd" in key and isinstance(data, int)):
        return dollars(ceil(data)) if "usd" in key else float(data)
    return data
