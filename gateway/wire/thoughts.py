"""Claude's thinking blocks, which clients send back unchanged and at their original position.

An OpenAI message has one text and then calls. So a thinking block that came later records what
it came after: `"after": {"characters": 12, "tool_calls": 1}`. This field is ours and is removed
when the block is sent back. Positions among the provider's own tool
calls are lost: those are not sent back.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, pairwise
from typing import Any, Final

from msgspec import Struct

from gateway.core.errors import InvalidRequest
from gateway.wire.parts import Block

_AFTER: Final = "after"


class Thought(Struct, frozen=True):
    """A thinking block of Anthropic's API, and how much of the answer came before it."""

    block: Mapping[str, Any]
    characters: int = 0
    tool_calls: int = 0


def _is_claudes(block: Mapping[str, Any]) -> bool:
    """Whether Claude takes it: the API refuses those without a signature, so that
    `reasoning_content` is no thinking block either.
    """
    kind = block.get("type")
    return kind == "redacted_thinking" or (kind == "thinking" and bool(block.get("signature")))


def with_position(block: Mapping[str, Any], characters: int, tool_calls: int) -> Mapping[str, Any]:
    """The block with its position in `after`; unchanged at the very beginning."""
    if not characters and not tool_calls:
        return block
    return {**block, _AFTER: {"characters": characters, "tool_calls": tool_calls}}


def parse_thinking_blocks(
    value: Any, where: str, takes: Callable[[Mapping[str, Any]], bool] = _is_claudes
) -> list[Thought]:
    """A message's `thinking_blocks` that the model takes. Raises InvalidRequest, naming the field,
    if they are no blocks.
    """
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise InvalidRequest(f"{where} must be a list of blocks", param=where)
    return [_thought(each) for each in value if takes(each)]


def interleave(
    thoughts: list[Thought], texts: list[Block], calls: list[list[Block]]
) -> list[Block]:
    """An answer's blocks in their original order. `texts` are blocks, mostly with a `text`; each
    call is a list of blocks. A thought with a position beyond the text goes to its end.
    """
    if not any(thought.characters or thought.tool_calls for thought in thoughts):
        return [*(dict(each.block) for each in thoughts), *texts, *chain.from_iterable(calls)]
    cuts = [each.characters for each in thoughts if not each.tool_calls]
    # Sort key: calls before the block, characters before it; on a tie thoughts go first.
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
            positioned.append(((0, start, True), block))  # a cache point stays with its text
    for number, blocks in enumerate(calls):
        positioned += (((number, math.inf, True), block) for block in blocks)
    return [block for _, block in sorted(positioned, key=lambda each: each[0])]


def _split_text(block: Block, start: int, cuts: list[int]) -> Iterator[tuple[int, Block]]:
    """Cuts a text that begins after `start` characters; yields each piece with its position. The
    API refuses blank texts, so a blank piece is joined to its neighbour.
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
