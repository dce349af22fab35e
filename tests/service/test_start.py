"""A process that starts: how long until it is ready, what it opens, and what it takes while nobody
asks.
"""

import re
import time
from pathlib import Path
from typing import Final

from tests.drivers.scripted import Peer, scripted, until
from tests.promises import Reached
from tests.service.processes import loopback, serving

CONFIG: Final = """
redis: {url: embedded, data_dir: '%s', timeout_ms: 5000}
server: {drain_delay_s: 0}
providers: {p: {dialect: openai, base_url: 'http://127.0.0.1:%d/v1', api_key: x}}
models:
  m: {deployments: [{provider: p}], context: 1000, max_output: 100, price: {input: 1, output: 1}}
tenants: {acme: {anonymous: true, budgets: [{usd: 1, per: day}]}}
"""
MOST_S: Final = 1.5
MOST_MB: Final = 120
STARTS: Final = 5


def cpu_s(pid: int) -> float:
    """Of the process and of those that it waited for, in steps of a hundredth."""
    told = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(map(int, told[11:15])) / 100


def resident_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024 / 1e6


async def test_it_is_ready_soon_and_small(tmp_path: Path, reached: Reached) -> None:
    """The least of some starts, as what else runs is in the others. What is held is CPU time, which
    is most of it on an idle machine, and half as much again where others use the same cores.
    """
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG % (tmp_path / "ledger", 9))
    passed: list[float] = []
    took: list[float] = []
    sizes: list[float] = []
    while len(took) < STARTS and not (took and min(passed) <= MOST_S):
        began = time.monotonic()
        async with serving(config) as (process, url), loopback(url) as client:
            ready = await client.get("/readyz")
            passed.append(time.monotonic() - began)
            took.append(cpu_s(process.pid))
            sizes.append(resident_mb(process.pid))
        assert ready.status_code == 200, ready.text
    told = f"{min(passed):.2f} s passed, {min(took):.2f} s of CPU"
    reached("operations", "start to ready, ledger embedded", told, f"<= {MOST_S} s, idle machine")
    reached("operations", "idle RSS of a worker", f"{max(sizes):.0f} MB", f"<= {MOST_MB} MB")
    assert min(took) <= 2 * MOST_S, "it takes more than twice what it may, even on a busy machine"
    assert max(sizes) <= MOST_MB


async def test_its_provider_is_connected_to_before_anybody_asks(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    async with scripted(Peer.end) as provider:
        config.write_text(CONFIG % (tmp_path / "ledger", provider.port))
        async with serving(config):
            await until(lambda: len(provider.peers) == 1)
