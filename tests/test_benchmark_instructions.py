"""The benchmark counts what Python executes: rightly, by room, and in a process that serves."""

import asyncio
import dis
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.executed import Executed, Function, read
from benchmarks.profile import executed, rooms, told
from benchmarks.tables.instructions import (
    OUTSIDE,
    ROOMS,
    Counted,
    Spent,
    by_room,
    less,
    room_of,
    whole,
)

ROOT = Path(__file__).parents[1]


def straight(a: int, b: int) -> int:
    c = a + b
    return c * b - a


def turning(turns: int) -> int:
    total = 0
    for at in range(turns):
        total += at
    return total


def giving(many: int) -> Iterator[int]:
    yield from range(many)


def counted(work: Callable[[], object], *functions: Callable[..., object]) -> list[Function]:
    """It is done twice, as newer versions of Python do not count the first time."""
    executed, before = Executed(), sys.gettrace()
    try:
        for _ in range(2):
            executed.taken()
            executed.start()
            work()
            executed.stop()
    finally:
        sys.settrace(before)
    found = {each.name: each for each in executed.taken()}
    return [found[each.__qualname__] for each in functions]


def test_each_instruction_of_a_function_counts() -> None:
    """But for the one by which it is entered."""
    (found,) = counted(lambda: straight(1, 2), straight)
    known = [each for each in dis.get_instructions(straight) if each.opname != "RESUME"]
    assert (found.instructions, found.calls) == (len(known), 1)
    assert found.file == __file__


def test_each_turn_of_a_loop_counts() -> None:
    one, eleven, all_ = (
        counted(lambda turns=turns: turning(turns), turning)[0].instructions  # type: ignore[misc]
        for turns in (1, 11, 31)
    )
    assert eleven - one >= 10 * 5
    assert all_ - eleven == 2 * (eleven - one)


def test_each_call_counts_and_each_time_that_a_generator_goes_on() -> None:
    def work() -> None:
        list(giving(10))
        straight(1, 2)
        straight(3, 4)

    gave, added = counted(work, giving, straight)
    assert (gave.calls, added.calls) == (11, 2)


def test_what_was_taken_is_not_counted_again() -> None:
    executed, before = Executed(), sys.gettrace()
    goes_on = giving(3)
    try:
        executed.start()
        next(goes_on)
        assert [each.calls for each in executed.taken() if each.name == "giving"] == [1]
        list(goes_on)
    finally:
        sys.settrace(before)
    assert [each.calls for each in executed.taken() if each.name == "giving"] == [3]


@pytest.mark.parametrize(
    ("file", "room"),
    [
        ("gateway/web/hot.py", "web"),
        ("gateway/handle.py", "life: handle, hold, call, strategies"),
        ("gateway/core/strategies/cascade.py", "life: handle, hold, call, strategies"),
        ("gateway/core/plan.py", "core, without strategies"),
        ("gateway/drivers/redis/wire.py", "drivers/ledger, drivers/redis"),
        ("gateway/drivers/metrics/lives.py", "drivers/metrics"),
        ("gateway/drivers/logs_and_traces.py", "all others of the gateway"),
        ("gateway/external_checks.py", "all others of the gateway"),
        ("benchmarks/table.py", OUTSIDE),
    ],
)
def test_a_file_has_one_room(file: str, room: str) -> None:
    assert (ROOT / file).exists(), "a room's name is that of its files"
    assert room_of(str(ROOT / file)) == room


@pytest.mark.parametrize("names", ROOMS.values(), ids=ROOMS)
def test_every_room_is_there(names: tuple[str, ...]) -> None:
    for name in names:
        assert (ROOT / "gateway" / name).exists(), name


def test_what_is_told_is_of_each_request_and_loses_nothing() -> None:
    functions = [
        Function(str(ROOT / "gateway/web/hot.py"), "a", 300, 20),
        Function(str(ROOT / "gateway/web/door.py"), "b", 100, 10),
        Function("asyncio/tasks.py", "c", 40, 10),
    ]
    found = by_room(Counted(functions, 10))
    assert (found["web"], found["wire"], found[OUTSIDE]) == ((40, 3), (0, 0), (4, 1))
    assert whole(found) == (44, 4)


def test_what_is_beyond_others_is_told_by_room() -> None:
    both = {"web": Spent(10, 3), "wire": Spent(8, 4)}
    others = ({"web": Spent(6, 1), "wire": Spent(1, 1)}, {"web": Spent(1, 1), "wire": Spent(2, 0)})
    assert less(both, *others) == {"web": (3, 1), "wire": (5, 3)}


def test_the_profile_tells_them_by_room_file_and_function() -> None:
    functions = [
        Function(str(ROOT / "gateway/web/hot.py"), "Hot.next", 600, 20),
        Function(str(ROOT / "gateway/web/hot.py"), "Hot.last", 300, 10),
        Function(asyncio.__file__, "run", 99, 10),
        Function("/any/site-packages/uvicorn/main.py", "run", 1, 1),
    ]
    files, by_name = executed(Counted(functions, 10))
    assert files == {"gateway/web/hot": 900, "asyncio/__init__": 99, "uvicorn/main": 1}
    assert by_name["gateway/web/hot: Hot.next"] == 600
    assert told(rooms(files), 100, "room", "instructions") == [
        ["room", "%", "instructions"],
        ["gateway/web", "90.0", "90.0"],
        ["asyncio/__init__", "9.9", "9.9"],
        ["all others", "0.1", "0.1"],
    ]


SERVES = """
import sys

def work(times):
    return times + 1

for line in sys.stdin:
    for _ in range(int(line)):
        work(1)
    print("done", flush=True)
"""


def test_a_process_tells_what_it_did_since_it_was_asked_last(tmp_path: Path) -> None:
    program, file = tmp_path / "serves.py", tmp_path / "told"
    program.write_text(SERVES)
    command = [sys.executable, "-m", "benchmarks.executed", str(file), str(program)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def works(times: int) -> None:
            print(times, file=process.stdin, flush=True)
            assert process.stdout is not None
            assert process.stdout.readline() == "done\n"

        def asked() -> int:
            process.send_signal(signal.SIGUSR1)
            works(0)  # it has told before it reads on
            found = read(file)
            file.unlink()
            return sum(each.calls for each in found if each.name == "work")

        works(5)
        assert asked() == 0, "nobody had asked it to count"
        works(3)
        assert asked() == 3
        works(2)
        assert asked() == 2
        process.stdin.close()
    assert process.returncode == 0
