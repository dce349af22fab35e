"""`tollgate serve` and `tollgate demo`: one process, or several on one port."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal

import uvicorn
import uvloop
from starlette.types import ASGIApp

from gateway.app import open_gateway
from gateway.config.load import load
from gateway.core.snapshot import Snapshot
from gateway.simulator import BASES, serve_simulator
from gateway.web.hot import hot

_SHIPPED: Final = (Path(__file__).resolve().parents[2], Path())
"""Where the folder config/ may be: beside the package, or, when it is installed, right here."""
_BACKLOG: Final = 2048
Protocol = type[asyncio.Protocol] | Literal["httptools"]


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


class _Server(uvicorn.Server):
    """Is told when to stop: uvicorn's own way would end the process by the signal once it has
    served, with nothing closed.
    """

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def stop_when(self, asked: asyncio.Event) -> None:
        await asked.wait()
        self.should_exit = True


def serve(
    snapshot: Snapshot, place: Place, say: Callable[[str], None], env: Mapping[str, str]
) -> None:
    """Serve a configuration until SIGTERM or SIGINT; `env` as open_gateway has it."""

    async def run() -> None:
        await _serve(snapshot, place, say, env)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def demo(
    env: Mapping[str, str], place: Place, say: Callable[[str], None], dialect: str | None = None
) -> None:
    """Serve config/demo.yaml on simulated providers, with a fresh ledger each time.

    `dialect` is what the providers of all tiers are to speak; else those of the file do.
    """

    async def run() -> None:
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="tollgate-"))
            simulator = await stack.enter_async_context(serve_simulator())
            told = {"SIMULATOR_URL": simulator.base_url} | speaking(dialect)
            known = {"TOLLGATE_DATA_DIR": folder, **env, **told}
            await _serve(load([_demo_file()], known), place, say, env)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def speaking(dialect: str | None) -> dict[str, str]:
    """The variables by which config/demo.yaml puts every tier on one dialect."""
    if dialect is None:
        return {}
    return {
        "TOLLGATE_DEMO_DIALECT": dialect,
        "TOLLGATE_DEMO_PATH": BASES[dialect],
        "TOLLGATE_DEMO_OTHER": "openai" if dialect == "anthropic" else "anthropic",
    }


def _demo_file() -> Path:
    places = [folder / "config" / "demo.yaml" for folder in _SHIPPED]
    return next((place for place in places if place.exists()), places[0])


async def _serve(
    snapshot: Snapshot, place: Place, say: Callable[[str], None], env: Mapping[str, str]
) -> None:
    asked = _asked_to_stop(place)
    admin = snapshot.admin if place.number == 0 else None
    with ExitStack() as stack:
        bound = stack.enter_context(place.bind())
        inside = None
        if admin is not None:
            inside = stack.enter_context(Place(admin.host, admin.port).bind())
        async with open_gateway(snapshot, workers_dir=place.workers_dir, env=env) as gateway:
            doors: list[tuple[ASGIApp, Protocol, socket.socket]] = [
                (gateway.front, hot(gateway.front.door), bound)
            ]
            told = [f"Tollgate answers at {_address(bound)}/v1"]
            if inside is not None:
                doors.append((gateway.admin(), "httptools", inside))
                told.append(f"The admin API answers at {_address(inside)}/admin/v1")
            _spare_the_collector()
            for line in told:
                say(line)
            await asyncio.gather(
                *(_run(app, protocol, where, asked) for app, protocol, where in doors)
            )


async def _run(
    app: ASGIApp, protocol: Protocol, bound: socket.socket, asked: asyncio.Event
) -> None:
    """Serve an app on a socket that listens from now on, until asked to stop."""
    config = uvicorn.Config(
        app,
        http=protocol,
        lifespan="off",
        ws="none",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_level="warning",
        timeout_graceful_shutdown=30,
    )
    server = _Server(config)
    stopping = asyncio.create_task(server.stop_when(asked))
    await server.serve(sockets=[bound])
    stopping.cancel()


def _address(bound: socket.socket) -> str:
    """Where it listens: said once it does, so that whoever reads it is answered."""
    bound.listen(_BACKLOG)
    host, port = bound.getsockname()[:2]
    return f"http://{host}:{port}"


def _spare_the_collector() -> None:
    """A sixth of a request's CPU went into collecting garbage that requests hardly make.

    What is there at the start stays, so it is not walked again; the youngest generation is
    collected every 20,000 new objects instead of every 700.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _asked_to_stop(place: Place) -> asyncio.Event:
    """Set by SIGTERM, by SIGINT, and in a worker by the end of its parent."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    if place.shared:
        stdin = sys.stdin.fileno()

        def orphaned() -> None:
            loop.remove_reader(stdin)
            asked.set()

        loop.add_reader(stdin, orphaned)
    return asked
