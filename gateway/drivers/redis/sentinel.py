"""Finding the master of a service by Redis Sentinel, and noticing when it is another.

All sentinels are asked at once, so that one that hangs costs nothing; the address that more than
half of them name is taken, and, when so many do not answer in time, the one named most. Whoever is
found must say itself that it is a master: sentinels can be behind.
https://redis.io/docs/latest/develop/reference/sentinel-clients/
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.drivers.redis.connection import RedisConnection
from gateway.drivers.redis.url import Address, Place
from gateway.drivers.redis.wire import RedisError, encode

_ROLE: Final = encode("ROLE")


class Sentinels:
    """`master` is what they say; it raises RedisError when none knows."""

    def __init__(self, place: Place, timeout_s: float, probe_s: float) -> None:
        # Half of the time is left for the master itself.
        self._asked = [
            RedisConnection(each, timeout_s=timeout_s / 2, probe_s=probe_s) for each in place.first
        ]
        self._served_as = place.served_as
        self._service = place.service
        self._question = encode("SENTINEL", "get-master-addr-by-name", place.service)

    async def master(self) -> Address:
        asking = [asyncio.ensure_future(self._ask(each)) for each in self._asked]
        named: Counter[Address] = Counter()
        faults: list[RedisError] = []
        try:
            for answer in asyncio.as_completed(asking):
                said = await answer
                if isinstance(said, RedisError):
                    faults.append(said)
                elif said is not None:
                    named[said] += 1
                    if 2 * named[said] > len(self._asked):
                        return said
        finally:
            for task in asking:
                task.cancel()
        if named:
            return named.most_common(1)[0][0]
        if len(faults) == len(asking):
            raise RedisError(faults[0].kind, f"no sentinel answers: {faults[0]}", sent=False)
        raise RedisError("unknown", f"no sentinel knows {self._service!r}", sent=False)

    async def aclose(self) -> None:
        for each in self._asked:
            await each.aclose()

    async def _ask(self, sentinel: RedisConnection) -> Address | RedisError | None:
        try:
            said = await sentinel.call(self._question)
        except RedisError as error:
            return error
        return self._served_as.at(said[0].decode(), int(said[1])) if said else None


class RedisBySentinel:
    """The master's connection: calls are its calls, at no cost. See Redis for the methods.

    Sentinels are asked at each connecting, and every `probe_s` whether it still is the master.
    """

    def __init__(
        self,
        place: Place,
        *,
        timeout_s: float,
        greeting: Sequence[bytes] = (),
        greeted: Callable[[list[Any]], None] = lambda _: None,
        probe_s: float = 1.0,
    ) -> None:
        self._sentinels = Sentinels(place, timeout_s, probe_s)
        self._greeted = greeted
        self._watch_s = probe_s
        self._watching: asyncio.Task[None] | None = None
        self._connection = RedisConnection(
            place.served_as,
            timeout_s=timeout_s,
            greeting=[_ROLE, *greeting],
            greeted=self._is_master,
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

    def _is_master(self, answers: list[Any]) -> None:
        role = answers[0][0].decode()
        if role != "master":
            where = self._connection.address
            raise RedisError("readonly", f"{where} is a {role}, not yet the master", sent=False)
        self._greeted(answers[1:])

    async def _watch(self) -> None:
        """A master cut off from its sentinels may go on taking writes, all to be lost."""
        while True:
            await asyncio.sleep(self._watch_s)
            try:
                found = await self._sentinels.master()
            except RedisError:
                continue
            if found != self._connection.address:
                self._connection.drop()
