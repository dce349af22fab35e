"""The simulated providers as one ASGI app, with their bill."""

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
from gateway.simulator.call import AnswerFunction, Call, Pace
from gateway.simulator.client import Client, ClientDisconnected
from gateway.simulator.format import Format
from gateway.simulator.gemini_array import AsArray
from gateway.simulator.hosts import HOSTS, Host

_GENERATE: Final = r"/models/(?P<model>[^/:]+):(?P<verb>generateContent|streamGenerateContent)"
_PREDICT: Final = r"/models/(?P<model>[^/:]+):(?P<verb>rawPredict|streamRawPredict)"
_CONVERSE: Final = r"/model/(?P<model>.+)/(?P<verb>converse|converse-stream)"
_INVOKE: Final = r"/model/(?P<model>.+)/(?P<verb>invoke|invoke-with-response-stream)"
_DEPLOYED: Final = r"/deployments/(?P<model>[^/]+)/chat/completions"
_PROJECT: Final = "/v1/projects/simulated/locations/global/publishers"
_SSE_PARAM: Final = ("alt", "sse")
"""Query parameter by which Google streams server-sent events; else one JSON array."""


class Endpoint:
    """A provider's URLs: `base` plus a path that matches the pattern `calls`, with or without
    `prefix` before them. Other paths that begin with one of `prefixes` get the provider's own 404.
    `array` is its format for streams without server-sent events, if it has one.
    """

    def __init__(
        self, wire: Format, prefix: str, base: str, calls: str, array: Format | None = None
    ) -> None:
        self.wire = wire
        self.base = prefix + base
        self.calls = re.compile(f"(?:{prefix})?{re.escape(base)}{calls}")
        self.prefixes = (f"{prefix}/", base + calls.partition("(")[0])
        self._array = array

    def format(self, params: Mapping[str, str]) -> Format:
        """The format for a call with these path and query parameters."""
        if self._array is None or not params["verb"].startswith("stream"):
            return self.wire
        name, value = _SSE_PARAM
        return self.wire if params.get(name) == value else self._array


ENDPOINTS: Final = (
    Endpoint(openai, "/openai", "/v1", "/chat/completions"),
    Endpoint(anthropic, "/anthropic", "", "/v1/messages"),
    Endpoint(gemini, "/gemini", "/v1beta", _GENERATE, AsArray(gemini)),
    Endpoint(bedrock, "/bedrock", "", _CONVERSE),
    Endpoint(bedrock_invoke, "/bedrock", "", _INVOKE),
    Endpoint(ollama, "/ollama", "", "/api/chat"),
    Endpoint(anthropic_vertex, "/vertex", f"{_PROJECT}/anthropic", _PREDICT),
    Endpoint(vertex, "/vertex", f"{_PROJECT}/google", _GENERATE, AsArray(vertex)),
    Endpoint(azure, "/azure", "/openai", _DEPLOYED),
    *(
        Endpoint(Host(name, rate_limit), f"/{name}", "/v1", "/chat/completions")
        for name, rate_limit in HOSTS.items()
    ),
)
PLACES: Final[Mapping[str, str]] = {endpoint.wire.name(): endpoint.base for endpoint in ENDPOINTS}
"""Path of each provider's base URL on the simulator."""
_OTHERS: Final = frozenset({"vertex", "azure", *HOSTS})
"""Providers that share another one's dialect."""
BASES: Final[Mapping[str, str]] = {
    name: base for name, base in PLACES.items() if name not in _OTHERS
}
"""The same, for one provider per dialect."""
MODELS: Final = [f"{price}-{behaviour.name}" for price in PRICES for behaviour in BEHAVIOURS]
"""Listed by GET /v1/models. Any other model name works too."""


class Simulator:
    """The simulated providers. `app` serves them; `bill` is what they charge.

    `pause_s` is the time between two pieces of a stream, `slow_s` before a slow answer; `answers`
    creates the answers.
    """

    def __init__(
        self, *, pause_s: float = 0.0, slow_s: float = 0.3, answers: AnswerFunction = answer_of
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
        except ClientDisconnected:
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
        """Waits until no call is being served: then the bill is complete."""
        await self._idle.wait()

    async def _route(self, client: Client, method: str, path: str) -> None:
        match method, path:
            case "POST", _ if match := _match(path):
                endpoint, path_params = match
                params = dict(parse_qsl(client.query)) | path_params
                await self._call(client, endpoint.format(params), params)
            case "GET", "/v1/models" | "/openai/v1/models":
                await client.reply(200, {}, openai.models(MODELS))
            case "GET", "/bill":
                await client.reply(200, {}, self._bill_json())
            case "DELETE", "/bill":
                self.bill.clear()
                await client.reply(200, {}, self._bill_json())
            case _:
                await _not_found(client, method, path)

    async def _call(self, client: Client, wire: Format, params: Mapping[str, str]) -> None:
        self._open += 1
        self._idle.clear()
        try:
            number, pace = next(self._numbers), self._pace
            call = Call(number, wire, params, self.bill, pace, self._seen_before, self._answers)
            await call.serve(client)
        finally:
            self._open -= 1
            if not self._open:
                self._idle.set()

    def _bill_json(self) -> bytes:
        fields = {
            "cost": self.bill.cost,
            "open": self._open,
            "unbilled": self.bill.unbilled,
            "models": self.bill.totals(),
            "calls": self.bill.calls,
        }
        return msgspec.json.encode(fields)

    def _seen_before(self, prompt: bytes) -> bool:
        digest = hashlib.blake2b(prompt, digest_size=16).digest()
        known = digest in self._seen
        self._seen.add(digest)
        return known


def _match(path: str) -> tuple[Endpoint, dict[str, str]] | None:
    """The endpoint of a path, and the parameters in the path."""
    for endpoint in ENDPOINTS:
        if match := endpoint.calls.fullmatch(path):
            return endpoint, match.groupdict()
    return None


async def _not_found(client: Client, method: str, path: str) -> None:
    matching = (endpoint.wire for endpoint in ENDPOINTS if path.startswith(endpoint.prefixes))
    wire = next(matching, openai)
    fault = wire.unknown(method, path)
    await client.reply(404, wire.headers("req_none", 404), wire.error(fault, "req_none"))
