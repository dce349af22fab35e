"""`make docs` on a copy of this tree: it is built, and stops for a link that leads nowhere."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.packages import ROOT, run
from tests.promises import Reached

ENVIRONMENTS = (".venv", ".venv-docs")
LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".*_cache", ".venv*", "build", "node_modules", "__pycache__", "results", ".tollgate")
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if not (ROOT / ".venv-docs/.ready").exists():
        pytest.skip("missing: mkdocs (make docs)")
    tree = tmp_path_factory.mktemp("manual") / "tree"
    shutil.copytree(ROOT, tree, ignore=LEFT_OUT, symlinks=True)
    for name in ENVIRONMENTS:
        (tree / name).symlink_to(ROOT / name)
    yield tree
    shutil.rmtree(tree)


def docs(tree: Path) -> tuple[int, list[str]]:
    """The exit code, and what it warned of."""
    ran = run(["make", "--directory", tree, "docs"])
    lines = (ran.stdout + ran.stderr).splitlines()
    return ran.returncode, [line for line in lines if "WARNING" in line]


def test_every_link_leads_somewhere(copy: Path, reached: Reached) -> None:
    code, warned = docs(copy)
    reached("operations", "links of the manual that lead nowhere", str(len(warned)), "0")
    assert (code, warned) == (0, [])
    assert (copy / "build/manual/runbook.html").is_file()


@pytest.mark.parametrize("link", ["nowhere.md", "reload.md#no-such-heading"])
def test_one_that_leads_nowhere_stops_it(copy: Path, link: str) -> None:
    page = copy / "docs/logs.md"
    text = page.read_text()
    page.write_text(f"{text}\n[gone]({link})\n")
    code, warned = docs(copy)
    page.write_text(text)
    assert code != 0
    assert len(warned) == 1
    assert link in warned[0]
