"""A client behind an ASGI server. A request takes a fifth more CPU than by `hot`."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, NoReturn, TypeAlias

from gateway.core.errors import TooLarge
from gateway.handle import Life
from gateway.outbox import outbox
from gateway.web.client import Lines, pairs_of
from gateway.web.idle import PORTION
from gateway.web.session import Session
from gateway.web.timeouts import BODY_S, body_timed_out

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class AsgiClient:
    """One request of an ASGI server; see web/client.py."""

    def __init__(
        self,
        headers: Sequence[tuple[bytes, bytes]],
        receive: Receive,
        send: Send,
        left: "Callable[[AsgiClient], None]",
    ) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a request is served in a task")
        self.headers = headers
        self.session: Session | None = None
        self.whole: bytes | None = None
        self.task: asyncio.Task[Any] = task
        self.is_gone = False
        self._receive = receive
        self._send = send
        self._left = left
        self._life: Life | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._waiting: list[bytes] = []
        self._whole: tuple[int, Lines, bytes] | None = None

    async def body(self, most: int) -> bytes:
        return await read_all(self._receive, most)

    @property
    def life(self) -> Life | None:
        return self._life

    @life.setter
    def life(self, life: Life | None) -> None:
        """While it has a life, a task waits for the client to disconnect."""
        self._life = life
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None
        if life is not None:
            self._watcher = asyncio.create_task(self._watch())

    def reply(self, status: int, headers: Lines, body: bytes) -> bool:
        self._whole = (status, b"%bcontent-length: %d\r\n" % (headers, len(body)), body)
        return False

    async def begin(self, status: int, headers: Lines) -> None:
        pairs = pairs_of(headers)
        await self._out({"type": "http.response.start", "status": status, "headers": pairs})

    def send(self, data: bytes) -> bool:
        self._waiting.append(data)
        return False

    async def drain(self) -> None:
        if self._whole is not None:
            (status, headers, body), self._whole = self._whole, None
            await self.begin(status, headers)
            await self.end(body)
        waiting, self._waiting = self._waiting, []
        if waiting:
            await self.write(b"".join(waiting))

    async def write(self, data: bytes) -> None:
        await self._out({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        waiting, self._waiting = self._waiting, []
        body = b"".join([*waiting, data]) if waiting else data
        await self._out({"type": "http.response.body", "body": body})

    async def _out(self, message: Message) -> None:
        await outbox().sent()  # the ledger's commands go first; the server writes past our outbox
        await self._send(message)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        self._left(self)


async def read_all(receive: Receive, most: int) -> bytes:
    """The whole body; see Client.body."""
    parts: list[bytes] = []
    size = 0
    more = True
    try:
        async with asyncio.timeout(BODY_S) as patience:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionAbortedError
                part: bytes = message.get("body", b"")
                if (size + len(part)) // PORTION > size // PORTION:
                    patience.reschedule(asyncio.get_running_loop().time() + BODY_S)
                size += len(part)
                if size > most:
                    too_large(most)
                parts.append(part)
                more = message.get("more_body", False)
    except TimeoutError:
        raise body_timed_out(BODY_S) from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def too_large(most: int) -> NoReturn:
    raise TooLarge(f"The body is larger than {most} bytes.")
