"""Signals that come while `tollgate serve` only starts: it ends, or reads its configuration again,
as one that has been told later. And such as come while it ends.
"""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from gateway.core.snapshot import Ledger
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.stores import server
from tests.drivers.scripted import Peer, scripted, until
from tests.service.processes import SERVE, children

pytest_plugins = ("tests.redis_server",)

CONFIG: Final = """
redis: {url: '%s', timeout_ms: 60000}
server: {watch: false}
providers: {p: {dialect: openai, base_url: 'http://127.0.0.1:9/v1', api_key: x}}
models: {m: {deployments: [{provider: p}], context: 1000, max_output: 100, price: free}}
tenants: {acme: {anonymous: true}}
"""
TO_STOP: Final = [signal.SIGTERM, signal.SIGINT]
STAGES: Final = ["typer", "gateway.commands.options", "gateway.config.load", "uvloop"]
"""Modules, as they are imported one after the other."""


class Starting:
    """One that tells what it imports."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.told = ""

    async def says(self, what: str) -> None:
        assert self.process.stderr is not None
        async with asyncio.timeout(60):
            while what not in self.told:
                line = await self.process.stderr.readline()
                assert line, f"never said {what!r}: {self.words}"
                self.told += line.decode()

    async def ends(self) -> tuple[int | None, str]:
        """Its exit code, and what it said, but for what it imported."""
        async with asyncio.timeout(60):
            out, rest = await self.process.communicate()
        self.told += rest.decode()
        return self.process.returncode, out.decode() + self.words

    @property
    def words(self) -> str:
        lines = self.told.splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("import time:"))


@asynccontextmanager
async def starting(tmp_path: Path, *options: str, redis: str = "memory") -> AsyncIterator[Starting]:
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG % redis)
    process = await asyncio.create_subprocess_exec(
        *SERVE, "--config", str(config), "--port", "0", *options,
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}, start_new_session=True,
        stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    try:
        yield Starting(process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@pytest.mark.parametrize("number", TO_STOP, ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("stage", STAGES)
async def test_told_to_stop_it_ends_well_and_says_nothing(
    tmp_path: Path, stage: str, number: signal.Signals
) -> None:
    async with starting(tmp_path) as one:
        await one.says(stage)
        one.process.send_signal(number)
        assert await one.ends() == (0, "")


@pytest.mark.parametrize("stage", STAGES)
async def test_told_to_reload_it_does_once_it_can(tmp_path: Path, stage: str) -> None:
    async with starting(tmp_path) as one:
        await one.says(stage)
        one.process.send_signal(signal.SIGHUP)
        await one.says("the configuration was reloaded (SIGHUP)")
        one.process.send_signal(signal.SIGTERM)
        code, said = await one.ends()
    assert (code, said.count("Tollgate answers at"), "Traceback" in said) == (0, 1, False)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", TO_STOP, ids=["SIGTERM", "SIGINT"])
async def test_told_while_it_waits_for_redis_it_ends_and_does_not_begin_to_serve(
    tmp_path: Path, number: signal.Signals, workers: str
) -> None:
    """Long before Redis is given up, for which it may wait a minute for each answer."""
    async with (
        scripted(Peer.end) as silent,
        starting(tmp_path, "--workers", workers, redis=f"redis://127.0.0.1:{silent.port}") as one,
    ):
        ending = asyncio.create_task(one.ends())  # reads what it tells: a full pipe would stop it
        await until(lambda: len(silent.peers) == int(workers))
        one.process.send_signal(signal.SIGHUP)
        one.process.send_signal(number)
        code, said = await ending
    assert (code, "Tollgate answers at" in said, "Traceback" in said) == (0, False, False)


async def test_an_embedded_ledger_whose_start_is_given_up_does_not_stay(tmp_path: Path) -> None:
    async def opened() -> None:
        async with server(Ledger("embedded", str(tmp_path))):
            raise AssertionError

    opening = asyncio.create_task(opened())
    await until((tmp_path / "users.lock").exists)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await asyncio.get_running_loop().shutdown_default_executor()
    assert EmbeddedRedis(tmp_path).pid is None


@pytest.mark.parametrize("number", TO_STOP, ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("stage", ["gateway.commands.options", "gateway.commands.workers"])
async def test_all_of_them_told_at_once_as_by_a_terminal(
    tmp_path: Path, stage: str, number: signal.Signals, shared_redis: EmbeddedRedis
) -> None:
    """The parent alone, or while its workers start."""
    async with starting(tmp_path, "--workers", "2", redis=shared_redis.url) as all_:
        await all_.says(stage)
        if stage == "gateway.commands.workers":
            await until(lambda: len(children(all_.process.pid)) == 2)
        os.killpg(all_.process.pid, number)
        assert await all_.ends() == (0, "")


async def test_a_parent_and_its_worker_told_to_reload(
    tmp_path: Path, shared_redis: EmbeddedRedis
) -> None:
    async with starting(tmp_path, "--workers", "2", redis=shared_redis.url) as all_:
        await all_.says("typer")
        all_.process.send_signal(signal.SIGHUP)
        await until(lambda: len(children(all_.process.pid)) == 2)
        os.kill(children(all_.process.pid)[0], signal.SIGHUP)
        for _ in range(2):
            await all_.says("the configuration was reloaded (SIGHUP)")
            all_.told = all_.told.replace("the configuration was reloaded (SIGHUP)", "", 1)
        all_.process.send_signal(signal.SIGTERM)
        assert (await all_.ends())[0] == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [*TO_STOP, signal.SIGHUP], ids=["SIGTERM", "SIGINT", "SIGHUP"])
async def test_told_until_it_has_ended_it_ends_well(
    tmp_path: Path, number: signal.Signals, workers: str, shared_redis: EmbeddedRedis
) -> None:
    async with starting(tmp_path, "--workers", workers, redis=shared_redis.url) as one:
        await ends_well(one.process, number)


@pytest.mark.parametrize("number", TO_STOP, ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("command", ["demo", "simulate"])
async def test_so_do_the_demo_and_the_simulated_providers(
    command: str, number: signal.Signals
) -> None:
    process = await asyncio.create_subprocess_exec(
        *SERVE[:-1], command, "--port", "0",
        start_new_session=True, stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    try:
        if command == "simulate":
            assert process.stderr is not None
            async with asyncio.timeout(60):
                await process.stderr.readuntil(b"Uvicorn running on ")
        await ends_well(process, number, listens=command == "simulate")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def ends_well(process: Process, number: signal.Signals, *, listens: bool = False) -> None:
    """Told to stop, and then this again and again. `listens`: it has said so already."""
    assert process.stdout is not None
    assert process.stderr is not None
    ended = asyncio.create_task(process.wait())
    telling = asyncio.create_task(process.stderr.read())
    if not listens:
        async with asyncio.timeout(60):
            assert await process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    with suppress(ProcessLookupError):
        async with asyncio.timeout(60):
            while not ended.done():
                process.send_signal(number)
                await asyncio.sleep(0.002)
    assert await ended == 0
    assert b"Traceback" not in await telling
