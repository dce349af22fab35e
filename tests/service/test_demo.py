"""The demo on each wire format: every route answers, and only that format was spoken."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx
import pytest
from openai.types.chat import ChatCompletionMessageParam

from gateway.commands.demo import dialect_env
from gateway.core.snapshot import DIALECTS
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.simulator import BASES
from tests.service.running import Running, running

pytest_plugins = ("tests.redis_server",)

ROOT: Final = Path(__file__).resolve().parents[2]
DEMO: Final = (ROOT / "config/demo.yaml").read_text("utf-8")
ROUTES: Final = {
    "auto": ("small", ["right"]),
    "escalate": ("medium", ["unsure", "right"]),
    "fallback": ("small", ["right"]),
    "smart": ("large", ["right"]),
    "sim-nousage": ("sim-nousage", ["nousage"]),
}
"""By route: the model that answers, and the behaviours that are billed on the way."""


def test_each_is_a_dialect_of_ours() -> None:
    assert set(BASES) == set(DIALECTS)


async def answered(service: Running, route: str, *, stream: bool) -> tuple[str, str]:
    """The model that answered, and its text."""
    ask: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is 17*23?"}]
    async with service.client() as client:
        if not stream:
            answer = await client.chat.completions.create(model=route, messages=ask)
            return answer.model, answer.choices[0].message.content or ""
        flow = await client.chat.completions.create(model=route, messages=ask, stream=True)
        chunks = [chunk async for chunk in flow]
    texts = [part.delta.content or "" for each in chunks for part in each.choices]
    return chunks[0].model, "".join(texts)


@pytest.mark.parametrize("dialect", sorted(BASES))
async def test_every_route_answers_in_each_dialect(
    shared_redis: EmbeddedRedis, dialect: str
) -> None:
    text = DEMO.replace("  demo:   #", f"  demo-{dialect}:   #")  # a tenant no other test uses
    env = {"TOLLGATE_REDIS_URL": shared_redis.url, **dialect_env(dialect)}
    async with running(text, env) as service:
        for route, (model, billed) in ROUTES.items():
            for stream in (False, True):
                await service.begin(f"demo-{dialect}")
                who, answer = await answered(service, route, stream=stream)
                assert (who, "391" in answer) == (model, True), (route, stream, answer)
                await service.audit(f"demo-{dialect}")
                calls = service.simulator.bill.calls
                assert [(call.format, call.behaviour) for call in calls] == [
                    (dialect, behaviour) for behaviour in billed
                ]


@pytest.mark.parametrize("dialect", ["bedrock", "anthropic-vertex"])
def test_the_command_serves_the_dialect(dialect: str) -> None:
    command = [sys.executable, "-m", "gateway", "demo", "--port", "0", "--dialect", dialect]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().split()[-1]
            body = {"model": "auto", "messages": [{"role": "user", "content": "What is 17*23?"}]}
            whole, streamed = (
                httpx.post(f"{url}/chat/completions", json={**body, "stream": stream}, timeout=20)
                for stream in (False, True)
            )
        finally:
            process.terminate()
    for got in (whole, streamed):
        assert got.headers["x-gateway-provider"] == f"sim-{dialect}"
    assert "391" in whole.json()["choices"][0]["message"]["content"]
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert "391" in streamed.text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["DIALECT=gemini"], "tollgate demo --dialect gemini"),
        ([], "tollgate demo"),
    ],
)
def test_make_passes_the_dialect(given: list[str], said: str) -> None:
    quiet = ["--dry-run", "--no-print-directory", "--assume-old=.venv/.ready"]
    command = ["make", *quiet, "demo", *given]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert told.strip().endswith(said)


def test_a_dialect_that_nobody_speaks() -> None:
    command = [sys.executable, "-m", "gateway", "demo", "--dialect", "cobol"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    spoken = ", ".join(DIALECTS)
    assert told.stderr == f"no simulated provider speaks cobol; they speak {spoken}\n"
    assert told.returncode == 2
