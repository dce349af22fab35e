"""The embedded ledger is killed under the running service: it comes back, with all it had."""

import asyncio
import logging
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import openai
import pytest

from gateway.core.errors import LedgerDown
from gateway.core.events import Settled
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.simulator import serve_simulator
from tests.service.processes import ask, serving, workers_serving
from tests.service.running import Running, running

CONFIG: Final = """
redis: {{url: embedded, data_dir: '{folder}', timeout_ms: 5000}}
providers:
  sim: {{dialect: openai, base_url: '${{SIMULATOR_URL}}/openai/v1', api_key: x}}
models:
  right: {{deployments: [{{provider: sim, upstream: cheap-right}}], context: 8000, max_output: 500,
          price: {{input: 0.10, output: 0.40}}}}
tenants:
  acme: {{{key}, budgets: [{{usd: 5, per: total}}]{more}}}
"""
KEYED: Final = 'keys: [{id: k1, hash: "${HASH}"}]'


def kill(folder: Path) -> int:
    """Its process id, as it was."""
    pid = EmbeddedRedis(folder).pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    return pid


async def says(client: openai.AsyncOpenAI, *, stream: bool) -> bool:
    """Whether it is answered; a ledger that is away is a 503."""
    say: Any = [{"role": "user", "content": "What is 17*23?"}]
    try:
        if stream:
            async for _ in await client.chat.completions.create(
                model="right", messages=say, stream=True
            ):
                pass
        else:
            await client.chat.completions.create(model="right", messages=say)
    except openai.InternalServerError as error:
        if error.code != "ledger_unavailable":
            raise
        return False
    return True


async def balanced(service: Running) -> bool:
    """Whether the ledger answers, with what was settled."""
    settled = sum(event.record.cost for event in service.events if isinstance(event, Settled))
    with suppress(LedgerDown):
        return await service.spent("acme") - service.before == settled
    return False


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("local", [False, True], ids=["deny", "allow_local"])
async def test_it_comes_back_and_the_books_balance(
    tmp_path: Path, stream: bool, local: bool, caplog: pytest.LogCaptureFixture
) -> None:
    more = ", on_ledger_unavailable: allow_local" if local else ""
    text = CONFIG.format(folder=tmp_path / "ledger", key=KEYED, more=more)
    async with running(text, {}) as service, service.client() as client:
        await service.begin("acme")
        for _ in range(2):
            with caplog.at_level(logging.WARNING, "gateway"):
                assert await says(client, stream=stream)
                old = kill(tmp_path / "ledger")
                answered = await says(client, stream=stream)
                assert answered or not local, "it goes on within its share"
                async with asyncio.timeout(20):
                    while not any("it is back" in text for text in caplog.messages):
                        await asyncio.sleep(0.01)
                    while not (await says(client, stream=stream) and await balanced(service)):
                        await asyncio.sleep(0.05)
            assert EmbeddedRedis(tmp_path / "ledger").pid != old
            caplog.clear()
        await service.audit("acme")


async def test_of_several_workers_one_brings_it_back(tmp_path: Path) -> None:
    path, log = tmp_path / "gateway.yaml", tmp_path / "log"
    path.write_text(CONFIG.format(folder=tmp_path / "ledger", key="anonymous: true", more=""))
    async with serve_simulator() as simulator:
        env = {"SIMULATOR_URL": simulator.base_url}
        async with serving(path, "--workers", "2", env=env, log=log) as (_, url):
            await workers_serving(url, 2)  # who is starting would bring it back unsaid
            old = kill(tmp_path / "ledger")
            async with asyncio.timeout(20):
                while "it is back" not in log.read_text():
                    await asyncio.sleep(0.05)
                while (await ask(url, "right")).status_code != 200:
                    await asyncio.sleep(0.05)
    (told,) = [line for line in log.read_text().splitlines() if "it is back" in line]
    assert told.startswith("the embedded ledger had died; it is back with its log, as process ")
    assert not told.endswith(f" {old}")
