"""What a request costs the gateway, beside nginx in the same run: `make bench`."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from benchmarks import machine
from benchmarks.goals import goal_lines, reached
from benchmarks.picture import picture
from benchmarks.report import report
from benchmarks.servers import CannotRun
from benchmarks.stage import Effort, Stage
from benchmarks.systems import Group, Row
from benchmarks.table import Cell, Measured, Readings, padded, text
from benchmarks.tables.names import ALL, OURS, PEERS

N = TypeVar("N", int, float)
HERE = Path(__file__).parent
RAW, RESULTS, PICTURE = HERE / "results", HERE / "RESULTS.md", HERE / "results.svg"
TINY = Effort(rounds=1, cpu_s=0.02, seconds=1.0, most=100)
"""Shows that everything works; its figures are worth nothing."""


Tables = dict[str, Measured | Readings]


def measure(systems: Sequence[Row], rounds: int, cpu_s: float) -> dict[str, list[Cell]]:
    """Warm each up, then measure all in each round, in an order that turns."""
    totals = {system.name: system.calibrate(cpu_s) for system in systems}
    cells: dict[str, list[Cell]] = {system.name: [] for system in systems}
    for turn in range(rounds):
        first = turn % len(systems)
        for system in (*systems[first:], *systems[:first]):
            cells[system.name].append(system.measure(totals[system.name]))
    return cells


def make(name: str, stage: Stage) -> Measured | Readings:
    effort = stage.effort
    with ExitStack() as stack:
        group = ALL[name](stage, stack)
        if isinstance(group, Readings):
            return group
        return finished(
            group, measure(group.systems, min(group.rounds, effort.rounds), effort.cpu_s)
        )


def finished(group: Group, cells: dict[str, list[Cell]]) -> Measured:
    return Measured(group.title, group.unit, cells, group.beside, group.latency, group.note)


def make_all(names: Sequence[str], stage: Stage, tables: Tables, failed: dict[str, str]) -> None:
    """Fills in the tables, and why others were not made: one that fails does not stop the rest."""
    for name in names:
        began = time.monotonic()
        try:
            tables[name] = make(name, stage)
        except CannotRun as error:
            failed[name] = str(error)
            print(f"\n{name}: {error}", flush=True)
        else:
            took = time.monotonic() - began
            print(f"\n[{name}, in {took:.0f} s] {text(tables[name])}", flush=True)


def positive(kind: type[N]) -> Callable[[str], N]:
    """0 would be taken for nothing, and less than that measures nothing."""

    def number(text: str) -> N:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError("must be above 0")
        return value

    return number


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    whole = Effort()
    parser.add_argument("--rounds", type=positive(int), help=f"default {whole.rounds}")
    parser.add_argument(
        "--cpu-s", type=positive(float), help=f"CPU s a cell, about; default {whole.cpu_s}"
    )
    parser.add_argument("--seconds", type=positive(float), help="of a cell at a fixed rate")
    parser.add_argument("--most", type=positive(int), help="the largest size of what is scaled")
    parser.add_argument("--only", action="append", choices=ALL, help="these tables; repeat it")
    parser.add_argument("--peers", action="store_true", help="other gateways, too")
    parser.add_argument("--tiny", action="store_true", help="to see that it works, in a minute")
    parser.add_argument(
        "--write", action="store_true", help=f"write {RESULTS.name} and its picture"
    )
    return parser.parse_args()


def effort_of(given: argparse.Namespace) -> Effort:
    base = TINY if given.tiny else Effort()
    return Effort(
        given.rounds or base.rounds,
        given.cpu_s or base.cpu_s,
        given.seconds or base.seconds,
        given.most or base.most,
    )


def main() -> None:
    given = asked()
    if not sys.platform.startswith("linux"):
        raise SystemExit("The benchmark reads CPU time from /proc: it needs Linux.")
    names = given.only or [*OURS, *(PEERS if given.peers else ())]
    effort, before, began = effort_of(given), machine.load(), time.monotonic()
    tables: Tables = {}
    failed: dict[str, str] = {}
    try:
        with TemporaryDirectory(prefix="tollgate-bench-") as folder, ExitStack() as stack:
            stage = Stage(Path(folder), stack, effort)
            for note in stage.notes:
                print(note)
            make_all(names, stage, tables, failed)
    except CannotRun as error:
        failed["the whole"] = str(error)
        print(f"\nbench: {error}")
    print("\n" + padded(goal_lines(reached(tables))))
    when, peers = time.strftime("%Y-%m-%d"), any(name.startswith("peers") for name in names)
    spent = (
        f"{effort.rounds} rounds, {effort.cpu_s:g} CPU seconds a cell ({effort.seconds:g} seconds "
        f"at a fixed rate); load average before {before}, after {machine.load()}; "
        f"{(time.monotonic() - began) / 60:.0f} minutes."
    )
    print(f"\nEach answer was checked. Raw figures: {keep(tables, spent)}")
    if given.write:
        drawn = tables.get("peers", tables.get("chat"))
        if isinstance(drawn, Measured):
            PICTURE.write_text(picture(drawn))
        command = " ".join(["python -m benchmarks", *sys.argv[1:]])
        shown = PICTURE.name if isinstance(drawn, Measured) else None
        told = machine.told(peers=peers)
        RESULTS.write_text(
            report(tables, failed, told, command=command, when=when, spent=spent, picture=shown)
        )
        print("Written:", ", ".join(filter(None, (RESULTS.name, shown))))
    if failed:
        raise SystemExit(1)


def keep(tables: Tables, spent: str) -> Path:
    """Every figure of every round, as JSON; git ignores the folder."""
    RAW.mkdir(exist_ok=True)
    out = RAW / time.strftime("%Y%m%d-%H%M%S.json")
    raw = {"spent": spent, "tables": {name: asdict(table) for name, table in tables.items()}}
    out.write_text(json.dumps(raw, indent=1))
    return out.relative_to(HERE.parent)


if __name__ == "__main__":
    main()
