"""`tollgate key`, as a person types it: on an embedded ledger that no gateway has open."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway.__main__ import app
from gateway.config.load import load
from gateway.core.keys import digest_of
from gateway.web.issuer import MOST_OVERLAP_S
from tests.config.texts import SOUND

PEPPER = "0123456789abcdef"
Run = Callable[..., Result]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    folder = f"redis: {{url: embedded, data_dir: '{tmp_path}/ledger', timeout_ms: 5000}}\n"
    path.write_text(f"{SOUND}{folder}keys: {{pepper: {PEPPER}}}\n")
    return path


@pytest.fixture
def run(config: Path) -> Run:
    def tollgate(*words: str, code: int = 0, here: Path = config) -> Result:
        done = CliRunner().invoke(app, ["key", *words, "--config", str(here)])
        assert done.exit_code == code, done.output
        return done

    return tollgate


def read(done: Result) -> Any:
    return json.loads(done.stdout)


def test_a_key_from_its_making_to_its_end(run: Run) -> None:
    budget = '{"usd": 0.5, "per": "day"}'
    limits = ("--model", "m*", "--region", "eu", "--days", "2", "--budget", budget)
    told = read(run("new", "acme", "--save", "--json", *limits))
    key, key_id = told.pop("key"), told["id"]
    assert key.startswith("tg-acme-")
    assert (told["models"], told["regions"], told["last4"]) == (["m*"], ["eu"], key[-4:])
    assert told["expires_at"] - told["created_at"] == 2 * 86_400
    assert told["budgets"] == [{"usd": 0.5, "mode": "hard", "per": "day", "rolling": False}]
    assert read(run("list", "--json")) == {"object": "list", "data": [told]}
    after = read(run("rotate", key_id, "--overlap", "60", "--json"))
    assert (len(after["former_until"]), after["key"] == key) == (1, False)
    told = read(run("revoke", key_id, "--json"))
    assert told == {"id": key_id, "object": "key", "deleted": True}
    assert read(run("list", "--json"))["data"] == []


def test_what_a_person_reads(run: Run) -> None:
    made = run("new", "acme", "--save", "--model", "m1").stdout
    key, key_id = made.split()[0], made.split()[-1].rstrip(".")
    assert "Shown once." in made
    row = run("list").stdout.splitlines()[1].split()
    assert row[:4] == [key_id, "acme", "store", key[-4:]]
    assert row[-2:] == ["models", "m1"]
    assert "valid 60 s more" in run("rotate", key_id, "--overlap", "60").stdout
    assert run("revoke", key_id).stdout == f"{key_id} is revoked.\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("new", "nobody", "--save"), "'tenant' must be a tenant of the configuration."),
        (("new", "--save"), "'tenant' must be a tenant of the configuration."),
        (("new", "a b"), "the name must be of letters"),
        (("new", "acme", "--save", "--model", "x"), None),
        (("new", "acme", "--save", "--region", "mars"), "No deployment is in any of these regions"),
        (("new", "acme", "--save", "--budget", '{"usd": 0}'), "'budgets[0].usd' must be above 0"),
        (("rotate", "key_none"), "There is no key of this id."),
        (("rotate", "key_none", "--overlap", f"{MOST_OVERLAP_S}"), "There is no key of this id."),
        (("revoke", "key_none"), "There is no key of this id."),
    ],
)
def test_each_wrong_line(run: Run, words: tuple[str, ...], told: str | None) -> None:
    if told is None:
        assert read(run(*words, "--json"))["tenant"] == "acme", "the tenant has no such limit"
    else:
        assert told in run(*words, code=1).output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("new",), "whose key? tollgate key new TENANT"),
        (("new", "acme", "--days", "3"), "add --save"),
        (("new", "acme", "--save", "--days", "0"), "--days: must be above 0 and at most 36,600"),
        (("new", "acme", "--save", "--days", "nan"), "--days: must be above 0 and at most 36,600"),
        (("new", "acme", "--admin", "all"), '--admin: must be one of read, write, not "all"'),
        (("new", "acme", "--save", "--budget", "{"), "--budget: not JSON"),
        (("rotate", "key_none", "--overlap", f"{MOST_OVERLAP_S + 1}"), "'--overlap'"),
    ],
)
def test_each_wrong_use(run: Run, words: tuple[str, ...], told: str) -> None:
    assert told in run(*words, code=2).output


def test_a_name_that_nobody_can_have(run: Run) -> None:
    assert "not UTF-8" in run("new", "\udcff", code=1).output


@pytest.mark.parametrize("tenant", ["acme", ""])
@pytest.mark.parametrize("admin", [True, False])
def test_the_stanza_of_a_key_that_is_not_saved_loads(
    run: Run, config: Path, tenant: str, admin: bool
) -> None:
    if not (tenant or admin):
        assert "whose key?" in run("new", "", code=2).output
        return
    rights = ("--admin", "write", "--admin", "read") if admin else ()
    told = read(run("new", tenant, "--json", *rights))
    text = config.read_text()
    if admin:
        config.write_text(text + told["stanza"])
    else:
        config.write_text(
            text[: text.index("tenants:")] + told["stanza"] + text[text.index("redis:") :]
        )
    found = load([config], {})
    digest = digest_of(told["key"], PEPPER)
    if admin:
        assert found.admin is not None
        (record,) = found.admin.keys
        assert (record.digest, record.tenant) == (digest, tenant)
        assert record.scopes.admin == {"read", "write"}
    else:
        (key,) = found.tenants["acme"].keys
        assert (key.peppered, key.sha256) == (True, digest.removeprefix("hmac-sha256:"))


def test_nothing_is_kept_in_memory(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(f"{SOUND}redis: {{url: memory}}\n")
    for words in (("list",), ("new", "acme", "--save"), ("revoke", "key_1")):
        assert "redis.url is memory" in run(*words, code=1, here=other).output


def test_a_configuration_with_faults_is_told(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(f"{SOUND}keys: {{pepper: short}}\n")
    assert "keys.pepper: must be at least 16" in run("list", code=1, here=other).output
