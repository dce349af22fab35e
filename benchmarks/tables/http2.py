"""Whether HTTP/2 to a provider would be cheaper than HTTP/1.1: requests, streams, a cold start."""

from contextlib import ExitStack

from benchmarks.cpu import children
from benchmarks.http2 import (
    AT_ONCE,
    CLIENTS,
    Asking,
    Client,
    Frontage,
    Task,
    installed,
    open_frontage,
    strace,
    told_of,
)
from benchmarks.stage import Stage
from benchmarks.systems import Group
from benchmarks.table import Reading, Readings
from benchmarks.tables.syscalls import calls
from benchmarks.upstreams import EVENTS, PACE_MS

WARM = ("ours", "by-hand", "jh2", "h2", "httpx-1", "httpx-2", "pyreqwest-1", "pyreqwest-2")
COLD = ("ours", "ours-resumed", "by-hand", "h2", "httpx-2", "pyreqwest-1", "pyreqwest-2")
COLD_ROUNDS = 10
"""In each round of the others: one takes a moment."""
COUNTED = 3


def http2(stage: Stage, stack: ExitStack) -> Group:
    title = f"1 kB over TLS 1.3, {AT_ONCE} in flight: CPU time of the client alone"
    return _asked(stage, stack, title, "us/req")


def http2_one(stage: Stage, stack: ExitStack) -> Group:
    """Where nothing shares a read or a write, as when answers take seconds."""
    title = "1 kB over TLS 1.3, one request at a time: CPU time of the client alone"
    return _asked(stage, stack, title, "us/req", width=1)


def http2_stream(stage: Stage, stack: ExitStack) -> Group:
    title = (
        f"{AT_ONCE} streams over TLS 1.3, {EVENTS} events {PACE_MS} ms apart: CPU time of the "
        "client alone"
    )
    return _asked(stage, stack, title, "us/event", stream=True)


def http2_cold(stage: Stage, stack: ExitStack) -> Readings:
    """In turn, as everywhere; system calls and connections are counted apart from the times."""
    front = open_frontage(stage.folder, stack, stage.provider("fast"))
    clients, note = _clients(front, stack, COLD)
    _each_cold(clients, rounds=1)
    found = _each_cold(clients, rounds=stage.effort.rounds * COLD_ROUNDS)
    rows: dict[str, Reading] = {}
    for client, (took_ms, used_ms) in found.items():
        connections, made = _counted(stage, front, client.name)
        name = told_of(client)
        rows[f"{name}: until all are answered"] = Reading("ms", took_ms)
        rows[f"{name}: CPU time"] = Reading("ms", used_ms)
        rows[f"{name}: connections"] = Reading("", [connections])
        rows[f"{name}: system calls, with closing"] = Reading("calls", [made])
    title = f"{AT_ONCE} requests at once by a client that has no connection yet, TLS 1.3"
    return Readings(title, rows, note)


def _each_cold(clients: list[Client], rounds: int) -> dict[Client, tuple[list[float], list[float]]]:
    """Of each cold start, ms: until all are answered, and CPU time."""
    found: dict[Client, tuple[list[float], list[float]]] = {each: ([], []) for each in clients}
    for turn in range(rounds):
        first = turn % len(clients)
        for client in (*clients[first:], *clients[:first]):
            told = client.do(Task(AT_ONCE, cold=True))
            took_ms, used_ms = found[client]
            took_ms.append(told.seconds * 1e3)
            used_ms.append(told.cpu_s * 1e3)
    return found


def _counted(stage: Stage, front: Frontage, name: str) -> tuple[float, float]:
    """Connections of one cold start and, where there is strace, its system calls."""
    log = stage.folder / f"strace-client-{name}"
    with ExitStack() as own:
        client = Client(name, front, own, [strace(), "-ff", "-qq", "-o", str(log)])
        pid = children(client.pid)[0]
        client.do(Task(AT_ONCE, cold=True))
        opened, before = front.connections(), calls(log, pid).total()
        for _ in range(COUNTED):
            client.do(Task(AT_ONCE, cold=True))
        made = calls(log, pid).total() - before
        opened = front.connections() - opened - 1
    return opened / COUNTED, made / COUNTED


def _asked(
    stage: Stage,
    stack: ExitStack,
    title: str,
    unit: str,
    *,
    width: int = AT_ONCE,
    stream: bool = False,
) -> Group:
    behind = stage.provider("chorus" if stream else "fast")
    front = open_frontage(stage.folder, stack, behind)
    clients, note = _clients(front, stack, WARM)
    rows = [Asking(told_of(client), client, width, stream) for client in clients]
    return Group(title, unit, rows, note=note)


def _clients(front: Frontage, stack: ExitStack, names: tuple[str, ...]) -> tuple[list[Client], str]:
    """And what is to be said of those that are not there."""
    found = installed(front, stack, names)
    missing = [f"Without {CLIENTS[n].told}: {w}." for n, w in found.items() if isinstance(w, str)]
    return [each for each in found.values() if isinstance(each, Client)], " ".join(missing)
