"""Where the CPU time of a request goes: py-spy looks at a gateway under load, again and again.

    python -m benchmarks.profile
    python -m benchmarks.profile --stream --seconds 60
    python -m benchmarks.profile --instructions

Told is the time of each file and each function without those it calls, but with what it calls that
is written in C: parsers, the event loop, system calls. Or told are the instructions of Python that
are executed, each of them counted: no looking, no chance, and no time either.
"""

import argparse
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from sysconfig import get_path
from tempfile import TemporaryDirectory

from benchmarks.gateways import worker_of
from benchmarks.servers import HERE, OTHER_CPU, CannotRun
from benchmarks.stage import Ask, Effort, Stage
from benchmarks.systems import System
from benchmarks.table import figure, padded
from benchmarks.tables.instructions import Counted, Counting

RATE = 500
"""Looks a second."""
REQUESTS, STREAMS = 2_000, 100
WORTH_TELLING = 0.01
MAIN, UVLOOP = "MainThread", "uvloop and its system calls"
_PACKAGES = "site-packages/"


@dataclass(frozen=True)
class Profiled:
    """`us` is the CPU time of a request, or of an event, when nobody looked."""

    stacks: str
    us: float


def own_time(stacks: str) -> tuple[Counter[str], Counter[str]]:
    """By file and by function, from py-spy's lines: `thread (0x1);main (a.py:1);work (b.py:7) 12`.

    Of the main thread alone: others wait most of the time, and py-spy does not always see that.
    """
    files, functions = Counter[str](), Counter[str]()
    for line in stacks.splitlines():
        frames, _, times = line.rpartition(" ")
        if MAIN not in frames.partition(";")[0]:
            continue
        function, _, place = frames.rpartition(";")[2].partition(" (")
        file = short(place.removesuffix(")").partition(".py:")[0])
        files[file] += int(times)
        functions[f"{file}: {function}"] += int(times)
    return files, functions


def short(path: str) -> str:
    """Others' packages from their name on. What the runner calls is all C."""
    found = path.rpartition(_PACKAGES)[2]
    return UVLOOP if found == "asyncio/runners" else found


def rooms(files: Counter[str]) -> Counter[str]:
    """The same by the first two parts of a file's name."""
    found = Counter[str]()
    for file, times in files.items():
        found["/".join(file.split("/")[:2])] += times
    return found


def executed(counted: Counted) -> tuple[Counter[str], Counter[str]]:
    """Instructions by file and by function, of all requests together."""
    files, functions = Counter[str](), Counter[str]()
    for each in counted.functions:
        file = short(each.file.removesuffix(".py"))
        for root in (str(HERE.parent), get_path("stdlib")):
            file = file.removeprefix(f"{root}/")
        files[file] += each.instructions
        functions[f"{file}: {each.name}"] += each.instructions
    return files, functions


def told(counts: Counter[str], us: float, head: str, unit: str = "us") -> list[list[str]]:
    """A head, and a line for each that is worth telling; the last one is all the others. `us` is
    what they come to together, in that unit.
    """
    total, lines = sum(counts.values()), [[head, "%", unit]]
    rest = total
    for name, times in counts.most_common():
        if times < WORTH_TELLING * total:
            break
        rest -= times
        lines.append(_line(name, times / total, us))
    return [*lines, _line("all others", rest / total if total else 0.0, us)]


def _line(name: str, share: float, us: float) -> list[str]:
    return [name, f"{share:.1%}".rstrip("%"), f"{share * us:.1f}"]


def count(folder: Path, *, stream: bool) -> Counted:
    with ExitStack() as stack:
        counting = Counting(Stage(folder, stack, Effort()), stack)
        return counting.event() if stream else counting.request()


def profile(folder: Path, *, stream: bool, seconds: int) -> Profiled:
    program = Path(sys.executable).with_name("py-spy")
    if not program.exists():
        raise CannotRun("no py-spy (pip install py-spy)")
    with ExitStack() as stack:
        stage = Stage(folder, stack, Effort())
        route, count = ("auto-unchecked", STREAMS) if stream else ("auto", REQUESTS)
        if stage.main.ledger_pid:  # on the same CPU its work would be looked at as ours
            os.sched_setaffinity(stage.main.ledger_pid, {OTHER_CPU})
        row = stage.through(stage.main, "tollgate", route, Ask(stream=stream))
        row.measure(count)
        us = row.measure(count).us
        out = folder / "stacks"
        command = [str(program), "record", "--rate", str(RATE), "--duration", str(seconds)]
        command += [
            "--threads",
            "--format",
            "raw",
            "--output",
            str(out),
            "--pid",
            str(worker_of(stage.main)),
        ]
        with _Busy(row, count):
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode or not out.exists():
            raise CannotRun(f"py-spy: {ran.stderr.strip()[-300:]}")
        return Profiled(out.read_text(), us)


class _Busy:
    """A load that goes on until it is left."""

    def __init__(self, row: System, count: int) -> None:
        self._row, self._count, self._enough = row, count, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._enough.is_set():
            self._row.measure(self._count)


def report(found: Profiled, unit: str) -> Sequence[str]:
    files, functions = own_time(found.stacks)
    return (
        f"{found.us:.1f} us of CPU time for each {unit}; {sum(files.values()):,} looks.",
        padded(told(rooms(files), found.us, "room")),
        padded(told(files, found.us, "file")),
        padded(told(functions, found.us, "function")),
    )


def count_report(counted: Counted, unit: str) -> Sequence[str]:
    files, functions = executed(counted)
    each = sum(files.values()) / counted.per
    return (
        f"{figure(each)} instructions of Python for each {unit}; {counted.per:,} of them.",
        padded(told(rooms(files), each, "room", "instructions")),
        padded(told(files, each, "file", "instructions")),
        padded(told(functions, each, "function", "instructions")),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--seconds", type=int, default=30, help="default 30")
    parser.add_argument("--stream", action="store_true", help="of streams, an event's")
    parser.add_argument("--instructions", action="store_true", help="count, do not look")
    given = parser.parse_args()
    unit = "event" if given.stream else "request"
    with TemporaryDirectory(prefix="tollgate-profile-") as folder:
        try:
            if given.instructions:
                lines = count_report(count(Path(folder), stream=given.stream), unit)
            else:
                found = profile(Path(folder), stream=given.stream, seconds=given.seconds)
                lines = report(found, unit)
        except CannotRun as error:
            raise SystemExit(f"profile: {error}") from None
    print("\n\n".join(lines))


if __name__ == "__main__":
    main()
