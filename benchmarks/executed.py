"""A command of ours whose main thread counts what Python executes, from the first SIGUSR1 on.

    python -m benchmarks.executed FILE PROGRAM ARGUMENT...

At each SIGUSR1 what was counted since the one before is written to FILE. The command itself does
not know of it, but is some ten times slower.
"""

import json
import runpy
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple


class Function(NamedTuple):
    """`calls` is how often it was entered, or as a coroutine gone on with."""

    file: str
    name: str
    instructions: int
    calls: int


@dataclass(slots=True, eq=False)
class _Tally:
    code: CodeType
    instructions: int = 0
    calls: int = 0

    def trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "opcode":
            self.instructions += 1
        return self.trace


class Executed:
    """Counts in the thread that starts it, until it stops. Python 3.12 and newer leave out what a
    function executes when it is counted for the first time.
    """

    def __init__(self) -> None:
        self._tallies: dict[int, _Tally] = {}

    def start(self) -> None:
        sys.settrace(self._enter)

    def stop(self) -> None:
        sys.settrace(None)

    def taken(self) -> list[Function]:
        """What was counted since it was taken last."""
        tallies, self._tallies = self._tallies, {}
        return [
            Function(each.code.co_filename, each.code.co_qualname, each.instructions, each.calls)
            for each in tallies.values()
        ]

    def _enter(self, frame: FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code  # its hash looks at all of it; it is held, so that its id will do
        tally = self._tallies.get(id(code))
        if tally is None:
            tally = self._tallies[id(code)] = _Tally(code)
        tally.calls += 1
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return tally.trace


def read(file: Path) -> list[Function]:
    return [Function(*each) for each in json.loads(file.read_text())]


def main() -> None:
    executed, file = Executed(), Path(sys.argv[1])

    def tell(*_: object) -> None:
        executed.stop()
        new = file.with_suffix(".new")
        new.write_text(json.dumps(executed.taken()))
        new.rename(file)
        executed.start()

    signal.signal(signal.SIGUSR1, tell)
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
