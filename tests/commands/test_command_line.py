"""The command line as a whole: quick help, what it says of each command, JSON, exit codes."""

import json
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from gateway.__main__ import COMMANDS, app
from gateway.commands.serve import ListenOptions, _address
from tests.config.texts import SOUND
from tests.docs_tables import commands

SLOW: Final = ("aiohttp", "fastapi", "genai_prices", "msgspec", "redis", "rich", "yaml")
"""What takes long to import, and no help needs. Typer needs pydantic for a command's options."""
SERVES: Final = {"tollgate serve", "tollgate demo", "tollgate simulate"}
WITHOUT_JSON: Final = {"tollgate schema"}  # it prints nothing else
FAULTY: Final = "providers: {}\n"


def run(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, list(words))
    return found.exit_code, found.output


@pytest.mark.parametrize("words", ["--help", "--version", "serve --help", "import --help"])
def test_help_imports_little(words: str) -> None:
    slow = (*SLOW, "pydantic") if words.startswith("-") else SLOW
    script = (
        "import sys\nfrom gateway.__main__ import app\n"
        f"try: app({words.split()})\nexcept SystemExit: pass\n"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_help_says_of_each_what_it_says_of_itself() -> None:
    told = {name: about for name, (_, about) in COMMANDS.items()}
    own = {
        name.split()[1]: str(each.help) for name, each in commands().items() if name.count(" ") == 1
    }
    assert {name: told[name] for name in own} == own


@pytest.mark.parametrize("name", sorted(commands()))
def test_help_tells_what_each_value_is(name: str) -> None:
    """By a word of its own, not as `<list[Path]>`, and in a sentence."""
    command = commands()[name]
    shown = run(*name.split()[1:], "--help")[1]
    assert re.findall(r"<\w[^>]*>", shown) == []
    assert [each.name for each in command.params if not getattr(each, "help", None)] == []


@pytest.mark.parametrize("name", sorted(commands().keys() - SERVES - WITHOUT_JSON))
def test_each_command_prints_json(name: str) -> None:
    options = {option for each in commands()[name].params for option in each.opts}
    assert "--json" in options


INTERRUPTED: Final = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *more):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
sys.argv = ["/usr/bin/tollgate", "catalog"]
import gateway.__main__
"""


def test_an_interrupt_among_the_imports_prints_no_trace() -> None:
    ran = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (-signal.SIGINT, b"", b"")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_tells_the_commands(shell: str) -> None:
    env = {"_TOLLGATE_COMPLETE": f"complete_{shell}", "COMP_WORDS": "tollgate k", "COMP_CWORD": "1"}
    env |= {"_TYPER_COMPLETE_ARGS": "tollgate k", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    found = CliRunner().invoke(app, [], env=env, prog_name="tollgate")
    assert "key" in found.stdout


# Each: what is run, and the exit code that comes of it.
CODES: Final = [
    (["--version"], 0),
    (["schema"], 0),
    (["check", "-c", "faulty.yaml"], 1),
    (["check", "-c", "missing.yaml"], 1),
    (["import", "litellm", "missing.yaml"], 1),
    (["import", "litellm", "faulty.yaml"], 1),
    (["check", "--nonsense"], 2),
    (["nonsense"], 2),
    (["import", "litellm"], 2),
    (["serve", "--port", "65536"], 2),
    (["demo", "--port", "-1"], 2),
    (["simulate", "--port", "65536"], 2),
]


@pytest.mark.parametrize(("words", "code"), CODES)
def test_exit_codes(
    words: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faulty.yaml").write_text(FAULTY)
    assert run(*words)[0] == code


@pytest.mark.parametrize("command", ["serve", "explain r.json", "usage", "ledger verify"])
def test_where_there_is_no_configuration_it_says_how_to_name_one(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, told = run(*command.split())
    assert (code, told.splitlines()) == (
        1,
        [
            "config/gateway.yaml: cannot be read: No such file or directory",
            "name another by --config; `tollgate demo` needs none",
        ],
    )
    assert "name another" not in run(*command.split(), "-c", "mine.yaml")[1]


@pytest.mark.parametrize(
    ("command", "prefix"),
    [
        ("check", "redis: "),
        ("usage", "redis: "),
        ("routes compare auto", "redis: "),
        ("ledger verify", "redis: "),
        ("ledger rebuild --yes", "redis: "),
        ("serve", "redis: "),
        ("explain --analyze req_1", ""),
        ("key list", ""),
        ("key new acme --save", ""),
        ("key rotate key_1", ""),
        ("key revoke key_1", ""),
    ],
)
@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("redis://localhost/cache", "a Redis database is a number, not 'cache'"),
        ("redis://localhost?foo=1", "unknown in a Redis URL: foo"),
    ],
)
def test_a_redis_url_that_cannot_be_used(
    command: str, prefix: str, url: str, fault: str, tmp_path: Path
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"{SOUND}redis: {{url: '{url}'}}\n")
    code, output = run(*command.split(), "--config", str(file))
    assert (code, output.splitlines()[-1]) == (1, f"{prefix}redis.url: {fault}")


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("TOLLGATE_REDIS_URL", "redis://localhost/cache", "redis.url: a Redis database is a num"),
        ("TOLLGATE_DATA_DIR", "/dev/null/x", "the embedded ledger cannot start: "),
    ],
)
def test_a_demo_without_a_ledger_says_why(name: str, value: str, fault: str) -> None:
    found = CliRunner().invoke(app, ["demo", "--port", "0"], env={name: value})
    assert (found.exit_code, found.output.count("\n")) == (1, 1), found.output
    assert found.output.startswith(f"redis: {fault}")


@pytest.mark.parametrize("command", ["demo", "simulate"])
def test_a_port_that_is_taken(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = taken.getsockname()[1]
        told = run(command, "--port", str(where))
    assert told == (1, f"cannot listen on 127.0.0.1:{where}: Address already in use\n")


@pytest.mark.parametrize(("host", "told"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_where_it_answers_is_a_url(host: str, told: str) -> None:
    with ListenOptions(host, 0).bind() as bound:
        assert _address(bound) == f"http://{told}:{bound.getsockname()[1]}"


def test_a_port_is_for_the_workers_of_one_gateway_alone() -> None:
    with ListenOptions("127.0.0.1", 0).reserve() as reserved, ExitStack() as stack:
        port = reserved.getsockname()[1]
        alone, shared = (ListenOptions("127.0.0.1", port, shared=each) for each in (False, True))
        for _ in range(3):  # before its workers listen, and then
            with pytest.raises(OSError, match="in use") as refused:
                alone.reserve()
            assert refused.value.filename == f"127.0.0.1:{port}"
            with pytest.raises(OSError, match="in use"), alone.bind() as bound:
                _address(bound)
            worker = stack.enter_context(shared.bind())
            assert _address(worker) == f"http://127.0.0.1:{port}"


def test_of_two_who_start_at_once_one_says_that_the_port_is_taken() -> None:
    with ListenOptions("127.0.0.1", 0).bind() as first:
        port = first.getsockname()[1]
        second = ListenOptions("127.0.0.1", port)
        with pytest.raises(OSError, match="in use") as refused, second.bind() as bound:
            _addresses(first, bound)
        assert refused.value.filename == f"127.0.0.1:{port}"


def _addresses(*bound: socket.socket) -> list[str]:
    return [_address(each) for each in bound]


def test_explain_reads_stdin(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(SOUND)
    words = ["explain", "-c", str(tmp_path / "f.yaml"), "--json", "-"]
    asked = '{"model": "m1", "messages": [{"role": "user", "content": "x"}]}'
    found = CliRunner().invoke(app, words, input=asked)
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["model"] == "m1"


def test_check_as_json(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(FAULTY)
    code, printed = run("check", "--json", "-c", str(tmp_path / "f.yaml"))
    told = json.loads(printed)
    assert (code, told["ok"], told["lines"][-1]) == (1, False, "3 faults")


LITELLM: Final = """
model_list:
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, organization: o}
"""


def test_import_writes_a_file_that_check_accepts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "some")
    (tmp_path / "more.yaml").write_text(LITELLM)
    (tmp_path / "theirs.yaml").write_text("include: [more.yaml]\n")
    code, printed = run("import", "litellm", "theirs.yaml", "-o", "ours.yaml")
    assert code == 0
    assert "organization: no header can be added" in printed
    code, printed = run("check", "-c", "ours.yaml")
    assert (code, printed.splitlines()[-1]) == (0, "ok")
    assert run("import", "litellm", "theirs.yaml", "-o", "ours.yaml") == (
        1,
        "ours.yaml: is there already\n",
    )
    told = json.loads(run("import", "litellm", "theirs.yaml", "--json")[1])
    assert told["yaml"] == (tmp_path / "ours.yaml").read_text()
    last = told["notes"][-1]
    assert (last["kind"], last["path"]) == ("lost", "model_list[0].litellm_params.organization")


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ("demo", "demo.yaml"),
        ("catalog", "providers.yaml"),
        ("import litellm theirs.yaml", "providers.yaml"),
        ("cost estimate --requests 1 --input 1 --output 1", "providers.yaml"),
    ],
)
def test_installed_and_without_the_files_that_come_with_it(
    words: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gateway.commands.shipped._FOLDERS", (tmp_path / "site", Path()))
    theirs = "model_list: [{model_name: a, litellm_params: {model: openai/gpt-5}}]"
    (tmp_path / "theirs.yaml").write_text(theirs)
    code, told = run(*words.split())
    assert (code, told.split(";")[0]) == (1, f"config/{missing}: not found")
