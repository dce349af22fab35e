"""What an event of a stream costs, and what so many open streams do."""

from contextlib import ExitStack

from benchmarks.stage import CONNECTIONS, Ask, Stage
from benchmarks.systems import Group
from benchmarks.upstreams import EVENTS, PACE_MS


def stream(stage: Stage, stack: ExitStack) -> Group:
    """A stream that is judged is held and sent whole: the routes are those without checks."""
    return _flowing(stage, "fast", "auto-unchecked", "")


def stream_tls(stage: Stage, stack: ExitStack) -> Group:
    return _flowing(stage, "secure", "auto-secure-unchecked", ", an upstream behind TLS 1.3")


def _flowing(stage: Stage, provider: str, route: str, where: str) -> Group:
    ask = Ask(provider, stream=True)
    systems = [
        *stage.through_nginx(ask),
        stage.through(stage.main, "tollgate, flowing", route, ask),
    ]
    title = f"Stream, {EVENTS} events {PACE_MS} ms apart, {CONNECTIONS} streams{where}"
    return Group(title, "us/event", systems, latency=True)
