"""The systems that are compared, and what each is asked."""

import json
import os
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from benchmarks import cpu, planning, rehearsal, servers
from benchmarks.ledger import AT_ONCE, Pairs
from benchmarks.load import Done, Load, run_c, run_python
from benchmarks.servers import HERE, TOLLGATE, CannotRun, pinned, started
from benchmarks.table import Cell
from gateway.drivers.embedded_redis import EmbeddedRedis

ALONE = ("planning", "replay")
"""Tables for which nothing has to run."""
GROUPS = ("chat", "simulator", "stream", "ledger", *ALONE)

CONNECTIONS = 32
EVENTS = 50
PACE_US = 3_000
BODY_BYTES = 1024
KEY = "tg-bench-key-000000000000000000000000"
NEEDLE = b'"finish_reason":"stop"'
SUT_CPU, OTHER_CPU = 0, 1
WARM_UP = 2_000
MOST = 60_000


@dataclass(frozen=True)
class System:
    """One row. `calls` tells how many calls its upstream has had since it was last asked."""

    name: str
    load: Load
    run: Callable[[Load, int], Done]
    pid: int
    ledger_pid: int | None
    calls: Callable[[], int]
    events: int = 0
    """Of each answer; 0 when it is no stream."""

    def calibrate(self, cpu_s: float) -> int:
        """Warm up, and tell how many requests take about so much CPU time."""
        few = WARM_UP // 5 if self.events else WARM_UP
        self.measure(few)
        cell = self.measure(few)
        return max(100, min(MOST, int(cpu_s / max(cell.cpu_s / few, 1e-6))))

    def measure(self, total: int) -> Cell:
        """Raises CannotRun when anything about the answers is not as it should be."""
        self.calls()
        before, ledger_before = self._used()
        done = self.run(self.load, total)
        after, ledger_after = self._used()
        self._check(done, total)
        per = done.events if self.events else total
        return Cell(total, per, after - before, ledger_after - ledger_before, done.seconds)

    def _used(self) -> tuple[float, float]:
        ledger = cpu.seconds(self.ledger_pid) if self.ledger_pid is not None else 0.0
        return cpu.seconds(self.pid), ledger

    def _check(self, done: Done, total: int) -> None:
        told = f"{self.name}: {total} requests"
        if done.requests != total or done.wrong:
            raise CannotRun(f"{told}, {done.wrong} wrong answers, the last {done.last[:300]!r}")
        if (calls := self.calls()) != total:
            raise CannotRun(f"{told}, but {calls} calls upstream")
        if done.events != self.events * total:
            raise CannotRun(f"{told}, {done.events} events instead of {self.events * total}")
        if not self.events and "choices" not in json.loads(done.last):
            raise CannotRun(f"{told}, the last answer is no completion: {done.last[:300]!r}")


class Row(Protocol):
    @property
    def name(self) -> str: ...

    def calibrate(self, cpu_s: float) -> int:
        """How many requests take about so much CPU time."""
        ...

    def measure(self, total: int) -> Cell: ...


@dataclass(frozen=True)
class Group:
    title: str
    unit: str
    systems: Sequence[Row]


@dataclass(frozen=True)
class Gateway:
    name: str
    port: int
    pid: int
    ledger_pid: int | None


def alone(name: str, folder: Path) -> Group | None:
    """A table that needs no gateway; None for the others."""
    if name == "planning":
        title = f"Features, rules and plan of a 1 kB request; the aim is {planning.GOAL_US} us"
        return Group(title, "us/req", planning.rows(request_body("auto", stream=False)))
    if name == "replay":
        goal = f"{rehearsal.QUERIES:,} queries in {rehearsal.GOAL_S} s"
        each = rehearsal.GOAL_S / rehearsal.QUERIES * 1e6
        title = f"tollgate replay, {rehearsal.FEWER:,} queries; the aim is {goal}, {each:.0f} us"
        return Group(title, "us/query", rehearsal.rows(folder))
    return None


class Bench:
    """Everything that runs. `notes` says what is missing."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.notes: list[str] = []
        self.sent: dict[str, int] = {}
        upstream, load = (servers.compiled(name, folder) for name in ("upstream", "load"))
        self._run: Callable[[Load, int], Done] = run_python
        if load is not None:
            self._run = lambda what, total: run_c(load, what, total, pinned(OTHER_CPU), folder)
        else:
            self.notes.append("No C compiler: a slow load, and the simulator as the only upstream.")
        self.simulator = servers.free_port()
        simulate = [*pinned(OTHER_CPU), str(TOLLGATE), "simulate", "--port", str(self.simulator)]
        self._start("simulator", simulate, self.simulator)
        self.fast: int | None = None
        if upstream is not None:
            self.fast = servers.free_port()
            numbers = (str(self.fast), str(EVENTS), str(PACE_US))
            self._start("upstream", [*pinned(OTHER_CPU), str(upstream), *numbers], self.fast)
        self.nginx = self._start_nginx()
        self.embedded = self._start_gateway("embedded")
        self.memory = self._start_gateway("memory")

    def group(self, name: str) -> Group | None:
        """None where a part of it is missing."""
        if name == "simulator":
            return self._simulator_group()
        if name == "ledger":
            server = self.stack.enter_context(EmbeddedRedis(self.folder / "pairs"))
            return Group(f"Ledger, {AT_ONCE} requests in flight", "us/pair", [Pairs(server)])
        if self.fast is None:
            return None
        return self._chat_group() if name == "chat" else self._stream_group()

    def check_books(self) -> None:
        """Each gateway's own metrics must know of every request, and of nothing else."""
        for gateway in (self.embedded, self.memory):
            text = servers.get(gateway.port, "/metrics").decode()
            found = re.findall(r"^gateway_requests_total\{(.+)\} (\S+)$", text, re.MULTILINE)
            replied = sum(float(n) for labels, n in found if 'outcome="replied"' in labels)
            others = sum(float(n) for _, n in found) - replied
            sent = self.sent.get(gateway.name, 0)
            if replied != sent or others:
                raise CannotRun(
                    f"{gateway.name}: {sent} sent, {replied:.0f} replied, {others:.0f} not"
                )

    def _chat_group(self) -> Group:
        ours, memory = self.embedded, self.memory
        found = [
            self._through_nginx("/fast/v1/chat/completions", "bench"),
            self._through(ours, "tollgate", "auto"),
            self._through(ours, "  no checks", "auto-unchecked"),
            self._through(memory, "  ledger in memory", "auto"),
            self._through(memory, "  ledger in memory, no checks", "auto-unchecked"),
        ]
        title = f"1 kB, {CONNECTIONS} connections, an upstream that is never the bottleneck"
        return Group(title, "us/req", [each for each in found if each])

    def _simulator_group(self) -> Group:
        found = [
            self._through_nginx("/simulator/v1/chat/completions", "cheap-right", "simulator"),
            self._through(self.embedded, "tollgate", "auto-simulated", "simulator"),
        ]
        title = f"1 kB, {CONNECTIONS} connections, `tollgate simulate` as the upstream"
        return Group(title, "us/req", [each for each in found if each])

    def _stream_group(self) -> Group:
        found = [
            self._through_nginx("/flowing/v1/chat/completions", "bench", stream=True),
            self._through(self.embedded, "tollgate, flowing", "auto-unchecked", stream=True),
        ]
        title = f"Stream, {EVENTS} events {PACE_US / 1000:g} ms apart, {CONNECTIONS} streams"
        return Group(title, "us/event", [each for each in found if each])

    def _through_nginx(
        self, path: str, model: str, upstream: str = "fast", *, stream: bool = False
    ) -> System | None:
        if self.nginx is None:
            return None
        port, pid = self.nginx
        load = Load(port, path, request_body(model, stream=stream), KEY, CONNECTIONS, NEEDLE)
        events = EVENTS if stream else 0
        return System("nginx", load, self._run, pid, None, self._calls(upstream), events)

    def _through(
        self,
        gateway: Gateway,
        name: str,
        model: str,
        upstream: str = "fast",
        *,
        stream: bool = False,
    ) -> System:
        path = "/v1/chat/completions"
        body = request_body(model, stream=stream)
        load = Load(gateway.port, path, body, KEY, CONNECTIONS, NEEDLE)

        def run(what: Load, total: int) -> Done:
            self.sent[gateway.name] = self.sent.get(gateway.name, 0) + total
            return self._run(what, total)

        events = EVENTS if stream else 0
        return System(
            name, load, run, gateway.pid, gateway.ledger_pid, self._calls(upstream), events
        )

    def _calls(self, upstream: str) -> Callable[[], int]:
        if upstream == "simulator":
            return lambda: servers.simulator_count(self.simulator)
        port, last = self.fast or 0, 0

        def since() -> int:
            nonlocal last
            before, last = last, servers.fast_count(port)
            return last - before

        return since

    def _start_nginx(self) -> tuple[int, int] | None:
        binary = servers.nginx_binary()
        if binary is None:
            self.notes.append("No nginx (Debian: apt install nginx): our own figures, no ratio.")
            return None
        port = servers.free_port()
        conf = self.folder / "nginx.conf"
        conf.write_text(servers.nginx_conf(self.folder, port, self.fast or 1, self.simulator))
        command = [*pinned(SUT_CPU), binary, "-c", str(conf), "-p", str(self.folder)]
        return port, self._start("nginx", command, port)

    def _start_gateway(self, ledger: str) -> Gateway:
        port, data = servers.free_port(), self.folder / ledger
        config = str(HERE / "gateway.yaml")
        env = {
            **os.environ,
            "BENCH_LEDGER": ledger,
            "BENCH_DATA_DIR": str(data),
            "BENCH_FAST_URL": f"http://127.0.0.1:{self.fast or 1}/v1",
            "BENCH_SIMULATOR_URL": f"http://127.0.0.1:{self.simulator}/v1",
            "BENCH_KEY_SHA256": sha256(KEY.encode()).hexdigest(),
        }
        serve = [str(TOLLGATE), "serve", "--config", config, "--port", str(port)]
        pid = self._start(f"gateway-{ledger}", [*pinned(SUT_CPU), *serve], port, env)
        servers.ready(port)
        told = data / "server.pid"
        return Gateway(ledger, port, pid, int(told.read_text()) if told.exists() else None)

    def _start(
        self, name: str, command: list[str], port: int, env: dict[str, str] | None = None
    ) -> int:
        log = self.folder / f"{name}.log"
        return self.stack.enter_context(started(command, port, log, env))


def request_body(model: str, *, stream: bool) -> bytes:
    """A chat request of BODY_BYTES. The simulator repeats its question, word by word."""
    question = " ".join(f"word{number}" for number in range(45))
    asked: dict[str, object] = {
        "model": model,
        "messages": [
            {"role": "system", "content": ""},
            {"role": "user", "content": question},
        ],
        "temperature": 0.7,
        "max_tokens": 400,
    }
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    short = json.dumps(asked)
    filler = "You answer briefly. " * 50
    system = filler[: BODY_BYTES - len(short)]
    return short.replace('"system", "content": ""', f'"system", "content": "{system}"').encode()
