"""Lines to a file or a pipe: whole, in order, all of them at a normal stop; and what one costs."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

import pytest

from gateway.core import events
from gateway.core.chat import Usage
from gateway.core.money import Nanos
from gateway.core.redaction import Redactor
from gateway.core.snapshot import Log
from gateway.drivers import line_writer
from gateway.drivers.life_log import LifeLog
from gateway.drivers.line_writer import LineWriter
from tests.drivers.full_disk import files_no_larger_than
from tests.promises import Reached
from tests.usage_lines import record

ABOUT: Final = events.About(
    "req_a25acafeec4b85abe55e984900000002", "acme", "auto", stream=False, key="k1"
)
LIFE: Final = (
    events.Began(ABOUT),
    events.Planned(ABOUT, 2, 0),
    events.Reserved(ABOUT, "h", Nanos(412_200), Nanos(10**9)),
    events.Settled(
        ABOUT,
        record("h", provider="one", held=412_200, cost=2_200, usage=Usage(90, 10)),
    ),
    events.Judged(ABOUT, "small", "cheap", ("regex",), ()),
    events.Replied(ABOUT, "one", "small", "cheap", "passed", 0.0031234, 0.0024, None),
)


async def test_all_is_written_in_order_at_a_normal_stop(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    writer = LineWriter(str(file))
    for number in range(20_000):
        writer.write(b"%d\n" % number)
        if number % 5_000 == 0:
            await asyncio.sleep(0)
    await writer.aclose()
    assert file.read_bytes().split() == [b"%d" % number for number in range(20_000)]
    assert file.stat().st_mode & 0o777 == 0o640


async def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    writer = LineWriter(str(file))
    writer.write(b"old\n")
    while not file.read_bytes():
        await asyncio.sleep(0.005)
    file.rename(tmp_path / "lines.1")
    writer.write(b"new\n")
    await writer.aclose()
    assert [(tmp_path / name).read_bytes() for name in ("lines.1", "lines")] == [b"old\n", b"new\n"]


async def test_one_that_cannot_be_made_anew_costs_nobody_a_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The number of a file that is closed is the next connection's: it is not closed again."""
    file = tmp_path / "logs" / "lines"
    file.parent.mkdir()
    writer = LineWriter(str(file))
    file.parent.rename(tmp_path / "logs.1")
    for _ in range(2):
        writer.write(b"lost\n")
        lost = writer.lost
        async with asyncio.timeout(10):
            while writer.lost == lost:
                await asyncio.sleep(0.005)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        file.parent.mkdir()
        writer.write(b"new\n")
        await writer.aclose()
        theirs.send(b"hello")
        assert ours.recv(5) == b"hello"
    assert (file.read_bytes(), writer.lost) == (b"new\n", 2)
    assert [record.message for record in caplog.records] == [
        "the log cannot be written: No such file or directory",
        "the log is written again: 2 lines lost so far",
        "the log: 2 lines lost, 0 bytes unread",
    ]


async def test_a_full_disk_tears_no_line(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    writer = LineWriter(str(file))
    with files_no_larger_than(1_000):
        writer.write(b"early\n")
        while not file.read_bytes():
            await asyncio.sleep(0.005)
        writer.write(b"xxxxxx\n" * 200)
        async with asyncio.timeout(10):
            while not writer.lost:
                await asyncio.sleep(0.005)
    writer.write(b"late\n")
    await writer.aclose()
    assert (file.read_bytes(), writer.lost) == (b"early\nlate\n", 200)


async def test_what_is_no_file_tells_why_it_was_not_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It cannot be cut back, either."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = LineWriter(str(pipe))
    os.close(reader)
    writer.write(b"nobody reads\n")
    await writer.aclose()
    assert caplog.records[0].message == "the log cannot be written: Broken pipe"


async def test_a_reader_who_does_not_read_stops_nothing(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe takes 64 kB; the rest waits. When it is read, all of it comes."""
    reader, end = os.pipe()
    kept = os.dup(1)
    os.dup2(end, 1)
    try:
        writer = LineWriter("stdout")
        blocked = threading.Timer(20, os.read, (reader, 1 << 20))
        blocked.start()
        for number in range(3_000):
            writer.write(b"%d %b\n" % (number, b"x" * 100))
        await asyncio.sleep(0.1)
        assert blocked.is_alive(), "the loop waited for the reader"
        blocked.cancel()
        closing = asyncio.create_task(writer.aclose())
        read = b""
        while read.count(b"\n") < 3_000:
            read += await asyncio.to_thread(os.read, reader, 1 << 20)
        await closing
    finally:
        os.dup2(kept, 1)
        for each in (kept, reader, end):
            os.close(each)
    assert [int(line.split()[0]) for line in read.splitlines()] == [*range(3_000)]


async def test_each_time_that_a_log_is_not_read_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(line_writer, "_MAX_WAITING", 1_000)
    pipe, line = tmp_path / "pipe", b"x" * 299_999 + b"\n"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = LineWriter(str(pipe))
    os.set_blocking(reader, True)

    def read() -> None:
        left = 2 * len(line)
        while left:
            left -= len(os.read(reader, left))

    for lost in (4, 8):
        for _ in range(6):  # two are handed over, and wait; the others are lost
            writer.write(line)
        writer._hand_over()
        assert writer.lost == lost
        await asyncio.to_thread(read)
        while writer._waiting:
            await asyncio.sleep(0.005)
    await writer.aclose()
    os.close(reader)
    message = "the log is not read: lines are lost from now on"
    assert caplog.messages == [message, message, "the log: 8 lines lost, 0 bytes unread"]


WORKER: Final = """
import asyncio, sys
from gateway.drivers.line_writer import LineWriter
async def main():
    writer = LineWriter(sys.argv[1])
    for number in range(400):
        writer.write(sys.argv[2].encode() * (9_000 if number % 7 == 0 else 90) + b"\\n")
        if number % 20 == 0:
            await asyncio.sleep(0.06)
    await writer.aclose()
asyncio.run(main())
"""


@pytest.mark.parametrize("to", ["a pipe", "a file"])
def test_lines_of_several_workers_stay_whole(tmp_path: Path, to: str) -> None:
    """Also those that are longer than what a pipe takes in one piece."""
    file = tmp_path / "lines"
    reader, end = os.pipe()
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, "stdout" if to == "a pipe" else str(file), letter],
            stdout=end,
        )
        for letter in "ab"
    ]
    os.close(end)
    with os.fdopen(reader, "rb") as pipe:
        read = pipe.read()
    assert [worker.wait() for worker in workers] == [0, 0]
    lines = (read if to == "a pipe" else file.read_bytes()).splitlines()
    assert len(lines) == 800
    assert {(len(set(line)), len(line)) for line in lines} == {(1, 90), (1, 9_000)}


async def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        LineWriter(str(tmp_path / "nowhere" / "lines"))


async def test_a_named_pipe_that_nobody_reads_is_told_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="No such device or address"):
        LineWriter(str(pipe))
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = LineWriter(str(pipe))
    writer.write(b"line\n")
    await writer.aclose()
    assert os.read(reader, 100) == b"line\n"
    os.close(reader)


def test_what_a_line_costs(reached: Reached) -> None:
    """The least of many short stretches: what else runs on the machine is in the others."""
    lines: list[bytes] = []
    log = LifeLog(lines.append, lambda: 1_790_000_000.5, Redactor(), Log())

    def stretch(observe: object, lives: int = 100) -> float:
        began = time.thread_time_ns()
        for _ in range(lives):
            for event in LIFE:
                observe(event)  # type: ignore[operator]
        lines.clear()
        return (time.thread_time_ns() - began) / lives / 1_000

    nothing = min(stretch(lambda event: None) for _ in range(300))
    took = min(stretch(log.observe) for _ in range(300)) - nothing
    reached("operations", "CPU of a log line", f"{took:.1f} us", "< 5 us on an idle core")
    assert took < 12, "a line costs more than twice what it may, even on a busy machine"


def test_a_line_is_json() -> None:
    lines: list[bytes] = []
    log = LifeLog(lines.append, lambda: 1_790_000_000.5, Redactor(), Log())
    for event in LIFE:
        log.observe(event)
    (line,) = map(json.loads, lines)
    assert line["time"] == "2026-09-21T14:13:20.500Z"
    assert line["seconds"] == 0.003123
    assert line["attempts"][0]["usage"]["prompt"] == 90
