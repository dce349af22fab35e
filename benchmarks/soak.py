"""Half of what one CPU can do, with faults, for as long as is asked: what grows is told.

    make soak                            # half an hour
    python -m benchmarks.soak --minutes 3

Ends with an error when memory, open files or tasks grow, or an answer is wrong that should not be.
"""

import argparse
import asyncio
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Final

from benchmarks import counted, cpu, growth, machine, servers
from benchmarks.gateways import KEY, Gateway, Setting, worker_of
from benchmarks.growth import Sample
from benchmarks.load import Done, Load, run_c
from benchmarks.servers import HERE, OTHER_CPU, SUT_CPU, CannotRun, pinned
from benchmarks.stage import Effort, Stage
from benchmarks.systems import NEEDLE, request_body
from benchmarks.table import padded

SHARE = 0.5
SAMPLES = 180
LEAST_PAUSE_S = 1.0
CALM_S = 30.0
LEAVING_S = 0.2
"""Between two clients that leave in the middle of their stream."""
_ENDED = re.compile(r"^gateway_requests_total\{(.+)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_IN_FLIGHT = re.compile(r"^gateway_inflight_requests(?:\{.*\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Flow:
    """Requests of one kind. `share` is its part of the CPU time, `tried` how many requests tell
    what one costs; `breaks` says that its answers are to be wrong.
    """

    name: str
    model: str
    share: float
    stream: bool = False
    tried: int = 500
    breaks: bool = False


FLOWS: Final = (
    Flow("chat", "auto", 0.4),
    Flow("failures, another is asked", "soak-sideways", 0.2),
    Flow("refusals, a better one is asked", "climbs", 0.15),
    Flow("streams", "auto-unchecked", 0.2, stream=True, tried=100),
    Flow("streams that break", "soak-breaks", 0.05, stream=True, tried=50, breaks=True),
)
CONNECTIONS = 256
"""Of each flow, at most."""
FEW = 32
"""Enough to have the gateway busy."""
CROWD = 16
"""How often each connection asks, all of them at once, before the soak begins."""


@dataclass(frozen=True)
class Soaked:
    """`answers` has a line for each flow; `wrong` counts answers that should be right. `before` and
    `after` are of the gateway with nothing to do.
    """

    before: Sample
    samples: Sequence[Sample]
    after: Sample
    answers: Sequence[Sequence[str]]
    wrong: int
    left: int
    """Requests that the gateway still counts, when nobody asks any more."""
    refused: str
    """What was not replied, by its code, with the tries before."""


def soak(folder: Path, minutes: float, share: float = SHARE) -> Soaked:
    """At a share of what one CPU can do."""
    with ExitStack() as stack:
        stage = Stage(folder, stack, Effort())
        if stage.loader is None:
            raise CannotRun("a soak needs a C compiler")
        tasks = folder / "tasks"
        beside = [sys.executable, "-m", "benchmarks.counted", str(tasks)]
        prefix = [*pinned(SUT_CPU), *beside]
        setting = Setting("soaked", extra=[HERE / "soak.yaml"], prefix=prefix, all_reply=False)
        gateway = stage.gateway(stack, setting)
        return _Soak(stage, stage.loader, gateway, tasks, share).run(minutes * 60)


@dataclass(frozen=True)
class _Soak:
    stage: Stage
    loader: Path
    gateway: Gateway
    tasks: Path
    share: float

    def run(self, seconds: float) -> Soaked:
        slowness = self._slowness()
        rates = [self._rate(flow) / slowness for flow in FLOWS]
        self._crowd()
        self._calm()
        worker = worker_of(self.gateway)
        before = self._sample(worker, 0.0)
        stop = Event()
        with ThreadPoolExecutor(len(FLOWS) + 1) as pool:
            leaving = pool.submit(asyncio.run, _leave(self.gateway.port, stop))
            try:
                asked = [
                    pool.submit(self._send, flow, rate, int(rate * seconds))
                    for flow, rate in zip(FLOWS, rates, strict=True)
                ]
                samples = self._watch(worker, asked, max(LEAST_PAUSE_S, seconds / SAMPLES))
            finally:
                stop.set()
            done = [each.result() for each in asked]
            left = leaving.result()
        wrong = sum(
            each.wrong if not flow.breaks else each.requests - each.wrong
            for flow, each in zip(FLOWS, done, strict=True)
        )
        told = [_line(flow, each) for flow, each in zip(FLOWS, done, strict=True)]
        told.append(["clients that leave their stream", f"{left:,}", "", "", "", "", "", ""])
        left = self._calm()
        after = self._sample(worker, samples[-1].at_s)
        return Soaked(before, samples, after, told, wrong, left, self._refused())

    def _crowd(self) -> None:
        """As many at once as can ever be. Memory is what the most at once took, and a machine that
        stands still for a second has a thousand at once: else that would look like growth.
        """
        with ThreadPoolExecutor(len(FLOWS)) as pool:
            each = CROWD * CONNECTIONS
            asked = [pool.submit(self._send, flow, 0, each, CONNECTIONS) for flow in FLOWS]
            for done in asked:
                done.result()

    def _rate(self, flow: Flow) -> float:
        """Requests a second that take the flow's share."""
        used, _ = self._price(flow)
        return flow.share * self.share * flow.tried / used

    def _slowness(self) -> float:
        """How much longer than its CPU time a saturated gateway takes: others may use its CPU."""
        used, seconds = self._price(FLOWS[0])
        return max(1.0, seconds / used)

    def _price(self, flow: Flow) -> tuple[float, float]:
        """CPU seconds and seconds of what is tried."""
        self._send(flow, 0, flow.tried, FEW)
        before = cpu.seconds(self.gateway.pid)
        done = self._send(flow, 0, flow.tried, FEW)
        return max(cpu.seconds(self.gateway.pid) - before, 0.01), done.seconds

    def _send(self, flow: Flow, rate: float, total: int, width: int = CONNECTIONS) -> Done:
        """With rate 0 as fast as they are answered."""
        folder = self.stage.folder / flow.model
        folder.mkdir(exist_ok=True)
        body = request_body(flow.model, stream=flow.stream)
        load = Load(self.gateway.port, body, (KEY,), width, NEEDLE, rate=rate)
        return run_c(self.loader, load, total, pinned(OTHER_CPU), folder)

    def _watch(self, worker: int, asked: "Sequence[Future[Done]]", pause_s: float) -> list[Sample]:
        samples, began = [], time.monotonic()
        simulator = self.stage.provider("simulator")
        while not all(each.done() for each in asked):
            time.sleep(pause_s)
            samples.append(self._sample(worker, time.monotonic() - began))
            simulator.count()  # its bill is cleared by that, and stays short
        return samples

    def _sample(self, worker: int, at_s: float) -> Sample:
        ledger = self.gateway.ledger_pid
        return Sample(
            at_s,
            cpu.rss_kb((cpu.PROC / str(worker) / "status").read_text()) / 1024,
            len([*(cpu.PROC / str(worker) / "fd").iterdir()]),
            int(self.tasks.read_text()),
            cpu.resident_kb(ledger) / 1024 if ledger else 0.0,
            cpu.stolen((cpu.PROC / "stat").read_text()),
        )

    def _calm(self) -> int:
        """Requests that are left once nobody asks; a call that is given up may take a moment."""
        until = time.monotonic() + CALM_S
        while True:
            told = _IN_FLIGHT.search(servers.get(self.gateway.port, "/metrics").decode())
            if told is None:
                raise CannotRun("the metrics do not tell how many requests are served")
            if float(told[1]) == 0 or time.monotonic() > until:
                time.sleep(2 * counted.EACH_S)
                return int(float(told[1]))
            time.sleep(0.1)

    def _refused(self) -> str:
        found = Counter[str]()
        for labels, n in _ENDED.findall(servers.get(self.gateway.port, "/metrics").decode()):
            told = dict(_LABEL.findall(labels))
            if told["outcome"] != "replied":
                found[told["code"] or told["outcome"]] += int(float(n))
        return ", ".join(f"{code} {n:,}" for code, n in found.most_common())


async def _leave(port: int, stop: Event) -> int:
    """Clients that read a little of their stream and go; how many there were."""
    load = Load(port, request_body("auto-unchecked", stream=True), (KEY,), 1, NEEDLE)
    request, gone = load.request(KEY), 0
    while not stop.is_set():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        await reader.readuntil(b"\n\n")
        writer.close()
        gone += 1
        await asyncio.sleep(LEAVING_S)
    return gone


def _line(flow: Flow, done: Done) -> list[str]:
    right = done.requests - done.wrong
    rate = done.requests / done.seconds
    late = [f"{ms:.1f}" for ms in done.latency_ms[:2]]
    return [
        flow.name,
        f"{done.requests:,}",
        f"{right:,}",
        f"{rate:.0f}",
        *late,
        str(done.again),
        done.why,
    ]


def _told(sample: Sample) -> str:
    return f"{sample.memory_mb:.1f} MB, {sample.files} files, {sample.tasks} tasks"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="default 30")
    parser.add_argument("--share", type=float, default=SHARE, help=f"of a CPU; default {SHARE}")
    given = parser.parse_args()
    minutes, share = float(given.minutes), float(given.share)
    before = machine.load()
    with TemporaryDirectory(prefix="tollgate-soak-") as folder:
        try:
            found = soak(Path(folder), minutes, share)
        except CannotRun as error:
            raise SystemExit(f"soak: {error}") from None
    head = ["", "requests", "right", "/s", "p50 ms", "p99 ms", "again", "last wrong"]
    print(f"{minutes:g} minutes at {share:.0%} of one CPU; load average before {before}.\n")
    print(padded([head, *found.answers]) + "\n")
    rows = growth.judged(found.samples)
    print(padded(growth.lines(rows)))
    print(f"\n{found.wrong} wrong answers, {found.left} requests left when nobody asks any more.")
    print(f"Not replied: {found.refused}.")
    whole, worst = growth.stolen(found.samples)
    print(f"The host took {whole:.0%} of a CPU, {worst:.0%} in the worst minute.")
    print(f"With nothing to do, before and after: {_told(found.before)}; {_told(found.after)}.")
    if found.wrong or found.left or not all(row.is_flat for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
