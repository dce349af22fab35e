"""Cost against quality, as an SVG that needs nothing else: hull, singles, oracle, policies."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from math import ceil, floor, log10
from typing import Final

from gateway.replay.figures import Figures, Line, hull

_WIDTH: Final = 760
_HEIGHT: Final = 460
_LEFT: Final = 64
_RIGHT: Final = 24
_TOP: Final = 48
_BOTTOM: Final = 56
_INK: Final = "#1f2933"
_PALE: Final = "#d9dee4"
_SINGLE: Final = "#52606d"
_POLICY: Final = "#c2410c"
_BEST: Final = "#0f766e"


def draw(figures: Figures, title: str, others: Sequence[Line] = ()) -> str:
    """`others` are points of a sweep. Dollars are on a logarithmic scale."""
    lines = (*figures.singles, figures.oracle, figures.policy, *others)
    frame = _Frame([_point(line) for line in lines])
    corners = [frame.place(each) for each in hull([_point(line) for line in figures.singles])]
    path = " ".join(_path(frame, figures))
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    font = f'font-family="system-ui, sans-serif" font-size="12" fill="{_INK}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font} role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="26" font-size="15" font-weight="600">{escape(title)}</text>',
        *frame.axes(),
    ]
    if len(corners) > 1:
        parts.append(
            f'<path d="{path}" fill="none" stroke="{_SINGLE}" stroke-dasharray="5 4">'
            "<title>the best random mix of single models</title></path>"
        )
    parts += [_dot(frame, line, _POLICY, 2.5, label=False) for line in others]
    parts += [_dot(frame, line, _SINGLE, 4.5, down=13) for line in figures.singles]
    parts.append(_dot(frame, figures.oracle, _BEST, 4.5))
    parts.append(_whiskers(frame, figures.policy))
    parts.append(_dot(frame, figures.policy, _POLICY, 6.0))
    return "\n".join([*parts, "</svg>", ""])


class _Frame:
    """Where a point lies in the picture."""

    def __init__(self, points: Sequence[tuple[float, float]]) -> None:
        dollars = [usd for usd, _ in points if usd > 0] or [1.0]
        self.low = log10(min(dollars)) - 0.12
        self.high = log10(max(dollars)) + 0.3
        percents = [percent for _, percent in points]
        margin = max((max(percents) - min(percents)) * 0.08, 0.5)
        self.bottom, self.top = min(percents) - margin, min(max(percents) + margin, 100.0)

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        usd, percent = point
        at = log10(usd) if usd > 0 else self.low
        x = _LEFT + (at - self.low) / (self.high - self.low) * (_WIDTH - _LEFT - _RIGHT)
        y = _TOP + (self.top - percent) / (self.top - self.bottom) * (_HEIGHT - _TOP - _BOTTOM)
        return x, y

    def axes(self) -> Iterator[str]:
        step = _round_step((self.top - self.bottom) / 5)
        for n in range(ceil(self.bottom / step), floor(self.top / step) + 1):
            _, y = self.place((1.0, n * step))
            yield _rule(_LEFT, y, _WIDTH - _RIGHT, y)
            yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{n * step:g} %</text>'
        below = _HEIGHT - _BOTTOM
        for power in range(floor(self.low), ceil(self.high) + 1):
            for digit in (1, 2, 5):
                usd = digit * 10.0**power
                x, _ = self.place((usd, self.bottom))
                if _LEFT <= x <= _WIDTH - _RIGHT:
                    yield _rule(x, _TOP, x, below)
                    yield f'<text x="{x:.1f}" y="{below + 18}" text-anchor="middle">{usd:g}</text>'
        yield (
            f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 14}" text-anchor="middle">'
            "US dollars for 1,000 requests; dashed: the best random mix of single models</text>"
        )


def _point(line: Line) -> tuple[float, float]:
    return line.usd_per_1000.value, 100 * line.accuracy.value


def _path(frame: _Frame, figures: Figures) -> Iterator[str]:
    """The hull, in many short pieces: straight lines are curves where dollars are logarithmic."""
    corners = hull([_point(line) for line in figures.singles])
    move = "M"
    for (usd, low), (dear, high) in pairwise(corners):
        for piece in range(33):
            share = piece / 32
            x, y = frame.place((usd + (dear - usd) * share, low + (high - low) * share))
            yield f"{move}{x:.1f} {y:.1f}"
            move = "L"


def _dot(
    frame: _Frame, line: Line, colour: str, radius: float, *, label: bool = True, down: int = 0
) -> str:
    """`down`: how much lower than the dot its label is, to clear the hull."""
    x, y = frame.place(_point(line))
    usd, percent = _point(line)
    name = escape(line.name)
    tooltip = f"<title>{name}: {percent:.2f} % right, {usd:.4f} USD for 1,000 requests</title>"
    dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}">{tooltip}</circle>'
    if not label:
        return dot
    right = x > _WIDTH * 0.72
    down = -down if right else down
    at = x - radius - 4 if right else x + radius + 4
    anchor = "end" if right else "start"
    text = escape(line.name.removeprefix("always "))
    return (
        f'{dot}<text x="{at:.1f}" y="{y + 4 + down:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{text}</text>"
    )


def _whiskers(frame: _Frame, line: Line) -> str:
    """The policy's accuracy, with its interval."""
    usd = line.usd_per_1000.value
    x, low = frame.place((usd, max(100 * line.accuracy.low, frame.bottom)))
    _, high = frame.place((usd, min(100 * line.accuracy.high, frame.top)))
    return f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{_POLICY}" stroke-width="1.5"/>'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{_PALE}"/>'


def _round_step(size: float) -> float:
    power = 10.0 ** floor(log10(size))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= size)
