"""What every way of calling providers promises of calls that prove who makes them."""

import asyncio
import json
import re
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from gateway import __version__
from gateway.app import open_upstream
from gateway.core.catalog import Deployment, Model
from gateway.core.errors import Misconfigured, UpstreamError
from gateway.core.money import FREE, Nanos
from gateway.core.plan import Candidate
from gateway.core.ports import Upstream
from gateway.core.snapshot import (
    Auth,
    AwsAuth,
    AzureAuth,
    BearerAuth,
    GoogleAuth,
    Provider,
    Secret,
    Timeouts,
)
from gateway.drivers.upstream.signing import open_signers
from tests.config.texts import SOUND, snapshot
from tests.contracts.aws import refusal
from tests.contracts.provided import SSE, Provided, chunk, sized
from tests.contracts.test_upstream import ANSWER, EVENT, LAST, UPSTREAMS, asked, both
from tests.wire import bedrock_streams as bedrock

NOON: Final = 1_764_072_000.0
REGION: Final = "eu-west-1"
CANARY: Final = "canary-0123456789abcdefABCDEF"
KEYS: Final = AwsAuth(REGION, "AKIAEXAMPLE", Secret(CANARY))
TEMPORARY: Final = AwsAuth(REGION, "ASIAEXAMPLE", Secret(CANARY), Secret(f"{CANARY}//token=="))
SECRETS: Final = {"AKIAEXAMPLE": CANARY, "ASIAEXAMPLE": CANARY}

CONVERSED: Final = sized(json.dumps({
    "output": {"message": {"role": "assistant", "content": [{"text": "hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4},
}).encode())  # fmt: skip
CONVERSING: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
    + chunk(
        bedrock.BEGIN
        + bedrock.text(0, "hello")
        + bedrock.stop(inputTokens=3, outputTokens=1, totalTokens=4)
    )
    + chunk(b"")
)
EXPIRED: Final = sized(
    b'{"message":"The security token included in the request is expired"}',
    "403 Forbidden",
    "x-amzn-errortype: ExpiredTokenException",
    "connection: close",
)
GENERATED: Final = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": "hello"}]}, "finishReason": "STOP"}
    ],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4},
}
SAID: Final = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 1},
}


@dataclass
class Clock:
    now: float = NOON

    def __call__(self) -> float:
        return self.now


@dataclass
class Signed:
    """One provider, behind the client that is on trial."""

    upstream: Upstream
    provider: Provided
    candidate: Candidate
    clock: Clock
    shown: list[object] = field(default_factory=list)

    async def get(self, way: str) -> str:
        if way == "send":
            answer = await self.upstream.send(self.candidate, asked(), timeout_s=60)
            return answer.first.text or ""
        text = ""
        async with aclosing(self.upstream.stream(self.candidate, asked(), timeout_s=60)) as deltas:
            async for some in deltas:
                text += "".join(choice.text for delta in some for choice in delta.choices)
        return text

    def arrived(self) -> tuple[str, dict[str, str]]:
        """The last request's target and headers."""
        first, *lines = self.provider.heads[-1].decode().strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}
        return first.split(" ")[1], headers

    def refusal(self, secrets: dict[str, str] = SECRETS) -> str | None:
        """What AWS would say of the last request."""
        head, body = self.provider.heads[-1], self.provider.bodies[-1]
        return refusal(head, body, secrets, REGION, self.clock())


Meet = Callable[..., Awaitable[Signed]]


@pytest.fixture(params=UPSTREAMS)
async def meet(request: pytest.FixtureRequest) -> AsyncIterator[Meet]:
    async with AsyncExitStack() as stack:

        async def make(
            auth: Auth,
            sends: bytes,
            *,
            dialect: str = "bedrock",
            base: str = "",
            model: str = "anthropic.claude-x-v1:0",
            key: str | None = None,
            env: dict[str, str] | None = None,
        ) -> Signed:
            provider = Provided(sends)
            stack.callback((await provider.open()).close)
            url = f"http://127.0.0.1:{provider.port}{base}"
            at = Provider("p", dialect, url, None if key is None else Secret(key), auth=auth)
            clock = Clock()
            signers = await stack.enter_async_context(open_signers({"p": at}, env or {}, clock))
            client = UPSTREAMS[request.param]
            upstream = client({"p": at}, Timeouts(connect_s=60), signers)
            here = Deployment("m@p", "p", model)
            candidate = Candidate(Model("m", (here,), FREE, 9, 9, 9), here, "none", 9, Nanos(0))
            opened = await stack.enter_async_context(upstream)
            return Signed(opened, provider, candidate, clock, [at, signers, candidate, upstream])

        yield make


def converse(way: str) -> bytes:
    return CONVERSED if way == "send" else CONVERSING


# AWS -----------------------------------------------------------------------------------------

MODELS: Final = {
    "anthropic.claude-x": "anthropic.claude-x",
    "eu.anthropic.claude-x-v1:0": "eu.anthropic.claude-x-v1%3A0",
    "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.claude:0": (
        "arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.claude%3A0"
    ),
}


@both
@pytest.mark.parametrize("auth", [KEYS, TEMPORARY], ids=["keys", "session token"])
@pytest.mark.parametrize("model", MODELS)
async def test_aws_would_accept_what_arrives(
    meet: Meet, way: str, auth: AwsAuth, model: str
) -> None:
    bench = await meet(auth, converse(way), model=model)
    assert await bench.get(way) == "hello"
    target, headers = bench.arrived()
    assert target == f"/model/{MODELS[model]}/{'converse' if way == 'send' else 'converse-stream'}"
    assert bench.refusal() is None
    assert headers.get("x-amz-security-token") == auth.session_token
    assert headers["user-agent"] == f"tollgate/{__version__}"
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    assert "user-agent" not in signed.split(";"), "a proxy may change it"


async def test_the_verifier_can_refuse(meet: Meet) -> None:
    bench = await meet(KEYS, CONVERSED)
    await bench.get("send")
    head, body = bench.provider.heads[-1], bench.provider.bodies[-1]
    for wrong, why in {
        (head, body + b" ", CANARY, NOON): "wrong signature",
        (head.replace(b"%3A0", b":0"), body, CANARY, NOON): "wrong signature",
        (head, body, "another", NOON): "wrong signature",
        (head, body, CANARY, NOON + 400): "signed at 20251125T120000Z",
    }.items():
        told, said, secret, now = wrong
        assert refusal(told, said, {"AKIAEXAMPLE": secret}, REGION, now) == why


def closing(answer: bytes) -> bytes:
    """The provider here answers once a connection: it must say so."""
    return answer.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)


@both
async def test_each_call_is_signed_at_its_own_time(meet: Meet, way: str) -> None:
    bench = await meet(KEYS, closing(converse(way)))
    for day in ("20251125", "20251126"):
        await bench.get(way)
        assert bench.refusal() is None
        assert bench.arrived()[1]["x-amz-date"] == f"{day}T120000Z"
        bench.clock.now += 86_400


def profile(secret: str) -> str:
    return f"[default]\naws_access_key_id=ASIA{secret}\naws_secret_access_key={CANARY}{secret}\n"


@both
async def test_expired_keys_are_read_again_once(meet: Meet, way: str, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text(profile("1"))
    env = {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_EC2_METADATA_DISABLED": "true"}
    bench = await meet(AwsAuth(REGION), EXPIRED, env=env)
    used = []
    for written in ("2", "3", "4"):
        with pytest.raises(Misconfigured, match="is expired") as caught:
            await bench.get(way)
        unsaid(bench, caught.value)
        used.append(re.findall(r"Credential=ASIA(\d)", bench.arrived()[1]["authorization"]))
        file.write_text(profile(written))
    # The first refusal had the file read again; those soon after it did not.
    assert used == [["1"], ["2"], ["2"]]
    bench.clock.now += 60
    for _ in range(2):
        with pytest.raises(Misconfigured):
            await bench.get(way)
    bench.provider.sends = converse(way)
    assert await bench.get(way) == "hello"
    assert bench.refusal({"ASIA4": f"{CANARY}4"}) is None


@both
async def test_no_credentials_ask_nobody(meet: Meet, way: str) -> None:
    env = {"AWS_EC2_METADATA_DISABLED": "true"}
    bench = await meet(AwsAuth(REGION), converse(way), env=env)
    with pytest.raises(Misconfigured, match="no AWS credentials in the environment"):
        await bench.get(way)
    assert bench.provider.heads == []


@both
@pytest.mark.parametrize("client", UPSTREAMS)
async def test_the_gateway_signs_with_what_its_environment_has(client: str, way: str) -> None:
    provider = Provided(converse(way))
    server = await provider.open()
    stanza = f'{{dialect: bedrock, base_url: "http://127.0.0.1:{provider.port}"'
    text = SOUND.replace('{dialect: openai, base_url: "http://localhost:8000/v1"', stanza)
    text = text.replace("regions: [eu]", f"auth: {{aws: {{region: {REGION}}}}}")
    found = snapshot(f"{text}client: {client}\n")
    model = found.catalog.models["m1"]
    candidate = Candidate(model, model.deployments[0], "none", 9, Nanos(0))
    env = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": CANARY}
    async with open_upstream(found, env) as upstream:
        bench = Signed(upstream, provider, candidate, Clock(time.time()))
        assert await bench.get(way) == "hello"
    server.close()
    assert bench.refusal() is None


# Azure, Google, bearer -----------------------------------------------------------------------

CHATTED: Final = {"send": sized(ANSWER), "stream": SSE + chunk(EVENT + LAST) + chunk(b"")}


@both
async def test_azure_has_the_deployment_in_its_path(meet: Meet, way: str) -> None:
    bench = await meet(
        AzureAuth("2024-10-21"), CHATTED[way], dialect="openai", base="/openai", key=CANARY,
        model="my deployment",
    )  # fmt: skip
    assert await bench.get(way) == "hello"
    target, headers = bench.arrived()
    path = "/openai/deployments/my%20deployment/chat/completions"
    assert target == f"{path}?api-version=2024-10-21"
    assert headers["api-key"] == CANARY
    assert "authorization" not in headers


def told(body: object, way: str) -> bytes:
    text = json.dumps(body).encode()
    return sized(text) if way == "send" else SSE + chunk(b"data: " + text + b"\n\n") + chunk(b"")


@both
async def test_google_gets_its_machines_token(meet: Meet, way: str) -> None:
    given = json.dumps({"access_token": CANARY, "expires_in": 3600, "token_type": "Bearer"})
    metadata = Metadata(sized(given.encode()))
    server = await metadata.open()
    env = {"GCE_METADATA_HOST": f"127.0.0.1:{metadata.port}"}
    answer = closing(told(GENERATED, way))
    bench = await meet(
        GoogleAuth(), answer, dialect="gemini", base="/v1/publishers/google", env=env
    )
    for _ in range(3):
        assert await bench.get(way) == "hello"
    server.close()
    target, headers = bench.arrived()
    assert target.startswith("/v1/publishers/google/models/")
    assert CANARY not in target
    assert headers["authorization"] == f"Bearer {CANARY}"
    assert "x-goog-api-key" not in headers
    assert len(metadata.heads) == 1, "one token serves many calls"


@dataclass
class Metadata(Provided):
    """The metadata server: its requests have no body."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.sends)
        await writer.drain()
        writer.close()


async def test_bearer_in_place_of_the_dialects_own(meet: Meet) -> None:
    bench = await meet(BearerAuth(), told(SAID, "send"), dialect="anthropic", key=CANARY)
    assert await bench.get("send") == "hello"
    _, headers = bench.arrived()
    assert headers["authorization"] == f"Bearer {CANARY}"
    assert "x-api-key" not in headers


# Secrets -------------------------------------------------------------------------------------


def unsaid(bench: Signed, error: BaseException) -> None:
    """No key or token is in an error, what led to it, or in what holds it."""
    shown = "".join(traceback.format_exception(error)) + repr(error)
    shown += "".join(map(repr, bench.shown))
    assert CANARY not in shown


@both
@pytest.mark.parametrize(
    ("auth", "dialect", "key"),
    [
        (TEMPORARY, "bedrock", None),
        (AzureAuth("2024-10-21"), "openai", CANARY),
        (BearerAuth(), "anthropic", CANARY),
        (GoogleAuth(), "gemini", None),
    ],
    ids=["aws", "azure", "bearer", "google"],
)
async def test_no_secret_is_shown(
    meet: Meet, way: str, auth: Auth, dialect: str, key: str | None, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(0)
    file = tmp_path / "account.json"
    account = {"client_email": "a@b", "token_uri": "http://127.0.0.1:9", "private_key": CANARY}
    file.write_text(json.dumps({"type": "service_account", **account}))
    env = {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}
    for sends in (EXPIRED, b"", b"SSH-2.0\r\n\r\n", sized(b"{", length=9)):
        bench = await meet(auth, sends, dialect=dialect, key=key, env=env)
        with pytest.raises(UpstreamError) as caught:
            await bench.get(way)
        unsaid(bench, caught.value)
    assert CANARY not in caplog.text
