"""`tollgate cost` as a person runs it: its words in, what it prints out."""

import csv
import io
import json
from pathlib import Path
from typing import Any, Final

from typer.testing import CliRunner, Result

from gateway.__main__ import app

ROOT: Final = Path(__file__).resolve().parents[2]
RAG: Final = "--requests 100000 --input 4000 --output 500"
MILLION: Final = "--requests 1_000_000 --input 1000 --output 1000"


def run(words: str, *more: str) -> Result:
    """More are words that have spaces in them."""
    return CliRunner().invoke(app, ["cost", *words.split(), *more])


def printed(words: str, *more: str) -> str:
    found = run(words, *more)
    assert (found.exit_code, found.stderr) == (0, "")
    return found.stdout


def told(words: str, *more: str) -> Any:
    return json.loads(printed(f"{words} --format json", *more))


def lines(words: str, *more: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(printed(f"{words} --format csv", *more))))


def refused(words: str, *more: str) -> tuple[int, str]:
    found = run(words, *more)
    assert found.stdout == ""
    return found.exit_code, found.stderr.rstrip("\n")
