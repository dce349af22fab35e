"""The response cache: under which key an answer is kept, which answers are, and who may have them.

Exact: two requests share an answer only when everything that can change it is the same: each field
that goes upstream, what the client asked of the gateway, what its tenant may reach, and how the
route, its models and their providers are configured. Never across tenants.
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final, NoReturn

import msgspec
from msgspec import Raw, Struct, structs

from gateway.core.catalog import Cache, Route, Tenant
from gateway.core.chat import ChatRequest, Choice, Completion, Usage
from gateway.core.checks.ending import not_empty
from gateway.core.checks.refusal import not_refused
from gateway.core.digest import digest
from gateway.core.ladder import Ladder
from gateway.core.money import Nanos, nanos
from gateway.core.plan import Candidate
from gateway.core.snapshot import Provider

_VERSION: Final = 2
"""Of what is kept, and of its keys."""
_ASIDE: Final = frozenset({"model", "stream", "stream_options"})
"""Fields that are not of the question: the route's name stands for the model, and how an answer is
sent is no part of it."""
_WHO: Final = frozenset({"prompt_cache_key", "safety_identifier", "user"})
"""Fields that tell the provider who asks, and are not shown to the model."""
_GOOD: Final = frozenset({"agreed", "passed", "unjudged"})
"""Reasons of answers that no check spoke against."""
_ENDS: Final = frozenset({"function_call", "stop", "tool_calls"})
_LONGEST_AGE: Final = 12
"""Digits of a max-age: more are more than any age."""


class CacheControl(Struct, frozen=True):
    """What the request's `cache-control` asks for: whether a cached answer may be given, of which
    age in seconds at most, and whether this answer may be cached.
    """

    lookup: bool = True
    store: bool = True
    max_age_s: float | None = None


class CacheEntry(Struct, frozen=True):
    """An answer as it is kept. `cost` is what its whole life came to, in nano-dollars."""

    deployment: str
    tier: str
    completion: Completion
    usage: Usage
    cost: int
    ttl_s: float


class CacheHit(Struct, frozen=True):
    """An answer that was kept, for another request. `candidate` is who once gave it."""

    candidate: Candidate
    completion: Completion
    usage: Usage
    saved: Nanos
    age_s: float


_written: Final = msgspec.json.Encoder(order="sorted").encode
_read: Final = msgspec.json.Decoder(CacheEntry).decode


def parse_cache_control(values: Iterable[bytes]) -> CacheControl:
    """Of the values of a request's `cache-control` headers (RFC 9111, 5.2.1): `no-store`,
    `no-cache` and `max-age`; others say nothing here. An age that is none is 0.
    """
    asks = CacheControl()
    for directive in b",".join(values).lower().split(b","):
        name, _, value = directive.strip().partition(b"=")
        if name == b"no-store":
            asks = CacheControl(lookup=False, store=False, max_age_s=asks.max_age_s)
        elif name == b"no-cache":
            asks = structs.replace(asks, lookup=False)
        elif name == b"max-age":
            seconds = value.strip(b'"')
            age = float(seconds[:_LONGEST_AGE]) if seconds.isdigit() else 0.0
            least = age if asks.max_age_s is None else min(age, asks.max_age_s)
            asks = structs.replace(asks, max_age_s=least)
    return asks


def marked(route: Route, providers: Mapping[str, Provider]) -> Route:
    """With the mark of who can be asked, and how, where it keeps answers. A change of their secrets
    is none.
    """
    if route.cache is None:
        return route
    secret = dict.fromkeys(("api_key", "auth", "proxy"))
    reachable = [structs.replace(each, **secret) for each in providers.values()]
    mark = digest(sorted(reachable, key=lambda each: each.name))
    return structs.replace(route, cache=structs.replace(route.cache, mark=mark))


def key_of(
    request: ChatRequest, tenant: Tenant, cache: Cache, rule: str = "", user: str = ""
) -> str | None:
    """The whole SHA-256, in hex, of all that can change the answer; None where that has no one
    form, as where an object names a key twice. `rule` is the one that says what is climbed.

    The order of keys and white space do not matter; numbers and texts count as they are written,
    escapes aside. `tenant` is as the client's key may use it.
    """
    extras = request.extras
    aside = _ASIDE if cache.per == "user" else _ASIDE | _WHO
    try:
        fields = [
            (name, _normal(bytes(raw)))
            for name, raw in sorted(request.fields.items())
            if name not in aside
        ]
        whole = _written(
            (
                (_VERSION, tenant.name, request.model, cache.mark, rule),
                (tenant.models, tenant.regions, tenant.max_request),
                user if cache.per == "user" else "",
                (extras.region, extras.max_latency_ms, extras.checks, extras.strategy),
                None if extras.max_cost_usd is None else nanos(extras.max_cost_usd),
                fields,
            )
        )
    except (ValueError, RecursionError):
        return None
    return sha256(whole).hexdigest()


def _normal(raw: bytes) -> Raw:
    """JSON in its one form. Raises ValueError where it has none."""
    value = json.loads(raw, object_pairs_hook=_object, parse_int=_number, parse_float=_number,
                       parse_constant=_constant)  # fmt: skip
    return Raw(_written(value))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found


def _number(text: str) -> Raw:
    return Raw(text.encode())


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def is_cacheable(completion: Completion, why: str, request: ChatRequest) -> bool:
    """Whether an answer is good: kept for nothing that spoke against it, each choice whole, of its
    model's own accord, not empty and not a refusal.
    """
    choices = completion.choices
    return why in _GOOD and bool(choices) and all(_good(choice, request) for choice in choices)


def _good(choice: Choice, request: ChatRequest) -> bool:
    return (
        choice.finish in _ENDS
        and choice.refusal is None
        and not_empty(choice, request, {}) is None  # thoughts and citations alone are no answer
        and not_refused(choice, request, {}) is None
    )


def joins(request: ChatRequest) -> bool:
    """Whether the pieces of a streamed answer make the whole one: log probabilities do not."""
    logprobs = request.fields.get("logprobs")
    return logprobs is None or bytes(logprobs) != b"true"


def pack(entry: CacheEntry) -> bytes:
    return msgspec.json.encode(entry)


def unpack(
    data: bytes, left_s: float, cache: Cache, ladder: Ladder, asks: CacheControl
) -> CacheHit | None:
    """An answer as it was kept, with so many seconds to go; None where it will not do: too old, of
    another version, or of somebody who is not asked any more.
    """
    try:
        entry = _read(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    age_s = max(entry.ttl_s - left_s, 0.0)
    oldest = cache.ttl_s if asks.max_age_s is None else min(cache.ttl_s, asks.max_age_s)
    who = candidate_of(ladder, entry.deployment, entry.tier)
    if age_s > oldest or who is None:
        return None
    return CacheHit(who, entry.completion, entry.usage, Nanos(entry.cost), age_s)


def candidate_of(ladder: Ladder, deployment: str, tier: str) -> Candidate | None:
    """A deployment that is somewhere on a ladder, by its name."""
    for each in (ladder, *(other for _, _, other in ladder.rules)):
        for step in each.steps:
            for place in step.models if step.tier == tier else ():
                for found in place.deployments:
                    if found.name == deployment:
                        return Candidate(place.model, found, tier, 0, Nanos(0))
    return None
