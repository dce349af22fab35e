"""`tollgate cost estimate`: prices, volumes and options in, amounts and words out."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from gateway.commands.cost_prices import instants
from gateway.config.shelf import load_shelf
from tests.commands.costs import MILLION, RAG, ROOT, lines, printed, refused, told

DOCUMENTS: Final = f"--prices {ROOT}/config/prices/documents-2026-04.yaml"


def test_the_documents_rag_table_cheapest_first() -> None:
    rows = told(f"estimate {RAG} {DOCUMENTS}")["models"]
    assert [(row["model"], row["usd_per_month"]) for row in rows] == [
        ("llama-8b", 45),
        ("deepseek-v3", 163),
        ("gemini-flash", 245),
        ("llama-70b", 320),
        ("claude-haiku", 520),
        ("claude-sonnet-4.6", 1_950),
        ("gemini-pro", 3_850),
        ("gpt-5", 6_000),
        ("claude-opus-4.7", 9_750),
    ]
    assert {(row["source"], row["as_of"]) for row in rows} == {
        ("planning documents, cost arithmetic", "2026-04-01")
    }


@pytest.mark.parametrize(
    ("volume", "price", "usd"),
    [
        ("--requests 1 --input 30000000 --output 20000000", "5/15", "450"),
        ("--requests 30,000,000 --input 1000 --output 500", "1.74/3.48", "104400"),
        ("--requests 30_000_000 --input 1000 --output 500", "0.14/0.28", "8400"),
        ("--requests 30000000 --input 1000 --output 500", "5/30", "600000"),
        ("--requests 1 --input 1 --output 0", "0.15/1", "0.00000015"),
        (f"{MILLION} --cache-hit 50%", "10/0", "5500"),  # 10 % for what is cached
        (f"{MILLION} --cache-hit 0.5", "10/0/2", "6000"),
        (f"{MILLION} --cache-hit 1/2".replace("1/2", ".5"), "10/0/10", "10000"),
        (f"{MILLION} --batch 100%", "10/10", "10000"),
        (f"{MILLION} --batch 25% --cache-hit 100%", "10/0", "875"),
    ],
)
def test_a_stated_price(volume: str, price: str, usd: str) -> None:
    (line,) = lines(f"estimate {volume} --price m={price}")
    assert line["usd_per_month"] == usd


def test_what_a_table_shows() -> None:
    shown = printed(f"estimate {RAG} --price a=3/15 --price b=0.123456/1 --cache-hit 50%")
    text = [" ".join(line.replace("│", " ").split()) for line in shown.splitlines()]
    assert text[0] == "100,000 requests a month, 4,000 tokens in, 500 out, 50% of the input cached"
    assert "b stated 0.1235 0.0123 1 0.000771604 77.16" in text
    assert "a stated 3 0.3 15 0.0141 1,410.00" in text
    assert text[-1] == "cached input at 10% of input, a rule of thumb: b, a"


@pytest.mark.parametrize(
    ("places", "month"), [("0", "77"), ("2", "77.16"), ("4", "77.1603"), ("9", "77.160320000")]
)
def test_as_many_places_as_asked(places: str, month: str) -> None:
    shown = printed(f"estimate {RAG} --price b=0.123456/1 --cache-hit 50% --places {places}")
    assert f" {month} │" in shown


PRICES: Final = """\
plain: {input: 1, output: 2}
nightly: {input: 2, output: 4, cached_input: 0, windows: [{hours: "00:00-06:00", factor: 0.5}]}
steep: {input: 1, output: 1, steps: [{above: 1000, input: 3, output: 3}]}
batched: {input: 1, output: 1, batch: 0.25}
own: free
"""


@pytest.mark.parametrize(
    ("volume", "model", "usd"),
    [
        ("--input 1000 --output 1000", "plain", 3_000),
        ("--input 1000 --output 1000", "nightly", 5_250),  # a quarter of the day at half price
        ("--input 1000 --output 1000 --hours 00:00-06:00", "nightly", 3_000),
        ("--input 1000 --output 1000 --hours 22:00-02:00", "nightly", 4_500),
        ("--input 1000 --output 1000 --hours 07:00-08:00", "nightly", 6_000),
        ("--input 1000 --output 1000 --hours 06:00-11:00 --zone Asia/Tokyo", "nightly", 4_800),
        ("--input 1000 --output 1000 --cache-hit 100%", "nightly", 3_500),
        ("--input 1000 --output 1000", "steep", 2_000),
        ("--input 1001 --output 1000", "steep", 6_003),
        ("--input 1000 --output 1000 --batch 1", "batched", 500),
        ("--input 1000 --output 1000", "own", 0),
    ],
)
def test_a_file_of_prices(volume: str, model: str, usd: int, tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(PRICES)
    rows = told(f"estimate --requests 1000000 {volume} --prices {file}")["models"]
    assert {row["model"]: row["usd_per_month"] for row in rows}[model] == usd


def test_a_price_on_the_command_line_goes_first(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("a: {input: 1, output: 1}\nb: {input: 1, output: 1}\n")
    found = lines(f"estimate {MILLION} --prices {file} --price a=9/9")
    assert [(line["model"], line["usd_per_month"]) for line in found] == [
        ("b", "2000"),
        ("a", "18000"),
    ]


# ---- the catalog's prices

CATALOG: Final = """\
providers:
  west: {dialect: openai, base_url: "http://west.test/v1", regions: [us]}
  east: {dialect: openai, base_url: "http://east.test/v1", regions: [eu], api_key: "${NO_KEY}"}
  rack: {dialect: openai, base_url: "http://rack.test/v1", regions: [on-prem]}
models:
  big:
    deployments:
      - {provider: west, price: {input: 2, output: 2}}
      - {provider: east, price: {input: 1, output: 3, batch: 0.5, as_of: 2020-01-01, source: x}}
      - {provider: rack, price: free}
    context: 8000
    usable_context: 2000
    max_output: 500
    token_factor: 1.2
  small:
    deployments: [{provider: west}]
    context: 8000
    price: {input: 0.1, output: 0.1, cached_input: 0.01}
    deprecated: {since: 2026-04-01, use_instead: big}
  mine: {deployments: [{provider: rack}], context: 8000, price: free}
"""


@pytest.fixture
def catalog(tmp_path: Path) -> str:
    file = tmp_path / "catalog.yaml"
    file.write_text(CATALOG)
    return f"--config {file}"


HOST: Final[list[tuple[str, list[str]]]] = [
    ("--input 1000 --output 1000", ["west/small 200", "west/big 4000"]),
    ("--input 1000 --output 999", ["west/small 199.9", "east/big 3997"]),
    ("--input 1000 --output 999 --hosts", ["west/small 199.9", "east/big 3997", "west/big 3998"]),
    ("--input 1000 --output 1000 --batch 1", ["west/small 200", "east/big 2000"]),
    ("--input 1000 --output 0 --region us", ["west/small 100", "west/big 2000"]),
    ("--input 1000 --output 0 --provider east", ["east/big 1000"]),
    ("--input 1000 --output 0 --model big", ["east/big 1000"]),
    ("--input 1000 --output 0 --model west/big", ["west/big 2000"]),
    ("--input 1000 --output 0 --model west/*", ["west/small 100", "west/big 2000"]),
    ("--input 1000 --output 0 --model b* --price x=5/5", ["east/big 1000", "stated/x 5000"]),
    ("--input 1000 --output 0 --model b* --price big=5/5", ["stated/big 5000"]),
]


@pytest.mark.parametrize(("options", "expected"), HOST)
def test_each_model_at_its_cheapest_host(options: str, expected: list[str], catalog: str) -> None:
    found = lines(f"estimate --requests 1000000 {options} {catalog}")
    assert [f"{x['host']}/{x['model']} {x['usd_per_month']}" for x in found] == expected


def test_what_makes_an_estimate_worse_than_it_looks(catalog: str) -> None:
    found = told(
        f"estimate --requests 1 --input 1500 --output 501 --cache-hit .1 --batch .1 {catalog}"
    )
    assert found["left_out"] == ["mine"]
    assert {row["model"]: row["notes"] for row in found["models"]} == {
        "small": [
            "deprecated, use big instead",
            "no price of batches is known, so no discount",
        ],
        "big": [
            "as of 2020-01-01",
            "its tokenizer makes up to 1.2 times the tokens",
            "only 2,000 tokens are trusted, too few",
            "answers have at most 500 tokens",
            "no cheaper price of cached input is known",
        ],
    }


def test_the_shipped_catalog_knows_long_prompts_and_batches() -> None:
    """At genai-prices' own: GPT-5.5 costs 5 and 30, above 272,000 tokens 10 and 45."""
    for volume, usd in (
        ("--requests 30000000 --input 1000 --output 500", 600_000),
        ("--requests 1000 --input 272000 --output 1000", 1_390),
        ("--requests 1000 --input 272001 --output 1000", Decimal("2765.01")),
        ("--requests 1000 --input 272000 --output 1000 --batch 1", 695),
    ):
        (line,) = lines(f"estimate {volume} --model openai/gpt-5.5")
        assert Decimal(line["usd_per_month"]) == usd
        assert line["notes"].startswith("dearer above 272,000 tokens of prompt")


def test_every_shipped_model_has_an_estimate_or_is_ones_own() -> None:
    found = told(f"estimate {RAG}")
    names = {
        entry.name
        for entry in load_shelf([ROOT / "config/providers.yaml", ROOT / "config/models.yaml"], {})
    }
    assert {row["model"] for row in found["models"]} | set(found["left_out"]) == names
    months = [row["usd_per_month"] for row in found["models"]]
    assert months == sorted(months)


# ---- hours


@pytest.mark.parametrize(
    ("hours", "zone", "minutes", "first"),
    [
        ("00:00-24:00", "UTC", 1440, "00:00"),
        ("09:00-17:30", "UTC", 510, "09:00"),
        ("23:00-01:00", "UTC", 120, "00:00"),
        ("09:00-10:00", "Europe/Berlin", 60, "08:00"),
    ],
)
def test_the_minutes_in_which_requests_come(
    hours: str, zone: str, minutes: int, first: str
) -> None:
    found = instants(hours, zone, datetime(2026, 1, 15, 13, 7, tzinfo=UTC))
    clock = datetime.fromtimestamp(found[0], UTC)
    assert (len(found), f"{clock:%H:%M}") == (minutes, first)


# ---- what cannot be

WHOLE: Final = "must be a whole number from"
SHARE: Final = "must be a share from 0 to 1, such as 30% or 0.3, not"
PRICE: Final = (
    "--price: must be model=input/output or model=input/output/cached in USD per million tokens, "
    "such as sonnet=3/15, not"
)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("--requests 0", f'--requests: {WHOLE} 1 to 1,000,000,000,000, not "0"'),
        ("--requests -5", f'--requests: {WHOLE} 1 to 1,000,000,000,000, not "-5"'),
        ("--requests 1e6",
         f'--requests: {WHOLE} 1 to 1,000,000,000,000, not "1e6"'),
        ("--requests 1_0",
         f'--requests: {WHOLE} 1 to 1,000,000,000,000, not "1_0"'),
        ("--input 1.5", f'--input: {WHOLE} 0 to 100,000,000, not "1.5"'),
        ("--output ٣", f'--output: {WHOLE} 0 to 100,000,000, not "٣"'),
        ("--input 0 --output 0",
         "--input: and --output are both 0: a request has at least one token"),
        ("--cache-hit 30", f'--cache-hit: {SHARE} "30"'),
        ("--cache-hit -1%", f'--cache-hit: {SHARE} "-1%"'),
        ("--cache-hit nan", f'--cache-hit: {SHARE} "nan"'),
        ("--batch 101%", f'--batch: {SHARE} "101%"'),
        ("--cache-hit 60% --cache-write 50%",
         "--cache-write: and --cache-hit must be at most 100% together, not 110%"),
        ("--price m", f'{PRICE} "m"'),
        ("--price m=1", f'{PRICE} "m=1"'),
        ("--price =1/2", f'{PRICE} "=1/2"'),
        ("--price m=1/2/3/4", f'{PRICE} "m=1/2/3/4"'),
        ("--price m=1/-2", f'{PRICE} "m=1/-2"'),
        ("--price m=1/1000001", f'{PRICE} "m=1/1000001"'),
        ("--hours 9-17", '--hours: must be hours of the day such as 16:30-00:30, not "9-17"'),
        ("--zone Berlin", '--zone: must be an IANA time zone such as Europe/Berlin, not "Berlin"'),
        ("--format xml", '--format: must be one of table, csv, json, not "xml"'),
        ("--places 10", '--places: must be a whole number from 0 to 9, not "10"'),
        ("--model gpt-55",
         '--model: "gpt-55" is not in the catalog; did you mean gpt-5.5? (see tollgate catalog)'),
        ("--model phi-4",
         "--model: phi-4 has no price by the token: it runs on machines of your own"),
        ("--provider openai --model claude-opus-4-7",
         "--provider: no such model is sold there (known: anthropic, azure, azure-foundry, "),
        ("--region mars", "--region: no such model is sold there (known: "),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be(options: str, error: str) -> None:
    plain = {"--requests": "1", "--input": "1", "--output": "1"}
    missing = [f"{name} {value}" for name, value in plain.items() if name not in options]
    code, said = refused(f"estimate {' '.join(missing)} {options}")
    assert (code, said[: len(error)]) == (2, error)


FAULTY: Final = """\
a: {input: 1}
b: {output: 1, typo: 2}
c: 3
d: {batch: 0.5}
e: {input: -1, output: x}
"""


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (None, [": cannot be read: No such file or directory"]),
        ("- a\n", [":1: must be a mapping with keys such as providers, models, tenants"]),
        (FAULTY, [
            ":1: a: needs both input and output, or neither",
            ":2: b.typo: is not a known key (known: ",
            ":3: c: must be free, or a mapping such as {input: 0.25, output: 2}",
            ":4: d: needs input and output",
            ':5: e.input: must be USD per million tokens, 0 to 1,000,000, such as 0.25, not "-1"',
            ':5: e.output: must be USD per million tokens, 0 to 1,000,000, such as 0.25, not "x"',
        ]),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be(text: str | None, faults: list[str], tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    if text is not None:
        file.write_text(text)
    code, said = refused(f"estimate {MILLION} --prices {file}")
    assert code == 1
    for line, fault in zip(said.split("\n"), faults, strict=True):
        assert line.startswith(f"{file}{fault}")
