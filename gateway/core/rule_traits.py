"""Reads what rules may ask of a request: script, code, tools, and the like."""

import re
from collections.abc import Mapping
from typing import Final

from gateway.core.chat import ChatRequest, look
from gateway.core.features import Features, read_features
from gateway.core.ladder import Ladder
from gateway.core.rules import TEXT, Traits
from gateway.core.scripts import letters_of

HAS: Final = ("audio", "code", "files", "images", "json_schema", "tools")
_READ_OF_SCRIPT: Final = 1_000
"""Characters: enough to know a script by, and no more work."""
_FOREIGN: Final = 0.2
"""A script other than Latin is the text's if it has this share of the letters: most technical
texts, in any language, have Latin words."""
_LETTER: Final = re.compile("[A-Za-z]")
_BEGINS: Final = re.compile(
    r"def |class |import |from \w+ import |#include|public |private |function |const |let "
    r"|SELECT\b|INSERT INTO|CREATE TABLE"
)
_ENDS: Final = (";", "{", "}")
_CODE_LINES: Final = 2
"""A text with so many such lines, or with a fence, has code."""
_NEEDS: Final = {
    "vision": "images",
    "audio": "audio",
    "files": "files",
    "json_schema": "json_schema",
}


def read_traits(
    request: ChatRequest,
    features: Features,
    tags: Mapping[str, str],
    at: float,
    home: frozenset[str] | None = None,
    looks: frozenset[str] = TEXT,
) -> Traits:
    """`at` is Unix seconds; `home` the regions of who asks, None for anywhere. `looks` says what is
    read out of the user's last text: "code", "script", both or nothing.
    """
    text = _last_text(request) if looks else ""
    tools = request.json("tools")
    has = {_NEEDS[need] for need in features.needs if need in _NEEDS}
    if tools or request.json("functions"):
        has.add("tools")
    if "code" in looks and ("```" in text or _has_code(text)):
        has.add("code")
    extras = request.extras
    return Traits(
        prompt=features.prompt,
        output=features.output,
        script=script_of(text[:_READ_OF_SCRIPT]) if "script" in looks else None,
        has=frozenset(has),
        tools=len(tools) if isinstance(tools, list) else 0,
        tags=tags,
        regions=home if extras.region is None else frozenset((extras.region,)),
        max_latency_ms=extras.max_latency_ms,
        max_cost=features.max_cost,
        at=at,
        strategy=extras.strategy,
        checks=extras.checks or (),
    )


def climbed(
    ladder: Ladder,
    request: ChatRequest,
    tags: Mapping[str, str],
    at: float,
    home: frozenset[str] | None,
    features: Features | None = None,
) -> tuple[str, Ladder]:
    """Which rule of a ladder holds for a request, "" for none, and what is climbed. `home` are the
    regions of who asks, None for anywhere. `features` are the request's, where they are read.
    """
    if not ladder.rules:
        return "", ladder
    features = features or read_features(request)
    return ladder.chosen(read_traits(request, features, tags, at, home, ladder.looks))


def _last_text(request: ChatRequest) -> str:
    """The beginning of the user's last text."""
    seen = request.seen
    if seen is None:
        messages = request.json("messages")
        seen = look([each for each in messages if isinstance(each, Mapping)])
    return seen.said


def script_of(text: str) -> str | None:
    """The script that a text is written in; None without letters of one that is known."""
    if text.isascii():
        return "latin" if _LETTER.search(text) else None
    counts = letters_of(text)
    letters = sum(counts.values())
    if not letters:
        return None
    latin = counts.pop("latin", 0)
    if not counts:
        return "latin"
    most = max(counts, key=counts.__getitem__)
    foreign = counts[most]
    kana, han = counts.get("kana", 0), counts.get("han", 0)
    if kana and kana + han >= foreign:  # Japanese is written in both
        most, foreign = "kana", kana + han
    return most if foreign >= _FOREIGN * letters or not latin else "latin"


def _has_code(text: str) -> bool:
    if "\n" not in text:
        return False
    return sum(map(_is_code, map(str.strip, text.split("\n")))) >= _CODE_LINES


def _is_code(line: str) -> bool:
    return line.endswith(_ENDS) or _BEGINS.match(line) is not None
