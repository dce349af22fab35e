"""POST /v1/chat/completions: the hot door.

The caller is authenticated before the body is read. A client that disconnects cancels its request,
or its answer is read on to its usage, as the route says.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from weakref import ref

from msgspec import UNSET, structs

from gateway.caching import CachingLife
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
from gateway.web.asgi import Receive, read_all, too_large
from gateway.web.bill import extension
from gateway.web.client import Client, lines_of
from gateway.web.headers import (
    error_headers,
    read_cache_control,
    read_headers,
    reply_headers,
)
from gateway.web.in_flight import InFlight
from gateway.web.keys import Keyring
from gateway.web.leaving import Leaving
from gateway.web.parse import read_again, read_shaped
from gateway.web.render import completion_body, error_body, relayed_body
from gateway.web.session import Headers, RequestTemplate, Session, forgotten
from gateway.web.shapes import Shapes
from gateway.web.stream import ClientStream
from gateway.world import World

PATH: Final = "/v1/chat/completions"
_JSON: Final = b"content-type: application/json\r\n"

_log: Final = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True)
class Generation:
    """What is made of one configuration. A request keeps the one it began with."""

    world: World
    keyring: Keyring
    """Of this configuration alone: callers that another authenticated are looked up again."""
    limits: Limits
    tags: Known
    shapes: Shapes = field(default_factory=Shapes)


class Door:
    """Answers clients. Everything it needs of the world is passed in."""

    def __init__(self, now: Generation) -> None:
        self.now = now
        self.in_flight = InFlight(now.limits)
        self.draining = False
        """/readyz fails; requests are still served, each as the last of its connection."""
        self.aborting = False
        self.read = read_headers
        """Reads the headers of each request; tracing wraps it."""
        self._leaving = Leaving()

    def abort(self, tasks: Iterable["asyncio.Task[None]"]) -> None:
        """Cancel these requests: each gets an error, settles, and ends."""
        self.aborting = True
        for task in [*tasks]:
            task.cancel(ShuttingDown.code)

    def shutdown_error(self, client: Client, error: asyncio.CancelledError) -> GatewayError:
        """The error for a request that our shutdown cancelled. Raises any other cancellation."""
        if not self.aborting or client.task.uncancel() > 0:
            raise error
        return ShuttingDown("The gateway is being stopped; ask again.")

    def reconfigure(self, now: Generation) -> None:
        """Serve new requests by this configuration."""
        self.now = now
        self.in_flight.limits = now.limits

    def client_gone(self, client: Client) -> None:
        """Called when a client has disconnected."""
        if client.life is not None:
            self._leaving.client_gone(client, client.life)

    async def serve(self, client: Client) -> None:
        """Answer a request, with an error if it fails."""
        now, known = self.now, client.session
        request_id = f"req_{now.world.new_id()}"
        session = life = stream = body = None
        try:
            if known is not None and now.keyring.still_valid(known.caller):
                session, body = known, client.whole
            else:
                now, session = await self._authenticate(client)
            self.in_flight.acquire(session.slots)
            try:
                if body is None or len(body) > now.limits.body_bytes:
                    body = await _body(client, session, now.limits.body_bytes)
                life = client.life = _begin(now, request_id, session, body, client)
                if client.is_gone:
                    self.client_gone(client)
                if life.request.stream:
                    stream = ClientStream(life, client)
                    await stream.run()
                else:
                    reply = await life.answer()
                    spent = usd(life.tab.spent)
                    headers = reply_headers(life, reply, spent) + _JSON
                    if not client.reply(200, headers, _whole(life, reply, spent)):
                        await client.drain()
            finally:
                client.life = None
                if client.is_gone:
                    self._leaving.stop(client)
                self.in_flight.release(session.slots)
        except (Exception, asyncio.CancelledError) as met:  # noqa: BLE001 - answered, or raised
            await self._failed(met, client, request_id, session, life, stream)
            met.__traceback__ = None  # its frames hold this life, which holds it: a cycle

    async def _authenticate(self, client: Client) -> tuple[Generation, Session]:
        """Authenticate. While an unknown key is looked up, the configuration may change: then the
        new one is used.
        """
        now, known = self.now, client.session
        headers = self.read(client.headers, now.limits) if known is None else known.headers
        while True:
            now = self.now
            try:
                caller = await now.keyring.admit(headers.authorization)
            except Unauthenticated:
                if now is self.now:
                    raise
            else:
                return now, Session(headers, caller, self.in_flight.slots(caller.name))

    async def _failed(
        self,
        met: Exception | asyncio.CancelledError,
        client: Client,
        request_id: str,
        session: Session | None,
        life: Life | None,
        stream: ClientStream | None,
    ) -> None:
        """Answer with the error. Raises a cancellation that is not for the client to see."""
        if not isinstance(met, asyncio.CancelledError):
            error = _to_gateway_error(met, request_id)
        elif life is not None and self._leaving.was_cancelled(client):
            return
        else:
            error = self.shutdown_error(client, met)
        if life is None:
            _denied(self.now.world, request_id, session, error)
        if isinstance(met, ConnectionAbortedError):
            return
        if stream is not None and stream.begun:
            await stream.broken_off(error)
        else:
            await send_error(client, error, request_id, life)


def _begin(now: Generation, request_id: str, session: Session, body: bytes, client: Client) -> Life:
    template = session.template
    known = template.known()
    request = None
    if known is not None:
        request = read_again(known, template.extras, body, now.limits.json_depth)
    if request is None:
        request, template = _read(now, session, body)
    about = structs.replace(template.about, request_id=request_id)
    world, ladder = now.world, template.ladder
    begins: Callable[..., Life] = Life
    if ladder.cache is not None:
        begins = partial(CachingLife, cache_control=read_cache_control(client.headers))
    return begins(
        world, session.caller.tenant, template.purse, request, about, ladder, world.clock()
    )


def _read(now: Generation, session: Session, body: bytes) -> tuple[ChatRequest, RequestTemplate]:
    """Read a body that fits no template, and make a template of it if it may be of use."""
    depth, caller = now.limits.json_depth, session.caller
    request, known = read_shaped(body, session.headers.extras, depth, now.shapes)
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
        return request, RequestTemplate(forgotten, request.extras, about, purse, ladder)
    session.template = RequestTemplate(ref(known), request.extras, about, purse, ladder)
    return request, session.template


def _to_gateway_error(error: Exception, request_id: str) -> GatewayError:
    """The client learns no more of a bug than that there was one; the log has all of it."""
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, ConnectionAbortedError):
        return ClientGone("The client went away.")
    _log.exception("request %s met a bug", request_id)
    return GatewayError("Internal error.")


def _denied(world: World, request_id: str, session: Session | None, error: GatewayError) -> None:
    """The events of a request that failed before its life began."""
    tenant = session.caller.tenant.name if session else "none"
    about = About(request_id, tenant, "other", stream=False)
    world.observe(Began(about))
    world.observe(Denied(about, error.code or "error", error.status, 0.0))


def find_ladder(world: World, model: str) -> Ladder:
    """The ladder for a name in `model`. Raises UnknownModel."""
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


async def _body(client: Client, session: Session, most: int) -> bytes:
    """The body, if it has not all arrived, or the caller is new on this connection."""
    if client.session is None:  # else these headers are of an earlier request
        accept(session.headers, most)
    client.session = session
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


async def send_error(
    client: Client, error: GatewayError, request_id: str, life: Life | None = None
) -> None:
    headers = lines_of(error_headers(error, request_id, life))
    if not client.reply(error.status, headers + _JSON, error_body(error)):
        await client.drain()
