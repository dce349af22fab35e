"""A command of ours, and beside it a thread that tells how many tasks its event loop has.

    python -m benchmarks.counted FILE PROGRAM ARGUMENT...

The number is written to FILE each second. The command itself does not know of it.
"""

import asyncio
import runpy
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

EACH_S = 1.0


def tell(file: Path, loops: "list[asyncio.AbstractEventLoop]") -> None:
    new = file.with_suffix(".new")
    while True:
        time.sleep(EACH_S)
        try:
            tasks = sum(len(asyncio.all_tasks(loop)) for loop in loops)
        except RuntimeError:  # they changed while they were counted, a thousand times
            continue
        new.write_text(str(tasks))
        new.rename(file)


def remembering(
    made: "Callable[[], asyncio.AbstractEventLoop]", loops: "list[asyncio.AbstractEventLoop]"
) -> "Callable[[], asyncio.AbstractEventLoop]":
    def make() -> asyncio.AbstractEventLoop:
        loops.append(made())
        return loops[-1]

    return make


def main() -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    uvloop.new_event_loop = remembering(uvloop.new_event_loop, loops)  # type: ignore[assignment]
    file, sys.argv = Path(sys.argv[1]), sys.argv[2:]
    threading.Thread(target=tell, args=(file, loops), daemon=True).start()
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
