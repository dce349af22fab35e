"""`tollgate serve` and `tollgate demo`: one process, or several on one port."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import uvicorn
import uvloop

from gateway.app import open_gateway
from gateway.config.load import load
from gateway.core.snapshot import Snapshot
from gateway.simulator import serve_simulator

DEMO: Final = Path(__file__).resolve().parents[2] / "config" / "demo.yaml"
_BACKLOG: Final = 2048


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen. `shared` lets several processes listen on the same port."""

    host: str
    port: int
    shared: bool = False
    workers_dir: str | None = None

    def bind(self) -> socket.socket:
        """A listening socket; raises OSError."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((self.host, self.port))
        bound.listen(_BACKLOG)
        return bound


def serve(snapshot: Snapshot, place: Place, say: Callable[[str], None]) -> None:
    """Serve a configuration until SIGTERM or SIGINT."""

    async def run() -> None:
        await _serve(snapshot, place, say)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def demo(env: Mapping[str, str], place: Place, say: Callable[[str], None]) -> None:
    """Serve config/demo.yaml on simulated providers, with a fresh ledger each time."""

    async def run() -> None:
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="tollgate-"))
            simulator = await stack.enter_async_context(serve_simulator())
            known = {"TOLLGATE_DATA_DIR": folder, **env, "SIMULATOR_URL": simulator.base_url}
            await _serve(load([DEMO], known), place, say)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def _serve(snapshot: Snapshot, place: Place, say: Callable[[str], None]) -> None:
    with place.bind() as bound:
        async with open_gateway(snapshot, workers_dir=place.workers_dir) as gateway:
            host, port = bound.getsockname()[:2]
            say(f"Tollgate answers at http://{host}:{port}/v1")
            config = uvicorn.Config(
                gateway.front,
                http="httptools",
                lifespan="off",
                ws="none",
                access_log=False,
                server_header=False,
                log_level="warning",
                timeout_graceful_shutdown=30,
            )
            await uvicorn.Server(config).serve(sockets=[bound])
