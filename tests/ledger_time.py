"""Time that stands still for a ledger until it is told otherwise, in Redis as in memory."""

import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote

from redis import Redis

from gateway.drivers.ledger.commands import Scripts
from gateway.drivers.ledger.plans import prefix

NOON: Final = datetime(2060, 3, 15, 12, tzinfo=UTC).timestamp()
"""Later than any clock that these tests will see: to Redis itself nothing is ever over."""
_DROP: Final = """
redis.call('MSET', ARGV[2] .. ':s', math.floor(ARGV[3] / 1000),
  ARGV[2] .. ':us', ARGV[3] % 1000 * 1000)
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local over = redis.call('PEXPIRETIME', key)
  if ARGV[4] == '1' or (over > 0 and over <= tonumber(ARGV[3])) then redis.call('DEL', key) end
end
"""
"""Sets a clock, and drops the keys of a home that are over by it, or all."""


class LedgerTime:
    """One clock. A server's scripts read it from keys of its own, and what they let expire by it
    is dropped when it moves.
    """

    def __init__(self, name: str, url: str = "", now: float = NOON) -> None:
        self.now = self._began = now
        self.url = url
        self._name = f"clock:{name}"
        self._home = prefix(name)
        self._server = Redis(unix_socket_path=unquote(url.removeprefix("unix://"))) if url else None
        self._set = self._server.register_script(_DROP) if self._server else None
        self.move(0)

    def __call__(self) -> float:
        return self.now

    def scripts(self) -> Scripts:
        return Scripts("MGET", f"{self._name}:s", f"{self._name}:us")

    def to(self, now: float) -> None:
        self.move(now - self.now)

    def move(self, seconds: float) -> None:
        self.now += seconds
        self._tell(0)

    def start_again(self) -> None:
        """As if there had been nothing yet."""
        self.now = self._began
        self._tell(1)

    def _tell(self, everything: int) -> None:
        if self._set is not None:
            # A home's name stands for itself, whatever of it would be a pattern.
            pattern = re.sub(r"([][*?\\^])", r"\\\1", self._home) + "*"
            self._set(args=[pattern, self._name, int(self.now * 1_000), everything])

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
