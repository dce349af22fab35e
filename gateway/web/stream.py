"""An answer to a client that asked for a stream: flowing deltas, or a held answer re-cut.

While an answer is held, comment lines go out after some seconds so that no proxy times out. From
then on the status is sent: what goes wrong later is told as an error event, never followed by
[DONE].
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import aclosing
from typing import Any, Final

from gateway.core.errors import GatewayError
from gateway.handle import Life, Reply
from gateway.web.bill import extension
from gateway.web.headers import Pairs, reply_headers
from gateway.web.render_stream import DONE, KEEP_ALIVE, ChunkWriter, error_event

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

QUIET_S: Final = 10.0
"""How long a client hears nothing before the first comment, and between two."""
_SSE: Final[Pairs] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class ClientStream:
    """One streamed response."""

    def __init__(self, life: Life, send: Send, quiet_s: float = QUIET_S) -> None:
        self.life = life
        self.send = send
        self.quiet_s = quiet_s
        self.begun = False

    async def run(self) -> None:
        """Raises the GatewayError to show when nothing has been sent yet."""
        comments = asyncio.create_task(self._comment())
        try:
            reply = await self.life.answer()
        except GatewayError as error:
            await _stopped(comments)
            if not self.begun:
                raise
            await self._end(error_event(error))
            return
        finally:
            comments.cancel()
        await _stopped(comments)
        await self._begin(reply_headers(self.life, reply, whole=reply.completion is not None))
        if reply.completion is None:
            await self._flow(reply)
        else:
            await self._recut(reply)

    async def _flow(self, reply: Reply) -> None:
        """Deltas as they come; those that come together leave together."""
        if reply.deltas is None:
            raise RuntimeError("a flowing reply has deltas")
        chunks = self._writer(reply)
        async with aclosing(reply.deltas) as deltas:
            try:
                async for some in deltas:
                    if data := b"".join([chunks.delta(delta) for delta in some]):
                        await self._write(data)
            except GatewayError as error:
                await self._end(error_event(error))
                return
        await self._end(self._usage(chunks) + DONE)

    async def _recut(self, reply: Reply) -> None:
        if reply.completion is None:
            raise RuntimeError("a held reply has a completion")
        chunks = self._writer(reply)
        for event in chunks.recut(reply.completion):
            await self._write(event)
        await self._end(self._usage(chunks) + DONE)

    def _writer(self, reply: Reply) -> ChunkWriter:
        created = int(self.life.world.wall())
        request_id = self.life.about.request_id
        return ChunkWriter(reply.candidate.model.name, request_id=request_id, created=created)

    def _usage(self, chunks: ChunkWriter) -> bytes:
        """The last chunk tells usage and cost, to a client that asked for usage."""
        if not self.life.request.include_usage:
            return b""
        tab = self.life.tab
        return chunks.usage(tab.usage, extension(tab))

    async def _comment(self) -> None:
        while True:
            await asyncio.sleep(self.quiet_s)
            await self._begin([(b"x-request-id", self.life.about.request_id.encode())])
            await self._write(KEEP_ALIVE)

    async def _begin(self, headers: Pairs) -> None:
        if not self.begun:
            self.begun = True
            await self.send(
                {"type": "http.response.start", "status": 200, "headers": headers + _SSE}
            )

    async def _write(self, data: bytes) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def _end(self, data: bytes) -> None:
        await self.send({"type": "http.response.body", "body": data})


async def _stopped(task: "asyncio.Task[None]") -> None:
    """Wait until a cancelled task has sent what it had begun to send."""
    task.cancel()
    await asyncio.wait((task,))
