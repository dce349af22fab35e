"""Clients that nobody here wrote drive the running gateway.

Each is a program of its own (`<name>_client.py`, `npm/<name>.mjs`) that plays the scenarios of
`scenarios.py` against simulated providers and prints what came of them.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from hashlib import sha256
from typing import Any, Final, NamedTuple

import pytest
import pytest_asyncio

from gateway.core.events import Denied, Settled
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.web import door
from gateway.web.stream import ClientStream
from tests.clients.programs import NODE, NPM, OURS, PYTHON, need, printed
from tests.service.running import KEY, Running, running

pytest_plugins = ("tests.redis_server",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

POOR: Final = KEY.replace("acme", "poor")
ABOUT: Final = (
    "context: 128000, max_output: 2048, capabilities: [tools, vision, json_schema], "
    "price: {input: 0.10, output: 0.40}"
)


# ---- who plays


class Client(NamedTuple):
    """How it is run, what it raises, and how often it asks where nobody should ask again."""

    way: tuple[str, ...]
    program: str
    raises: dict[str, str]
    asks: int = 1

    @property
    def command(self) -> tuple[str, ...]:
        if self.way is NODE:
            return (*NODE, str(NPM / f"{self.program}.mjs"))
        return (*self.way, f"tests.clients.{self.program}")


OPENAI: Final = {
    "refused": "RateLimitError",
    "unknown": "NotFoundError",
    "failing": "InternalServerError",
    "breaking": "APIError",
}
CLIENTS: Final = {
    "openai": Client(OURS, "openai_client", OPENAI),
    "openai-older": Client(PYTHON, "openai_client", OPENAI),
    "langchain": Client(
        PYTHON,
        "langchain_client",
        {
            "refused": "OpenAIRateLimitError",
            "unknown": "OpenAIModelNotFoundError",
            "failing": "OpenAIAPIError",
            "breaking": "APIError",
        },
    ),
    # It asks again around the SDK below it, which sees `x-should-retry: false` and would not.
    "llama-index": Client(PYTHON, "llama_index_client", OPENAI, asks=3),
    "pydantic-ai": Client(
        PYTHON,
        "pydantic_ai_client",
        {
            **dict.fromkeys(("refused", "unknown", "failing"), "ModelHTTPError"),
            "breaking": "APIError",
        },
    ),
    "litellm": Client(
        PYTHON,
        "litellm_client",
        {**OPENAI, "failing": "BadGatewayError", "breaking": "MidStreamFallbackError"},
    ),
    "instructor": Client(
        PYTHON, "instructor_client", {**OPENAI, "breaking": "InstructorRetryException"}
    ),
    "openai-js": Client(NODE, "openai_client", OPENAI),
    # It looks at the status only. In a stream it throws the error object as it came.
    "ai-sdk": Client(
        NODE,
        "ai_sdk_client",
        {
            "refused": "RetryError",
            "unknown": "APICallError",
            "failing": "RetryError",
            "breaking": "Object",
        },
        asks=3,
    ),
}


# ---- what is played

FORMATS: Final = ("openai", "anthropic")
SCENARIOS: Final = ("chat", "stream", "tools", "tools_streamed", "structured")
PLAYED: Final = (
    *(f"{scenario}/{form}" for scenario in SCENARIOS for form in FORMATS),
    *(f"held/held-{form}" for form in FORMATS),
    *(f"breaking/breaking-{form}" for form in FORMATS),
    "refused/openai",
    "unknown/nobody",
    "failing/failing",
)


def configuration() -> str:
    """A model a format that answers, one that is slow, one that breaks off; a held route each."""
    models = [
        (f"{name}{form}", form, f"cheap-{does}")
        for form in FORMATS
        for name, does in (("", "right"), ("slow-", "slow"), ("breaking-", "resetmid"))
    ]
    models.append(("failing", "openai", "cheap-error500"))
    return "\n".join(
        [
            "redis: {url: '${REDIS_URL}', timeout_ms: 5000}",  # it is not what is tried here
            "providers:",
            "  openai: {dialect: openai, base_url: '${SIMULATOR_URL}/openai/v1', api_key: x}",
            "  anthropic: {dialect: anthropic, base_url: '${SIMULATOR_URL}/anthropic', api_key: x}",
            "models:",
            *(
                f"  {name}: {{deployments: [{{provider: {form}, upstream: {upstream}}}], {ABOUT}}}"
                for name, form, upstream in models
            ),
            "tiers:",
            *(f"  tier-{form}: {{models: [slow-{form}]}}" for form in FORMATS),
            "routes:",
            *(f"  held-{form}: {{tiers: [tier-{form}], checks: [complete]}}" for form in FORMATS),
            "tenants:",
            "  acme: {keys: [{id: k1, hash: '${HASH}'}], budgets: [{usd: 5, per: day}]}",
            "  poor: {keys: [{id: k1, hash: '${POOR}'}], budgets: [{usd: 0.0000001, per: day}]}",
        ]
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(shared_redis: EmbeddedRedis) -> AsyncIterator[Running]:
    env = {"REDIS_URL": shared_redis.url, "POOR": f"sha256:{sha256(POOR.encode()).hexdigest()}"}
    with pytest.MonkeyPatch.context() as patched:
        # So that held answers have comments before them that every client must pass over.
        patched.setattr(door, "ClientStream", partial(ClientStream, quiet_s=0.05))
        async with running(configuration(), env) as started:
            yield started


class Told(NamedTuple):
    """What a client said of each scenario, how often each error was told to it."""

    client: Client
    of: dict[str, dict[str, Any]]
    denied: Counter[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=CLIENTS)
async def told(
    service: Running, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Told:
    client = CLIENTS[request.param]
    need(client.way)
    await service.begin("acme")
    out = await printed(
        [*client.command, f"{service.url}/v1", KEY, POOR, *PLAYED], tmp_path_factory.mktemp("home")
    )
    denied = Counter(event.code for event in service.events if isinstance(event, Denied))
    return Told(client, json.loads(out.splitlines()[-1]), denied)


# ---- what should come of it

TEXT: Final = "17*23 = 391."
TOKENS: Final = [4, 3]
"""As the simulator counts the question and its answer."""
ANSWER: Final = {"answer": 391, "kind": "product", "steps": ["steps"]}
CALLED: Final = {"called": "multiply", "arguments": {"a": 1, "b": 1}, "text": TEXT}


@pytest.mark.parametrize("form", FORMATS)
async def test_an_answer(told: Told, form: str) -> None:
    assert told.of[f"chat/{form}"] == {"text": TEXT, "tokens": TOKENS}


@pytest.mark.parametrize(
    ("played", "pieces"), [("stream/{}", 3), ("held/held-{}", 1)], ids=["flowing", "held"]
)
@pytest.mark.parametrize("form", FORMATS)
async def test_a_stream(told: Told, form: str, played: str, pieces: int) -> None:
    """As it comes from the provider, and whole, after comments."""
    got = told.of[played.format(form)]
    if told.client is CLIENTS["instructor"]:
        assert got == {"made": ANSWER, "pieces": 6 if pieces > 1 else 1}
    elif told.client is CLIENTS["llama-index"]:
        assert got == {"text": TEXT, "pieces": pieces}
    else:
        assert got == {"text": TEXT, "pieces": pieces, "tokens": TOKENS}


@pytest.mark.parametrize("scenario", ["tools", "tools_streamed"])
@pytest.mark.parametrize("form", FORMATS)
async def test_a_tool_and_its_result(told: Told, form: str, scenario: str) -> None:
    """Instructor's tool is the answer itself."""
    want = ANSWER if told.client is CLIENTS["instructor"] else CALLED
    assert told.of[f"{scenario}/{form}"] == want


@pytest.mark.parametrize("form", FORMATS)
async def test_a_structured_answer(told: Told, form: str) -> None:
    assert told.of[f"structured/{form}"] == ANSWER


@pytest.mark.parametrize(
    ("played", "status", "says"),
    [
        ("refused/openai", 429, "The budget of tenant poor, $0.0000001 per day,"),
        ("unknown/nobody", 404, "The model 'nobody' does not exist here"),
        ("failing/failing", 502, "No model answered: "),
    ],
)
async def test_an_error(told: Told, played: str, status: int, says: str) -> None:
    got = told.of[played]
    assert (got["raised"], got["status"]) == (told.client.raises[played.partition("/")[0]], status)
    assert says in got["said"]


@pytest.mark.parametrize("form", FORMATS)
async def test_a_stream_that_breaks_off(told: Told, form: str) -> None:
    """It is told in the stream, which had begun: no client takes it for an answer."""
    got = told.of[f"breaking/breaking-{form}"]
    assert got["raised"] == told.client.raises["breaking"]
    assert "the provider's answer broke off" in got["said"]


async def test_nobody_is_asked_in_vain(told: Told) -> None:
    """`x-should-retry: false` is for those who would ask again what cannot be answered."""
    asks = told.client.asks
    assert told.denied == {
        "budget_exceeded": asks, "no_answer": asks, "model_not_found": 1, "broken": len(FORMATS),
    }  # fmt: skip


async def test_the_books_balance(told: Told, service: Running) -> None:
    """To the nano-dollar, but for broken streams of one that declares tools: without usage we count
    them, and the simulator's tokenizer reads only messages.
    """
    if told.client.program != "instructor_client":
        await service.audit("acme")
        return
    await service.simulator.idle()
    await service.audit_ours("acme")
    settled = [event.record for event in service.events if isinstance(event, Settled)]
    calls = service.simulator.bill.calls
    assert sum(each.cost for each in settled if not each.counted) == sum(
        call.cost for call in calls if call.whole
    )
    counted = [each for each in settled if each.counted]
    broken = [call for call in calls if not call.whole]
    assert len(counted) == len(broken)
    assert sum(call.cost for call in broken) <= sum(each.cost for each in counted)
    assert all(each.cost <= each.held for each in counted)
