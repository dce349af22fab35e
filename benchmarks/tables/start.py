"""How long until a gateway is ready, and until the command line says what it can."""

import os
import subprocess
import time
import urllib.error
from collections.abc import Mapping
from contextlib import ExitStack

from benchmarks import servers
from benchmarks.gateways import Setting, environment, serve
from benchmarks.servers import SUT_CPU, TOLLGATE, CannotRun, get, pinned
from benchmarks.stage import Stage
from benchmarks.table import Reading, Readings

PATIENCE_S = 30.0


def start(stage: Stage, stack: ExitStack) -> Readings:
    turns = range(stage.effort.rounds + 1)
    ready = {
        f"ready, ledger {where}": [
            ready_s(stage, f"start-{ledger}-{turn}", ledger) for turn in turns
        ]
        for where, ledger in (("in memory", "memory"), ("embedded", "embedded"))
    }
    helped = [help_s(stage) for _ in turns]
    rows = {name: Reading("s", values[1:]) for name, values in ready.items()}
    rows["--help"] = Reading("s", helped[1:])
    return Readings("From the start of the command until /readyz is 200, and of --help", rows)


def help_s(stage: Stage) -> float:
    env = compiled(stage, os.environ)
    began = time.perf_counter()
    command = [*pinned(SUT_CPU), str(TOLLGATE), "--help"]
    subprocess.run(command, check=True, capture_output=True, env=env)
    return time.perf_counter() - began


def ready_s(stage: Stage, name: str, ledger: str) -> float:
    """The first one warms the disk's cache, and compiles; its time is not told."""
    port, data = servers.free_port(), stage.folder / name
    env = compiled(stage, environment(stage.folder, stage.providers, ledger, data))
    command = [*pinned(SUT_CPU), *serve(port, Setting(name, ledger=ledger))]
    log = stage.folder / f"{name}.log"
    began = time.perf_counter()
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, env=env) as run:
        try:
            while not _is_ready(port):
                if run.poll() is not None or time.perf_counter() - began > PATIENCE_S:
                    raise CannotRun(f"{name} is not ready: {log.read_text()[-300:]}")
                time.sleep(0.005)
            return time.perf_counter() - began
        finally:
            run.terminate()


def compiled(stage: Stage, env: Mapping[str, str]) -> dict[str, str]:
    """Where all that is imported stays compiled, as it does for whoever installs it: a checkout
    that is worked on may forbid that, and what has changed in it is compiled at each start.
    """
    kept = {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(stage.folder / "compiled")}


def _is_ready(port: int) -> bool:
    try:
        get(port, "/readyz")
    except urllib.error.HTTPError as error:
        if error.code != 503:
            raise
        return False
    except OSError:
        return False
    return True
