"""A provider that nobody here has heard of, from one stanza of YAML; and a model on its way out."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletionMessageParam

from tests.service.running import KEY, Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

BEFORE: Final = """
redis: {url: memory}
models:
  new: {deployments: [{provider: newcomer, upstream: cheap-right}], context: 10000,
    max_output: 1000, price: &p {input: 0.10, output: 0.40}}
  old: {deployments: [{provider: newcomer, upstream: cheap-right}], context: 10000,
    max_output: 1000, price: *p, deprecated: {since: 2026-01-31, use_instead: new}}
  # Its price is another at each of its two hosts, the first of which always fails.
  dear: {deployments: [{provider: newcomer, upstream: cheap-error500},
    {provider: second, upstream: smart-right, price: {input: 5, output: 20}}], context: 10000,
    max_output: 1000, price: *p}
  elsewhere: {deployments: [{provider: absent}], context: 10000, price: free}
tenants:
  acme: {keys: [{id: k1, hash: "${HASH}"}], budgets: [{usd: 5, per: day}]}
providers:
  second: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: x}
  absent: {dialect: openai, base_url: "http://${NOWHERE}", optional: true}
"""
STANZA: Final = """\
  newcomer: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: "${NEW_KEY}"}
"""
ASKED: Final[list[ChatCompletionMessageParam]] = [{"role": "user", "content": "What is 17*23?"}]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service() -> AsyncIterator[Running]:
    async with running(BEFORE + STANZA, {"NEW_KEY": "sk-of-the-newcomer"}) as served:
        yield served


async def test_it_is_asked_and_paid_for(service: Running) -> None:
    await service.begin("acme")
    async with service.client() as client:
        raw = await client.chat.completions.with_raw_response.create(model="new", messages=ASKED)
        answer = raw.parse()
        assert answer.choices[0].message.content == "17*23 = 391."
        assert raw.headers["x-gateway-provider"] == "newcomer"
        assert "x-gateway-deprecated" not in raw.headers
        stream = await client.chat.completions.create(
            model="newcomer/new",
            messages=ASKED,
            stream=True,
        )
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
    assert "".join(pieces) == "17*23 = 391."
    await service.audit("acme")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_on_its_way_out_says_what_to_use(service: Running, stream: bool) -> None:
    async with service.client() as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="old",
            messages=ASKED,
            stream=stream,
        )
    assert raw.headers["x-gateway-deprecated"] == "use new"


async def test_a_host_is_paid_its_own_price(service: Running) -> None:
    await service.begin("acme")
    async with service.client() as client:
        raw = await client.chat.completions.with_raw_response.create(model="dear", messages=ASKED)
    assert raw.headers["x-gateway-provider"] == "second"
    assert float(raw.headers["x-gateway-cost-usd"]) > 0
    await service.audit("acme")


async def test_a_model_that_is_left_out_is_not_there(service: Running) -> None:
    async with service.client(KEY) as client:
        listed = {model.id async for model in client.models.list()}
    assert listed == {"new", "old", "dear"}
