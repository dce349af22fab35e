"""`tollgate cost compare`: a mix, or what was recorded of one, against each model and machines."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.core.chat import Usage
from gateway.core.money import nanos
from gateway.core.records.record import UsageRecord, encode
from tests.commands.costs import lines, printed, refused, told

# At a million tokens a request each costs what its price says: 1, 5, 25 USD.
UNITS: Final = (
    "--requests 100 --input 1000000 --output 0 --price c=1/0 --price m=5/0 --price s=25/0"
)


@pytest.mark.parametrize(
    ("mix", "usd"),
    [
        (["c=100%"], 100),
        (["c=90%", "s=10%"], 340),
        (["c=90%", "c+s=10%"], 350),  # the rejected attempts are paid as well
        (["c=70%", "c+m=20%", "c+m+s=10%"], 500),
        (["c+c=85%", "c+c+s=.15"], 575),  # two that must agree, and one that arbitrates
        (["c+c+c+s=1"], 2_800),  # three tries before the climb
    ],
)
def test_a_mix_pays_every_attempt(mix: list[str], usd: int) -> None:
    found = told(f"compare {UNITS} {' '.join(f'--mix {path}' for path in mix)}")
    assert found["compared"][0]["usd_per_month"] == usd
    assert sum(part["usd_per_month"] for part in found["parts"]) == usd


def test_against_each_of_the_mix_cheapest_first() -> None:
    found = lines(f"compare {UNITS} --mix c+s=20% --mix c=80%")
    assert [tuple(line.values())[:6] for line in found] == [
        ("mix", "c+s=20% c=80%", "", "6", "600", ""),
        ("alone", "c", "stated", "1", "100", "-500%"),
        ("alone", "s", "stated", "25", "2500", "76%"),
    ]


def test_against_those_that_are_named() -> None:
    found = lines(f"compare {UNITS} --mix c=1 --model m --model s")
    assert [line["model"] for line in found[1:]] == ["m", "s"]


def test_what_is_cached_and_batched_counts_for_all() -> None:
    found = told(f"compare {UNITS} --mix c=80% --mix c+s=20% --cache-hit 50% --batch 100%")
    assert [row["usd_per_month"] for row in found["compared"]] == [165, 27.5, 687.5]


CATALOG: Final = """\
providers: {there: {dialect: openai, base_url: "http://there.test/v1"}}
models:
  small: {deployments: [{provider: there}], context: 8000, price: {input: 1, output: 1}}
  large:
    deployments: [{provider: there}]
    context: 2000000
    price: {input: 2, output: 2, steps: [{above: 1000, input: 4, output: 4}]}
tiers: {cheap: {models: [small]}, smart: {models: [large, small]}}
"""


@pytest.fixture
def catalog(tmp_path: Path) -> str:
    file = tmp_path / "catalog.yaml"
    file.write_text(CATALOG)
    return f"--config {file}"


def test_a_tier_is_its_first_model(catalog: str) -> None:
    volume = "--requests 1000000 --input 500 --output 500"
    found = lines(f"compare {volume} --mix cheap=90% --mix cheap+smart=10% {catalog}")
    assert [(line["model"], line["usd_per_month"]) for line in found] == [
        ("cheap=90% cheap+smart=10%", "1200"),
        ("small", "1000"),
        ("large", "2000"),
    ]


def test_the_shipped_tiers() -> None:
    volume = "--requests 1000 --input 1000 --output 100 --config config/gateway.yaml"
    found = lines(f"compare {volume} --mix cheap=90% --mix cheap+smart=10%")
    assert [line["model"] for line in found[1:]] == ["llama-3.1-8b", "claude-opus-4-7"]


# ---- machines of one's own

OWN: Final = "--gpu-hour 2.50 --gpus 8 --tokens-per-second 1000 --utilisation 50% --engineer 5833"


def test_the_volume_from_which_own_machines_pay() -> None:
    """14,400 a month for GPUs, 5,833 for half an engineer; 1,296,000 requests of 1,000 tokens."""
    volume = "--requests 1000000 --input 0 --output 1000 --price a=1/20 --price b=1/2"
    found = told(f"compare {volume} --mix a=50% --mix a+b=50% {OWN} --other 750")
    assert found["own_machines"] == {
        "gpu_usd_per_hour": 2.5,
        "gpus_per_set": 8,
        "tokens_per_second_per_set": 1000.0,
        "utilisation": 0.5,
        "people_usd_per_month": 6583,
        "requests_per_set": 1_296_000,
        "sets": 1,
        "usd_per_month": 20_983,
    }
    assert [
        (row["what"], row["model"], row["usd_per_month"], row["own_machines_from"])
        for row in found["compared"]
    ] == [
        ("mix", "a=50% a+b=50%", 21_000, 999_191),  # 20,983 / 0.021
        ("alone", "b", 2_000, None),  # a full set earns 2,592 of its 14,400
        ("alone", "a", 20_000, 1_049_150),  # 20,983 / 0.020
        ("own machines", "8 GPUs", 20_983, None),
    ]


def test_more_than_a_set_can_serve_takes_another() -> None:
    volume = "--requests 1296001 --input 0 --output 1000 --price a=1/20"
    found = told(f"compare {volume} --mix a=1 {OWN}")
    assert (found["own_machines"]["sets"], found["own_machines"]["usd_per_month"]) == (2, 34_633)
    assert found["compared"][-1]["model"] == "16 GPUs"


def test_what_a_table_shows() -> None:
    shown = printed(f"compare {UNITS} --mix c=80% --mix c+s=20% {OWN}")
    text = [" ".join(line.replace("│", " ").split()) for line in shown.splitlines()]
    for line in (
        "the mix: 100 requests a month, 1,000,000 tokens in, 0 out",
        "c stated 100 100.00",
        "s stated 20 500.00",
        "100 requests a month",
        "mix as above 6 600.00 3,373",
        "alone s stated 25 2,500.00 76% 810",
        "own machines 8 GPUs 202.33 20,233.00 97.03%",
    ):
        assert line in text
    busy = "a set of 8 GPUs, busy 50% of 720 hours (30 days)"
    assert f"{busy}, serves any number of requests a month; needed: 1" in text


# ---- recorded usage

RECORD: Final = UsageRecord(
    attempt="a1",
    request="r1",
    tenant="acme",
    route="auto",
    model="small",
    provider="there",
    tier="cheap",
    purpose="answer",
    outcome="ok",
    held=nanos(1),
    cost=nanos("0.001"),
    usage=Usage(500, 500),
)


def record(attempt: str, request: str, **changed: Any) -> bytes:
    fields = {name: getattr(RECORD, name) for name in RECORD.__struct_fields__}
    return encode(UsageRecord(**{**fields, "attempt": attempt, "request": request, **changed}))


SMART: Final[dict[str, Any]] = {"model": "large", "tier": "smart", "purpose": "escalation"}
USAGE: Final = [
    record("a1", "r1"),
    record("a2", "r2"),
    record("a3", "r2", **SMART, cost=nanos("0.004"), usage=Usage(500, 1500)),
    record("a4", "r3", outcome="faulty", cost=0, usage=Usage()),
    record("a5", "r3", purpose="fallback", provider="other"),
    record("a6", "r4", cost=nanos("0.0045"), **SMART, usage=Usage(1001, 99)),
    record("a7", "r5", outcome="timed_out", cost=nanos("0.0005"), usage=Usage(500)),
    record("a8", "r1", purpose="audit", model="large", tier="smart", cost=nanos("0.002")),
]


def write(folder: Path, records: list[bytes], tail: bytes = b"") -> str:
    file = folder / "usage.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in records) + tail)
    return f"--usage {file}"


def test_what_was_recorded_against_each_model_alone(tmp_path: Path, catalog: str) -> None:
    found = told(f"compare {write(tmp_path, USAGE)} {catalog}")
    assert (found["recorded_requests"], found["recorded_answers"]) == (5, 4)
    assert found["recorded_usd"] == 0.014
    calls = [(p["tier"], p["model"], p["purpose"], p["calls"], p["usd"]) for p in found["parts"]]
    assert calls == [
        ("cheap", "small", "answer", 4, 0.0025),
        ("smart", "large", "escalation", 2, 0.0085),
        ("cheap", "small", "fallback", 1, 0.001),
        ("smart", "large", "audit", 1, 0.002),
    ]
    mix, small, large = found["compared"]
    # The answers have 500 + 500, 500 + 1,500, 500 + 500 and 1,001 + 99 tokens.
    assert (mix["usd_per_request"], mix["usd_per_month"]) == (0.0028, 0.014)
    assert small["usd_per_request"] == 0.001275  # 5,100 tokens at 1, over four
    assert large["usd_per_request"] == 0.0031  # 4,000 at 2 and 1,100 at 4, over four


def test_recorded_usage_at_another_volume(tmp_path: Path, catalog: str) -> None:
    found = told(f"compare {write(tmp_path, USAGE)} --requests 1000000 {catalog}")
    assert [row["usd_per_month"] for row in found["compared"]] == [2_800, 1_275, 3_100]


def test_a_record_that_came_twice_and_a_torn_line_count_not(tmp_path: Path, catalog: str) -> None:
    usage = write(tmp_path, [*USAGE, USAGE[2], USAGE[0]], USAGE[3][:40])
    found = told(f"compare {usage} {catalog}")
    assert (found["recorded_usd"], found["records_twice"], found["files_torn"]) == (0.014, 2, 1)
    shown = printed(f"compare {usage} {catalog}").splitlines()
    assert shown[-3:] == [
        "without an answer: 1 requests, which only the mix pays for",
        "records that came twice, and count once: 2",
        "files that end within a line, which is left out: 1",
    ]


def test_what_is_not_priced_by_text_is_told(tmp_path: Path, catalog: str) -> None:
    searched = record("a1", "r1", usage=Usage(500, 500, searches=2))
    shown = printed(f"compare {write(tmp_path, [searched])} {catalog}").splitlines()
    assert shown[-1] == (
        "with sound, images or searches of the web: 1 answers; what those cost is in the mix, and"
        " each model alone is priced by text"
    )


def test_what_a_provider_says_that_it_cost_is_in_the_mix(tmp_path: Path, catalog: str) -> None:
    billed = record("a1", "r1", cost=9_000_000, usage=Usage(500, 500, reported_cost=9_000_000))
    usage = write(tmp_path, [billed])
    assert told(f"compare {usage} {catalog}")["recorded_usd"] == 0.009
    assert printed(f"compare {usage} {catalog}").splitlines()[-1] == (
        "whose provider says what they cost: 1 answers; that is in the mix, and each model alone is"
        " at its price"
    )


def test_a_model_without_a_price_here_is_told(tmp_path: Path) -> None:
    usage = write(tmp_path, USAGE)
    found = told(f"compare {usage} --price small=1/1")
    assert found["not_compared"] == ["large"]
    assert [row["model"] for row in found["compared"]] == ["as recorded", "small"]


# ---- what cannot be

VOLUME: Final = "--requests 1 --input 1 --output 1 --price a=1/1"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (VOLUME, "--mix: or --usage is needed, and not both: the mix as shares, or as recorded"),
        ("--mix a=1 --price a=1/1",
         "--requests: must be a whole number from 1 to 1,000,000,000,000, not nothing"),
        (f"{VOLUME} --mix a=50%", "--mix: the shares must make 100% together, not 50%"),
        (f"{VOLUME} --mix a=60% --mix a+a=60%",
         "--mix: the shares must make 100% together, not 120%"),
        (f"{VOLUME} --mix a",
         ("--mix: must be model=share, or model+better=share where both are asked, such as "
         'haiku+sonnet=20%, not "a"')),
        (f"{VOLUME} --mix a+=1",
         ("--mix: must be model=share, or model+better=share where both are asked, such as "
         'haiku+sonnet=20%, not "a+=1"')),
        (f"{VOLUME} --mix a=2", '--mix: must be a share from 0 to 1, such as 30% or 0.3, not "2"'),
        (f"{VOLUME} --mix b=1", '--mix: "b" is not in the catalog (see tollgate catalog)'),
        (f"{VOLUME} --mix a=1 --gpu-hour 1",
         ("--tokens-per-second: is needed with --gpu-hour: --gpu-hour --tokens-per-second "
         "--engineer say it all")),
        (f"{VOLUME} --mix a=1 --gpu-hour x --engineer 1 --tokens-per-second 1",
         '--gpu-hour: must be USD from 0 to 100,000, such as 2.50, not "x"'),
        (f"{VOLUME} --mix a=1 --gpu-hour 1 --engineer 1 --tokens-per-second 0",
         '--tokens-per-second: must be output tokens a second above 0, not "0"'),
        (f"{VOLUME} --mix a=1 --gpu-hour 1 --engineer 1 --tokens-per-second 1 --gpus 0",
         '--gpus: must be a whole number from 1 to 100,000, not "0"'),
        (f"{VOLUME} --mix a=1 --gpu-hour 1 --engineer 1 --tokens-per-second 1 --utilisation 0",
         "--utilisation: must be above 0: machines that never work serve nobody"),
        (("--requests 1 --input 0 --output 1000000 --price a=1/1 --mix a=1 --gpu-hour 1 "
         "--engineer 1 --tokens-per-second 0.1"),
         "--tokens-per-second: is too little for a single request a month"),
        ("--usage nowhere.jsonl", "--usage: nowhere.jsonl: No such file or directory"),
        ("--usage x --input 5", "--input: goes with --mix: --usage says it of each request"),
        ("--usage x --batch 5%", "--batch: goes with --mix: --usage says it of each request"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be(options: str, error: str) -> None:
    assert refused(f"compare {options}") == (2, error)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", "has no record of a request"),
        (b'{"a": 1}\n', ":1: is no usage record: Object missing required field `attempt`"),
        (USAGE[0] + b"\nnonsense\n", ":2: is no usage record: "),
        (USAGE[3] + b"\n", "has no record of an answer to compare with"),
    ],
)
def test_records_that_cannot_be(text: bytes, error: str, tmp_path: Path) -> None:
    file = tmp_path / "usage.jsonl"
    file.write_bytes(text)
    code, said = refused(f"compare --usage {file} --price small=1/1 --price large=1/1")
    assert (code, said.startswith("--usage: "), error in said) == (2, True, True), said


def test_json_is_exact() -> None:
    text = printed(f"compare {UNITS} --mix c=1 --format json")
    assert '"usd_per_request": 1,' in text
    assert json.loads(text)["compared"][0]["notes"] == []
