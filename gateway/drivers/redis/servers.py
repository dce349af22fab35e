"""One interface for a single Redis server, a Sentinel service and a cluster."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from gateway.core.errors import LedgerDown
from gateway.drivers.redis.cluster import RedisCluster
from gateway.drivers.redis.connection import RedisConnection
from gateway.drivers.redis.sentinel import RedisBySentinel
from gateway.drivers.redis.url import parse_target
from gateway.drivers.redis.wire import ReplyReceiver


class Redis(Protocol):
    """For use on one event loop. Commands are encoded; failures are RedisError."""

    @property
    def is_open(self) -> bool:
        """Whether calls are attempted, as far as is known."""

    def call(self, command: bytes, key: str | None = None) -> Awaitable[Any]:
        """The reply to one command; await it.

        A cluster sends it to the node of the command's first key, or of `key`, for a command
        without one; SCRIPT goes to all masters.
        """

    def send(self, command: bytes, answer: ReplyReceiver) -> None:
        """As `call`, with a callback: `answer` receives the reply or error, maybe before this
        returns. It is sent before any later command to the same server.
        """

    async def everywhere(self, command: bytes) -> list[tuple[str, Any]]:
        """The replies of all servers that accept writes, each with its address."""

    def drop(self) -> None:
        """Stop using the current connections; the next calls open new ones."""

    async def aclose(self) -> None: ...


def open_redis(
    url: str,
    *,
    timeout_s: float,
    greeting: Sequence[bytes] = (),
    greeted: Callable[[list[Any]], None] = lambda _: None,
    probe_s: float = 1.0,
) -> Redis:
    """See url.py for the URLs, and RedisConnection for the rest. Does not connect yet.

    Raises LedgerDown for an invalid URL, without showing a password.
    """
    try:
        target = parse_target(url)
    except ValueError as error:
        raise LedgerDown(f"redis.url: {error}") from error
    if target.kind == "single":
        return RedisConnection(
            target.server_template,
            timeout_s=timeout_s,
            greeting=greeting,
            greeted=greeted,
            probe_s=probe_s,
        )
    kind = RedisBySentinel if target.kind == "sentinel" else RedisCluster
    return kind(target, timeout_s=timeout_s, greeting=greeting, greeted=greeted, probe_s=probe_s)
