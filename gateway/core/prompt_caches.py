"""Which deployments' prompt caches hold a request's beginning: any other charges for it anew."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Raw

from gateway.core.catalog import Catalog
from gateway.core.chat import ChatRequest

_MOST: Final = 50_000
"""Beginnings that are remembered; the oldest are forgotten first."""
LIFETIME_S: Final = 300.0
"""How long a provider keeps a beginning that nobody asks for again, where nothing else is said."""
_AN_HOUR_S: Final = 3_600.0
_DEFAULT: Final[Mapping[str, float]] = {}
_LEAST: Final = 4_096
"""Bytes, about 1,024 tokens: shorter beginnings are cached by nobody."""


class Warmth:
    """Per replica: prompt caches are the provider's, and any replica's request warms them."""

    def __init__(self, lifetimes: Mapping[str, float] = _DEFAULT) -> None:
        self._held: OrderedDict[bytes, dict[str, float]] = OrderedDict()
        self._lifetimes = lifetimes

    def reconfigure(self, lifetimes: Mapping[str, float]) -> None:
        """By deployment, from now on; see `lifetimes`."""
        self._lifetimes = lifetimes

    def warmed(self, key: bytes, deployment: str, now: float, *, an_hour: bool = False) -> None:
        """A deployment has just read a request that begins so. `an_hour`: it asked to have it kept
        for so long.
        """
        at = self._held.get(key)
        if at is None:
            at = self._held[key] = {}
            if len(self._held) > _MOST:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end(key)
        lifetime_s = self._lifetimes.get(deployment, LIFETIME_S)
        at[deployment] = now + (max(lifetime_s, _AN_HOUR_S) if an_hour else lifetime_s)

    def forget(self, deployments: Iterable[str]) -> None:
        """These deployments have changed, or are gone."""
        gone = tuple(deployments)
        for at in self._held.values() if gone else ():
            for name in gone:
                at.pop(name, None)

    def of(self, request: ChatRequest, now: float) -> tuple[bytes | None, frozenset[str], int]:
        """How a request begins, whose cache should still hold that, and its length in bytes; see
        `beginning`.
        """
        begins = beginning(request)
        if begins is None:
            return None, frozenset(), 0
        key, size = begins
        return key, self.warm(key, now), size

    def warm(self, key: bytes, now: float) -> frozenset[str]:
        """The deployments whose cache should still hold it."""
        at = self._held.get(key)
        return frozenset(name for name, until in at.items() if until > now) if at else frozenset()


def lifetimes(catalog: Catalog) -> Mapping[str, float]:
    """Of each deployment's prompt cache, in seconds, by its name."""
    models = catalog.models.values()
    return {each.name: each.cache_s for model in models for each in model.deployments}


def beginning(request: ChatRequest) -> tuple[bytes, int] | None:
    """What a conversation has in common from turn to turn, as a key, and its length in bytes: the
    tools, and all messages up to the first of the user. None for one too short to be cached.
    """
    fields = request.fields
    parts = [bytes(fields[name]) for name in ("tools", "functions") if name in fields]
    raw = bytes(fields["messages"])
    if sum(map(len, parts)) + len(raw) < _LEAST:
        return None
    leading = _leading(Raw(raw))
    size = sum(map(len, parts)) + len(leading)
    if size < _LEAST:
        return None
    digest = blake2b(leading, digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.digest(), size


def _leading(messages: Raw) -> bytes:
    """The undecoded messages up to and with the first that is the user's."""
    found: list[bytes] = []
    for message in msgspec.json.decode(messages, type=list[Raw]):
        found.append(bytes(message))
        if b'"user"' in found[-1] and msgspec.json.decode(message).get("role") == "user":
            break
    return b",".join(found)
