"""Provider stanzas: how calls are signed, what is left out, and those that are shipped."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from gateway.commands.check import check
from gateway.commands.explain import explain_request
from gateway.config.load import load, read
from gateway.core.errors import UnknownModel
from gateway.core.ladder import ladders
from gateway.core.plan import peak_price
from gateway.core.redaction import secrets_of
from gateway.core.snapshot import (
    GOOGLE_SCOPE,
    Auth,
    AwsAuth,
    AzureAuth,
    BearerAuth,
    GoogleAuth,
    Secret,
)
from tests.config.texts import SOUND, faults, snapshot
from tests.recordings import need_shared

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
    text = SOUND.replace("8000/v1", "8000/openai").replace("regions: [eu]", written)
    assert snapshot(text).providers["local"].auth == auth


def test_its_secrets_are_not_shown() -> None:
    keys = f"access_key_id: A, secret_access_key: {CANARY}, session_token: {CANARY}"
    text = SOUND.replace("regions: [eu]", f"auth: {{aws: {{region: eu-west-1, {keys}}}}}")
    assert CANARY not in repr(snapshot(text))


# The proxy on the way there -----------------------------------------------------------------

OWN, ALL = "http://own.example:3128", "http://user:p%40ss@all.example:8080/"


@pytest.mark.parametrize(
    ("written", "scheme", "for_all", "proxy"),
    [
        (None, "https", None, None),
        (OWN, "https", None, OWN),
        (OWN, "http", None, OWN),
        (None, "https", ALL, ALL),
        (None, "http", ALL, None),  # it is within
        (OWN, "https", ALL, OWN),
        (OWN, "http", ALL, OWN),
        ("none", "https", ALL, None),
        ("none", "https", None, None),
        (None, "https", "none", None),
        ("http://[::1]:3128", "https", None, "http://[::1]:3128"),
        ("https://u:p@own.example:8443", "https", ALL, "https://u:p@own.example:8443"),
        (None, "https", "https://all.example:443", "https://all.example:443"),
    ],
)
def test_the_proxy_of_a_provider(
    written: str | None, scheme: str, for_all: str | None, proxy: str | None
) -> None:
    text = SOUND.replace("http://localhost", f"{scheme}://localhost")
    if written:
        text = text.replace("regions: [eu]", f"proxy: '{written}'")
    if for_all:
        text += f"proxy: '{for_all}'\n"
    assert snapshot(text).providers["local"].proxy == proxy


def test_a_proxy_of_the_environment_is_named_or_not_asked() -> None:
    text = SOUND.replace("http://localhost", "https://localhost")
    env = {"HTTPS_PROXY": OWN, "https_proxy": OWN, "ALL_PROXY": OWN}
    assert snapshot(text, env).providers["local"].proxy is None
    named = text + "proxy: '${HTTPS_PROXY:-none}'\n"
    assert snapshot(named, env).providers["local"].proxy == OWN
    assert snapshot(named, {}).providers["local"].proxy is None


def test_its_credentials_are_secrets() -> None:
    text = SOUND.replace("regions: [eu]", f"proxy: 'http://user:{CANARY}@p:1'")
    found = snapshot(text)
    assert CANARY not in repr(found)
    assert {CANARY, f"http://user:{CANARY}@p:1"} <= secrets_of(found)


# Left out while a variable is not set ---------------------------------------------------------

TWO: Final = """\
providers:
  paid: {dialect: openai, base_url: "https://${HOST}/v1", api_key: "${KEY}", optional: true}
  here: {dialect: openai, base_url: "http://here/v1", regions: [eu]}
models:
  both: {deployments: [{provider: paid, regions: [us]}, {provider: here}], context: 9, price: free}
  alone: {deployments: [{provider: paid}], context: 9, price: free}
  free: {deployments: [{provider: here}], context: 9, price: free, fallbacks: [alone, both]}
tenants: {t: {models: [alone, both]}}
"""


@pytest.mark.parametrize(
    ("env", "lacks"),
    [
        ({}, "HOST, KEY not set"),
        ({"HOST": "h"}, "KEY not set"),
        ({"HOST": "h", "KEY": ""}, "KEY not set"),  # as a compose file passes on what is not set
        ({"HOST": "h", "KEY": "k"}, None),
    ],
)
def test_an_optional_provider_needs_all_its_variables(
    env: dict[str, str], lacks: str | None
) -> None:
    found = snapshot(TWO, env)
    assert found.not_configured == ({} if lacks is None else {"paid": lacks})
    assert ("paid" in found.providers) is (lacks is None)


def test_what_only_it_serves_is_left_out_with_it() -> None:
    found = snapshot(TWO).catalog
    assert {name: [d.provider for d in m.deployments] for name, m in found.models.items()} == {
        "both": ["here"], "free": ["here"],
    }  # fmt: skip
    assert found.models["free"].fallbacks == ("both",)
    assert found.left_out == {"alone": "not configured: paid (HOST, KEY not set)"}
    assert ladders(found).keys() == {"both", "here/both", "free", "here/free"}


def test_with_its_key_all_is_there() -> None:
    found = snapshot(TWO, {"HOST": "h", "KEY": "k"}).catalog
    assert found.models.keys() == {"both", "alone", "free"}
    assert found.models["free"].fallbacks == ("alone", "both")
    assert found.left_out == {}


def test_a_region_that_only_it_serves_is_served_by_nobody() -> None:
    report = faults(TWO.replace("models: [alone, both]", "regions: [us]"))
    assert report == [
        "f.yaml:8: tenants.t.regions: no deployment is in any of these regions (known: eu)"
    ]


def test_without_the_word_it_is_a_fault() -> None:
    assert faults(TWO.replace(", optional: true", "")) == [
        "f.yaml:2: providers.paid.base_url: environment variable HOST is not set",
        "f.yaml:2: providers.paid.api_key: environment variable KEY is not set",
    ]


def test_an_explained_request_says_why_a_model_is_not_there() -> None:
    body = b'{"model": "alone", "messages": [{"role": "user", "content": "x"}]}'
    found = snapshot(TWO)
    with pytest.raises(UnknownModel, match=r"not configured: paid \(HOST, KEY not set\)"):
        explain_request(found, body, found.tenants["t"])


# The shipped ones -----------------------------------------------------------------------------

SHIPPED: Final = Path(__file__).resolve().parents[2] / "config/providers.yaml"
STANZAS: Final[dict[str, Any]] = yaml.safe_load(SHIPPED.read_text("utf-8"))["providers"]
NAMED: Final = [  # issue 3, part 3, in its order
    ("OpenAI", "openai"), ("Azure OpenAI", "azure"), ("Anthropic", "anthropic"),
    ("AWS Bedrock", "bedrock-us"), ("AWS Bedrock", "bedrock-eu"),
    ("Google AI Studio", "google-ai-studio"), ("Vertex AI", "vertex-eu"),
    ("Vertex AI", "vertex-global"), ("DeepSeek", "deepseek"), ("Moonshot", "moonshot"),
    ("Mistral", "mistral"), ("xAI", "xai"), ("Groq", "groq"), ("Together", "together"),
    ("Fireworks", "fireworks"), ("DashScope", "dashscope"), ("Zhipu/z.ai", "zai"),
    ("Cerebras", "cerebras"), ("OpenRouter", "openrouter"), ("Hugging Face", "huggingface"),
    ("Databricks", "databricks"), ("Snowflake", "snowflake"), ("Perplexity", "perplexity"),
    ("MiniMax", "minimax"), ("vLLM", "vllm"), ("TGI", "tgi"), ("llama.cpp", "llamacpp"),
    ("Ollama", "ollama"),
]  # fmt: skip
VARIABLES: Final = {
    name: sorted(set(re.findall(r"\$\{(\w+)\}", str(stanza)))) for name, stanza in STANZAS.items()
}
ONE: Final = """\
models: {m: {deployments: [{provider: NAME}], context: 9, price: free}}
tenants: {t: {}}
"""


@pytest.mark.parametrize(("vendor", "name"), NAMED)
def test_every_provider_of_the_field_has_a_stanza(vendor: str, name: str) -> None:
    assert name in STANZAS, f"{vendor} has no stanza"


@pytest.mark.parametrize("name", STANZAS)
def test_a_stanza_is_used_once_its_variables_are_set(name: str) -> None:
    env = {variable: f"eu-{variable.lower()}-1".replace("_", "-") for variable in VARIABLES[name]}
    assert env, "it would always be there, and asked without a key"
    texts = [("providers.yaml", SHIPPED.read_text("utf-8")), ("f.yaml", ONE.replace("NAME", name))]
    found = read(texts, env)
    assert name in found.providers
    for variable in env:
        missing = {key: value for key, value in env.items() if key != variable}
        left = read([*texts, ("other.yaml", ALSO)], missing)
        assert variable in left.not_configured[name]


ALSO: Final = """\
providers: {other: {dialect: openai, base_url: http://other}}
models: {o: {deployments: [{provider: other}], context: 9, price: free}}
"""


def recorded_at() -> dict[str, set[str]]:
    """Where recorded calls of each dialect's API went, without the path of the model."""
    folder = need_shared("wire")
    found: dict[str, set[str]] = {}
    for entry in json.loads((folder / "index.json").read_bytes()):
        url = json.loads((folder / entry["file"]).read_bytes())["request"]["url"]
        found.setdefault(entry["provider"], set()).add(url)
    return found


def test_base_urls_are_those_of_recorded_calls() -> None:
    """But for those of which no call was recorded; they say so."""
    calls = recorded_at()
    paths = {
        "openai": "/chat/completions", "anthropic": "/v1/messages", "gemini": "/models/",
        "bedrock": "/model/", "ollama": "/api/chat",
    }  # fmt: skip
    theirs = {
        "google-ai-studio": "gemini", "vertex-eu": "vertex", "vertex-global": "vertex",
        "bedrock-us": "bedrock", "bedrock-eu": "bedrock",
    }  # fmt: skip
    commented = SHIPPED.read_text("utf-8")
    for name, stanza in STANZAS.items():
        about = commented[: commented.index(f"\n  {name}:\n")].rpartition("\n\n")[2]
        if "From its documentation" in about:
            continue
        path = "/deployments/" if "azure" in stanza.get("auth", {}) else paths[stanza["dialect"]]
        pattern = re.escape(stanza["base_url"] + path).replace("europe\\-west4", "[a-z0-9-]+")
        pattern = re.sub(r"\\\$\\\{\w+\\\}", "[a-z0-9.:-]+", pattern)
        assert any(re.match(pattern, url) for url in calls[theirs.get(name, name)]), name


MINE: Final = """\
redis: {url: memory}
tiers: {cheap: {models: [llama-3.3-8b]}}
tenants: {acme: {budgets: [{usd: 5, per: day}]}}
"""


def test_one_key_is_enough(tmp_path: Path) -> None:
    mine = tmp_path / "my.yaml"
    mine.write_text(MINE, "utf-8")
    found = load([SHIPPED, SHIPPED.with_name("models.yaml"), mine], {"GROQ_API_KEY": "k"})
    assert found.providers.keys() == {"groq"}
    assert found.not_configured.keys() == STANZAS.keys() - {"groq"}
    assert found.catalog.models.keys() == {"llama-3.3-70b", "llama-3.3-8b"}
    assert all(
        [each.provider for each in model.deployments] == ["groq"]
        for model in found.catalog.models.values()
    )


def test_with_every_key_every_model_is_there_and_each_host_has_its_price(tmp_path: Path) -> None:
    mine = tmp_path / "my.yaml"
    mine.write_text(MINE, "utf-8")
    env = {each: "eu-west-1" for variables in VARIABLES.values() for each in variables}
    found = load([SHIPPED, SHIPPED.with_name("models.yaml"), mine], env)
    assert (found.not_configured, found.catalog.left_out) == ({}, {})
    llama = found.catalog.models["llama-3.3-8b"]
    prices = {each.provider: peak_price(llama, each).input for each in llama.deployments}
    assert prices == {
        "groq": 50_000_000, "together": 180_000_000, "fireworks": 200_000_000,
        "bedrock-us": 220_000_000, "vllm": 0, "ollama": 0,
    }  # fmt: skip


def test_check_says_what_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(TWO.replace("models: [alone, both]", "budgets: [{usd: 1, per: day}]"), "utf-8")
    lines, code = check([path], {"HOST": "h"}, lambda _: (None, []), lambda _: None)
    assert code == 0
    assert lines[4:7] == [
        "provider keys: 0 of 1; without: here",
        "not configured: paid (KEY not set)",
        "models left out with them: alone",
    ]


OLD: Final = SOUND.replace(
    "price: free", "price: free\n    deprecated: {since: 2026-01-31, use_instead: m2}"
)


def test_check_warns_of_what_is_deprecated(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(OLD, "utf-8")
    lines, _ = check([path], {}, lambda _: (None, []), lambda _: None)
    assert "warning: model m1: deprecated since 2026-01-31: use m2" in lines
