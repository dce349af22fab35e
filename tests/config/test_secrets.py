"""A secret never shows, however wrong the rest, or the place it was put in."""

import traceback
from typing import Final

import pytest

from gateway.config.faults import ConfigError
from gateway.config.load import read
from tests.config.texts import SOUND, faults, snapshot

CANARY: Final = "sk-canary-4711"
KEY: Final = "${SECRET}"
ROUTED: Final = """\
tiers: {t1: {models: [m1]}}
routes:
  r: {tiers: [t1], rules: [{name: a, when: {region: [us]}, tiers: [t1]}]}
"""
TAGGED: Final = """\
routes:
  r: {tiers: [t1], rules: [{name: a, when: {tags: {t: [sk-canary-471]}}, tiers: [t1]}]}
tenants:"""


@pytest.mark.parametrize("secret", [CANARY, KEY], ids=["written", "from the environment"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("regions: [eu]", "api_key: ['SECRET_HERE']"),
        ("regions: [eu]", "api_key: {a: 'SECRET_HERE'}"),
        ("regions: [eu]", "api_key: 'two words SECRET_HERE'"),
        ("regions: [eu]", "api_key: !tag 'SECRET_HERE'"),
        ("regions: [eu]", "proxy: 'http://u:SECRET_HERE/w@p:3128'"),
        ("regions: [eu]", "proxy: 'https://u:SECRET_HERE@p'"),
        ("regions: [eu]", "proxy: ['http://u:SECRET_HERE@p:3128']"),
        ("regions: [eu]", "proxy: 'http://SECRET_HERE%0A:SECRET_HERE@p:3128'"),
        ("tenants:", "proxy: 'http://u:SECRET_HERE@p'\ntenants:"),
        ("tenants:", "proxy: {url: 'http://u:SECRET_HERE@p:1'}\ntenants:"),
        ("http://localhost:8000/v1", "http://SECRET_HERE:SECRET_HERE@localhost"),
        ("http://localhost:8000/v1", "http://localhost?key=SECRET_HERE"),
        ("http://localhost:8000/v1", "SECRET_HERE"),
        ("{dialect: openai,", "SECRET_HERE\n  other: {dialect: openai,"),
        ("budgets:", "keys: ['SECRET_HERE']\n    budgets:"),
        ("budgets:", "keys: [{id: 'SECRET_HERE/', hash: 'SECRET_HERE'}]\n    budgets:"),
        ("tenants:", "redis: {url: 'redis://:SECRET_HERE@'}\ntenants:"),
        ("tenants:", "redis: {url: 'mysql://:SECRET_HERE@h'}\ntenants:"),
        ("tenants:", "redis: 'SECRET_HERE'\ntenants:"),
        ("tenants:", "keys: {pepper: 'SECRET_HERE'}\ntenants:"),
        ("tenants:", "keys: {pepper: 'a long one of words SECRET_HERE'}\ntenants:"),
        ("tenants:", "keys: 'SECRET_HERE'\ntenants:"),
        ("tenants:", "admin: {keys: [{id: 'SECRET_HERE/', hash: 'SECRET_HERE'}]}\ntenants:"),
        ("tenants:", "alerts: {webhook: 'ftp://h/SECRET_HERE'}\ntenants:"),
        ("tenants:", "alerts: {webhook: 'https://SECRET_HERE:SECRET_HERE@h/'}\ntenants:"),
        ("tenants:", "alerts: {webhook: ['https://h/SECRET_HERE']}\ntenants:"),
        ("tenants:", "usage: {sink: 'postgresql://:SECRET_HERE@h'}\ntenants:"),
        ("tenants:", "usage: {sink: 'jsonl://SECRET_HERE'}\ntenants:"),
    ],
)
def test_faults_do_not_show_it(old: str, new: str, secret: str) -> None:
    text = SOUND.replace(old, new.replace("SECRET_HERE", secret))
    with pytest.raises(ConfigError) as caught:
        read([("f.yaml", text)], {"SECRET": CANARY})
    assert str(caught.value)
    assert CANARY not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)


@pytest.mark.parametrize(
    "edit",
    [
        ("provider: local", "provider: '${SECRET}'"),
        ("context: 1000", "context: '${SECRET}'"),
        ("per: day", "per: '${SECRET}'"),
        ("price: free", "price: '${SECRET}'"),
        ("price: free", "price: free\n    fallbacks: ['${SECRET}']"),
        ("budgets:", "models: ['${SECRET}']\n    budgets:"),
        ("budgets:", "timezone: '${SECRET}'\n    budgets:"),
        ("tenants:", "tiers: {t: {models: ['${SECRET}']}}\ntenants:"),
        ("tenants:", "tags: {t: ['${SECRET}', '${SECRET}']}\ntenants:"),
        ("tenants:", "tags: {t: '${SECRET}'}\ntenants:"),
        (
            "regions: [eu]}\n",
            "regions: ['${SECRET}']}\n" + ROUTED,
        ),
        ("tenants:", "tags: {t: ['${SECRET}']}\ntiers: {t1: {models: [m1]}}\n" + TAGGED),
        ("budgets:", "organisation: '${SECRET}'\n    budgets:"),
        ("budgets:", "on_ledger_unavailable: '${SECRET}'\n    budgets:"),
        ("tenants:", "routes: {r: {tiers: [], strategy: '${SECRET}'}}\ntenants:"),
        ("tenants:", "routes: {r: {tiers: [], strategy: {vote: {agree: '${SECRET}'}}}}\ntenants:"),
        ("tenants:", "routes: {r: {tiers: [], strategy: {vote:, then: '${SECRET}'}}}\ntenants:"),
        ("tenants:", "tiers: {t: {models: [m1], checks: ['${SECRET}']}}\ntenants:"),
        ("tenants:", "tiers: {t: {models: [m1], checks: [regex: '(${SECRET}']}}\ntenants:"),
    ],
)
def test_nothing_from_the_environment_is_shown(edit: tuple[str, str]) -> None:
    report = faults(SOUND.replace(*edit), {"SECRET": CANARY})
    assert report
    assert CANARY not in "\n".join(report)


@pytest.mark.parametrize(
    "key",
    [
        "https://user:pass-4711@host",
        "https://hooks.example/pass-4711",
        "redis://:pass-4711@host",
        "user:pass-4711@host",
        "hooks.example/pass-4711",
        "Bearer pass-4711",
        "'a key: pass-4711'",
        "sk-pass-4711",
        "pass-4711-and-more-than-any-key-of-ours-has",
    ],
)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tenants:", "alerts:\n  webhook:\n  KEY: x\ntenants:"),
        ("tenants:", "alerts: {webhook: {KEY: x}}\ntenants:"),
        ("tenants:", "KEY: x\ntenants:"),
        ("tenants:", "redis:\n  KEY: x\ntenants:"),
        ("regions: [eu]", "KEY: x"),
        ("regions: [eu]", "auth: {KEY: x}"),
        ("budgets:", "KEY: x\n    budgets:"),
        ("tenants:", "tiers: {t: {models: [m1], checks: [{KEY: x}]}}\ntenants:"),
        ("tenants:", "tiers: {t: {models: [m1], checks: ['KEY']}}\ntenants:"),
        ("tenants:", "routes: {r: {tiers: [], strategy: {KEY: x}}}\ntenants:"),
        ("tenants:", "routes: {r: {tiers: [], strategy: {vote: {KEY: x}}}}\ntenants:"),
    ],
)
def test_a_secret_that_became_a_key_is_told_by_its_place_alone(
    old: str, new: str, key: str
) -> None:
    report = faults(SOUND.replace(old, new.replace("'KEY'", f'"{key}"').replace("KEY", key)))
    assert [line.split(":")[1].isdigit() for line in report] == [True] * len(report) != []
    assert "pass-4711" not in "\n".join(report)


@pytest.mark.parametrize("key", ["https://user:pass-4711@host", "sk-pass-4711"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("m1:", "KEY:"),
        ("provider: local", "provider: KEY"),
        ("context: 1000", "context: KEY"),
        ("tenants:", "tiers: {t: {models: ['KEY']}}\ntenants:"),
        ("tenants:", "tiers: {'KEY': {models: [m2]}}\ntenants:"),
        ("tenants:", "otel: {endpoint: 'http://h/', headers: {KEY: [x]}}\ntenants:"),
    ],
)
def test_nor_is_one_shown_that_became_a_name(old: str, new: str, key: str) -> None:
    assert "pass-4711" not in "\n".join(faults(SOUND.replace(old, new.replace("KEY", key))))


@pytest.mark.parametrize(
    "bad", [f"*{CANARY}", f"'{CANARY}", f'"{CANARY}\\q"', f"%{CANARY}: [", f"!{CANARY}!x y"]
)
def test_broken_yaml_does_not_show_it(bad: str) -> None:
    report = faults(SOUND.replace("regions: [eu]", f"api_key: {bad}"))
    assert report
    assert CANARY not in "\n".join(report)


def test_a_snapshot_does_not_show_it() -> None:
    text = SOUND.replace("regions: [eu]", f'api_key: "{KEY}"')
    text += f"redis: {{url: 'redis://:{KEY}@h'}}\nalerts: {{webhook: 'https://h/{KEY}'}}\n"
    text += f"keys: {{pepper: '{KEY}{KEY}'}}\n"
    found = snapshot(text, {"SECRET": CANARY})
    assert found.providers["local"].api_key == CANARY
    assert CANARY in found.ledger.url
    assert found.alerts.webhook == f"https://h/{CANARY}"
    assert found.pepper == 2 * CANARY
    assert CANARY not in repr(found)
