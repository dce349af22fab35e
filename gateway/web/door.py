"""POST /v1/chat/completions: the hot door.

Who is asking is settled before the body is read. A client that goes away cancels its request, or
leaves it to be read on to its usage, as its route says.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from gateway.core.errors import (
    Busy,
    ClientGone,
    GatewayError,
    InvalidRequest,
    ShuttingDown,
    Unauthenticated,
    UnknownModel,
)
from gateway.core.events import About, Began, Denied
from gateway.core.ladder import Ladder
from gateway.core.snapshot import Limits
from gateway.core.tags import Known, tagged
from gateway.handle import Life, Reply
from gateway.recall import RecallingLife
from gateway.web.asgi import Receive, read_all, too_large
from gateway.web.bill import extension
from gateway.web.callers import Caller
from gateway.web.client import Client, Headers, Visitor, lines_of
from gateway.web.headers import (
    error_headers,
    read_cache_asks,
    read_headers,
    reply_headers,
)
from gateway.web.keys import Keyring
from gateway.web.leaving import Leaving
from gateway.web.parse import read_request
from gateway.web.render import completion_body, error_body
from gateway.web.shapes import Shapes
from gateway.web.stream import ClientStream
from gateway.world import World

PATH: Final = "/v1/chat/completions"
_JSON: Final = b"content-type: application/json\r\n"

_log: Final = logging.getLogger("gateway")


class InFlight:
    """How many requests are being served, in all and for each key."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.total = 0
        self.by_key: dict[str, int] = {}

    def enter(self, who: str) -> None:
        """Raises Busy when this one would be too many."""
        here, limits = self.by_key.get(who, 0), self.limits
        if self.total >= limits.in_flight or here >= limits.in_flight_per_key:
            raise Busy("Too many requests are being served at once; try again in a second.")
        self.total += 1
        self.by_key[who] = here + 1

    def leave(self, who: str) -> None:
        self.total -= 1
        others = self.by_key.pop(who) - 1
        if others:
            self.by_key[who] = others


@dataclass(frozen=True, slots=True)
class Generation:
    """What one configuration comes to. A request takes it once, when it comes, and keeps it."""

    world: World
    keyring: Keyring
    limits: Limits
    tags: Known
    shapes: Shapes = field(default_factory=Shapes)


class Door:
    """Answers clients. Everything it needs of the world is passed in."""

    def __init__(self, now: Generation) -> None:
        self.now = now
        self.in_flight = InFlight(now.limits)
        self.draining = 0
        self.closing = False
        """Not ready for more: whoever asks is served all the same."""
        self.ending = False
        self.read = read_headers
        """Reads each request's headers; who traces requests puts itself before it."""

    def end(self, tasks: Iterable["asyncio.Task[None]"]) -> None:
        """The time to finish is over for these: each is told, settles, and ends."""
        self.ending = True
        for task in [*tasks]:
            task.cancel()

    def turn(self, now: Generation) -> None:
        """Whoever comes from here on is served by this one."""
        self.now = now
        self.in_flight.limits = now.limits

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Looked for once: on Python 3.11 each look is a system call."""
        return asyncio.get_running_loop()

    async def serve(self, client: Client) -> None:
        """Answer a request, whatever becomes of it."""
        now = self.now
        request_id = f"req_{now.world.new_id()}"
        caller = None
        life = None
        try:
            visitor = client.visitor
            if visitor is None or not now.keyring.again(visitor.caller):
                now, visitor = await self._meet(client)
            caller, most = visitor.caller, now.limits.body_bytes
            who = caller.name
            self.in_flight.enter(who)
            try:
                if client.visitor is None:
                    accept(visitor.headers, most)
                client.visitor = visitor
                body = client.whole
                if body is None:
                    body = await client.body(most)
                elif len(body) > most:
                    too_large(most)
                life = _begin(now, request_id, visitor, body, client)
                await self._answer(life, client)
            finally:
                self.in_flight.leave(who)
        except Exception as met:  # noqa: BLE001 - a bug of ours is told as no more than that
            error = _told_as(met, request_id)
            if life is None:
                _denied(now.world, request_id, caller, error)
            if not isinstance(met, ConnectionAbortedError):
                await _refuse(client, error, request_id, life)

    def _ended(self) -> bool:
        """Whether that is why the task was cancelled, and nothing else."""
        task = asyncio.current_task()
        return self.ending and task is not None and task.uncancel() == 0

    async def _meet(self, client: Client) -> tuple[Generation, Visitor]:
        """Who asks, and who says so. While a key is looked for that is not known yet, a new
        generation may take over: then it is the one that knows.
        """
        now, known = self.now, client.visitor
        headers = self.read(client.headers, now.limits) if known is None else known.headers
        while True:
            now = self.now
            try:
                return now, Visitor(headers, await now.keyring.admit(headers.authorization))
            except Unauthenticated:
                if now is self.now:
                    raise

    async def _answer(self, life: Life, client: Client) -> None:
        """Answer, unless the client goes away first: then the life is cancelled."""
        leaving = Leaving(self, life, client.task)
        client.when_gone = leaving.gone
        if client.is_gone:
            leaving.gone()
        stream = ClientStream(life, client) if life.request.stream else None
        try:
            if stream is not None:
                await stream.run()
            else:
                reply = await life.answer()
                headers = reply_headers(life, reply, whole=True)
                if not client.reply(200, headers + _JSON, _whole(life, reply)):
                    await client.drained()
        except asyncio.CancelledError:
            if leaving.over():
                raise ConnectionAbortedError from None
            if not self._ended():
                raise
            over = ShuttingDown("The gateway is being stopped; ask again.")
            if stream is None or not stream.begun:
                raise over from None
            await stream.broken_off(over)
        finally:
            if leaving.timer is not None:
                leaving.stop()
            client.when_gone = None


def _begin(now: Generation, request_id: str, visitor: Visitor, body: bytes, client: Client) -> Life:
    caller, world = visitor.caller, now.world
    request = read_request(body, visitor.headers.extras, now.limits.json_depth, now.shapes)
    ladder = world.ladders.get(request.model) or find_ladder(world, request.model)
    tenant = caller.tenant
    given = request.extras.tags
    tags = tagged(given, now.tags) if given else given
    about = About(
        request_id,
        tenant.name,
        request.model,
        request.stream,
        caller.organisation,
        caller.key_id,
        request.user or "",
        tags,
    )
    purse = caller.purse(request.user, tags)
    if ladder.cache is not None:
        asks = read_cache_asks(client.headers)
        return RecallingLife(world, tenant, purse, request, about, asks=asks)
    return Life(world, tenant, purse, request, about)


def _told_as(met: Exception, request_id: str) -> GatewayError:
    """A bug is logged whole."""
    if isinstance(met, GatewayError):
        return met
    if isinstance(met, ConnectionAbortedError):
        return ClientGone("The client went away.")
    _log.exception("request %s met a bug", request_id)
    return GatewayError("Internal error.")


def _denied(world: World, request_id: str, caller: Caller | None, error: GatewayError) -> None:
    """A request that never came to a life of its own still begins and ends once."""
    tenant = caller.tenant.name if caller else "none"
    about = About(request_id, tenant, "other", stream=False)
    world.observe(Began(about))
    world.observe(Denied(about, error.code or "error", error.status, 0.0))


def find_ladder(world: World, model: str) -> Ladder:
    """What a name in `model` stands for. Raises UnknownModel."""
    ladder = world.ladders.get(model)
    if ladder is None:
        raise UnknownModel(
            f"The model '{model[:100]}' does not exist here; GET /v1/models lists what does.",
            param="model",
        )
    return ladder


def accept(headers: Headers, most: int) -> None:
    """Raises InvalidRequest or TooLarge for a body not worth reading."""
    if headers.encoded:
        raise InvalidRequest("Send the body without a content encoding.", param="content-encoding")
    if headers.content_length > most:
        too_large(most)


async def read_body(headers: Headers, receive: Receive, most: int) -> bytes:
    """The whole body of a request to any other path."""
    accept(headers, most)
    return await read_all(receive, most)


def _whole(life: Life, reply: Reply) -> bytes:
    if reply.completion is None:
        raise RuntimeError("a whole reply has a completion")
    return completion_body(
        reply.completion,
        reply.candidate.model.name,
        extension(life.tab),
        usage=life.tab.usage,
        request_id=life.about.request_id,
        created=int(life.world.wall()),
    )


async def _refuse(client: Client, error: GatewayError, request_id: str, life: Life | None) -> None:
    headers = lines_of(error_headers(error, request_id, life))
    if not client.reply(error.status, headers + _JSON, error_body(error)):
        await client.drained()
