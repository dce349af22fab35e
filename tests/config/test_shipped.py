"""The files that are shipped: they load, fit the schema, and have not drifted."""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml

from gateway.config import publish
from gateway.config.load import load
from gateway.config.schema import schema
from gateway.core.snapshot import Snapshot
from gateway.simulator.behaviours import BEHAVIOURS
from gateway.simulator.bill import price_of
from tests.config.test_load import WHOLE
from tests.config.texts import SOUND, faults

ROOT: Final = Path(__file__).resolve().parents[2]
KEYS: Final = {"OPENAI_API_KEY": "a", "ANTHROPIC_API_KEY": "b", "GROQ_API_KEY": "c"}
SIMULATOR: Final = {"SIMULATOR_URL": "http://127.0.0.1:9"}
VALIDATOR: Final = jsonschema.Draft202012Validator(schema())
DEMO_KEY: Final = "tg-acme-demo-key-000000000000000000000000"


def gateway() -> Snapshot:
    return load([ROOT / "config/gateway.yaml"], KEYS)


def demo() -> Snapshot:
    return load([ROOT / "config/demo.yaml"], SIMULATOR)


def test_the_schema_file_is_fresh() -> None:
    current = (ROOT / publish.SCHEMA_FILE).read_text("utf-8")
    assert current == publish.schema_text(), "run python -m gateway.config.publish"


def test_the_manual_is_fresh() -> None:
    current = (ROOT / publish.MANUAL_FILE).read_text("utf-8")
    assert current == publish.manual_text(current), "run python -m gateway.config.publish"
    assert "| `max_request_usd` |" in current


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def problems(value: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(value)]


@pytest.mark.parametrize("file", ["gateway.yaml", "demo.yaml"])
def test_shipped_files_fit_the_schema(file: str) -> None:
    text = (ROOT / "config" / file).read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=gateway.schema.json\n")
    assert problems(yaml.safe_load(text)) == []


def test_an_editor_takes_what_we_take() -> None:
    whole = yaml.safe_load(WHOLE.replace("eu, no", "eu, 'no'").replace("complete:\n", "complete\n"))
    assert problems(whole) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dialect: openai", "dialect: x"),
        ("context: 1000", "contxt: 1000"),
        ("context: 1000", "context: big"),
        ("price: free", "price: fre"),
        ("usd: 1", "usd: 9000001"),
        ("usd: 1, ", ""),
        ("per: day", "per: fortnight"),
        ("  m1:", "  a/b:"),
        ("tenants:", "tiers: {t: {models: [m1], checks: [complet]}}\ntenants:"),
        ("tenants:", "tiers: {t: {models: [m1], checks: [{regex: p, sql: d}]}}\ntenants:"),
        ("regions: [eu]", "api_key:"),
        ("regions: [eu]", "auth: {azure:}"),
        ("price: free", "price:"),
        ("price: free", "price: free\n    max_output:"),
        ("tenants:", "redis: {lease:}\ntenants:"),
        ("tenants:", "redis: {hold_ttl_s: 10000000000}\ntenants:"),
        ("budgets:", "regions:\n    budgets:"),
    ],
)
def test_an_editor_refuses_what_we_refuse(old: str, new: str) -> None:
    assert problems(yaml.safe_load(SOUND)) == faults(SOUND) == []
    assert problems(yaml.safe_load(SOUND.replace(old, new)))
    assert faults(SOUND.replace(old, new))


ROUTED: Final = """\
tiers: {t: {models: [m1]}}
routes:
  r:
    tiers: [t]
    rules: [{name: a, when: {hours: {from: '${X}', to: '06:00'}}, tiers: [t]}]
"""


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("tenants:", "tiers: {t: {models: ['${X}']}}\ntenants:", "m1"),
        ("tenants:", "keys: {pepper: '${X}'}\ntenants:", "a" * 16),
        ("price: free", "price: free\n    cutoff: '${X}'", "2026-01"),
        (
            "price: free",
            "price: free\n    deprecated: {since: '${X}', use_instead: m1}",
            "2026-01-01",
        ),
        (
            "price: free",
            "price: {input: 1, output: 1, windows: [{hours: '${X}', factor: 0.5}]}",
            "16:30-00:30",
        ),
        (
            "tenants:",
            "tiers: {t: {models: [m1], checks: [{python: {defines: '${X}'}}]}}\ntenants:",
            "f",
        ),
        (
            "tenants:",
            f"{ROUTED}tenants:",
            "22:00",
        ),
        ("usd: 1", "usd: '1e-4'", ""),
    ],
)
def test_an_editor_takes_a_variable_where_we_do(old: str, new: str, value: str) -> None:
    text = SOUND.replace(old, new)
    assert faults(text, {"X": value}) == []
    assert problems(yaml.safe_load(text)) == []


def test_an_editor_refuses_a_year_that_is_none() -> None:
    assert problems(yaml.safe_load(SOUND.replace("price: free", "price: free\n    cutoff: 5")))


def test_an_editor_takes_a_mapping_that_may_be_empty() -> None:
    text = SOUND + "tiers: {t: {models: [m1], checks: [{complete:}, {sql:}]}}\n"
    text += (
        "routes: {r: {tiers: [t], rules: [{name: a, when:, tiers: [t]}]}}\norganisations: {o:}\n"
    )
    text += "".join(f"{name}:\n" for name in ("log", "admin", "redis", "alerts", "usage", "keys"))
    text += "".join(f"{name}:\n" for name in ("timeouts", "limits", "server", "tags"))
    text = text.replace("tenants:", "tenants:\n  other:")
    assert problems(yaml.safe_load(text)) == faults(text) == []
    bare = SOUND + "tiers:\nroutes:\norganisations:\n"
    assert problems(yaml.safe_load(bare)) == faults(bare) == []


@pytest.mark.parametrize("section", ["providers", "models", "tenants"])
def test_but_not_one_that_must_have_something_in_it(section: str) -> None:
    bare = {**yaml.safe_load(SOUND), section: None}
    assert problems(bare)
    assert faults(yaml.safe_dump(bare))


def test_an_editor_takes_the_short_form_of_a_webhook() -> None:
    text = SOUND + "tiers: {t: {models: [m1], checks: [{webhook: 'http://localhost/'}]}}\n"
    assert problems(yaml.safe_load(text)) == faults(text) == []


def test_gateway_yaml_needs_only_the_providers_keys() -> None:
    found = gateway()
    assert list(found.catalog.tiers) == ["cheap", "mid", "smart"]
    assert {model.price_from for model in found.catalog.models.values()} == {"genai-prices"}
    assert {name for name, provider in found.providers.items() if provider.api_key} == {
        "openai", "anthropic", "groq",
    }  # fmt: skip


@pytest.mark.parametrize("file", ["config/gateway.yaml", "deploy/kubernetes/base/gateway.yaml"])
def test_an_example_knows_of_its_models_what_the_catalog_knows(file: str, tmp_path: Path) -> None:
    """A field that a model refuses leads to a dearer one, and a bill that is not foreseen passes
    its hold.
    """
    tenants = tmp_path / "tenants.yaml"
    tenants.write_text("tenants: {acme: {anonymous: true}}", "utf-8")
    env = {**KEYS, "TOLLGATE_REDIS_URL": "embedded", "TOLLGATE_KEY_HASH": f"sha256:{'1' * 64}"}
    shelf = [ROOT / "config/providers.yaml", ROOT / "config/models.yaml", tenants]
    known = facts(load(shelf, env))
    example = facts(load([ROOT / file], env))
    assert example == {where: known[where] for where in example}


def facts(snapshot: Snapshot) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Of each model at each host, by the host's address and the name of the model there: what is
    not sent to it, how it is told else, and what it may be billed at.
    """
    return {
        (host.base_url, deployment.upstream): (
            host.quirks if deployment.quirks is None else deployment.quirks,
            host.lacks if deployment.lacks is None else deployment.lacks,
            model.token_factor,
            model.image_tokens,
            model.price.search,
            model.price.input,
            model.price.output,
        )
        for model in snapshot.catalog.models.values()
        for deployment in model.deployments
        for host in (snapshot.providers[deployment.provider],)
    }


def test_nobody_gets_in_before_a_key_is_made() -> None:
    tenants = gateway().tenants.values()
    assert not any(tenant.anonymous for tenant in tenants)
    assert {key.sha256 for tenant in tenants for key in tenant.keys} == {"0" * 64}


@pytest.mark.parametrize("model", ["claude-opus-4-7", "gpt-5"])
def test_the_example_tenant_can_ask_every_model_without_a_limit(model: str) -> None:
    """Its max_request_usd covers the longest answer and a prompt of 50,000 tokens."""
    found = gateway()
    entry, cap = found.catalog.models[model], found.tenants["acme"].max_request
    assert cap is not None
    assert entry.max_output * entry.price.output + 50_000 * entry.price.input <= cap * 10**6


def test_demo_prices_are_the_simulators_own() -> None:
    for model in demo().catalog.models.values():
        for deployment in model.deployments:
            price = price_of(deployment.upstream)
            assert (model.price.input, model.price.output) == (price.input, price.output), (
                model.name
            )
            assert model.price.cached_input == model.price.cache_write == price.input, model.name


def test_the_demo_has_every_behaviour_in_two_formats() -> None:
    models = demo().catalog.models
    for prefix, provider in (("sim", "sim-openai"), ("claude-sim", "sim-anthropic")):
        for behaviour in BEHAVIOURS:
            (deployment,) = models[f"{prefix}-{behaviour.name}"].deployments
            assert (deployment.provider, deployment.upstream) == (
                provider, f"cheap-{behaviour.name}",
            )  # fmt: skip


def test_the_demo_key() -> None:
    tenants = demo().tenants
    assert tenants["demo"].anonymous
    assert tenants["acme"].keys[0].sha256 == hashlib.sha256(DEMO_KEY.encode()).hexdigest()
    assert DEMO_KEY in (ROOT / "config/demo.yaml").read_text("utf-8")


def test_the_schema_is_json_that_ends_in_a_line() -> None:
    text = (ROOT / publish.SCHEMA_FILE).read_text("utf-8")
    assert json.loads(text)["title"] == "Tollgate configuration"
