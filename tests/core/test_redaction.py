"""What is hidden in whatever is written, and what is not."""

from typing import Final

import msgspec
import pytest

from gateway.core.redaction import HIDDEN, Redactor, secrets_of
from tests.config.texts import SOUND, snapshot

SECRET: Final = 'p"ss/wörd\\with all'
PLAIN: Final = Redactor()
KEEPER: Final = Redactor([SECRET, "short", "another-secret"])


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcdef0123456789",
        "sk-canary-4711",
        "tg-acme-0123456789abcdefghijklmnopqrstuvwxyz",
        "gsk_abcdef0123456789",
        "hf_abcdef0123456789",
        "xai-abcdef0123456789",
        "csk-abcdef0123456789",
        "AIzaSyA0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "Bearer abcdef.0123+4567/8==",
        "bearer  abcdef01",
        "BEARER abcdef01",
    ],
)
@pytest.mark.parametrize(
    "around",
    ["{}", "my key: {}; no", '"{}"', "a={}&b", "\n{}\n", "\t{}", "x,{},y", "\x0b{}", "é{}"],
)
def test_a_key_is_hidden_wherever_it_stands(key: str, around: str) -> None:
    text = around.format(key)
    hidden = around.format(HIDDEN)
    assert PLAIN.text(text) == PLAIN.names[text] == hidden
    assert PLAIN.bytes(text.encode()) == hidden.encode()
    written = PLAIN.bytes(msgspec.json.encode({"k": text}))
    assert msgspec.json.decode(written) == {"k": hidden}


@pytest.mark.parametrize(
    "text",
    [
        "a risk-averse disk-space task-forces",
        "sk-learn",
        "the bearer of news",
        "tg-1",
        "2026-11-22T06:29:52Z",
        "claude-sonnet-4-6 gpt-5-mini",
        "",
    ],
)
def test_words_stay(text: str) -> None:
    assert PLAIN.text(text) == text
    assert PLAIN.bytes(text.encode()) == text.encode()


@pytest.mark.parametrize(
    "form",
    [SECRET, msgspec.json.encode(SECRET).decode()[1:-1], "p%22ss%2Fw%C3%B6rd%5Cwith%20all"],
    ids=["itself", "in JSON", "in a URL"],
)
def test_what_is_configured_is_hidden(form: str) -> None:
    assert KEEPER.text(f"<{form}>") == f"<{HIDDEN}>"
    assert KEEPER.bytes(f"<{form}>".encode()) == f"<{HIDDEN}>".encode()


def test_what_is_too_short_is_a_word() -> None:
    assert KEEPER.text("a short one") == "a short one"


def test_another_configuration_adds_to_what_is_hidden() -> None:
    redactor = Redactor(["the-first-secret"])
    assert redactor.names["the-second-secret"] == "the-second-secret"
    redactor.reconfigure(["the-second-secret"])
    assert redactor.names["the-second-secret"] == HIDDEN
    assert redactor.text("the-first-secret") == HIDDEN


def test_a_configurations_secrets() -> None:
    """Keys, the pepper, passwords of URLs, parts of a webhook; no name that everybody is told."""
    text = SOUND.replace("regions: [eu]", "regions: [eu], api_key: the-key-of-it").replace(
        "tenants:",
        "keys: {pepper: 0123456789abcdef0123456789abcdef}\n"
        "redis: {url: 'rediss://me:pass%2Fword@redis.example:6379/0'}\n"
        "alerts: {webhook: 'https://hooks.example/T123/B456789?token=abcdefgh'}\n"
        "usage: {sink: 'postgresql://us:sinkpassword@db.example/usage'}\n"
        "tenants:",
        1,
    )
    found = secrets_of(snapshot(text))
    assert {
        "the-key-of-it", "0123456789abcdef0123456789abcdef", "pass/word", "pass%2Fword",
        "B456789", "abcdefgh", "sinkpassword",
    } <= found  # fmt: skip
    assert not {"embedded", "memory", "redis.example", "usage"} & found
