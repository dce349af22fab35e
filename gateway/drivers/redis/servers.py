"""Redis as one thing to ask, be it a server, a service known to sentinels, or a cluster."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from gateway.drivers.redis.cluster import RedisCluster
from gateway.drivers.redis.connection import RedisConnection
from gateway.drivers.redis.sentinel import RedisBySentinel
from gateway.drivers.redis.url import parse_place
from gateway.drivers.redis.wire import Answer


class Redis(Protocol):
    """For use on one event loop. Commands are encoded; failures are RedisError."""

    @property
    def is_open(self) -> bool:
        """Whether calls have a chance, as far as is known."""

    def call(self, command: bytes, key: str | None = None) -> Awaitable[Any]:
        """The answer to one command, which is to be awaited.

        A cluster sends it to who has the command's first key, or `key`, where that is given for
        a command without one; SCRIPT goes to all masters.
        """

    def send(self, command: bytes, answer: Answer) -> None:
        """As `call`, for who is not to be awaited: `answer` is told what it comes to, maybe before
        this returns. It is sent before whatever is asked next of the same server.
        """

    async def everywhere(self, command: bytes) -> list[tuple[str, Any]]:
        """What each server that takes writes answers, by its address."""

    def drop(self) -> None:
        """Use no connection any more; the next calls make new ones."""

    async def aclose(self) -> None: ...


def open_redis(
    url: str,
    *,
    timeout_s: float,
    greeting: Sequence[bytes] = (),
    greeted: Callable[[list[Any]], None] = lambda _: None,
    probe_s: float = 1.0,
) -> Redis:
    """See redis_url for the URLs, and RedisConnection for the rest. Nothing is connected yet.

    Raises ValueError for a URL that is wrong, without showing a password.
    """
    place = parse_place(url)
    if place.kind == "single":
        return RedisConnection(
            place.served_as,
            timeout_s=timeout_s,
            greeting=greeting,
            greeted=greeted,
            probe_s=probe_s,
        )
    kind = RedisBySentinel if place.kind == "sentinel" else RedisCluster
    return kind(place, timeout_s=timeout_s, greeting=greeting, greeted=greeted, probe_s=probe_s)
