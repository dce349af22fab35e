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
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
TOLLGATE = Path(sys.executable).with_name("tollgate")
_START_S = 30.0


class CannotRun(Exception):
    """Something is missing or does not start; the message says what."""


def pinned(cpu: int) -> list[str]:
    """What to put before a command so that it runs on that CPU, where that is possible."""
    taskset = shutil.which("taskset")
    return [taskset, "-c", str(cpu)] if taskset and (os.cpu_count() or 1) > 1 else []


def nginx_binary() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def compiled(name: str, folder: Path) -> Path | None:
    """A program from its C file; None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    program = folder / name
    subprocess.run([compiler, "-O2", "-o", str(program), str(HERE / f"{name}.c")], check=True)
    return program


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def started(
    command: Sequence[str], port: int, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[int]:
    """The process id of a server that listens on `port`; it is stopped at the end."""
    with (
        log.open("wb") as out,
        subprocess.Popen(command, stdout=out, stderr=out, env=env) as process,
    ):
        try:
            _wait_for(port, process, log)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    said = log.read_text(errors="replace")[-500:].strip()
    raise CannotRun(f"{log.stem} did not start: {said}")


def nginx_conf(folder: Path, port: int, fast: int, simulator: int) -> str:
    text = (HERE / "nginx.conf").read_text()
    given = {"FOLDER": folder, "PORT": port, "FAST": fast, "SIMULATOR": simulator}
    for name, value in given.items():
        text = text.replace(f"@{name}@", str(value))
    return text


def get(port: int, path: str, method: str = "GET") -> bytes:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
        body: bytes = answer.read()
        return body


def ready(port: int) -> None:
    """Until a gateway that has just started says so: its ledger may still be starting, too."""
    until = time.monotonic() + 30
    while True:
        try:
            get(port, "/readyz")
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def fast_count(port: int) -> int:
    """How many requests upstream.c says it had."""
    return int(json.loads(get(port, "/"))["requests"])


def simulator_count(port: int) -> int:
    """How many calls are on the simulator's bill, which is then cleared so that it stays short."""
    told = json.loads(get(port, "/bill"))
    get(port, "/bill", "DELETE")
    return len(told["calls"])
