"""Whether HTTP/2 is the better way to ask a provider: clients side by side, a process each.

What is measured is the client alone: user and system time of its process. Behind nginx, which
speaks both over TLS, is the same upstream for all.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks import servers
from benchmarks.peers.programs import PLACE
from benchmarks.servers import OTHER_CPU, SUT_CPU, CannotRun, pinned, started
from benchmarks.table import Cell
from benchmarks.upstreams import Provider

AT_ONCE: Final = 32
WARM_UP: Final = 2_000
MOST: Final = 60_000


@dataclass(frozen=True)
class Kind:
    """`package` is other people's and is needed for it; "" where there is none."""

    told: str
    package: str = ""


CLIENTS: Final[Mapping[str, Kind]] = {
    "ours": Kind("our pool, HTTP/1.1"),
    "ours-resumed": Kind("our pool, HTTP/1.1, sessions resumed"),
    "by-hand": Kind("frames by hand, jh2's HPACK", "jh2"),
    "jh2": Kind("jh2 on a bare protocol", "jh2"),
    "h2": Kind("h2 on a bare protocol", "h2"),
    "httpx-1": Kind("httpx, HTTP/1.1", "httpx"),
    "httpx-2": Kind("httpx, HTTP/2", "httpx"),
    "pyreqwest-1": Kind("pyreqwest, HTTP/1.1", "pyreqwest"),
    "pyreqwest-2": Kind("pyreqwest, HTTP/2", "pyreqwest"),
}
OURS: Final = CLIENTS["ours"].told


@dataclass(frozen=True)
class Task:
    """So many requests, `width` at a time; `cold`: by a client without any connection."""

    total: int
    stream: bool = False
    width: int = AT_ONCE
    cold: bool = False


@dataclass(frozen=True)
class Told:
    cpu_s: float
    seconds: float
    wrong: int
    events: int


@dataclass(frozen=True)
class Frontage:
    """nginx with HTTP/2 and HTTP/1.1, and what is behind it."""

    port: int
    status_port: int
    cafile: Path
    behind: Provider

    def connections(self) -> int:
        """How many it has accepted so far, those that asked this among them."""
        text = servers.get(self.status_port, "/").decode()
        found = re.search(r"^ (\d+) \d+ \d+", text, re.MULTILINE)
        assert found is not None
        return int(found[1])


def open_frontage(folder: Path, stack: ExitStack, behind: Provider) -> Frontage:
    nginx = servers.binary("nginx")
    cafile = folder / "authority.pem"
    if nginx is None or not cafile.exists():
        raise CannotRun("HTTP/2 needs nginx and a C compiler")
    port, status = servers.free_port(), servers.free_port()
    conf = folder / "nginx-h2.conf"
    conf.write_text(
        servers.filled(conf.name, folder=folder, secure=port, status=status, fast=behind.port)
    )
    command = [*pinned(OTHER_CPU), nginx, "-c", str(conf), "-p", str(folder)]
    stack.enter_context(started(command, port, folder / "nginx-h2.log"))
    return Frontage(port, status, cafile, behind)


class Client:
    """The process. `version` is of the package that it needs."""

    def __init__(
        self, name: str, front: Frontage, stack: ExitStack, prefix: Sequence[str] = ()
    ) -> None:
        self.front = front
        self.name = name
        (packages, *_) = [*(PLACE / "http2").glob("lib/python*/site-packages"), Path()]
        program = [sys.executable, "-m", "benchmarks.http2_client", name, str(front.port)]
        log = stack.enter_context((front.cafile.parent / f"client-{name}.log").open("w+"))
        self._log = log
        self._process = stack.enter_context(
            subprocess.Popen(
                [*pinned(SUT_CPU), *prefix, *program, str(front.cafile), str(packages)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=servers.HERE.parent,
            )
        )
        stack.callback(self._process.kill)
        self.pid = self._process.pid
        self.version = self._line()

    def do(self, task: Task) -> Told:
        """Raises CannotRun when an answer is not as it should be."""
        assert self._process.stdin is not None
        self.front.behind.count()
        self._process.stdin.write(json.dumps(asdict(task)) + "\n")
        self._process.stdin.flush()
        told = Told(**json.loads(self._line()))
        calls = self.front.behind.count()
        events = task.total * self.front.behind.events if task.stream else told.events
        if told.wrong or calls != task.total or told.events != events:
            raise CannotRun(
                f"{self.name}: {task.total} requests, {told.wrong} wrong answers, "
                f"{calls} calls upstream, {told.events} events"
            )
        return told

    def _line(self) -> str:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return line.strip()
        self._log.seek(0)
        said = self._log.read().strip().splitlines()
        raise CannotRun(f"{self.name}: {said[-1] if said else 'it ended'}")


@dataclass(frozen=True)
class Asking:
    """A row: so many requests of 1 kB at a time, or streams."""

    name: str
    client: Client
    width: int
    stream: bool
    beside: str = OURS

    def calibrate(self, cpu_s: float) -> int:
        few = WARM_UP // 10 if self.stream else WARM_UP
        self.measure(few)
        used = self.measure(few).cpu_s / few
        return max(few // 4, min(MOST, int(cpu_s / 2 / used if self.stream else cpu_s / used)))

    def measure(self, total: int) -> Cell:
        told = self.client.do(Task(total, self.stream, self.width))
        per = told.events if self.stream else total
        return Cell(total, per, told.cpu_s, 0.0, told.seconds)


def installed(front: Frontage, stack: ExitStack, names: Sequence[str]) -> dict[str, Client | str]:
    """Each client, or why there is none."""
    found: dict[str, Client | str] = {}
    for name in names:
        with ExitStack() as own:
            try:
                client = Client(name, front, own)
                client.do(Task(1))
            except CannotRun as error:
                found[name] = str(error)
            else:
                found[name] = client
                stack.enter_context(own.pop_all())
    return found


def told_of(client: Client) -> str:
    kind = CLIENTS[client.name]
    return kind.told.replace(kind.package, f"{kind.package} {client.version}", 1).strip()


def strace() -> str:
    program = shutil.which("strace")
    if program is None:
        raise CannotRun("no strace (Debian: apt install strace): system calls are not counted")
    return program
