"""`tollgate catalog` as the command line has it; what is in the catalog tests/config looks at."""

import json

import pytest
from typer.testing import CliRunner

from gateway.__main__ import app


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["catalog", *words])
    return done.exit_code, done.stdout, done.stderr


def test_a_line_for_each_host() -> None:
    code, told, _ = run("--provider", "anthropic")
    assert code == 0
    lines = told.splitlines()
    assert lines[0].split() == ["model", "tokens", "host", "in", "out", "notes"]
    assert {line.split()[2] for line in lines[1:] if line.startswith("claude-")} == {"anthropic"}


def test_all_about_one_model() -> None:
    code, told, _ = run("claude-haiku-4-5")
    assert (code, told.splitlines()[0]) == (0, "claude-haiku-4-5")
    assert "  at anthropic, as claude-haiku-4-5" in told


def test_as_json() -> None:
    code, told, _ = run("claude-haiku-4-5", "--provider", "anthropic", "--json")
    (model,) = json.loads(told)
    assert (code, model["model"], len(model["hosts"])) == (0, "claude-haiku-4-5", 1)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("claude",), 1, "no model claude in the catalog; tollgate catalog lists them\n"),
        (("--region", "mars"), 2, '--region: nothing has "mars" (known: '),
        (("--capability", "fly", "--json"), 2, '--capability: nothing has "fly" (known: '),
        (("-c", "nowhere.yaml"), 1, "nowhere.yaml: cannot be read: "),
    ],
)
def test_what_cannot_be_listed(words: tuple[str, ...], code: int, told: str) -> None:
    found = run(*words)
    assert found[:2] == (code, "")
    assert found[2].startswith(told)


@pytest.mark.parametrize("price", ["nan", "-1"])
def test_a_price_that_none_can_be_below(price: str) -> None:
    code, told, why = run("--max-input-price", price)
    assert (code, told) == (2, "")
    assert "--max-input-price" in why
    assert "greater than or equal to 0" in why
