"""Which headers a provider's calls carry, and who makes them."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.core.errors import Misconfigured
from gateway.core.snapshot import (
    Auth,
    AwsAuth,
    AzureAuth,
    BearerAuth,
    GoogleAuth,
    Provider,
    Secret,
)
from gateway.drivers.upstream.http_request import Origin, PostBuilder
from gateway.drivers.upstream.provider_calls import ProviderCalls
from gateway.drivers.upstream.signing import AwsSigner, GoogleSigner, fixed_headers, open_signers
from gateway.wire import DIALECTS
from gateway.wire.dialect import HttpCall
from tests.drivers.endpoints import endpoint
from tests.drivers.test_google_tokens import TOKEN, account

KEY: Final = Secret("canary")
AWS: Final = AwsAuth("eu-west-1", "AK", KEY, KEY)
CALL: Final = HttpCall("/x", {"content-type": "application/json"}, b"{}")


def at(auth: Auth | None, dialect: str = "openai", key: Secret | None = KEY) -> Provider:
    return Provider("p", dialect, "http://127.0.0.1:9/v1", key, auth=auth)


@pytest.mark.parametrize(
    ("auth", "dialect", "headers"),
    [
        (None, "openai", {"authorization": "Bearer canary"}),
        (None, "anthropic", {"x-api-key": "canary"}),
        (None, "gemini", {"x-goog-api-key": "canary"}),
        (AzureAuth("2024-10-21"), "openai", {"api-key": "canary"}),
        (BearerAuth(), "anthropic", {"authorization": "Bearer canary"}),
        (BearerAuth(), "gemini", {"authorization": "Bearer canary"}),
        (AWS, "bedrock", {}),
        (GoogleAuth(), "gemini", {}),
    ],
)
def test_headers_that_are_always_the_same(
    auth: Auth | None, dialect: str, headers: Mapping[str, str]
) -> None:
    assert fixed_headers(at(auth, dialect), DIALECTS[dialect]) == headers


async def test_only_who_needs_a_signer_has_one() -> None:
    providers = {
        "own": at(None),
        "azure": at(AzureAuth("2024-10-21")),
        "bearer": at(BearerAuth()),
        "aws": at(AWS, "bedrock", None),
        "google": at(GoogleAuth(), "gemini", None),
    }
    async with open_signers(providers, {}, lambda: 0.0) as signers:
        assert {name: type(signer) for name, signer in signers.items()} == {
            "aws": AwsSigner,
            "google": GoogleSigner,
        }
        ProviderCalls(providers, signers)
    with pytest.raises(ValueError, match="the provider aws has no signer"):
        ProviderCalls(providers)


def test_a_call_without_a_proof_is_written_as_ever() -> None:
    posts = PostBuilder(Origin("http://h/v1"), {"api-key": "k"})
    head = "POST /v1/x HTTP/1.1\r\nhost: h\r\napi-key: k\r\ncontent-type: application/json\r\n"
    assert posts.build(CALL) == f"{head}content-length: 2\r\n\r\n{{}}".encode()
    proved = posts.build(CALL, {"x-amz-date": "now"})
    assert proved == f"{head}content-length: 2\r\nx-amz-date: now\r\n\r\n{{}}".encode()
    assert posts.build(CALL) == f"{head}content-length: 2\r\n\r\n{{}}".encode()


async def test_a_token_is_fetched_without_holding_up_the_loop(tmp_path: Path) -> None:
    """While the endpoint does not answer, everything else goes on; all callers get one token."""
    arrived, proceed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    with endpoint({"POST /token": (200, TOKEN)}) as there:
        reply = there.reply

        def late(asked: Any) -> tuple[int, bytes]:
            loop.call_soon_threadsafe(arrived.set)
            asyncio.run_coroutine_threadsafe(proceed.wait(), loop).result(5)
            return reply(asked)

        there.reply = late  # type: ignore[method-assign]
        file = tmp_path / "account.json"
        file.write_text(json.dumps(account(there)))
        env = {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}
        signer = GoogleSigner(GoogleAuth(), env, lambda: 1_000.0)
        calls = [asyncio.create_task(signer.sign("", CALL, 5)) for _ in range(10)]
        await asyncio.wait_for(arrived.wait(), 30)
        assert not any(call.done() for call in calls)
        proceed.set()
        found = await asyncio.gather(*calls)
        assert found == [{"authorization": "Bearer ya29.canary"}] * 10
        await signer.sign("", CALL, 5)
        assert len(there.asked) == 1
        signer.refused()
        await signer.sign("", CALL, 5)
        assert len(there.asked) == 2
        await signer.aclose()


async def test_a_signer_that_fails_says_so_in_our_words() -> None:
    signer = AwsSigner(AwsAuth("eu-west-1", "AK", Secret("two words")), {}, lambda: 0.0)
    with pytest.raises(Misconfigured) as caught:
        await signer.sign("http://h/", CALL, 5)
    assert "two words" not in str(caught.value) + repr(signer)
    await signer.aclose()
