from collections.abc import AsyncIterator

import httpx
import openai
import pytest

from gateway.simulator import Served, Simulator, serve_simulator
from tests.simulator.connect import connect, openai_sdk


@pytest.fixture
async def sim() -> AsyncIterator[Served]:
    """On a loopback port; a slow answer takes 50 ms here."""
    async with serve_simulator(Simulator(slow_s=0.05)) as served:
        yield served


@pytest.fixture
async def http(sim: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(sim.base_url) as client:
        yield client


@pytest.fixture
async def sdk(sim: Served) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai_sdk(sim.base_url) as client:
        yield client
