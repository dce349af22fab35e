"""`tollgate routes compare` as a person runs it."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.__main__ import app
from gateway.drivers.usage.jsonl_store import JsonlStore
from tests.core.test_route_figures import LINES


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["routes", "compare", *words])


@pytest.fixture
def kept(tmp_path: Path) -> str:
    async def write() -> None:
        store = JsonlStore(tmp_path / "usage", "p1")
        await store.write(LINES)
        await store.aclose()

    asyncio.run(write())
    return f"jsonl:{tmp_path / 'usage'}"


def test_as_json(kept: str) -> None:
    found = run("auto", "next", "--from", kept, "--format", "json", "--since", "2026-11-21")
    assert (found.exit_code, found.stderr) == (0, "")
    told = json.loads(found.stdout)
    assert told["since"] == "2026-11-21T00:00:00.000Z"
    named = [(each["route"], each["seen"], each["requests"]) for each in told["routes"]]
    assert named == [("auto", "answered", 3), ("next", "answered", 1), ("next", "shadow", 3)]
    assert told["routes"][2]["agreed"]["value"] == 0.5


def test_as_a_table(kept: str) -> None:
    found = run("auto", "next", "--from", kept)
    assert found.exit_code == 0
    lines = [line for line in found.stdout.splitlines() if "│" in line]
    assert [line.split("│")[1].strip() for line in lines] == ["auto", "next", "next, as a shadow"]
    assert "50.0% (9.5% to 90.5%)" in lines[2]
    assert "2 (+1 not comparable)" in lines[2]


def test_what_is_not_recorded_is_told(kept: str) -> None:
    found = run("auto", "atuo", "--from", kept, "--since", "2027-01-01")
    assert found.stderr == "note: no record of auto\nnote: no record of atuo\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "csv"], "--format: must be one of table, json"),
        (["--since", "soon"], "--since: must be such as 24h, 7d, 2026-11-01"),
        (["--since", "1d", "--until", "2d"], "--until: must be later than --since"),
        (["--from", "nowhere"], "--from: must be jsonl:folder, parquet:folder or a postgresql://"),
    ],
)
def test_what_cannot_be_used(words: list[str], message: str) -> None:
    found = run("auto", *words)
    assert found.exit_code == 2
    assert found.stderr.startswith(message), found.stderr


def test_a_source_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "2026-11-21.a.jsonl").write_text("no line\n")
    found = run("auto", "--from", f"jsonl:{tmp_path}")
    assert found.exit_code == 1
    assert found.stderr.startswith("--from: "), found.stderr
