"""What a run starts: nginx, the gateway, and what stands in for a provider."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks import cpu

HERE = Path(__file__).parent
TOLLGATE = Path(sys.executable).with_name("tollgate")
_START_S = 30.0


class CannotRun(Exception):
    """Something is missing or does not start; the message says what."""


SUT_CPU, OTHER_CPU = 0, 1
"""Where what is measured runs, and where load and upstreams do."""


def pinned(cpu: int) -> list[str]:
    """What to put before a command so that it runs on that CPU, where that is possible."""
    taskset = shutil.which("taskset")
    return [taskset, "-c", str(cpu)] if taskset and (os.cpu_count() or 1) > 1 else []


def binary(name: str) -> str | None:
    """A program of the system's, also where only its administrator looks."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def compiled(name: str, folder: Path) -> Path | None:
    """A program from its C file; None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    program = folder / name
    source = str(HERE / f"{name}.c")
    subprocess.run([compiler, "-O2", "-o", str(program), source, "-lm"], check=True)
    return program


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def started(
    command: Sequence[str],
    port: int,
    log: Path,
    env: Mapping[str, str] | None = None,
    patience_s: float = _START_S,
) -> Iterator[int]:
    """The process id of a server that listens on `port`; it is stopped at the end."""
    with (
        log.open("wb") as out,
        subprocess.Popen(command, stdout=out, stderr=out, env=env) as process,
    ):
        try:
            _wait_for(port, process, log, patience_s)
            yield process.pid
        finally:
            begun = cpu.tree(process.pid, cpu.children)[1:]
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
            for pid in begun:  # strace leaves alone what it has begun
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    said = log.read_text(errors="replace")[-500:].strip()
    raise CannotRun(f"{log.stem} did not start: {said}")


def filled(template: str, **given: object) -> str:
    """A file of this folder, its @NAMES@ filled in."""
    text = (HERE / template).read_text()
    for name, value in given.items():
        text = text.replace(f"@{name.upper()}@", str(value))
    return text


def get(port: int, path: str, method: str = "GET") -> bytes:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
        body: bytes = answer.read()
        return body


def ready(port: int, patience_s: float = _START_S) -> None:
    """Until a gateway that has just started says so: its ledger may still be starting, too."""
    until = time.monotonic() + patience_s
    while True:
        try:
            get(port, "/readyz")
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def upstream_count(port: int, what: str = "requests") -> int:
    """How many requests upstream.c says it had, or has `open`."""
    return int(json.loads(get(port, "/"))[what])


def simulator_count(port: int) -> int:
    """How many calls are on the simulator's bill, which is then cleared so that it stays short."""
    told = json.loads(get(port, "/bill"))
    get(port, "/bill", "DELETE")
    return len(told["calls"])
