"""A server that nobody here wrote stands behind the gateway as seven providers.

@copilotkit/aimock gives us scenarios and is no judge: it lets every request pass, tells no usage
unless told to, and some of what it says no provider says: Gemini's `FUNCTION_CALL`, thoughts of
Bedrock's streams under a name of its own, streams of Bedrock's `invoke` that are not base64 (it
is left out here). What real providers say is in the recordings.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import openai
import pytest
import pytest_asyncio

from gateway.core.chat import Usage
from gateway.core.events import Settled
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.clients.aimock import LONG, SCENARIOS, THOUGHTS, aimock
from tests.clients.programs import NODE, need
from tests.clients.scenarios import MULTIPLY, multiply
from tests.service.running import Running, running

pytest_plugins = ("tests.redis_server",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

PROVIDERS: Final = {
    "openai": "dialect: openai, base_url: '${AIMOCK}/v1', api_key: key-of-openai",
    "azure": "dialect: openai, base_url: '${AIMOCK}/openai', api_key: key-of-azure, "
    "auth: {azure: {api_version: '2024-10-21'}}",
    "anthropic": "dialect: anthropic, base_url: '${AIMOCK}', api_key: key-of-anthropic",
    "gemini": "dialect: gemini, base_url: '${AIMOCK}/v1beta', api_key: key-of-gemini",
    "vertex": "dialect: gemini, api_key: key-of-vertex, auth: {bearer: true}, "
    "base_url: '${AIMOCK}/v1/projects/p/locations/europe-west4/publishers/google'",
    "bedrock": "dialect: bedrock, base_url: '${AIMOCK}', "
    "auth: {aws: {region: eu-west-1, access_key_id: AKIDEXAMPLE, secret_access_key: key-of-aws}}",
    "ollama": "dialect: ollama, base_url: '${AIMOCK}'",
}
UPSTREAM: Final = {
    "bedrock": "eu.anthropic.claude-sonnet-4-6-v1:0",
    "gemini": "gemini-2.5-flash",
    "vertex": "gemini-2.5-flash",
}

WAYS: Final = {"whole": False, "stream": True}


def configuration() -> str:
    """A model of its own for each thing that is tried, so that no failure is another's."""
    about = "context: 128000, max_output: 2048, capabilities: [tools], price: {input: 1, output: 2}"
    tried = [
        (f"{provider}-{scenario}-{way}", provider)
        for provider in PROVIDERS
        for scenario in dict.fromkeys(SCENARIOS)
        for way in WAYS
    ]
    return "\n".join(
        [
            "redis: {url: '${REDIS_URL}', timeout_ms: 5000}",  # it is not what is tried here
            "timeouts: {connect_s: 10, answer_s: 60, idle_s: 60}",  # nor how fast this machine is
            "providers:",
            *(f"  {name}: {{{stanza}}}" for name, stanza in PROVIDERS.items()),
            "  simulator: {dialect: openai, base_url: '${SIMULATOR_URL}/openai/v1', api_key: x}",
            "models:",
            *(
                f"  {name}: {{deployments: [{{provider: {provider}, "
                f"upstream: {json.dumps(UPSTREAM.get(provider, name))}}}], {about}}}"
                for name, provider in tried
            ),
            f"  helper: {{deployments: [{{provider: simulator, upstream: mid-right}}], {about}}}",
            "tiers:",
            # Sideways from each failure, to the one that answers.
            *(f"  beside-{name}: {{models: [{name}, helper]}}" for name, provider in tried),
            "tenants:",
            "  acme: {keys: [{id: k1, hash: '${HASH}'}], budgets: [{usd: 5, per: day}]}",
        ]
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everything(
    shared_redis: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    need(NODE)
    async with aimock(tmp_path_factory.mktemp("aimock")) as url:
        env = {"REDIS_URL": shared_redis.url, "AIMOCK": url}
        async with running(configuration(), env) as started:
            yield started


@pytest_asyncio.fixture(loop_scope="module")
async def service(everything: Running) -> Running:
    await everything.begin("acme")
    return everything


async def ask(service: Running, model: str, way: str, *messages: Any, **more: Any) -> Any:
    """The answer as one message, however it came: the strict SDK puts a stream together."""
    async with service.client() as client:
        asked = {"model": model, "messages": messages, **more}
        if way == "whole":
            return (await client.chat.completions.create(**asked)).choices[0].message
        async with client.chat.completions.stream(**asked) as events:
            return (await events.get_final_completion()).choices[0].message


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def outcomes(service: Running) -> list[str]:
    return [event.record.outcome for event in service.events if isinstance(event, Settled)]


def settled(service: Running) -> tuple[Usage, bool]:
    """What the one call was charged for, and whether we counted it."""
    (only,) = [event.record for event in service.events if isinstance(event, Settled)]
    return only.usage, only.counted


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("provider", [name for name in PROVIDERS if name != "ollama"])
async def test_a_metered_answer(service: Running, provider: str, way: str) -> None:
    got = await ask(service, f"{provider}-metered-{way}", way, user("metered"))
    assert (got.content, got.tool_calls or None) == (LONG, None)
    assert settled(service) == (Usage(11, 7), False)
    assert await service.audit_ours("acme") == 11 * 1_000 + 7 * 2_000


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_answer_with_no_usage(service: Running, provider: str, way: str) -> None:
    """As OpenAI it counts four bytes for a token, as we do; as the others it tells zeros."""
    got = await ask(service, f"{provider}-silent-{way}", way, user("silent"))
    assert got.content == LONG
    assert settled(service) == (Usage(2, 18), provider not in ("openai", "azure"))
    await service.audit_ours("acme")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_tool_and_its_result(service: Running, provider: str, way: str) -> None:
    """The second answer is only given to a result that arrives where the provider looks for it."""
    model, question = f"{provider}-tool-{way}", user("tool")
    got = await ask(service, model, way, question, tools=[MULTIPLY])
    (call,) = got.tool_calls
    arguments = json.loads(call.function.arguments)
    assert (call.function.name, arguments) == ("multiply", {"a": 17, "b": 23})
    result = {"role": "tool", "tool_call_id": call.id, "content": str(multiply(**arguments))}
    last = await ask(service, model, way, question, got.to_dict(), result, tools=[MULTIPLY])
    assert (last.content, last.tool_calls or None) == ("It is 391.", None)
    await service.audit_ours("acme")


NO_THOUGHTS: Final = {("bedrock", "stream"), ("ollama", "whole"), ("ollama", "stream")}
"""Where it says them as the provider does not: Ollama's are called `thinking`."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_thoughts(service: Running, provider: str, way: str) -> None:
    got = await ask(service, f"{provider}-thinking-{way}", way, user("thinking"))
    assert got.content == "It is 391."
    thoughts = getattr(got, "reasoning_content", None)
    assert thoughts == (None if (provider, way) in NO_THOUGHTS else THOUGHTS)
    await service.audit_ours("acme")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("scenario", "kind"),
    [("busy", "throttled"), ("overloaded", "overloaded"), ("leaking", "faulty")],
)
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_refusal_moves_sideways(
    service: Running, provider: str, scenario: str, kind: str, way: str
) -> None:
    got = await ask(service, f"beside-{provider}-{scenario}-{way}", way, user(f"{scenario} 17*23"))
    assert got.content == "17*23 = 391."
    assert outcomes(service) == [kind, "ok"]
    await service.audit_ours("acme")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scenario", ["overloaded", "leaking"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_failure_with_nobody_beside(
    service: Running, provider: str, scenario: str, way: str
) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        await ask(service, f"{provider}-{scenario}-{way}", way, user(scenario))
    assert caught.value.status_code == 502
    assert caught.value.response.headers["x-should-retry"] == "false"
    told = str(caught.value) + str(caught.value.response.headers)
    assert [secret for secret in ("secret", "10.0.0.7", "key-of") if secret in told] == []
    assert await service.audit_ours("acme") == 0


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_stream_that_breaks_off(service: Running, provider: str) -> None:
    """What had flowed is the answer, so its end is told as an error, and it is paid for."""
    said, broken = "", ""
    async with service.client() as client:
        stream: Any = await client.chat.completions.create(
            model=f"beside-{provider}-breaking-stream",
            messages=[user("breaking")],  # type: ignore[list-item]
            stream=True,
        )
        try:
            async for chunk in stream:
                said += chunk.choices[0].delta.content or ""
        except openai.APIError as error:
            broken = str(error)
    assert broken == "the provider's answer broke off, or was no HTTP"
    assert said
    assert LONG.startswith(said)
    assert said != LONG
    assert outcomes(service) == ["broken"]
    assert await service.audit_ours("acme") > 0
