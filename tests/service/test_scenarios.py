"""Every behaviour of the simulated providers, in every format, streamed and not, through the whole
service; after each the books must balance to the nano-dollar.

A test asks in all formats at once, since many behaviours are a wait; it names the one that failed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import httpx
import openai
import pytest
import pytest_asyncio

from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.simulator import BASES
from gateway.simulator.behaviours import BEHAVIOURS
from tests.service.held import held
from tests.service.running import KEY, Running, running

pytest_plugins = ("tests.redis_server",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

WORDS = [behaviour.name for behaviour in BEHAVIOURS]
FORMATS = list(BASES)
SIZES = "context: 128000, max_output: 2048, capabilities: [tools, vision, json_schema]"
CHEAP = "price: {input: 0.10, output: 0.40}"
MID = "price: {input: 1, output: 4}"


FAILS_FIRST = [
    "throttle", "error500", "error502", "error503", "error504", "overloaded", "stall", "reset",
    "flaky",
]  # fmt: skip
BREAKS_OFF = ["stallmid", "resetmid", "errormid"]
FALLS_SHORT = ["unsure", "refuse", "cut", "emptyanswer", "brokenjson", "badtool"]
LEFT = ["right", "slow", "stall", "stallmid"]
KINDS = {"alone": WORDS, "beside": FAILS_FIRST + BREAKS_OFF, "up": FALLS_SHORT, "left": LEFT}
WAYS = ["whole", "stream"]
PATIENT = "{connect_s: 60, answer_s: 60, idle_s: 60}"
HASTY = "{connect_s: 30, answer_s: 2.5, idle_s: 2}"
"""For what stalls, beside which there is what must not be struck, however busy the machine."""


def named(kind: str, form: str, word: str, stream: bool) -> str:
    """A model of its own for every scenario: one's open circuit must not be another's."""
    return f"{kind}-{WAYS[stream]}-{form}-{word}"


def configuration(tenant: str, timeouts: str, of: str = "") -> str:
    """Of all scenarios whose word has `of` in it."""
    words = [
        (named(kind, form, word, stream), kind, form, word)
        for kind, possible in KINDS.items()
        for form in FORMATS
        for word in possible
        if of in word
        for stream in (False, True)
    ]
    checks = "[confidence, not_refused, complete, not_empty, json_if_asked, tools_valid]"
    return "\n".join(
        [
            "redis: {url: '${REDIS_URL}', timeout_ms: 30000}",
            f"timeouts: {timeouts}",
            "providers:",
            *(
                f"  {form}: {{dialect: {form}, base_url: '${{SIMULATOR_URL}}{base}', api_key: x}}"
                for form, base in BASES.items()
            ),
            "models:",
            *(
                f"  {name}: {{deployments: [{{provider: {form}, upstream: cheap-{word}-{name}}}], "
                f"{SIZES}, {CHEAP}}}"
                for name, _, form, word in words
            ),
            "  helper:",
            f"    {{deployments: [{{provider: anthropic, upstream: mid-right}}], {SIZES}, {MID}}}",
            "  better:",
            f"    {{deployments: [{{provider: openai, upstream: mid-right}}], {SIZES}, {MID}}}",
            "tiers:",
            # Sideways: the same tier has a model that answers. Upward: the next tier has one.
            *(
                f"  tier-{name}: {{models: [{name}{', helper' if kind == 'beside' else ''}]}}"
                for name, kind, _, _ in words
            ),
            "  mid: {models: [better]}",
            "routes:",
            *(
                f"  route-{name}: {{tiers: [tier-{name}, mid], checks: {checks}}}"
                if kind == "up"
                else f"  route-{name}: {{tiers: [tier-{name}]}}"
                for name, kind, _, _ in words
            ),
            "tenants:",
            f"  {tenant}:",
            "    keys: [{id: k1, hash: '${HASH}'}]",
            "    budgets: [{usd: 5, per: day}, {usd: 50, per: month}]",
            "    user_budgets: [{usd: 1, per: day}]",
        ]
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def patient(shared_redis: EmbeddedRedis) -> AsyncIterator[Running]:
    async with running(configuration("acme", PATIENT), {"REDIS_URL": shared_redis.url}) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hasty(shared_redis: EmbeddedRedis) -> AsyncIterator[Running]:
    text = configuration("acme", HASTY, "stall")
    async with running(text, {"REDIS_URL": shared_redis.url}) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def service(request: pytest.FixtureRequest, patient: Running, hasty: Running) -> Running:
    """Its timeouts strike what stalls, and nothing else."""
    stalls = "stall" in request.node.callspec.params["word"]
    return await begun(hasty if stalls else patient)


async def begun(service: Running) -> Running:
    """With a fresh page in every book; so busy that it can afford every retry."""
    await service.begin("acme")
    world = service.gateway.world
    for _ in range(1_000):
        world.retries.called(world.clock())
    return service


ASKED: dict[str, Any] = {
    "messages": [{"role": "user", "content": "What is 17*23? Tell as JSON if asked."}],
    "user": "ada",
}
TOOL = {
    "type": "function",
    "function": {
        "name": "lookup",
        "parameters": {
            "type": "object",
            "properties": {"q": {"type": "string"}},
            "required": ["q"],
        },
    },
}


T = TypeVar("T")


async def everywhere(ask: Callable[[str], Awaitable[T]]) -> list[tuple[str, T]]:
    """What was got in each format, asked in all of them at once."""
    return list(zip(FORMATS, await asyncio.gather(*map(ask, FORMATS)), strict=True))


async def ask(client: openai.AsyncOpenAI, model: str, *, stream: bool, **more: Any) -> Any:
    """The answer's text, finish and tool calls, however it came; or the error that was raised."""
    asked = {**ASKED, **more}
    try:
        if not stream:
            raw = await client.chat.completions.with_raw_response.create(model=model, **asked)
            choice = raw.parse().choices[0]
            return choice.message.content, choice.finish_reason, dict(raw.headers)
        raw = await client.chat.completions.with_raw_response.create(
            model=model, stream=True, stream_options={"include_usage": True}, **asked
        )
        text, finish, usage = "", None, None
        async for chunk in raw.parse():
            usage = chunk.usage or usage
            for part in chunk.choices:
                text += part.delta.content or ""
                finish = part.finish_reason or finish
        assert usage is not None, "usage was asked for"
        return text, finish, dict(raw.headers)
    except openai.APIError as error:
        return error


# What a client that asks for the model by name gets: an answer's finish, or an error's status
# (None: after the answer had begun to flow). [not streamed, streamed]
ALONE = {
    "right": ("stop", "stop"),
    "unsure": ("stop", "stop"),
    "refuse": ("stop", "stop"),
    "brokenjson": ("stop", "stop"),
    "cut": ("length", "length"),
    "throttle": (502, 502),
    "error400": (400, 400),
    "error500": (502, 502),
    "error502": (502, 502),
    "error503": (502, 502),
    "error504": (502, 502),
    "overloaded": (502, 502),
    "stall": (502, 502),
    "stallmid": (502, None),
    "reset": (502, 502),
    "resetmid": (502, None),
    "errormid": (502, None),
    "noend": ("stop", None),
    "slow": ("stop", "stop"),
    "nousage": ("stop", "stop"),
    "emptyanswer": ("stop", "stop"),
    "badtool": ("stop", "stop"),
    "flaky": (502, 502),
}


STREAM = pytest.mark.parametrize("stream", [False, True], ids=WAYS)
AGAIN_AT_ONCE = ("reset", "resetmid")
"""The same model is asked once more; and one that is throttled, where it says for how long."""
SAYS_WHEN = ("openai", "anthropic", "gemini")


def attempts(word: str, form: str) -> str:
    again = word in AGAIN_AT_ONCE or (word == "throttle" and form in SAYS_WHEN)
    return "2" if again else "1"


@STREAM
@pytest.mark.parametrize("word", WORDS)
async def test_alone(service: Running, word: str, stream: bool) -> None:
    async with service.client() as client:
        answers = await everywhere(
            lambda form: ask(client, named("alone", form, word, stream), stream=stream)
        )
    expected = ALONE[word][stream]
    for form, got in answers:
        if isinstance(expected, str):
            assert isinstance(got, tuple), (form, got)
            text, finish, headers = got
            assert finish == expected, form
            assert headers["x-gateway-model"] == named("alone", form, word, stream)
            assert headers["x-gateway-attempts"] == "1"
            if word not in ("emptyanswer", "unsure", "refuse", "brokenjson", "cut"):
                assert "391" in text, form
        elif expected is None:
            assert isinstance(got, openai.APIError), (form, got)
            assert not isinstance(got, openai.APIStatusError), (form, got)
        else:
            assert isinstance(got, openai.APIStatusError), (form, got)
            assert got.status_code == expected, form
            assert got.response.headers["x-should-retry"] == "false"
            assert got.response.headers["x-gateway-attempts"] == attempts(word, form), form
    await service.audit("acme")


@STREAM
@pytest.mark.parametrize("word", KINDS["beside"])
async def test_a_failure_moves_sideways(service: Running, word: str, stream: bool) -> None:
    async with service.client() as client:
        answers = await everywhere(
            lambda form: ask(client, f"route-{named('beside', form, word, stream)}", stream=stream)
        )
    for form, got in answers:
        name = named("beside", form, word, stream)
        if stream and word in BREAKS_OFF:
            assert isinstance(got, openai.APIError), f"{form}: once it flows, it is the answer"
        else:
            assert isinstance(got, tuple), (form, got)
            text, _, headers = got
            assert "391" in text, form
            assert headers["x-gateway-model"] == "helper"
            assert headers["x-gateway-tier"] == f"tier-{name}"
            assert headers["x-gateway-escalations"] == "0"
            assert name in headers["x-gateway-reason"]
    await service.audit("acme")


BESIDES: dict[str, dict[str, Any]] = {
    "brokenjson": {"response_format": {"type": "json_object"}},
    "badtool": {"tools": [TOOL]},
}
"""What is asked for beside the question, where that is what makes the answer poor."""


@STREAM
@pytest.mark.parametrize("word", KINDS["up"])
async def test_a_poor_answer_moves_up(service: Running, word: str, stream: bool) -> None:
    async with service.client() as client:
        answers = await everywhere(
            lambda form: ask(
                client,
                f"route-{named('up', form, word, stream)}",
                stream=stream,
                **BESIDES.get(word, {}),
            )
        )
    for form, got in answers:
        assert isinstance(got, tuple), (form, got)
        text, _, headers = got
        assert headers["x-gateway-model"] == "better", form
        assert headers["x-gateway-escalations"] == "1"
        assert headers["x-gateway-attempts"] == "2"
        assert headers["x-gateway-reason"].startswith("passed"), headers["x-gateway-reason"]
        assert "CONFIDENCE" not in (text or ""), form
    await service.audit("acme")


@STREAM
@pytest.mark.parametrize("word", KINDS["left"])
async def test_a_client_that_leaves_is_charged_what_was_sent(
    patient: Running, word: str, stream: bool
) -> None:
    """It leaves before the first byte, or, where answers flow, after the first piece."""
    service = await begun(patient)
    headers = {"authorization": f"Bearer {KEY}"}
    client = httpx.AsyncClient(base_url=service.url, headers=headers, timeout=60)

    async def leave(form: str) -> None:
        body = {**ASKED, "model": named("left", form, word, stream), "stream": stream}
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            async for _ in response.aiter_bytes():
                break

    simulator = service.simulator.simulator
    async with client:
        with held(simulator):
            leaving = [asyncio.create_task(leave(form)) for form in FORMATS]
            if word != "right" and (word != "stallmid" or not stream):  # nothing comes
                async with asyncio.timeout(60):
                    while simulator.open < len(FORMATS):
                        await asyncio.sleep(0.005)
                for each in leaving:
                    each.cancel()
            left = await asyncio.gather(*leaving, return_exceptions=True)
            assert {*map(type, left)} <= {type(None), asyncio.CancelledError}, left
            await simulator.idle()
    await service.audit("acme")
