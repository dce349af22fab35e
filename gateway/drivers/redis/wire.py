"""One connected socket to a Redis server: commands out, answers in, in the same order.

Commands of one turn of the loop travel in one write, which costs a fraction of the CPU of a pool of
connections. One timer watches the oldest command: when it has waited too long the connection is
closed and all that wait on it fail. A command waits from when it is written, and what has come is
read before its time is called over: an event loop that stands still is not the server's fault.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from math import inf
from select import POLLIN, poll
from typing import Any, Final, Protocol, cast

from hiredis import HiredisError, Reader, ReplyError, pack_command

from gateway.outbox import outbox

_KINDS: Final = (
    "WRONGTYPE", "OOM", "READONLY", "NOSCRIPT", "LOADING", "NOAUTH", "WRONGPASS", "NOPERM",
    "MASTERDOWN", "CLUSTERDOWN", "MOVED", "CROSSSLOT", "BUSY", "MISCONF", "NOREPLICAS",
)  # fmt: skip
_HALF_MOVED: Final = "a non local key in a cluster node"
"""Says a script that reads keys which have moved before those that it names."""
_NO_MORE: Final = object()
_MOMENTS: Final = 5
"""Of a command's time: one more for an answer that is on its way, and so many at most."""
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
        found = "tryagain" if _HALF_MOVED in text else "other"
        kind = next((kind for kind in _KINDS if kind in text), found)
    return RedisError(kind.lower(), text, sent=False)


class Answer(Protocol):
    """Who is told what a command came to, once: a future, or whoever needs none. May raise
    InvalidStateError for having given up.
    """

    def set_result(self, reply: Any, /) -> None: ...

    def set_exception(self, error: RedisError, /) -> None: ...


def fail(answer: Answer, error: RedisError) -> None:
    try:
        answer.set_exception(error)
    except Exception as failure:  # noqa: BLE001 - as in any callback of a loop: others are to be told, too
        not_taken(failure)


def not_taken(failure: Exception) -> None:
    """What somebody raised who was told an answer."""
    if not isinstance(failure, asyncio.InvalidStateError):  # who asked has given up
        about = {"message": "an answer of Redis was not taken", "exception": failure}
        asyncio.get_running_loop().call_exception_handler(about)


async def passed_on(asked: Awaitable[Any], answer: Answer) -> None:
    """Tell somebody what it comes to."""
    try:
        reply = await asked
    except RedisError as error:
        fail(answer, error)
    else:
        answer.set_result(reply)


class Wire(asyncio.Protocol):
    """`lost` is told once that there is no use in sending more."""

    def __init__(self, timeout_s: float, lost: Callable[["Wire", str], None]) -> None:
        self._timeout = timeout_s
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._outbox = outbox(self._loop)
        # To ask for the loop at each call costs a system call, getpid.
        self.future: Callable[[], asyncio.Future[Any]] = self._loop.create_future
        self._reader = Reader(notEnoughData=_NO_MORE)
        self._awaited: deque[tuple[list[float], Answer]] = deque()
        """Until when, and by whom. All that is written at once has one deadline."""
        self._out: list[bytes] = []
        """What is sent at the end of this turn."""
        self._transport: asyncio.Transport | None = None
        self._until = [inf]
        """What is sent in this turn is waited for: in the loop's time, once it is written."""
        self._late = (self._until, 0)
        """What is waited for a moment longer, and how many bytes of its answer had come then."""
        self._moments = 0
        """How many were given since the oldest was not late."""
        self._timer: asyncio.TimerHandle | None = None
        self._dead: tuple[str, str] | None = None
        self._leaving = False

    def call(self, command: bytes) -> asyncio.Future[Any]:
        answer = self.future()
        self.send(command, answer)
        return answer

    def send(self, command: bytes, answer: Answer, deadline: float = 0.0) -> None:
        """Once it is connected. `deadline`, in the loop's time, is for what has waited for that."""
        if self._out or self._begin(answer):
            self._out.append(command)
            self._awaited.append(([deadline] if deadline else self._until, answer))

    @property
    def fault(self) -> RedisError | None:
        """Why there is no use in sending more."""
        return None if self._dead is None else RedisError(*self._dead, sent=False)

    def _begin(self, answer: Answer) -> bool:
        """The first of a turn: what all that it sends has in common. False for who is too late."""
        if self._dead is not None:
            fail(answer, RedisError(*self._dead, sent=False))
            return False
        self._until = [inf]
        self._outbox.first(self._flush)
        return True

    def fail(self, kind: str, message: str) -> None:
        """Close, and fail whatever still waits."""
        if self._dead is not None:
            return
        self._dead = (kind, message)
        if self._transport is not None:
            self._transport.abort()
        if self._timer is not None:
            self._timer.cancel()
        self._lost(self, kind)
        waiting, sent = [*self._awaited], len(self._awaited) - len(self._out)
        self._awaited.clear()
        self._out.clear()
        for position, (_, answer) in enumerate(waiting):
            self._refused(answer, RedisError(kind, message, sent=position < sent))

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
        awaited = self._awaited
        try:
            self._reader.feed(data)
            for reply in iter(self._reader.gets, _NO_MORE):
                _, answer = awaited.popleft()
                if type(reply) is ReplyError:
                    self._refused(answer, refused(reply))
                    continue
                try:
                    answer.set_result(reply)
                except Exception as failure:  # noqa: BLE001 - as in `fail`
                    not_taken(failure)
        except (HiredisError, IndexError) as error:
            self.fail("protocol", f"not an answer of a Redis server: {error}")
        else:
            if self._leaving and not awaited:
                self.fail("lost", "the connection was dropped")

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail("lost", f"the connection was lost{f': {exc}' if exc else ''}")

    def _refused(self, answer: Answer, error: RedisError) -> None:
        if error.kind == "readonly":  # a master no more: whoever is must be looked for
            self.leave(error.kind)
        fail(answer, error)

    def _flush(self) -> None:
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
            self._out.clear()
            self._until[0] = self._loop.time() + self._timeout
            if self._timer is None:
                self._timer = self._loop.call_at(self._first_until(), self._watch)

    def _watch(self) -> None:
        self._timer = None
        until, now = self._first_until(), self._loop.time()
        if until <= now:
            if not self._is_receiving():
                self.fail("timeout", "the server did not answer in time")
                return
            until = now + self._timeout / _MOMENTS
        else:
            self._moments = 0
        if until < inf:
            self._timer = self._loop.call_at(until, self._watch)

    def _first_until(self) -> float:
        return self._awaited[0][0][0] if self._awaited else inf

    def _is_receiving(self) -> bool:
        """Whether some of it has come since we looked before, or is there to be read: the loop may
        have stood still.
        """
        written = self._awaited[0][0]
        late, had = self._late
        come = self._reader.len() if self._reader.has_data() else 0
        self._late = (written, come)
        self._moments += 1
        more = come > (had if late is written else 0) or self._has_unread()
        return more and self._moments <= _MOMENTS

    def _has_unread(self) -> bool:
        if self._transport is None:
            return False
        asked = poll()
        asked.register(self._transport.get_extra_info("socket"), POLLIN)
        return bool(asked.poll(0))
