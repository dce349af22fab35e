"""Serves the simulator with uvicorn, with a protocol that can also reset connections."""

import asyncio
import signal
import socket
import struct
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.simulator.app import Simulator
from gateway.simulator.bill import Bill
from gateway.simulator.client import RESET

_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class ResettableProtocol(HttpToolsProtocol):
    """Adds an ASGI extension with which the app can reset the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.access_log = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {RESET: {"reset": self.reset}}

    async def reset(self) -> None:
        """Flushes what was written, then sends TCP RST. A unix socket is just closed."""
        for _ in range(100):
            if not self.transport.get_write_buffer_size():
                break
            await asyncio.sleep(0)
        if self.transport.is_closing():  # the client closed first
            return
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            # Closing with SO_LINGER 0 makes TCP send RST.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


@dataclass(frozen=True)
class Served:
    """A running simulator: over TCP at `base_url`, or at the unix socket `uds`."""

    simulator: Simulator
    base_url: str
    uds: str | None = None

    @property
    def bill(self) -> Bill:
        return self.simulator.bill

    async def idle(self) -> None:
        """Waits until no call is being served: then the bill is complete."""
        await self.simulator.idle()


@asynccontextmanager
async def serve_simulator(
    simulator: Simulator | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    uds: str | None = None,
) -> AsyncIterator[Served]:
    """Serves in the running loop; port 0 takes a free one. Leaving disconnects every client, and
    returns when the last call is on the bill.
    """
    simulator = simulator or Simulator()
    # The process has its own logging, which uvicorn would replace.
    config = _config(simulator, log_config=None)
    config.load()
    state = ServerState()

    def protocol() -> asyncio.Protocol:
        return ResettableProtocol(config=config, server_state=state, app_state={})

    loop = asyncio.get_running_loop()
    if uds is not None:
        server = await loop.create_unix_server(protocol, path=uds)
        served = Served(simulator, "http://simulator", uds)
    else:
        server = await loop.create_server(protocol, host=host, port=port)
        port = server.sockets[0].getsockname()[1]
        served = Served(simulator, f"http://{host}:{port}")
    try:
        yield served
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        while state.tasks:
            await asyncio.wait(set(state.tasks))
        for _ in range(3):
            await asyncio.sleep(0)  # transports close in the next loop iteration


class _Server(uvicorn.Server):
    """Returns on a stop signal, as `tollgate serve` does: uvicorn's own server re-raises the signal
    after serving, which kills the process.
    """

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        for each in _STOP_SIGNALS:
            signal.signal(each, self.handle_exit)
        try:
            yield
        finally:  # not the handlers from before: a signal that comes now would kill us
            for each in _STOP_SIGNALS:
                signal.signal(each, signal.SIG_IGN)


def run_simulator(host: str, port: int) -> None:
    """Serves until interrupted. Raises OSError if it cannot listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Checked first: uvicorn would log the error and exit with a code of its own.
    socket.create_server((host, port), family=family).close()
    _Server(_config(Simulator(), host=host, port=port)).run()


def _config(simulator: Simulator, **options: Any) -> uvicorn.Config:
    return uvicorn.Config(
        simulator.app,
        http=ResettableProtocol,
        interface="asgi3",
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
        **options,
    )
