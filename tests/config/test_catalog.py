"""The shipped catalog against what it was made from, and what `tollgate catalog` tells of it."""

import io
import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
import pytest

from gateway.commands.catalog import Filters, select, unmatched_filter
from gateway.commands.catalog_text import console_for, detail, show
from gateway.commands.shipped import shipped_catalog
from gateway.config.faults import ConfigError
from gateway.config.shelf import Entry, load_shelf
from gateway.core.money import nanos
from gateway.core.snapshot import CAPABILITIES
from tests.config.texts import NO_ENV

NOW: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
SHELF: Final = {entry.name: entry for entry in load_shelf(shipped_catalog(), NO_ENV, at=NOW)}

K: Final = 1_000
M: Final = 1_000_000
HOSTS: Final = {
    "API": "", "Azure": "azure", "Bedrock": "bedrock", "Vertex": "vertex", "self-host": "vllm",
    "AI Studio": "google-ai-studio", "Together": "together", "Fireworks": "fireworks",
    "Groq": "groq", "La Plateforme": "mistral", "DashScope": "dashscope",
}  # fmt: skip
APIS: Final = ("openai", "anthropic", "moonshot", "deepseek", "xai", "zai")

# The landscape's table of models, with the names that issue 3 gives them: as the document has it,
# trusted context and longest answer where it says them, its hosts.
TABLE: Final = """\
GPT-5.5          | gpt-5.5           | 256K  | 128K  | API, Azure
GPT-5.5 Pro      | gpt-5.5-pro       | 256K  | 128K  | API, Azure
GPT-5.5-mini     | gpt-5.5-mini      | 256K  | 128K  | API, Azure
GPT-5            | gpt-5             | 400K  | 128K  | API, Azure
GPT-5 mini       | gpt-5-mini        | 400K  | 128K  | API, Azure
GPT-4.1          | gpt-4.1           | 128K  | 16384 | API, Azure
GPT-4o           | gpt-4o            | 128K  | 16384 | API, Azure
Claude Opus 4.7  | claude-opus-4-7   | 1M    | 64K   | API, Bedrock, Vertex
Sonnet 4.6       | claude-sonnet-4-6 | 1M    | 64K   | API, Bedrock, Vertex
Haiku 4.5        | claude-haiku-4-5  | 200K  | 16384 | API, Bedrock, Vertex
Haiku 4          | claude-haiku-4    |       |       | API
Opus 4           | claude-opus-4     |       |       | API, Bedrock, Vertex
Sonnet 4         | claude-sonnet-4   |       |       | API, Bedrock, Vertex
Gemini 3.1 Pro   | gemini-3.1-pro    | 1048576 | 65536 | Vertex, AI Studio
2.5 Pro          | gemini-2.5-pro    |       | 64K   | Vertex, AI Studio
2.x Pro          | gemini-2.0-pro    | 2M    |       | Vertex, AI Studio
2.x Flash        | gemini-2.5-flash  | 1048576 | 64K | Vertex, AI Studio
2.x Flash        | gemini-2.0-flash  | 1M    |       | Vertex, AI Studio
Kimi K2.6        | kimi-k2.6         | 1200K |       | API
DeepSeek V4-Pro  | deepseek-v4-pro   | 1M    |       | API, Together, Fireworks, self-host
V4-Flash         | deepseek-v4-flash | 1M    |       | API, Together, Fireworks, self-host
V4 32B distilled | deepseek-v4-32b   | 128K  | 8192  | API, self-host
V3               | deepseek-v3       |       | 8192  | API, self-host
R1               | deepseek-r1       |       | 8192  | API, self-host
Llama 4 405B     | llama-4-405b      |       |       | Together, Bedrock, self-host
Maverick         | llama-4-maverick  | 1M    |       | Together, Bedrock, self-host
Scout            | llama-4-scout     |       |       | Together, Bedrock, self-host
70B              | llama-4-70b       |       |       | Together, Bedrock, self-host
Llama 3.3 70B    | llama-3.3-70b     | 128K  | 8192  | Bedrock, Together, Fireworks, Groq, self-host
8B               | llama-3.3-8b      | 128K  | 8192  | Bedrock, Together, Fireworks, Groq, self-host
Qwen 3 72B       | qwen-3-72b        | 128K  | 8192  | DashScope, Together, self-host
2.5 72B          | qwen-2.5-72b      | 128K  | 8192  | DashScope, Together, self-host
2.5 Max          | qwen-2.5-max      |       | 8192  | DashScope
Mistral Large 3  | mistral-large-3   | 131072 | 16384 | La Plateforme, Bedrock, Azure, self-host
Large 2          | mistral-large-2   | 128K  | 16384 | La Plateforme, Bedrock, Azure, self-host
Small 4          | mistral-small-4   | 262144 | 16384 | La Plateforme, Bedrock, Azure, self-host
Grok 4           | grok-4            |       |       | API
Grok 4.1 Fast    | grok-4.1-fast     | 131072 |      | API
Phi-4            | phi-4             |       |       | self-host
GLM-5            | glm-5             |       |       | API
"""
ROWS: Final = [[cell.strip() for cell in line.split("|")] for line in TABLE.splitlines()]


def size(text: str) -> int | None:
    if not text:
        return None
    unit = {"K": K, "M": M}.get(text[-1], 1)
    return int(text.rstrip("KM")) * unit


@pytest.mark.parametrize(("said", "name", "context", "output", "hosts"), ROWS)
def test_every_model_of_the_documents_at_every_host(
    said: str, name: str, context: str, output: str, hosts: str
) -> None:
    entry = SHELF.get(name)
    assert entry is not None, f"{said} is not in the catalog"
    there = [host.provider for host in entry.hosts]
    for host in hosts.split(", "):
        wanted = APIS if host == "API" else (HOSTS[host],)
        assert any(each.startswith(wanted) for each in there), f"{said} is not at {host}: {there}"
    trusted = entry.stanza.usable_context or entry.context
    assert size(context) in (None, trusted)
    assert size(output) in (None, entry.stanza.max_output)


def test_the_catalog_has_nothing_else() -> None:
    """But what answers in place of a model of theirs."""
    assert {row[1] for row in ROWS} | {"grok-4.3"} == SHELF.keys()


@pytest.mark.parametrize("name", ["grok-4", "grok-4.1-fast"])
def test_what_xai_retired_costs_what_answers_for_it(name: str) -> None:
    """It is billed as Grok 4.3: a fifth of that was charged for Grok 4.1 Fast."""
    (host,), (successor,) = SHELF[name].hosts, SHELF["grok-4.3"].hosts
    assert host.upstream == "grok-4.3"
    assert host.offer == successor.offer
    assert host.offer.tariff is not None
    assert host.offer.tariff.within(0).output > nanos(Decimal(2))


# USD per million, input and output, where the documents have one and genai-prices has none.
SILENT: Final = {
    "openai/gpt-5.5-mini": ("5", "30"), "azure/gpt-5.5-mini": ("5", "30"),
    "anthropic/claude-haiku-4": ("0.80", "4"),
    "google-ai-studio/gemini-2.0-pro": ("7", "21"), "vertex-global/gemini-2.0-pro": ("7", "21"),
    "together/deepseek-v4-flash": ("0.14", "0.28"), "deepseek/deepseek-v4-32b": ("0.27", "1.10"),
    "together/llama-4-405b": ("0.15", "0.60"), "bedrock-us/llama-4-405b": ("0.15", "0.60"),
    "together/llama-4-70b": ("0.15", "0.60"), "bedrock-us/llama-4-70b": ("0.15", "0.60"),
    "fireworks/llama-3.3-70b": ("0.70", "0.80"),
    "azure-foundry/mistral-large-3": ("2", "6"), "bedrock-us/mistral-large-2": ("2", "6"),
    "azure-foundry/mistral-large-2": ("2", "6"),
    "bedrock-us/mistral-small-4": ("0.15", "0.60"),
    "azure-foundry/mistral-small-4": ("0.15", "0.60"),
    "dashscope/qwen-3-72b": ("0.90", "0.90"), "together/qwen-3-72b": ("0.90", "0.90"),
    "dashscope/qwen-2.5-72b": ("0.90", "0.90"), "together/qwen-2.5-72b": ("0.90", "0.90"),
    "dashscope/qwen-2.5-max": ("0.40", "6.40"),
    # Not of the documents: what genai-prices does not tell apart.
    "vertex-claude-eu/claude-opus-4-7": ("5.5", "27.5"),
    "vertex-claude-eu/claude-sonnet-4-6": ("3.3", "16.5"),
    "vertex-claude-eu/claude-haiku-4-5": ("1.1", "5.5"),
}  # fmt: skip


def test_a_price_is_written_only_where_genai_prices_has_none_and_says_where_it_is_from() -> None:
    written = {
        f"{host.provider}/{entry.name}": host.offer
        for entry in SHELF.values()
        for host in entry.hosts
        if host.offer.price_from == "catalog"
    }
    prices = {}
    for name, offer in written.items():
        assert offer.tariff is not None
        assert offer.source, name
        assert offer.as_of, name
        prices[name] = (offer.tariff.usual.input, offer.tariff.usual.output)
    assert prices == {name: (nanos(i), nanos(o)) for name, (i, o) in SILENT.items()}


def test_free_is_only_a_machine_of_ones_own() -> None:
    free = {h.provider for e in SHELF.values() for h in e.hosts if h.offer.price_from == "free"}
    assert free == {"vllm", "ollama", "llamacpp"}


def test_genai_prices_knows_all_others() -> None:
    gone = [
        f"{host.provider}/{entry.name}: {host.upstream}"
        for entry in SHELF.values()
        for host in entry.hosts
        if host.offer.tariff is None
    ]
    assert gone == []


def test_what_the_documents_doubt_or_add() -> None:
    kimi, opus, night = (
        SHELF[name] for name in ("kimi-k2.6", "claude-opus-4-7", "deepseek-v4-32b")
    )
    assert (kimi.context, kimi.stanza.usable_context) == (2 * M, 1_200 * K)
    assert [name for name, e in SHELF.items() if e.stanza.token_factor != 1] == [opus.name]
    assert opus.stanza.token_factor == 1.35
    tariff = night.hosts[0].offer.tariff
    assert tariff is not None
    at = datetime(2026, 6, 15, 17, tzinfo=UTC).timestamp()
    assert tariff.at(at).output * 2 == tariff.usual.output == nanos("1.10")


def test_deepseeks_hours_are_those_of_genai_prices() -> None:
    tariff = SHELF["deepseek-v4-pro"].hosts[0].offer.tariff
    assert tariff is not None
    peak, calm = (
        tariff.at(datetime(2026, 11, 22, hour, tzinfo=UTC).timestamp()) for hour in (2, 12)
    )
    assert peak == tariff.within(0)
    assert (peak.input, peak.output) == (2 * calm.input, 2 * calm.output)


CAN: Final = [
    ("vision", "gpt-5.5 claude-opus-4-7 gemini-2.5-flash llama-4-maverick grok-4",
     "llama-3.3-70b deepseek-v4-pro phi-4 glm-5"),
    ("json_schema", "gpt-4o claude-haiku-4-5 gemini-3.1-pro mistral-large-3",
     "deepseek-v4-flash kimi-k2.6 claude-sonnet-4 qwen-2.5-72b"),
    ("audio", "gemini-3.1-pro gemini-2.5-pro", "gpt-5 claude-opus-4-7"),
    ("reasoning", "gpt-5 deepseek-r1 claude-sonnet-4-6 grok-4", "gpt-4o deepseek-v3 llama-3.3-8b"),
    ("files", "claude-opus-4-7 gemini-2.5-pro gpt-5", "mistral-large-3 llama-4-scout"),
    ("tools", "gpt-5.5-mini llama-3.3-8b kimi-k2.6", "phi-4"),
]  # fmt: skip


@pytest.mark.parametrize(("capability", "can", "cannot"), CAN)
def test_who_can_do_what(capability: str, can: str, cannot: str) -> None:
    able = {name for name, entry in SHELF.items() if capability in entry.stanza.capabilities}
    assert able >= set(can.split())
    assert able.isdisjoint(cannot.split())


@pytest.mark.parametrize("entry", SHELF.values(), ids=SHELF)
def test_an_entry_makes_sense(entry: Entry) -> None:
    stanza = entry.stanza
    assert entry.context is not None
    assert stanza.max_output is not None
    assert stanza.max_output <= (stanza.usable_context or entry.context) <= entry.context
    assert set(stanza.capabilities) <= set(CAPABILITIES)
    if stanza.deprecated is not None:
        assert stanza.deprecated.use_instead in SHELF
        assert SHELF[stanza.deprecated.use_instead].stanza.deprecated is None
        assert date.fromisoformat(stanza.deprecated.since) <= NOW.date()
    for host in entry.hosts:
        tariff = host.offer.tariff
        assert tariff is not None
        for price in (tariff.within(0), *(step.price for step in tariff.rises())):
            assert price.cached_input <= price.input <= price.output
        # Batches are half the price, where they are said.
        assert host.offer.batch in (None, "0.5")


# The command ----------------------------------------------------------------------------------

SMALL: Final = """\
providers:
  groq: {dialect: openai, base_url: https://api.groq.com/openai/v1, api_key: "${GROQ_API_KEY}", regions: [us], optional: true}
  here: {dialect: openai, base_url: http://here/v1, regions: [eu]}
models:
  m1:
    deployments:
      - {provider: groq, upstream: llama-3.1-8b-instant}
      - provider: here
        price: {input: 1, output: 2, as_of: 2026-08-24, source: s, batch: 0.5, steps: [{above: 4000, input: 3, output: 4, cached_input: 0.3}], windows: [{hours: "23:00-06:00", zone: Europe/Berlin, factor: 0.5}]}
    context: 9000
    capabilities: [vision]
    deprecated: {since: 2026-01-01, use_instead: m3}
  m2: {deployments: [{provider: groq, upstream: of-nowhere}, {provider: here, price: {input: 3, output: 3, as_of: 2026-08-23}}], context: 5}
  m3: {deployments: [{provider: here, regions: [mars]}], context: 7, price: free, token_factor: 1.5}
tenants: nobody cares here
redis: {url: "${NOT_SET}"}
"""  # noqa: E501 - as a person would write it


@pytest.fixture
def shelf(tmp_path: Path) -> list[Entry]:
    (tmp_path / "f.yaml").write_text(SMALL, "utf-8")
    return load_shelf([tmp_path / "f.yaml"], NO_ENV, at=NOW)


def listed(shelf: list[Entry], wanted: Filters) -> list[str]:
    return [
        f"{host['provider']}/{model['model']}"
        for model in select(shelf, wanted, NOW.date())
        for host in model["hosts"]
    ]


EVERY: Final = ["groq/m1", "here/m1", "groq/m2", "here/m2", "here/m3"]


@pytest.mark.parametrize(
    ("wanted", "hosts"),
    [
        (Filters(), EVERY),
        (Filters(model="m1"), ["groq/m1", "here/m1"]),
        (Filters(capabilities=frozenset({"vision"})), ["groq/m1", "here/m1"]),
        (Filters(capabilities=frozenset({"vision", "tools"})), []),
        (Filters(region="mars"), ["here/m3"]),
        (Filters(region="eu"), ["here/m1", "here/m2"]),
        (Filters(provider="groq"), ["groq/m1", "groq/m2"]),
        (Filters(max_input_price=1), ["groq/m1", "here/m1", "here/m3"]),
        (Filters(max_input_price=0.999), ["groq/m1", "here/m3"]),
        # 2026-08-24 is 90 days ago, 2026-08-23 one more; groq's m2 has no price any more.
        (Filters(stale=True), ["groq/m2", "here/m2"]),
        (Filters(provider="here", stale=True), ["here/m2"]),
    ],
)
def test_what_is_listed(shelf: list[Entry], wanted: Filters, hosts: list[str]) -> None:
    assert listed(shelf, wanted) == hosts


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Filters(region="mrs"), '--region: nothing has "mrs" (known: eu, mars, us)'),
        (Filters(provider="grok"), '--provider: nothing has "grok" (known: groq, here)'),
        (
            Filters(capabilities=frozenset({"fly", "tools"})),
            '--capability: nothing has "fly" (known: json_schema, tools, vision)',
        ),
        (Filters(region="eu", provider="groq"), None),
        (Filters(), None),
    ],
)
def test_a_filter_that_nothing_meets_is_a_mistake(
    shelf: list[Entry], wanted: Filters, told: str | None
) -> None:
    assert unmatched_filter(shelf, wanted) == told


def test_as_json(shelf: list[Entry]) -> None:
    found = json.loads(
        msgspec.json.encode(select(shelf, Filters(provider="here"), NOW.date())),
        parse_float=Decimal,
    )
    assert found[0] == {
        "model": "m1", "context": 9000, "usable_context": 9000, "max_output": None,
        "capabilities": ["vision"], "cutoff": None, "latency": None, "token_factor": 1,
        "deprecated": {"since": "2026-01-01", "use_instead": "m3"},
        "hosts": [{
            "provider": "here", "upstream": "m1", "regions": ["eu"], "configured": True,
            "lacks": [], "price": {"input": 1, "output": 2, "cached_input": 1, "cache_write": 1},
            "steps": [{"above": 4000, "input": 3, "output": 4, "cached_input": Decimal("0.3"),
                       "cache_write": 3}],
            "windows": [{
                "hours": "23:00-06:00", "zone": "Europe/Berlin",
                "price": {"input": Decimal("0.5"), "output": 1, "cached_input": Decimal("0.5"),
                          "cache_write": Decimal("0.5")},
                "steps": [{"above": 4000, "input": Decimal("1.5"), "output": 2,
                           "cached_input": Decimal("0.15"), "cache_write": Decimal("1.5")}],
            }],
            "batch": "0.5", "price_from": "catalog", "source": "s", "as_of": "2026-08-24",
            "doubts": [],
        }],
    }  # fmt: skip


def shown(shelf: list[Entry], width: int | None, *, wide: bool = False) -> str:
    out = io.StringIO()
    show(select(shelf, Filters(), NOW.date()), console_for(out, width), wide=wide)
    return out.getvalue()


def test_for_a_person(shelf: list[Entry]) -> None:
    lines = [re.sub(" +", " ", line).strip() for line in shown(shelf, None).splitlines()]
    assert lines == [
        "model tokens host in out notes",
        "m1 9k groq 0.05 0.08 deprecated",
        "here 1 2 3 / 4 above 4k; by the hour",
        "m2 0k groq ? ? gone from genai-prices",
        "here 3 3 as of 2026-08-23",
        "m3 0k here 0 0 tokens x 1.5",
        "",
        "Prices: USD per million tokens, for a short prompt at the dearest hour.",
        "3 models, 5 hosts; 2 hosts need variables that are not set",
    ]


def test_every_column_for_a_person(shelf: list[Entry]) -> None:
    lines = [re.sub(" +", " ", line).strip() for line in shown(shelf, None, wide=True).splitlines()]
    assert lines[1:3] == [
        (
            "m1 9k ? ? ? vision groq us 0.05 0.05 0.05 0.08 genai-prices deprecated: use m3; "
            "needs GROQ_API_KEY"
        ),
        "here eu 1 1 1 2 0.5 catalog 2026-08-24 3 / 4 above 4k; other prices at 23:00-06:00",
    ]


@pytest.mark.parametrize(("unit", "words"), [("search", "searches"), ("call", "calls that search")])
def test_a_price_of_sound_images_and_searches_is_listed(
    tmp_path: Path, unit: str, words: str
) -> None:
    more = f"audio_input: 4, image_output: 9, search: 14, search_per: {unit}, as_of"
    text = SMALL.replace("output: 3, as_of", f"output: 3, {more}")
    (tmp_path / "f.yaml").write_text(text, "utf-8")
    (model,) = select(
        load_shelf([tmp_path / "f.yaml"], NO_ENV, at=NOW),
        Filters("m2", provider="here"),
        NOW.date(),
    )
    host = json.loads(msgspec.json.encode(model["hosts"][0]))
    assert host["price"] == {
        "input": 3, "output": 3, "cached_input": 3, "cache_write": 3,
        "audio_input": 4, "audio_output": 3, "audio_cached_input": 4, "image_output": 9,
    }  # fmt: skip
    assert host["search_fee"] == {"usd_per_thousand": 14, "per": unit}
    lines = [*detail(model)]
    (line,) = [line for line in lines if " price  " in line]
    assert line.endswith("3 cache write; of sound 4 in, 3 out, 4 cached; of images 9 out")
    (line,) = [line for line in lines if " searches  " in line]
    assert line.endswith(f"14 USD for a thousand {words}")


@pytest.mark.parametrize("width", [80, 100, None])
def test_nothing_is_cut(width: int | None) -> None:
    """In a terminal of 80 columns the notes go on below; a pipe has a line for each host."""
    text = shown(list(SHELF.values()), width)
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    lines = text.splitlines()
    assert width is None or max(map(len, lines)) <= width
    words = set(text.split())
    for entry in SHELF.values():
        assert entry.name in words
        assert {host.provider for host in entry.hosts} <= words
    hosts = sum(len(entry.hosts) for entry in SHELF.values())
    assert width is not None or len(lines) == 1 + hosts + 3
    assert len(lines) <= 1.3 * hosts, "notes that fill the page"


def test_all_about_one_model(shelf: list[Entry]) -> None:
    (model,) = select(shelf, Filters("m1", provider="here"), NOW.date())
    assert [re.sub(r"(?<=\S)  +", " | ", line) for line in detail(model)] == [
        "m1",
        "  context | 9,000 tokens published, 9,000 trusted",
        "  longest answer | ?",
        "  can | vision",
        "  knows until | not stated",
        "  answers | not stated",
        "  tokens | up to 1 where others make one of a text",
        "  deprecated | since 2026-01-01: use m3",
        "  at here, as m1",
        "    regions | eu",
        "    needs | nothing more",
        "    price | USD per million tokens: 1 in, 2 out, 1 cached, 1 cache write",
        (
            "    above 4,000 | prompts of more tokens, the whole call: 3 in, 4 out, 0.3 cached, "
            "3 cache write"
        ),
        "    23:00-06:00 Europe/Berlin | 0.5 in, 1 out, 0.5 cached, 0.5 cache write",
        "    23:00-06:00 Europe/Berlin above 4,000 | 1.5 in, 2 out, 0.15 cached, 1.5 cache write",
        "    batch | 0.5 of the price",
        "    price from | catalog",
        "    source | s",
        "    as of | 2026-08-24",
        "    doubts | none",
    ]


def test_a_step_is_held_and_charged_from_its_length_on() -> None:
    """GPT-5.5 and Gemini 3.1 Pro, whose list prices rise with the prompt."""
    for name, above, short, long in (
        ("gpt-5.5", 272_000, ("5", "30"), ("10", "45")),
        ("gemini-3.1-pro", 200_000, ("2", "12"), ("4", "18")),
    ):
        for host in SHELF[name].hosts:
            tariff = host.offer.tariff
            assert tariff is not None
            for prompt, price in ((above, short), (above + 1, long)):
                charged = tariff.at(NOW.timestamp(), prompt)
                held = tariff.within(prompt)
                assert (charged.input, charged.output) == tuple(map(nanos, price))
                assert (held.input, held.output) == tuple(map(nanos, price))


def test_what_is_wrong_in_providers_and_models_is_told(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(
        SMALL.replace("context: 7", "context: x").replace("{provider: here,", "{provider: her,")
    )
    with pytest.raises(ConfigError) as caught:
        load_shelf([path], NO_ENV, at=NOW)
    assert [fault.path for fault in caught.value.faults] == [
        "models.m2.deployments[1].provider", "models.m3.deployments[0].provider",
        "models.m3.context",
    ]  # fmt: skip


def test_prices_of_genai_prices_are_those_of_the_day() -> None:
    august = datetime(2026, 8, 1, 12, tzinfo=UTC)
    early = {entry.name: entry for entry in load_shelf(shipped_catalog(), NO_ENV, at=august)}
    for shelf, day, price in ((early, august, "0.14"), (SHELF, NOW, "0.15")):
        tariff = shelf["deepseek-v4-flash"].hosts[0].offer.tariff
        assert tariff is not None
        assert tariff.at(day.timestamp()).input == nanos(price)
