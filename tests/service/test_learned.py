"""A route that begins where it was learned, through the running gateway; and its records."""

import io
import json
from collections.abc import AsyncIterator
from math import log
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from rich.console import Console

from gateway.commands.explain import explain_request, show
from gateway.core.learned import written
from gateway.core.learned.logistic import Fit
from gateway.core.learned.signals import NAMES
from gateway.core.records.line import encode, line_of
from gateway.drivers.ledger.memory_ledger import MemoryLedger
from gateway.replay.lessons import of_usage, read_calls
from tests.service.running import KEY, Running, running
from tests.weights import EVEN, fit

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG: Final = """
redis: {url: memory}
providers:
  sim: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: x}
models:
  small: {deployments: [{provider: sim, upstream: cheap-right}], context: 100000,
    max_output: 1000, price: {input: 0.10, output: 0.40}}
  large: {deployments: [{provider: sim, upstream: smart-right}], context: 100000,
    max_output: 1000, price: {input: 5, output: 20}}
tiers:
  cheap: {models: [small]}
  smart: {models: [large]}
routes:
  auto: {tiers: [cheap, smart], learned: {file: "${WEIGHTS}", floor: 0.8}}
  kept: {tiers: [cheap, smart], checks: [complete], learned: {}}
tenants:
  acme: {keys: [{id: k1, hash: "${HASH}"}], budgets: [{usd: 5, per: day}]}
"""
SHORT, LONG = "2+2", "Please add two and two, and say what that is. " * 5


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    file = tmp_path_factory.mktemp("learned") / "weights.json"
    # Those of scaled values: each is a millionth of what it says. The first tier is for short ones.
    per_word = fit(0.0, -1.5)
    fits = {"cheap": Fit(4.0, per_word.weights), "smart": fit(log(19))}
    file.write_bytes(written(EVEN, fits, {"cheap": 100, "smart": 100}, {}))
    async with running(CONFIG, {"WEIGHTS": str(file)}) as served:
        yield served


def asked(text: str, *, stream: bool = False, model: str = "auto") -> dict[str, Any]:
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}


async def post(service: Running, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    sent = {"authorization": f"Bearer {KEY}", **headers}
    async with httpx.AsyncClient(base_url=service.url, headers=sent, timeout=10) as client:
        return await client.post(path, json=body)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("text", "headers", "model", "reason"),
    [
        (SHORT, {}, "small", "unjudged"),
        (LONG, {}, "large", "unjudged; learned smart"),
        (LONG, {"x-gateway-strategy": "cascade"}, "small", "unjudged"),
    ],
)
async def test_who_answers(
    service: Running, text: str, headers: dict[str, str], model: str, reason: str, *, stream: bool
) -> None:
    await service.begin("acme")
    answer = await post(service, "/v1/chat/completions", asked(text, stream=stream), **headers)
    assert answer.status_code == 200, answer.text
    found = answer.headers
    assert (found["x-gateway-model"], found["x-gateway-attempts"]) == (model, "1")
    assert found["x-gateway-reason"] == reason
    assert answer.text.endswith("data: [DONE]\n\n") is stream
    await service.audit("acme")


async def test_it_is_explained(service: Running) -> None:
    told = (await post(service, "/v1/route/explain", asked(LONG))).json()
    learned = told["learned"]
    assert (learned["first"], learned["floor"], learned["within"]) == ("smart", 0.8, 0.05)
    assert list(learned["signals"]) == list(NAMES)
    cheap, smart = learned["tiers"]
    assert (cheap["tier"], cheap["clears"], smart["clears"]) == ("cheap", False, True)
    assert smart["passes"] == 0.95
    assert [rung["tier"] for rung in told["rungs"]] == ["smart"]
    order = [each["deployment"] for each in told["rungs"][0]["candidates"]]
    assert order == ["sim/large", "sim/small"], "who was left out is asked when the other fails"
    plain = (await post(service, "/v1/route/explain", asked(SHORT, model="kept"))).json()
    assert plain["learned"] is None


async def test_it_is_explained_to_a_person(service: Running) -> None:
    body = json.dumps(asked(LONG)).encode()
    told = explain_request(service.snapshot, body, service.snapshot.tenants["acme"])
    page = Console(file=io.StringIO(), width=200)
    show(told, page)
    assert isinstance(page.file, io.StringIO)
    text = page.file.getvalue()
    assert "begins at smart, as it was learned" in text
    assert "likely to pass, which is too little" in text
    assert "smart: 95% likely to pass; in the end $" in text


@pytest.mark.parametrize("stream", [False, True])
async def test_what_its_records_say(service: Running, tmp_path: Path, *, stream: bool) -> None:
    await service.begin("acme")
    ledger = service.gateway.world.ledger
    assert isinstance(ledger, MemoryLedger)
    before = len(await ledger.records("acme"))
    for text in (SHORT, LONG, SHORT):
        await post(service, "/v1/chat/completions", asked(text, stream=stream, model="kept"))
    await service.audit("acme")
    entries = (await ledger.records("acme"))[before:]
    lines = b"".join(encode(line_of("acme", entry, 0)) for entry in entries)
    (tmp_path / "2026-11-22.w0.jsonl").write_bytes(lines)
    calls, unread = read_calls(tmp_path)
    found = of_usage(calls, None, "records", unread)
    assert [each.passed for each in found.lessons] == [{"cheap": True}] * 3
    assert found.lessons[0].signals == found.lessons[2].signals != found.lessons[1].signals
    assert (unread, dict(found.skipped)) == (0, {})
