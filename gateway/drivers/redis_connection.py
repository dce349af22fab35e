"""One connection to a Redis server, shared by everything that one event loop asks of it.

Commands of one loop tick travel in one write and answers come back in order, which costs a
fraction of the CPU of a pool of connections. One timer watches the oldest command: when it has
waited too long the connection is closed and all that wait on it fail. After some failures in a
row calls fail at once, and a probe looks every second whether the server is back.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from hiredis import HiredisError, Reader, ReplyError, pack_command

from gateway.drivers.redis_url import Address, parse_redis_url

_FAILURES: Final = 3
"""In a row, after which calls fail at once."""
_KINDS: Final = (
    "WRONGTYPE", "OOM", "READONLY", "NOSCRIPT", "LOADING", "NOAUTH", "WRONGPASS", "NOPERM",
    "MASTERDOWN", "CLUSTERDOWN", "MOVED", "CROSSSLOT", "BUSY", "MISCONF", "NOREPLICAS",
)  # fmt: skip


class RedisError(Exception):
    """A command failed. `kind`, a label: timeout, unreachable, lost, open (too many failures
    just before), closed, or the server's own word for it in lower case.

    `sent`: the server may have executed it.
    """

    def __init__(self, kind: str, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.kind = kind
        self.sent = sent


def encode(*parts: str | bytes | int) -> bytes:
    """A command as bytes for `RedisConnection.call`."""
    return cast("bytes", pack_command(parts))  # type: ignore[arg-type]


def refused(error: ReplyError) -> RedisError:
    """The server's error reply. Redis 6 puts the kind of a script's error inside its text."""
    text = str(error)
    kind = next((kind for kind in _KINDS if kind in text), "other")
    return RedisError(kind.lower(), text, sent=False)


class RedisConnection:
    """Connects at the first call, and again by itself. Everything happens on one event loop.

    `url` is redis://, rediss:// or unix://, with user, password and database. `greeting` is sent
    first on each new connection, and its answers handed to `greeted`. `timeout_s` bounds each
    call, connecting included.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        greeting: Sequence[bytes] = (),
        greeted: Callable[[list[Any]], None] = lambda _: None,
        probe_s: float = 1.0,
    ) -> None:
        self._address = parse_redis_url(url)
        self._timeout = timeout_s
        self._greeting = [*_who(self._address), *greeting]
        self._greeted = greeted
        self._skipped = len(self._greeting) - len(greeting)
        self._probe_s = probe_s
        self._wire: _Wire | None = None
        self._waiting: list[tuple[float, bytes, asyncio.Future[Any]]] = []
        self._connecting: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._failures = 0
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Whether calls have a chance: false between too many failures and a probe's success."""
        return self._probing is None and not self._closed

    def call(self, command: bytes) -> asyncio.Future[Any]:
        """The answer to one command. Raises RedisError, here or when awaited."""
        wire = self._wire
        if wire is not None:
            return wire.call(command)
        if self._closed:
            raise RedisError("closed", "the connection is closed", sent=False)
        if self._probing is not None:
            raise RedisError("open", "the server did not answer before", sent=False)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((loop.time() + self._timeout, command, answer))
        if self._connecting is None:
            self._connecting = loop.create_task(self._connect())
        return answer

    def drop(self) -> None:
        """Close the connection; the next call makes a new one, resolving the name again."""
        if self._wire is not None:
            self._wire.fail("lost", "the connection was dropped")

    async def aclose(self) -> None:
        self._closed = True
        for task in (self._connecting, self._probing):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        self._fail_waiting("closed", "the connection was closed")
        if self._wire is not None:
            self._wire.fail("closed", "the connection was closed")
            await asyncio.sleep(0)  # lets the transport go

    async def _connect(self) -> None:
        wire = _Wire(self._timeout, self._lost)
        try:
            async with asyncio.timeout(self._timeout):
                await self._dial(wire)
                answers = await asyncio.gather(*map(wire.call, self._greeting))
        except TimeoutError:
            self._unconnected(wire, "timeout", "the server did not answer in time")
        except RedisError as error:
            self._unconnected(wire, error.kind, str(error))
        except OSError as error:
            self._unconnected(wire, "unreachable", f"cannot connect: {error}")
        else:
            self._connecting = None
            self._failures = 0
            self._greeted(answers[self._skipped :])
            self._wire = wire
            waiting, self._waiting = self._waiting, []
            for deadline, command, answer in waiting:
                if not answer.done():
                    wire.send(deadline, command, answer)
        finally:
            if wire is not self._wire:
                wire.fail("lost", "the connection was given up")

    async def _dial(self, wire: "_Wire") -> None:
        loop = asyncio.get_running_loop()
        where = self._address
        if where.path is not None:
            await loop.create_unix_connection(lambda: wire, where.path)
        else:
            await loop.create_connection(lambda: wire, where.host, where.port, ssl=where.tls)

    def _unconnected(self, wire: "_Wire", kind: str, message: str) -> None:
        self._connecting = None
        wire.fail(kind, message)
        self._fail_waiting(kind, message)
        self._failed()

    def _fail_waiting(self, kind: str, message: str) -> None:
        waiting, self._waiting = self._waiting, []
        for _, _, answer in waiting:
            if not answer.done():
                answer.set_exception(RedisError(kind, message, sent=False))

    def _lost(self, wire: "_Wire") -> None:
        if wire is self._wire:
            self._wire = None
            self._failed()

    def _failed(self) -> None:
        self._failures += 1
        if self._failures >= _FAILURES and self._probing is None and not self._closed:
            self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def _probe(self) -> None:
        while self._wire is None:
            await asyncio.sleep(self._probe_s)
            await self._connect()
        self._probing = None


class _Wire(asyncio.Protocol):
    """A connection once made: commands out, answers in, in the same order."""

    def __init__(self, timeout_s: float, lost: Callable[["_Wire"], None]) -> None:
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
        self._lost(self)

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
                if answer.done():
                    continue
                if isinstance(reply, ReplyError):
                    answer.set_exception(refused(reply))
                else:
                    answer.set_result(reply)
        except (HiredisError, IndexError) as error:
            self.fail("protocol", f"not an answer of a Redis server: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail("lost", "the connection was lost")

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


def _who(address: Address) -> list[bytes]:
    """The commands that say who we are, and which database we mean."""
    greeting = []
    if address.password:
        user = (address.user,) if address.user else ()
        greeting.append(encode("AUTH", *user, address.password))
    if address.database:
        greeting.append(encode("SELECT", address.database))
    return greeting
