"""Request fields that a provider cannot honour, through the whole gateway: told, or refused."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.service.running import KEY, Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
redis: {url: memory}
providers:
  theirs:   {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: x}
  lacking:  {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: x, lacks: [seed, n]}
  strict:   {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: x, lacks: [seed],
    unsupported: refuse}
  claude:   {dialect: anthropic, base_url: "${SIMULATOR_URL}/anthropic", api_key: x}
  claude-strict: {dialect: anthropic, base_url: "${SIMULATOR_URL}/anthropic", api_key: x,
    unsupported: refuse}
models:
  right: {deployments: &d [{provider: theirs, upstream: cheap-right}], context: &c 10000,
    max_output: &m 1000, price: &p {input: 0.10, output: 0.40}}
  lacks: {deployments: [{provider: lacking, upstream: cheap-right}], context: *c, max_output: *m,
    price: *p}
  strict: {deployments: [{provider: strict, upstream: cheap-right}], context: *c, max_output: *m,
    price: *p}
  claude: {deployments: [{provider: claude, upstream: cheap-right}], context: *c, max_output: *m,
    price: *p}
  claude-strict: {deployments: [{provider: claude-strict, upstream: cheap-right}], context: *c,
    max_output: *m, price: *p}
tiers:
  some: {models: [strict, right]}
routes:
  next: {tiers: [some]}
  judged: {tiers: [some], checks: [confidence]}
tenants:
  acme: {keys: [{id: k1, hash: "${HASH}"}], budgets: [{usd: 5, per: day}]}
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service() -> AsyncIterator[Running]:
    async with running(CONFIG, {}) as served:
        yield served


async def ask(service: Running, **fields: Any) -> httpx.Response:
    asked = {"messages": [{"role": "user", "content": "2+2"}], **fields}
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=10) as client:
        return await client.post("/v1/chat/completions", json=asked)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "fields", "dropped"),
    [
        ("right", {"seed": 7, "odd": 1}, None),
        ("lacks", {"temperature": 0.5}, None),
        ("lacks", {"seed": None, "n": 1}, None),
        ("lacks", {"seed": 7}, "seed"),
        ("claude", {"seed": 7, "logit_bias": {"5": 1}, "top_p": 0.5}, "logit_bias, seed"),
        ("claude", {"odd\r\nx-evil: 1": 1, "seed": 7}, "seed, 1 more"),
        ("next", {"seed": 7}, None),  # the first model refuses; the next one has seeds
        ("judged", {"seed": 7}, None),
    ],
)
async def test_what_was_dropped_is_in_a_header(
    service: Running, model: str, fields: dict[str, Any], dropped: str | None, stream: bool
) -> None:
    response = await ask(service, model=model, stream=stream, **fields)
    assert response.status_code == 200, response.text
    assert response.headers.get("x-gateway-dropped") == dropped


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "fields", "param"),
    [
        ("lacks", {"n": 2}, "n"),
        ("strict", {"seed": 7}, "seed"),
        ("claude-strict", {"presence_penalty": 1.5, "seed": 7}, "presence_penalty"),
        ("claude", {"n": 2}, "n"),
    ],
)
async def test_what_is_refused_is_a_400_that_names_it(
    service: Running, model: str, fields: dict[str, Any], param: str, stream: bool
) -> None:
    response = await ask(service, model=model, stream=stream, **fields)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param), error
    assert param in error["message"]
