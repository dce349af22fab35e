"""The picture of RESULTS.md: CPU time of a request, a bar for each gateway. Pure."""

from collections.abc import Callable, Sequence
from html import escape
from math import log10

from benchmarks.table import Measured, Row, figure, rows

WIDTH, LEFT, RIGHT, LINE, TOP = 760, 190, 150, 30, 64
INK, BAR, OURS, GRID = "#57606a", "#8c959f", "#0969da", "#d0d7de"
"""Readable on white and on black."""


def picture(table: Measured) -> str:
    """SVG. The scale is logarithmic: between the fastest and the slowest lie three powers of ten.
    Whiskers go from the least to the most of the rounds.
    """
    found = sorted(
        (row for row in rows(table) if row.us > 0 and not row.name.startswith("  ")),
        key=lambda row: row.us,
    )
    low = 10.0 ** int(log10(min(row.us for row in found)))
    decades = max(1, int(log10(max(row.high for row in found) / low)) + 1)
    span = WIDTH - LEFT - RIGHT

    def x(us: float) -> float:
        return LEFT + max(0.0, log10(max(us, low) / low)) / decades * span

    height = TOP + LINE * len(found) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(_alt(found))}</title>",
        _text(0, 18, "CPU time of one request", weight="600", size=15),
        _text(0, 38, f"{table.title}; microseconds, logarithmic, less is better"),
    ]
    for power in range(decades + 1):
        at, us = x(low * 10**power), low * 10**power
        bottom = height - 26
        parts.append(f'<path d="M{at:.1f} {TOP - 8}V{bottom}" stroke="{GRID}"/>')
        parts.append(_text(at, height - 8, f"{us:,.0f}", anchor="middle"))
    for number, row in enumerate(found):
        parts += _bar(row, TOP + LINE * number, x)
    return "\n".join([*parts, "</svg>", ""])


def _bar(row: Row, y: float, x: Callable[[float], float]) -> list[str]:
    colour = OURS if row.name.startswith("tollgate") else BAR
    ratio = "" if row.ratio is None else f" ({figure(row.ratio)} x nginx)"
    end, middle = x(row.us), y + 10
    return [
        _text(LEFT - 10, y + 15, row.name, anchor="end"),
        f'<rect x="{LEFT}" y="{y}" width="{max(1, end - LEFT):.1f}" height="20" fill="{colour}"/>',
        f'<path d="M{x(row.low):.1f} {middle}H{x(row.high):.1f}" stroke="{INK}" stroke-width="2"/>',
        _text(max(end, x(row.high)) + 8, y + 15, f"{figure(row.us)} us{ratio}"),
    ]


def _alt(found: Sequence[Row]) -> str:
    told = ", ".join(f"{row.name} {figure(row.us)}" for row in found)
    return f"CPU time of one request in microseconds: {told}"


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "400", size: int = 13
) -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}"'
    font = f'font-family="system-ui, sans-serif" font-weight="{weight}" font-size="{size}"'
    return f"<text {where} {font}>{escape(text)}</text>"
