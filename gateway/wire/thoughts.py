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


def with_position(block: Mapping[str, Any], characters: int, tool_calls: int) -> Mapping[str, Any]:
    """A block of an answer, with its place unless that is the beginning."""
    if not characters and not tool_calls:
        return block
    return {**block, _AFTER: {"characters": characters, "tool_calls": tool_calls}}


def parse_thinking_blocks(value: Any, where: str) -> list[Thought]:
    """`thinking_blocks` of a message. Without a signature the API refuses one: it is left out, as
    is `reasoning_content`, which never has one. Raises InvalidRequest, naming the place.
    """
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise InvalidRequest(f"{where} must be a list of blocks", param=where)
    return [
        _thought(each)
        for each in value
        if each.get("type") == "redacted_thinking"
        or (each.get("type") == "thinking" and each.get("signature"))
    ]


def interleave(
    thoughts: list[Thought], texts: list[Block], calls: list[list[Block]]
) -> list[Block]:
    """An answer's blocks in the order in which they came. Texts are blocks with a `text`; each call
    is a list of blocks. A thought beyond what the client sent back comes after the last of it.
    """
    if not any(thought.characters or thought.tool_calls for thought in thoughts):
        return [*(dict(each.block) for each in thoughts), *texts, *chain.from_iterable(calls)]
    cuts = [each.characters for each in thoughts if not each.tool_calls]
    # A block's place: how many calls came before it, and how many characters; a thought goes first.
    positioned: list[tuple[tuple[int, float, bool], Block]] = [
        ((each.tool_calls, 0 if each.tool_calls else each.characters, False), dict(each.block))
        for each in thoughts
    ]
    length = start = 0
    for block in texts:
        text = block.get("text")
        if isinstance(text, str):
            for start, piece in _split_text(block, length, cuts):
                positioned.append(((0, start, True), piece))
            length += len(text)
        else:
            positioned.append(((0, start, True), block))  # a mark stays with what it marks
    for number, blocks in enumerate(calls):
        positioned += (((number, math.inf, True), block) for block in blocks)
    return [block for _, block in sorted(positioned, key=lambda each: each[0])]


def _split_text(block: Block, start: int, cuts: list[int]) -> Iterator[tuple[int, Block]]:
    """A text that begins after `start` characters, cut at these places, and where each piece
    begins. The API refuses white text: it stays with what is beside it.
    """
    text: str = block["text"]
    ends = sorted({place - start for place in cuts if start < place < start + len(text)})
    pieces: list[tuple[int, str]] = []
    blank = ""
    for at, end in pairwise([0, *ends, len(text)]):
        piece = blank + text[at:end]
        if piece.strip():
            pieces.append((start + at, piece))
            blank = ""
        elif pieces:
            pieces[-1] = (pieces[-1][0], pieces[-1][1] + piece)
        else:
            blank = piece
    if len(pieces) < 2:
        yield (pieces[0][0] if pieces else start), block
        return
    plain = {name: value for name, value in block.items() if name in {"type", "text"}}
    for at, piece in pieces[:-1]:
        yield at, {**plain, "text": piece}
    at, piece = pieces[-1]
    yield at, {**block, "text": piece}


def _thought(given: Mapping[str, Any]) -> Thought:
    block = {name: value for name, value in given.items() if name != _AFTER}
    after = given.get(_AFTER)
    place = after if isinstance(after, Mapping) else {}
    return Thought(
        block, _non_negative(place.get("characters")), _non_negative(place.get("tool_calls"))
    )


def _non_negative(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0
