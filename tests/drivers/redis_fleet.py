"""Servers that stand in for each other: clusters and masters with replicas and sentinels."""

import asyncio
import os
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hiredis import Reader

from gateway.drivers.redis.connection import RedisConnection, RedisError, encode
from gateway.drivers.redis.embedded import server_binary
from gateway.drivers.redis.servers import Redis
from tests.in_time import in_time
from tests.patience import PATIENT_S
from tests.ports import free_port


class Server:
    """A Valkey process on a TCP port of the loopback."""

    def __init__(self, folder: Path, *arguments: str, **settings: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._folder = folder
        self._command = [str(server_binary()), *arguments]
        every = {"port": self.port, "bind": "127.0.0.1", "dir": folder, "save": "", **settings}
        for name, value in every.items():
            self._command += [f"--{name.replace('_', '-')}", *str(value).split(" ")]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def signal(self, number: signal.Signals) -> None:
        assert self._process
        os.kill(self._process.pid, number)

    def end(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    async def ask(self, *parts: str | bytes | int) -> Any:
        connection = RedisConnection(self.url, timeout_s=PATIENT_S)
        try:
            return await connection.call(encode(*parts))
        finally:
            await connection.aclose()

    async def answers(self) -> None:
        async with asyncio.timeout(PATIENT_S):
            while True:
                try:
                    await self.ask("PING")
                except RedisError:
                    await asyncio.sleep(0.02)
                else:
                    return


@asynccontextmanager
async def running(*servers: Server) -> AsyncIterator[None]:
    """Started, and answering; killed at the end."""
    async with AsyncExitStack() as stack:
        for server in servers:
            server.start()
            stack.callback(server.end)
        for server in servers:
            await server.answers()
        yield


@asynccontextmanager
async def cluster(folder: Path, masters: int, replicas: int = 0) -> AsyncIterator[list[Server]]:
    """Masters with equal runs of slots, then replicas of the first master."""
    nodes = [
        Server(
            folder / str(number),
            cluster_enabled="yes",
            cluster_port=free_port(),
            cluster_node_timeout=1_000,
            cluster_require_full_coverage="no",
            repl_diskless_sync_delay=0,
        )
        for number in range(masters + replicas)
    ]
    async with running(*nodes):
        first = nodes[0]
        for number, node in enumerate(nodes):
            if number < masters:
                run = (number * 16_384 // masters, (number + 1) * 16_384 // masters - 1)
                await node.ask("CLUSTER", "ADDSLOTSRANGE", *run)
                await node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            bus = node._command[node._command.index("--cluster-port") + 1]
            await first.ask("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        for node in nodes:
            await said(node, ("CLUSTER", "INFO"), f"cluster_known_nodes:{len(nodes)}")
        for node in nodes[masters:]:
            await retried(node, "CLUSTER", "REPLICATE", await first.ask("CLUSTER", "MYID"))
            await said(node, ("INFO", "replication"), "master_link_status:up")
        for node in nodes:
            await said(node, ("CLUSTER", "INFO"), "cluster_state:ok", "slots_ok:16384")
            await said(node, ("CLUSTER", "NODES"), *["slave"] * bool(replicas))
        yield nodes


@asynccontextmanager
async def sentinels(
    folder: Path, master: Server, replicas: Sequence[Server], count: int, service: str = "money"
) -> AsyncIterator[list[Server]]:
    """Sentinels that know each other and the replicas, and find a master down after 500 ms."""
    watching = []
    for number in range(count):
        place = folder / f"sentinel-{number}"
        place.mkdir()
        (place / "sentinel.conf").write_text(
            f"sentinel monitor {service} 127.0.0.1 {master.port} {count // 2 + 1}\n"
            f"sentinel down-after-milliseconds {service} 500\n"
            f"sentinel failover-timeout {service} 2000\n"
        )
        watching.append(Server(place, str(place / "sentinel.conf"), "--sentinel"))
    async with running(*watching):
        for each in watching:  # every ten seconds, and every two; a promoted replica is let be
            await each.ask("SENTINEL", "DEBUG", "info-period", 100)  # for four of these
            await each.ask("SENTINEL", "DEBUG", "publish-period", 1_000)
        for each in watching:
            await told(each, service, "num-slaves", len(replicas))
            await told(each, service, "num-other-sentinels", count - 1)
        yield watching


@asynccontextmanager
async def pretended(answer: Callable[[list[bytes]], bytes], port: int = 0) -> AsyncIterator[str]:
    """The host and port of what answers each command as it is told to."""
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        commands = Reader()
        with suppress(OSError):
            while data := await reader.read(65_536):
                commands.feed(data)
                while (command := commands.gets()) is not False:
                    writer.write(answer(command))
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"
        await asyncio.gather(*(task for task in serving if task))


class Tally:
    """What became of commands, each of which adds one: answered, refused, or nobody knows; and
    how many took longer than `within_s`.
    """

    def __init__(self, redis: Redis, within_s: float) -> None:
        self._redis = redis
        self._within_s = within_s
        self.answered = self.refused = self.unknown = self.late = 0
        self.kinds: Counter[str] = Counter()

    async def add(self, key: str) -> None:
        try:
            await in_time(self._within_s, self._redis.call(encode("INCR", key)))
            self.answered += 1
        except pytest.fail.Exception:
            self.late += 1
        except RedisError as error:
            self.kinds[error.kind] += 1
            if error.sent:
                self.unknown += 1
            else:
                self.refused += 1

    async def add_until(self, done: asyncio.Event, keys: Sequence[str], each_s: float) -> None:
        while not done.is_set():
            await asyncio.gather(*map(self.add, keys))
            await asyncio.sleep(each_s)


async def failed_over(sentinel: Server, service: str = "money") -> None:
    """Order it until it is done: a sentinel gives one up when the servers answer it late."""
    first = await known(sentinel, service)
    async with asyncio.timeout(120):
        while (now := await known(sentinel, service))["port"] == first["port"]:
            if "failover_in_progress" not in now["flags"]:
                with suppress(RedisError):  # no replica it thinks well of, at this moment
                    await sentinel.ask("SENTINEL", "FAILOVER", service)
            await asyncio.sleep(0.05)


async def known(sentinel: Server, service: str) -> dict[str, str]:
    """What it knows of the master."""
    said = [word.decode() for word in await sentinel.ask("SENTINEL", "MASTER", service)]
    return dict(zip(said[::2], said[1::2], strict=True))


async def told(sentinel: Server, service: str, name: str, wanted: int) -> None:
    async with asyncio.timeout(PATIENT_S):
        while (await known(sentinel, service))[name] != str(wanted):
            await asyncio.sleep(0.05)


async def said(server: Server, question: Sequence[str], *words: str) -> None:
    """Wait until the answer has all these words."""
    async with asyncio.timeout(PATIENT_S):
        while True:
            answer = (await server.ask(*question)).decode()
            if all(word in answer for word in words):
                return
            await asyncio.sleep(0.05)


async def retried(server: Server, *parts: str | bytes) -> None:
    """Until it is not refused: a node may not have heard of another yet."""
    async with asyncio.timeout(PATIENT_S):
        while True:
            try:
                await server.ask(*parts)
            except RedisError:
                await asyncio.sleep(0.05)
            else:
                return
