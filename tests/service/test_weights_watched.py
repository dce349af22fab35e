"""A file of weights that changes while `tollgate serve` runs is read again, by itself."""

import asyncio
import os
from math import log
from pathlib import Path
from typing import Final

import httpx
import pytest

from gateway.commands.serve import source_of
from gateway.config.load import stamp
from gateway.core.learned import written
from gateway.simulator import serve_simulator
from tests.service.processes import ask, loopback, serving
from tests.weights import EVEN, fit

CONFIG: Final = """
redis: {url: memory}
server: {drain_delay_s: 0}
providers: {sim: {dialect: openai, base_url: "SIMULATOR/openai/v1", api_key: x}}
models:
  small: {deployments: [{provider: sim, upstream: cheap-right}], context: 100000,
    max_output: 1000, price: {input: 0.10, output: 0.40}}
  large: {deployments: [{provider: sim, upstream: smart-right}], context: 100000,
    max_output: 1000, price: {input: 5, output: 20}}
tiers: {cheap: {models: [small]}, smart: {models: [large]}}
routes: {auto: {tiers: [cheap, smart], learned: {file: weights.json, floor: 0.8}}}
tenants: {acme: {anonymous: true, budgets: [{usd: 5, per: day}]}}
"""
FAILED: Final = "\ngateway_config_reload_failed 1"


def weights(cheap: float) -> bytes:
    """How likely the cheap tier passes."""
    fits = {"cheap": fit(log(cheap / (1 - cheap))), "smart": fit(log(19))}
    return written(EVEN, fits, {"cheap": 100, "smart": 100}, {})


def put(file: Path, text: bytes) -> None:
    """Anew, as `tollgate learn` does."""
    beside = file.with_suffix(".new")
    beside.write_bytes(text)
    beside.replace(file)


def configured(folder: Path, simulator: str) -> tuple[Path, Path]:
    config, file = folder / "gateway.yaml", folder / "weights.json"
    config.write_text(CONFIG.replace("SIMULATOR", simulator))
    put(file, weights(0.95))
    return config, file


async def answers(url: str) -> str:
    answer = await ask(url, "auto")
    assert answer.status_code == 200, answer.text
    return answer.headers["x-gateway-model"]


async def failed(client: httpx.AsyncClient) -> bool:
    return FAILED in (await client.get("/metrics")).text


async def test_new_weights_are_taken_and_bad_ones_are_not(tmp_path: Path) -> None:
    async with serve_simulator() as simulator:
        config, file = configured(tmp_path, simulator.base_url)
        async with serving(config) as (_, url), loopback(url) as client, asyncio.timeout(40):
            assert await answers(url) == "small"
            put(file, weights(0.1))
            while await answers(url) != "large":
                await asyncio.sleep(0.05)
            put(file, b"no weights")
            while not await failed(client):
                await asyncio.sleep(0.05)
            assert await answers(url) == "large", "those from before go on"
            put(file, weights(0.95))
            while await answers(url) != "small":
                await asyncio.sleep(0.05)
            assert not await failed(client)


@pytest.mark.parametrize(("age_s", "more"), [(10, 0), (0, 1)])
def test_those_that_are_written_while_they_are_read_are_read_again(
    tmp_path: Path, age_s: float, more: int
) -> None:
    """So what a start knows of them differs from what the first look finds."""
    config, file = configured(tmp_path, "http://127.0.0.1:9")
    at = file.stat().st_mtime - age_s
    os.utime(file, (at, at))
    source = source_of([config], {}, lambda: None)
    found = source.stamp(source.began.snapshot)
    assert {Path(each[0]).name for each in found} == {"gateway.yaml", "weights.json"}
    assert len(found) - len(source.first) == more


def test_weights_that_are_gone_are_missed(tmp_path: Path) -> None:
    config, file = configured(tmp_path, "http://127.0.0.1:9")
    snapshot = source_of([config], {}, lambda: None).began.snapshot
    there = stamp([config], snapshot)
    file.unlink()
    assert len(stamp([config], snapshot)) == len(there) - 1
