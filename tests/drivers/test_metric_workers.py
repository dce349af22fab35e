"""Workers that count in one folder: any of them tells what all counted, the dead included."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice, permutations
from pathlib import Path
from typing import Final

import pytest

from gateway.core import events
from gateway.core.catalog import Tenant
from gateway.drivers.metrics.cells import Series, SharedCells, WorkerCells
from gateway.drivers.metrics.prometheus import Metrics
from tests.drivers.full_disk import files_no_larger_than

WHO: Final = events.About("r1", "acme", "auto", stream=False)
REPLIED: Final = events.Replied(WHO, "sim", "small", "cheap", "passed", 0.75, 0.5, None)
BEGAN: Final = events.Began(WHO)
LIVES: Final = 2000

# Serves so many requests, then one that does not end.
WORKER: Final = f"""
import sys
from gateway.core.catalog import Tenant
from gateway.core.events import About, Began, Replied
from gateway.drivers.metrics.prometheus import Metrics
who = About("r1", "acme", "auto", False)
began = Began(who)
replied = Replied(who, "sim", "small", "cheap", "passed", 0.75, 0.5, None)
metrics = Metrics([Tenant("acme")], ["small@sim"], sys.argv[1])
print("counts", flush=True)
for _ in range({LIVES}):
    metrics.observe(began)
    metrics.observe(replied)
metrics.observe(began)
print("counted", flush=True)
sys.stdin.read()
"""

Worker = subprocess.Popen[str]


@contextmanager
def workers(folder: Path, count: int) -> Iterator[list[Worker]]:
    command = [sys.executable, "-c", WORKER, str(folder)]
    pipe = subprocess.PIPE
    started = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(count)]
    try:
        yield started
    finally:
        for worker in started:
            worker.communicate()


def says(worker: Worker) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def values(metrics: Metrics) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in metrics.render().decode().splitlines()]
    return {name: float(value) for name, _, value in lines if name[0] != "#"}


REQUESTS: Final = (
    'gateway_requests_total{code="",outcome="replied",route="auto",stream="false",tenant="acme"}'
)
IN_FLIGHT: Final = "gateway_inflight_requests"
BUCKET: Final = 'gateway_request_duration_seconds_bucket{le="1.0",route="auto",stream="false"}'
SUM: Final = 'gateway_request_duration_seconds_sum{route="auto",stream="false"}'
CIRCUIT: Final = 'gateway_circuit_state{deployment="small@sim"}'
OPEN: Final = 'gateway_holds_open{tenant="acme"}'


def test_four_processes_count_and_one_is_killed(tmp_path: Path) -> None:
    metrics = Metrics(workers_dir=str(tmp_path))
    with workers(tmp_path, 4) as four:
        assert [says(worker) for worker in four] == ["counts"] * 4
        seen = 0.0
        while seen < 4 * LIVES and not any(worker.poll() for worker in four):  # as they count
            told = values(metrics)
            assert seen <= told.get(REQUESTS, 0.0), "a counter went back"
            seen = told.get(REQUESTS, 0.0)
        assert [says(worker) for worker in four] == ["counted"] * 4
        told = values(metrics)
        counted = {REQUESTS: 4 * LIVES, BUCKET: 4 * LIVES, SUM: 4 * LIVES * 0.75}
        assert {name: told[name] for name in counted} == counted
        assert told[IN_FLIGHT] == 4

        four[0].kill()
        os.waitid(os.P_PID, four[0].pid, os.WEXITED | os.WNOWAIT)  # dead, and not buried yet
        told = values(metrics)
        assert {name: told[name] for name in counted} == counted
        assert told[IN_FLIGHT] == 3

        with workers(tmp_path, 1) as (fifth,):
            assert (says(fifth), says(fifth)) == ("counts", "counted")
            told = values(metrics)
            assert told[REQUESTS] == 5 * LIVES
            assert told[IN_FLIGHT] == 4
            assert len(list(tmp_path.iterdir())) == 5, "it counts on in the dead one's file"
    assert values(metrics)[REQUESTS] == 5 * LIVES, "all have left"
    assert values(metrics)[IN_FLIGHT] == 0
    metrics.close()


def worker(folder: Path, at: float = 0.0) -> Metrics:
    """One that reads its gauges at that time."""
    return Metrics([Tenant("acme")], ["small@sim"], str(folder), clock=lambda: at)


def test_of_what_all_read_the_latest_is_told(tmp_path: Path) -> None:
    early, late, never = worker(tmp_path, 1.0), worker(tmp_path, 2.0), worker(tmp_path)
    late.observe(events.HoldsRead("acme", 3))
    early.observe(events.HoldsRead("acme", 7))
    assert [values(each)[OPEN] for each in (early, late, never)] == [3, 3, 3]
    late.close()
    assert values(early)[OPEN] == 3
    early.close()
    never.close()


def test_the_worst_circuit_of_those_that_live_is_told(tmp_path: Path) -> None:
    one, other = worker(tmp_path), worker(tmp_path)
    one.observe(events.CircuitMoved("small@sim", "open"))
    other.observe(events.CircuitMoved("small@sim", "half_open"))
    assert [values(each)[CIRCUIT] for each in (one, other)] == [2, 2]
    one.close()
    assert values(other)[CIRCUIT] == 1
    other.close()


def test_a_file_is_taken_over_without_what_has_ended(tmp_path: Path) -> None:
    dead = worker(tmp_path, 1.0)
    for event in (BEGAN, REPLIED, BEGAN, events.CircuitMoved("small@sim", "open")):
        dead.observe(event)
    dead.observe(events.HoldsRead("acme", 7))
    dead.close()
    heir = worker(tmp_path)
    heir.observe(BEGAN)
    heir.observe(REPLIED)
    told = values(heir)
    assert (told[REQUESTS], told[IN_FLIGHT], told[CIRCUIT], told[OPEN]) == (2, 0, 0, 7)
    assert len(list(tmp_path.iterdir())) == 1
    heir.close()


def test_a_file_grows_with_its_series_only(tmp_path: Path) -> None:
    metrics = worker(tmp_path)
    sizes = []
    for _ in range(3):
        for event in (BEGAN, REPLIED, events.HoldsRead("acme", 7)):
            metrics.observe(event)
        sizes.append([path.stat().st_size for path in tmp_path.iterdir()])
    assert sizes == sizes[:1] * 3
    metrics.close()


def test_what_another_version_counted_is_left_alone(tmp_path: Path) -> None:
    cells = SharedCells(tmp_path)
    for series, count in (
        (("gateway_gone_total", "acme"), 1),  # a metric we do not have
        (("gateway_requests_total", "acme"), 1),  # other labels
        (("gateway_overhead_seconds",), 3),  # other buckets
        (("gateway_overhead_seconds", "gateway_alerts_total", "sent"), 3),
        (("gateway_alerts_total", "sent", "gateway_overhead_seconds"), 1),  # another order
    ):
        put(cells, series, 9.0, count)
    other = worker(tmp_path)
    told = values(other)
    cells.close()
    heir = worker(tmp_path)
    for each in (told, values(heir)):
        assert 9.0 not in each.values()
        assert "gateway_gone_total" not in "".join(each)
    heir.close()
    other.close()


# ---- files that could not be written whole

FIRST: Final = ("gateway_holds_expired_total", "first")
SECOND: Final = ("gateway_holds_expired_total", "the second")
THIRD: Final = ("gateway_holds_expired_total", "3rd")


def test_a_record_cut_anywhere_is_written_over(tmp_path: Path) -> None:
    cells = SharedCells(tmp_path)
    put(cells, FIRST, 1.0)
    (path,) = tmp_path.iterdir()
    size = path.stat().st_size
    cells.add(SECOND, 1)
    whole = path.read_bytes()
    cells.close()
    for cut in range(size, len(whole)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        reader = SharedCells(folder)
        (folder / "dead.nanos").write_bytes(whole[:cut])
        assert [counted(shelf) for shelf in reader.workers()] == [{}, {FIRST: 1.0}], cut
        heir = SharedCells(folder)
        for series, value in ((THIRD, 3.0), (SECOND, 2.0)):
            put(heir, series, value)
        theirs = {FIRST: 1.0, THIRD: 3.0, SECOND: 2.0}
        assert [counted(shelf) for shelf in reader.workers()] == [{}, theirs], cut
        heir.close()
        reader.close()


def put(cells: SharedCells, series: Series, value: float, count: int = 1) -> None:
    at = cells.add(series, count)
    cells.values[at] = value


def counted(shelf: WorkerCells) -> dict[Series, float]:
    return {series: shelf.values[at] for series, at, _ in shelf.series}


@pytest.mark.parametrize("room", [0, 20], ids=["nothing", "a part"])
def test_a_full_disk_costs_new_series_only(tmp_path: Path, room: int) -> None:
    metrics, other = worker(tmp_path), worker(tmp_path)
    size = max(path.stat().st_size for path in tmp_path.iterdir())
    before = values(other)
    with files_no_larger_than(size + room):
        metrics.observe(BEGAN)
        metrics.observe(REPLIED)
        metrics.observe(BEGAN)
        told = values(other)
        assert told == {**before, IN_FLIGHT: 1, **processes(told), **overhead(told)}
    metrics.observe(events.LedgerTook("settle", 0.5, None))
    assert values(other)['gateway_ledger_duration_seconds_sum{op="settle"}'] == 0.5
    other.close()
    metrics.close()


def processes(told: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in told.items() if name.startswith("process_")}


def overhead(told: dict[str, float]) -> dict[str, float]:
    """This series was there."""
    return {name: value for name, value in told.items() if name.startswith("gateway_overhead")}


def test_no_worker_starts_on_a_full_disk(tmp_path: Path) -> None:
    with files_no_larger_than(100), pytest.raises(OSError, match="No space left"):
        worker(tmp_path)


# ---- cells that count in several series


def test_verdicts_are_told_one_by_one_and_counted_on(tmp_path: Path) -> None:
    """Of every worker, and by the heir of one that is gone."""
    checks = ("complete", "sql")
    passed, failed = (
        events.Judged(WHO, "small", "cheap", checks, failing) for failing in ((), ("sql",))
    )
    agreed = events.Replied(WHO, "sim", "small", "cheap", "agreed", 0.75, 0.5, None)
    dead, other = worker(tmp_path), worker(tmp_path)
    for metrics in (dead, other):
        for event in (passed, passed, failed, agreed):
            metrics.observe(event)
    dead.close()
    heir = worker(tmp_path)
    heir.observe(failed)
    heir.observe(agreed)
    told = values(other)
    assert {name: value for name, value in told.items() if "_verdicts_" in name} == {
        'gateway_check_verdicts_total{check="complete",verdict="passed"}': 7,
        'gateway_check_verdicts_total{check="sql",verdict="failed"}': 3,
        'gateway_check_verdicts_total{check="sql",verdict="passed"}': 4,
    }
    assert told['gateway_answers_total{reason="agreed",route="auto",tier="cheap"}'] == 3
    assert told['gateway_votes_total{result="agreed",route="auto"}'] == 3
    assert (told[BUCKET], told[SUM]) == (3, 3 * 0.75), "it is counted in the same cells"
    assert len(list(tmp_path.iterdir())) == 2
    heir.close()
    other.close()


def test_checks_in_any_order_fill_no_disk(tmp_path: Path) -> None:
    """Clients may ask for them so. Each way has cells of its own, but for very many."""
    metrics, orders = worker(tmp_path), permutations("abcdefg")
    sizes = []
    for _ in range(2):
        for checks in islice(orders, 1_200):
            for failed in ((), ("a",)):
                metrics.observe(events.Judged(WHO, "small", "cheap", checks, failed))
        sizes.append([path.stat().st_size for path in tmp_path.iterdir()])
    assert sizes[0] == sizes[1]
    told = values(metrics)
    assert {name: count for name, count in told.items() if "_verdicts_" in name} == {
        'gateway_check_verdicts_total{check="a",verdict="failed"}': 2_400,
        'gateway_check_verdicts_total{check="a",verdict="passed"}': 2_400,
        **{
            f'gateway_check_verdicts_total{{check="{check}",verdict="passed"}}': 4_800
            for check in "bcdefg"
        },
    }
    metrics.close()
    heir = worker(tmp_path)
    for checks in islice(orders, 1_200):
        heir.observe(events.Judged(WHO, "small", "cheap", checks, ()))
    assert [path.stat().st_size for path in tmp_path.iterdir()] == sizes[1], "nor worker by worker"
    heir.close()
