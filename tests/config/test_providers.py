"""Provider stanzas: how calls are signed."""

from typing import Final

import pytest

from gateway.core.snapshot import (
    GOOGLE_SCOPE,
    Auth,
    AwsAuth,
    AzureAuth,
    BearerAuth,
    GoogleAuth,
    Secret,
)
from tests.config.texts import SOUND, snapshot

CANARY: Final = "sk-canary-4711"
KEYS: Final = "access_key_id: A, secret_access_key: s, session_token: t"


@pytest.mark.parametrize(
    ("written", "auth"),
    [
        ("api_key: k", None),
        ("api_key: k, auth: {bearer: true}", BearerAuth()),
        ("api_key: k, auth: {azure: {api_version: 2024-10-21}}", AzureAuth("2024-10-21")),
        ("auth: {aws: {region: eu-west-1}}", AwsAuth("eu-west-1")),
        ("auth: {aws: {region: us-gov-west-1, profile: p}}", AwsAuth("us-gov-west-1", profile="p")),
        (
            f"auth: {{aws: {{region: eu-west-1, {KEYS}}}}}",
            AwsAuth("eu-west-1", "A", Secret("s"), Secret("t")),
        ),
        ("auth: {google: {}}", GoogleAuth(None, (GOOGLE_SCOPE,))),
        (
            "auth: {google: {credentials: sa.json, scopes: ['https://x/auth/a']}}",
            GoogleAuth("sa.json", ("https://x/auth/a",)),
        ),
    ],
)
def test_ways_to_sign(written: str, auth: Auth | None) -> None:
    text = SOUND.replace("regions: [eu]", written)
    assert snapshot(text).providers["local"].auth == auth


def test_its_secrets_are_not_shown() -> None:
    keys = f"access_key_id: A, secret_access_key: {CANARY}, session_token: {CANARY}"
    text = SOUND.replace("regions: [eu]", f"auth: {{aws: {{region: eu-west-1, {keys}}}}}")
    assert CANARY not in repr(snapshot(text))
