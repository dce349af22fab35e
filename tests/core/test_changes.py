"""What is told of two configurations: names, and never a value."""

import pytest

from gateway.core.changes import changes, fixed
from tests.config.texts import SOUND, snapshot

SECRET = "sk-secret-0123456789"
BASE = SOUND.replace("regions: [eu]}", f"regions: [eu], api_key: {SECRET}}}") + "limits: {}\n"


def test_the_same_text_is_the_same_configuration() -> None:
    assert changes(snapshot(BASE), snapshot(BASE)) == ()


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ("usd: 1,", "usd: 2,", ["tenants.acme changed"]),
        ("per: day", "per: week", ["tenants.acme changed"]),
        ("price: free", "price: {input: 1, output: 2}", ["models.m1 changed"]),
        ("localhost:8000", "localhost:9000", ["providers.local changed"]),
        (SECRET, "another-secret", ["providers.local changed"]),
        ("  acme:", "  other:", ["tenants.acme removed", "tenants.other added"]),
        ("limits: {}", "limits: {in_flight: 7}", ["limits.in_flight changed"]),
        ("limits: {}", "timeouts: {idle_s: 7}", ["timeouts.idle_s changed"]),
        ("limits: {}", "tags: {app: [a, b]}", ["tags.app added"]),
        ("limits: {}", "tiers: {t: {models: [m1]}}", ["tiers.t added"]),
        (
            "limits: {}",
            "tiers: {t: {models: [m1]}}\nroutes: {auto: {tiers: [t]}}",
            ["tiers.t added", "routes.auto added"],
        ),
        ("limits: {}", "client: aiohttp", ["client changed"]),
        ("limits: {}", "keys: {pepper: aaaaaaaaaaaaaaaaaaaa}", ["keys.pepper added"]),
        ("limits: {}", "alerts: {webhook: 'http://h/s'}", ["alerts.webhook added"]),
        ("limits: {}", "admin: {port: 0}", ["admin added"]),
        ("limits: {}", "redis: {timeout_ms: 7}", ["redis.timeout_ms changed"]),
    ],
)
def test_a_change_is_told_by_its_place(was: str, now: str, told: list[str]) -> None:
    found = changes(snapshot(BASE), snapshot(BASE.replace(was, now, 1)))
    assert [str(each) for each in found] == told
    assert SECRET not in repr(found)


def test_the_order_of_tiers_is_that_of_climbing() -> None:
    one, two = "  a: {models: [m1]}\n", "  b: {models: [m1]}\n"
    old, new = snapshot(f"{BASE}tiers:\n{one}{two}"), snapshot(f"{BASE}tiers:\n{two}{one}")
    assert [str(each) for each in changes(old, new)] == ["tiers (their order) changed"]


@pytest.mark.parametrize(
    ("was", "now", "fields"),
    [
        ("limits: {}", "redis: {url: memory}", ("redis.url",)),
        (
            "limits: {}",
            "redis: {timeout_ms: 9, replicas: 2}",
            ("redis.timeout_ms", "redis.replicas"),
        ),
        ("limits: {}", "usage: {sink: 'jsonl:there'}", ("usage.sink",)),
        ("limits: {}", "admin: {port: 7}", ("admin",)),
        (
            "per: day}]",
            "per: day}]\n    on_ledger_unavailable: allow_local",
            ("tenants.acme.on_ledger_unavailable",),
        ),
        ("usd: 1,", "usd: 2,", ()),
    ],
)
def test_what_needs_a_restart_is_named(was: str, now: str, fields: tuple[str, ...]) -> None:
    assert fixed(snapshot(BASE), snapshot(BASE.replace(was, now, 1))) == fields


def test_of_the_admin_api_its_keys_may_change_and_its_place_may_not() -> None:
    digest = f"sha256:{'1' * 64}"
    keyed = f"admin: {{port: 7, keys: [{{id: a, hash: '{digest}'}}]}}"
    here, moved = (snapshot(BASE + f"admin: {{port: {port}}}\n") for port in (7, 8))
    assert fixed(here, snapshot(BASE + keyed)) == ()
    assert [str(each) for each in changes(here, snapshot(BASE + keyed))] == ["admin.keys changed"]
    assert fixed(here, moved) == ("admin.port",)


def test_who_was_allowed_to_go_on_alone_at_the_start_lets_others() -> None:
    alone = "    on_ledger_unavailable: allow_local\n"
    began = snapshot(SOUND + alone)
    assert (
        fixed(began, snapshot(SOUND + alone + "  more: {on_ledger_unavailable: allow_local}\n"))
        == ()
    )
