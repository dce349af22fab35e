"""POST /v1/chat/completions: the hot door.

Who is asking is settled before the body is read. A client that goes away cancels its request, or
leaves it to be read on to its usage, as its route says.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from weakref import ref

from msgspec import UNSET, structs

from gateway.core.chat import ChatRequest
from gateway.core.errors import (
    ClientGone,
    GatewayError,
    InvalidRequest,
    ShuttingDown,
    Unauthenticated,
    UnknownModel,
)
from gateway.core.events import About, Began, Denied
from gateway.core.ladder import Ladder
from gateway.core.money import usd
from gateway.core.snapshot import Limits
from gateway.core.tags import Known, tagged
from gateway.handle import Life, Reply
from gateway.recall import RecallingLife
from gateway.web.asgi import Receive, read_all, too_large
from gateway.web.bill import extension
from gateway.web.client import Client, lines_of
from gateway.web.headers import (
    error_headers,
    read_cache_asks,
    read_headers,
    reply_headers,
)
from gateway.web.in_flight import InFlight
from gateway.web.keys import Keyring
from gateway.web.leaving import Leaving
from gateway.web.parse import read_again, read_shaped
from gateway.web.render import completion_body, error_body, relayed_body
from gateway.web.shapes import Shapes
from gateway.web.stream import ClientStream
from gateway.web.visitor import Habit, Headers, Visitor, forgotten
from gateway.world import World

PATH: Final = "/v1/chat/completions"
_JSON: Final = b"content-type: application/json\r\n"

_log: Final = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True)
class Generation:
    """What one configuration comes to. A request takes it once, when it comes, and keeps it."""

    world: World
    keyring: Keyring
    """This one's alone: who was let in by another's is met anew."""
    limits: Limits
    tags: Known
    shapes: Shapes = field(default_factory=Shapes)


class Door:
    """Answers clients. Everything it needs of the world is passed in."""

    def __init__(self, now: Generation) -> None:
        self.now = now
        self.in_flight = InFlight(now.limits)
        self.closing = False
        """Not ready for more: whoever asks is served all the same."""
        self.ending = False
        self.read = read_headers
        """Reads each request's headers; who traces requests puts itself before it."""
        self._leaving = Leaving()

    def end(self, tasks: Iterable["asyncio.Task[None]"]) -> None:
        """The time to finish is over for these: each is told, settles, and ends."""
        self.ending = True
        for task in [*tasks]:
            task.cancel(ShuttingDown.code)

    def stopping(self, client: Client, met: asyncio.CancelledError) -> GatewayError:
        """What to tell one that was cancelled. Raises that, where our end is not all there was."""
        if not self.ending or client.task.uncancel() > 0:
            raise met
        return ShuttingDown("The gateway is being stopped; ask again.")

    def reconfigure(self, now: Generation) -> None:
        """Whoever comes from here on is served by this one."""
        self.now = now
        self.in_flight.limits = now.limits

    def left(self, client: Client) -> None:
        """A client has gone away."""
        if client.life is not None:
            self._leaving.client_gone(client, client.life)

    async def serve(self, client: Client) -> None:
        """Answer a request, whatever becomes of it."""
        now, known = self.now, client.visitor
        request_id = f"req_{now.world.new_id()}"
        visitor = life = stream = body = None
        try:
            if known is not None and now.keyring.again(known.caller):
                visitor, body = known, client.whole
            else:
                now, visitor = await self._meet(client)
            self.in_flight.enter(visitor.seats)
            try:
                if body is None or len(body) > now.limits.body_bytes:
                    body = await _body(client, visitor, now.limits.body_bytes)
                life = client.life = _begin(now, request_id, visitor, body, client)
                if client.is_gone:
                    self.left(client)
                if life.request.stream:
                    stream = ClientStream(life, client)
                    await stream.run()
                else:
                    reply = await life.answer()
                    spent = usd(life.tab.spent)
                    headers = reply_headers(life, reply, spent) + _JSON
                    if not client.reply(200, headers, _whole(life, reply, spent)):
                        await client.drained()
            finally:
                client.life = None
                if client.is_gone:
                    self._leaving.stop(client)
                self.in_flight.leave(visitor.seats)
        except (Exception, asyncio.CancelledError) as met:  # noqa: BLE001 - all are told, or raised
            await self._failed(met, client, request_id, visitor, life, stream)
            met.__traceback__ = None  # what it passed, this life, is freed now: it holds the error

    async def _meet(self, client: Client) -> tuple[Generation, Visitor]:
        """Who asks, and who says so. While a key is looked for that is not known yet, a new
        generation may take over: then it is the one that knows.
        """
        now, known = self.now, client.visitor
        headers = self.read(client.headers, now.limits) if known is None else known.headers
        while True:
            now = self.now
            try:
                caller = await now.keyring.admit(headers.authorization)
            except Unauthenticated:
                if now is self.now:
                    raise
            else:
                return now, Visitor(headers, caller, self.in_flight.seats(caller.name))

    async def _failed(
        self,
        met: Exception | asyncio.CancelledError,
        client: Client,
        request_id: str,
        visitor: Visitor | None,
        life: Life | None,
        stream: ClientStream | None,
    ) -> None:
        """Tell what became of a request. Raises what cancelled it, where nobody is to be told."""
        if not isinstance(met, asyncio.CancelledError):
            error = _to_gateway_error(met, request_id)
        elif life is not None and self._leaving.was_cancelled(client):
            return
        else:
            error = self.stopping(client, met)
        if life is None:
            _denied(self.now.world, request_id, visitor, error)
        if isinstance(met, ConnectionAbortedError):
            return
        if stream is not None and stream.begun:
            await stream.broken_off(error)
        else:
            await turn_away(client, error, request_id, life)


def _begin(now: Generation, request_id: str, visitor: Visitor, body: bytes, client: Client) -> Life:
    habit = visitor.habit
    known = habit.known()
    request = None
    if known is not None:
        request = read_again(known, habit.extras, body, now.limits.json_depth)
    if request is None:
        request, habit = _read(now, visitor, body)
    about = structs.replace(habit.about, request_id=request_id)
    world, ladder = now.world, habit.ladder
    begins: Callable[..., Life] = Life
    if ladder.cache is not None:
        begins = partial(RecallingLife, asks=read_cache_asks(client.headers))
    return begins(world, visitor.caller.tenant, habit.purse, request, about, ladder, world.clock())


def _read(now: Generation, visitor: Visitor, body: bytes) -> tuple[ChatRequest, Habit]:
    """Read what is no habit, and may become one."""
    depth, caller = now.limits.json_depth, visitor.caller
    request, known = read_shaped(body, visitor.headers.extras, depth, now.shapes)
    route, ladder = find_ladder(now.world, request.model).of_tenant(caller.tenant.name)
    given = request.extras.tags
    tags = tagged(given, now.tags) if given else given
    about = About(
        "",
        caller.tenant.name,
        route or ladder.name,
        request.stream,
        caller.organisation,
        caller.key_id,
        request.user or "",
        tags,
    )
    purse = caller.purse(request.user, tags)
    if known is None:
        return request, Habit(forgotten, request.extras, about, purse, ladder)
    visitor.habit = habit = Habit(ref(known), request.extras, about, purse, ladder)
    return request, habit


def _to_gateway_error(met: Exception, request_id: str) -> GatewayError:
    """A bug of ours is told as no more than that, and logged whole."""
    if isinstance(met, GatewayError):
        return met
    if isinstance(met, ConnectionAbortedError):
        return ClientGone("The client went away.")
    _log.exception("request %s met a bug", request_id)
    return GatewayError("Internal error.")


def _denied(world: World, request_id: str, visitor: Visitor | None, error: GatewayError) -> None:
    """A request that never came to a life of its own still begins and ends once."""
    tenant = visitor.caller.tenant.name if visitor else "none"
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


async def _body(client: Client, visitor: Visitor, most: int) -> bytes:
    """The body, where it is not here yet or who asks was met just now."""
    if client.visitor is None:  # else what it says of its length is another request's
        accept(visitor.headers, most)
    client.visitor = visitor
    return await client.body(most)


async def read_body(headers: Headers, receive: Receive, most: int) -> bytes:
    """The whole body of a request to any other path."""
    accept(headers, most)
    return await read_all(receive, most)


def _whole(life: Life, reply: Reply, spent: str) -> bytes:
    completion, model, tab = reply.completion, reply.candidate.model.name, life.tab
    if completion is None:
        raise RuntimeError("a whole reply has a completion")
    if completion.raw is not UNSET:
        return relayed_body(completion, completion.raw, model, extension(tab, spent), tab.usage)
    return completion_body(
        completion,
        model,
        extension(tab, spent),
        usage=tab.usage,
        request_id=life.about.request_id,
        created=int(life.world.wall()),
    )


async def turn_away(
    client: Client, error: GatewayError, request_id: str, life: Life | None = None
) -> None:
    headers = lines_of(error_headers(error, request_id, life))
    if not client.reply(error.status, headers + _JSON, error_body(error)):
        await client.drained()
