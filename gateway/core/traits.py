"""Reads what rules may ask of a request: script, code, tools, and the like."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.core.chat import ChatRequest
from gateway.core.features import Features, read_features
from gateway.core.ladder import Ladder
from gateway.core.rules import Traits

SCRIPTS: Final[Mapping[str, tuple[tuple[int, int], ...]]] = {
    "arabic": ((0x0600, 0x06FF), (0x0750, 0x077F), (0x08A0, 0x08FF)),
    "cyrillic": ((0x0400, 0x052F),),
    "devanagari": ((0x0900, 0x097F),),
    "greek": ((0x0370, 0x03FF),),
    "han": ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FA1F)),
    "hangul": ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7AF)),
    "hebrew": ((0x0590, 0x05FF),),
    "kana": ((0x3040, 0x30FF), (0x31F0, 0x31FF)),
    "latin": ((0x0041, 0x005A), (0x0061, 0x007A), (0x00C0, 0x024F)),
    "thai": ((0x0E00, 0x0E7F),),
}
HAS: Final = ("audio", "code", "files", "images", "json_schema", "tools")
_READ: Final = 4_000
"""Characters of the last user message: enough to know a script by, and no more work."""
_FOREIGN: Final = 0.2
"""A script other than Latin that has so much of the letters is the text's: Latin words stand in
most technical texts of any language."""
_CODE: Final = re.compile(
    r"^\s*(?:def |class |import |from \w+ import |#include|public |private |function |const "
    r"|let |SELECT\b|INSERT INTO|CREATE TABLE)|[;{}]\s*$"
)
_CODE_LINES: Final = 2
"""So many such lines, or a fence, make a text one with code."""
_NEEDS: Final = {
    "vision": "images",
    "audio": "audio",
    "files": "files",
    "json_schema": "json_schema",
}


def read_traits(
    request: ChatRequest, features: Features, tags: Mapping[str, str], at: float
) -> Traits:
    """`at` is Unix seconds."""
    text = _last_user_text(request)
    tools = request.json("tools")
    has = {_NEEDS[need] for need in features.needs if need in _NEEDS}
    if tools or request.json("functions"):
        has.add("tools")
    if "```" in text or sum(map(bool, map(_CODE.search, text.splitlines()))) >= _CODE_LINES:
        has.add("code")
    extras = request.extras
    return Traits(
        prompt=features.prompt,
        output=features.output,
        script=script_of(text),
        has=frozenset(has),
        tools=len(tools) if isinstance(tools, list) else 0,
        tags=tags,
        region=extras.region,
        max_latency_ms=extras.max_latency_ms,
        max_cost=features.max_cost,
        at=at,
    )


def climbed(
    ladder: Ladder, request: ChatRequest, tags: Mapping[str, str], at: float
) -> tuple[str, Ladder]:
    """Which rule of a ladder holds for a request, "" for none, and what is climbed."""
    if not ladder.rules:
        return "", ladder
    return ladder.chosen(read_traits(request, read_features(request), tags, at))


def script_of(text: str) -> str | None:
    """The script that a text is written in; None without letters of one that is known."""
    counts = dict.fromkeys(SCRIPTS, 0)
    for character in text:
        code = ord(character)
        for script, ranges in SCRIPTS.items():
            if any(low <= code <= high for low, high in ranges):
                counts[script] += 1
                break
    letters = sum(counts.values())
    if not letters:
        return None
    latin = counts.pop("latin")
    most = max(counts, key=counts.__getitem__)
    if counts["kana"]:  # Japanese is written in both
        most = "kana" if counts["kana"] + counts["han"] >= counts[most] else most
    foreign = counts[most] + (counts["han"] if most == "kana" else 0)
    return most if foreign >= _FOREIGN * letters else "latin" if latin else most


def _last_user_text(request: ChatRequest) -> str:
    for message in reversed(request.json("messages")):
        if isinstance(message, Mapping) and message.get("role") == "user":
            return "\n".join(_texts(message.get("content")))[:_READ]
    return ""


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        text = part.get("text") if isinstance(part, Mapping) else None
        if isinstance(text, str):
            yield text
