"""`tollgate doctor`: whether this machine can serve this configuration, and what to do if not."""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from errno import EADDRINUSE
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from gateway.commands.check import WRITABLE, blockers, unwritable_sink
from gateway.commands.reach import ProbeResult, listen_fault, reach
from gateway.config.faults import ConfigError
from gateway.config.load import load, read_files
from gateway.core.errors import LedgerDown
from gateway.core.snapshot import Provider, Snapshot
from gateway.stores import look_at, token_table_fault

State = Literal["ok", "warn", "fail"]
OLDEST_PYTHON: Final = (3, 11)
_SKEW_S: Final = 2.0
"""Keys expire by our clock, budgets by the server's: a second of difference does no harm."""
_FAULTS: Final = 5
_AT_ONCE: Final = 16
_VARIABLE: Final = re.compile(r"(?<!\$)\$\{(\w+)(:-)?", re.ASCII)


class Line(Struct, frozen=True):
    """`do` is what to do about it, "" when there is nothing to do."""

    name: str
    state: State
    found: str
    do: str = ""


class DoctorOptions(Struct, frozen=True):
    """`now` chooses among dated prices."""

    config: tuple[Path, ...]
    host: str
    port: int
    probe: bool
    python: tuple[int, int]
    now: datetime


def examine(
    options: DoctorOptions,
    env: Mapping[str, str],
    connect: Callable[[Provider], ProbeResult] = reach,
) -> Iterator[Line]:
    """Yields each line as soon as it is known."""
    yield _python(options.python)
    texts, _ = read_files(options.config)
    yield from variables([text for _, text in texts], env)
    try:
        snapshot = load(options.config, env, at=options.now)
    except ConfigError as error:
        *faults, last = map(str, error.faults[:_FAULTS])
        for fault in faults:
            yield Line("config", "fail", fault)
        yield Line("config", "fail", last, "tollgate check lists all faults")
        yield _tables(env)
        yield _port("port", options.host, options.port)
        return
    yield from _config(options.config, snapshot)
    for each in blockers(snapshot):
        yield Line(each.key, "fail", each.why, each.do)
    if (sink := unwritable_sink(snapshot)) is not None:
        yield Line("usage.sink", "warn", sink, WRITABLE)
    yield from _redis(snapshot)
    yield _tables(env)
    yield _port("port", options.host, options.port)
    if snapshot.admin is not None:
        yield _port("admin port", snapshot.admin.host, snapshot.admin.port)
    yield from _providers(snapshot.providers.values(), connect if options.probe else None)


def variables(texts: Sequence[str], env: Mapping[str, str]) -> Iterator[Line]:
    """Which variables the files name, and whether they are set: never their values."""
    lines = [line.partition(" #")[0] for text in texts for line in text.splitlines()]
    named = [found for line in lines if not line.lstrip().startswith("#")
             for found in _VARIABLE.findall(line)]  # fmt: skip
    needed = dict.fromkeys(name for name, default in named if not default)
    present = [name for name in needed if env.get(name)]
    if present:
        yield Line("secrets", "ok", f"set: {', '.join(present)}")
    for name in needed:
        if not env.get(name):
            do = f"export {name}=..., or leave out what names it"
            yield Line("secrets", "warn", f"{name} is not set", do)


def _python(version: tuple[int, int]) -> Line:
    text = f"{version[0]}.{version[1]}"
    if version < OLDEST_PYTHON:
        return Line("python", "fail", text, "install Python 3.11 or newer")
    return Line("python", "ok", text)


def _config(paths: Iterable[Path], snapshot: Snapshot) -> Iterator[Line]:
    models, providers = len(snapshot.catalog.models), len(snapshot.providers)
    counts = f"{_count(models, 'model')} at {_count(providers, 'provider')}"
    yield Line("config", "ok", f"{', '.join(map(str, paths))}: {counts}")
    for name, why in snapshot.not_configured.items():
        yield Line("config", "warn", f"{name} is left out: {why}", "set it to use this provider")
    if all(not tenant.keys and not tenant.anonymous for tenant in snapshot.tenants.values()):
        name = next(iter(snapshot.tenants))
        yield Line("config", "warn", "no tenant has a key", f"tollgate key new {name}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _redis(snapshot: Snapshot) -> Iterator[Line]:
    where = snapshot.ledger
    if where.url == "memory":
        do = "set redis.url to embedded, or to a server"
        yield Line("redis", "warn", "memory: every restart begins with full budgets", do)
        return
    try:
        servers, findings = asyncio.run(look_at(where))
    except LedgerDown as error:
        yield Line("redis", "fail", str(error), "start it, or correct redis.url")
        return
    for each in servers:
        yield Line("redis", "ok", f"{each.version} at {each.server}")
        skew = f"{abs(each.ahead_s):.3f} s {'ahead of' if each.ahead_s > 0 else 'behind'} ours"
        if abs(each.ahead_s) > _SKEW_S:
            yield Line("clock", "warn", f"{each.server} is {skew}", "let NTP set both clocks")
        else:
            yield Line("clock", "ok", f"{each.server} is {skew}")
    for finding in findings:
        state: State = "fail" if finding.severity == "unsafe" else "warn"
        do = f"make it {finding.wanted}" if finding.wanted else "let its user ask for it"
        yield Line("redis", state, finding.message, f"{do}: docs/redis.md")
    if not findings:
        yield Line("redis", "ok", "keeps a log (AOF), and forgets nothing when memory is full")


def _tables(env: Mapping[str, str]) -> Line:
    fault = token_table_fault(env)
    if fault is None:
        return Line("tokenizer", "ok", "exact counts where a decision depends on them")
    do = "name a folder with tiktoken's o200k_base table, to be exact where a limit is near"
    return Line("tokenizer", "warn", f"{fault}: tokens are estimated, a little high", do)


def _port(name: str, host: str, port: int) -> Line:
    fault = listen_fault(host, port)
    if fault is None:
        return Line(name, "ok", f"{host}:{port} is free")
    if fault.errno != EADDRINUSE:  # such as an address of another machine, or a port of root's
        found = f"cannot listen on {host}:{port}: {fault.strerror or fault}"
        return Line(name, "fail", found, "take another address or port")
    do = "stop it, or take another --port; nothing to do if it is this gateway"
    return Line(name, "warn", f"something listens at {host}:{port}", do)


def _providers(
    providers: Iterable[Provider], connect: Callable[[Provider], ProbeResult] | None
) -> Iterator[Line]:
    every = list(providers)
    if connect is None:
        message = f"{_count(len(every), 'provider')} not asked; --probe connects to each"
        yield Line("providers", "ok", message)
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for provider, result in zip(every, pool.map(connect, every), strict=True):
            yield Line(f"provider {provider.name}", result.state, result.text, result.do)
