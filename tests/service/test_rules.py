"""Rules of the configuration through the whole gateway: who answers, and what is charged."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from tests.service.running import KEY, Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
redis: {url: memory}
providers:
  sim: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: x, regions: [on-prem]}
models:
  small: {deployments: [{provider: sim, upstream: cheap-right}], context: &c 100000,
    max_output: &m 1000, price: {input: 0.10, output: 0.40}, capabilities: &a [tools, vision]}
  medium: {deployments: [{provider: sim, upstream: mid-right}], context: *c, max_output: *m,
    price: {input: 1, output: 4}, capabilities: *a}
  large: {deployments: [{provider: sim, upstream: smart-right}], context: *c, max_output: *m,
    price: {input: 5, output: 20}, capabilities: *a}
  unsure: {deployments: [{provider: sim, upstream: cheap-unsure}], context: *c, max_output: *m,
    price: {input: 0.10, output: 0.40}, capabilities: *a}
tiers:
  doubtful: {models: [unsure]}
  cheap: {models: [small]}
  mid: {models: [medium]}
  smart: {models: [large]}
  any: {models: [large, medium, small]}
tags: {use_case: [legal, chat]}
routes:
  auto:
    tiers: [cheap]
    checks: [complete]   # which only a whole answer passes
    rules:
      - {name: home, when: {region: [on-prem]}, tiers: [mid]}
      - {name: quick, when: {max_latency_ms: 5000}, tiers: [mid], checks: []}
      - {name: legal, when: {tags: {use_case: [legal]}}, tiers: [smart]}
      - {name: asian, when: {script: [han]}, tiers: [doubtful, smart], checks: [confidence]}
      - {name: many, when: {tools: {above: 1}}, tiers: [any], order: cheapest}
tenants:
  acme: {keys: [{id: k1, hash: "${HASH}"}], budgets: [{usd: 5, per: day}]}
"""
TOOL: Final = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
OTHER: Final = {"type": "function", "function": {"name": "g", "parameters": {"type": "object"}}}
HAN: Final = "\u8bf7\u603b\u7ed3"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service() -> AsyncIterator[Running]:
    async with running(CONFIG, {}) as served:
        yield served


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("text", "headers", "fields", "rule", "model", "escalations"),
    [
        ("2+2", {}, {}, None, "small", 0),
        ("2+2", {"region": "on-prem"}, {}, "home", "medium", 0),
        ("2+2", {"max-latency-ms": "5000"}, {}, "quick", "medium", 0),
        ("2+2", {"max-latency-ms": "5001"}, {}, None, "small", 0),
        ("2+2", {"tags": "use_case=legal"}, {}, "legal", "large", 0),
        ("2+2", {"tags": "use_case=cooking"}, {}, None, "small", 0),
        ("2+2", {}, {"gateway": {"tags": {"use_case": "legal"}}}, "legal", "large", 0),
        ("2+2", {"tags": "use_case=legal", "region": "on-prem"}, {}, "home", "medium", 0),
        (HAN, {}, {}, "asian", "large", 1),
        ("2+2", {}, {"tools": [TOOL, OTHER]}, "many", "small", 0),
    ],
)
async def test_who_answers(
    service: Running,
    text: str,
    headers: dict[str, str],
    fields: dict[str, Any],
    rule: str | None,
    model: str,
    escalations: int,
    *,
    stream: bool,
) -> None:
    await service.begin("acme")
    asked = {"model": "auto", "stream": stream, "messages": [{"role": "user", "content": text}]}
    sent = {f"x-gateway-{name}": value for name, value in headers.items()}
    sent["authorization"] = f"Bearer {KEY}"
    async with httpx.AsyncClient(base_url=service.url, headers=sent, timeout=10) as client:
        told = await client.post("/v1/route/explain", json=asked | fields)
        answer = await client.post("/v1/chat/completions", json=asked | fields)
    assert told.json()["rule"] == rule
    assert answer.status_code == 200, answer.text
    found = answer.headers
    assert (found["x-gateway-model"], found["x-gateway-escalations"]) == (model, str(escalations))
    if stream:
        assert answer.text.endswith("data: [DONE]\n\n")
        # What is not checked flows, and cannot know its cost when it begins.
        assert ("x-gateway-cost-usd" not in found) is (rule == "quick")
    else:
        assert json.loads(answer.content)["model"] == model
    await service.audit("acme")
