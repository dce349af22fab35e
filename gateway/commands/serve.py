"""`tollgate serve`: one process, or several on one port."""

import asyncio
import gc
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import uvicorn
import uvloop
from starlette.types import ASGIApp

from gateway.app import open_gateway
from gateway.commands.early import listen_no_more
from gateway.commands.process_log import process_log
from gateway.commands.stopping import Listener, drain, on_signal, stop_by_signals
from gateway.config.load import load_whole, stamp
from gateway.core.redaction import Redactor, secrets_of
from gateway.core.snapshot import Snapshot
from gateway.reload import Reload, Source
from gateway.web.hot import hot
from gateway.web.plain import plain

_BACKLOG: Final = 2048
_COARSE_NS: Final = 1_000_000_000
"""Some file systems tell when a file was written to a second."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen. `shared` is set in each worker of a parent: all listen on the same port,
    and the first of them, number 0, has what there can be one of only.
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


def serve(
    snapshot: Snapshot,
    place: Place,
    say: Callable[[str], None],
    env: Mapping[str, str],
    source: Source | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; `env` and `source` as open_gateway has them."""

    async def run() -> None:
        try:
            await run_gateway(snapshot, place, say, env, source)
        finally:
            listen_no_more()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def source_of(
    paths: Sequence[Path], env: Mapping[str, str], now: Callable[[], datetime | None]
) -> Source:
    """A configuration, and how it is read again; `now` chooses among dated prices. Raises
    ConfigError.
    """
    before, first = time.time_ns() - _COARSE_NS, stamp(paths)
    began = load_whole(paths, env, at=now())
    # Which files of weights there are is known only now: one that was written meanwhile is left
    # out, so that it is read again.
    named = stamp((), began.snapshot)
    first += tuple(each for each in named if each[-1] < before)
    return Source(
        began,
        lambda: load_whole(paths, env, at=now()),
        lambda snapshot: stamp(paths, snapshot),
        first,
    )


async def run_gateway(
    snapshot: Snapshot,
    place: Place,
    say: Callable[[str], None],
    env: Mapping[str, str],
    source: Source | None,
) -> None:
    """As `serve`, in the running loop."""
    stop = stop_by_signals(place.shared)
    admin = snapshot.admin if place.number == 0 else None
    redactor = Redactor(secrets_of(snapshot))
    with ExitStack() as stack:
        stack.enter_context(process_log(redactor))
        bound = stack.enter_context(place.bind())
        inside = None
        if admin is not None:
            inside = stack.enter_context(Place(admin.host, admin.port).bind())
        opened = open_gateway(
            snapshot, workers_dir=place.workers_dir, env=env, source=source, redactor=redactor
        )
        async with (
            opened as gateway,
            reloading(gateway.reload, watch=place.number == 0),
            gateway.warming(),
        ):
            if stop.asked.is_set():  # nobody knows yet that it is there
                return
            door, reload = gateway.front.door, gateway.reload

            def keep_alive_s() -> float:
                return reload.snapshot.server.keep_alive_s

            servers = [_server(gateway.front, hot(door, keep_alive_s))]
            sockets = [bound]
            told = [f"Tollgate answers at {_address(bound)}/v1"]
            if inside is not None:
                servers.append(_server(gateway.admin(), plain(door, keep_alive_s)))
                sockets.append(inside)
                told.append(f"The admin API answers at {_address(inside)}/admin/v1")
            spare_the_collector()
            for line in told:
                say(line)
            serving = [
                asyncio.create_task(server.serve(sockets=[where]))
                for server, where in zip(servers, sockets, strict=True)
            ]
            asked = asyncio.create_task(stop.asked.wait())
            await asyncio.wait((asked, *serving), return_when=asyncio.FIRST_COMPLETED)
            await drain(door, reload.snapshot.server, stop, servers, serving)


@asynccontextmanager
async def reloading(reload: Reload, *, watch: bool) -> AsyncIterator[None]:
    """By SIGHUP, which a parent passes on to all of its workers, and, in one of them, by a change
    of the files. Signals that come while it reads lead to one reading more, however many.
    """
    hung_up = asyncio.Event()

    async def obey() -> None:
        while await hung_up.wait():
            hung_up.clear()
            await reload.logged("SIGHUP", alone=True)

    running = [asyncio.create_task(obey())]
    on_signal(signal.SIGHUP, hung_up.set)
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
    """It has no time of its own in which to end: see stopping.py. What it logs goes to the
    process's own log, as all else.
    """
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
    """Where it listens: said once it does, so that whoever reads it is answered."""
    bound.listen(_BACKLOG)
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def spare_the_collector() -> None:
    """A sixth of a request's CPU went into collecting garbage that requests hardly make.

    What is there at the start stays, so it is not walked again; the youngest generation is
    collected every 20,000 new objects instead of every 700.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
