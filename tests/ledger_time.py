"""Time that stands still for a ledger until it is told otherwise, in Redis as in memory."""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote

from redis import Redis

from gateway.drivers.ledger_commands import Scripts
from gateway.drivers.ledger_plans import prefix

NOON: Final = datetime(2060, 3, 15, 12, tzinfo=UTC).timestamp()
"""Later than any clock that these tests will see: to Redis itself nothing is ever over."""


class LedgerTime:
    """One clock. A server's scripts read it from keys of its own, and what they let expire by it
    is dropped when it moves.
    """

    def __init__(self, name: str, url: str = "", now: float = NOON) -> None:
        self.now = now
        self._name = f"clock:{name}"
        self._home = prefix(name)
        self._server = Redis(unix_socket_path=unquote(url.removeprefix("unix://"))) if url else None
        self.move(0)

    def __call__(self) -> float:
        return self.now

    def scripts(self) -> Scripts:
        return Scripts(f"redis.call('MGET', '{self._name}:s', '{self._name}:us')")

    def to(self, now: float) -> None:
        self.move(now - self.now)

    def move(self, seconds: float) -> None:
        self.now += seconds
        if self._server is None:
            return
        ms = int(self.now * 1_000)
        self._server.mset({f"{self._name}:s": ms // 1_000, f"{self._name}:us": ms % 1_000 * 1_000})
        for key in self._server.scan_iter(f"{self._home}*", 1_000):
            if 0 < self._server.pexpiretime(key) <= ms:
                self._server.delete(key)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
