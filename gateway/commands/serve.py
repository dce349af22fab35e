"""`tollgate serve`: one process, or several on one port."""

import asyncio
import gc
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import uvicorn
import uvloop
from starlette.types import ASGIApp

from gateway.app import open_gateway
from gateway.commands.process_log import process_log
from gateway.commands.shutdown import (
    Listener,
    drain,
    on_signal,
    stop_by_signals,
    until_stopped,
)
from gateway.commands.signals import ignore_signals
from gateway.config.load import load_whole, stamp
from gateway.core.redaction import Redactor, secrets_of
from gateway.core.snapshot import Snapshot
from gateway.reload import Reload, Source
from gateway.web.hot import hot
from gateway.web.plain import plain
from gateway.web.timeouts import ClientTimeouts

_BACKLOG: Final = 2048
_COARSE_NS: Final = 1_000_000_000
"""Some file systems keep modification times only to the second."""


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """Where to listen. `shared` is set in each worker of a parent: all listen on the same port,
    and the first of them, number 0, runs what only one process may run.
    """

    host: str
    port: int
    shared: bool = False
    workers_dir: str | None = None
    number: int = 0

    def bind(self) -> socket.socket:
        """A socket that does not listen yet; raises OSError, whose filename is the address."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            bound.bind((self.host, self.port))
        except OSError as error:
            bound.close()
            error.filename = f"{self.host}:{self.port}"
            raise
        return bound

    def reserve(self) -> socket.socket:
        """A socket that keeps the port for workers, and never listens; raises OSError as `bind`.

        Of all who want a port alone, however close together, one may listen there. Whoever may
        takes it for its workers before it lets go, and from then on nobody else may share it:
        without SO_REUSEADDR no socket is bound beside one but by SO_REUSEPORT.
        """
        with replace(self, shared=False).bind() as alone:
            _address(alone)
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            kept = replace(self, port=alone.getsockname()[1], shared=True).bind()
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        return kept


def serve(
    snapshot: Snapshot,
    listen: ListenOptions,
    say: Callable[[str], None],
    env: Mapping[str, str],
    source: Source | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; `env` and `source` as open_gateway has them."""

    async def run() -> None:
        try:
            await run_gateway(snapshot, listen, say, env, source)
        finally:
            ignore_signals()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def source_of(
    paths: Sequence[Path], env: Mapping[str, str], now: Callable[[], datetime | None]
) -> Source:
    """A configuration, and how to reload it; `now` chooses among dated prices. Raises
    ConfigError.
    """
    cutoff_ns, first = time.time_ns() - _COARSE_NS, stamp(paths)
    loaded = load_whole(paths, env, at=now())
    # Which files of weights there are is known only now: one that was written meanwhile is left
    # out, so that it is read again.
    weights = stamp((), loaded.snapshot)
    first += tuple(each for each in weights if each[-1] < cutoff_ns)
    return Source(
        loaded,
        lambda: load_whole(paths, env, at=now()),
        lambda snapshot: stamp(paths, snapshot),
        first,
    )


async def run_gateway(
    snapshot: Snapshot,
    listen: ListenOptions,
    say: Callable[[str], None],
    env: Mapping[str, str],
    source: Source | None,
) -> None:
    """As `serve`, in the running loop."""
    stop = stop_by_signals(listen.shared)
    admin = snapshot.admin if listen.number == 0 else None
    redactor = Redactor(secrets_of(snapshot))
    with ExitStack() as stack:
        stack.enter_context(process_log(redactor))
        bound = stack.enter_context(listen.bind())
        admin_socket = None
        if admin is not None:
            admin_socket = stack.enter_context(ListenOptions(admin.host, admin.port).bind())
        opened = open_gateway(
            snapshot, workers_dir=listen.workers_dir, env=env, source=source, redactor=redactor
        )
        async with AsyncExitStack() as parts:
            async with until_stopped(stop):
                gateway = await parts.enter_async_context(opened)
            if stop.requested.is_set():  # nobody knows yet that it is there
                return
            watch = listen.number == 0
            await parts.enter_async_context(reloading(gateway.reload, watch=watch))
            await parts.enter_async_context(gateway.warming())
            door, reload = gateway.front.door, gateway.reload

            def keep_alive_s() -> float:
                return reload.snapshot.server.keep_alive_s

            timeouts = ClientTimeouts(keep_alive_s)
            servers = [_server(gateway.front, hot(door, timeouts))]
            sockets = [bound]
            announcements = [f"Tollgate answers at {_address(bound)}/v1"]
            if admin_socket is not None:
                servers.append(_server(gateway.admin(), plain(door, timeouts)))
                sockets.append(admin_socket)
                announcements.append(f"The admin API answers at {_address(admin_socket)}/admin/v1")
            tune_gc()
            for line in announcements:
                say(line)
            serving = [
                asyncio.create_task(server.serve(sockets=[where]))
                for server, where in zip(servers, sockets, strict=True)
            ]
            stopping = asyncio.create_task(stop.requested.wait())
            await asyncio.wait((stopping, *serving), return_when=asyncio.FIRST_COMPLETED)
            await drain(door, reload.snapshot.server, stop, servers, serving)


@asynccontextmanager
async def reloading(reload: Reload, *, watch: bool) -> AsyncIterator[None]:
    """Reload on SIGHUP, which a parent passes on to all of its workers, and, in one of them, when
    files change. Signals during a reload lead to one more reload, however many.
    """
    sighup = asyncio.Event()

    async def reload_on_sighup() -> None:
        while await sighup.wait():
            sighup.clear()
            await reload.reload_and_log("SIGHUP", alone=True)

    running = [asyncio.create_task(reload_on_sighup())]
    on_signal(signal.SIGHUP, sighup.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    if watch:
        running.append(asyncio.create_task(reload.watch()))
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # there is nothing to reload any more
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _server(app: ASGIApp, protocol: type[asyncio.Protocol]) -> Listener:
    """Without uvicorn's own shutdown timeout, see shutdown.py; and with the process's own log."""
    config = uvicorn.Config(
        app,
        http=protocol,
        lifespan="off",
        ws="none",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_config=None,
        log_level="warning",
    )
    return Listener(config)


def _address(bound: socket.socket) -> str:
    """Start to listen, and return the URL: whoever reads it can connect. Raises OSError as `bind`:
    of two who want the port alone, both may be bound until one of them listens.
    """
    host, port = bound.getsockname()[:2]
    try:
        bound.listen(_BACKLOG)
    except OSError as error:
        error.filename = f"{host}:{port}"
        raise
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def tune_gc() -> None:
    """A sixth of a request's CPU went into collecting garbage that requests hardly make.

    What is there at the start stays, so it is not walked again; the youngest generation is
    collected every 20,000 new objects instead of every 700.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
