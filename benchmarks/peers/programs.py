"""How each of them is started. Each raises CannotRun where it is not installed."""

import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks import servers
from benchmarks.servers import HERE, SUT_CPU, CannotRun, pinned, started
from benchmarks.systems import Door

PLACE: Final = HERE.parent / ".bench-peers"
PATIENCE_S = 90.0


Start = Callable[[Path, ExitStack, int], Door]
"""Given a folder for its files and the port of its upstream."""


def haproxy(folder: Path, stack: ExitStack, upstream: int) -> Door:
    """As a proxy that knows nothing of what it carries, like nginx."""
    installed = PLACE / "haproxy/usr"
    program = servers.binary("haproxy") or str(_there(installed / "sbin/haproxy"))
    port = servers.free_port()
    conf = folder / "haproxy.cfg"
    conf.write_text(servers.filled("peers/haproxy.cfg", port=port, fast=upstream))
    libraries = f"{installed}/lib/{platform.machine()}-linux-gnu"
    return Door(
        port, _start(stack, folder, port, [program, "-f", str(conf)], LD_LIBRARY_PATH=libraries)
    )


def tensorzero(folder: Path, stack: ExitStack, upstream: int) -> Door:
    python = _there(PLACE / "tensorzero/bin/python")
    conf, told = folder / "tensorzero.toml", folder / "tensorzero.port"
    conf.write_text(servers.filled("peers/tensorzero.toml", fast=upstream))
    told.unlink(missing_ok=True)
    command = [*pinned(SUT_CPU), str(python), str(HERE / "peers/tensorzero_server.py")]
    log = (folder / "tensorzero.log").open("wb")
    stack.enter_context(log)
    process = stack.enter_context(
        subprocess.Popen([*command, str(conf), str(told)], stdout=log, stderr=log)
    )
    stack.callback(process.kill)
    until = time.monotonic() + PATIENCE_S
    while not told.exists():
        if process.poll() is not None or time.monotonic() > until:
            raise CannotRun(f"does not start, see {log.name}")
        time.sleep(0.05)
    model = "tensorzero::model_name::bench"
    return Door(int(told.read_text()), process.pid, model, "/openai/v1/chat/completions")


def portkey(folder: Path, stack: ExitStack, upstream: int) -> Door:
    node = shutil.which("node")
    if node is None:
        raise CannotRun("needs node")
    program = _there(PLACE / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js")
    port = servers.free_port()
    command = [node, str(program), f"--port={port}", "--headless"]
    pid = _start(stack, folder, port, command, NODE_ENV="production")
    where = f"x-portkey-custom-host: http://127.0.0.1:{upstream}/v1\r\n"
    return Door(port, pid, headers=f"x-portkey-provider: openai\r\n{where}")


def litellm(folder: Path, stack: ExitStack, upstream: int) -> Door:
    program = _there(PLACE / "litellm/bin/litellm")
    port = servers.free_port()
    conf = folder / "litellm.yaml"
    conf.write_text(servers.filled("peers/litellm.yaml", fast=upstream))
    command = [str(program), "--config", str(conf), "--host", "127.0.0.1", "--port", str(port)]
    quiet = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    return Door(port, _start(stack, folder, port, [*command, "--num_workers", "1"], **quiet))


PEERS: Final[Mapping[str, Start]] = {
    "haproxy": haproxy,
    "TensorZero": tensorzero,
    "Portkey": portkey,
    "LiteLLM": litellm,
}


def version(name: str) -> str:
    """Of what is installed; "" where nothing is."""
    at = PLACE / name.lower()
    try:
        if name == "haproxy":
            program = servers.binary("haproxy")
            return _debs(at) if program is None else numbered(_said([program, "-v"]))
        if name == "Portkey":
            file = at / "node_modules/@portkey-ai/gateway/package.json"
            return str(json.loads(file.read_text())["version"])
        (info,) = at.glob(f"lib/python*/site-packages/{name.lower()}-*.dist-info")
    except (OSError, ValueError):
        return ""
    return info.name.removesuffix(".dist-info").partition("-")[2]


def _debs(at: Path) -> str:
    (package,) = at.glob("haproxy_*.deb")
    return package.name.split("_")[1].partition("-")[0]  # without Debian's own


def numbered(said: str) -> str:
    """`2.6.12` of all that a program says of itself: a row of a table is named by it."""
    found = re.search(r"\d+(\.\d+)+", said)
    return found[0] if found else said


def _said(command: list[str]) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return ran.stdout.split("\n", 1)[0]


def _there(program: Path) -> Path:
    if not program.exists():
        name = program.relative_to(PLACE).parts[0]
        why = PLACE / f"{name}.log"
        said = why.read_text(errors="replace").strip()[-200:] if why.exists() else ""
        raise CannotRun(f"not installed{': ' if said else ''}{said}")
    return program


def _start(stack: ExitStack, folder: Path, port: int, command: list[str], **env: str) -> int:
    log = folder / f"{Path(command[0]).name}-{port}.log"
    whole = {**os.environ, **env}
    return stack.enter_context(started([*pinned(SUT_CPU), *command], port, log, whole, PATIENCE_S))
