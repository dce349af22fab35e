"""What an event of a stream costs, and what so many open streams do."""

from contextlib import ExitStack
from typing import Final

from benchmarks.stage import CONNECTIONS, Ask, Stage
from benchmarks.systems import Group, System
from benchmarks.upstreams import EVENTS, PACE_MS

AT_ONCE: Final = ", all at once"


def stream(stage: Stage, stack: ExitStack) -> Group:
    """A stream that is judged is held and sent whole: the routes are those without checks."""
    each = _rows(stage, "fast", "auto-unchecked")
    return _group([*each, *_rows(stage, "chorus", "auto-chorus", AT_ONCE)])


def stream_tls(stage: Stage, stack: ExitStack) -> Group:
    each = _rows(stage, "secure", "auto-secure-unchecked")
    rows = [*each, *_rows(stage, "secure_chorus", "auto-secure-chorus", AT_ONCE)]
    return _group(rows, ", an upstream behind TLS 1.3")


def _rows(stage: Stage, provider: str, route: str, how: str = "") -> list[System]:
    """nginx's, and the gateway's to be held against it."""
    ask, beside = Ask(provider, stream=True), f"nginx{how}"
    flowing = stage.through(stage.main, f"tollgate, flowing{how}", route, ask, beside=beside)
    return [*stage.through_nginx(ask, beside), flowing]


def _group(rows: list[System], where: str = "") -> Group:
    title = f"Stream, {EVENTS} events {PACE_MS} ms apart, {CONNECTIONS} streams{where}"
    return Group(title, "us/event", rows, latency=True)
