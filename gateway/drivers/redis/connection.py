"""One connection to a Redis server, shared by everything that one event loop asks of it.

It is made at the first call and again when it was lost. When a server does not answer in time, or
some connections in a row fail, calls fail at once, and a probe looks whether the server is back:
immediately, for it may have stumbled only, then every second.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from gateway.drivers.redis.url import Address, parse_redis_url
from gateway.drivers.redis.wire import Answer, RedisError, Wire, encode, fail

__all__ = ["RedisConnection", "RedisError", "encode"]

_FAILURES: Final = 3
"""In a row, after which calls fail at once."""
_PING: Final = encode("PING")
_STEPS: Final = 5
"""In which the time to connect is counted."""


class RedisConnection:
    """Connects at the first call, and again by itself. Everything happens on one event loop.

    `where` is a server, or the URL of one: redis://, rediss:// or unix://, with user, password
    and database; `find`, where it is given, says at each connecting where the server is now.
    `greeting` is sent first on each new connection, and its answers handed to `greeted`, which
    may raise RedisError to decline the server. `timeout_s` bounds each call, finding and
    connecting included.
    """

    def __init__(
        self,
        where: str | Address,
        *,
        timeout_s: float,
        greeting: Sequence[bytes] = (),
        greeted: Callable[[list[Any]], None] = lambda _: None,
        probe_s: float = 1.0,
        find: Callable[[], Awaitable[Address]] | None = None,
    ) -> None:
        self.address = parse_redis_url(where) if isinstance(where, str) else where
        """Where the last connection went."""
        self._find = find
        self._timeout = timeout_s
        self._greeting = [*_who(self.address), *greeting]
        self._greeted = greeted
        self._skipped = len(self._greeting) - len(greeting)
        self._probe_s = probe_s
        self._wire: Wire | None = None
        self._waiting: list[tuple[float, bytes, Answer]] = []
        self._connecting: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._failures = 0
        self._opened = float("-inf")
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Whether calls have a chance: false between too many failures and a probe's success."""
        return self._probing is None and not self._closed

    def call(self, command: bytes, key: str | None = None) -> asyncio.Future[Any]:
        """The answer to one command. Raises RedisError, here or when awaited."""
        wire = self._wire
        if wire is not None:  # as `wire.call` does, with a call of Python less
            answer = wire.future()
            wire.send(command, answer)
            return answer
        fault = self._fault()
        if fault is not None:
            raise fault
        answer = asyncio.get_running_loop().create_future()
        self._wait(command, answer)
        return answer

    def send(self, command: bytes, answer: Answer) -> None:
        """As `call`, for whom `answer` is told what it comes to, maybe before this returns."""
        wire = self._wire
        if wire is not None:
            wire.send(command, answer)
            return
        fault = self._fault()
        if fault is not None:
            fail(answer, fault)
        else:
            self._wait(command, answer)

    def _fault(self) -> RedisError | None:
        """Why there is no use in asking."""
        if self._closed:
            return RedisError("closed", "the connection is closed", sent=False)
        if self._probing is not None:
            return RedisError("open", "the server did not answer before", sent=False)
        return None

    def _wait(self, command: bytes, answer: Answer) -> None:
        """For a connection."""
        loop = asyncio.get_running_loop()
        self._waiting.append((loop.time() + self._timeout, command, answer))
        if self._connecting is None:
            self._connecting = loop.create_task(self._connect())

    async def everywhere(self, command: bytes) -> list[tuple[str, Any]]:
        said = await self.call(command)
        return [(str(self.address), said)]

    def drop(self) -> None:
        """Use the connection no more; the next call makes a new one, finding the server again."""
        if self._wire is not None:
            self._wire.leave("lost")

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
        wire = Wire(self._timeout, self._lost)
        try:
            stood_still = await _within(self._timeout, self._meet(wire))
            if wire.fault is not None:  # lost already
                raise wire.fault
        except TimeoutError:
            self._unconnected(wire, "timeout", "the server did not answer in time")
        except RedisError as error:
            self._unconnected(wire, error.kind, str(error))
        except OSError as error:
            self._unconnected(wire, "unreachable", f"cannot connect to {self.address}: {error}")
        else:
            self._connecting = None
            self._failures = 0
            self._wire = wire
            waiting, self._waiting = self._waiting, []
            for deadline, command, answer in waiting:
                if not (isinstance(answer, asyncio.Future) and answer.done()):
                    wire.send(command, answer, deadline + stood_still)
        finally:
            if wire is not self._wire:
                wire.fail("lost", "the connection was given up")

    async def _meet(self, wire: Wire) -> None:
        await self._dial(wire)
        # A server that hangs is connected to all the same: only an answer tells.
        greeting = self._greeting or (self._probing and [_PING]) or []
        answers = await asyncio.gather(*map(wire.call, greeting))
        self._greeted(answers[self._skipped :] if self._greeting else [])

    async def _dial(self, wire: Wire) -> None:
        loop = asyncio.get_running_loop()
        if self._find is not None:
            self.address = await self._find()
        where = self.address
        if where.path is not None:
            await loop.create_unix_connection(lambda: wire, where.path)
        else:
            await loop.create_connection(lambda: wire, where.host, where.port, ssl=where.tls)

    def _unconnected(self, wire: Wire, kind: str, message: str) -> None:
        self._connecting = None
        wire.fail(kind, message)
        self._fail_waiting(kind, message)
        self._failed(kind)

    def _fail_waiting(self, kind: str, message: str) -> None:
        waiting, self._waiting = self._waiting, []
        for _, _, answer in waiting:
            fail(answer, RedisError(kind, message, sent=False))

    def _lost(self, wire: Wire, kind: str) -> None:
        if wire is self._wire:
            self._wire = None
            self._failed(kind)

    def _failed(self, kind: str) -> None:
        self._failures += 1
        if kind == "timeout":  # waited for once, and by nobody again
            self._failures = max(self._failures, _FAILURES)
        if self._failures >= _FAILURES and self._probing is None and not self._closed:
            self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def _probe(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._opened < 10 * self._probe_s:  # it has stumbled before: no haste
            await asyncio.sleep(self._probe_s)
        self._opened = now
        while True:
            await self._connect()
            if self._wire is not None:
                break
            await asyncio.sleep(self._probe_s)
        self._probing = None


async def _within(seconds: float, work: Coroutine[Any, Any, None]) -> float:
    """Raises TimeoutError when it is not done by then. For how long the loop stood still, which
    does not count.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    step, stood_still = seconds / _STEPS, 0.0
    now = loop.time()
    until = now + seconds
    try:
        while now < until + stood_still:
            began, rest = now, until + stood_still - now
            done, _ = await asyncio.wait([task], timeout=min(step, rest))
            now = loop.time()
            if now - began >= 2 * step:
                stood_still += now - began - step
            if done:
                await task
                return stood_still
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    raise TimeoutError


def _who(address: Address) -> list[bytes]:
    """The commands that say who we are, and which database we mean."""
    greeting = []
    if address.password:
        user = (address.user,) if address.user else ()
        greeting.append(encode("AUTH", *user, address.password))
    if address.database:
        greeting.append(encode("SELECT", address.database))
    return greeting
