"""Every panel's query, asked of a real Prometheus that scraped a gateway at work."""

import asyncio
import json
import math
import shutil
import subprocess
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.ops.packages import ROOT
from tests.ops.scene import CONFIG, LIVES, SCRAPE_S, Prometheus, load, prometheus, promtool
from tests.promises import Reached
from tests.service.processes import loopback
from tests.service.running import KEY, Running, running

__all__ = ["promtool"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

JUNK: Final = 10_000
AT_ONCE: Final = 50
WORD: Final = "junkjunk"
READ: Final = ("gateway_budget_", "gateway_guard_", "gateway_ledger_", "gateway_usage_")
"""What is told at its own time, whatever is asked."""
BOARDS: Final = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with running(CONFIG, {"FOLDER": str(tmp_path_factory.mktemp("ledger"))}) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def watching(
    service: Running, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Prometheus]:
    """Once it has seen all of the load, and scraped twice since."""
    async with prometheus(service.url, tmp_path_factory.mktemp("prometheus")) as watching:
        for number in range(LIVES):
            await load(service, number)
            await asyncio.sleep(SCRAPE_S / 2)
        seen = await watching.ask("sum(scrape_samples_scraped)")
        assert seen, "nothing was scraped"
        await asyncio.sleep(2 * SCRAPE_S)
        yield watching


def queries() -> list[tuple[str, str]]:
    """Each panel's, as Grafana would send it."""
    found = []
    for path in BOARDS:
        board: dict[str, Any] = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                asked = target["expr"].replace("$__rate_interval", "30s").replace("$tenant", ".*")
                found.append((f"{path.stem}: {panel['title']}", asked))
    return found


async def test_every_panel_has_data(watching: Prometheus, reached: Reached) -> None:
    empty = []
    for panel, query in queries():
        values = await watching.ask(query)
        if not any(math.isfinite(value) for value in values):
            empty.append(f"{panel}: {query}: {values}")
    panels = {panel for panel, _ in queries()}
    without = {line.partition(": ")[0] + ": " + line.split(": ")[1] for line in empty}
    told = f"{len(panels - without)} of {len(panels)}"
    reached("operations", "panels with data", told, "all")
    assert empty == []


async def test_every_rule_can_be_evaluated(watching: Prometheus) -> None:
    rules = await watching.rules()
    assert rules
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] == "err"} == {}


async def test_what_is_scraped_is_as_promtool_wants_it(service: Running) -> None:
    async with loopback(service.url) as client:
        page = await client.get("/metrics")
    tool = shutil.which("promtool")
    assert tool
    ran = subprocess.run(  # noqa: ASYNC221
        [tool, "check", "metrics"], input=page.text, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


async def test_junk_makes_no_series(service: Running, reached: Reached) -> None:
    """Of what requests count; what is read of the ledger comes when it is read."""
    headers = {"authorization": f"Bearer {KEY}"}

    async def page() -> str:
        return (await client.get("/metrics")).text

    def series(page: str) -> set[str]:
        told = {line.rpartition(" ")[0] for line in page.splitlines() if line[0] != "#"}
        return {name for name in told if not name.startswith(READ)}

    async def junk(number: int) -> int:
        word = f"{WORD}{number}"
        body: dict[str, Any] = {"model": word, "user": word}
        body["messages"] = [{"role": "user", "content": word}]
        body["gateway"] = {"tags": {word: word, "app": word}}
        return (await client.post("/v1/chat/completions", json=body, headers=headers)).status_code

    async with loopback(service.url) as client:
        await junk(-1)
        before = series(await page())
        for start in range(0, JUNK, AT_ONCE):
            told = await asyncio.gather(*map(junk, range(start, start + AT_ONCE)))
            assert set(told) <= {400, 404}
        after = await page()
    more = series(after) - before
    reached("operations", f"series from {JUNK:,} junk names", str(len(more)), "0")
    assert more == set()
    assert WORD not in after
