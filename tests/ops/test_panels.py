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
from tests.service.running import Running, running

__all__ = ["promtool"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

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


async def test_what_is_scraped_is_as_promtool_wants_it(service: Running, reached: Reached) -> None:
    async with loopback(service.url) as client:
        page = await client.get("/metrics")
    tool = shutil.which("promtool")
    assert tool
    ran = subprocess.run(  # noqa: ASYNC221
        [tool, "check", "metrics"], input=page.text, capture_output=True, text=True, check=False
    )
    found = (ran.stdout + ran.stderr).splitlines()
    reached("operations", "promtool check metrics: findings", str(len(found)), "0")
    assert (ran.returncode, found) == (0, [])
