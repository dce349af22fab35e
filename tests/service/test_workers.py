"""`tollgate serve` as processes: several workers on one port, and how it all ends."""

import asyncio
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.core.accounts import Account, Purse
from gateway.core.catalog import Budget
from gateway.core.money import Nanos
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.simulator import Served, serve_simulator
from tests.service.held import held
from tests.service.processes import (
    SERVE,
    ask,
    children,
    lives,
    loopback,
    serving,
    told_to_stop,
    until,
    worker_of,
)

CONFIG = """
redis: {{url: embedded, timeout_ms: 30000, data_dir: '{folder}/ledger'}}
providers:
  sim: {{dialect: openai, base_url: '{simulator}/openai/v1', api_key: x}}
models:
  right: {{deployments: [{{provider: sim, upstream: cheap-right}}], context: 8000, max_output: 500,
          price: {{input: 0.10, output: 0.40}}}}
  slow: {{deployments: [{{provider: sim, upstream: cheap-slow}}], context: 8000, max_output: 500,
         price: {{input: 0.10, output: 0.40}}}}
  stall: {{deployments: [{{provider: sim, upstream: cheap-stall}}], context: 8000, max_output: 500,
          price: {{input: 0.10, output: 0.40}}}}
tenants:
  acme: {{anonymous: true, budgets: [{{usd: 5, per: total}}]}}
"""
BUDGETS = (Budget(Nanos(5_000_000_000), "total"),)
PURSE = Purse("acme", (Account("tenant", "acme", BUDGETS, "acme"),))


@pytest.fixture
async def simulator() -> AsyncIterator[Served]:
    async with serve_simulator() as served:
        yield served


@pytest.fixture
def config(tmp_path: Path, simulator: Served) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG.format(folder=tmp_path, simulator=simulator.base_url))
    return path


def read(file: Path) -> str:
    return file.read_text()


def ledger_pid(config: Path) -> int | None:
    return EmbeddedRedis(config.parent / "ledger").pid


async def books(config: Path) -> tuple[int, int]:
    """What is spent and held, asked once the gateway has gone."""
    with EmbeddedRedis(config.parent / "ledger") as server:
        ledger = RedisLedger(server.url, timeout_s=5)
        (balance,) = await ledger.balances(PURSE)
        await ledger.aclose()
        return balance.spent, balance.held


async def answering(url: str, count: int, besides: set[str]) -> tuple[set[str], int]:
    """Ask until so many workers that are not `besides` have answered; how often that was."""
    seen: set[str] = set()
    asked = 0
    async with asyncio.timeout(30):
        while len(seen - besides) < count:
            seen.add(worker_of(await ask(url, "right")))
            asked += 1
            await asyncio.sleep(0.2)
    return seen - besides, asked


async def answers(url: str) -> str:
    """The worker that answers, once the kernel no longer gives connections to a dead one."""
    async with asyncio.timeout(30):
        while True:
            try:
                return worker_of(await ask(url, "right"))
            except httpx.TransportError:
                await asyncio.sleep(0.02)


async def metric(url: str, name: str) -> float:
    """The sum of a metric's series, as a scrape on a connection of its own tells it."""
    async with loopback(url) as client:
        text = (await client.get("/metrics")).text
    return sum(
        float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
    )


async def in_flight(url: str, number: int) -> None:
    async with asyncio.timeout(30):
        while await metric(url, "gateway_inflight_requests") != number:
            await asyncio.sleep(0.05)


async def at_provider(simulator: Served, number: int) -> None:
    """So many calls are there: a request in flight may not have made its call yet."""
    async with asyncio.timeout(30):
        while simulator.simulator.open != number:
            await asyncio.sleep(0.01)


async def test_workers_share_a_port_a_ledger_and_their_metrics(
    config: Path, simulator: Served
) -> None:
    log = config.parent / "told"
    async with serving(config, "--workers", "2", log=log) as (parent, url):
        both, total = await answering(url, 2, set())
        for _ in range(5):
            assert await metric(url, "gateway_requests_total") == total, "in whichever worker"
        stuck = [asyncio.create_task(ask(url, "stall")) for _ in range(6)]
        await in_flight(url, 6)
        await at_provider(simulator, 6)

        # One is killed outright, and what it was serving with it; the other goes on.
        dead, other = children(parent.pid)
        os.kill(dead, signal.SIGKILL)
        await until("killed", 10, dead)
        survivor = await answers(url)
        assert survivor in both
        _, asked = await answering(url, 1, both)
        assert other in children(parent.pid)
        assert len(children(parent.pid)) == 2
        lost = [task for task in stuck if task.done()]
        assert {type(task.exception()) for task in lost} <= {
            httpx.ReadError,
            httpx.RemoteProtocolError,
        }
        await in_flight(url, len(stuck) - len(lost))

        # What the dead one counted stays counted.
        for task in stuck:
            task.cancel()
        await asyncio.wait(stuck)
        await in_flight(url, 0)
        total += 1 + asked + len(stuck) - len(lost)
        assert await metric(url, "gateway_requests_total") == total

        workers, server = children(parent.pid), ledger_pid(config)
        parent.send_signal(signal.SIGTERM)
        assert await parent.wait() == 0
        await until("told to stop", 0.1, *workers)
        await until("the last one has left", 10, server)
    assert re.search(
        r"^worker [01] was ended by signal 9: another takes its place$", read(log), re.MULTILINE
    )
    await simulator.idle()
    stalled = next(call for call in simulator.bill.calls if call.behaviour == "stall")
    spent, held = await books(config)
    assert spent == simulator.bill.cost - len(lost) * stalled.cost
    assert (held > 0) == bool(lost), "what was lost is charged when its holds expire"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_told_to_stop_it_answers_what_it_has_begun(
    config: Path, simulator: Served, number: signal.Signals
) -> None:
    async with serving(config) as (process, url):
        with held(simulator.simulator) as slow:
            asked = asyncio.create_task(ask(url, "slow"))
            await slow.until(1)
            server = ledger_pid(config)
            process.send_signal(number)
            await told_to_stop(url)
            assert not asked.done()
        assert (await asked).status_code == 200
        assert await process.wait() == 0
        await until("nobody uses it", 10, server)
    assert await books(config) == (simulator.bill.cost, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_workers_that_are_told_beside_their_parent_answer_what_they_have_begun(
    config: Path, simulator: Served, number: signal.Signals
) -> None:
    """As by Ctrl-C in a terminal, or by what tells all processes of a service."""
    async with serving(config, "--workers", "2") as (parent, url):
        with held(simulator.simulator) as slow:
            asked = asyncio.create_task(ask(url, "slow"))
            await slow.until(1)
            workers = children(parent.pid)
            for pid in workers:
                os.kill(pid, number)
            await told_to_stop(url)
            for pid in workers:  # as their parent passes it on
                os.kill(pid, number)
            parent.send_signal(number)
            (idle,) = await first_to_end(workers)
            assert not asked.done()
        assert (await asked).status_code == 200
        assert await parent.wait() == 0
        assert idle in workers
    assert await books(config) == (simulator.bill.cost, 0)


async def first_to_end(pids: list[int]) -> list[int]:
    async with asyncio.timeout(30):
        while not (ended := [pid for pid in pids if not lives(pid)]):
            await asyncio.sleep(0.01)
    return ended


async def test_workers_whose_parent_is_told_again_end_now(config: Path) -> None:
    async with serving(config, "--workers", "2") as (parent, url):
        asked = asyncio.create_task(ask(url, "stall"))
        await in_flight(url, 1)
        parent.send_signal(signal.SIGTERM)
        await told_to_stop(url)
        assert not asked.done(), "told once it waits"
        parent.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert (await asked).status_code == 503
            assert await parent.wait() == 0


@pytest.fixture
def behind_balancer(config: Path) -> Path:
    config.write_text(f"{config.read_text()}\nserver: {{drain_delay_s: 1000}}\n")
    return config


async def test_nobody_waits_for_a_load_balancer_at_a_terminal(behind_balancer: Path) -> None:
    """Nor do workers, which hear of it by their parent."""
    async with serving(behind_balancer, "--workers", "2") as (parent, _):
        parent.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            assert await parent.wait() == 0


async def test_workers_whose_parent_was_killed_stop(config: Path) -> None:
    """Also one that has not begun to serve yet."""
    async with serving(config, "--workers", "2") as (parent, _):
        workers, server = children(parent.pid), ledger_pid(config)
        parent.kill()
        await until("their parent has gone", 20, *workers)
        await until("the last one has left", 10, server)


def spoilt(config: Path, fault: str) -> Path:
    """Where the log would be, which is nowhere."""
    log = config.parent / "none/life.log"
    if fault == "ledger":
        (config.parent / "ledger").touch()
    elif fault == "log":
        config.write_text(f"{config.read_text()}\nlog: {{to: {log}}}\n")
    return log


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("fault", ["port", "ledger", "log"])
async def test_what_cannot_start_says_why_and_ends(config: Path, workers: str, fault: str) -> None:
    # Other workers' port: the kernel would let ours share it, too.
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1] if fault == "port" else 0
        log = spoilt(config, fault)
        process = await asyncio.create_subprocess_exec(
            *SERVE, "--config", str(config), "--workers", workers, "--port", str(port),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(50):
                out, error = await process.communicate()
        finally:
            if process.returncode is None:
                process.terminate()
    assert process.returncode == 1
    assert out == b""
    why = {
        "port": f"cannot listen on 127.0.0.1:{port}: ",
        "ledger": "redis: the embedded",
        "log": f"log.to: cannot write to {log}: No such file or directory",
    }[fault]
    (told,) = error.decode().splitlines()
    assert told.startswith(why)


@pytest.fixture
def in_memory(config: Path) -> Path:
    config.write_text(config.read_text().replace("url: embedded", "url: memory"))
    return config


async def test_workers_do_not_each_spend_a_budget_of_their_own(in_memory: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *SERVE, "--config", str(in_memory), "--workers", "2", "--port", "0",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(50):
        _, error = await process.communicate()
    assert process.returncode == 1
    assert error.decode().startswith("redis.url: memory is one process's own")
