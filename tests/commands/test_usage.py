"""`tollgate usage` and `tollgate ledger` as a person runs them."""

import asyncio
import csv
import io
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from redis import Redis
from typer.testing import CliRunner, Result

from gateway.__main__ import app
from gateway.commands.cost_usage import read_recorded_usage
from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.chat import Usage
from gateway.core.money import Nanos
from gateway.core.records.line import Line, encode, line_of, when
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.drivers.usage.jsonl_store import JsonlStore
from tests.usage_lines import HOUR, NOON, line, record

pytest_plugins = ("tests.redis_server",)

CONFIG = """
redis: {{url: '{redis}'}}
{usage}
tags: {{use_case: [rag, chat], team: any}}
providers: {{local: {{dialect: openai, base_url: 'http://x/v1'}}}}
models: {{small: {{deployments: [{{provider: local}}], context: 8000, price: free}}}}
tenants:
  {tenant}: {{keys: [{{id: k, hash: 'sha256:{hash}'}}], budgets: [{{usd: 5, per: total}}]}}
"""
BIG: dict[str, Any] = {"model": "large", "tier": "smart", "purpose": "escalation", "requests": 0}
LINES = [
    line("a1", cost=1),
    line("a2", ms=NOON + HOUR, seq=2, cost=2, tags={"use_case": "chat"}, counted=True),
    line("a3", ms=NOON + HOUR, seq=3, cost=1_000_000_000, usage=Usage(100, 7), **BIG),
    line("a4", ms=NOON + 24 * HOUR, seq=4, cost=4, tenant="other", user="=1+1"),
    # A hold that expired, and was corrected later.
    line(
        "a5", ms=NOON, seq=5, kind="expired", cost=900, model="", tier="", purpose="expired",
        usage=Usage(), requests=1,
    ),
    line("a5", ms=NOON + 1, seq=6, kind="corrected", nanos=-890, cost=10, requests=0),
]  # fmt: skip
UNSEEN = "x" * 300
"""Nobody can look whether it is there."""
HEADS = (
    "requests,calls,input_tokens,cached_tokens,cache_write_tokens,output_tokens,reasoning_tokens,"
    "cost_usd,counted_share,cache_hits,saved_usd"
)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, [*words])


async def _write(folder: Path, lines: list[Line], name: str) -> None:
    store = JsonlStore(folder, name)
    await store.write(lines)
    await store.aclose()


@pytest.fixture
def kept(tmp_path: Path) -> str:
    asyncio.run(_write(tmp_path / "usage", LINES, "p1"))
    return f"jsonl:{tmp_path / 'usage'}"


def told(kept: str, *words: str) -> Any:
    found = run("usage", "--from", kept, "--format", "json", *words)
    assert (found.exit_code, found.stderr) == (0, "")
    return json.loads(found.stdout)


def costs(kept: str, *words: str) -> list[tuple[str, ...]]:
    """Each row's groups and cost, as CSV tells them."""
    found = run("usage", "--from", kept, "--format", "csv", *words)
    assert (found.exit_code, found.stderr) == (0, "")
    rows = [*csv.reader(io.StringIO(found.stdout))]
    place = rows[0].index("cost_usd")
    return [(*row[: rows[0].index("requests")], row[place]) for row in rows[1:]]


@pytest.mark.parametrize(
    ("by", "rows"),
    [
        ("tenant", [("acme", "1.000000013"), ("other", "0.000000004")]),
        (
            "tenant,model",
            [
                ("acme", "large", "1"),
                ("acme", "small", "0.000000013"),
                ("other", "small", "0.000000004"),
            ],
        ),
        ("tag.use_case", [("rag", "1.000000015"), ("chat", "0.000000002")]),
        ("purpose", [("escalation", "1"), ("answer", "0.000000017")]),
        ("day", [("2026-11-21", "1.000000013"), ("2026-11-22", "0.000000004")]),
        (
            "hour",
            [
                ("2026-11-21T13", "1.000000002"),
                ("2026-11-21T12", "0.000000011"),
                ("2026-11-22T12", "0.000000004"),
            ],
        ),
        ("counted", [("false", "1.000000015"), ("true", "0.000000002")]),
        ("user", [("ann", "1.000000013"), ("'=1+1", "0.000000004")]),
        ("tag.nobody", [("", "1.000000017")]),
        ("", [("1.000000017",)]),
    ],
)  # fmt: skip
def test_by_what(kept: str, by: str, rows: list[tuple[str, ...]]) -> None:
    assert costs(kept, "--by", by) == rows


@pytest.mark.parametrize(
    ("words", "cost"),
    [
        ("--since 2026-11-22", 4),
        ("--until 2026-11-22", 1_000_000_013),
        ("--since 2026-11-21T14:00+01:00 --until 2026-11-21T13:00:00.001", 1_000_000_002),
        ("--since 2026-11-21T12:00:00.001 --until 2026-11-21T12:30", -890),  # the correction alone
        ("--since 2026-12-01", 0),
    ],
)
def test_a_span_of_time(kept: str, words: str, cost: int) -> None:
    found = told(kept, "--by", "tenant", *words.split())
    assert round(found["total"]["cost_usd"] * 10**9) == cost


def test_every_figure(kept: str) -> None:
    found = told(kept, "--by", "model")
    assert found == {
        "by": ["model"],
        "rows": [
            {
                "model": "large", "requests": 0, "calls": 1, "input_tokens": 100,
                "cached_tokens": 0, "cache_write_tokens": 0, "output_tokens": 7,
                "reasoning_tokens": 0, "cost_usd": 1, "counted_share": 0.0, "cache_hits": 0,
                "saved_usd": 0,
            },
            {
                "model": "small", "requests": 4, "calls": 4, "input_tokens": 120,
                "cached_tokens": 40, "cache_write_tokens": 20, "output_tokens": 80,
                "reasoning_tokens": 16, "cost_usd": 0.000000017, "counted_share": 0.25,
                "cache_hits": 0, "saved_usd": 0,
            },
        ],
        "total": {
            "requests": 4, "calls": 5, "input_tokens": 220, "cached_tokens": 40,
            "cache_write_tokens": 20, "output_tokens": 87, "reasoning_tokens": 16,
            "cost_usd": 1.000000017, "counted_share": 0.2, "cache_hits": 0, "saved_usd": 0,
        },
    }  # fmt: skip


def test_kept_answers_are_hits_and_no_calls(tmp_path: Path) -> None:
    none: dict[str, Any] = {
        "usage": Usage(),
        "cost": 0,
        "requests": 0,
        "nanos": 0,
        "kind": "charged",
    }
    lines = [
        line("a1", cost=2_000),
        line("h1", purpose="cached", hits=7, saved=14_000, **none),
        line("c1", purpose="compared", outcome="agreed", **none),
    ]
    asyncio.run(_write(tmp_path, lines, "a"))
    found = told(f"jsonl:{tmp_path}", "--by", "tenant")["total"]
    names = ("requests", "calls", "cost_usd", "cache_hits", "saved_usd")
    assert [found[name] for name in names] == [1, 1, 0.000002, 7, 0.000014]


def test_a_table_has_a_total(kept: str) -> None:
    found = run("usage", "--from", kept, "--by", "tenant,user")
    assert found.exit_code == 0
    last = [cell.strip() for cell in found.stdout.splitlines()[-2].strip("│ ").split("│")]
    assert (last[0], last[-4]) == ("total", "1.000000017")


def test_what_came_twice_or_torn_is_told(kept: str, tmp_path: Path) -> None:
    again = encode(LINES[0]) + encode(LINES[5]) + encode(LINES[1])[:-30]
    (tmp_path / "usage" / "2026-11-21.p2.jsonl").write_bytes(again)
    found = run("usage", "--from", kept, "--by", "tenant", "--format", "csv")
    assert found.stderr == (
        "note: 2 records came again, and count once\n"
        "note: 1 files end within a line, which is left out\n"
    )
    assert "acme,3,4,190,30,15,67,12,1.000000013,0.25,0,0\n" in found.stdout


def test_a_correction_may_be_read_first(tmp_path: Path) -> None:
    asyncio.run(_write(tmp_path, LINES[5:], "a"))
    asyncio.run(_write(tmp_path, LINES[4:5], "b"))
    assert costs(f"jsonl:{tmp_path}", "--by", "model") == [("small", "0.00000001")]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_expired_and_was_given_back_is_no_call(tmp_path: Path, order: tuple[int, int]) -> None:
    lines = [
        line("b1", kind="expired", cost=900, requests=1, usage=Usage()),
        line("b1", kind="corrected", nanos=-900, requests=-1, known=False),
    ]
    for number, which in enumerate(order):
        asyncio.run(_write(tmp_path, [lines[which]], f"p{number}"))
    found = run("usage", "--from", f"jsonl:{tmp_path}", "--by", "tenant", "--format", "csv")
    assert found.stdout == f"tenant,{HEADS}\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("--by tenant,modell", 2, "--by: nothing is told apart by 'modell': choose of organ"),
        ("--by tag.", 2, "--by: nothing is told apart by 'tag.': choose of organisation, "),
        ("--since yesterday", 2, "--since: must be such as 24h, 7d, 2026-11-01 or "),
        ("--since 9999999d", 2, "--since: must be such as 24h, "),
        ("--since 2026-11-02 --until 2026-11-01", 2, "--until: must be later than --since"),
        ("--format xml", 2, "--format: must be one of table, csv, json"),
        ("--from csv:x", 2, "--from: must be jsonl:folder, parquet:folder or a postgresql:// URL"),
        ("--from jsonl:/nowhere", 2, "--from: /nowhere is no folder"),
        (f"--from jsonl:/{UNSEEN}", 2, f"--from: /{UNSEEN}: File name too long"),
        ("--from postgresql://127.0.0.1:1/x", 1, "--from: PostgreSQL: "),
    ],
)  # fmt: skip
def test_what_cannot_be_used(kept: str, words: str, code: int, said: str) -> None:
    found = run("usage", "--from", kept, *words.split())
    assert (found.exit_code, found.stdout) == (code, "")
    assert found.stderr.startswith(said), found.stderr


def test_compare_reads_the_same_files(kept: str, tmp_path: Path) -> None:
    more = [
        line("c1", kind="expired", cost=70, model="", tier="", purpose="expired", usage=Usage()),
        line("c2", kind="corrected", nanos=-50, known=False),
        line("c2", kind="expired", cost=50, model="", tier="", purpose="expired", usage=Usage()),
    ]
    asyncio.run(_write(tmp_path / "usage", more, "p2"))
    found = read_recorded_usage(sorted((tmp_path / "usage").iterdir()))
    assert {place: (each.count, each.cost) for place, each in found.calls.items()} == {
        ("cheap", "small", "answer"): (4, 17),
        ("smart", "large", "escalation"): (1, 1_000_000_000),
        ("none", "unknown", "expired"): (1, 70),
    }


@pytest.mark.parametrize("user", ["[bold]y", "[/]", r"\[red]x", "a\\"])
def test_a_name_stands_in_the_table_as_it_is(user: str, tmp_path: Path) -> None:
    asyncio.run(_write(tmp_path, [line("a1", user=user)], "p"))
    found = run("usage", "--from", f"jsonl:{tmp_path}", "--by", "user")
    assert f"│ {user} " in found.stdout


# ---- with a configuration, and a ledger


def config(tmp_path: Path, server: EmbeddedRedis, tenant: str, usage: str = "") -> str:
    path = tmp_path / "gateway.yaml"
    text = CONFIG.format(redis=server.url, tenant=tenant, usage=usage, hash="a" * 64)
    path.write_text(text)
    return str(path)


async def spend(url: str, tenant: str, *names: str) -> None:
    ledger = RedisLedger(url, timeout_s=5)
    budgets = (Budget(5 * 10**9, "total"),)
    purse = Purse(tenant, (Account("tenant", tenant, budgets, tenant),))
    for name in names:
        hold = await ledger.reserve(purse, name, Amounts(Nanos(50), 10, 1))
        assert isinstance(hold, Hold)
        await ledger.settle(hold, Amounts(Nanos(20), 10), record(name, cost=20, tenant=tenant))
    await ledger.aclose()


def test_without_a_sink_the_ledger_tells(
    tmp_path: Path, shared_redis: EmbeddedRedis, tenant: str
) -> None:
    asyncio.run(spend(shared_redis.url, tenant, "a", "b", "c"))
    file = config(tmp_path, shared_redis, tenant)
    found = run("usage", "-c", file, "--by", "tenant,tag.use_case", "--format", "csv")
    assert found.exit_code == 0
    assert f"{tenant},rag,3,3,90,30,15,60,12,0.00000006,0.0,0,0\n" in found.stdout
    assert found.stderr.startswith("note: there is no usage.sink: these are the newest records")
    wrong = run("usage", "-c", file, "--by", "tag.usecase")
    assert wrong.exit_code == 2
    assert wrong.stderr.endswith("hour, tag.team, tag.use_case\n")


def test_a_counter_is_found_wrong_and_set_right(
    tmp_path: Path, shared_redis: EmbeddedRedis, tenant: str
) -> None:
    asyncio.run(spend(shared_redis.url, tenant, "a", "b", "c"))
    only = ["--home", tenant, "-c", config(tmp_path, shared_redis, tenant)]
    right = f"{tenant}: 1 counters, 3 records: all as the records say\n"
    verified = run("ledger", "verify", *only)
    assert (verified.exit_code, verified.stdout) == (0, right)

    key = f"tg:{{{tenant}}}:b:{tenant}:tenant:{tenant}:usd:total"
    with Redis(unix_socket_path=shared_redis.url.removeprefix("unix://")) as server:
        server.hincrby(key, "spent", 5)
        wrong = (
            f"{tenant}: 1 counters, 3 records: 1 differ\n"
            f"  {key}: has 65, records say 60: +5 (0.000000005 USD)\n"
        )
        verified = run("ledger", "verify", *only)
        assert (verified.exit_code, verified.stdout) == (1, wrong)
        dry = run("ledger", "rebuild", *only)
        end = "nothing was changed: --yes sets the counters to what the records say\n"
        assert (dry.exit_code, dry.stdout) == (0, wrong + end)
        assert server.hget(key, "spent") == b"65"
        done = run("ledger", "rebuild", "--yes", *only)
        assert (done.exit_code, done.stdout) == (0, f"{wrong}{tenant}: set\n")
        assert server.hget(key, "spent") == b"60"
    assert run("ledger", "verify", *only).stdout == right


@pytest.mark.parametrize("command", ["verify", "rebuild --yes"])
def test_a_home_is_one_that_something_knows(
    tmp_path: Path, shared_redis: EmbeddedRedis, tenant: str, command: str
) -> None:
    removed, recorded, unknown = (f"{tenant}-{kind}" for kind in ("removed", "recorded", "unknown"))
    asyncio.run(spend(shared_redis.url, removed, "a"))
    one, folder = line("a1"), tmp_path / "usage"
    assert one.ledger is not None
    place = structs.replace(one.ledger, home=recorded, buckets=())
    asyncio.run(_write(folder, [structs.replace(one, ledger=place)], "p1"))
    file = config(tmp_path, shared_redis, tenant, f"usage: {{sink: 'jsonl:{folder}'}}")
    ledger = ["ledger", *command.split(), "-c", file]
    for home in (tenant, removed, recorded):
        found = run(*ledger, "--home", home)
        assert found.stdout.startswith(f"{home}: "), (home, found.output)
    wrong = run(*ledger, "--home", tenant, "--home", unknown)
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert wrong.stderr == (
        "--home: must be an organisation, or a tenant without one, that the configuration, the "
        f'ledger or a record knows, not "{unknown}"\n'
    )


def test_a_home_where_too_much_goes_on_is_told_and_the_next_one_set(
    tmp_path: Path, shared_redis: EmbeddedRedis, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = f"{tenant}-busy"
    asyncio.run(spend(shared_redis.url, tenant, "a"))
    asyncio.run(spend(shared_redis.url, busy, "a"))
    plain, calls = RedisLedger.load, itertools.count()

    async def load(self: RedisLedger, home: str, *what: Any, **more: Any) -> int | None:
        if home == busy:
            purse = Purse(busy, (Account("tenant", busy, (Budget(5 * 10**9, "total"),)),))
            await self.charge(purse, f"c{next(calls)}", 0, Amounts(Nanos(20)))
        return await plain(self, home, *what, **more)

    monkeypatch.setattr(RedisLedger, "load", load)
    only = ["--home", busy, "--home", tenant, "-c", config(tmp_path, shared_redis, tenant)]
    done = run("ledger", "rebuild", "--yes", *only)
    assert done.exit_code == 1
    assert [line for line in done.stdout.splitlines() if "set" in line] == [
        (
            f"{busy}: not all is set: it is too busy, something is settled at each moment; stop "
            "the gateways, or try again when less goes on"
        ),
        f"{tenant}: set",
    ]


def test_records_that_are_missing_give_no_money_back(
    tmp_path: Path, shared_redis: EmbeddedRedis, tenant: str
) -> None:
    """Without a sink only the newest are kept: their sum is not what was spent."""
    asyncio.run(spend(shared_redis.url, tenant, "a", "b", "c"))
    only = ["--home", tenant, "-c", config(tmp_path, shared_redis, tenant)]
    key = f"tg:{{{tenant}}}:b:{tenant}:tenant:{tenant}:usd:total"
    with Redis(unix_socket_path=shared_redis.url.removeprefix("unix://")) as server:
        server.xtrim(f"tg:{{{tenant}}}:usage", maxlen=2, approximate=False)
        refused = run("ledger", "rebuild", "--yes", *only)
        said = f"{tenant}: not set: some records are missing, and 1 of the counters"
        assert refused.exit_code == 1
        assert refused.stdout.splitlines()[-1].startswith(said)
        assert server.hget(key, "spent") == b"60"
        assert run("ledger", "rebuild", "--yes", "--force", *only).exit_code == 0
        assert server.hget(key, "spent") == b"40"


def test_all_of_it_is_lost_and_made_anew_from_files(
    tmp_path: Path, own_redis: EmbeddedRedis, tenant: str
) -> None:
    asyncio.run(spend(own_redis.url, tenant, "a", "b"))
    folder = tmp_path / "usage"
    file = config(tmp_path, own_redis, tenant, f"usage: {{sink: 'jsonl:{folder}'}}")
    asyncio.run(_kept(own_redis.url, tenant, folder))
    with Redis(unix_socket_path=own_redis.url.removeprefix("unix://")) as server:
        server.flushall()
        assert run("ledger", "verify", "-c", file).exit_code == 1
        assert run("ledger", "rebuild", "--yes", "-c", file).exit_code == 0
        key = f"tg:{{{tenant}}}:b:{tenant}:tenant:{tenant}:usd:total"
        assert server.hget(key, "spent") == b"40"
    assert run("ledger", "verify", "-c", file).exit_code == 0


async def _kept(url: str, tenant: str, folder: Path) -> None:
    ledger = RedisLedger(url, timeout_s=5)
    lines = [line_of(tenant, entry, when(entry)) for entry in await ledger.records(tenant)]
    await ledger.aclose()
    await _write(folder, lines, "p1")


def test_a_ledger_in_memory_has_nothing_to_tell(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    text = CONFIG.format(redis="memory", tenant="acme", usage="", hash="a" * 64)
    file.write_text(text)
    for words, said in (
        (["ledger", "verify"], "redis.url: is memory: there is nothing that outlives a gateway\n"),
        (["usage"], "--from: is needed: redis.url is memory, and there is no usage.sink\n"),
    ):
        found = run(*words, "-c", str(file))
        assert (found.exit_code, found.stderr) == (2, said)


def test_a_sink_tells_of_a_request_where_the_ledger_is_in_memory(tmp_path: Path) -> None:
    folder = tmp_path / "usage"
    asyncio.run(_write(folder, [line("a1")], "p1"))
    file = tmp_path / "gateway.yaml"
    sink = f"usage: {{sink: 'jsonl:{folder}'}}"
    file.write_text(CONFIG.format(redis="memory", tenant="acme", usage=sink, hash="a" * 64))
    explain = ["explain", "--analyze", "-c", str(file), "--json"]
    found = run(*explain, "r-a1")
    assert (found.exit_code, found.stderr) == (0, "")
    assert json.loads(found.stdout)["answered_by"]["model"] == "small"
    none = run(*explain, "r-none")
    assert (none.exit_code, "no record of a request r-none" in none.stderr) == (1, True)
