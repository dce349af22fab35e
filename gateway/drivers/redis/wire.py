"""One connected socket to a Redis server: commands out, answers in, in the same order.

Commands of one loop tick travel in one write, which costs a fraction of the CPU of a pool of
connections. One timer watches the oldest command: when it has waited too long the connection is
closed and all that wait on it fail.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from hiredis import HiredisError, Reader, ReplyError, pack_command

_KINDS: Final = (
    "WRONGTYPE", "OOM", "READONLY", "NOSCRIPT", "LOADING", "NOAUTH", "WRONGPASS", "NOPERM",
    "MASTERDOWN", "CLUSTERDOWN", "MOVED", "CROSSSLOT", "BUSY", "MISCONF", "NOREPLICAS",
)  # fmt: skip
_FIRST_WORDS: Final = frozenset({*_KINDS, "ASK", "TRYAGAIN", "NOGOODSLAVE"})


class RedisError(Exception):
    """A command failed. `kind`, a label: timeout, unreachable, lost, open (too many failures
    just before), closed, protocol, or the server's own word for it in lower case.

    `sent`: the server may have executed it.
    """

    def __init__(self, kind: str, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.kind = kind
        self.sent = sent


def encode(*parts: str | bytes | int) -> bytes:
    """A command as bytes."""
    return cast("bytes", pack_command(parts))  # type: ignore[arg-type]


def refused(error: ReplyError) -> RedisError:
    """The server's error reply. Redis 6 puts the kind of a script's error inside its text."""
    text = str(error)
    kind = text.partition(" ")[0]
    if kind not in _FIRST_WORDS:
        kind = next((kind for kind in _KINDS if kind in text), "other")
    return RedisError(kind.lower(), text, sent=False)


class Wire(asyncio.Protocol):
    """`lost` is told once that there is no use in sending more."""

    def __init__(self, timeout_s: float, lost: Callable[["Wire", str], None]) -> None:
        self._timeout = timeout_s
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._reader = Reader()
        self._awaited: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._dead: tuple[str, str] | None = None
        self._leaving = False

    def call(self, command: bytes) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = self._loop.create_future()
        self.send(self._now() + self._timeout, command, answer)
        return answer

    def send(self, deadline: float, command: bytes, answer: asyncio.Future[Any]) -> None:
        if self._dead is not None:
            kind, message = self._dead
            answer.set_exception(RedisError(kind, message, sent=False))
            return
        self._awaited.append((deadline, answer))
        if not self._out:
            self._loop.call_soon(self._flush)
            if self._timer is None:
                self._timer = self._loop.call_at(deadline, self._watch)
        self._out.append(command)

    def fail(self, kind: str, message: str) -> None:
        """Close, and fail whatever still waits."""
        if self._dead is not None:
            return
        self._dead = (kind, message)
        if self._transport is not None:
            self._transport.abort()
        if self._timer is not None:
            self._timer.cancel()
        unsent = len(self._out)
        self._out.clear()
        for position, (_, answer) in enumerate(self._awaited):
            if not answer.done():
                sent = position < len(self._awaited) - unsent
                answer.set_exception(RedisError(kind, message, sent=sent))
        self._awaited.clear()
        self._lost(self, kind)

    def leave(self, kind: str) -> None:
        """Wait for the answers that are still to come, then close."""
        if self._dead is None and not self._leaving:
            self._leaving = True
            self._lost(self, kind)
            if not self._awaited:
                self.fail(kind, "the connection was dropped")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._dead is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        reader, awaited = self._reader, self._awaited
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                _, answer = awaited.popleft()
                if isinstance(reply, ReplyError):
                    self._refused(answer, refused(reply))
                elif not answer.done():
                    answer.set_result(reply)
        except (HiredisError, IndexError) as error:
            self.fail("protocol", f"not an answer of a Redis server: {error}")
        else:
            if self._leaving and not awaited:
                self.fail("lost", "the connection was dropped")

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail("lost", f"the connection was lost{f': {exc}' if exc else ''}")

    def _refused(self, answer: "asyncio.Future[Any]", error: RedisError) -> None:
        if not answer.done():
            answer.set_exception(error)
        if error.kind == "readonly":  # a master no more: whoever is must be looked for
            self.leave(error.kind)

    def _flush(self) -> None:
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
            self._out.clear()

    def _watch(self) -> None:
        self._timer = None
        if not self._awaited:
            return
        deadline = self._awaited[0][0]
        if deadline <= self._now():
            self.fail("timeout", "the server did not answer in time")
        else:
            self._timer = self._loop.call_at(deadline, self._watch)
