"""`tollgate serve` reloads by SIGHUP, by a change of its file, and by its admin, with all workers;
and it ends as it is told to.
"""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.core.accounts import Account, Purse
from gateway.core.catalog import Budget
from gateway.core.money import Nanos
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.simulator import Served, serve_simulator
from tests.service.processes import loopback, serving, told_to_stop, worker_of

ADMIN = "tg-admin-0123456789abcdefghijklmnopqrstuvwxyz0123456"
CONFIG = """
redis: {{url: embedded, timeout_ms: 5000, data_dir: '{folder}/ledger'}}
admin: {{port: 0, keys: [{{id: root, hash: '{admin}', scopes: [write]}}]}}
log: {{to: '{folder}/lives'}}
server: {{watch: false, drain_delay_s: 0, drain_timeout_s: 30}}
providers:
  sim: {{dialect: openai, base_url: '{simulator}/openai/v1', api_key: "${{SIM_KEY:-x}}"}}
models:
  right: {{deployments: [{{provider: sim, upstream: cheap-right}}], context: &c 8000,
    max_output: &m 500, price: &p {{input: 0.10, output: 0.40}}}}
  slow: {{deployments: [{{provider: sim, upstream: cheap-slow}}], context: *c, max_output: *m,
    price: *p}}
  stall: {{deployments: [{{provider: sim, upstream: cheap-stall}}], context: *c, max_output: *m,
    price: *p}}
  mid: {{deployments: [{{provider: sim, upstream: cheap-stallmid}}], context: *c, max_output: *m,
    price: *p}}
tenants:
  acme: {{anonymous: true, budgets: [{{usd: 5, per: total}}]}}
"""
BUDGETS = (Budget(Nanos(5_000_000_000), "total"),)
PURSE = Purse("acme", (Account("tenant", "acme", BUDGETS, "acme"),))
HASH = "gateway_config_hash"
ASKED = {"model": "right", "messages": [{"role": "user", "content": "What is 17*23?"}]}


@pytest.fixture
async def simulator() -> AsyncIterator[Served]:
    async with serve_simulator() as served:
        yield served


@pytest.fixture
def config(tmp_path: Path, simulator: Served) -> Path:
    path = tmp_path / "gateway.yaml"
    admin = f"sha256:{sha256(ADMIN.encode()).hexdigest()}"
    path.write_text(CONFIG.format(folder=tmp_path, simulator=simulator.base_url, admin=admin))
    return path


def change(config: Path, was: str, now: str) -> int:
    """Write the file anew, as editors do; what its hash is then."""
    text = config.read_text()
    assert was in text
    beside = config.with_suffix(".new")
    beside.write_text(text.replace(was, now))
    beside.replace(config)
    return int(sha256(config.read_bytes()).hexdigest()[:12], 16)


async def cost(client: httpx.AsyncClient, model: str = "right") -> float:
    answer = await client.post("/v1/chat/completions", json={**ASKED, "model": model})
    assert answer.status_code == 200, answer.text
    return float(answer.headers["x-gateway-cost-usd"])


async def cost_at_each(url: str, workers: int) -> float:
    """Once so many have answered: one that starts later would begin with what is changed then."""
    seen: dict[str, float] = {}
    async with asyncio.timeout(60):
        while len(seen) < workers:
            async with loopback(url) as client:  # a connection is a worker's
                answer = await client.post("/v1/chat/completions", json=ASKED)
            seen[worker_of(answer)] = float(answer.headers["x-gateway-cost-usd"])
    (found,) = {*seen.values()}
    return found


async def metric(url: str, name: str) -> float:
    async with loopback(url) as client:
        text = (await client.get("/metrics")).text
    return sum(float(v) for v in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


async def becomes(url: str, name: str, value: float, seconds: float = 20) -> None:
    found = None
    try:
        async with asyncio.timeout(seconds):
            while (found := await metric(url, name)) != value:
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{name} is {found}, not {value}") from None


async def test_sighup_and_the_file_and_what_is_wrong_with_it(config: Path) -> None:
    async with serving(config) as (process, url), loopback(url) as client:
        was = await cost(client)
        new = change(config, "input: 0.10, output: 0.40", "input: 0.20, output: 0.80")
        process.send_signal(signal.SIGHUP)
        await becomes(url, HASH, new)
        assert await cost(client) == pytest.approx(2 * was)

        change(config, "tenants:", "tenants: [")
        process.send_signal(signal.SIGHUP)
        await becomes(url, "gateway_config_reload_failed", 1)
        assert await cost(client) == pytest.approx(2 * was)

        watched = change(config, "tenants: [", "tenants:")
        change(config, "watch: false", "watch: true")
        process.send_signal(signal.SIGHUP)
        await becomes(url, "gateway_config_reload_failed", 0)
        assert await metric(url, HASH) != watched
        new = change(config, "input: 0.20, output: 0.80", "input: 0.30, output: 1.20")
        await becomes(url, HASH, new)  # by itself
        assert await cost(client) == pytest.approx(3 * was)


@pytest.mark.parametrize("by", ["SIGHUP", "file", "admin"])
async def test_every_worker_takes_it(config: Path, by: str) -> None:
    if by == "file":
        change(config, "watch: false", "watch: true")
    log = config.parent / "log"
    async with serving(config, "--workers", "2", log=log) as (parent, url):
        was = await cost_at_each(url, 2)
        await becomes(url, "gateway_config_reload_failed", 0)
        new = change(config, "input: 0.10, output: 0.40", "input: 0.20, output: 0.80")
        if by == "SIGHUP":
            parent.send_signal(signal.SIGHUP)
        elif by == "admin":
            assert parent.stdout is not None
            told = b""
            while b"admin API" not in told:
                told = await parent.stdout.readline()
            found = re.search(rb"http://\S+?(?=/admin)", told)
            assert found
            async with loopback(found[0].decode()) as admin:
                headers = {"authorization": f"Bearer {ADMIN}"}
                answer = await admin.post("/admin/v1/reload", headers=headers)
            assert int(answer.json()["hash"], 16) == new, answer.text
        async with asyncio.timeout(20):
            while log.read_text().count("models.right changed") < 2:
                await asyncio.sleep(0.05)
        costs = set()
        for _ in range(10):
            async with loopback(url) as client:  # a connection is a worker's
                costs.add(await cost(client))
        assert {round(each / was, 6) for each in costs} == {2.0}
        assert ADMIN not in log.read_text()


async def test_every_worker_hears_that_nothing_is_wrong_any_more(config: Path) -> None:
    """The one that looks finds what it serves: the others were refused something else."""
    change(config, "watch: false", "watch: true")
    log = config.parent / "log"
    async with serving(config, "--workers", "2", log=log) as (parent, url):
        await cost_at_each(url, 2)
        change(config, "tenants:", "tenants: [")
        parent.send_signal(signal.SIGHUP)
        async with asyncio.timeout(20):  # two by the signal, one by its look
            while log.read_text().count("was not reloaded") < 3:
                await asyncio.sleep(0.05)
        await becomes(url, "gateway_config_reload_failed", 1)
        change(config, "tenants: [", "tenants:")  # as it was
        await becomes(url, "gateway_config_reload_failed", 0)


async def test_a_worker_that_is_only_starting_is_not_ended_by_it(config: Path) -> None:
    async with serving(config, "--workers", "2") as (parent, url):
        for _ in range(20):
            parent.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.02)
        async with loopback(url) as client:
            await cost(client)
        parent.send_signal(signal.SIGTERM)
        assert await parent.wait() == 0


async def test_it_is_not_ready_but_serves_until_the_load_went_elsewhere(config: Path) -> None:
    change(config, "drain_delay_s: 0", "drain_delay_s: 4")
    async with serving(config) as (process, url), loopback(url) as client:
        assert (await client.get("/readyz")).status_code == 200
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            while (ready := await client.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.01)
        assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
        assert (await client.get("/livez")).status_code == 200
        async with loopback(url) as late:
            assert await cost(late) > 0
        assert await cost(client, "slow") > 0
        assert await process.wait() == 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("GET /livez", {}),
        ("POST /v1/chat/completions", ASKED),
        ("POST /v1/chat/completions", {**ASKED, "stream": True}),
    ],
    ids=["another path", "whole", "stream"],
)
async def test_who_is_served_while_it_drains_is_told_to_connect_anew(
    config: Path, path: str, body: dict[str, Any]
) -> None:
    """On a connection of before, and on one of then: the next may be to another process."""
    change(config, "drain_delay_s: 0", "drain_delay_s: 1000")
    text = json.dumps(body)
    asks = f"{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()
    async with serving(config) as (process, url), asyncio.timeout(30):
        host, port = url.removeprefix("http://").rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(asks)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" not in head
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
        await (reader.readexactly(length) if length else reader.readuntil(b"\r\n0\r\n\r\n"))
        process.send_signal(signal.SIGTERM)
        async with loopback(url) as client:
            while (await client.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.01)
        late_reader, late_writer = await asyncio.open_connection(host, int(port))
        for each_reader, each_writer in ((reader, writer), (late_reader, late_writer)):
            each_writer.write(asks)
            head, _, _ = (await each_reader.read()).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert head.count(b"connection: close") == 1
            each_writer.close()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


@pytest.mark.parametrize("path", ["GET /livez", "POST /v1/chat/completions"])
async def test_how_long_a_connection_is_kept_is_another_after_a_reload(
    config: Path, path: str
) -> None:
    body = json.dumps(ASKED)
    async with serving(config) as (process, url):
        host, port = url.removeprefix("http://").rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        change(config, "watch: false", "watch: false, keep_alive_s: 0.1")
        process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(30):  # it would be 75 seconds
            await reader.read()
        writer.close()


@pytest.mark.parametrize("again", [False, True], ids=["late", "told again"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_what_is_left_is_told_and_settled(
    config: Path, simulator: Served, stream: bool, again: bool
) -> None:
    if not again:
        change(config, "drain_timeout_s: 30", "drain_timeout_s: 0.3")
    async with serving(config) as (process, url):
        asked = asyncio.create_task(left(url, stream=stream))
        await becomes(url, "gateway_inflight_requests", 1)
        if stream:
            async with asyncio.timeout(10):
                while not LEFT:
                    await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        if again:
            await told_to_stop(url)
            assert not asked.done(), "told once it waits"
            process.send_signal(signal.SIGTERM)
        status, text = await asked
        async with asyncio.timeout(10):
            assert await process.wait() == 0
    assert '"code":"shutting_down"' in text.replace(" ", "")
    assert "[DONE]" not in text
    assert status == (200 if stream else 503)
    (line,) = (config.parent / "lives").read_bytes().splitlines()
    life = json.loads(line)
    told = (life["outcome"], life["status"], life["reason"])
    assert told == ("denied", 503, "shutting_down"), "no client went away"
    with EmbeddedRedis(config.parent / "ledger") as server:
        ledger = RedisLedger(server.url, timeout_s=5)
        (balance,) = await ledger.balances(PURSE)
        await ledger.aclose()
    assert balance.held == 0
    assert balance.spent > 0, "what was begun is paid"


LEFT: list[bytes] = []


async def left(url: str, *, stream: bool) -> tuple[int, str]:
    """Ask what is never answered whole: the status, and all that came."""
    LEFT.clear()
    body: dict[str, Any] = {
        "model": "mid" if stream else "stall",
        "stream": stream,
        "messages": [{"role": "user", "content": "What is 17*23?"}],
    }
    async with (
        loopback(url) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        async for piece in answer.aiter_raw():
            LEFT.append(piece)  # noqa: PERF401 - it is looked at meanwhile
        return answer.status_code, b"".join(LEFT).decode()
