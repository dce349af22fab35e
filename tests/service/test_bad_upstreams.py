"""Whatever a provider sends: an error of a known class, the next one asked, the money settled, and
nothing of its key, its address or its insides told to the client.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx
import pytest
import pytest_asyncio

from gateway.core.events import Settled
from tests.service.bad_answers import KEY as UPSTREAM_KEY
from tests.service.bad_answers import everywhere, owed
from tests.service.bad_openai import bedrock_alone, openai_alone
from tests.service.fault_upstream import FaultUpstream, Script, Wire, fault_upstream, says, sized
from tests.service.good_answers import BEDROCK, FORMATS, OPENAI
from tests.service.running import KEY, Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

INPUT, OUTPUT = 1_000, 4_000
"""Nano-dollars a token, as in the configuration below."""
SIZES: Final = "context: 128000, max_output: 2048, price: {input: 1, output: 4}"

ROWS: Final = [
    *((form, row) for form in FORMATS for row in everywhere(form)),
    *((OPENAI, row) for row in openai_alone()),
    *((BEDROCK, row) for row in bedrock_alone()),
]
WAYS: Final = ("whole", "flow")
CASES: Final = {
    f"{form.name}-{row.name}-{way}": (form, row, way)
    for form, row in ROWS
    for way in WAYS
    if (row.whole if way == "whole" else row.flow) is not None
}


def scripts() -> dict[str, Script]:
    """By the model that is asked for."""
    good_flow = says(sized(OPENAI.stream(), f"content-type: {OPENAI.kind}"), keep=True)
    made = {"good-whole": says(sized(OPENAI.whole()), keep=True), "good-flow": good_flow}
    for name, (_, row, way) in CASES.items():
        script = row.whole if way == "whole" else row.flow
        assert script is not None
        made[f"bad-{name}-alone"] = made[f"bad-{name}-beside"] = script
    return made | {"good-stale": _stale, "good-surplus": _surplus}


async def _stale(wire: Wire) -> bool:
    """Keeps its connection, and is gone when it is asked again on it."""
    if wire.number == 1:
        wire.reset()
        return False
    await wire.say(sized(OPENAI.whole()))
    return True


async def _surplus(wire: Wire) -> bool:
    """Sends a second answer on the connection that nobody uses any more."""
    await wire.say(sized(OPENAI.whole()))
    if wire.number == 0:
        await wire.flowed.wait()
        await wire.say(sized(OPENAI.whole('"for nobody"')))
    return True


def configuration(cases: Iterable[str], timeouts: str) -> str:
    made = [
        "redis: {url: memory}",
        "client: ${CLIENT}",
        f"timeouts: {timeouts}",
        "providers:",
    ]
    made += [
        f"  {form.name}: {{dialect: {form.name}, api_key: '${{UPSTREAM_KEY}}',"
        f" base_url: 'http://127.0.0.1:${{PORT}}{form.base}'}}"
        for form in FORMATS
    ]
    made.append("models:")
    for name in ("stale", "surplus"):
        made.append(f"  {name}: " + _model("openai", f"good-{name}"))
    for way in WAYS:
        made.append(f"  helper-{way}: " + _model("openai", f"good-{way}"))
    for name in cases:
        form = CASES[name][0]
        for purpose in ("alone", "beside"):
            made.append(f"  {name}-{purpose}: " + _model(form.name, f"bad-{name}-{purpose}"))
    made.append("tiers:")
    for name in cases:
        made.append(f"  tier-{name}: {{models: [{name}-beside, helper-{CASES[name][2]}]}}")
    made.append("routes:")
    made += [f"  route-{name}: {{tiers: [tier-{name}]}}" for name in cases]
    made += [
        "tenants:",
        "  acme: {keys: [{id: k1, hash: '${HASH}'}], budgets: [{usd: 900, per: day}]}",
    ]
    return "\n".join(made)


def _model(provider: str, upstream: str) -> str:
    return f"{{deployments: [{{provider: {provider}, upstream: {upstream}}}], {SIZES}}}"


@dataclass(repr=False)
class Place:
    gateway: Running
    provider: FaultUpstream
    http: httpx.AsyncClient

    async def ask(self, model: str, *, stream: bool, upstream: str) -> "Got":
        """What came over the wire, every byte of it."""
        body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": ASKED}]}
        async with self.http.stream("POST", "/v1/chat/completions", json=body) as response:
            parts = []
            async for part in response.aiter_raw():
                parts.append(part)
                if b'"content"' in part:
                    self.provider.flowed[upstream].set()
        headers = b"\n".join(b"%b: %b" % pair for pair in response.headers.raw)
        return Got(response.status_code, dict(response.headers), headers, b"".join(parts))


@dataclass
class Got:
    status: int
    told: dict[str, str]
    head: bytes
    body: bytes


ASKED: Final = "What is 17*23?"


HANGING: Final = [name for name, (_, row, _) in CASES.items() if row.waits]
OTHERS: Final = [name for name in CASES if name not in HANGING]
CLIENTS: Final = ("own", "aiohttp")
PATIENT: Final = "{connect_s: 60, answer_s: 60, idle_s: 60}"
IMPATIENT: Final = "{connect_s: 60, answer_s: 1, idle_s: 0.3}"


@asynccontextmanager
async def placed(client: str, cases: Sequence[str], timeouts: str) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(fault_upstream(scripts()))
        env = {"PORT": str(provider.port), "CLIENT": client, "UPSTREAM_KEY": UPSTREAM_KEY}
        text = configuration(cases, timeouts)
        gateway = await stack.enter_async_context(running(text, env))
        http = httpx.AsyncClient(
            base_url=gateway.url, headers={"authorization": f"Bearer {KEY}"}, timeout=20
        )
        yield Place(gateway, provider, await stack.enter_async_context(http))


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=CLIENTS)
async def patient(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with placed(request.param, OTHERS, PATIENT) as place:
        yield place


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=CLIENTS)
async def impatient(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with placed(request.param, HANGING, IMPATIENT) as place:
        yield place


def unsaid(where: str, told: bytes, port: int) -> None:
    """Nothing of the provider's is told; its port is five digits, as many other things are."""
    for secret in (UPSTREAM_KEY, UPSTREAM_KEY[:8], "127.0.0.1", f":{port}", "hidden", "Traceback"):
        at = told.find(secret.encode())
        assert at < 0, f"{where} tells {secret!r}: {told[max(at - 100, 0) : at + 100]!r}"


@pytest.mark.parametrize("name", OTHERS)
async def test_what_it_gets(patient: Place, name: str, caplog: pytest.LogCaptureFixture) -> None:
    await it_gets(patient, name, caplog)


@pytest.mark.parametrize("name", HANGING)
async def test_a_silence(impatient: Place, name: str, caplog: pytest.LogCaptureFixture) -> None:
    await it_gets(impatient, name, caplog)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("model", ["stale", "surplus"])
async def test_a_connection_that_is_used_again(client: str, model: str) -> None:
    """Each request gets its own answer, whatever came on the connection meanwhile."""
    async with placed(client, OTHERS[:1], PATIENT) as place:
        for _ in range(3):
            got = await place.ask(model, stream=False, upstream=f"good-{model}")
            assert got.status == 200, got.body
            assert b"391" in got.body
            await asyncio.sleep(0.05)  # until what nobody asked for is there


async def it_gets(place: Place, name: str, caplog: pytest.LogCaptureFixture) -> None:
    form, row, way = CASES[name]
    gets = row.whole_gets if way == "whole" else row.flow_gets
    await place.gateway.begin("acme")
    world = place.gateway.gateway.world
    for _ in range(100):
        world.retries.called(world.clock())
    stream = way == "flow"
    with caplog.at_level(logging.DEBUG):
        alone, beside = await asyncio.gather(
            place.ask(f"{name}-alone", stream=stream, upstream=f"bad-{name}-alone"),
            place.ask(f"route-{name}", stream=stream, upstream=f"bad-{name}-beside"),
        )
    await place.gateway.audit_ours("acme")
    of_a_kind(place, name, gets)
    alone_it_gets(alone, gets, stream=stream)
    beside_it_gets(beside, gets, name, way)
    settled_at(place, name, row.paid or owed(form, gets))
    port = place.provider.port
    for got in (alone, beside):
        unsaid("the head", got.head, port)
        unsaid("the body", got.body, port)
    told = [r for r in caplog.records if not r.name.startswith(("httpx", "httpcore"))]
    unsaid("the log", "\n".join(map(logging.Formatter().format, told)).encode(), port)
    assert [r.message for r in told if r.levelno >= logging.WARNING] == []
    assert place.provider.strays == 0, "a redirect was followed"


def of_a_kind(place: Place, name: str, gets: str) -> None:
    """The class of the error, as metrics and logs are told of it."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for event in place.gateway.events:
        if isinstance(event, Settled):
            kinds[event.record.model].add(event.record.outcome)
    expected = gets.removeprefix("mid ")
    for model in (f"{name}-alone", f"{name}-beside"):
        found = kinds[model]
        assert len(found) == 1, found
        if expected == "*":
            assert not found & {"ok", "internal_error", "dropped"}
        else:
            assert found == {expected}


def alone_it_gets(got: Got, gets: str, *, stream: bool) -> None:
    if gets == "ok":
        assert got.status == 200
        assert b"391" in got.body
        assert got.body.endswith(b"data: [DONE]\n\n") == stream
    elif gets.startswith("mid "):
        broken_off(got)
    else:
        assert got.status == (400 if gets == "rejected" else 502), got.body
        assert got.body.startswith(b'{"error":')
        assert got.told["x-should-retry"] == "false"


def broken_off(got: Got) -> None:
    assert got.status == 200
    assert got.body.startswith(b"data: {")
    *_, last, rest = got.body.split(b"\n\n")
    assert (last[:15], rest) == (b'data: {"error":', b"")
    assert b"[DONE]" not in got.body


def beside_it_gets(got: Got, gets: str, name: str, way: str) -> None:
    if gets.startswith("mid "):
        broken_off(got)
    elif gets == "rejected":
        assert got.status == 400
    else:
        model = f"{name}-beside" if gets == "ok" else f"helper-{way}"
        assert got.status == 200, got.body
        assert got.told["x-gateway-model"] == model
        assert b"391" in got.body
        assert b'"error"' not in got.body


def settled_at(place: Place, name: str, paid: tuple[int, int]) -> None:
    """What the provider is paid for each call."""
    mine = (f"{name}-alone", f"{name}-beside")
    calls = [e.record for e in place.gateway.events if isinstance(e, Settled)]
    calls = [call for call in calls if call.model in mine]
    assert len(calls) >= 2
    for call in calls:
        assert (call.usage.prompt, call.usage.completion) == paid
        assert call.cost == paid[0] * INPUT + paid[1] * OUTPUT
