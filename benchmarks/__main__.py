"""`make bench`, or `python -m benchmarks --help`."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import systems
from benchmarks.servers import CannotRun
from benchmarks.systems import Bench, Row
from benchmarks.table import Cell, rows, table

RESULTS = Path(__file__).with_name("results")
REFERENCE = "nginx"


def measure(systems: Sequence[Row], rounds: int, cpu_s: float) -> dict[str, list[Cell]]:
    """Warm each up, then measure all in each round, in an order that turns."""
    totals = {system.name: system.calibrate(cpu_s) for system in systems}
    cells: dict[str, list[Cell]] = {system.name: [] for system in systems}
    for turn in range(rounds):
        first = turn % len(systems)
        for system in (*systems[first:], *systems[:first]):
            cells[system.name].append(system.measure(totals[system.name]))
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu-s", type=float, default=1.0, help="CPU seconds a cell, about")
    parser.add_argument("--only", choices=systems.GROUPS, help="one table instead of all")
    given = parser.parse_args()
    if not sys.platform.startswith("linux"):
        raise SystemExit("The benchmark reads CPU time from /proc: it needs Linux.")
    raw: dict[str, dict[str, list[dict[str, float]]]] = {}
    try:
        with TemporaryDirectory(prefix="tollgate-bench-") as folder, ExitStack() as stack:
            wanted = [given.only] if given.only else systems.GROUPS
            bench = None
            if not set(wanted) <= set(systems.ALONE):
                bench = Bench(Path(folder), stack)
                for note in bench.notes:
                    print(note)
            for name in wanted:
                group = systems.alone(name, Path(folder))
                if group is None and bench is not None:
                    group = bench.group(name)
                if group is None:
                    continue
                cells = measure(group.systems, given.rounds, given.cpu_s)
                print("\n" + table(group.title, group.unit, rows(cells, REFERENCE)), flush=True)
                raw[name] = {row: [asdict(cell) for cell in each] for row, each in cells.items()}
            if bench is not None:
                bench.check_books()
    except CannotRun as error:
        raise SystemExit(f"bench: {error}") from None
    RESULTS.mkdir(exist_ok=True)
    out = RESULTS / time.strftime("%Y%m%d-%H%M%S.json")
    out.write_text(json.dumps(raw, indent=1))
    print(f"\nEach answer was checked. Raw figures: {out.relative_to(RESULTS.parent.parent)}")


main()
