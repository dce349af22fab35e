"""LiteLLM's configurations come over whole, or it is said what did not.

tests/config/litellm has theirs; NAME.txt is what is printed of NAME.yaml.
`python -m tests.config.test_litellm` writes those anew: read what changed.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from gateway.config.litellm.paper import join, read_texts, render
from gateway.config.litellm.translate import Imported, translate
from gateway.config.load import read
from gateway.config.prices import Listing, look_up
from gateway.core.money import FREE
from gateway.core.tariff import Tariff
from tests.docs_tables import ROOT

CASES: Final = Path(__file__).parent / "litellm"
NAMES: Final = sorted(path.stem for path in CASES.glob("*.yaml"))
READY, MODELS = (
    yaml.safe_load((ROOT / f"config/{section}.yaml").read_text())[section]
    for section in ("providers", "models")
)
ENV: Final = {"LITELLM_MASTER_KEY": "sk-master"}


def listed(base_url: str, upstream: str) -> Listing:
    """Whether genai-prices knows it, never what it says: that changes with its versions."""
    found = look_up(base_url, upstream)
    known = None if found.tariff is None else Tariff(FREE)
    return Listing(known, None if found.context is None else 100_000)


def imported(source: Mapping[str, Any], env: Mapping[str, str] = ENV) -> Imported:
    return translate(source, READY, MODELS, listed, env)


def text_of(name: str) -> str:
    return (CASES / f"{name}.yaml").read_text("utf-8")


def printed(name: str) -> str:
    found = imported(read_texts(text_of(name)))
    return render(found.config, found.notes, f"{name}.yaml")


def variables(text: str) -> dict[str, str]:
    """Those that must be set, each with something of its kind."""
    names = re.findall(r"\$\{(\w+)\}", text)
    kinds = {
        "API_BASE": "https://some.test",
        "BASE_CA": "https://some.test",
        "REDIS_URL": "redis://h",
    }
    return {name: next((v for k, v in kinds.items() if k in name), "some") for name in names}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_printed(name: str) -> None:
    assert printed(name) == (CASES / f"{name}.txt").read_text("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_sound_configuration(name: str) -> None:
    text = printed(name)
    snapshot = read([(name, text)], variables(text))
    assert snapshot.catalog.models


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_is_copied(name: str) -> None:
    secrets = ("sk-literal-secret", "sk-abcdef", "hunter2", "sk-1234", "sk-master", "u:p@h")
    assert [secret for secret in secrets if secret in printed(name)] == []


@pytest.mark.parametrize(
    ("theirs", "more", "lacks", "factor", "fee"),
    [
        ("openai/gpt-5-mini", {}, "temperature top_p presence_penalty", None, None),
        ("azure/mine", {}, "temperature top_p presence_penalty", None, None),
        (
            "groq/llama-3.1-8b-instant",
            {"additional_drop_params": ["seed"]},
            "logit_bias",
            None,
            None,
        ),
        ("anthropic/claude-opus-4-7", {}, "", "1.35", "10"),
        ("bedrock/global.anthropic.claude-opus-4-7", {}, "", "1.35", "10"),
        ("anthropic/claude-opus-4-7", {"input_cost_per_token": "0.00001"}, "", "1.35", "10"),
        ("openai/gpt-4o", {}, "", None, None),
    ],
)
def test_what_the_catalog_knows_of_a_model_comes_with_it(
    theirs: str, more: dict[str, Any], lacks: str, factor: str | None, fee: str | None
) -> None:
    """A field that it refuses is not sent to it, and its bill is foreseen."""
    azure = theirs.startswith("azure")
    params = {"model": theirs, **more} | ({"api_base": "https://x.test"} if azure else {})
    info = {"base_model": "azure/gpt-5"} if azure else {}
    entry = {"model_name": "m", "litellm_params": params, "model_info": info}
    model = imported({"model_list": [entry]}).config["models"]["m"]
    (host,) = model["deployments"]
    assert " ".join(host.get("lacks", ())).startswith(lacks)
    assert bool(host.get("lacks")) == bool(lacks)
    assert ("seed" in host.get("lacks", ())) == ("additional_drop_params" in more)
    assert model.get("token_factor") == factor
    price = host.get("price")
    assert (price.get("search") if isinstance(price, dict) else None) == fee


def mappings(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield path, value
        for key, each in value.items():
            yield from mappings(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield from mappings(each, f"{path}[{i}]")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_lost_in_silence(name: str) -> None:
    """A setting that nobody knows, wherever it stands, is told: where it is, or what it is in."""
    count = len(list(mappings(read_texts(text_of(name)))))
    for at in range(count):
        source = read_texts(text_of(name))
        path, place = list(mappings(source))[at]
        place["never_heard_of"] = "1"
        told = [note.path for note in imported(source).notes]
        new = f"{path}.never_heard_of" if path else "never_heard_of"
        assert any(new == each or new.startswith((f"{each}.", f"{each}[")) for each in told), new


Place = tuple[str | int, ...]
SAYS_NOTHING: Final[Mapping[str, str]] = {
    "api_key": "of the variable that is asked for without it",
    "base_model": "known without it, by the name that is asked",
    "drop_params": "as without it",
    "gpt-4o": "the same fallback stands elsewhere, too",
    "max_input_tokens": "as it is known",
    "model_info": "nothing but what says nothing",
    "order": "it is the last one, as it stands",
    "redis_port": "as without it",
    "routing_strategy": "as without it",
}
"""Settings of the samples that say what is so without them."""


def settings(value: Any, path: Place = ()) -> Iterator[Place]:
    """Where each one stands."""
    for key, each in value.items() if isinstance(value, dict) else ():
        yield (*path, key)
        yield from settings(each, (*path, key))
    for at, each in enumerate(value if isinstance(value, list) else ()):
        yield from settings(each, (*path, at))


def dotted(path: Place) -> str:
    return "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path).removeprefix(".")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_known_is_used_or_told(name: str) -> None:
    """Each setting, taken away, makes another configuration or another list; but for those of what
    is told as a whole, and anchors.
    """
    whole = imported(read_texts(text_of(name)))
    told = tuple(f"{note.path}{end}" for note in whole.notes for end in (".", "["))
    silent = []
    for path in settings(read_texts(text_of(name))):
        place = source = read_texts(text_of(name))
        for step in path[:-1]:
            place = place[step]  # type: ignore[index]
        del place[path[-1]]  # type: ignore[arg-type]
        where = dotted(path)
        if where.startswith(("x-", *told)) or str(path[-1]) in SAYS_NOTHING:
            continue
        if path == ("model_list",) or imported(source) != whole:
            continue
        silent.append(where)
    assert silent == []


def test_a_secret_that_became_a_key_is_told_by_its_place_alone() -> None:
    key = '"https://user:canary-4711@host"'
    text = f"""\
model_list:
  - model_name: x
    litellm_params: {{model: openai/gpt-4o, {key}: 1, input_cost_per_token_above_999k_tokens: 2}}
    {key}: 2
{key}: x
general_settings: {{{key}: x}}
"""
    found = imported(read_texts(text))
    told = render(found.config, found.notes, "f.yaml")
    assert "canary" not in told
    for path in ("", "general_settings.", "model_list[0].", "model_list[0].litellm_params."):
        assert f'#   {path}"...": nothing here does it\n' in told
    assert "input_cost_per_token_above_999k_tokens: nothing here does it" in told


@pytest.mark.parametrize("breaks", ["\n", "\r", "\x85", "\u2028", "\x07"])
def test_a_note_stays_a_comment(breaks: str) -> None:
    """Else what follows the line break would be a part of our configuration."""
    entry = {"model": "openai/gpt-4o", "api_key": "os.environ/K", "max_budget": "1"}
    period = f"1d{breaks}limits: {{in_flight: 1}}"
    found = imported({
        "model_list": [{"model_name": f"a{breaks}b", "litellm_params": entry}],
        "router_settings": {
            "provider_budget_config": {"openai": {"budget_limit": "1", "time_period": period}},
            "model_group_alias": {"x": f"sk-a-key-in-a-wrong-place{breaks}"},
        },
    })  # fmt: skip
    text = render(found.config, found.notes, "config.yaml")
    assert "limits: {in_flight: 1}" in text, "it is told of"
    assert yaml.safe_load(text).keys() == found.config.keys()
    assert "sk-a-key" not in text


def test_who_should_only_step_in_is_told() -> None:
    """Some have the same order, so all share: the last one would be asked as often as the first."""
    entry = "{{model_name: m, litellm_params: {{model: {}/a, order: {}}}}}"
    each = (("groq", 1), ("openai", 1), ("mistral", 2))
    entries = ", ".join(entry.format(*of) for of in each)
    found = imported(read_texts(f"model_list: [{entries}]"))
    (model,) = found.config["models"].values()
    assert [each["weight"] for each in model["deployments"]] == ["1", "1", "1"]
    changed = [note.path for note in found.notes if note.kind == "changed"]
    assert "model_list[2].litellm_params.order" in changed


@pytest.mark.parametrize(
    ("first", "second", "weights"),
    [
        ("weight: 0.9", "weight: 0.1", ["9", "1"]),
        ("weight: 0.25", "weight: 2", ["1", "8"]),
        ("weight: 3", "weight: 0", ["3", None]),
        ("weight: 3", "rpm: 9", ["3", None]),
        ("rpm: 10", "weight: 3", ["10", None]),
        ("timeout: 9", "weight: 3", ["1", "1"]),
        ("weight: 0", "weight: 0", ["1", "1"]),
    ],
)
def test_who_is_asked_how_often(first: str, second: str, weights: list[str | None]) -> None:
    """As LiteLLM's simple_shuffle has it: the first says by what, and nothing is 0, which is never
    drawn.
    """
    entries = ", ".join(
        f"{{model_name: m, litellm_params: {{model: {host}/a, {each}}}}}"
        for host, each in (("groq", first), ("openai", second))
    )
    (model,) = imported(read_texts(f"model_list: [{entries}]")).config["models"].values()
    assert [each.get("weight") for each in model["deployments"]] == weights


def test_limits_beside_the_parameters_count_too() -> None:
    found = imported(
        read_texts("model_list: [{model_name: m, rpm: 9, litellm_params: {model: groq/a}}]")
    )
    budgets = found.config["organisations"]["everyone"]["model_budgets"]["m"]
    assert budgets == [{"requests": "9", "per": "minute", "rolling": "true"}]
    assert [note.path for note in found.notes if note.kind == "lost"] == []


def test_a_limit_of_nothing_is_told() -> None:
    params = "{model: groq/a, rpm: 0, tpm: os.environ/TPM, weight: x}"
    found = imported(read_texts(f"model_list: [{{model_name: m, litellm_params: {params}}}]"))
    lost = {note.path.rpartition(".")[2] for note in found.notes if note.kind == "lost"}
    assert lost == {"rpm", "tpm", "weight"}


CREDENTIALS: Final = """
model_list:
  - {model_name: a, litellm_params: {model: azure/a, litellm_credential_name: eu}}
  - {model_name: b, litellm_params: {model: azure/b, litellm_credential_name: eu,
     api_key: os.environ/OWN}}
  - {model_name: c, litellm_params: {model: groq/c, litellm_credential_name: nobody}}
credential_list:
  - credential_name: eu
    credential_values: {api_key: sk-literal-secret, api_base: "https://eu.openai.azure.com",
      api_version: "2024-10-21", unheard_of: 1}
  - {credential_name: unused, credential_values: {api_key: os.environ/X}}
"""


def test_credentials_that_entries_share_come_with_each() -> None:
    """All asked Azure's default resource with the default key."""
    found = imported(read_texts(CREDENTIALS))
    each = [(p["base_url"], p["api_key"]) for p in found.config["providers"].values()]
    assert each == [
        ("https://eu.openai.azure.com/openai", "${AZURE_API_KEY}"),
        ("https://eu.openai.azure.com/openai", "${OWN}"),
        ("https://api.groq.com/openai/v1", "${GROQ_API_KEY}"),
    ]
    notes = {note.path: note.text for note in found.notes}
    eu = "credential_list[0].credential_values"
    assert (
        notes[f"{eu}.api_key"] == "the secret is not copied: set the variable AZURE_API_KEY to it"
    )
    assert notes[f"{eu}.unheard_of"] == "nothing here does it"
    assert "nobody" in notes["model_list[2].litellm_params.litellm_credential_name"]
    assert "credential_list[1].credential_values.api_key" in notes


@pytest.mark.parametrize("model", ["grok-4", "grok-4-0709", "grok-4-1-fast-reasoning", "grok-3"])
def test_what_xai_retired_is_asked_by_its_successors_name(model: str) -> None:
    """It is billed at the successor's price, which genai-prices does not say of it."""
    found = imported(
        read_texts(f"model_list: [{{model_name: m, litellm_params: {{model: xai/{model}}}}}]")
    )
    [deployment] = found.config["models"]["m"]["deployments"]
    assert deployment["upstream"] == "grok-4.3"
    assert any(model in note.text for note in found.notes if note.kind == "changed")


def test_what_perplexity_ended_is_told() -> None:
    text = "model_list: [{model_name: m, litellm_params: {model: perplexity/sonar-pro}}]"
    found = imported(read_texts(text))
    assert "models" not in found.config
    assert any("2026-09-27" in note.text for note in found.notes if note.kind == "lost")


def test_what_each_user_may_spend() -> None:
    text = "model_list: [{model_name: m, litellm_params: {model: groq/a}}]\n"
    text += "litellm_settings: {max_end_user_budget: 0.5}\n"
    tenant = imported(read_texts(text)).config["tenants"]["main"]
    assert tenant["user_budgets"] == [{"usd": "0.5", "per": "total"}]


@pytest.mark.parametrize(
    "model", ["openai/text-embedding-3-small", "mistral/mistral-embed", "openai/whisper-1",
              "openai/gpt-4o-mini-tts", "bedrock/amazon.titan-embed-text-v2:0", "openai/dall-e-3"]
)  # fmt: skip
def test_what_is_no_chat_by_its_name(model: str) -> None:
    """Its entry may not say its mode: a client's chat would fail there."""
    found = imported(
        read_texts(f"model_list: [{{model_name: m, litellm_params: {{model: {model}}}}}]")
    )
    assert "models" not in found.config
    assert any("only chat is served" in note.text for note in found.notes)


def test_a_price_behind_an_endpoint_of_ones_own_is_bedrocks() -> None:
    params = (
        "{model: bedrock/us.anthropic.claude-sonnet-4-6, aws_bedrock_runtime_endpoint: https://v}"
    )
    found = imported(read_texts(f"model_list: [{{model_name: m, litellm_params: {params}}}]"))
    [deployment] = found.config["models"]["m"]["deployments"]
    assert isinstance(deployment["price"], dict)


@pytest.mark.parametrize("node", ["5", "[h]", "{host: h}"])
def test_nodes_of_redis_without_a_port_are_told(node: str) -> None:
    text = "model_list: [{model_name: m, litellm_params: {model: groq/a}}]\n"
    text += f"litellm_settings: {{cache_params: {{type: redis, redis_startup_nodes: [{node}]}}}}\n"
    found = imported(read_texts(text))
    lost = [note.path for note in found.notes if note.kind == "lost"]
    assert lost == ["litellm_settings.cache_params.redis_startup_nodes"]


def test_nodes_of_redis_are_hosts_with_ports_however_they_are_ordered() -> None:
    text = "model_list: [{model_name: m, litellm_params: {model: groq/a}}]\n"
    nodes = "redis_startup_nodes: [{port: 1, host: h}]"
    text += f"litellm_settings: {{cache_params: {{type: redis, {nodes}}}}}\n"
    assert imported(read_texts(text)).config["redis"] == {"url": "redis+cluster://h:1"}


def test_of_two_timeouts_the_other_is_told() -> None:
    text = (
        "model_list: [{model_name: m, litellm_params: {model: groq/a}}]\n"
        "router_settings: {timeout: 60}\nlitellm_settings: {request_timeout: 600}\n"
    )
    found = imported(read_texts(text))
    assert found.config["timeouts"] == {"answer_s": "60"}
    assert "litellm_settings.request_timeout" in [note.path for note in found.notes]


# Each: what is in litellm_params, and the provider, upstream name and price that come of it.
ENTRIES: Final[list[tuple[str, dict[str, Any], str, object]]] = [
    ("{model: gpt-4o}", {"base_url": "https://api.openai.com/v1", "api_key": "${OPENAI_API_KEY}"},
     "gpt-4o", None),
    ("{model: o3, custom_llm_provider: azure, api_base: 'https://a.openai.azure.com/openai/'}",
     {"base_url": "https://a.openai.azure.com/openai"}, "o3", None),
    ("{model: openai/x, api_base: 'https://eu.api.openai.com/v1/'}",
     {"base_url": "https://eu.api.openai.com/v1"}, "x", "free"),
    ("{model: openai/x, api_base: 'http://h/v1', api_key: 'none'}",
     {"base_url": "http://h/v1", "api_key": None, "dialect": "openai"}, "x", "free"),
    ("{model: ollama/llama3}",
     {"base_url": "${OLLAMA_API_BASE:-http://localhost:11434}", "dialect": "ollama"},
     "llama3", "free"),
    ("{model: openrouter/anthropic/claude-sonnet-4.6}",
     {"api_key": "${OPENROUTER_API_KEY}"}, "anthropic/claude-sonnet-4.6", None),
    ("{model: bedrock/converse/us.amazon.nova-pro-v1:0}",
     {"base_url": "https://bedrock-runtime.${AWS_REGION_NAME:-us-west-2}.amazonaws.com"},
     "us.amazon.nova-pro-v1:0", "free"),
    ("{model: bedrock/eu-west-1/anthropic.claude-v2}",
     {"auth": {"aws": {"region": "eu-west-1"}}}, "anthropic.claude-v2", "free"),
    ("{model: bedrock/m, aws_access_key_id: a}",
     {"auth": {"aws": {"region": "${AWS_REGION_NAME:-us-west-2}"}}}, "m", "free"),
    ("{model: groq/m, input_cost_per_token: 0, output_cost_per_token: 0}", {}, "m", "free"),
    ("{model: groq/m, input_cost_per_token: 1e-7}", {}, "m", {"input": "0.1", "output": "0"}),
    (("{model: groq/m, input_cost_per_token: 1e-7, output_cost_per_token: 2e-7, "
     "input_cost_per_audio_token: 3e-7, output_cost_per_audio_token: 4e-7, "
     "cache_read_input_audio_token_cost: 1e-8, output_cost_per_image_token: 5e-6}"), {}, "m",
     {"input": "0.1", "output": "0.2", "audio_input": "0.3", "audio_output": "0.4",
      "audio_cached_input": "0.01", "image_output": "5"}),
    ("{model: groq/m, api_key: 'a${b'}", {"api_key": "${GROQ_API_KEY}"}, "m", "free"),
    ("{model: azure/x, api_base: 'https://a.openai.azure.com/openai/deployments/x/chat'}",
     {"base_url": "https://a.openai.azure.com/openai"}, "x", "free"),
    (("{model: azure/gpt5_series/x, api_base: 'https://a.openai.azure.com/openai/v1/', "
      "api_version: preview}"),
     {"base_url": "https://a.openai.azure.com/openai",
      "auth": {"azure": {"api_version": "${AZURE_API_VERSION:-2024-12-01-preview}"}}}, "x", "free"),
    ("{model: openai/x, api_base: 'http://h/v1/chat/completions'}",
     {"base_url": "http://h/v1"}, "x", "free"),
    ("{model: anthropic/x, api_base: 'http://h/v1/messages'}", {"base_url": "http://h"},
     "x", "free"),
    ("{model: openai/responses/x}", {"base_url": "https://api.openai.com/v1"}, "x", "free"),
    ("{model: azure_ai/m, api_base: 'https://a.services.ai.azure.com/models/chat/completions'}",
     {"base_url": "https://a.services.ai.azure.com/openai/v1"}, "m", "free"),
    ("{model: custom_openai/m, api_base: 'http://h/v1'}", {"base_url": "http://h/v1"}, "m", "free"),
    ("{model: litellm_proxy/m, api_base: 'http://h'}", {"base_url": "http://h"}, "m", "free"),
    ("{model: 'bedrock/converse/arn:aws:bedrock:eu-west-1:1:inference-profile/a'}",
     {"auth": {"aws": {"region": "eu-west-1"}}}, "arn:aws:bedrock:eu-west-1:1:inference-profile/a",
     "free"),
    ("{model: bedrock/m, model_id: 'arn:aws:bedrock:eu-west-1:1:imported-model/x'}",
     {"auth": {"aws": {"region": "eu-west-1"}}}, "arn:aws:bedrock:eu-west-1:1:imported-model/x",
     "free"),
    ("{model: bedrock/llama/m, aws_region_name: eu-west-1, aws_bedrock_runtime_endpoint: 'https://v/'}",
     {"base_url": "https://v", "auth": {"aws": {"region": "eu-west-1"}}}, "m", "free"),
    ("{model: bedrock/m, aws_region_name: eu-west-1, api_key: os.environ/BEARER}",
     {"api_key": "${BEARER}", "auth": None}, "m", "free"),
    ("{model: vertex_ai/gemini-x, vertex_ai_project: p, vertex_ai_location: eu}",
     {"base_url": "https://eu-aiplatform.googleapis.com/v1beta1/projects/p/locations/eu/publishers"
                  "/google"}, "gemini-x", "free"),
]  # fmt: skip


@pytest.mark.parametrize(("params", "stanza", "upstream", "price"), ENTRIES)
def test_an_entry(params: str, stanza: dict[str, Any], upstream: str, price: object) -> None:
    source = read_texts(f"model_list: [{{model_name: m, litellm_params: {params}}}]")
    config = imported(source).config
    [provider] = config["providers"].values()
    [deployment] = config["models"]["m"]["deployments"]
    assert {key: provider.get(key) for key in stanza} == stanza
    assert deployment["upstream"] == upstream
    assert (deployment.get("price") == price) or (price == "free" and "price" not in deployment)


@pytest.mark.parametrize(
    "base", ["https://hunter2@h/v1", "https://u:hunter2@h/v1?a=hunter2", "https://h/v1#hunter2"]
)
@pytest.mark.parametrize(("model", "url"), [("openai/m", "h/v1"), ("azure/m", "h/v1/openai")])
def test_what_may_be_secret_in_a_url_is_not_copied(model: str, url: str, base: str) -> None:
    params = f"{{model: {model}, api_base: '{base}'}}"
    found = imported(read_texts(f"model_list: [{{model_name: m, litellm_params: {params}}}]"))
    [provider] = found.config["providers"].values()
    assert provider["base_url"] == f"https://{url}"
    lost = [note.path for note in found.notes if note.kind == "lost"]
    assert "model_list[0].litellm_params.api_base" in lost


# Each: what router_settings or cache_params say, and the redis.url that comes of it.
REDIS: Final = [
    ("router_settings: {redis_host: h}", "redis://h:6379"),
    ("router_settings: {redis_host: h, redis_port: 1, redis_password: os.environ/P}",
     "redis://:${P}@h:1"),
    ("router_settings: {redis_url: 'redis://a/1', redis_host: h}", "redis://a/1"),
    ("router_settings: {redis_url: 'rediss://u:hunter2@a/1'}", "${REDIS_URL}"),
    ("litellm_settings: {cache_params: {type: redis, url: os.environ/CACHE_URL}}", "${CACHE_URL}"),
    ("litellm_settings: {cache_params: {host: h, username: u, password: os.environ/P}}",
     "redis://u:${P}@h:6379"),
    ("litellm_settings: {cache_params: {type: redis}}",
     "redis://${REDIS_HOST:-localhost}:${REDIS_PORT:-6379}"),
    ("litellm_settings: {cache_params: {type: redis, redis_startup_nodes: [{host: a, port: 1}]}}",
     "redis+cluster://a:1"),
    ("litellm_settings: {cache_params: {type: local}}", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "url"), REDIS)
def test_redis(text: str, url: str | None) -> None:
    assert imported(read_texts(text)).config.get("redis", {}).get("url") == url


def test_the_master_key_is_only_known_by_its_hash() -> None:
    source = read_texts("general_settings: {master_key: os.environ/MASTER}")
    assert "admin" not in imported(source, {}).config
    [key] = imported(source, {"MASTER": "abc"}).config["admin"]["keys"]
    assert key["hash"].startswith("sha256:ba7816bf8f01cfea")


def test_two_secrets_are_two_variables() -> None:
    keys = ("a", "b", "a")
    models = [
        {"model_name": f"m{i}", "litellm_params": {"model": "gpt-4o", "api_key": f"sk-{key}"}}
        for i, key in enumerate(keys)
    ]
    found = imported({"model_list": models}).config["providers"]
    assert {name: each["api_key"] for name, each in found.items()} == {
        "openai": "${OPENAI_API_KEY}",
        "openai-2": "${OPENAI_API_KEY_2}",
    }


def test_files_that_include_one_another() -> None:
    one = {"model_list": ["a"], "s": {"x": "1", "y": "1"}, "t": "1"}
    more = {"model_list": ["b"], "s": {"y": "2"}, "t": "2"}
    both = {"model_list": ["a", "b"], "s": {"x": "1", "y": "2"}, "t": "2"}
    assert join(one, more) == both


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [", "line 1: expected the node content, but found '<stream end>'"),
        ("- a", "it is no mapping"),
        ("a: " + "[" * 3000, "line 1: nested too deeply"),
        (
            "a: !!python/object:os.system {}",
            "line 1: could not determine a constructor for the tag",
        ),
    ],
)
def test_what_is_no_configuration(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        read_texts(text)


if __name__ == "__main__":
    for each in NAMES:
        (CASES / f"{each}.txt").write_text(printed(each), "utf-8")
