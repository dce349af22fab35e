# ruff: noqa: INP001 - a file by itself, which mkdocs reads
"""The README becomes the page "overview", and files that pages link to come with the site."""

import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"
OVERVIEW: Final = "overview.md"
_LINK: Final = re.compile(r"(\]\()([^)#\s:]+)(#[^)\s]*)?(\))")


def on_files(files: Files, config: Any) -> Files:
    """What is linked to outside docs/ is copied; Markdown as text, for its links lead elsewhere."""
    linked = {
        target for page in (ROOT / "README.md", *DOCS.glob("*.md")) for target in _outside(page)
    }
    for target in sorted(linked):
        files.append(File.generated(config, _copied(target), abs_src_path=str(target)))
    text = (ROOT / "README.md").read_text("utf-8")
    files.append(File.generated(config, OVERVIEW, content=_relinked(text, ROOT)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    return markdown if page.file.src_uri == OVERVIEW else _relinked(markdown, DOCS)


def _relinked(markdown: str, folder: Path) -> str:
    def leads(found: re.Match[str]) -> str:
        before, target, anchor, after = found.groups(default="")
        return f"{before}{_place((folder / target).resolve(), target)}{anchor}{after}"

    return _LINK.sub(leads, markdown)


def _place(target: Path, written: str) -> str:
    """Where the site has it; as it was written when it is not there, which stops the build."""
    if target == ROOT / "README.md":
        return OVERVIEW
    if not target.is_file():
        return written
    return target.name if target.parent == DOCS else _copied(target)


def _outside(page: Path) -> set[Path]:
    found = {(page.parent / link[1]).resolve() for link in _LINK.findall(page.read_text("utf-8"))}
    return {each for each in found
            if each.is_file() and each.parent != DOCS and each != ROOT / "README.md"}  # fmt: skip


def _copied(target: Path) -> str:
    name = target.relative_to(ROOT).as_posix().replace("/.", "/").removeprefix(".")
    return f"files/{name}.txt" if name.endswith(".md") or "." not in name else f"files/{name}"
