"""What a scrape gets is what prometheus_client would write."""

import os
import subprocess
import sys
import time
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.utils import floatToGoString

from gateway.core import events
from gateway.core.catalog import Tenant
from gateway.core.chat import Usage
from gateway.core.money import PER_USD
from gateway.drivers.metrics.catalogue import METRICS, PROCESS_METRICS
from gateway.drivers.metrics.cells import NOWHERE, OwnCells
from gateway.drivers.metrics.families import Families, observe_seconds
from gateway.drivers.metrics.process import ProcessMetrics
from gateway.drivers.metrics.prometheus import Metrics
from gateway.drivers.metrics.text import DOLLARS, Page, number
from tests.drivers.metric_series import COST, settled

KINDS: Final[dict[str, Any]] = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}
VALUES: Final = ("plain", 'quo"ted', "back\\slash", "new\nline", "Zürich, 東京", "")
SECONDS_SEEN: Final = (0.0, 0.0001, 0.05, 0.050001, 3.0, 120.0, 121.0)
AMOUNTS: Final = (0.0, 1.0, 0.1, 1e-9, 999999.0, 1e6, 1234567.25, 1e15, 1e16, 1e300)


def test_the_text_is_what_prometheus_client_writes() -> None:
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    cells = OwnCells()
    families = Families(cells, time.monotonic)
    for name, metric in METRICS.items():
        extra = {"buckets": metric.buckets} if metric.buckets else {}
        theirs = KINDS[metric.kind](name, metric.help, metric.labels, registry=registry, **extra)
        for at in range(len(VALUES) if metric.labels else 1):
            labels = [VALUES[(at + more) % len(VALUES)] for more in range(len(metric.labels))]
            child = theirs.labels(*labels) if labels else theirs
            if metric.kind == "histogram":
                for seconds in SECONDS_SEEN[: at + 2]:
                    where = families[name][tuple(labels)]
                    observe_seconds(cells.values, where, metric.buckets, seconds)
                    child.observe(seconds)
            else:
                families.add(name, *labels, by=AMOUNTS[at])
                child.inc(AMOUNTS[at] / PER_USD if name.endswith(DOLLARS) else AMOUNTS[at])
    assert Page().text(cells.workers()).encode() == generate_latest(registry)


@given(st.floats(0))
def test_numbers_are_written_as_go_does(value: float) -> None:
    assert number(value) == floatToGoString(value)  # type: ignore[no-untyped-call]


def test_buckets_count_up_to_their_bounds() -> None:
    metrics = Metrics()
    for seconds in (0.0001, 0.00011, 0.25, 0.3):
        metrics.observe(events.LedgerTook("reserve", seconds, None))
    (family,) = (
        family
        for family in text_string_to_metric_families(metrics.render().decode())
        if family.name == "gateway_ledger_duration_seconds"
    )
    ours = [s for s in family.samples if s.labels["op"] == "reserve"]
    buckets = {s.labels["le"]: s.value for s in ours if s.name.endswith("_bucket")}
    assert buckets["0.0001"] == 1
    assert buckets["0.00025"] == 2
    assert buckets["0.1"] == 2
    assert buckets["0.25"] == 3
    assert buckets["+Inf"] == 4


def test_money_is_summed_up_to_the_nano_dollar() -> None:
    """As floats of dollars 0.1 and 0.2 would be 0.30000000000000004."""
    metrics = Metrics()
    for nanos in (100_000_000, 200_000_000):
        metrics.observe(settled(nanos, Usage()))
    assert f"{COST} 0.3" in metrics.render().decode().splitlines()


def test_a_scrape_is_read_whole() -> None:
    families = text_string_to_metric_families(Metrics([Tenant("acme")], ["m@p"]).render().decode())
    assert {family.name: family.type for family in families} == {
        name.removesuffix("_total"): metric.kind
        for name, metric in {**METRICS, **PROCESS_METRICS}.items()
    }


def test_what_has_no_room_disturbs_no_other() -> None:
    room = len(OwnCells().values) - NOWHERE
    assert [name for name, metric in METRICS.items() if metric.cells > room] == []


# ---- our processes

BURN: Final = "import time\nwhile time.process_time() < 0.3: pass"
PID: Final = os.getpid()

linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")


def told(metrics: ProcessMetrics, *pids: int) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.text(pids))
    return {sample.name: sample.value for family in families for sample in family.samples}


@linux
def test_a_process_is_told_as_prometheus_client_does() -> None:
    ours = told(ProcessMetrics(), PID)
    families = ProcessCollector(registry=None).collect()
    theirs = {sample.name: sample.value for family in families for sample in family.samples}
    assert set(ours) == set(PROCESS_METRICS) == set(theirs) - {"process_virtual_memory_bytes"}
    for name in ("process_start_time_seconds", "process_max_fds", "process_open_fds"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-12), name
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes"):
        assert ours[name] == pytest.approx(theirs[name], rel=0.1), name


@linux
def test_cpu_time_of_a_dead_worker_stays_counted() -> None:
    """We are its parent here."""
    metrics = ProcessMetrics(parent=PID)
    before = told(metrics, PID)["process_cpu_seconds_total"]
    worker = subprocess.Popen([sys.executable, "-c", BURN])
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    dead = told(metrics, worker.pid)["process_cpu_seconds_total"]
    assert worker.wait() == 0
    buried = told(metrics, worker.pid)["process_cpu_seconds_total"]
    assert before + 0.25 < dead <= buried


@linux
def test_a_strangers_memory_is_not_ours() -> None:
    alone, beside = (
        told(ProcessMetrics(parent=PID), pid)["process_resident_memory_bytes"]
        for pid in (2**22 + 1, os.getppid())
    )
    assert beside == pytest.approx(alone, rel=0.01)
