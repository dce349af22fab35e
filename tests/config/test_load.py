"""What sound YAML becomes."""

from errno import EACCES
from pathlib import Path
from typing import Final, NoReturn

import jsonschema
import pytest
import yaml

from gateway.config.checks import CitationOptions, OneCheck
from gateway.config.faults import ConfigError
from gateway.config.load import load, read, stamp
from gateway.config.schema import schema
from gateway.core.catalog import (
    CASCADE,
    Budget,
    Catalog,
    Check,
    Deployment,
    Key,
    Model,
    Organisation,
    Route,
    Tenant,
    Tier,
    TierModel,
)
from gateway.core.checks import ASKED, CHECKS, fault
from gateway.core.checks.pattern import CITATION
from gateway.core.money import FREE, Nanos, Price
from gateway.core.snapshot import Leasing, Ledger, Limits, Provider, Snapshot, Timeouts
from gateway.core.strategies import tactic
from tests.config.texts import NO_ENV, SOUND, faults, snapshot

WHOLE: Final = """\
redis:
  {url: "redis://:pw@cache:6379/1", data_dir: /data, timeout_ms: 100, hold_ttl_s: 900, replicas: 4,
   lease: {usd: 2.5}}
providers:
  a: {dialect: openai, base_url: "https://a.example/v1/", api_key: "${A_KEY}", regions: [eu, no]}
  b: {dialect: anthropic, base_url: http://b:8000, quirks: [max_tokens]}
models:
  big:
    deployments:
      - {provider: a, upstream: org/big-1, regions: [us], weight: 3}
      - provider: b
    context: 1_000_000
    usable_context: 700000
    max_output: 64000
    capabilities: [vision]
    price: {input: 0.0375, output: 15, cached_input: .3, cache_write: 3.75}
    fallbacks: [small]
    image_tokens: 3_000
  small: {deployments: [{provider: a}], context: 20000, price: {input: 1, output: 4}}
  tiny: {deployments: [{provider: b}], context: 8000, price: free}
tiers:
  smart: {models: [{model: big, weight: 2}, small]}
  cheap: {models: [small], checks: [not_refused, {sql: {dialect: postgres}}, sql, citation]}
routes:
  auto:
    tiers: [cheap, smart]
    checks:
      - complete:
      - json_if_asked: {always: true}
      - json_if_asked
      - regex: '^\\d+$'
      - citation: {pattern: p}
    timeout_s: 2.5
tenants:
  acme:
    keys: [{id: k1, hash: "sha256:HASH", budgets: [{usd: 0.000000001, per: hour}]}]
    budgets: [{usd: 50, per: day}, {usd: 9000000, per: total}]
    user_budgets: [{usd: 2, per: week}]
    max_request_usd: 0.50
    timezone: Europe/Berlin
    models: [auto, "b*"]
    regions: [eu, "no"]
  open: {anonymous: true}
timeouts: {connect_s: 1, answer_s: 2, idle_s: 3}
limits: {body_bytes: 100, json_depth: 5, in_flight: 6, in_flight_per_key: 7}
client: aiohttp
""".replace("HASH", "AB" * 32)


def test_everything_that_can_be_said() -> None:
    eu = frozenset({"eu", "no"})
    assert read([("f.yaml", WHOLE)], {"A_KEY": "secret"}) == Snapshot(
        catalog=Catalog(
            models={
                "big": Model(
                    "big",
                    (
                        Deployment(
                            "a/big", "a", "org/big-1", frozenset({"us"}), 3, caches_unasked=True
                        ),
                        Deployment("b/big", "b", "big"),
                    ),
                    Price(37_500_000, 15_000_000_000, 300_000_000, 3_750_000_000),
                    context=1_000_000,
                    usable_context=700_000,
                    max_output=64_000,
                    capabilities=frozenset({"vision"}),
                    fallbacks=("small",),
                    image_tokens=3_000,
                ),
                "small": Model(
                    "small",
                    (Deployment("a/small", "a", "small", eu),),
                    Price(10**9, 4 * 10**9, 10**9, 10**9),
                    context=20_000,
                    usable_context=20_000,
                    max_output=16_384,
                    output_stated=False,
                    capabilities=frozenset({"tools", "json_schema"}),
                    image_tokens=6_404,
                ),
                "tiny": Model(
                    "tiny",
                    (Deployment("b/tiny", "b", "tiny"),),
                    FREE,
                    context=8_000,
                    usable_context=8_000,
                    max_output=8_000,
                    output_stated=False,
                    capabilities=frozenset({"tools", "json_schema"}),
                    price_from="free",
                    image_tokens=6_404,
                ),
            },
            tiers={
                "smart": Tier("smart", (TierModel("big", 2), TierModel("small"))),
                "cheap": Tier(
                    "cheap",
                    (TierModel("small"),),
                    (
                        Check("not_refused"),
                        Check("sql", {"dialect": "postgres"}),
                        Check("sql"),
                        Check("citation", {"pattern": r"\[\d+\]"}),
                    ),
                ),
            },
            routes={
                "auto": Route(
                    "auto",
                    ("cheap", "smart"),
                    CASCADE,
                    (
                        Check("complete"),
                        Check("json_if_asked", {"always": True}),
                        Check("json_if_asked"),
                        Check("regex", {"pattern": r"^\d+$"}),
                        Check("citation", {"pattern": "p"}),
                    ),
                    2.5,
                )
            },
        ),
        providers={
            "a": Provider("a", "openai", "https://a.example/v1", "secret", eu),  # type: ignore[arg-type]
            "b": Provider("b", "anthropic", "http://b:8000", quirks=frozenset({"max_tokens"})),
        },
        tenants={
            "acme": Tenant(
                "acme",
                (Key("k1", "ab" * 32, (Budget(Nanos(1), "hour"),)),),
                (
                    Budget(Nanos(50 * 10**9), "day"),
                    Budget(Nanos(9_000_000 * 10**9), "total"),
                ),
                (Budget(Nanos(2 * 10**9), "week"),),
                Nanos(500_000_000),
                "Europe/Berlin",
                ("auto", "b*"),
                eu,
            ),
            "open": Tenant("open", anonymous=True),
        },
        ledger=Ledger(
            "redis://:pw@cache:6379/1",
            "/data",
            0.1,
            900.0,
            replicas=4,
            lease=Leasing(2_500_000_000, 20),
        ),
        timeouts=Timeouts(1.0, 2.0, 3.0),
        limits=Limits(100, 5, 6, 7),
        client="aiohttp",
    )


MONEY: Final = """\
providers:
  local: {dialect: openai, base_url: "http://localhost:8000/v1"}
models:
  m1: &m {deployments: [{provider: local}], context: 1000, price: free}
  m2: *m
  m3: *m
tiers:
  cheap: {models: [m1, m2, m3]}
routes:
  auto:
    tiers: [cheap]
    strategy: {vote: {voters: 3, show_votes: true, agree: number}, then: {hedge: {after_ms: 70}}}
    on_disconnect: drain
    drain_s: 12.5
  plain: {tiers: [cheap], strategy: vote}
  compared: {tiers: [cheap], strategy: {vote: {pointers: [/a, /b]}, then: cascade}}
tags: {use_case: [rag, chat], project: any}
organisations:
  globex:
    budgets: [{usd: 1000, per: month}, {tokens: 5_000_000, per: minute}]
    model_budgets: {"*": [{usd: 3, per: week, rolling: true}]}
    provider_budgets: {local: [{requests: 7, per: minute, mode: shadow}]}
    timezone: Europe/Berlin
  empty: {}
tenants:
  acme:
    organisation: globex
    keys: [{id: k1, hash: "sha256:HASH", budgets: [{at_once: 4}]}]
    budgets: [{usd: 50, per: day}, {usd: 40, per: day, mode: soft}, {at_once: 9, mode: shadow}]
    tag_budgets: {use_case: [{usd: 2, per: day}], project: [{requests: 3, per: total}]}
    model_budgets: {m1: [{tokens: 5, per: hour}]}
    provider_budgets: {"*": [{usd: 1, per: total}]}
    on_ledger_unavailable: allow_local
  alone: {}
alerts: {webhook: "https://hooks.example/${TOKEN}?a=b"}
""".replace("HASH", "AB" * 32)


def test_everything_that_can_be_said_of_money() -> None:
    found = read([("f.yaml", MONEY)], {"TOKEN": "s3cret"})
    globex = Organisation(
        "globex",
        (Budget(1000 * 10**9, "month"), Budget(5_000_000, "minute", "tokens")),
        {"*": (Budget(3 * 10**9, "week", rolling=True),)},
        {"local": (Budget(7, "minute", "requests", mode="shadow"),)},
        "Europe/Berlin",
    )
    assert found.tenants == {
        "acme": Tenant(
            "acme",
            (Key("k1", "ab" * 32, (Budget(4, "total", "at_once"),)),),
            (
                Budget(50 * 10**9, "day"),
                Budget(40 * 10**9, "day", mode="soft"),
                Budget(9, "total", "at_once", mode="shadow"),
            ),
            organisation=globex,
            tag_budgets={
                "use_case": (Budget(2 * 10**9, "day"),),
                "project": (Budget(3, "total", "requests"),),
            },
            model_budgets={"m1": (Budget(5, "hour", "tokens"),)},
            provider_budgets={"*": (Budget(10**9, "total"),)},
            on_ledger_unavailable="allow_local",
        ),
        "alone": Tenant("alone"),
    }
    assert found.tags == {"use_case": ("rag", "chat"), "project": ()}
    assert found.alerts.webhook == "https://hooks.example/s3cret?a=b"
    asked = {"voters": 3, "show_votes": True, "agree": "number"}
    assert [route.strategy for route in found.catalog.routes.values()] == [
        tactic("vote", asked, tactic("hedge", {"after_ms": 70})),
        tactic("vote"),
        tactic("vote", {"pointers": ("/a", "/b")}, tactic("cascade")),
    ]
    auto, plain, _ = found.catalog.routes.values()
    assert (auto.on_disconnect, auto.drain_s) == ("drain", 12.5)
    assert (plain.on_disconnect, plain.drain_s) == ("cancel", 30.0)


def test_an_editor_takes_the_same() -> None:
    jsonschema.validate(yaml.safe_load(MONEY), schema())


@pytest.mark.parametrize(
    "stanza",
    [
        "routes: {r: {tiers: [cheap], strategy: {vote: {}, hedge: {}, repair: {}}}}",
        "routes: {r: {tiers: [cheap], strategy: {vote: {voter: 2}}}}",
        "routes: {r: {tiers: [cheap], strategy: polls}}",
        "tenants: {acme: {budgets: [{usd: 1, tokens: 2, per: day}]}}",
        "tenants: {acme: {budgets: [{per: day}]}}",
        "tenants: {acme: {budgets: [{usd: 1}]}}",
        "tenants: {acme: {budgets: [{usd: -1, per: day}]}}",
        "tenants: {acme: {tag_budgets: [{usd: 1, per: day}]}}",
        "tags: {use_case: []}",
        "tags: {use_case: all}",
    ],
)
def test_an_editor_marks(stanza: str) -> None:
    whole = yaml.safe_load(MONEY) | yaml.safe_load(stanza)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(whole, schema())


def test_the_checks_are_those_of_the_core() -> None:
    assert set(OneCheck.model_fields) == {*CHECKS, *ASKED}
    catalog = read([("f.yaml", WHOLE)], {"A_KEY": "x"}).catalog
    checks = catalog.routes["auto"].checks + catalog.tiers["cheap"].checks
    assert [fault(check) for check in checks] == [None] * len(checks)
    assert CitationOptions().pattern == CITATION


def test_the_order_of_tiers_is_the_order_of_climbing() -> None:
    assert list(read([("f.yaml", WHOLE)], {"A_KEY": "x"}).catalog.tiers) == ["smart", "cheap"]


def test_what_need_not_be_said() -> None:
    found = snapshot(SOUND)
    assert (found.ledger, found.timeouts, found.limits) == (Ledger(), Timeouts(), Limits())
    assert found.providers["local"].api_key is None


@pytest.mark.parametrize(
    ("written", "region"),
    [
        ("no", "no"), ("on", "on"), ("1.0", "1.0"), ("12:30", "12:30"), ("0x1F", "0x1F"),
        ("2026-01-01", "2026-01-01"), ('"eu"', "eu"), ("1_0", "1_0"),
    ],
)  # fmt: skip
def test_a_text_is_what_was_written(written: str, region: str) -> None:
    """Not what YAML 1.1 makes of it: a boolean, a float, a number to the base of 60, a date."""
    text = SOUND.replace("[eu]", f"[{written}]")
    assert snapshot(text).providers["local"].regions == {region}


@pytest.mark.parametrize(
    ("written", "env", "key"),
    [
        ("${K}", {"K": "v"}, "v"),
        ("a-${K}-b-${K}", {"K": "v"}, "a-v-b-v"),
        ("${K:-d}", {"K": "v"}, "v"),
        ("${K:-d}", {"K": ""}, "d"),
        ("${K:-d}", {}, "d"),
        ("$${K}", {"K": "v"}, "${K}"),
        ("$$K$", {"K": "v"}, "$$K$"),
        ("${K}", {"K": "${L}"}, "${L}"),
    ],
)
def test_interpolation(written: str, env: dict[str, str], key: str) -> None:
    text = SOUND.replace("regions: [eu]", f'api_key: "{written}"')
    assert snapshot(text, env).providers["local"].api_key == key


@pytest.mark.parametrize("written", ["1.0e-05", "1e-5", ".1E-4", "0.00001", "10e-6"])
def test_an_amount_with_an_exponent(written: str) -> None:
    text = SOUND + f"    max_request_usd: {written}\n"
    assert snapshot(text).tenants["acme"].max_request == 10_000


def test_a_number_from_the_environment() -> None:
    text = SOUND + "limits: {in_flight: '${N:-50}'}\n"
    assert snapshot(text).limits.in_flight == 50
    assert snapshot(text, {"N": "7"}).limits.in_flight == 7


def test_an_anchor_is_shared() -> None:
    text = SOUND.replace("[eu]", "&here [eu]").replace("acme:\n", "acme:\n    regions: *here\n")
    assert snapshot(text).tenants["acme"].regions == frozenset({"eu"})


@pytest.mark.parametrize(
    "url",
    [
        "embedded",
        "memory",
        "redis://h",
        "rediss://u:p@h:1/2?ssl_ca_certs=/a/ca.pem",
        "unix:///run/x.sock",
        "redis+sentinel://u:p@h:1,h2,[::1]:3/money/1?sentinel_password=x",
        "rediss+cluster://h,h2:2",
    ],
)
def test_redis_urls(url: str) -> None:
    assert snapshot(f"{SOUND}redis: {{url: '{url}'}}\n").ledger.url == url


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    return folder


def test_a_folder_is_its_files_in_name_order(tmp_path: Path) -> None:
    tiers = "tiers: {zero: {models: [m1]}}\nredis: {data_dir: d}\n"
    more = "tiers: {one: {models: [m1]}}\nredis: {url: memory}\n"
    write(tmp_path, b_sound=SOUND, c_more=more, a_tiers=tiers)
    (tmp_path / "notes.txt").write_text("not: [yaml", "utf-8")
    found = load([tmp_path], NO_ENV)
    assert list(found.catalog.tiers) == ["zero", "one"]
    assert found.ledger == Ledger("memory", "d")


@pytest.mark.parametrize("empty", ["a_empty", "z_empty"])
def test_a_section_may_be_empty_in_one_of_them(tmp_path: Path, empty: str) -> None:
    """All of its entries are commented out there."""
    sections = "tenants:\n  # acme: {}\nproviders:\nmodels:\nredis:\nlimits:\n"
    write(
        tmp_path, **{empty: sections, "b_sound": SOUND + "redis: {url: memory}\n", "c": "limits:\n"}
    )
    found = load([tmp_path], NO_ENV)
    assert [*found.tenants] == [*snapshot(SOUND).tenants]
    assert found.ledger.url == "memory"


def test_but_a_key_that_is_no_section_may_not(tmp_path: Path) -> None:
    write(tmp_path, a=SOUND + "client: own\n", b="client:\n", c="tenants:\n")
    with pytest.raises(ConfigError, match=r"b\.yaml:1: client: is already given in .*a\.yaml:11$"):
        load([tmp_path], NO_ENV)
    (tmp_path / "a.yaml").write_text("providers:\nmodels:\n")
    (tmp_path / "b.yaml").unlink()
    with pytest.raises(ConfigError) as caught:
        load([tmp_path], NO_ENV)
    assert [fault.message for fault in caught.value.faults] == ["at least one is required"] * 3


def test_the_same_entry_in_two_files_names_both(tmp_path: Path) -> None:
    more = "models:\n  m1: {context: big}\nlimits: 1\n"
    write(tmp_path, a=SOUND + "limits: {in_flight: 2}\n", b=more)
    with pytest.raises(ConfigError) as caught:
        load([tmp_path], NO_ENV)
    assert str(caught.value).replace(f"{tmp_path}/", "").split("\n") == [
        "b.yaml:2: models.m1: is already given in a.yaml:4",
        "b.yaml:3: limits: is already given in a.yaml:11",
    ]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "bytes.yaml").write_bytes(b"a: 1\nb: \xff\n")
    write(tmp_path, syntax="a: [", env="a: ${NONE}")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "gone.yaml").symlink_to("nowhere.yaml")
    (tmp_path / "links" / ".#lock.yaml").symlink_to("me@here")
    names = ["none.yaml", "empty", "bytes.yaml", "syntax.yaml", "env.yaml", "links", "x" * 256]
    with pytest.raises(ConfigError) as caught:
        load([tmp_path / name for name in names], NO_ENV)
    assert sorted(str(caught.value).replace(f"{tmp_path}/", "").split("\n")) == [
        "bytes.yaml:2: is not UTF-8",
        "empty: has no .yaml file in it",
        "env.yaml:1: a: environment variable NONE is not set",
        "links/gone.yaml: cannot be read: No such file or directory",
        "none.yaml: cannot be read: No such file or directory",
        "syntax.yaml:1: is not valid YAML: expected the node content, but found '<stream end>'",
        f"{'x' * 256}: cannot be read: File name too long",
    ]


def test_a_folder_that_may_not_be_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(path: Path, *, follow_symlinks: bool = True) -> NoReturn:
        raise PermissionError(EACCES, "Permission denied")

    # Who runs the tests may be allowed to look into everything.
    monkeypatch.setattr(Path, "stat", locked)
    file = tmp_path / "gateway.yaml"
    with pytest.raises(ConfigError) as caught:
        load([file], NO_ENV)
    assert str(caught.value) == f"{file}: cannot be read: Permission denied"
    assert stamp([file]) == ()


@pytest.mark.parametrize("fault", ["not to be read", "a link to nothing"])
def test_that_a_file_is_mended_which_could_not_be_read_is_seen(tmp_path: Path, fault: str) -> None:
    """By who has an older configuration meanwhile, and is told that there are faults."""
    (tmp_path / "a.yaml").write_text(SOUND)
    file = tmp_path / "b.yaml"
    if fault == "a link to nothing":
        file.symlink_to(tmp_path / "none")
        unreadable = stamp([tmp_path])
        file.unlink()
    else:
        file.touch(mode=0)
        unreadable = stamp([tmp_path])
        file.chmod(0o644)
    assert stamp([tmp_path]) != unreadable


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes(b"\xef\xbb\xbf" + SOUND.encode())
    assert load([tmp_path / "f.yaml"], NO_ENV) == snapshot(SOUND)


def test_ids_are_unique_in_a_tenant_and_hashes_everywhere() -> None:
    keys = "keys: [{id: k1, hash: 'sha256:" + "a" * 64 + "'}]"
    other = keys.replace("aaaa", "bbbb")
    assert faults(SOUND + f"  b: {{{keys}}}\n  c: {{{other}}}\n") == []
    assert faults(SOUND + f"  b: {{{keys}}}\n  c: {{{keys}}}\n") == [
        "f.yaml:12: tenants.c.keys[0].hash: is the hash of tenants.b.keys[0] already"
    ]
