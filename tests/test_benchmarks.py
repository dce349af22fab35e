"""The benchmark counts and divides rightly, and notices a wrong answer. Nothing is timed."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from benchmarks import cpu, planning, rehearsal
from benchmarks.__main__ import asked
from benchmarks.escalation import A_TURN, asking, beyond_s
from benchmarks.hop import Ask
from benchmarks.load import Load, run_c, run_python
from benchmarks.peers.programs import numbered
from benchmarks.servers import CannotRun, compiled
from benchmarks.systems import BODY_BYTES, NEEDLE, request_body
from benchmarks.table import Cell, Measured, Reading, Readings, lines_of, rows
from gateway.simulator import serve_simulator

STAT = "17 (a (odd) name) S 1 17 17 0 -1 4194304 9 0 0 0 {utime} {stime} 5 6 20 0 1 0 99 0 0"


def test_what_the_host_took_is_told_of_all_cpus() -> None:
    assert cpu.stolen("cpu  1 2 3 4 5 6 7 250 9 10\ncpu0 1 2 3") == 250 / cpu.TICKS_PER_S


@pytest.mark.parametrize(("utime", "stime", "ticks"), [(0, 0, 0), (120, 30, 150), (7, 0, 7)])
def test_cpu_time_is_user_and_system_of_the_process(utime: int, stime: int, ticks: int) -> None:
    assert cpu.ticks(STAT.format(utime=utime, stime=stime)) == ticks


@pytest.mark.parametrize(
    ("children", "tree"),
    [({}, [1]), ({1: [2, 3], 3: [4]}, [1, 2, 3, 4]), ({2: [5]}, [1])],
)
def test_a_tree_is_a_process_and_its_descendants(
    children: Mapping[int, Sequence[int]], tree: Sequence[int]
) -> None:
    assert cpu.tree(1, lambda pid: children.get(pid, ())) == tree


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc, and the benchmark")
def test_the_kernel_agrees_with_python_on_our_own_time() -> None:
    ours = cpu.ticks((cpu.PROC / "self/stat").read_text()) / cpu.TICKS_PER_S
    assert ours == pytest.approx(time.process_time(), abs=0.1)


def measured(rounds: Mapping[str, Sequence[Cell]], **beside: str) -> Measured:
    return Measured("title", "us/req", rounds, beside)


def test_a_ratio_is_taken_in_each_round_and_then_the_median() -> None:
    """The second round was twice as slow for both: the ratio does not see it."""

    def cell(cpu_s: float) -> Cell:
        return Cell(requests=1000, per=1000, cpu_s=cpu_s, ledger_s=0.1, seconds=2.0)

    rounds = {
        "nginx": [cell(0.01), cell(0.02), cell(0.01)],
        "tollgate": [cell(0.10), cell(0.24), cell(0.11)],
    }
    table = measured(rounds, nginx="nginx", tollgate="nginx")
    reference, ours = rows(table)
    assert reference.ratio == 1.0
    assert (ours.us, ours.low, ours.high) == pytest.approx((110, 100, 240))
    assert ours.ratio == pytest.approx(11.0)
    assert (ours.ledger_us, ours.rate) == pytest.approx((100, 500))
    assert lines_of(table)[-1] == ["tollgate", "110.0", "100.0-240.0", "11.00", "100.0", "500"]


def test_without_a_reference_there_is_no_ratio() -> None:
    (ours,) = rows(measured({"tollgate": [Cell(10, 500, 0.01, 0, 1)]}, tollgate="nginx"))
    assert ours.ratio is None
    assert ours.us == pytest.approx(20), "a stream's price is by the event"


def test_a_reading_is_told_with_its_spread() -> None:
    table = Readings("title", {"idle": Reading("MB", [101.0, 99.0, 123.4])})
    assert lines_of(table)[-1] == ["idle", "101", "99.0-123", "MB"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_has_the_size_that_is_told(stream: bool) -> None:
    body = request_body("auto", stream=stream)
    assert len(body) == BODY_BYTES
    assert json.loads(body)["model"] == "auto"
    assert len(request_body("auto", stream=stream, size=1 << 14)) == 1 << 14


@pytest.mark.parametrize(
    ("model", "stream", "wrong"),
    [
        ("cheap-right", False, 0),
        ("cheap-right", True, 0),
        ("cheap-error500", False, 12),
        ("cheap-cut", False, 12),
        ("cheap-noend", True, 12),
    ],
)
async def test_a_load_counts_answers_that_are_not_right(
    model: str, stream: bool, wrong: int
) -> None:
    async with serve_simulator() as simulator:
        port = int(simulator.base_url.rpartition(":")[2])
        body = request_body(model, stream=stream)
        load = Load(port, body, ("key", "yek"), 3, NEEDLE)
        done = await asyncio.to_thread(run_python, load, 12)
        await simulator.idle()
        calls = len(simulator.bill.calls) + simulator.bill.unbilled
    assert (done.requests, done.wrong, calls) == (12, wrong, 12)
    assert (done.events > 12) is stream


async def test_a_load_at_a_fixed_rate_counts_from_when_a_request_was_due(tmp_path: Path) -> None:
    """One connection, 20 ms for an answer, 200 requests a second: those who wait are not spared.
    From when they were sent, none would have taken much more than 20 ms.
    """
    program = compiled("load", tmp_path)
    if program is None:
        pytest.skip("no C compiler")
    answer = b'HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{"finish":"stop"}'

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readexactly(len(load.request("key")))
                await asyncio.sleep(0.02)
                writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        load = Load(port, b"{}", ("key",), 1, b'"finish":"stop"', rate=200)
        done = await asyncio.to_thread(run_c, program, load, 40, (), tmp_path)
    p50, p99, p999 = done.latency_ms
    assert (done.requests, done.wrong) == (40, 0), done.last
    assert 100 < p50 < p99 <= p999
    assert done.seconds > 40 * 0.02


async def test_what_escalating_adds_is_its_request_less_the_one_and_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used_s = 7.0
    monkeypatch.setattr(time, "process_time", lambda: used_s)
    asked: list[float] = []

    def asks(price_s: float) -> Ask:
        async def ask() -> None:
            nonlocal used_s
            used_s += price_s
            asked.append(price_s)

        return ask

    assert await beyond_s([asks(0.5), asks(0.25), asks(0.0625)]) == 0.1875
    assert Counter(asked) == {0.5: A_TURN, 0.25: A_TURN, 0.0625: A_TURN}


@pytest.mark.parametrize(
    ("answer", "right"), [(NEEDLE, True), (b'{"error":{}}', False), (b"", False)]
)
async def test_a_request_in_this_process_is_answered_rightly_or_not_at_all(
    answer: bytes, right: bool
) -> None:
    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        heard = await receive()
        assert json.loads(heard["body"])["model"] == "climbs"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer})

    with nullcontext() if right else pytest.raises(CannotRun, match="climbs was answered"):
        await asking(front, "climbs")()


def test_planning_comes_to_every_rung() -> None:
    """It ends with an error where a plan has other rungs than the route."""
    for row in planning.rows(planning.various(300)):
        assert row.measure(300).requests == 300


def test_most_requests_find_a_plan_and_some_do_not() -> None:
    bodies = planning.various()
    assert 0.005 < planning.missed(bodies) < 0.1
    assert planning.missed(bodies[:1] * 10) == 1 / planning.KEPT


@pytest.mark.parametrize("at", range(3))
def test_a_rehearsal_is_of_all_queries(tmp_path: Path, at: int) -> None:
    row = rehearsal.rows(tmp_path)[at]
    rehearsal.write(row.folder, 60)
    assert row.measure(60).cpu_s > 0
    with pytest.raises(CannotRun, match="60 queries instead of 61"):
        row.measure(61)


def test_a_program_is_told_by_its_number() -> None:
    """All that haproxy says of itself ran out of the picture."""
    said = "HAProxy version 2.6.12-1+deb12u3 2025/10/03 - https://haproxy.org/"
    assert numbered(said) == "2.6.12"
    assert numbered("") == ""


@pytest.mark.parametrize("words", ["--rounds 0", "--rounds -1", "--cpu-s nan", "--most 0"])
def test_what_measures_nothing_is_refused(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 was taken for the default, and -1 rounds failed behind all that was started for them."""
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words.split()])
    with pytest.raises(SystemExit) as ended:
        asked()
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith("must be above 0\n")
