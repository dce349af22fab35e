"""How the price of a request grows with what it, the load, or the configuration brings."""

import json
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random

from benchmarks.gateways import Setting
from benchmarks.stage import Ask, Stage
from benchmarks.systems import Group, System

A_FILE = 3_000
"""Tenants; a file of configuration may have 50,000 nodes."""
ROUNDS = 3
"""Of the tables with many rows."""
EACH_WORKER = 32
KEYS = 1_000
"""So many of the tenants ask."""


def sizes(stage: Stage, stack: ExitStack) -> Group:
    """Of the request: the answer is of 1 kB. Few connections for the large ones."""
    systems: list[System] = []
    for size, told in (
        (1 << 10, "1 kB"),
        (1 << 14, "16 kB"),
        (1 << 18, "256 kB"),
        (1 << 22, "4 MB"),
    ):
        few = 4 if size >= 1 << 22 else 32
        ask = Ask(size=size, connections=few, warm_up=max(50, 2_000_000 // size))
        systems += _pair(stage, told, ask)
    return Group("Requests of different sizes", "us/req", systems, rounds=ROUNDS)


def crowd(stage: Stage, stack: ExitStack) -> Group:
    systems: list[System] = []
    for width in stage.effort.sizes(1, 8, 32, 128, 512, 1_000):
        systems += _pair(stage, f"{width} connections", Ask(connections=width))
    title = "1 kB, so many connections in a closed loop"
    return Group(title, "us/req", systems, latency=True, rounds=ROUNDS)


def tenants(stage: Stage, stack: ExitStack) -> Group:
    """They ask in turn; each has two budgets."""
    systems: list[System] = []
    for count in stage.effort.sizes(10, 1_000, 10_000, 100_000):
        written = stage.folder / f"tenants-{count}"
        keys = write_tenants(written, count)
        setting = Setting(f"of-{count}-tenants", extra=(written,), patience_s=600)
        gateway = stage.gateway(stack, setting)
        asking = Random(1).sample(keys, min(count, KEYS))  # noqa: S311 - no secret
        systems.append(stage.through(gateway, f"{count:,} tenants", "auto", keys=asking))
    note = f"Up to {KEYS:,} of them ask, in turn."
    return Group("Tenants", "us/req", _beside_first(systems), note=note)


def catalog(stage: Stage, stack: ExitStack) -> Group:
    """Models that are there, not all on the way of one request: the table `planning` has that."""
    systems: list[System] = []
    for count in stage.effort.sizes(10, 100, 1_000):
        file = stage.folder / f"models-{count}.yaml"
        write_models(file, count)
        gateway = stage.gateway(stack, Setting(f"models-{count}", extra=(file,), patience_s=600))
        systems.append(stage.through(gateway, f"{count:,} models", "auto"))
    return Group("Models in the catalog", "us/req", _beside_first(systems))


def workers(stage: Stage, stack: ExitStack) -> Group:
    """On both CPUs, which the load and the upstream need, too: only CPU time tells something.
    Each worker has 32 connections: with fewer it waits more often, and shares less work.
    """
    systems: list[System] = []
    for count in (1, 2):
        setting = Setting(f"workers-{count}", workers=count, prefix=())
        gateway = stage.gateway(stack, setting)
        ask = Ask(connections=EACH_WORKER * count)
        systems.append(stage.through(gateway, _workers(count), "auto", ask, beside=_workers(1)))
    return Group("Workers, bound to no CPU", "us/req", systems)


def _workers(count: int) -> str:
    return f"{count} worker{'s' if count > 1 else ''}"


def _pair(stage: Stage, told: str, ask: Ask) -> Iterable[System]:
    name = f"nginx, {told}"
    yield from stage.through_nginx(ask, name)
    yield stage.through(stage.main, f"tollgate, {told}", "auto", ask, beside=name)


def _beside_first(systems: list[System]) -> list[System]:
    return [replace(system, beside=systems[0].name) for system in systems]


def write_tenants(folder: Path, count: int) -> list[str]:
    """A folder of configuration with so many tenants; their keys. A file may not be too large."""
    folder.mkdir()
    keys = [f"tg-bench-tenant-{number:021}" for number in range(count)]
    for first in range(0, count, A_FILE):
        lines = [
            f"  t{first + at}: {json.dumps(_tenant(key))}\n"
            for at, key in enumerate(keys[first : first + A_FILE])
        ]
        (folder / f"{first:06}.yaml").write_text("tenants:\n" + "".join(lines))
    return keys


def _tenant(key: str) -> dict[str, object]:
    return {
        "keys": [{"id": "k", "hash": f"sha256:{sha256(key.encode()).hexdigest()}"}],
        "budgets": [{"usd": 1000000, "per": "day"}, {"usd": 9000000, "per": "month"}],
    }


def write_models(file: Path, count: int) -> None:
    model = {
        "deployments": [{"provider": "fast"}],
        "context": 128_000,
        "max_output": 2_048,
        "price": {"input": 0.1, "output": 0.4},
    }
    lines = [f"  m{number:04}: {json.dumps(model)}\n" for number in range(count)]
    file.write_text("models:\n" + "".join(lines))
