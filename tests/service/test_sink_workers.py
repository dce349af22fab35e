"""The sink of two worker processes: no record is written twice, and none gets lost."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from gateway.core.records.line import Reading
from gateway.drivers.usage.jsonl_store import JsonlStore
from gateway.simulator import serve_simulator
from tests.drivers.redis_fleet import cluster
from tests.service.processes import loopback, serving, worker_of

CONFIG: Final = """
redis: {{url: '{redis}', data_dir: '{folder}/ledger', timeout_ms: 5000}}
usage: {{sink: 'jsonl:{folder}/usage', every_s: 0.1}}
providers:
  sim: {{dialect: openai, base_url: '{simulator}/openai/v1', api_key: x}}
models:
  right: {{deployments: [{{provider: sim, upstream: cheap-right}}], context: 8000, max_output: 500,
          price: {{input: 0.10, output: 0.40}}}}
tenants:
"""
TENANT: Final = (
    "  {name}: {{keys: [{{id: k, hash: 'sha256:{hash}'}}], budgets: [{{usd: 5, per: total}}]}}\n"
)
HOMES, ASKED, WORKERS = 6, 120, 2


def secret(home: int) -> str:
    return f"tg-sink-{home}-0123456789abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(params=["embedded", "cluster"])
async def redis(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        if request.param == "embedded":
            yield "embedded"
        else:
            nodes = await stack.enter_async_context(cluster(tmp_path / "nodes", 2))
            yield f"redis+cluster://127.0.0.1:{nodes[0].port}"


async def test_two_workers_write_each_record_once(redis: str, tmp_path: Path) -> None:
    async with serve_simulator() as simulator:
        path = tmp_path / "gateway.yaml"
        known = {"redis": redis, "folder": tmp_path, "simulator": simulator.base_url}
        tenants = [
            TENANT.format(name=f"t{home}", hash=sha256(secret(home).encode()).hexdigest())
            for home in range(HOMES)
        ]
        path.write_text(CONFIG.format(**known) + "".join(tenants))
        workers: set[str] = set()
        asked: Counter[str] = Counter()
        async with serving(path, "--workers", str(WORKERS)) as (parent, url):

            async def ask(number: int) -> None:
                home = number % HOMES
                async with loopback(url) as client:  # another connection, perhaps another worker
                    answer = await client.post(
                        "/v1/chat/completions",
                        json={"model": "right", "messages": [{"role": "user", "content": "Hi"}]},
                        headers={"authorization": f"Bearer {secret(home)}"},
                    )
                workers.add(worker_of(answer))
                asked[f"t{home}"] += 1

            number = 0
            async with asyncio.timeout(60):
                while number < ASKED or len(workers) < WORKERS:
                    await asyncio.gather(*(ask(number + each) for each in range(12)))
                    number += 12
            parent.send_signal(signal.SIGTERM)
            assert await parent.wait() == 0
        await simulator.idle()
        store = JsonlStore(tmp_path / "usage", "reader")
        lines = [line async for some in store.read(Reading()) for line in some]
        await store.aclose()
        bill = simulator.bill
    assert len({line.attempt for line in lines}) == len(lines), "none twice"
    assert Counter(line.tenant for line in lines) == asked, "and none lost"
    assert sum(line.ledger.charged.nanos for line in lines if line.ledger) == bill.cost
