"""The gateway as people run it: `tollgate serve` in processes of its own."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx

_ANSWERS = re.compile(rb"Tollgate answers at (http://\S+)/v1")
SERVE = (sys.executable, "-m", "gateway", "serve")


@asynccontextmanager
async def serving(
    config: Path, *options: str, env: dict[str, str] | None = None, log: Path | None = None
) -> AsyncIterator[tuple[Process, str]]:
    """`tollgate serve` on a free port, once it answers: the process and its address. Its log is
    written to a file, if one is named.
    """
    with ExitStack() as stack:
        errors = None if log is None else stack.enter_context(log.open("wb"))
        process = await asyncio.create_subprocess_exec(
            *SERVE, "--config", str(config), "--port", "0", *options,
            env={**os.environ, **(env or {})}, stdin=DEVNULL, stdout=PIPE, stderr=errors,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        told = await process.stdout.readline()
        found = _ANSWERS.match(told)
        assert found, f"it said {told!r}"
        yield process, found[1].decode()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        rest, _ = await process.communicate()
        assert not _ANSWERS.search(rest), "where it answers is told once"


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def lives(pid: int | None) -> bool:
    """Whether any thread of it runs: the first may have ended and others still hold its files.
    A process that only waits to be taken note of does not live.
    """
    try:
        stats = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):
        return lives(pid)  # a thread ended while we looked
    return any(") Z" not in stat and ") X" not in stat for stat in stats)


async def until(what: str, seconds: float, *pids: int | None) -> None:
    """Wait for processes to end: those of others' children tell us nothing when they do."""
    try:
        async with asyncio.timeout(seconds):
            while any(map(lives, pids)):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{what}: {[pid for pid in pids if lives(pid)]} still run") from None


def loopback(url: str) -> httpx.AsyncClient:
    """A client that is quickly made: it reads no certificates."""
    return httpx.AsyncClient(base_url=url, timeout=60, verify=False)  # noqa: S501 - plain HTTP


async def told_to_stop(url: str) -> None:
    """It has heard of it: a signal that comes before is one with the first."""
    with suppress(httpx.TransportError):  # it listens no more
        async with asyncio.timeout(30), loopback(url) as client:
            while (await client.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.01)


def worker_of(response: httpx.Response) -> str:
    """Request ids begin with what their process drew when it started."""
    assert response.status_code == 200, response.text
    return response.headers["x-request-id"][:28]


async def workers_serving(url: str, count: int) -> None:
    """So many have started, and have answered."""
    seen: set[str] = set()
    async with asyncio.timeout(60):
        while len(seen) < count:
            seen.add(worker_of(await ask(url, "right")))


async def ask(url: str, model: str, **more: object) -> httpx.Response:
    """One chat request, on a connection of its own."""
    body = {"model": model, "messages": [{"role": "user", "content": "What is 17*23?"}], **more}
    async with loopback(url) as client:
        return await client.post("/v1/chat/completions", json=body)
