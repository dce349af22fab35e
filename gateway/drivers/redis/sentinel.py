"""Finds the master of a service by Redis Sentinel, and notices when it changes.

All sentinels are asked at once, so that one that hangs costs nothing; the address that more than
half of them name is taken, or, if too few answer in time, the one named most. The server must
confirm by ROLE that it is a master: sentinels can be behind.
https://redis.io/docs/latest/develop/reference/sentinel-clients/
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.drivers.redis.connection import RedisConnection
from gateway.drivers.redis.url import Address, RedisTarget
from gateway.drivers.redis.wire import RedisError, encode

_ROLE: Final = encode("ROLE")


class Sentinels:
    """`master` asks them; it raises RedisError when none knows."""

    def __init__(self, target: RedisTarget, timeout_s: float, probe_s: float) -> None:
        # Half of the time is left for the master itself.
        self._connections = [
            RedisConnection(each, timeout_s=timeout_s / 2, probe_s=probe_s) for each in target.seeds
        ]
        self._server_template = target.server_template
        self._service = target.service
        self._command = encode("SENTINEL", "get-master-addr-by-name", target.service)

    async def master(self) -> Address:
        tasks = [asyncio.ensure_future(self._query(each)) for each in self._connections]
        votes: Counter[Address] = Counter()
        faults: list[RedisError] = []
        try:
            for answer in asyncio.as_completed(tasks):
                result = await answer
                if isinstance(result, RedisError):
                    faults.append(result)
                elif result is not None:
                    votes[result] += 1
                    if 2 * votes[result] > len(self._connections):
                        return result
        finally:
            for task in tasks:
                task.cancel()
        if votes:
            return votes.most_common(1)[0][0]
        if len(faults) == len(tasks):
            raise RedisError(faults[0].kind, f"no sentinel answers: {faults[0]}", sent=False)
        raise RedisError("unknown", f"no sentinel knows {self._service!r}", sent=False)

    async def aclose(self) -> None:
        for each in self._connections:
            await each.aclose()

    async def _query(self, sentinel: RedisConnection) -> Address | RedisError | None:
        try:
            reply = await sentinel.call(self._command)
        except RedisError as error:
            return error
        return self._server_template.at(reply[0].decode(), int(reply[1])) if reply else None


class RedisBySentinel:
    """A connection to the master, without overhead per call. See Redis for the methods.

    Sentinels are asked before each connect, and every `probe_s` whether the master has changed.
    """

    def __init__(
        self,
        target: RedisTarget,
        *,
        timeout_s: float,
        greeting: Sequence[bytes] = (),
        greeted: Callable[[list[Any]], None] = lambda _: None,
        probe_s: float = 1.0,
    ) -> None:
        self._sentinels = Sentinels(target, timeout_s, probe_s)
        self._greeted = greeted
        self._watch_s = probe_s
        self._watching: asyncio.Task[None] | None = None
        self._connection = RedisConnection(
            target.server_template,
            timeout_s=timeout_s,
            greeting=[_ROLE, *greeting],
            greeted=self._check_role,
            probe_s=probe_s,
            find=self._find,
        )
        self.call = self._connection.call
        self.send = self._connection.send
        self.everywhere = self._connection.everywhere
        self.drop = self._connection.drop

    @property
    def is_open(self) -> bool:
        return self._connection.is_open

    async def aclose(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self._connection.aclose()
        await self._sentinels.aclose()

    async def _find(self) -> Address:
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())
        return await self._sentinels.master()

    def _check_role(self, answers: list[Any]) -> None:
        role = answers[0][0].decode()
        if role != "master":
            where = self._connection.address
            raise RedisError("readonly", f"{where} is a {role}, not yet the master", sent=False)
        self._greeted(answers[1:])

    async def _watch(self) -> None:
        """Drop the connection when the master has changed: an old master that is cut off from its
        sentinels may still accept writes, which are lost.
        """
        while True:
            await asyncio.sleep(self._watch_s)
            try:
                master = await self._sentinels.master()
            except RedisError:
                continue
            if master != self._connection.address:
                self._connection.drop()
