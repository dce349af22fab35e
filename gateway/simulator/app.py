"""The simulated providers as one ASGI app: every format under one roof, and their bill."""

import asyncio
import hashlib
import re
from collections.abc import Mapping
from itertools import count
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope, Send

from gateway.simulator import (
    anthropic,
    anthropic_vertex,
    azure,
    bedrock,
    bedrock_invoke,
    gemini,
    ollama,
    openai,
    vertex,
)
from gateway.simulator.answers import answer_of
from gateway.simulator.behaviours import BEHAVIOURS
from gateway.simulator.bill import PRICES, Bill
from gateway.simulator.call import Answers, Call, Pace
from gateway.simulator.client import Client, Gone
from gateway.simulator.format import Format
from gateway.simulator.gemini_array import AsArray
from gateway.simulator.hosts import HOSTS, Host

_GENERATE: Final = r"/models/(?P<model>[^/:]+):(?P<verb>generateContent|streamGenerateContent)"
_PREDICT: Final = r"/models/(?P<model>[^/:]+):(?P<verb>rawPredict|streamRawPredict)"
_CONVERSE: Final = r"/model/(?P<model>.+)/(?P<verb>converse|converse-stream)"
_INVOKE: Final = r"/model/(?P<model>.+)/(?P<verb>invoke|invoke-with-response-stream)"
_DEPLOYED: Final = r"/deployments/(?P<model>[^/]+)/chat/completions"
_PROJECT: Final = "/v1/projects/simulated/locations/global/publishers"
_EVENTS: Final = ("alt", "sse")
"""What asks Google for server-sent events; else a stream is one JSON array."""


class Door:
    """Where a provider is asked: at `base` and a path that matches `calls`, with its own `prefix`
    before them or without. What else `begins` so is told "not found" in the provider's words.
    `array` is how it streams without server-sent events, where it can.
    """

    def __init__(
        self, wire: Format, prefix: str, base: str, calls: str, array: Format | None = None
    ) -> None:
        self.wire = wire
        self.base = prefix + base
        self.calls = re.compile(f"(?:{prefix})?{re.escape(base)}{calls}")
        self.begins = (f"{prefix}/", base + calls.partition("(")[0])
        self._array = array

    def format(self, where: Mapping[str, str]) -> Format:
        """The format of a call whose path and query say this."""
        if self._array is None or not where["verb"].startswith("stream"):
            return self.wire
        name, value = _EVENTS
        return self.wire if where.get(name) == value else self._array


DOORS: Final = (
    Door(openai, "/openai", "/v1", "/chat/completions"),
    Door(anthropic, "/anthropic", "", "/v1/messages"),
    Door(gemini, "/gemini", "/v1beta", _GENERATE, AsArray(gemini)),
    Door(bedrock, "/bedrock", "", _CONVERSE),
    Door(bedrock_invoke, "/bedrock", "", _INVOKE),
    Door(ollama, "/ollama", "", "/api/chat"),
    Door(anthropic_vertex, "/vertex", f"{_PROJECT}/anthropic", _PREDICT),
    Door(vertex, "/vertex", f"{_PROJECT}/google", _GENERATE, AsArray(vertex)),
    Door(azure, "/azure", "/openai", _DEPLOYED),
    *(
        Door(Host(name, busy), f"/{name}", "/v1", "/chat/completions")
        for name, busy in HOSTS.items()
    ),
)
PLACES: Final[Mapping[str, str]] = {door.wire.name(): door.base for door in DOORS}
"""What stands behind the simulator's URL in the base URL of each provider."""
_OTHERS: Final = frozenset({"vertex", "azure", *HOSTS})
"""Providers whose dialect is another's."""
BASES: Final[Mapping[str, str]] = {
    name: base for name, base in PLACES.items() if name not in _OTHERS
}
"""The same, of a provider of each dialect."""
MODELS: Final = [f"{price}-{behaviour.name}" for price in PRICES for behaviour in BEHAVIOURS]
"""Those that GET /v1/models lists. Any other name is answered too."""


class Simulator:
    """Providers that are not there. `app` serves them; `bill` is what they charge.

    `pause_s` is the time between two pieces of a stream, `slow_s` before a slow answer; `answers`
    is what is said by models that answer.
    """

    def __init__(
        self, *, pause_s: float = 0.0, slow_s: float = 0.3, answers: Answers = answer_of
    ) -> None:
        self.bill = Bill()
        self._pace = Pace(pause_s, slow_s)
        self._answers = answers
        self._numbers = count(1)
        self._seen: set[bytes] = set()
        self._open = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"no {scope['type']} here")
        try:
            client = await Client.of(scope, receive, send)
        except Gone:
            return
        try:
            await self._route(client, scope["method"], scope["path"])
        finally:
            await client.close()

    @property
    def open(self) -> int:
        """How many calls are being served."""
        return self._open

    async def idle(self) -> None:
        """Until no call is being served: then the bill is whole."""
        await self._idle.wait()

    async def _route(self, client: Client, method: str, path: str) -> None:
        match method, path:
            case "POST", _ if found := _match(path):
                door, said = found
                where = dict(parse_qsl(client.query)) | said
                await self._call(client, door.format(where), where)
            case "GET", "/v1/models" | "/openai/v1/models":
                await client.reply(200, {}, openai.models(MODELS))
            case "GET", "/bill":
                await client.reply(200, {}, self._bill_json())
            case "DELETE", "/bill":
                self.bill.clear()
                await client.reply(200, {}, self._bill_json())
            case _:
                await _not_found(client, method, path)

    async def _call(self, client: Client, wire: Format, where: Mapping[str, str]) -> None:
        self._open += 1
        self._idle.clear()
        try:
            number, pace = next(self._numbers), self._pace
            call = Call(number, wire, where, self.bill, pace, self._see, self._answers)
            await call.serve(client)
        finally:
            self._open -= 1
            if not self._open:
                self._idle.set()

    def _bill_json(self) -> bytes:
        told = {
            "cost": self.bill.cost,
            "open": self._open,
            "unbilled": self.bill.unbilled,
            "models": self.bill.totals(),
            "calls": self.bill.calls,
        }
        return msgspec.json.encode(told)

    def _see(self, prompt: bytes) -> bool:
        digest = hashlib.blake2b(prompt, digest_size=16).digest()
        known = digest in self._seen
        self._seen.add(digest)
        return known


def _match(path: str) -> tuple[Door, dict[str, str]] | None:
    """The door that a path is of, and what the path says."""
    for door in DOORS:
        if found := door.calls.fullmatch(path):
            return door, found.groupdict()
    return None


async def _not_found(client: Client, method: str, path: str) -> None:
    found = (door.wire for door in DOORS if path.startswith(door.begins))
    wire = next(found, openai)
    fault = wire.unknown(method, path)
    await client.reply(404, wire.headers("req_none", 404), wire.error(fault, "req_none"))
