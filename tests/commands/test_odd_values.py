"""Values that scripts pass by mistake: nothing, what is no text, and what looks like markup."""

import json
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console
from typer.testing import CliRunner

from gateway.__main__ import app
from gateway.commands.analyze import show as show_analysis
from tests.config.texts import SOUND

MONTH: Final = ["--requests", "1", "--input", "1", "--output", "1"]


def run(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, list(words))
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["check", "-c", ""], "'--config' / '-c'"),
        (["serve", "-c", ""], "'--config' / '-c'"),
        (["serve", "--host", ""], "'--host'"),
        (["demo", "--host", ""], "'--host'"),
        (["demo", "--dialect", ""], "'--dialect'"),
        (["simulate", "--host", ""], "'--host'"),
        (["doctor", "--host", ""], "'--host'"),
        (["explain", ""], "'REQUEST'"),
        (["explain", "--analyze", ""], "'REQUEST'"),
        (["explain", "r.json", "--tenant", ""], "'--tenant'"),
        (["explain", "r.json", "--gateway", ""], "'--gateway'"),
        (["catalog", ""], "'MODEL'"),
        (["catalog", "-c", ""], "'--config' / '-c'"),
        (["cost", "estimate", *MONTH, "-c", ""], "'--config' / '-c'"),
        (["cost", "estimate", *MONTH, "--prices", ""], "'--prices'"),
        (["cost", "compare", "--usage", ""], "'--usage'"),
        (["key", "new", "acme", "-c", ""], "'--config' / '-c'"),
        (["key", "list", "-c", ""], "'--config' / '-c'"),
        (["key", "revoke", ""], "'KEY_ID'"),
        (["replay", "", "--route", "r"], "'DIR'"),
        (["replay", "d", "--route", ""], "'--route'"),
        (["replay", "d", "--route", "r", "--svg", ""], "'--svg'"),
        (["learn", "--from", "", "--out", "w"], "'--from'"),
        (["learn", "--from", "d", "--out", ""], "'--out'"),
        (["import", "litellm", ""], "'CONFIG'"),
        (["import", "litellm", "c.yaml", "-o", ""], "'--out' / '-o'"),
    ],
)
def test_nothing_is_no_value(words: list[str], name: str) -> None:
    """An empty path was the current folder, an empty host every address of the machine."""
    code, output = run(*words)
    assert (code, output.splitlines()[-1]) == (
        2,
        f"Error: Invalid value for {name}: must not be empty",
    )


@pytest.mark.parametrize("command", ["serve", "demo", "simulate", "doctor"])
def test_a_host_that_is_no_text(command: str) -> None:
    code, output = run(command, "--host", "\udcff")
    assert code == 2
    assert output.endswith("Invalid value for '--host': must be an address or a name\n")


@pytest.mark.parametrize("url", ["", "http://", "http://:80", "ftp://gateway", "http://[::1"])
def test_what_is_no_url_of_a_gateway(url: str) -> None:
    assert run("top", url) == (2, f"{url}: must be a URL such as http://127.0.0.1:4000\n")


def test_records_of_no_folder() -> None:
    told = "--from: must name a folder, such as jsonl:usage\n"
    assert run("usage", "--from", "jsonl:") == (2, told)


def test_an_empty_provider_is_named_as_the_fault() -> None:
    code, output = run("cost", "estimate", *MONTH, "--provider", "")
    assert (code, output.startswith("--provider: no such model is sold there")) == (2, True)


def test_a_model_of_a_price_list_may_have_the_name_of_a_section(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("providers: {input: x, output: 1}\n")
    code, output = run("cost", "estimate", *MONTH, "--prices", str(file))
    assert (code, output.count("\n")) == (1, 1)
    assert output.startswith(f"{file}:1: providers.input: must be USD per million tokens")


# ---- brackets of a client's or an operator's


@pytest.mark.parametrize("name", ["[/]", "[red]m"])
def test_a_name_with_brackets_is_shown_as_it_is(name: str) -> None:
    code, output = run("cost", "estimate", *MONTH, "--price", f"{name}=1/2")
    assert (code, name in output) == (0, True)


def test_a_region_with_brackets_is_shown_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(SOUND)
    asked = {"model": "m1", "messages": [{"role": "user", "content": "x"}]}
    (tmp_path / "r.json").write_text(json.dumps({**asked, "gateway": {"region": "[/]"}}))
    code, output = run("explain", "-c", str(tmp_path / "f.yaml"), str(tmp_path / "r.json"))
    assert (code, "region: [/] asked" in output) == (0, True)


def test_what_a_gateway_says_of_a_request_is_no_markup() -> None:
    call = {
        "model": "[/]",
        "provider": "[bold]",
        "tier": "[/x]",
        "purpose": "answer",
        "why": "[/]",
        "outcome": "ok",
        "held_usd": 0.0,
        "charged_usd": 0.0,
        "counted": False,
        "ms": 1.0,
        "tokens": {"prompt": 1, "completion": 1},
        "first_token_ms": None,
    }
    costs = {"charged": 0.0, "held": 0.0, "behind": 0.0, "always_smart": None, "saved": None}
    report = {
        "request": "[/]",
        "tenant": "[/]",
        "route": "[/]",
        "stream": False,
        "seconds": None,
        "began": "",
        "plan": None,
        "attempts": [call],
        "behind": [],
        "answered_by": call,
        "cost_usd": costs,
    }
    console = Console(width=200, record=True)
    with console.capture() as shown:
        show_analysis(report, console)
    assert "answered by [/] at [bold] ([/x])" in shown.get()


# ---- files whose names are not UTF-8

THEIRS: Final = "model_list: [{model_name: m, litellm_params: {model: openai/gpt-4o}}]\n"


@pytest.mark.parametrize(
    ("words", "text", "code"),
    [
        (["check", "--json", "-c"], "x: [", 1),
        (["doctor", "--json", "--port", "0", "-c"], f"{SOUND}redis: {{url: memory}}\n", 0),
        (["import", "litellm", "--json"], THEIRS, 0),
    ],
)
def test_the_name_of_a_file_may_be_no_text(
    words: list[str], text: str, code: int, tmp_path: Path
) -> None:
    file = tmp_path / "\udcff.yaml"
    file.write_text(text)
    found = CliRunner().invoke(app, [*words, str(file)])
    assert found.exit_code == code, found.output
    assert "\\udcff.yaml" in json.dumps(json.loads(found.stdout), ensure_ascii=False)


def test_an_import_of_such_a_file_is_written(tmp_path: Path) -> None:
    """A file without anything was left, and a trace printed."""
    file, out = tmp_path / "\udcff.yaml", tmp_path / "ours.yaml"
    file.write_text(THEIRS)
    assert run("import", "litellm", str(file), "-o", str(out))[0] == 0
    assert "# Imported from \\udcff.yaml." in out.read_text("utf-8")
