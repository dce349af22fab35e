"""Keys over processes: made by one gateway, known to all, revoked for all; and never told."""

import asyncio
import os
import re
import secrets
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from gateway.commands.key import new_key
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.simulator import Served, serve_simulator
from tests.promises import Reached
from tests.service.processes import SERVE, children, worker_of

pytest_plugins = ("tests.redis_server",)

CONFIG = """
redis: {{url: embedded, data_dir: '{folder}/ledger', timeout_ms: 30000}}
keys: {{pepper: "${{PEPPER}}"}}
{admin}
providers:
  sim: {{dialect: openai, base_url: '{simulator}/openai/v1', api_key: x}}
models:
  right: {{deployments: [{{provider: sim, upstream: cheap-right}}], context: 8000, max_output: 500,
          price: {{input: 0.10, output: 0.40}}}}
tenants:
  acme: {{budgets: [{{usd: 5, per: total}}]}}
"""
PEPPER = "canary-pepper-0123456789"
ASK = {"model": "right", "messages": [{"role": "user", "content": "2+2"}]}


class Gateway:
    """A process, what it said so far, and the admin key that its configuration knows."""

    def __init__(self, process: Process, root: str, log: Path) -> None:
        self.process = process
        self.root = root
        self.log = log
        self.said: list[str] = []

    async def address(self, what: str) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while True:
                for line in self.said:
                    if found := re.match(rf"{what} answers at (http://[^/]+)/", line):
                        return found[1]
                self.said.append((await self.process.stdout.readline()).decode())
                assert self.said[-1], self.log.read_text()

    async def admin(self) -> httpx.AsyncClient:
        return client(await self.address("The admin API"), self.root)

    async def public(self, key: str) -> httpx.AsyncClient:
        return client(await self.address("Tollgate"), key)


def client(url: str, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url,
        headers={"authorization": f"Bearer {key}"},
        timeout=20,
        verify=False,  # noqa: S501 - plain HTTP
    )


@pytest.fixture
async def simulator() -> AsyncIterator[Served]:
    async with serve_simulator() as served:
        yield served


@asynccontextmanager
async def gateway(
    folder: Path, simulator: Served, name: str, admin_port: int | None, *options: str
) -> AsyncIterator[Gateway]:
    """`tollgate serve`, with an admin API or without one; all of a folder share a ledger."""
    root, stanza = new_key("", secrets.token_bytes, pepper=PEPPER, admin=("read", "write"))
    admin = (
        "" if admin_port is None else stanza.replace("admin:\n", f"admin:\n  port: {admin_port}\n")
    )
    config = folder / f"{name}.yaml"
    config.write_text(CONFIG.format(folder=folder, simulator=simulator.base_url, admin=admin))
    log = folder / f"{name}.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *SERVE, "--config", str(config), "--port", "0", *options,
            env={**os.environ, "PEPPER": PEPPER}, stdin=DEVNULL, stdout=PIPE, stderr=stderr,
        )  # fmt: skip
        one = Gateway(process, root, log)
        try:
            yield one
        finally:
            process.send_signal(signal.SIGTERM)
            rest, _ = await process.communicate()
            one.said.append(rest.decode())


async def made(http: httpx.AsyncClient, **body: Any) -> tuple[str, str]:
    """A new key of acme and its id."""
    response = await http.post("/admin/v1/keys", json={"tenant": "acme"} | body)
    assert response.status_code == 201, response.text
    return response.json()["key"], response.json()["id"]


async def refused(http: httpx.AsyncClient) -> None:
    """A key that came in comes in no more. How often a gateway asks for news of keys is held by
    tests/web/test_stored_keys.py, with a clock of its own.
    """
    async with asyncio.timeout(20):
        while (status := (await http.get("/v1/models")).status_code) == 200:
            pass
    assert status == 401


async def test_two_gateways_know_a_key_at_once_and_forget_it_within_a_second(
    tmp_path: Path, simulator: Served, reached: Reached
) -> None:
    async with (
        gateway(tmp_path, simulator, "one", 0) as one,
        gateway(tmp_path, simulator, "two", None) as two,
        await one.admin() as admin,
    ):
        key, key_id = await made(admin)
        async with await one.public(key) as here, await two.public(key) as there:
            for http in (here, there):
                assert (await http.post("/v1/chat/completions", json=ASK)).status_code == 200
            assert (await admin.delete(f"/admin/v1/keys/{key_id}")).status_code == 200
            since = time.monotonic()
            assert (await here.get("/v1/models")).status_code == 401, "here it is gone already"
            await refused(there)
            told = f"{time.monotonic() - since:.2f} s"
            reached("operations", "a revoked key is refused by another gateway after", told, "1 s")
            for path in ("/admin/v1/keys", "/admin/v1/tenants/acme/budgets"):
                assert (await here.get(path)).status_code == 404
                assert (await there.get(path)).status_code == 404


async def test_one_of_several_workers_has_the_admin_api(
    tmp_path: Path, simulator: Served, unused_port: int
) -> None:
    async with gateway(tmp_path, simulator, "one", unused_port, "--workers", "2") as one:
        url = await one.address("Tollgate")
        async with await one.admin() as admin:
            key, _ = await made(admin)
            seen: set[str] = set()
            async with asyncio.timeout(30):
                while len(seen) < 2:  # a connection of its own each time
                    async with client(url, key) as http:
                        seen.add(worker_of(await http.get("/v1/models")))
        for worker in children(one.process.pid):
            os.kill(worker, signal.SIGKILL)
        async with asyncio.timeout(30):
            while True:
                try:
                    async with await one.admin() as admin:
                        listed = await admin.get("/admin/v1/keys")
                        assert len(listed.json()["data"]) == 2, "with the same keys"
                        return
                except httpx.TransportError:
                    await asyncio.sleep(0.05)


async def test_secrets_are_nowhere(tmp_path: Path, simulator: Served) -> None:
    hidden = [PEPPER]
    shown: list[str] = []
    async with gateway(tmp_path, simulator, "one", 0) as one, await one.admin() as admin:
        hidden.append(one.root)
        key, key_id = await made(admin)
        child, child_id = await made(admin, admin=["read"])
        hidden += [key, child]
        async with await one.public(key) as http:
            assert (await http.post("/v1/chat/completions", json=ASK)).status_code == 200
            shown.append((await http.post("/v1/chat/completions", content=b"{")).text)
        rotated = await admin.post(f"/admin/v1/keys/{key_id}/rotate", json={"overlap_s": 0})
        hidden.append(rotated.json()["key"])
        for wrong in (key, f"{child}x", child, f"{key}\xe9"):
            async with await one.public("none") as http:
                headers = [(b"authorization", f"Bearer {wrong}".encode("latin-1"))]
                told = await http.post("/v1/chat/completions", json=ASK, headers=headers)
                assert told.status_code == 401, wrong
                shown.append(told.text)
        for path in ("", f"/{child_id}", f"/{key}"):
            told = await admin.get(f"/admin/v1/keys{path}")
            shown.append(told.text)
        shown.append((await admin.post("/admin/v1/keys", json={"tenant": key})).text)
        async with await one.public("none") as http:
            shown.append((await http.get("/metrics")).text)
    with EmbeddedRedis(tmp_path / "ledger") as server, Redis.from_url(server.url) as stored:
        names = stored.keys("*")
        dump = [name + (stored.dump(name) or b"") for name in names]
        records = stored.hgetall("{tollgate:keys}:records")
        assert len(records) == 2
        assert stored.hlen("{tollgate:keys}:used") >= 2
    files = [path.read_bytes() for path in (tmp_path / "ledger").rglob("*") if path.is_file()]
    places = {
        "answers": "".join(shown).encode(),
        "the log": one.log.read_bytes() + "".join(one.said).encode(),
        "Redis": b"".join(dump) + b"".join(records.values()),
        "its files": b"".join(files),
    }
    assert b"key_" in places["Redis"]
    assert b"key_" in places["its files"], "the right files are looked at"
    for place, found in places.items():
        for secret in hidden:
            random = secret[-40:].encode()
            assert random not in found, f"{place}: a secret that ends in {secret[-4:]}"
