"""What docs/clients.md shows of other people's clients works, as it stands there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.clients.programs import NODE, NPM, PYTHON, need, printed
from tests.docs_tables import ROOT
from tests.test_readme import DEMO, Block, blocks, demo

PAGE: Final = ROOT / "docs/clients.md"
ELSEWHERE: Final = ("# pip install", "import OpenAI from")
SHOWN: Final = [block for block in blocks(PAGE) if block.text.startswith(ELSEWHERE)]


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with demo() as there:
        yield there


def test_all_three_are_found() -> None:
    assert [block.language for block in SHOWN] == ["javascript", "python", "python"]


@pytest.mark.parametrize("block", SHOWN, ids=str)
async def test_a_snippet_answers(block: Block, host: str, tmp_path: Path) -> None:
    text = block.text.replace(DEMO, host)
    node = block.language == "javascript"
    need(NODE if node else PYTHON)
    program = (NPM / ".snippet.mjs") if node else tmp_path / "snippet.py"  # by its node_modules
    program.write_text(text, "utf-8")
    try:
        command = [NODE[0] if node else PYTHON[0], str(program)]
        assert await printed(command, tmp_path) == "17*23 = 391.\n"
    finally:
        program.unlink()
