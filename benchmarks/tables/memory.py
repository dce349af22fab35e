"""Memory: of a gateway with nothing to do, after load, and of each open stream."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from benchmarks import cpu, servers
from benchmarks.gateways import Gateway, Setting
from benchmarks.servers import CannotRun
from benchmarks.stage import Ask, Stage
from benchmarks.systems import Group, System
from benchmarks.table import Reading, Readings
from benchmarks.upstreams import CROWD_EVENTS, CROWD_PACE_MS

WIDTHS = (100, 1_000, 5_000)
LOAD = 20_000
ROUNDS = 2
"""Of memory; that of a stream hardly differs from one to the next, and each takes long."""
IDLE, LOADED = "idle", f"after {LOAD:,} requests"
EACH = "a stream, with {:,} open"
_LOOK_S = 0.05


def memory(stage: Stage, stack: ExitStack) -> Readings:
    """Of the gateway's process and its descendants, without the ledger's server. A gateway of its
    own each time.
    """
    found: dict[str, list[float]] = {}
    for turn in range(min(ROUNDS, stage.effort.rounds)):
        with ExitStack() as own:
            gateway = stage.gateway(own, Setting(f"memory-{turn}"))
            found.setdefault(IDLE, []).append(resident_kb(gateway) / 1024)
            stage.through(gateway, "load", "auto").measure(min(LOAD, stage.effort.most))
            before = resident_kb(gateway)
            found.setdefault(LOADED, []).append(before / 1024)
            for width in stage.effort.sizes(*WIDTHS):
                added = (_with_open(stage, gateway, width) - before) / width
                found.setdefault(EACH.format(width), []).append(added)
    rows = {name: Reading("kB" if " open" in name else "MB", each) for name, each in found.items()}
    return Readings("Memory (RSS)", rows, "Of each open stream: what it adds to that after load.")


def streams(stage: Stage, stack: ExitStack) -> Group:
    """What an event costs with so many streams open; opening and ending them is in it."""
    systems: list[System] = []
    for width in stage.effort.sizes(*WIDTHS):
        ask, name = _ask(width), f"nginx, {width:,} streams"
        systems += stage.through_nginx(ask, name)
        told = f"tollgate, {width:,} streams"
        systems.append(stage.through(stage.main, told, "auto-crowd", ask, beside=name))
    title = f"Streams of {CROWD_EVENTS} events, one every {CROWD_PACE_MS} ms"
    return Group(title, "us/event", systems, rounds=2)


def _ask(width: int) -> Ask:
    return Ask("crowd", stream=True, connections=width, total=width, warm_up=0)


def resident_kb(gateway: Gateway) -> int:
    ours = cpu.resident_kb(gateway.pid)
    return ours - _of_ledger(gateway)


def _of_ledger(gateway: Gateway) -> int:
    """Of its server, where it is a descendant."""
    pid = gateway.ledger_pid
    return cpu.resident_kb(pid) if pid in cpu.tree(gateway.pid, cpu.children) and pid else 0


def _with_open(stage: Stage, gateway: Gateway, width: int) -> int:
    """The most that is held while all of them are open, kB."""
    port, most = stage.provider("crowd").port, 0
    row = stage.through(gateway, f"{width} streams", "auto-crowd", _ask(width))
    with ThreadPoolExecutor(1) as pool:
        measured = pool.submit(row.measure, width)
        while not measured.done():
            if servers.upstream_count(port, "open") == width:
                most = max(most, resident_kb(gateway))
            time.sleep(_LOOK_S)
        measured.result()
    if not most:
        raise CannotRun(f"{width} streams were never open at once")
    return most
