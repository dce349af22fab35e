"""A gateway that lives through what dashboards show, and a Prometheus beside it."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from tests.ops.packages import ROOT, installed
from tests.service.processes import loopback
from tests.service.running import KEY, Running

CONFIG: Final = """
redis: {url: embedded, data_dir: '${FOLDER}'}
usage: {sink: 'jsonl:${FOLDER}/usage', every_s: 1}
tags: {app: [chat, rag]}
providers:
  one: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: x}
  two: {dialect: anthropic, base_url: "${SIMULATOR_URL}/anthropic", api_key: x}
models:
  small: {deployments: [{provider: one, upstream: cheap-right}], context: &c 100000,
    max_output: &m 1000, price: &p {input: 0.10, output: 0.40}}
  quick: {deployments: [{provider: two, upstream: cheap-right}], context: *c, max_output: *m,
    price: *p}
  unsure: {deployments: [{provider: one, upstream: cheap-unsure}], context: *c, max_output: *m,
    price: *p}
  failing: {deployments: [{provider: two, upstream: cheap-error500}], context: *c, max_output: *m,
    price: *p}
  large: {deployments: [{provider: one, upstream: smart-right}], context: *c, max_output: *m,
    price: {input: 5, output: 20}}
tiers:
  cheap: {models: [small, quick]}
  doubtful: {models: [unsure]}
  broken: {models: [failing, small]}
  smart: {models: [large]}
routes:
  auto: {tiers: [cheap, smart], checks: [not_refused]}
  climbs: {tiers: [doubtful, smart], checks: [confidence]}
  steps: {tiers: [broken, smart]}
  votes: {tiers: [cheap, smart], strategy: vote,
    guard: {threshold: 0.6, share: 1, probe: 1, cap: 1, least: 12, memory: 16}}
  kept: {tiers: [cheap], cache: {ttl_s: 60}}
tenants:
  acme:
    keys: [{id: k1, hash: "${HASH}"}]
    budgets: [{usd: 5, per: day}, {usd: 0.000001, per: day, mode: soft}, {usd: 9, per: month}]
"""
ASKED: Final[tuple[dict[str, Any], ...]] = (
    {"model": "auto", "extra": {"app": "chat"}},
    {"model": "auto", "stream": True},
    {"model": "small", "stream": True},
    {"model": "climbs"},
    {"model": "steps"},
    {"model": "votes"},
    {"model": "kept"},
    {"model": "failing"},
)
SCRAPE_S: Final = 1
LIVES: Final = 12


@pytest.fixture(scope="session", autouse=True)
def promtool() -> None:
    """It comes with Prometheus. Where neither is, that is a reason to skip; in CI to fail."""
    try:
        installed("prometheus")
    except pytest.skip.Exception as why:
        if os.environ.get("CI") == "true":
            pytest.fail(str(why))
        raise


async def load(service: Running, number: int, text: str = "What is 17*23?") -> None:
    """One of each kind of request."""
    headers = {"authorization": f"Bearer {KEY}"}
    async with loopback(service.url) as client:
        for asked in ASKED:
            words = text if asked["model"] == "kept" else f"{text} {number}"
            body: dict[str, Any] = {"messages": [{"role": "user", "content": words}]}
            body |= {name: value for name, value in asked.items() if name != "extra"}
            if "extra" in asked:
                body["gateway"] = {"tags": asked["extra"]}
            await client.post("/v1/chat/completions", json=body, headers=headers)


class Prometheus:
    """Asked as Grafana asks it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ask(self, query: str) -> list[float]:
        """What each series of an instant query is. Raises AssertionError where it is no query."""
        answer = await self._client.get("/api/v1/query", params={"query": query})
        told = answer.json()
        assert told["status"] == "success", f"{query}: {told.get('error')}"
        return [float(each["value"][1]) for each in told["data"]["result"]]

    async def rules(self) -> list[dict[str, Any]]:
        told = (await self._client.get("/api/v1/rules")).json()
        return [rule for group in told["data"]["groups"] for rule in group["rules"]]


@asynccontextmanager
async def prometheus(target: str, folder: Path) -> AsyncIterator[Prometheus]:
    """The shipped configuration, but that it scrapes `target`, and more often."""
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"}
    config["rule_files"] = [str(ROOT / "deploy/prometheus" / each) for each in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target.removeprefix("http://")]}]
    file = folder / "prometheus.json"
    file.write_text(json.dumps(config))
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        listens = f"127.0.0.1:{bound.getsockname()[1]}"
    process = await asyncio.create_subprocess_exec(
        "prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={listens}", "--log.level=error",
    )  # fmt: skip
    try:
        async with loopback(f"http://{listens}") as client:
            async with asyncio.timeout(60):
                while not await _ready(client):
                    await asyncio.sleep(0.1)
            yield Prometheus(client)
    finally:
        process.terminate()
        await process.wait()


async def _ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/-/ready")).status_code == 200
    except httpx.HTTPError:
        return False
