"""One bill, kept three ways: the ledger's counters, the records of calls, and the simulator's own.

Every behaviour of the simulated providers in every format, each alone, beside a model that answers,
and below a better one; and clients that leave. All of it at once, streamed and not.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import httpx
import openai
import pytest
import pytest_asyncio

from gateway.core.events import UsageSunk
from gateway.core.money import usd
from gateway.core.ports import LedgerDriver
from gateway.core.records.entry import Entry, sums
from gateway.core.records.line import Reading
from gateway.core.records.table import Table
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.drivers.usage.open import open_store
from gateway.simulator.answers import pieces
from tests.promises import Reached
from tests.service.running import KEY, Running, running
from tests.service.test_scenarios import ASKED, FORMATS, KINDS, ask, configuration, named

pytest_plugins = ("tests.redis_server",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

TENANT = "three-ways"
AT_ONCE = 48
LEAVES_S = 0.15
PATIENT = "{connect_s: 60, answer_s: 100, idle_s: 100}"
ENDS = re.compile(r"(route-left-\S+-(?:right|slow): \{tiers: \[[^]]*\])\}")
"""Calls that end by themselves: who leaves them cannot know whether before or after. They are read
on to what the provider reports.
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("usage")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(shared_redis: EmbeddedRedis, kept: Path) -> AsyncIterator[Running]:
    text = configuration(TENANT, PATIENT)
    text = ENDS.sub(r"\1, on_disconnect: drain, drain_s: 60}", text)
    assert "on_disconnect" in text
    text = f"{text}\nusage: {{sink: 'jsonl:{kept}', every_s: 0.1}}\n"
    async with running(text, {"REDIS_URL": shared_redis.url}) as started:
        yield started


def asked(stream: bool) -> Iterator[tuple[str, str]]:
    """Each kind, and what to ask for."""
    for kind, words in KINDS.items():
        for word in words:
            for form in FORMATS:
                name = named(kind, form, word, stream)
                itself = kind == "alone" or (kind == "left" and "stall" in word)
                yield kind, name if itself else f"route-{name}"


async def answer_parts(client: openai.AsyncOpenAI) -> str:
    """What a stream says that stalls in the middle: the first pieces of the whole answer."""
    answer = await client.chat.completions.create(model="helper", **ASKED)
    said = pieces(answer.choices[0].message.content or "")
    return "".join(said[: min(3, len(said) - 1)])


async def leave(service: Running, model: str, stream: bool, heard: dict[str, str]) -> None:
    """Listen, and leave when cancelled; to one that is drained, at a moment of no consequence."""
    headers = {"authorization": f"Bearer {KEY}"}
    body = {**ASKED, "model": model, "stream": stream}
    wait_s = LEAVES_S if model.startswith("route-") else None
    async with httpx.AsyncClient(base_url=service.url, headers=headers, verify=False) as client:  # noqa: S501 - plain HTTP
        try:
            async with client.stream(
                "POST", "/v1/chat/completions", json=body, timeout=wait_s
            ) as response:
                async for line in response.aiter_lines():
                    if wait_s is not None:
                        break
                    chunk = json.loads(line.removeprefix("data: ") or "{}")
                    for choice in chunk.get("choices", ()):
                        heard[model] += choice["delta"].get("content") or ""
        except httpx.TimeoutException:
            pass


async def leave_what_stalls(service: Running, models: list[str], stream: bool, said: str) -> None:
    """All at once, when the simulator serves each of them and what it says is heard."""
    heard = dict.fromkeys(models, "")
    expected = {name: said if stream and "stallmid" in name else "" for name in models}
    tasks = [asyncio.create_task(leave(service, name, stream, heard)) for name in models]
    async with asyncio.timeout(60):
        while service.simulator.simulator.open < len(models) or heard != expected:
            await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def ask_everything(service: Running, stream: bool) -> Counter[str]:
    """How many there were of each kind, and of each that failed.

    What stalls is left to timeouts that strike; whatever else there is, to some that do not, on
    however busy a machine: a whole answer that is given up may be billed all the same.
    """
    room = asyncio.Semaphore(AT_ONCE)
    happened: Counter[str] = Counter()
    every = list(asked(stream))
    stalls = [each for each in every if "stall" in each[1]]
    left = [name for kind, name in stalls if kind == "left"]

    async def one(client: openai.AsyncOpenAI, kind: str, model: str) -> None:
        async with room:
            happened[kind] += 1
            if kind == "left":
                await leave(service, model, stream, {})
            elif isinstance(await ask(client, model, stream=stream), openai.APIError):
                happened["failed"] += 1

    async with service.client() as client:
        said = await answer_parts(client)
        async with asyncio.TaskGroup() as group:
            for kind, model in every:
                if (kind, model) not in stalls:
                    group.create_task(one(client, kind, model))
        await service.simulator.idle()
        await leave_what_stalls(service, left, stream, said)
        happened["left"] += len(left)
        patient = service.text[0]
        await service.reload(patient.replace(PATIENT, "{connect_s: 30, answer_s: 4, idle_s: 3}"))
        async with asyncio.TaskGroup() as group:
            for kind, model in stalls:
                if kind != "left":
                    group.create_task(one(client, kind, model))
        await service.reload(patient)
    return happened


async def book(service: Running, after: str) -> list[Entry]:
    ledger = cast("LedgerDriver", service.gateway.world.ledger)
    found: list[Entry] = []
    while page := await ledger.records(TENANT, found[-1].at if found else after):
        found += page
    return found


def of_the_records(service: Running, entries: list[Entry]) -> None:
    """They are the simulator's bill: as a whole, and of each provider and model."""
    records = [entry.record for entry in entries if entry.record is not None]
    bill = service.simulator.bill
    assert len(records) == len(entries)
    assert sum(entry.charged.nanos for entry in entries) == bill.cost
    upstream = {
        (place.provider, model.name): place.upstream
        for model in service.snapshot.catalog.models.values()
        for place in model.deployments
    }
    by_record: Counter[tuple[str, str]] = Counter()
    for record in records:
        by_record[record.provider, upstream[record.provider, record.model]] += record.cost
    by_bill: Counter[tuple[str, str]] = Counter()
    for call in bill.calls:
        by_bill[call.format, call.model] += call.cost
    assert +by_record == +by_bill


async def written_on(service: Running, kept: Path, entries: list[Entry]) -> Table:
    """What the sink made of them, once it has."""

    def sunk() -> int:
        told = (event for event in service.events if isinstance(event, UsageSunk))
        return sum(event.records for event in told if event.tenant == TENANT)

    async with asyncio.timeout(30):
        while sunk() < len(entries):
            await asyncio.sleep(0.02)
    table, reading = Table(["purpose"]), Reading()
    ours = {entry.hold for entry in entries}
    async for lines in open_store(f"jsonl:{kept}").read(reading):
        for line in lines:
            if line.attempt in ours:
                table.add(line)
    assert reading.twice == 0
    return table


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_three_bills_are_one(
    service: Running, kept: Path, stream: bool, reached: Reached
) -> None:
    before = await book(service, "")
    after = before[-1].at if before else ""
    await service.begin(TENANT)
    world = service.gateway.world
    for _ in range(10_000):
        world.retries.called(world.clock())
    happened = await ask_everything(service, stream)
    await service.audit(TENANT)  # counters = settles = the simulator's bill

    entries = await book(service, after)
    bill = service.simulator.bill
    of_the_records(service, entries)
    counted = await cast("LedgerDriver", world.ledger).counted(TENANT)
    assert sums([*before, *entries]) == counted, "each counter of each budget"
    table = await written_on(service, kept, entries)
    total = table.total()
    assert (total.nanos, total.calls) == (bill.cost, len(entries)), "and what was written on"
    purposes = {group[0] for group, _ in table.rows()}
    assert {"answer", "abandoned", "escalation", "fallback", "retry"} <= purposes, "no proof else"
    assert happened["failed"] > len(FORMATS), "no proof else"
    way = "streamed" if stream else "whole"
    calls = f"{sum(happened.values()) - happened['failed']} requests, {len(entries)} calls"
    said = f"one bill of {usd(bill.cost)} USD: {calls}"
    reached("money", f"ledger = records = the simulator's bill, {way}", said, "to the nano-dollar")
