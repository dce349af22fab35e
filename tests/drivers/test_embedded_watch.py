"""How often a server that dies is brought back, and what is said of it."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from gateway.drivers.redis.embedded import EmbeddedRedisError
from gateway.drivers.redis.embedded_watch import keep_alive, wait_process_ended


class Over(Exception):
    """The script is at its end."""


class Scripted:
    """A server whose looks go as the script says: it lives (.), we bring it back (!), another has
    brought it back (o), or it cannot be (x).
    """

    def __init__(self, script: str) -> None:
        self.pid = 1
        self.now = 0.0
        self.waits: list[float] = []
        self.said: list[str] = []
        self._script: Iterator[str] = iter(script)

    def revive(self) -> bool:
        what = next(self._script)
        if what == "x":
            raise EmbeddedRedisError("no room")
        self.pid += what in "!o"
        return what == "!"

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waits.append(seconds)
        if len(self.waits) > self.length:
            raise Over

    length = 0


async def at_once(pid: int | None) -> None:
    """Nobody tells when it has ended."""


async def watched(server: Scripted) -> None:
    await keep_alive(server, server.sleep, lambda: server.now, server.said.append, at_once)


@pytest.mark.parametrize(
    ("script", "waits", "said"),
    [
        ("...", [0.5, 0.5, 0.5], []),
        (".!..", [0.5, 0.5, 1, 1], ["back"]),
        ("!!!!!!!", [0.5, 1, 2, 4, 8, 10, 10], ["back"] * 7),
        ("!o!", [0.5, 1, 2], ["back", "back"]),
        ("xx!.", [0.5, 1, 2, 4], ["in 1 s", "in 2 s", "back"]),
        ("!" + "." * 61, [0.5, *[1] * 60, 0.5], ["back"]),
        ("!" + "." * 61 + "!.", [0.5, *[1] * 60, 0.5, 0.5, 1], ["back", "back"]),
    ],
)
async def test_the_more_often_it_dies_the_longer_it_stays_away(
    script: str, waits: list[float], said: list[str]
) -> None:
    server = Scripted(script)
    server.length = len(script)
    with pytest.raises(Over):
        await watched(server)
    assert server.waits[:-1] == waits
    assert ["back" if "it is back" in each else each[-6:] for each in server.said] == said


async def test_what_is_said() -> None:
    server = Scripted("x!")
    server.length = 2
    with pytest.raises(Over):
        await watched(server)
    assert server.said == [
        "the embedded ledger has died: no room; tried again in 1 s",
        "the embedded ledger had died; it is back with its log, as process 2",
    ]


async def test_a_process_that_ends_is_told_of_when_it_does() -> None:
    process = await asyncio.create_subprocess_exec("sleep", "60")
    waiting = asyncio.create_task(wait_process_ended(process.pid))
    await asyncio.sleep(0)
    assert waiting.done() is not hasattr(os, "pidfd_open"), "not every kernel tells"
    process.kill()
    await asyncio.wait_for(waiting, 30)
    await process.wait()


@pytest.mark.parametrize("pid", [None, 2**22 + 1], ids=["none", "not there"])
async def test_of_no_process_nothing_is_waited_for(pid: int | None) -> None:
    await asyncio.wait_for(wait_process_ended(pid), 30)
