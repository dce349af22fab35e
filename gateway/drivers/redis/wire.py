"""One connected socket to a Redis server: pipelined commands, replies in the same order.

All commands of one event loop iteration go out in one write, at a fraction of the CPU of a pool of
connections. One timer watches the oldest command: when it has waited too long, the connection is
closed and all pending commands fail. The timeout starts at the write, and unread bytes are read
before it fires, so that a stalled event loop is not taken for a slow server.
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
"""The error of a script that reads keys which have already migrated to another node."""
_NO_MORE: Final = object()
_MAX_EXTENSIONS: Final = 5
"""A reply that is still arriving gets a fifth of the timeout more, at most so many times."""
_FIRST_WORDS: Final = frozenset({*_KINDS, "ASK", "TRYAGAIN", "NOGOODSLAVE"})


class RedisError(Exception):
    """A command failed. `kind`, a label: timeout, unreachable, lost, open (circuit breaker),
    closed, protocol, or the first word of the server's error in lower case.

    `sent`: the server may have executed it.
    """

    def __init__(self, kind: str, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.kind = kind
        self.sent = sent


def encode(*parts: str | bytes | int) -> bytes:
    """A command as bytes."""
    return cast("bytes", pack_command(parts))  # type: ignore[arg-type]


def to_redis_error(error: ReplyError) -> RedisError:
    """Converts an error reply. Redis 6 puts the kind of a script's error inside its text."""
    text = str(error)
    kind = text.partition(" ")[0]
    if kind not in _FIRST_WORDS:
        fallback = "tryagain" if _HALF_MOVED in text else "other"
        kind = next((kind for kind in _KINDS if kind in text), fallback)
    return RedisError(kind.lower(), text, sent=False)


class ReplyReceiver(Protocol):
    """Receives the reply or error of a command, once: a future, or a cheaper callback object. May
    raise InvalidStateError when cancelled.
    """

    def set_result(self, reply: Any, /) -> None: ...

    def set_exception(self, error: RedisError, /) -> None: ...


def fail(answer: ReplyReceiver, error: RedisError) -> None:
    try:
        answer.set_exception(error)
    except Exception as failure:  # noqa: BLE001 - like a loop callback: others must still be called
        report_callback_error(failure)


def report_callback_error(failure: Exception) -> None:
    """Reports an exception that a receiver raised to the loop's exception handler."""
    if not isinstance(failure, asyncio.InvalidStateError):  # who asked has given up
        context = {"message": "an answer of Redis was not taken", "exception": failure}
        asyncio.get_running_loop().call_exception_handler(context)


async def forward_reply(awaitable: Awaitable[Any], answer: ReplyReceiver) -> None:
    """Pass the result of an awaitable to a receiver."""
    try:
        reply = await awaitable
    except RedisError as error:
        fail(answer, error)
    else:
        answer.set_result(reply)


class Wire(asyncio.Protocol):
    """`on_lost` is called once, when no more commands can be sent."""

    def __init__(self, timeout_s: float, on_lost: Callable[["Wire", str], None]) -> None:
        self._timeout = timeout_s
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._outbox = outbox(self._loop)
        # Cached: get_running_loop at each call costs a system call, getpid.
        self.future: Callable[[], asyncio.Future[Any]] = self._loop.create_future
        self._reader = Reader(notEnoughData=_NO_MORE)
        self._pending: deque[tuple[list[float], ReplyReceiver]] = deque()
        """Each command's deadline and receiver. Commands of one write share the deadline's list."""
        self._unsent: list[bytes] = []
        """Commands to send at the end of this loop iteration."""
        self._transport: asyncio.Transport | None = None
        self._batch_deadline = [inf]
        """The deadline of this iteration's commands, in loop time; set when they are written."""
        self._overdue = (self._batch_deadline, 0)
        """The overdue batch that got an extension, and how many bytes of its reply had come."""
        self._extensions = 0
        """How many the oldest command has had."""
        self._timer: asyncio.TimerHandle | None = None
        self._failure: tuple[str, str] | None = None
        self._draining = False

    def call(self, command: bytes) -> asyncio.Future[Any]:
        answer = self.future()
        self.send(command, answer)
        return answer

    def send(self, command: bytes, answer: ReplyReceiver, deadline: float = 0.0) -> None:
        """Only when connected. `deadline`, in loop time, is for commands queued before that."""
        if self._unsent or self._start_batch(answer):
            self._unsent.append(command)
            self._pending.append(([deadline] if deadline else self._batch_deadline, answer))

    @property
    def fault(self) -> RedisError | None:
        """Why no more commands can be sent, if so."""
        return None if self._failure is None else RedisError(*self._failure, sent=False)

    def _start_batch(self, answer: ReplyReceiver) -> bool:
        """Start this iteration's batch. False, and `answer` fails, when the wire is closed."""
        if self._failure is not None:
            fail(answer, RedisError(*self._failure, sent=False))
            return False
        self._batch_deadline = [inf]
        self._outbox.first(self._flush)
        return True

    def fail(self, kind: str, message: str) -> None:
        """Close, and fail all pending commands."""
        if self._failure is not None:
            return
        self._failure = (kind, message)
        if self._transport is not None:
            self._transport.abort()
        if self._timer is not None:
            self._timer.cancel()
        self._on_lost(self, kind)
        waiting, sent = [*self._pending], len(self._pending) - len(self._unsent)
        self._pending.clear()
        self._unsent.clear()
        for position, (_, answer) in enumerate(waiting):
            self._fail_one(answer, RedisError(kind, message, sent=position < sent))

    def drain(self, kind: str) -> None:
        """Send nothing more; close once all pending replies have come."""
        if self._failure is None and not self._draining:
            self._draining = True
            self._on_lost(self, kind)
            if not self._pending:
                self.fail(kind, "the connection was dropped")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._failure is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        awaited = self._pending
        try:
            self._reader.feed(data)
            for reply in iter(self._reader.gets, _NO_MORE):
                _, answer = awaited.popleft()
                if type(reply) is ReplyError:
                    self._fail_one(answer, to_redis_error(reply))
                    continue
                try:
                    answer.set_result(reply)
                except Exception as failure:  # noqa: BLE001 - as in `fail`
                    report_callback_error(failure)
        except (HiredisError, IndexError) as error:
            self.fail("protocol", f"not an answer of a Redis server: {error}")
        else:
            if self._draining and not awaited:
                self.fail("lost", "the connection was dropped")

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail("lost", f"the connection was lost{f': {exc}' if exc else ''}")

    def _fail_one(self, answer: ReplyReceiver, error: RedisError) -> None:
        if error.kind == "readonly":  # no longer the master: reconnect to find the new one
            self.drain(error.kind)
        fail(answer, error)

    def _flush(self) -> None:
        if self._unsent and self._transport is not None:
            self._transport.write(b"".join(self._unsent))
            self._unsent.clear()
            self._batch_deadline[0] = self._loop.time() + self._timeout
            if self._timer is None:
                self._timer = self._loop.call_at(self._first_deadline(), self._watch)

    def _watch(self) -> None:
        self._timer = None
        deadline, now = self._first_deadline(), self._loop.time()
        if deadline <= now:
            if not self._is_receiving():
                self.fail("timeout", "the server did not answer in time")
                return
            deadline = now + self._timeout / _MAX_EXTENSIONS
        else:
            self._extensions = 0
        if deadline < inf:
            self._timer = self._loop.call_at(deadline, self._watch)

    def _first_deadline(self) -> float:
        return self._pending[0][0][0] if self._pending else inf

    def _is_receiving(self) -> bool:
        """Whether more of the overdue reply has come since the last check, or is unread in the
        socket: the event loop may have stalled.
        """
        batch = self._pending[0][0]
        overdue, received_before = self._overdue
        received = self._reader.len() if self._reader.has_data() else 0
        self._overdue = (batch, received)
        self._extensions += 1
        progress = received > (received_before if overdue is batch else 0) or self._has_unread()
        return progress and self._extensions <= _MAX_EXTENSIONS

    def _has_unread(self) -> bool:
        if self._transport is None:
            return False
        poller = poll()
        poller.register(self._transport.get_extra_info("socket"), POLLIN)
        return bool(poller.poll(0))
