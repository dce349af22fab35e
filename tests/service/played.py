"""Scenes through the whole service: who says what, as a configuration of routes and a script for
the simulated providers; and all that the service told of one request.

The rungs of a scene are written `a=42 b=no|good > m=good`: model a says "42"; b says "no" when it
is asked first, "good" from then on. `!slow` is what the simulator does, not what it says.
"""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

import httpx

from gateway.core.events import Event, Replied
from gateway.core.money import PER_USD
from gateway.core.ports import LedgerDriver
from gateway.core.records.record import UsageRecord
from gateway.simulator import BASES, Simulator
from gateway.simulator.answers import Answer, answer_of
from gateway.simulator.simulated_request import SimulatedRequest
from tests.service.running import KEY, Running, running

Says = Mapping[str, Answer]
VENDORS: Final = {"a": "openai", "b": "anthropic", "c": "gemini", "m": "openai", "s": "anthropic"}
"""By the first letter of a model's name."""
_PRICES: Final = ("cheap", "mid", "smart")
_USD: Final = {"cheap": (0.1, 0.4), "mid": (1, 4), "smart": (5, 20)}
_SAMPLE: Final = re.compile(r"(gateway_\w+)\{(.*)\} (\S+)")
_READ: Final = tuple(
    f"gateway_{name}{{"
    for name in (
        "upstream_attempts_total", "cost_usd_total", "answers_total", "escalations_total",
        "fallbacks_total", "time_to_first_token_seconds_count", "check_verdicts_total",
    )
)  # fmt: skip
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_NO_ENV: Final[Mapping[str, str]] = {}
QUESTION: Final = "What is 6 by 7?"


@dataclass(frozen=True)
class Scene:
    """`more` is what the route says beside its tiers, as YAML in braces; `ask` what the request
    says beside its question; `extras` the configuration of its models.
    """

    name: str
    rungs: str
    more: str = ""
    ask: Mapping[str, Any] = field(default_factory=dict)
    question: str = QUESTION

    def members(self) -> list[list[tuple[str, str, str]]]:
        """Rung by rung: each model, its name upstream, and what it says."""
        found = []
        for rung, price in zip(self.rungs.split(">"), _PRICES, strict=False):
            here = []
            for each in rung.split():
                model, _, says = each.partition("=")
                does = says.removeprefix("!").partition("|")[0] if says[0] == "!" else "says"
                # One word, so that the scene's name is not taken for what the model does.
                own = self.name.replace("-", ".")
                here.append((model, f"{price}-{does}-{own}-{model}", says))
            found.append(here)
        return found


class Cast:
    """What the simulated models say, in turn, and what each of them was asked."""

    def __init__(self, scenes: Iterable[Scene], says: Says) -> None:
        self._says = says
        self._scripts = {
            upstream: [text for text in script.split("|") if text[0] != "!"]
            for scene in scenes
            for rung in scene.members()
            for _, upstream, script in rung
        }
        self._told: dict[str, int] = defaultdict(int)
        self.asked: list[SimulatedRequest] = []

    def begin(self) -> None:
        self._told.clear()
        self.asked.clear()

    def answer(self, ask: SimulatedRequest, behaviour: str) -> Answer:
        self.asked.append(ask)
        script = self._scripts.get(ask.model)
        if not script:
            return answer_of(ask, behaviour)
        at = self._told[ask.model]
        self._told[ask.model] += 1
        return self._says[script[min(at, len(script) - 1)]]


def configuration(scenes: Iterable[Scene], more: str = "") -> str:
    """Every scene is a route, with models and tiers of its own."""
    models, tiers, routes = [], [], []
    for scene in scenes:
        names = []
        for number, rung in enumerate(scene.members()):
            tier = f"{scene.name}-{number}"
            names.append(tier)
            tiers.append(f"  {tier}: {{models: [{', '.join(_own(scene, m) for m, _, _ in rung)}]}}")
            models += [_model(_own(scene, model), model, upstream) for model, upstream, _ in rung]
        told = f", {scene.more}" if scene.more else ""
        routes.append(f"  {scene.name}: {{tiers: [{', '.join(names)}]{told}}}")
    return "\n".join(
        [
            "redis: {url: memory}",
            "timeouts: {connect_s: 30, answer_s: 60, idle_s: 60}",
            "providers:",
            *(
                f"  {name}: {{dialect: {name}, base_url: '${{SIMULATOR_URL}}{base}', api_key: x}}"
                for name, base in BASES.items()
            ),
            "models:", *models,
            "tiers:", *tiers,
            "routes:", *routes,
            "tenants:",
            "  acme: {keys: [{id: k1, hash: '${HASH}'}], budgets: [{usd: 100, per: day}]}",
            more,
        ]
    )  # fmt: skip


def _own(scene: Scene, model: str) -> str:
    return f"{scene.name}-{model}"


def _model(name: str, model: str, upstream: str) -> str:
    price_in, price_out = _USD[upstream.partition("-")[0]]
    return (
        f"  {name}: {{deployments: [{{provider: {VENDORS[model[0]]}, upstream: {upstream}}}], "
        f"context: 100000, max_output: 4000, capabilities: [tools, json_schema], "
        f"price: {{input: {price_in}, output: {price_out}}}}}"
    )


@dataclass(frozen=True)
class Told:
    """All that is told of one request. `calls` are its usage records, sorted: `b fallback ok`."""

    status: int
    model: str
    tier: str
    reason: str
    escalations: int
    attempts: int
    text: str
    tools: tuple[tuple[str, str], ...]
    calls: list[str]
    records: Sequence[UsageRecord]
    flows: bool
    cost: int
    replied: Replied | None
    body: str


class Stage:
    """A service, what its models say, and one client."""

    def __init__(self, service: Running, cast: Cast, client: httpx.AsyncClient) -> None:
        self.service = service
        self.cast = cast
        self.client = client

    def texts(self, model: str) -> list[tuple[str, ...]]:
        """What a model was asked, each time."""
        asked = [ask for ask in self.cast.asked if ask.model.endswith(f"-{model}")]
        return [tuple(filter(None, ask.texts)) for ask in asked]

    async def play(self, scene: Scene, *, stream: bool, **extras: Any) -> Told:
        """Ask a scene's route; what headers, body, records and metrics tell must agree."""
        service = self.service
        self.cast.begin()
        await service.begin("acme")
        before, seen = metrics(service), await records(service)
        got = await self._ask(scene, stream=stream, **extras)
        await _served(service)
        mine = (await records(service))[len(seen) :]
        of_the_metrics(before, metrics(service), mine)
        told = _told(scene, got, mine, service.events, stream=stream)
        assert told.attempts == len(mine) or told.flows, told
        return told

    async def audit(self) -> None:
        """The ledger, the settles and the simulator's bill are one, and every life is lawful."""
        await self.service.audit("acme")

    async def _ask(self, scene: Scene, *, stream: bool, **extras: Any) -> httpx.Response:
        body: dict[str, Any] = {
            "model": scene.name,
            "messages": [{"role": "user", "content": scene.question}],
            "stream": stream,
            **scene.ask,
        }
        if stream:
            body["stream_options"] = {"include_usage": True}
        if extras:
            body["gateway"] = extras
        return await self.client.post("/v1/chat/completions", json=body)


@asynccontextmanager
async def playing(
    scenes: Sequence[Scene],
    says: Says,
    more: str = "",
    env: Mapping[str, str] = _NO_ENV,
    **simulated: float,
) -> AsyncIterator[Stage]:
    """The scenes served. `simulated` is of the Simulator: `pause_s`, `slow_s`."""
    cast = Cast(scenes, says)
    providers = Simulator(answers=cast.answer, **simulated)
    async with running(configuration(scenes, more), env, providers) as service:
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=20) as client:
            yield Stage(service, cast, client)


def _told(
    scene: Scene,
    got: httpx.Response,
    mine: Sequence[UsageRecord],
    events: Iterable[Event],
    *,
    stream: bool,
) -> Told:
    headers, well = got.headers, got.status_code == 200
    cost = sum(record.cost for record in mine)
    usd = headers.get("x-gateway-cost-usd")
    whole = _whole(got.text, stream=stream)
    if well:
        billed = whole["usage"]["gateway"]["cost_usd"]
        assert round(billed * PER_USD) == cost, "the body tells what the records do"
    if usd is not None:
        assert round(float(usd) * PER_USD) == cost, "the header tells what the records do"
    return Told(
        status=got.status_code,
        model=headers.get("x-gateway-model", "").removeprefix(f"{scene.name}-"),
        tier=headers.get("x-gateway-tier", "").removeprefix(f"{scene.name}-"),
        reason=headers.get("x-gateway-reason", "").replace(f"{scene.name}-", ""),
        escalations=int(headers.get("x-gateway-escalations", "0")),
        attempts=int(headers["x-gateway-attempts"]),
        text=whole["text"],
        tools=whole["tools"],
        calls=sorted(_short(record, scene) for record in mine),
        records=mine,
        flows=stream and well and usd is None,
        cost=cost,
        replied=next((event for event in events if isinstance(event, Replied)), None),
        body=got.text,
    )


async def _served(service: Running) -> None:
    async with asyncio.timeout(30):
        while service.gateway.front.door.in_flight.total:
            await asyncio.sleep(0.005)


def _short(record: UsageRecord, scene: Scene) -> str:
    return f"{record.model.removeprefix(f'{scene.name}-')} {record.purpose} {record.outcome}"


def _whole(text: str, *, stream: bool) -> dict[str, Any]:
    """Text, tool calls and usage, however they came."""
    if not stream or not text.startswith(("data:", ":")):
        body = json.loads(text)
        message = body["choices"][0]["message"] if "choices" in body else {}
        calls = [each["function"] for each in message.get("tool_calls") or ()]
        usage = body.get("usage")
        said = message.get("content") or ""
        return {"text": said, "tools": _calls(calls), "usage": usage}
    assert text.endswith("data: [DONE]\n\n"), text[-300:]
    lines = [line for line in text.splitlines() if line.startswith("data: {")]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    said, made = "", dict[int, dict[str, str]]()
    for delta in (part["delta"] for chunk in chunks for part in chunk["choices"]):
        said += delta.get("content") or ""
        for call in delta.get("tool_calls") or ():
            one = made.setdefault(call["index"], {"name": "", "arguments": ""})
            one["name"] += call["function"].get("name") or ""
            one["arguments"] += call["function"].get("arguments") or ""
    usage = next(chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage"))
    return {"text": said, "tools": _calls(made.values()), "usage": usage}


def _calls(functions: Iterable[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((each["name"], each["arguments"]) for each in functions)


async def records(service: Running) -> list[UsageRecord]:
    """Every usage record that there is, the oldest first."""
    ledger = cast("LedgerDriver", service.gateway.world.ledger)
    entries = await ledger.records("acme", count=100_000)
    return [entry.record for entry in entries if entry.record is not None]


Metrics = dict[tuple[str, tuple[str, ...]], float]


def metrics(service: Running) -> Metrics:
    """Every sample of the metrics above: by its name and its labels' values, in the order of the
    labels' names.
    """
    lines = service.gateway.metrics.render().decode().splitlines()
    found = (_SAMPLE.fullmatch(line) for line in lines if line.startswith(_READ))
    return {
        (each[1], tuple(value for _, value in _LABEL.findall(each[2]))): float(each[3])
        for each in found
        if each
    }


def risen(before: Metrics, after: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """By how much each series of a metric rose."""
    rose = {
        labels: value - before.get((metric, labels), 0.0)
        for (metric, labels), value in after.items()
        if metric == name
    }
    return {labels: by for labels, by in rose.items() if by}


def of_the_metrics(before: Metrics, after: Metrics, mine: Iterable[UsageRecord]) -> None:
    """They count each call once, at its cost, by why it was made and how it ended."""
    calls: dict[tuple[str, ...], float] = defaultdict(float)
    costs: dict[tuple[str, ...], float] = defaultdict(float)
    for each in mine:
        calls[each.model, each.outcome, each.provider, each.purpose, each.tier] += 1
        costs[each.model, each.purpose, each.tenant, each.tier] += each.cost
    assert risen(before, after, "gateway_upstream_attempts_total") == calls
    spent = risen(before, after, "gateway_cost_usd_total")
    assert {to: round(usd * PER_USD) for to, usd in spent.items()} == {
        to: nanos for to, nanos in costs.items() if nanos
    }
