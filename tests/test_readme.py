"""README.md and docs/ are true: every code block is run or parsed, every table is the code's.

Each page is played once, from top to bottom, as a reader would: its Python blocks in one
interpreter, its shell blocks in one folder, against a `tollgate demo` of its own. A block of text
is the output of the block above it; `...` in it stands for what was left out.
"""

import ast
import asyncio
import doctest
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from inspect import isawaitable
from io import StringIO
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import Any, Final

import openai
import pytest
import yaml

from gateway.config.load import read
from gateway.drivers.metrics.catalogue import METRICS
from tests.docs_tables import PAGES, ROOT, commands, remade

BIN: Final = Path(sys.executable).parent
PYTHON, SHELL, OUTPUT = "python", "bash", "text"
PARSED: Final = {"javascript", "yaml", "promql"}  # the first by tests/clients/test_snippets.py
DEMO: Final = "localhost:4000"

# The beginning of a block that is parsed only, and why it is not run.
NOT_RUN: Final = {
    "# pip install": "it is not installed here; tests/clients/test_snippets.py runs it",
    "git clone": "it is how this checkout came here; the demo is run by itself",
    "make test": "it would run these tests",
    ". .venv/bin/activate": "the tests run in such an environment already",
    "tollgate serve": "it serves until it is stopped; tests/service does that",
    "tollgate replay ../shared": "not all have the sets; tests/replay/test_pictures.py runs it",
    "docker compose": "it needs Docker; tests/test_shipping.py looks at the compose file",
    "kubectl": "it needs a cluster; tests/ops/test_kubernetes.py looks at the files",
}
# Text that is no output of the block above it, by its beginning.
NOT_OUTPUT: Final = ('data: {"error"',)

# What differs from one run to the next.
CHANGES: Final = (
    (r"req_[0-9a-f]+", "req_"),
    (r"tg-acme-[\w-]{43}", "tg-acme-"),
    (r"id: k[0-9a-f]{6}", "id: k"),
    (r"sha256:[0-9a-f]{64}", "sha256:"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", "DATE"),
    (r"(x-gateway-budget-remaining-usd: \d)\.\d+", r"\1."),
)


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


BLOCKS: Final = [block for page in PAGES for block in blocks(page)]


def reason_not_to_run(block: Block) -> str | None:
    return next((why for begin, why in NOT_RUN.items() if block.text.startswith(begin)), None)


def runs(block: Block) -> bool:
    if block.language == SHELL and "curl " in block.text and shutil.which("curl") is None:
        return False
    return block.language in {PYTHON, SHELL} and reason_not_to_run(block) is None


def outputs() -> list[tuple[Block, Block]]:
    """Each block that is run and the text after it that says what it prints."""
    return [
        (ran, told)
        for ran, told in pairwise(BLOCKS)
        if ran.page == told.page
        and told.language == OUTPUT
        and runs(ran)
        and not told.text.startswith(NOT_OUTPUT)
    ]


# ---- playing a page


@contextmanager
def demo() -> Iterator[str]:
    """`tollgate demo` from the root of the checkout, on a free port: host:port."""
    command = [str(BIN / "tollgate"), "demo", "--port", "0"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        late = threading.Timer(30, process.kill)
        late.start()
        try:
            said = ""
            for line in process.stdout or ():
                said += line
                if found := re.search(r"Tollgate answers at http://(\S+)/v1", line):
                    late.cancel()
                    yield found[1]
                    break
            else:
                pytest.fail(f"tollgate demo did not come up: {said}")
        finally:
            late.cancel()
            process.terminate()


@dataclass
class Reader:
    """Does what a page says, block after block, and notes what came of it."""

    folder: Path
    host: str
    namespace: dict[str, Any] = field(default_factory=dict)
    printed: dict[Block, str] = field(default_factory=dict)
    failed: dict[Block, str] = field(default_factory=dict)

    def read(self, block: Block) -> None:
        text = block.text.replace(DEMO, self.host)
        if block.language == SHELL:
            self._shell(block, text)
        else:
            self._python(block, text)
        self.printed[block] = self.printed[block].replace(self.host, DEMO)

    def _python(self, block: Block, text: str) -> None:
        out = StringIO()
        try:
            with redirect_stdout(out):
                waiting = eval(compiled(block, text), self.namespace)  # noqa: S307 - our own page
                if isawaitable(waiting):
                    asyncio.run(_wait(waiting))
        except Exception as error:  # noqa: BLE001 - whatever it is, the block's test tells it
            self.failed[block] = f"{type(error).__name__}: {error}"
        self.printed[block] = out.getvalue()

    def _shell(self, block: Block, text: str) -> None:
        known = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "COLUMNS": "100",
            "PYTHONUTF8": "1",
        }
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.folder,
            env=known,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        self.printed[block] = ran.stdout
        if ran.returncode:
            self.failed[block] = f"exit code {ran.returncode}: {ran.stdout}"


async def _wait(waiting: Any) -> None:
    await waiting


def compiled(block: Block, text: str) -> CodeType:
    code: CodeType = compile(text, str(block), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code


@pytest.fixture(scope="session")
def read_pages(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Reader]:
    readers: dict[Path, Reader] = {}
    for page in PAGES:
        wanted = [block for block in blocks(page) if runs(block)]
        folder = tmp_path_factory.mktemp(page.stem)
        (folder / "config").symlink_to(ROOT / "config")
        with ExitStack() as stack:
            asks = any(DEMO in block.text for block in wanted)
            host = stack.enter_context(demo()) if asks else "nobody"
            reader = readers[page] = Reader(folder, host)
            for block in wanted:
                reader.read(block)
            for value in reader.namespace.values():
                if isinstance(value, openai.OpenAI):
                    value.close()
    return readers


@pytest.mark.parametrize("block", [b for b in BLOCKS if runs(b)], ids=str)
def test_a_block_does_what_it_says(block: Block, read_pages: dict[Path, Reader]) -> None:
    failed = read_pages[block.page].failed.get(block)
    assert failed is None, f"{block}: {failed}"


@pytest.mark.parametrize(("ran", "told"), outputs(), ids=str)
def test_a_block_prints_what_is_below_it(
    ran: Block, told: Block, read_pages: dict[Path, Reader]
) -> None:
    printed = read_pages[ran.page].printed[ran]
    matches = doctest.OutputChecker().check_output(
        steady(told.text), steady(printed), doctest.ELLIPSIS
    )
    assert matches, f"{told} should be:\n{printed}"


def steady(output: str) -> str:
    """An output without what differs from one run to the next."""
    for pattern, instead in CHANGES:
        output = re.sub(pattern, instead, output)
    return "\n".join(line.rstrip() for line in output.rstrip().splitlines()) + "\n"


# ---- what is only read


def test_every_block_is_run_or_parsed() -> None:
    known = {PYTHON, SHELL, OUTPUT, *PARSED}
    assert [f"{b}: {b.language!r}" for b in BLOCKS if b.language not in known] == []
    fences = sum(page.read_text("utf-8").count("\n```") for page in PAGES)
    assert fences == 2 * len(BLOCKS), "a block is not closed, or not at the beginning of a line"


def test_every_output_is_compared() -> None:
    compared = {told for _, told in outputs()}
    missed = [
        str(block)
        for block in BLOCKS
        if block.language == OUTPUT
        and block not in compared
        and not block.text.startswith(NOT_OUTPUT)
    ]
    assert missed == [] or shutil.which("curl") is None


def test_each_exception_is_still_needed() -> None:
    code = [block.text for block in BLOCKS if block.language in {SHELL, PYTHON}]
    assert [key for key in NOT_RUN if not any(text.startswith(key) for text in code)] == []
    texts = [block.text for block in BLOCKS if block.language == OUTPUT]
    assert [key for key in NOT_OUTPUT if not any(text.startswith(key) for text in texts)] == []


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == SHELL], ids=str)
def test_a_shell_block_is_shell(block: Block) -> None:
    ran = subprocess.run(
        ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, ""), f"{block}: {ran.stderr}"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "yaml"], ids=str)
def test_a_yaml_block_is_a_configuration(block: Block) -> None:
    env = dict.fromkeys(re.findall(r"\$\{(\w+)\}", block.text), "x" * 16)
    snapshot = read([(str(block), block.text + rest_of(block.text))], env)
    assert snapshot.catalog.models


def rest_of(text: str) -> str:
    """What a part of a configuration needs beside it to be whole."""
    there = yaml.safe_load(text)
    models = [model for tier in there.get("tiers", {}).values() for model in tier["models"]]
    provider = next(iter(there.get("providers", ["any"])))
    about = {"deployments": [{"provider": provider}], "context": 1000, "price": "free"}
    needed: dict[str, Any] = {
        "providers": {"any": {"dialect": "openai", "base_url": "http://any.test/v1"}},
        "models": dict.fromkeys(models or ["any"], about),
        "tenants": {"any": {"anonymous": True}},
    }
    missing = {name: section for name, section in needed.items() if name not in there}
    return yaml.safe_dump(missing) if missing else ""


def test_queries_ask_for_metrics_that_are_there() -> None:
    queries = [block for block in BLOCKS if block.language == "promql"]
    for block in queries:
        asked = set(re.findall(r"gateway_\w+", block.text))
        assert asked
        assert asked <= set(METRICS), f"{block}: {asked - set(METRICS)}"


# ---- what is made from the code


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tables_are_the_codes(page: Path) -> None:
    text = page.read_text("utf-8")
    assert remade(text) == text, f"{name_of(page)} has drifted: python -m tests.docs_tables"


def test_the_demo_sends_no_header_that_is_not_told(read_pages: dict[Path, Reader]) -> None:
    table = (ROOT / "README.md").read_text("utf-8")
    sent = {
        name
        for text in read_pages[ROOT / "README.md"].printed.values()
        for name in re.findall(r"^(x-[\w-]+): ", text, re.MULTILINE)
    }
    assert {"x-request-id", "x-gateway-cost-usd"} <= sent
    assert [name for name in sorted(sent) if f"| `{name}` |" not in table] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name_of)
def test_commands_and_options_exist(page: Path) -> None:
    """Also where they are mentioned in passing."""
    known = commands()
    for line in re.findall(r"\btollgate ([a-z][^`#|&\n]*)", page.read_text("utf-8")):
        words = line.split()
        names = [f"tollgate {' '.join(words[:count])}" for count in (2, 1)]
        name = next((name for name in names if name in known), "")
        assert name, f"{name_of(page)}: tollgate {line}"
        options = {option for each in known[name].params for option in each.opts}
        used = {word.strip("[],.").partition("=")[0] for word in words if word.startswith("--")}
        assert used <= options, f"{name_of(page)}: tollgate {line}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"`[^`\n]*`", "", page.read_text("utf-8"))  # a pattern is no link
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{name_of(page)}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
            assert anchor in anchors, f"{name_of(page)}: {target}"


def test_the_first_screen_is_short() -> None:
    """What it is, two commands, the SDK and the picture."""
    top = (ROOT / "README.md").read_text("utf-8").splitlines()[:60]
    for needed in ("make demo", "make test", "base_url=", "docs/request-path.svg"):
        assert any(needed in line for line in top), f"{needed} is not in the first 60 lines"
