"""A line for each life, through the whole service: streamed and not, with words and without; and
what is logged is what `tollgate replay` reads.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.core.errors import ConfigRefused
from gateway.core.events import AuditEnded, Settled
from gateway.replay.formats import read
from gateway.simulator import Simulator
from gateway.simulator.answers import Answer, answer_of
from gateway.simulator.simulated_request import SimulatedRequest
from tests.service.running import KEY, Running, running

CONFIG = """
redis: {url: memory}
keys: {pepper: a-pepper-of-more-than-thirty-two-letters}
log: {to: '${LOG}', log_content: CONTENT, sample: 0}
tags: {team: [red, blue]}
providers:
  one: {dialect: openai, base_url: "${SIMULATOR_URL}/openai/v1", api_key: x}
  two: {dialect: anthropic, base_url: "${SIMULATOR_URL}/anthropic", api_key: x}
models:
  small: {deployments: [{provider: one, upstream: cheap-small}], context: &c 100000,
    max_output: &m 1000, price: {input: 0.10, output: 0.40}}
  quick: {deployments: [{provider: two, upstream: cheap-quick}], context: *c, max_output: *m,
    price: {input: 0.20, output: 0.80}}
  large: {deployments: [{provider: one, upstream: smart-large}], context: *c, max_output: *m,
    price: {input: 5, output: 20}}
  broken: {deployments: [{provider: one, upstream: cheap-error500}], context: *c, max_output: *m,
    price: {input: 5, output: 20}}
  toolish: {deployments: [{provider: one, upstream: smart-right}], context: *c, max_output: *m,
    price: {input: 5, output: 20}}
tiers:
  first: {models: [small]}
  tooled: {models: [toolish]}
  cheap: {models: [small, quick]}
  smart: {models: [large]}
  shaky: {models: [broken, small]}
routes:
  climb: {tiers: [cheap, smart], checks: [{regex: {pattern: "^4"}}]}
  high: {tiers: [cheap, smart], checks: [{regex: {pattern: "^42"}}]}
  tools: {tiers: [tooled]}
  shadowed: {tiers: [smart], shadow: {route: small-first, share: 1}}
  small-first: {tiers: [first]}
  vote: {tiers: [cheap, smart], strategy: vote}
  aside: {tiers: [shaky]}
  kept: {tiers: [smart], cache: {ttl_s: 60}}
tenants:
  acme: {keys: [{id: k1, hash: "${HASH}"}], budgets: [{usd: 5, per: day}]}
"""
PROMPT = "What is six times seven, said plainly?"
SAYS = {"cheap-small": "41, I say", "cheap-quick": "42, I say", "smart-large": "42, I say"}


def answer(ask: SimulatedRequest, behaviour: str) -> Answer:
    return Answer(SAYS[ask.model]) if ask.model in SAYS else answer_of(ask, behaviour)


BODY = {"model": "climb", "messages": [{"role": "user", "content": PROMPT}]}


@dataclass
class Logged:
    service: Running
    file: Path

    async def ask(self, model: str, *, stream: bool = False, **more: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": PROMPT}], **more}
        async with httpx.AsyncClient(base_url=self.service.url, timeout=10) as client:
            headers = {"authorization": f"Bearer {KEY}"}
            return await client.post(
                "/v1/chat/completions", json=body | {"stream": stream}, headers=headers
            )


@asynccontextmanager
async def logging(folder: Path, content: str = "off") -> AsyncIterator[Logged]:
    file = folder / "lives.jsonl"
    text = CONFIG.replace("CONTENT", content)
    async with running(text, {"LOG": str(file)}, Simulator(answers=answer)) as service:
        yield Logged(service, file)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@both
async def test_a_line_tells_a_life(tmp_path: Path, stream: bool) -> None:
    async with logging(tmp_path) as logged:
        got = await logged.ask("climb", stream=stream, user="ann", gateway={"tags": {"team": "x"}})
        settled = sum(
            event.record.cost for event in logged.service.events if isinstance(event, Settled)
        )
    (line,) = lines(logged.file)
    assert line["request"] == got.headers["x-request-id"]
    assert line["plan"] == {"rungs": 2, "skipped": 0}
    calls = [(c["model"], c["purpose"], c["outcome"], c.get("failed")) for c in line["attempts"]]
    assert calls[0] == ("small", "answer", "ok", [])
    assert (line["model"], line["tier"], line["reason"]) == ("small", "cheap", "passed")
    assert (line["outcome"], line["status"], line["stream"]) == ("replied", 200, stream)
    assert (line["tenant"], line["route"], line["key"]) == ("acme", "climb", "k1")
    assert line["tags"] == {"team": "other"}
    assert line["cost"] == settled == sum(call["cost"] for call in line["attempts"])
    assert line["held"] >= line["cost"] > 0
    assert 0 < line["attempts"][0]["seconds"] <= line["seconds"]
    assert re.fullmatch("[0-9a-f]{32}", line["user"])


@both
async def test_steps_up_and_aside(tmp_path: Path, stream: bool) -> None:
    async with logging(tmp_path) as logged:
        await logged.ask("high", stream=stream)
        await logged.ask("aside", stream=stream)
    up, aside = lines(logged.file)
    assert up["steps"] == [
        {"kind": "escalation", "from": "cheap", "to": "smart", "reason": "regex"}
    ]
    assert [call["failed"] for call in up["attempts"]] == [["regex"], []]
    assert aside["steps"][-1]["kind"] == "fallback"
    assert {call["outcome"] for call in aside["attempts"]} == {"faulty", "ok"}


async def test_lives_that_never_were(tmp_path: Path) -> None:
    """No key, no such model, no such JSON: each is a line with its status."""
    async with logging(tmp_path) as logged:
        await logged.ask("nope")
        async with httpx.AsyncClient(base_url=logged.service.url) as client:
            await client.post("/v1/chat/completions", json={})
    told = [(line["tenant"], line["status"], line["reason"]) for line in lines(logged.file)]
    assert told == [("acme", 404, "model_not_found"), ("none", 401, "invalid_api_key")]


@both
@pytest.mark.parametrize(
    ("content", "words"), [("off", 0), ("hash", 0), ("sample", 0), ("full", 4)]
)
async def test_words_are_written_only_when_asked_for(
    tmp_path: Path, content: str, words: int, stream: bool
) -> None:
    """Of a sample of nothing there is nothing."""
    async with logging(tmp_path, content) as logged:
        for _ in range(2):
            await logged.ask("climb", stream=stream, user="ann@example.org")
        async with httpx.AsyncClient(base_url=logged.service.url) as client:
            ready = (await client.get("/readyz")).json()
    assert ready == {"status": "ready", "ledger": "ok", "log_content": content}
    text = logged.file.read_text()
    assert (
        text.count(PROMPT) + text.count('"answer":[{"text":"41, I say"') - 2 * (words > 0) == words
    )
    assert "ann@example.org" not in text
    hashes = {(line.get("asked_hash"), line.get("answer_hash")) for line in lines(logged.file)}
    assert len(hashes) == 1
    assert (None not in hashes.pop()) == (content == "hash")


@both
async def test_a_number_beyond_all_bounds_is_left_out_and_its_life_told(
    tmp_path: Path, stream: bool
) -> None:
    """It goes upstream as it came; what the provider says of it is what the client is told."""
    async with logging(tmp_path, "full") as log:
        asked = json.dumps(BODY | {"stream": stream})[:-1] + ', "odd": 1e999}'
        async with httpx.AsyncClient(base_url=log.service.url) as client:
            headers = {"authorization": f"Bearer {KEY}"}
            answer = await client.post("/v1/chat/completions", content=asked, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "rejected"), answer.text
    (line,) = lines(log.file)
    assert (line["outcome"], line["status"]) == ("denied", 400)
    assert line["asked"] == BODY | {"stream": stream}


@both
async def test_what_was_answered_is_what_was_given(tmp_path: Path, stream: bool) -> None:
    async with logging(tmp_path, "full") as logged:
        for model in ("climb", "vote", "kept", "kept"):
            await logged.ask(model, stream=stream)
    found = lines(logged.file)
    assert [line["answer"][0]["text"] for line in found] == ["41, I say", *["42, I say"] * 3]
    assert [line.get("cache") for line in found] == [None, None, "miss", "hit"]
    assert [len(line["attempts"]) for line in found] == [1, 3, 1, 0]
    assert all(line["asked"]["messages"][0]["content"] == PROMPT for line in found)


@both
async def test_replay_reads_what_was_logged(tmp_path: Path, stream: bool) -> None:
    """Served, logged in full, rehearsed: what each model said, and cost, comes back."""
    async with logging(tmp_path, "full") as logged:
        for number in range(3):
            await logged.ask("vote", stream=stream, seed=number, user="ann")
        cost = sum(
            event.record.cost for event in logged.service.events if isinstance(event, Settled)
        )
    records = read(tmp_path, "large")
    assert len(records.queries) == 3
    said = {name: [*model.answers.values()] for name, model in records.models.items()}
    assert {name: each[0].completion.first.text for name, each in said.items()} == {
        "small": "41, I say",
        "quick": "42, I say",
        "large": "42, I say",
    }
    assert sum(answer.cost for each in said.values() for answer in each) == cost
    assert {name: each[0].quality for name, each in said.items()} == {
        "small": 0.0,
        "quick": 1.0,
        "large": 1.0,
    }


async def test_a_call_of_tools_comes_back(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "go", "parameters": {"type": "object"}}}
    async with logging(tmp_path, "full") as logged:
        got = await logged.ask("tools", tools=[tool], tool_choice="required")
    asked = got.json()["choices"][0]["message"]["tool_calls"][0]["function"]
    (answer,) = read(tmp_path).models["toolish"].answers.values()
    (call,) = answer.completion.first.tool_calls
    assert (call.name, json.loads(call.arguments)) == ("go", json.loads(asked["arguments"]))


@both
async def test_what_goes_on_behind_is_read_with_what_was_given(
    tmp_path: Path, stream: bool
) -> None:
    """A shadow is a line of its own, under the id of the life it belongs to, and a mark."""
    async with logging(tmp_path, "full") as logged:
        await logged.ask("shadowed", stream=stream)
        async with asyncio.timeout(30):
            while not any(isinstance(event, AuditEnded) for event in logged.service.events):
                await asyncio.sleep(0.005)
    seen, behind = lines(logged.file)
    assert behind["request"] == f"{seen['request']}~shadow"
    assert (behind["behind"], behind["outcome"]) == ("shadow", "differed")
    records = read(tmp_path, "large")
    assert set(records.models) == {"small", "large"}
    assert len(records.queries) == 1


async def test_it_cannot_change_while_it_runs(tmp_path: Path) -> None:
    async with logging(tmp_path) as logged:
        text = logged.service.text[0].replace("log_content: off", "log_content: full")
        with pytest.raises(ConfigRefused, match="restart"):
            await logged.service.reload(text)
