"""One connection to a Redis server, shared by everything on one event loop.

It is opened at the first call, and again when lost. It has a circuit breaker: after a timeout, or
some failures in a row, calls fail at once, and a probe checks whether the server is back:
immediately, then every second.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from gateway.drivers.redis.url import Address, parse_redis_url
from gateway.drivers.redis.wire import RedisError, ReplyReceiver, Wire, encode, fail

__all__ = ["RedisConnection", "RedisError", "encode"]

_FAILURES: Final = 3
"""Failures in a row after which calls fail at once."""
_PING: Final = encode("PING")
_STEPS: Final = 5
"""Steps in which the connect timeout is counted; see `_with_timeout`."""


class RedisConnection:
    """Connects at the first call, and reconnects by itself. For use on one event loop.

    `server` is an address, or a URL: redis://, rediss:// or unix://, with user, password and
    database; `find`, if given, gives the current address before each connect. `greeting` is sent
    first on each new connection, and its replies are passed to `greeted`, which may raise
    RedisError to decline the server. `timeout_s` bounds each call, including finding and
    connecting.
    """

    def __init__(
        self,
        server: str | Address,
        *,
        timeout_s: float,
        greeting: Sequence[bytes] = (),
        greeted: Callable[[list[Any]], None] = lambda _: None,
        probe_s: float = 1.0,
        find: Callable[[], Awaitable[Address]] | None = None,
    ) -> None:
        self.address = parse_redis_url(server) if isinstance(server, str) else server
        """Where the last connection went."""
        self._find = find
        self._timeout = timeout_s
        self._greeting = [*_login_commands(self.address), *greeting]
        self._greeted = greeted
        self._login_count = len(self._greeting) - len(greeting)
        self._probe_s = probe_s
        self._wire: Wire | None = None
        self._waiting: list[tuple[float, bytes, ReplyReceiver]] = []
        self._connecting: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._failures = 0
        self._probed_at = float("-inf")
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Whether calls are attempted: false while the circuit breaker is open."""
        return self._probing is None and not self._closed

    def call(self, command: bytes, key: str | None = None) -> asyncio.Future[Any]:
        """The reply to one command. Raises RedisError, now or when awaited."""
        wire = self._wire
        if wire is not None:  # `wire.call` inlined: hot path
            answer = wire.future()
            wire.send(command, answer)
            return answer
        fault = self._fault()
        if fault is not None:
            raise fault
        answer = asyncio.get_running_loop().create_future()
        self._enqueue(command, answer)
        return answer

    def send(self, command: bytes, answer: ReplyReceiver) -> None:
        """As `call`, but `answer` receives the reply or error, maybe before this returns."""
        wire = self._wire
        if wire is not None:
            wire.send(command, answer)
            return
        fault = self._fault()
        if fault is not None:
            fail(answer, fault)
        else:
            self._enqueue(command, answer)

    def _fault(self) -> RedisError | None:
        """Why calls fail at once, if they do."""
        if self._closed:
            return RedisError("closed", "the connection is closed", sent=False)
        if self._probing is not None:
            return RedisError("open", "the server did not answer before", sent=False)
        return None

    def _enqueue(self, command: bytes, answer: ReplyReceiver) -> None:
        """Queue a command until connected."""
        loop = asyncio.get_running_loop()
        self._waiting.append((loop.time() + self._timeout, command, answer))
        if self._connecting is None:
            self._connecting = loop.create_task(self._connect())

    async def everywhere(self, command: bytes) -> list[tuple[str, Any]]:
        reply = await self.call(command)
        return [(str(self.address), reply)]

    def drop(self) -> None:
        """Stop using this connection; the next call opens a new one, finding the server again."""
        if self._wire is not None:
            self._wire.drain("lost")

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
        wire = Wire(self._timeout, self._on_lost)
        try:
            stalled_s = await _with_timeout(self._timeout, self._handshake(wire))
            if wire.fault is not None:  # lost already
                raise wire.fault
        except TimeoutError:
            self._connect_failed(wire, "timeout", "the server did not answer in time")
        except RedisError as error:
            self._connect_failed(wire, error.kind, str(error))
        except (OSError, ValueError) as error:  # ValueError: no host can have that name
            self._connect_failed(wire, "unreachable", f"cannot connect to {self.address}: {error}")
        except Exception as error:  # noqa: BLE001 - its greeting is no Redis server's
            self._connect_failed(wire, "protocol", f"not a Redis server: {error!r}")
        else:
            self._connecting = None
            self._failures = 0
            self._wire = wire
            waiting, self._waiting = self._waiting, []
            for deadline, command, answer in waiting:
                if not (isinstance(answer, asyncio.Future) and answer.done()):
                    wire.send(command, answer, deadline + stalled_s)
        finally:
            if wire is not self._wire:
                wire.fail("lost", "the connection was given up")

    async def _handshake(self, wire: Wire) -> None:
        await self._dial(wire)
        # A server that hangs is connected to all the same: only an answer tells.
        greeting = self._greeting or (self._probing and [_PING]) or []
        answers = await asyncio.gather(*map(wire.call, greeting))
        self._greeted(answers[self._login_count :] if self._greeting else [])

    async def _dial(self, wire: Wire) -> None:
        loop = asyncio.get_running_loop()
        if self._find is not None:
            self.address = await self._find()
        address = self.address
        if address.path is not None:
            await loop.create_unix_connection(lambda: wire, address.path)
        else:
            await loop.create_connection(lambda: wire, address.host, address.port, ssl=address.tls)

    def _connect_failed(self, wire: Wire, kind: str, message: str) -> None:
        self._connecting = None
        wire.fail(kind, message)
        self._fail_waiting(kind, message)
        self._count_failure(kind)

    def _fail_waiting(self, kind: str, message: str) -> None:
        waiting, self._waiting = self._waiting, []
        for _, _, answer in waiting:
            fail(answer, RedisError(kind, message, sent=False))

    def _on_lost(self, wire: Wire, kind: str) -> None:
        if wire is self._wire:
            self._wire = None
            self._count_failure(kind)

    def _count_failure(self, kind: str) -> None:
        self._failures += 1
        if kind == "timeout":  # one is enough: later calls need not wait for it again
            self._failures = max(self._failures, _FAILURES)
        if self._failures >= _FAILURES and self._probing is None and not self._closed:
            self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def _probe(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._probed_at < 10 * self._probe_s:  # it failed recently: wait first
            await asyncio.sleep(self._probe_s)
        self._probed_at = now
        while True:
            await self._connect()
            if self._wire is not None:
                break
            await asyncio.sleep(self._probe_s)
        self._probing = None


async def _with_timeout(seconds: float, work: Coroutine[Any, Any, None]) -> float:
    """Run `work` with a timeout that does not count time in which the event loop stalled. Gives the
    stalled seconds. Raises TimeoutError.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    step, stalled_s = seconds / _STEPS, 0.0
    now = loop.time()
    until = now + seconds
    try:
        while now < until + stalled_s:
            began, rest = now, until + stalled_s - now
            done, _ = await asyncio.wait([task], timeout=min(step, rest))
            now = loop.time()
            if now - began >= 2 * step:
                stalled_s += now - began - step
            if done:
                await task
                return stalled_s
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    raise TimeoutError


def _login_commands(address: Address) -> list[bytes]:
    """AUTH and SELECT, where they are needed."""
    greeting = []
    if address.password:
        user = (address.user,) if address.user else ()
        greeting.append(encode("AUTH", *user, address.password))
    if address.database:
        greeting.append(encode("SELECT", address.database))
    return greeting
