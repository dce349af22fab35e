"""A Redis Cluster: one connection per node, and a map of which node has which of 16,384 slots.

The map is read at first, after a MOVED reply, and when a node fails. A redirected command was not
executed, so it is sent to the other node; nothing else is ever sent twice. A script waits until its
slot has moved completely: keys that it does not name would seem empty.
https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

import asyncio
from binascii import crc_hqx
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import count
from typing import Any, Final

from gateway.drivers.redis.connection import RedisConnection
from gateway.drivers.redis.url import RedisTarget
from gateway.drivers.redis.wire import RedisError, ReplyReceiver, encode, fail, forward_reply

_SLOTS: Final = 16_384
_IMMEDIATE_REDIRECTS: Final = 3
"""Redirects that are followed without a pause."""
_REFRESH_INTERVAL_S: Final = 0.1
"""Between two reads of the map."""
_RETRY_S: Final = 0.01
"""Until a command is retried while its slot is migrating."""
_CLUSTER_SLOTS: Final = encode("CLUSTER", "SLOTS")
_ASKING: Final = encode("ASKING")
_REDIRECTS: Final = frozenset({"moved", "ask", "tryagain"})
_NODE_FAILURES: Final = frozenset(
    {"timeout", "unreachable", "lost", "open", "clusterdown", "readonly"}
)
_WITH_KEY_COUNT: Final = frozenset({b"EVALSHA", b"EVAL", b"FCALL", b"EVALSHA_RO", b"EVAL_RO"})
_WITHOUT_KEYS: Final = frozenset(
    {b"PING", b"TIME", b"INFO", b"CONFIG", b"CLUSTER", b"ROLE", b"ACL", b"ECHO", b"DBSIZE"}
)
_SlotRanges = list[tuple[int, int, str, int]]
"""Ranges of slots: first, last, and the host and port of their master."""


def slot_of(key: bytes) -> int:
    """The CRC16 of a key, or of its hash tag: what is in its first braces, if not empty."""
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
    """See Redis. SCRIPT goes to every master, other commands without a key to any."""

    def __init__(
        self,
        target: RedisTarget,
        *,
        timeout_s: float,
        greeting: Sequence[bytes] = (),
        greeted: Callable[[list[Any]], None] = lambda _: None,
        probe_s: float = 1.0,
    ) -> None:
        self._node_template = target.server_template
        self._seeds = [(each.host, each.port) for each in target.seeds]
        self._timeout = timeout_s
        self._probe_s = probe_s
        self._greeting = greeting
        self._greeted = greeted
        self._nodes: dict[tuple[str, int], RedisConnection] = {}
        self._owners: list[RedisConnection | None] = [None] * _SLOTS
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_at = float("-inf")
        self._fault: RedisError | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Whether all slots are reachable, as far as is known."""
        owners = set(self._owners)
        if owners == {None}:
            return not self._closed and (self._fault is None or self._may_refresh())
        return all(node is not None and node.is_open for node in owners)

    def call(self, command: bytes, key: str | None = None) -> Awaitable[Any]:
        """The reply of the node that has the command's first key, or `key`, if given. If the node
        is known, the command is sent before this returns. Raises RedisError, now or when awaited.
        """
        slot_key = first_key(command) if key is None else key.encode()
        if key is None and b"SCRIPT\r\n" in command[:24]:
            return self._call_everywhere(command)
        slot = slot_of(slot_key) if slot_key else None
        node = self._owner(slot)
        if node is None:
            return self._find_and_send(command, slot)
        return self._await_reply(command, node, self._send_to(command, node))

    def send(self, command: bytes, answer: ReplyReceiver) -> None:
        try:
            reply = self.call(command)
        except RedisError as error:
            fail(answer, error)
        else:
            self._spawn(forward_reply(reply, answer))

    async def _call_everywhere(self, command: bytes) -> Any:
        return (await self.everywhere(command))[0][1]

    async def _find_and_send(self, command: bytes, slot: int | None) -> Any:
        node = await self._discover_owner(slot)
        return await self._await_reply(command, node, self._send_to(command, node))

    def _send_to(self, command: bytes, node: RedisConnection) -> asyncio.Future[Any]:
        try:
            return node.call(command)
        except RedisError as error:
            self._note_failure(error)
            raise

    async def _await_reply(
        self, command: bytes, node: RedisConnection, answer: asyncio.Future[Any]
    ) -> Any:
        try:
            return await answer
        except RedisError as error:
            self._note_failure(error)
            if error.kind not in _REDIRECTS:
                raise
            refusal = error
        return await self._follow_redirects(command, node, refusal)

    def _note_failure(self, error: RedisError) -> None:
        if error.kind in _NODE_FAILURES:
            self._refresh_soon()

    async def everywhere(self, command: bytes) -> list[tuple[str, Any]]:
        """What each master answers."""
        self._owner(None) or await self._discover_owner(None)
        masters = [*dict.fromkeys(node for node in self._owners if node is not None)]
        answers = await asyncio.gather(*(node.call(command) for node in masters))
        return [(str(node.address), reply) for node, reply in zip(masters, answers, strict=True)]

    def drop(self) -> None:
        for node in self._nodes.values():
            node.drop()

    async def aclose(self) -> None:
        self._closed = True
        self._owners = [None] * _SLOTS
        for node in self._nodes.values():
            await node.aclose()
        if self._refreshing is not None:  # not to be cancelled: calls wait for it
            await asyncio.wait([self._refreshing])
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _owner(self, slot: int | None) -> RedisConnection | None:
        if slot is not None:
            return self._owners[slot]
        return next((node for node in self._owners if node is not None and node.is_open), None)

    async def _discover_owner(self, slot: int | None) -> RedisConnection:
        """A slot's owner, refreshing the map if needed; any node for None."""
        if self._closed:
            raise RedisError("closed", "the connection is closed", sent=False)
        self._refresh_soon()
        if self._refreshing is not None:
            await asyncio.shield(self._refreshing)
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

    async def _follow_redirects(
        self, command: bytes, node: RedisConnection, error: RedisError
    ) -> Any:
        """Times out from the first redirect on, not counting a loop that stalled before it."""
        owner, script = node, command.split(b"\r\n", 3)[2] in _WITH_KEY_COUNT
        now = asyncio.get_running_loop().time
        until = now() + self._timeout
        for hop in count():
            if hop and now() >= until:
                break
            must_wait = error.kind == "tryagain" or (error.kind == "ask" and script)
            if must_wait or hop >= _IMMEDIATE_REDIRECTS:
                await asyncio.sleep(_RETRY_S)
            try:
                if must_wait:
                    node = owner
                    return await node.call(command)
                slot, host, port = _parse_redirect(error)
                node = self._node(host or node.address.host, port)
                if error.kind == "ask":
                    return (await asyncio.gather(*map(node.call, (_ASKING, command))))[1]
                self._owners[slot] = owner = node
                self._refresh_soon()
                return await node.call(command)
            except RedisError as again:
                if again.kind not in _REDIRECTS:
                    raise
                error = again
        raise RedisError("timeout", f"the cluster did not answer in time: {error}", sent=False)

    def _may_refresh(self) -> bool:
        wait = self._probe_s if self._fault is not None else _REFRESH_INTERVAL_S
        return asyncio.get_running_loop().time() - self._refreshed_at >= wait

    def _refresh_soon(self) -> None:
        if self._refreshing is None and self._may_refresh() and not self._closed:
            self._refreshed_at = asyncio.get_running_loop().time()
            self._refreshing = asyncio.create_task(self._refresh())

    async def _refresh(self) -> None:
        """Ask all known nodes for the map, and take the first answer."""
        nodes = [*dict.fromkeys((*self._nodes, *self._seeds))]
        tasks = [asyncio.ensure_future(self._fetch_slots(*each)) for each in nodes]
        fault = None
        try:
            for answer in asyncio.as_completed(tasks):
                slots = await answer
                if isinstance(slots, RedisError):
                    fault = slots
                else:
                    fault = None
                    self._apply_slots(slots)
                    break
        finally:
            for task in tasks:
                task.cancel()
            self._refreshing = None
            self._fault = fault

    async def _fetch_slots(self, host: str, port: int) -> _SlotRanges | RedisError:
        try:
            if self._closed:
                raise RedisError("closed", "the connection is closed", sent=False)
            reply = await self._node(host, port).call(_CLUSTER_SLOTS)
        except RedisError as error:
            return error
        ranges = []
        for first, last, (name, node_port, *_), *_ in reply:
            # A node that does not know its own host name sends none, or "?".
            node_host = host if name in (None, b"", b"?") else name.decode()
            ranges.append((first, last, node_host, node_port))
        if not ranges:
            return RedisError("clusterdown", f"{host}:{port} knows of no slots", sent=False)
        return ranges

    def _apply_slots(self, ranges: _SlotRanges) -> None:
        if self._closed:
            return
        owners: list[RedisConnection | None] = [None] * _SLOTS
        for first, last, host, port in ranges:
            owners[first : last + 1] = [self._node(host, port)] * (last + 1 - first)
        self._owners = owners
        current = {*self._seeds, *((host, port) for _, _, host, port in ranges)}
        for address in self._nodes.keys() - current:
            self._spawn(self._nodes.pop(address).aclose())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _node(self, host: str, port: int) -> RedisConnection:
        node = self._nodes.get((host, port))
        if node is None:
            node = self._nodes[host, port] = RedisConnection(
                self._node_template.at(host, port),
                timeout_s=self._timeout,
                greeting=self._greeting,
                greeted=self._greeted,
                probe_s=self._probe_s,
            )
        return node


def _parse_redirect(error: RedisError) -> tuple[int, str, int]:
    """MOVED 3999 127.0.0.1:6381, where the host may be missing or an IPv6 address."""
    _, slot, address = str(error).split(" ")[:3]
    host, _, port = address.rpartition(":")
    return int(slot), host.strip("[]"), int(port)
