"""Gateways as they are measured: processes of `tollgate serve`, their books checked at the end."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from benchmarks import servers
from benchmarks.cpu import children
from benchmarks.servers import HERE, SUT_CPU, TOLLGATE, CannotRun, pinned, started
from benchmarks.upstreams import Provider

KEY = "tg-bench-key-000000000000000000000000"
FREE_KEY = "tg-free-key-0000000000000000000000000"
CONFIG = HERE / "gateway.yaml"


@dataclass
class Gateway:
    """`sent` is how many requests it was sent."""

    name: str
    port: int
    pid: int
    ledger_pid: int | None
    sent: int = 0


@dataclass(frozen=True)
class Setting:
    """`extra` are more files of configuration, `prefix` stands before the command; `all_reply` says
    that every request is to be answered well.
    """

    name: str
    ledger: str = "embedded"
    extra: Sequence[Path] = ()
    workers: int = 1
    prefix: Sequence[str] | None = None
    patience_s: float = 60.0
    all_reply: bool = True


@contextmanager
def open_gateway(
    folder: Path, providers: Mapping[str, Provider], setting: Setting
) -> Iterator[Gateway]:
    """Ready when it is there; `folder` is where its data and its log go."""
    port, data = servers.free_port(), folder / setting.name
    command = [*(pinned(SUT_CPU) if setting.prefix is None else setting.prefix)]
    command += serve(port, setting)
    env = environment(folder, providers, setting.ledger, data)
    log = folder / f"gateway-{setting.name}.log"
    with started(command, port, log, env, setting.patience_s) as pid:
        servers.ready(port, setting.patience_s)
        told = data / "server.pid"
        ledger_pid = int(told.read_text()) if told.exists() else None
        gateway = Gateway(setting.name, port, pid, ledger_pid)
        yield gateway
        if setting.all_reply:
            check_books(gateway)


def serve(port: int, setting: Setting) -> list[str]:
    files = [part for path in (CONFIG, *setting.extra) for part in ("--config", str(path))]
    workers = ["--workers", str(setting.workers)] if setting.workers > 1 else []
    return [str(TOLLGATE), "serve", *files, "--port", str(port), *workers]


def environment(
    folder: Path, providers: Mapping[str, Provider], ledger: str, data: Path
) -> dict[str, str]:
    """What gateway.yaml asks for. A provider that is not there gets a port where nobody listens."""
    urls = {}
    plain = ("fast", "chorus", "slow", "crowd", "calm", "simulator")
    for name in (*plain, "secure", "secure_chorus"):
        scheme = "http" if name in plain else "https"
        port = providers[name].port if name in providers else 1
        urls[f"BENCH_{name.upper()}_URL"] = f"{scheme}://127.0.0.1:{port}/v1"
    authority = folder / "authority.pem"
    return {
        **os.environ,
        **urls,
        **({"SSL_CERT_FILE": str(authority)} if authority.exists() else {}),
        "BENCH_LEDGER": ledger,
        "BENCH_DATA_DIR": str(data),
        "BENCH_KEY_SHA256": sha256(KEY.encode()).hexdigest(),
        "BENCH_FREE_KEY_SHA256": sha256(FREE_KEY.encode()).hexdigest(),
    }


def check_books(gateway: Gateway) -> None:
    """Its own metrics must know of every request, and of nothing else."""
    text = servers.get(gateway.port, "/metrics").decode()
    found = re.findall(r"^gateway_requests_total\{(.+)\} (\S+)$", text, re.MULTILINE)
    replied = sum(float(n) for labels, n in found if 'outcome="replied"' in labels)
    others = sum(float(n) for _, n in found) - replied
    if replied != gateway.sent or others:
        told = f"{gateway.sent} sent, {replied:.0f} replied, {others:.0f} not"
        raise CannotRun(f"{gateway.name}: {told}")


def worker_of(gateway: Gateway) -> int:
    """The process that serves; it may have a parent that only watches."""
    found = [pid for pid in children(gateway.pid) if pid != gateway.ledger_pid]
    return found[0] if found else gateway.pid
