"""Rules through the running service: each row of the shipped decision tree and use-case matrix is
asked for real, of simulated providers in the places of theirs; and what else a rule may look at:
where a tenant is at home, the time of day, what a request has and lacks.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from msgspec import structs

from gateway.app import open_gateway
from gateway.core.snapshot import Snapshot
from gateway.simulator import BASES, serve_simulator
from tests.config.routed import request, rows, shipped
from tests.config.test_decision_tree import ORDER, TREE
from tests.config.test_use_cases import MATRIX
from tests.service.running import KEY, Running, running, served

pytestmark = pytest.mark.asyncio(loop_scope="module")

# How fast this machine reads two megabytes is not what is tried here.
HURRIED: Final = "max_latency_ms=400 tokens=600K"
TREE_ROWS: Final = [row[1:4] for row in rows(TREE + ORDER) if row[1] != HURRIED]
CASE_ROWS: Final = [row[1:4] for row in rows(MATRIX)]


@asynccontextmanager
async def pretending(snapshot: Snapshot) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a configuration whose providers are all simulated."""
    async with serve_simulator() as simulator:
        providers = {
            name: structs.replace(
                provider, base_url=f"{simulator.base_url}{BASES[provider.dialect]}", auth=None
            )
            for name, provider in snapshot.providers.items()
        }
        simulated = structs.replace(snapshot, providers=providers)
        async with (
            open_gateway(simulated) as gateway,
            served(gateway.front) as url,
            httpx.AsyncClient(base_url=url, timeout=20) as client,
        ):
            yield client


def laid_out(folder: Path, route: str) -> Snapshot:
    (folder / "redis.yaml").write_text("redis: {url: memory}\n", "utf-8")
    return shipped(folder, route)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def tree(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    snapshot = laid_out(tmp_path_factory.mktemp("tree"), "decision-tree.yaml")
    async with pretending(snapshot) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def cases(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    snapshot = laid_out(tmp_path_factory.mktemp("cases"), "use-cases.yaml")
    async with pretending(snapshot) as client:
        yield client


async def answers(
    client: httpx.AsyncClient, route: str, asked: str, rule: str, models: str, *, stream: bool
) -> None:
    """The first model of the first rung does, for the reason that the rule says."""
    body = {"model": route, "stream": stream, **request(asked)}
    got = await client.post("/v1/chat/completions", json=body)
    if not models:
        assert got.status_code == 400, got.text
        return
    assert got.status_code == 200, got.text
    headers = got.headers
    first = models.partition(" > ")[0].split(", ")
    assert headers["x-gateway-model"] in first[: 2 if rule in ("real-time", "batch") else 1]
    kept, *because = headers["x-gateway-reason"].split("; ")
    assert because == ([f"rule {rule}"] if rule else [])
    # What has to be quick is not checked: so it flows.
    assert (kept == "unjudged") is (rule == "real-time")
    assert got.text.endswith("data: [DONE]\n\n") is stream


STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@STREAM
@pytest.mark.parametrize(("asked", "rule", "models"), TREE_ROWS)
async def test_the_decision_tree(
    tree: httpx.AsyncClient, asked: str, rule: str, models: str, stream: bool
) -> None:
    await answers(tree, "decision-tree", asked, rule, models, stream=stream)


@STREAM
@pytest.mark.parametrize(("asked", "rule", "models"), CASE_ROWS)
async def test_the_use_cases(
    cases: httpx.AsyncClient, asked: str, rule: str, models: str, stream: bool
) -> None:
    await answers(cases, "use-cases", asked, rule, models, stream=stream)


def hours(begin: timedelta, end: timedelta) -> str:
    now = datetime.now(UTC)
    return f"hours: {{from: '{now + begin:%H:%M}', to: '{now + end:%H:%M}'}}"


HOUR: Final = timedelta(hours=1)
CONFIG: Final = f"""
redis: {{url: memory}}
providers:
  near: {{dialect: openai, base_url: "${{SIMULATOR_URL}}/openai/v1", api_key: x,
    regions: [on-prem]}}
  far: {{dialect: anthropic, base_url: "${{SIMULATOR_URL}}/anthropic", api_key: x, regions: [eu]}}
models:
  ours: {{deployments: [{{provider: near, upstream: cheap-right}}], context: &c 100000,
    max_output: &m 1000, price: &p {{input: 0.10, output: 0.40}},
    capabilities: &a [tools, vision, json_schema]}}
  plain: {{deployments: [{{provider: near, upstream: cheap-right-plain}}, {{provider: far,
    upstream: cheap-right-plain}}], context: *c, max_output: *m, price: *p, capabilities: *a}}
  coder: {{deployments: [{{provider: near, upstream: cheap-right-coder}}], context: *c,
    max_output: *m, price: *p, capabilities: *a}}
tiers:
  home: {{models: [ours]}}
  any: {{models: [plain]}}
  code: {{models: [coder]}}
tags: {{team: [red, blue]}}
routes:
  auto:
    tiers: [any]
    rules:
      - {{name: at-home, when: {{region: [on-prem]}}, tiers: [home]}}
      - {{name: code, when: {{has: [code], lacks: [tools, images]}}, tiers: [code]}}
      - {{name: short-json, when: {{has: [json_schema], output_tokens: {{at_most: 50}}}},
          tiers: [code]}}
      - {{name: red, when: {{tags: {{team: [red]}}, max_cost_usd: 0.5}}, tiers: [code]}}
      - {{name: long, when: {{prompt_tokens: {{above: 3000}}}}, tiers: [code]}}
      - {{name: tamil, when: {{script: [tamil]}}, tiers: [code]}}
  night:
    tiers: [any]
    rules:
      - {{name: later, when: {{{hours(2 * HOUR, 3 * HOUR)}}}, tiers: [code]}}
      - {{name: now, when: {{{hours(-HOUR, HOUR)}}}, tiers: [home]}}
tenants:
  acme:
    keys:
      - {{id: k1, hash: "${{HASH}}"}}
      - {{id: local, hash: "${{LOCAL}}", regions: [on-prem]}}
    budgets: [{{usd: 5, per: day}}]
  local: {{keys: [{{id: k1, hash: "${{HOME}}"}}], regions: [on-prem]}}
  wide: {{keys: [{{id: k1, hash: "${{WIDE}}"}}], regions: [on-prem, eu]}}
"""
KEYS: Final = {name: f"tg-{name.lower()}-{'0123456789' * 4}" for name in ("LOCAL", "HOME", "WIDE")}
CODE: Final = "Mend this: ```print(1```"
TOOLS: Final = [{"type": "function", "function": {"name": "f"}}]
SCHEMA: Final = {
    "type": "json_schema",
    "json_schema": {"name": "n", "schema": {"type": "object"}},
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service() -> AsyncIterator[Running]:
    hashes = {name: f"sha256:{sha256(key.encode()).hexdigest()}" for name, key in KEYS.items()}
    async with running(CONFIG, hashes) as started:
        yield started


@STREAM
@pytest.mark.parametrize(
    ("text", "headers", "fields", "rule"),
    [
        ("2+2", {}, {}, None),
        ("2+2", {"region": "on-prem"}, {}, "at-home"),
        ("2+2", {"region": "eu"}, {}, None),
        ("2+2", {"key": "HOME"}, {}, "at-home"),
        ("2+2", {"key": "LOCAL"}, {}, "at-home"),
        ("2+2", {"key": "WIDE"}, {}, None),
        ("2+2", {"key": "WIDE", "region": "on-prem"}, {}, "at-home"),
        (CODE, {}, {}, "code"),
        (CODE, {"key": "HOME"}, {}, "at-home"),
        (CODE, {}, {"tools": TOOLS}, None),
        ("2+2 as JSON", {}, {"response_format": SCHEMA, "max_tokens": 50}, "short-json"),
        ("2+2 as JSON", {}, {"response_format": SCHEMA, "max_tokens": 51}, None),
        ("2+2 as JSON", {}, {"response_format": SCHEMA}, None),
        ("2+2", {"tags": "team=red", "max-cost-usd": "0.5"}, {}, "red"),
        ("2+2", {"tags": "team=red", "max-cost-usd": "0.51"}, {}, None),
        ("2+2", {"tags": "team=blue", "max-cost-usd": "0.5"}, {}, None),
        ("2+2", {"tags": "team=red"}, {"gateway": {"max_cost_usd": 0.5}}, "red"),
        ("so " * 4_000, {}, {}, "long"),
        ("\u0b89\u0b99\u0bcd\u0b95\u0bb3\u0bcd", {}, {}, "tamil"),
        ("2+2", {}, {"model": "night"}, "now"),
    ],
)
async def test_what_a_rule_may_look_at(
    service: Running,
    text: str,
    headers: dict[str, str],
    fields: dict[str, Any],
    rule: str | None,
    stream: bool,
) -> None:
    key = KEYS[headers["key"]] if "key" in headers else KEY
    sent = {f"x-gateway-{name}": value for name, value in headers.items() if name != "key"}
    body = {"model": "auto", "stream": stream, "messages": [{"role": "user", "content": text}]}
    async with httpx.AsyncClient(
        base_url=service.url, headers={**sent, "authorization": f"Bearer {key}"}, timeout=10
    ) as client:
        told = await client.post("/v1/route/explain", json=body | fields)
        got = await client.post("/v1/chat/completions", json=body | fields)
    assert told.json()["rule"] == rule
    assert got.status_code == 200, got.text
    model = "plain" if rule is None else "ours" if rule in ("at-home", "now") else "coder"
    assert got.headers["x-gateway-model"] == model
    reason = got.headers["x-gateway-reason"]
    assert reason == (f"unjudged; rule {rule}" if rule else "unjudged")
