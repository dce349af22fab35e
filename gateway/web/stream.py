"""Streamed responses: deltas that flow, or a held answer cut into deltas.

While an answer is held, comment lines are sent every few seconds so that no proxy times out. The
first one sends the status, too: later errors are error events, never followed by [DONE].
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from gateway.core.chat import Delta
from gateway.core.errors import GatewayError
from gateway.core.flow import Deltas
from gateway.core.money import usd
from gateway.handle import Life, Reply
from gateway.web.bill import extension
from gateway.web.client import Client, Lines
from gateway.web.headers import reply_headers
from gateway.web.render_stream import DONE, KEEP_ALIVE, ChunkWriter, error_event

_log: Final = logging.getLogger("gateway")

QUIET_S: Final = 10.0
"""Seconds without data before the first comment, and between two."""
_SSE: Final[Lines] = (
    b"content-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\n"
    b"x-accel-buffering: no\r\n"
)


class ClientStream:
    """One streamed response."""

    def __init__(self, life: Life, client: Client, quiet_s: float = QUIET_S) -> None:
        self.life = life
        self.client = client
        self.quiet_s = quiet_s
        self.begun = False
        self._quiet: asyncio.TimerHandle | None = None
        """The timer for the first comment."""
        self._comments: asyncio.Task[None] | None = None
        """Sends them. Made when the timer fires: few answers are held for so long."""

    async def run(self) -> None:
        """Raises an error only while nothing has been sent; later ones are sent as events, without
        a [DONE].
        """
        try:
            await self._run()
        except GatewayError as error:
            if not self.begun:
                raise
            await self.client.end(error_event(error))
            error.__traceback__ = None  # as in Door.serve
        except Exception:
            if not self.begun:
                raise
            _log.exception("request %s met a bug", self.life.about.request_id)
            await self.client.end(error_event(GatewayError("Internal error.")))

    async def broken_off(self, error: GatewayError) -> None:
        """Send an error as the last event; the response has begun."""
        await self.client.end(error_event(error))

    async def _run(self) -> None:
        self._quiet = self.client.task.get_loop().call_later(self.quiet_s, self._waits)
        try:
            reply = await self.life.answer()
            try:
                await self._silent()
                spent = None if reply.completion is None else usd(self.life.tab.spent)
                await self._begin(reply_headers(self.life, reply, spent))
                chunks = self._writer(reply)
                if reply.completion is not None:
                    for event in chunks.recut(reply.completion):
                        await self.client.write(event)
                elif reply.deltas is not None:
                    await self._flow(reply.deltas, chunks)
            except asyncio.CancelledError as error:
                if reply.deltas is not None:
                    await _cancelled(reply.deltas, error)
                raise
            finally:
                if reply.deltas is not None:
                    await reply.deltas.aclose()
        finally:
            await self._silent()
        await self.client.end(self._usage(chunks) + DONE)

    async def _flow(self, deltas: Deltas, chunks: ChunkWriter) -> None:
        """Send deltas that came together as one piece."""
        client, event, sink = self.client, chunks.delta, None

        def pour(some: Sequence[Delta]) -> bool:
            # Nearly always one: without a list this takes 0.3 us less.
            data = event(some[0]) if len(some) == 1 else b"".join([event(each) for each in some])
            return client.send(data) if data else True

        try:
            while True:
                some = await deltas.asend(sink)
                if not (some and pour(some)):  # () comes when the sink is full
                    await client.drain()
                sink = pour
        except StopAsyncIteration:
            await client.drain()

    def _writer(self, reply: Reply) -> ChunkWriter:
        created = int(self.life.world.wall())
        request_id = self.life.about.request_id
        return ChunkWriter(reply.candidate.model.name, request_id=request_id, created=created)

    def _usage(self, chunks: ChunkWriter) -> bytes:
        """The last chunk, with usage and cost, if the client asked for usage."""
        if not self.life.request.include_usage:
            return b""
        tab = self.life.tab
        return chunks.usage(tab.usage, extension(tab, usd(tab.spent)))

    def _waits(self) -> None:
        self._comments = self.client.task.get_loop().create_task(self._comment())

    async def _comment(self) -> None:
        while True:
            await self._begin(b"x-request-id: %b\r\n" % self.life.about.request_id.encode())
            await self.client.write(KEEP_ALIVE)
            await asyncio.sleep(self.quiet_s)

    async def _silent(self) -> None:
        """Stop the comments: afterwards nothing else is sent in between."""
        if self._quiet is not None:
            self._quiet.cancel()
        if self._comments is not None and not self._comments.done():
            self._comments.cancel()
            await asyncio.wait((self._comments,))

    async def _begin(self, headers: Lines) -> None:
        if not self.begun:
            await self.client.begin(200, headers + _SSE)
            self.begun = True


async def _cancelled(deltas: Deltas, error: asyncio.CancelledError) -> None:
    """Raise a cancellation in the deltas, also if it came while we waited for the client: if they
    were just closed, they would end as those of a client that left.
    """
    with suppress(asyncio.CancelledError, StopAsyncIteration):
        await deltas.athrow(error)
