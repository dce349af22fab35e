"""What became of a request, asked of the running gateway and of the command line."""

import asyncio
import json
from collections.abc import AsyncIterator
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from rich.console import Console
from typer.testing import CliRunner, Result

from gateway.__main__ import app
from gateway.commands.analyze import show
from tests.service.running import HASH, KEY, Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER: Final = "tg-other-0123456789abcdefghijklmnopqrstuvwxyz"
CONFIG = """
redis: {url: "${REDIS_URL}", timeout_ms: 10000, data_dir: "${DATA_DIR}"}
providers:
  sim: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: x}
models:
  down: {deployments: [{provider: sim, upstream: cheap-error500}], context: &c 100000,
    max_output: &m 1000, price: {input: 0.10, output: 0.40}}
  prude: {deployments: [{provider: sim, upstream: cheap-refuse}], context: *c, max_output: *m,
    price: {input: 0.10, output: 0.40}}
  large: {deployments: [{provider: sim, upstream: smart-right}], context: *c, max_output: *m,
    price: {input: 5, output: 20}}
tiers:
  cheap: {models: [down, prude]}
  smart: {models: [large]}
routes:
  auto: {tiers: [cheap, smart], checks: [not_refused]}
  kept: {tiers: [smart], cache: {}}
organisations:
  group: {budgets: [{usd: 50, per: day}]}
tenants:
  acme: {keys: [{id: k1, hash: "${HASH}"}], budgets: [{usd: 5, per: day}], organisation: group}
  other: {keys: [{id: k2, hash: "${OTHER_HASH}"}], budgets: [{usd: 5, per: day}],
    organisation: group}
"""


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {
        "DATA_DIR": str(tmp_path_factory.mktemp("redis")),
        "OTHER_HASH": f"sha256:{sha256(OTHER.encode()).hexdigest()}",
    }


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["memory", "embedded"])
async def service(request: pytest.FixtureRequest, env: dict[str, str]) -> AsyncIterator[Running]:
    async with running(CONFIG, {**env, "REDIS_URL": request.param}) as served:
        yield served


async def ask(service: Running, route: str = "auto", **fields: Any) -> httpx.Response:
    body = {"model": route, "messages": [{"role": "user", "content": "2+2"}], **fields}
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=20) as client:
        answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer


async def analyzed(service: Running, request_id: str, key: str = KEY) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=20) as client:
        return await client.get(f"/v1/route/explain/{request_id}")


@pytest.mark.parametrize("stream", [False, True])
async def test_what_became_of_it(service: Running, stream: bool) -> None:
    answer = await ask(service, stream=stream)
    told = (await analyzed(service, answer.headers["x-request-id"])).json()
    assert (told["tenant"], told["organisation"], told["stream"]) == ("acme", "group", stream)
    calls = [(each["model"], each["purpose"], each["outcome"]) for each in told["attempts"]]
    assert [call[:2] for call in calls] == [
        ("down", "answer"), ("prude", "fallback"), ("large", "escalation"),
    ]  # fmt: skip
    assert (calls[0][2], calls[2][2]) == ("faulty", "ok")
    assert [each["why"] for each in told["attempts"]] == [
        "asked first",
        "down failed: faulty",
        "what prude said was not good enough",
    ]
    assert told["answered_by"]["model"] == answer.headers["x-gateway-model"] == "large"
    asked = [each["calls"] for rung in told["plan"]["rungs"] for each in rung["candidates"]]
    assert asked == [1, 1, 1]
    if "x-gateway-cost-usd" in answer.headers:
        assert told["cost_usd"]["charged"] == float(answer.headers["x-gateway-cost-usd"])


async def test_only_the_tenant_that_asked_is_told(service: Running) -> None:
    """Also where both are of one organisation, whose book is one."""
    mine = (await ask(service)).headers["x-request-id"]
    for request_id, key in ((mine, OTHER), ("req_none", KEY), ("a" * 5_000, KEY)):
        answer = await analyzed(service, request_id, key)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "not_found"
        assert len(answer.text) < 1_000
    assert (await analyzed(service, mine, "tg-nobody")).status_code == 401


async def test_an_answer_that_was_kept_made_no_call(service: Running) -> None:
    first, second = [await ask(service, "kept") for _ in range(2)]
    assert second.headers["x-gateway-cache"] == "hit"
    found = [await analyzed(service, each.headers["x-request-id"]) for each in (first, second)]
    assert [each.status_code for each in found] == [200, 404]
    assert "an answer that was kept makes none" in found[1].json()["error"]["message"]


async def test_a_terminal_of_80_columns_cuts_nothing(service: Running) -> None:
    told = (await analyzed(service, (await ask(service)).headers["x-request-id"])).json()
    out = StringIO()
    show(told, Console(file=out, width=80))
    shown = out.getvalue()
    assert "…" not in shown
    for number, each in enumerate(told["attempts"], 1):
        amounts = [each["held_usd"], each["charged_usd"]]
        figures = [f"{amount:.9f}".rstrip("0").rstrip(".") for amount in amounts]
        row = {str(number), each["model"], each["outcome"], *figures}
        assert any(row <= set(line.split()) for line in shown.splitlines()), (row, shown)


async def test_the_command_line_tells_the_same(
    service: Running, env: dict[str, str], tmp_path: Path
) -> None:
    """Where the ledger is a server; one in memory is known to the gateway alone."""
    request_id = (await ask(service)).headers["x-request-id"]
    url = str(service.snapshot.ledger.url)
    await asyncio.to_thread(_at_the_command_line, request_id, {**env, "REDIS_URL": url}, tmp_path)


def _at_the_command_line(request_id: str, env: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG)
    known = {**env, "SIMULATOR_URL": "http://sim", "HASH": HASH, "COLUMNS": "200"}

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, ["explain", "--analyze", *words, "-c", str(file)], env=known)

    found = run(request_id)
    if env["REDIS_URL"] == "memory":
        assert (found.exit_code, f"GET /v1/route/explain/{request_id}" in found.stderr) == (2, True)
        return
    assert found.exit_code == 0, found.output
    for line in (
        "acme, auto, whole",
        "rung 1, cheap: down at sim: asked, prude at sim: asked",
        "call 2: prude at sim (cheap), fallback: down failed: faulty",
        "answered by large at sim (smart)",
        "charged $",
    ):
        assert line in found.stdout, found.stdout
    assert json.loads(run(request_id, "--json").stdout)["answered_by"]["model"] == "large"
    for wrong in (["req_none"], [request_id, "--tenant", "other"]):
        none = run(*wrong)
        assert (none.exit_code, "no record of a request" in none.stderr) == (1, True)
