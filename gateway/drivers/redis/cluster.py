"""A Redis Cluster: one connection a node, and a map of which node has which of 16,384 slots.

The map is asked for at first, when a slot is said to have moved, and when a node fails. What is
refused because a slot is elsewhere was not executed, so it is sent on; nothing else is ever sent
twice. A script waits until all its slot has moved: keys that it does not name would seem empty.
https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

import asyncio
from binascii import crc_hqx
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import count
from typing import Any, Final

from gateway.drivers.redis.connection import RedisConnection
from gateway.drivers.redis.url import Place
from gateway.drivers.redis.wire import Answer, RedisError, encode, fail, passed_on

_SLOTS: Final = 16_384
_AT_ONCE: Final = 3
"""How often a command is sent on without a pause."""
_AGAIN_S: Final = 0.1
"""Between two looks at the map."""
_MOMENT_S: Final = 0.01
"""Until a slot that is on its way between two nodes is tried again."""
_LOOK: Final = encode("CLUSTER", "SLOTS")
_ASKING: Final = encode("ASKING")
_ELSEWHERE: Final = frozenset({"moved", "ask", "tryagain"})
_GONE: Final = frozenset({"timeout", "unreachable", "lost", "open", "clusterdown", "readonly"})
_WITH_KEY_COUNT: Final = frozenset({b"EVALSHA", b"EVAL", b"FCALL", b"EVALSHA_RO", b"EVAL_RO"})
_WITHOUT_KEYS: Final = frozenset(
    {b"PING", b"TIME", b"INFO", b"CONFIG", b"CLUSTER", b"ROLE", b"ACL", b"ECHO", b"DBSIZE"}
)
_Map = list[tuple[int, int, str, int]]
"""Runs of slots: first, last, and the host and port of their master."""


def slot_of(key: bytes) -> int:
    """By the CRC16 of a key, or of what stands in its first braces, if anything does."""
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    return crc_hqx(key, 0) & (_SLOTS - 1)


def first_key(command: bytes) -> bytes | None:
    """The first key of an encoded command: of a script or function, or a plain command's first
    argument; None where there is none.
    """
    parts = command.split(b"\r\n", 9)
    if parts[2] in _WITH_KEY_COUNT:
        return parts[8] if parts[6] != b"0" and len(parts) > 9 else None
    if parts[2] in _WITHOUT_KEYS or len(parts) < 6:
        return None
    return parts[4]


class RedisCluster:
    """See Redis for the methods. SCRIPT commands go to every master, others without a key to
    any one.
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
        self._as = place.served_as
        self._seeds = [(each.host, each.port) for each in place.first]
        self._timeout = timeout_s
        self._probe_s = probe_s
        self._greeting = greeting
        self._greeted = greeted
        self._nodes: dict[tuple[str, int], RedisConnection] = {}
        self._owners: list[RedisConnection | None] = [None] * _SLOTS
        self._looking: asyncio.Task[None] | None = None
        self._looked = float("-inf")
        self._fault: RedisError | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Whether all slots are in reach, as far as is known."""
        owners = set(self._owners)
        if owners == {None}:
            return not self._closed and (self._fault is None or self._may_look())
        return all(node is not None and node.is_open for node in owners)

    def call(self, command: bytes, key: str | None = None) -> Awaitable[Any]:
        """The answer of the node that has the command's first key, or `key`, if given. Where the
        node is known it is sent before this returns. Raises RedisError, here or when awaited.
        """
        found = first_key(command) if key is None else key.encode()
        if key is None and b"SCRIPT\r\n" in command[:24]:
            return self._first_of_all(command)
        slot = slot_of(found) if found else None
        node = self._owner(slot)
        if node is None:
            return self._find_and_send(command, slot)
        return self._answered(command, node, self._sent(command, node))

    def send(self, command: bytes, answer: Answer) -> None:
        try:
            asked = self.call(command)
        except RedisError as error:
            fail(answer, error)
        else:
            self._begin(passed_on(asked, answer))

    async def _first_of_all(self, command: bytes) -> Any:
        return (await self.everywhere(command))[0][1]

    async def _find_and_send(self, command: bytes, slot: int | None) -> Any:
        node = await self._learned(slot)
        return await self._answered(command, node, self._sent(command, node))

    def _sent(self, command: bytes, node: RedisConnection) -> asyncio.Future[Any]:
        try:
            return node.call(command)
        except RedisError as error:
            self._noted(error)
            raise

    async def _answered(
        self, command: bytes, node: RedisConnection, answer: asyncio.Future[Any]
    ) -> Any:
        try:
            return await answer
        except RedisError as error:
            self._noted(error)
            if error.kind not in _ELSEWHERE:
                raise
            refusal = error
        return await self._sent_on(command, node, refusal)

    def _noted(self, error: RedisError) -> None:
        if error.kind in _GONE:
            self._look_soon()

    async def everywhere(self, command: bytes) -> list[tuple[str, Any]]:
        """What each master answers."""
        self._owner(None) or await self._learned(None)
        masters = [*dict.fromkeys(node for node in self._owners if node is not None)]
        answers = await asyncio.gather(*(node.call(command) for node in masters))
        return [(str(node.address), said) for node, said in zip(masters, answers, strict=True)]

    def drop(self) -> None:
        for node in self._nodes.values():
            node.drop()

    async def aclose(self) -> None:
        self._closed = True
        self._owners = [None] * _SLOTS
        for node in self._nodes.values():
            await node.aclose()
        if self._looking is not None:  # not to be cancelled: calls wait for it
            await asyncio.wait([self._looking])
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _owner(self, slot: int | None) -> RedisConnection | None:
        if slot is not None:
            return self._owners[slot]
        return next((node for node in self._owners if node is not None and node.is_open), None)

    async def _learned(self, slot: int | None) -> RedisConnection:
        """A slot's owner by a map that is looked for if need be; any node for no slot."""
        if self._closed:
            raise RedisError("closed", "the connection is closed", sent=False)
        self._look_soon()
        if self._looking is not None:
            await asyncio.shield(self._looking)
        elif self._fault is not None:
            raise RedisError(
                "open", f"the cluster did not answer before: {self._fault}", sent=False
            )
        node = self._owner(slot)
        if node is not None:
            return node
        if self._fault is not None:
            raise RedisError(self._fault.kind, str(self._fault), sent=False)
        where = "any slot" if slot is None else f"slot {slot}"
        raise RedisError("clusterdown", f"no node of the cluster has {where}", sent=False)

    async def _sent_on(self, command: bytes, node: RedisConnection, error: RedisError) -> Any:
        """Counted from the refusal: a loop that stood still until then is not the cluster's fault.
        No answer is given up here: the connections do that.
        """
        owner, script = node, command.split(b"\r\n", 3)[2] in _WITH_KEY_COUNT
        now = asyncio.get_running_loop().time
        until = now() + self._timeout
        for hop in count():
            if hop and now() >= until:
                break
            waits = error.kind == "tryagain" or (error.kind == "ask" and script)
            if waits or hop >= _AT_ONCE:
                await asyncio.sleep(_MOMENT_S)
            try:
                if waits:
                    node = owner
                    return await node.call(command)
                slot, host, port = _place(error)
                node = self._node(host or node.address.host, port)
                if error.kind == "ask":
                    return (await asyncio.gather(*map(node.call, (_ASKING, command))))[1]
                self._owners[slot] = owner = node
                self._look_soon()
                return await node.call(command)
            except RedisError as again:
                if again.kind not in _ELSEWHERE:
                    raise
                error = again
        raise RedisError("timeout", f"the cluster did not answer in time: {error}", sent=False)

    def _may_look(self) -> bool:
        wait = self._probe_s if self._fault is not None else _AGAIN_S
        return asyncio.get_running_loop().time() - self._looked >= wait

    def _look_soon(self) -> None:
        if self._looking is None and self._may_look() and not self._closed:
            self._looked = asyncio.get_running_loop().time()
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """All nodes that we know are asked for the map, and the first to answer is believed."""
        nodes = [*dict.fromkeys((*self._nodes, *self._seeds))]
        asking = [asyncio.ensure_future(self._ask(*each)) for each in nodes]
        fault = None
        try:
            for answer in asyncio.as_completed(asking):
                said = await answer
                if isinstance(said, RedisError):
                    fault = said
                else:
                    fault = None
                    self._take(said)
                    break
        finally:
            for task in asking:
                task.cancel()
            self._looking = None
            self._fault = fault

    async def _ask(self, host: str, port: int) -> _Map | RedisError:
        try:
            if self._closed:
                raise RedisError("closed", "the connection is closed", sent=False)
            said = await self._node(host, port).call(_LOOK)
        except RedisError as error:
            return error
        owned = []
        for first, last, (name, at, *_), *_ in said:
            # A node that does not know by which name it is reached says none, or a mark.
            there = host if name in (None, b"", b"?") else name.decode()
            owned.append((first, last, there, at))
        if not owned:
            return RedisError("clusterdown", f"{host}:{port} knows of no slots", sent=False)
        return owned

    def _take(self, owned: _Map) -> None:
        if self._closed:
            return
        owners: list[RedisConnection | None] = [None] * _SLOTS
        for first, last, host, port in owned:
            owners[first : last + 1] = [self._node(host, port)] * (last + 1 - first)
        self._owners = owners
        kept = {*self._seeds, *((host, port) for _, _, host, port in owned)}
        for where in self._nodes.keys() - kept:
            self._begin(self._nodes.pop(where).aclose())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _node(self, host: str, port: int) -> RedisConnection:
        node = self._nodes.get((host, port))
        if node is None:
            node = self._nodes[host, port] = RedisConnection(
                self._as.at(host, port),
                timeout_s=self._timeout,
                greeting=self._greeting,
                greeted=self._greeted,
                probe_s=self._probe_s,
            )
        return node


def _place(error: RedisError) -> tuple[int, str, int]:
    """MOVED 3999 127.0.0.1:6381, where the host may be missing or an IPv6 address."""
    _, slot, place = str(error).split(" ")[:3]
    host, _, port = place.rpartition(":")
    return int(slot), host.strip("[]"), int(port)
