"""`tollgate check` and `tollgate key new`, without the command line around them."""

import hashlib
import io
import re
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from rich.console import Console

from gateway.commands.check import check
from gateway.commands.explain import explain_request, show
from gateway.commands.key import new_key
from gateway.config.faults import ConfigError
from gateway.core.packages import how_to_install
from gateway.core.snapshot import Ledger, Snapshot
from gateway.stores import log_fault, sink_fault
from tests.config.texts import NO_ENV, SOUND, snapshot

MORE: Final = """\
redis: {url: memory}
tiers: {cheap: {models: [m1]}}
"""
UNSEEN: Final = "x" * 300
"""Nobody can look whether it is there, as in a folder that is shut: root meets none."""


def write(folder: Path, text: str) -> list[Path]:
    path = folder / "f.yaml"
    path.write_text(text, "utf-8")
    return [path]


def up(found: Snapshot) -> tuple[str | None, list[str]]:
    return None, []


def there(ledger: Ledger) -> str | None:
    return None


def test_a_sound_configuration(tmp_path: Path) -> None:
    price = "{input: 1, output: 2, cached_input: 0.1, audio_input: 3}"
    m2 = f"  m2: {{deployments: [{{provider: local}}], context: 1, price: {price}}}\n"
    text = SOUND.replace("tenants:", f"{m2}tenants:")
    text += "    keys: [{id: k1, hash: 'sha256:" + "0" * 64 + "'}]\n  open: {anonymous: true}\n"
    lines, code = check(write(tmp_path, text + "  shut:\n" + MORE), NO_ENV, up, there)
    assert (lines, code) == (
        [
            "1 provider, 2 models, 1 tier, 0 routes, 3 tenants",
            "prices: 1 catalog, 1 free",
            "  m1: free",
            (
                "  m2: input 1, output 2, cached input 0.1, audio input 3, audio output 2, "
                "cached audio input 3 USD per million tokens, from catalog"
            ),
            "provider keys: 0 of 1; without: local",
            "warning: keys.pepper is not set: keys are kept as plain SHA-256",
            "warning: tenant acme: key k1 is a placeholder: tollgate key new acme",
            "warning: tenant open: anonymous: anyone who reaches the gateway spends its money",
            "warning: tenant open: no budget: its spending is only counted",
            "warning: tenant shut: no key: nobody can use it; tollgate key new shut",
            "warning: tenant shut: no budget: its spending is only counted",
            "warning: redis.url is memory: every restart begins with full budgets",
            "redis: answers",
            "ok",
        ],
        0,
    )


STEPPED: Final = SOUND.replace(
    "price: free", "price: {input: 1, output: 2, steps: [{above: 90, input: 3, output: 4}]}"
)


def test_a_price_that_rises_with_the_prompt(tmp_path: Path) -> None:
    lines, _ = check(write(tmp_path, STEPPED), NO_ENV, up, there)
    assert lines[2] == (
        "  m1: input 1, output 2 USD per million tokens, from catalog; "
        "dearer for prompts above 90 tokens"
    )


def test_explain_tells_the_step_that_is_held_for() -> None:
    found = snapshot(STEPPED)
    body = b'{"model": "m1", "messages": [{"role": "user", "content": "x"}]}'
    told = explain_request(found, body, found.tenants["acme"])
    out = io.StringIO()
    show(told, Console(file=out, width=200))
    line = "local/m1: 1 in, 2 out USD per million tokens; 3 in, 4 out for a prompt above 90"
    assert f"{line}, held for\n" in out.getvalue()


GUARDED: Final = (
    SOUND
    + """
routes:
  auto: {tiers: [t, u], guard: {}}
  moved: {tiers: [t], canary: {route: auto, share: 1}}
  plain: {tiers: [t, u]}
tiers: {t: {models: [m1]}, u: {models: [m1]}}
"""
)


@pytest.mark.parametrize(
    ("route", "guard", "canary"),
    [
        ("auto", {"state": "unknown"}, None),
        ("moved", {"state": "unknown"}, "auto"),
        ("plain", None, None),
    ],
)
def test_explain_says_what_only_a_gateway_knows(
    route: str, guard: dict[str, str] | None, canary: str | None
) -> None:
    found = snapshot(GUARDED)
    body = b'{"model": "%b", "messages": [{"role": "user", "content": "x"}]}' % route.encode()
    told = explain_request(found, body, found.tenants["acme"])
    assert (told["guard"], told["canary"]) == (guard, canary)
    out = io.StringIO()
    show(told, Console(file=out, width=200))
    assert ("ask by --gateway URL" in out.getvalue()) == (guard is not None)
    assert (f"canary {canary};" in out.getvalue()) == (canary is not None)


def test_the_worst_is_that_of_whatever_a_guard_has_seen() -> None:
    """Where the last tier answers in place of all and declines, another vendor below is asked."""
    dear = SOUND.replace("price: free", "price: {input: 1, output: 2}").replace(
        "models:", "  other: {dialect: openai, base_url: 'http://other:8000/v1'}\nmodels:", 1
    )
    dear = dear.replace(
        "tenants:",
        "  m2: {deployments: [{provider: other}], context: 1000, price: {input: 3, output: 6}}\n"
        "tiers: {t: {models: [m1]}, u: {models: [m2], checks: [not_refused]}}\n"
        "routes:\n"
        "  plain: {tiers: [t, u]}\n"
        "  auto: {tiers: [t, u], guard: {}}\n"
        "tenants:",
    )
    found = snapshot(dear)

    def told(route: str) -> dict[str, Any]:
        body = b'{"model": "%b", "messages": [{"role": "user", "content": "x"}]}' % route.encode()
        return explain_request(found, body, found.tenants["acme"])

    plain, auto = told("plain"), told("auto")
    both = sum(rung["candidates"][0]["worst_usd"] for rung in plain["rungs"])
    assert auto["rungs"] == plain["rungs"]
    assert plain["cost_usd"]["worst"] < auto["cost_usd"]["worst"]
    assert auto["cost_usd"]["worst"] == pytest.approx(both)


def test_explain_tells_a_step_that_is_not_reached() -> None:
    found = snapshot(STEPPED.replace("above: 90", "above: 900"))
    body = b'{"model": "m1", "messages": [{"role": "user", "content": "x"}]}'
    told = explain_request(found, body, found.tenants["acme"])
    out = io.StringIO()
    show(told, Console(file=out, width=200))
    assert "3 in, 4 out for a prompt above 900\n" in out.getvalue()


@pytest.mark.parametrize(
    ("budgets", "warned"),
    [
        ("", ["no budget: its spending is only counted"]),
        ("max_request_usd: 1", []),
        ("budgets: [{usd: 1, per: day}]", []),
        ("budgets: [{usd: 1, per: day, rolling: true}, {at_once: 3}]", []),
        ("budgets: [{at_once: 3}]", ["no hard budget in usd: what it spends in all has no bound"]),
        (
            "budgets: [{usd: 1, per: day, mode: soft}, {usd: 9, per: day, mode: shadow}]",
            ["no hard budget in usd: what it spends in all has no bound"],
        ),
        ("organisation: globex", []),
    ],
)
def test_what_bounds_a_tenant(budgets: str, warned: list[str], tmp_path: Path) -> None:
    text = SOUND[: SOUND.index("tenants:")] + f"tenants: {{acme: {{{budgets}}}}}\n"
    text += "organisations: {globex: {budgets: [{usd: 1, per: day}]}}\n"
    lines, _ = check(write(tmp_path, text), NO_ENV, up, there)
    start = "warning: tenant acme: "
    told = [line.removeprefix(start) for line in lines if line.startswith(start)]
    assert [line for line in told if "no key" not in line] == warned
    assert lines[0].endswith("1 tenant, 1 organisation" if "globex" in budgets else "1 tenant")


@pytest.mark.parametrize("installed", [True, False])
def test_a_provider_that_needs_what_is_not_installed(
    installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed:
        monkeypatch.setitem(sys.modules, "google.auth", None)
    text = SOUND.replace("regions: [eu]", "auth: {google: {}}")
    lines, code = check(write(tmp_path, text), NO_ENV, up, there)
    warned = [line for line in lines if "google-auth is not installed: local can" in line]
    assert (len(warned), code) == (0 if installed else 1, 0)


@pytest.mark.parametrize(
    ("sink", "package", "extra"),
    [
        ("parquet:./usage", "pyarrow", "pyarrow>=20"),
        ("postgresql://ann:pw@db/usage", "asyncpg", "asyncpg>=0.30"),
        ("jsonl:./usage", "", ""),
    ],
)
def test_a_sink_that_needs_what_is_not_installed(
    sink: str, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write(tmp_path, f"{SOUND}\nusage: {{sink: '{sink}'}}\n")
    lines, code = check(paths, NO_ENV, up, there)
    assert (lines[-2:], code) == (["redis: answers", "ok"], 0)
    for name in ("pyarrow", "asyncpg"):
        monkeypatch.setitem(sys.modules, name, None)
    lines, code = check(paths, NO_ENV, up, there)
    why = (
        f"usage.sink: {package} is not installed: a gateway does not start without it; "
        f"pip install '{extra}'"
    )
    assert (lines[-2:], code) == (
        ([why, "redis: answers"], 1) if package else (["redis: answers", "ok"], 0)
    )


def test_traces_that_need_what_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write(tmp_path, f"{SOUND}\notel: {{endpoint: 'http://localhost:4318/v1/traces'}}\n")
    assert check(paths, NO_ENV, up, there)[1] == 0
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    lines, code = check(paths, NO_ENV, up, there)
    why = "otel: opentelemetry is not installed: a gateway does not start without it; "
    assert (lines[-2], code) == (why + how_to_install("otel"), 1)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_usage_that_cannot_be_kept_is_warned_of(tmp_path: Path, kind: str) -> None:
    """A gateway begins all the same: its ledger keeps the records for a while."""
    taken = tmp_path / "taken"
    taken.touch()
    for folder, why in (
        (tmp_path / "new/usage", None),
        (taken / "usage", "Not a directory"),
    ):
        text = f"{SOUND}\nusage: {{sink: '{kind}:{folder}'}}\n"
        lines, code = check(write(tmp_path, text), NO_ENV, up, there)
        told = [line for line in lines if "usage.sink" in line]
        kept = "records wait in the ledger, which keeps the newest"
        warned = f"warning: usage.sink: cannot write to {folder}: {why}: {kept}"
        assert (told, code) == ([warned] if why else [], 0)
    assert not (tmp_path / "new").exists()


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """It is seen, and no file is made."""
    for to, why in (
        (tmp_path / "none/life.log", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (tmp_path / "life.log", None),
    ):
        lines, code = check(write(tmp_path, f"{SOUND}\nlog: {{to: {to}}}\n"), NO_ENV, up, there)
        told = [line for line in lines if line.startswith("log.to: ")]
        do = "make its folder, or let the gateway write there"
        assert told == ([f"log.to: cannot write to {to}: {why}; {do}"] if why else [])
        assert code == (1 if why else 0)
    assert not (tmp_path / "life.log").exists()


def test_a_path_that_nobody_can_look_at(tmp_path: Path) -> None:
    path = tmp_path / UNSEEN / "it"
    assert log_fault(str(path)) == f"cannot write to {path}: File name too long"
    assert sink_fault(f"jsonl:{path}") == f"cannot write to {path}: File name too long"


def test_redis_is_asked_with_what_was_loaded(tmp_path: Path) -> None:
    asked = []

    def down(found: Snapshot) -> tuple[str | None, list[str]]:
        asked.append(found)
        return "cannot be reached", ["appendonly is no"]

    lines, code = check(write(tmp_path, SOUND), NO_ENV, down, there)
    assert lines[-2:] == ["warning: redis: appendonly is no", "redis: cannot be reached"]
    assert code == 1
    assert asked == [snapshot(SOUND)]


@pytest.mark.parametrize(
    ("text", "redis"),
    [
        ("redis: {url: 'redis://one'}", ["redis: redis://one is away"]),
        ("", ["redis: answers"]),
        ("redis: {url: 'redis://one', timeout_ms: 0}", []),
        ("redis: {url: 'redis://${NOBODY}'}", []),
        ("reddis: {url: 'redis://one'}", []),
    ],
    ids=["named", "left out", "faulty", "unset", "misspelt"],
)
def test_every_fault_is_told_at_once(tmp_path: Path, text: str, redis: list[str]) -> None:
    """Also whether the ledger is there, where it can be said which that is."""
    paths = write(tmp_path, f"{SOUND.replace('usd: 1', 'usd: 0')}a: 1\n{text}\n")

    def never(found: Snapshot) -> tuple[str | None, list[str]]:
        pytest.fail("opened")

    def away(ledger: Ledger) -> str | None:
        return None if ledger.url == "embedded" else f"{ledger.url} is away"

    lines, code = check(paths, NO_ENV, never, away)
    faults = [line.split(": ")[1] for line in lines if "f.yaml" in line]
    assert faults[:2] == ["tenants.acme.budgets[0].usd", "a"]
    assert lines[len(faults) :] == [*redis, f"{len(faults)} faults"]
    assert code == 1


def counting(size: int) -> bytes:
    return bytes(range(size))


def test_a_new_key_and_its_stanza() -> None:
    key, stanza = new_key("acme", counting)
    assert key == "tg-acme-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert re.fullmatch(r"tg-acme-[A-Za-z0-9_-]{43}", key)
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert yaml.safe_load(stanza) == {
        "tenants": {"acme": {"keys": [{"id": "k000102", "hash": f"sha256:{digest}"}]}}
    }
    assert key not in stanza


@pytest.mark.parametrize("tenant", ["acme", "1.0", "no"])
def test_the_stanza_loads(tenant: str) -> None:
    key, stanza = new_key(tenant, counting)
    found = snapshot(SOUND[: SOUND.index("tenants:")] + stanza).tenants[tenant]
    assert found.keys[0].sha256 == hashlib.sha256(key.encode()).hexdigest()


@pytest.mark.parametrize("tenant", ["", "a b", "a/b", "a\nb", "{a}", '"'])
def test_a_name_that_cannot_be_one(tenant: str) -> None:
    with pytest.raises(ConfigError, match="the name must"):
        new_key(tenant, counting)
