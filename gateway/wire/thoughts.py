"""What Claude thought, as a client sends it back: unchanged, and where it stood.

OpenAI's messages have one text and then calls, so a thought that came later says what it came
after: `"after": {"characters": 12, "tool_calls": 1}`. It is ours, and taken off on the way back.
Where it stood among tools that ran at the provider cannot be kept: these are not sent back.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import chain, pairwise
from typing import Any, Final

from msgspec import Struct

from gateway.core.errors import InvalidRequest
from gateway.wire.parts import Block

_AFTER: Final = "after"


class Thought(Struct, frozen=True):
    """A block as Anthropic's API has it, and how much of the answer came before it."""

    block: Mapping[str, Any]
    characters: int = 0
    tool_calls: int = 0


def placed(block: Mapping[str, Any], characters: int, tool_calls: int) -> Mapping[str, Any]:
    """A block of an answer, with its place unless that is the beginning."""
    if not characters and not tool_calls:
        return block
    return {**block, _AFTER: {"characters": characters, "tool_calls": tool_calls}}


def sent_back(given: Any, where: str) -> list[Thought]:
    """`thinking_blocks` of a message. Without a signature the API refuses one: it is left out, as
    is `reasoning_content`, which never has one. Raises InvalidRequest, naming the place.
    """
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(each, Mapping) for each in given):
        raise InvalidRequest(f"{where} must be a list of blocks", param=where)
    return [
        _thought(each)
        for each in given
        if each.get("type") == "redacted_thinking"
        or (each.get("type") == "thinking" and each.get("signature"))
    ]


def woven(thoughts: list[Thought], spoken: list[Block], calls: list[list[Block]]) -> list[Block]:
    """An answer's blocks in the order in which they came. Texts are blocks with a `text`; each call
    is a list of blocks. A thought beyond what the client sent back comes after the last of it.
    """
    if not any(thought.characters or thought.tool_calls for thought in thoughts):
        return [*(dict(each.block) for each in thoughts), *spoken, *chain.from_iterable(calls)]
    cuts = [each.characters for each in thoughts if not each.tool_calls]
    # A block's place: how many calls came before it, and how many characters; a thought goes first.
    found: list[tuple[tuple[int, float, bool], Block]] = [
        ((each.tool_calls, 0 if each.tool_calls else each.characters, False), dict(each.block))
        for each in thoughts
    ]
    said = began = 0
    for block in spoken:
        text = block.get("text")
        if isinstance(text, str):
            for began, piece in _pieces(block, said, cuts):
                found.append(((0, began, True), piece))
            said += len(text)
        else:
            found.append(((0, began, True), block))  # a mark stays with what it marks
    for number, blocks in enumerate(calls):
        found += (((number, math.inf, True), block) for block in blocks)
    return [block for _, block in sorted(found, key=lambda each: each[0])]


def _pieces(block: Block, start: int, cuts: list[int]) -> Iterator[tuple[int, Block]]:
    """A text that begins after `start` characters, cut at these places, and where each piece
    begins. The API refuses white text: it stays with what is beside it.
    """
    text: str = block["text"]
    ends = sorted({place - start for place in cuts if start < place < start + len(text)})
    found: list[tuple[int, str]] = []
    white = ""
    for at, end in pairwise([0, *ends, len(text)]):
        piece = white + text[at:end]
        if piece.strip():
            found.append((start + at, piece))
            white = ""
        elif found:
            found[-1] = (found[-1][0], found[-1][1] + piece)
        else:
            white = piece
    if len(found) < 2:
        yield (found[0][0] if found else start), block
        return
    plain = {name: value for name, value in block.items() if name in {"type", "text"}}
    for began, piece in found[:-1]:
        yield began, {**plain, "text": piece}
    began, piece = found[-1]
    yield began, {**block, "text": piece}


def _thought(given: Mapping[str, Any]) -> Thought:
    block = {name: value for name, value in given.items() if name != _AFTER}
    after = given.get(_AFTER)
    place = after if isinstance(after, Mapping) else {}
    return Thought(block, _count(place.get("characters")), _count(place.get("tool_calls")))


def _count(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0
