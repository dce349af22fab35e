"""What Converse wants of turns: who begins, what stands with what, how an answer may end."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from gateway.core.errors import InvalidRequest
from gateway.wire.bedrock.models import Model
from gateway.wire.bedrock.parts import BREAK
from gateway.wire.parts import Block

_GO_ON: Final = "Go on."
_NOTED: Final = "Noted."
_SEE: Final = "See the document."


class Turn(Struct):
    role: str
    content: list[Block]


def valid_turns(turns: list[Turn], accepts: Model) -> list[Turn]:
    """The turns as the API takes them. Raises InvalidRequest when the assistant speaks first.

    Where text may not stand beside calls or results of tools, they get turns of their own, and a
    word of the other side between: roles must alternate.
    """
    if turns[0].role != "user":
        raise InvalidRequest(
            "messages: with Bedrock the user speaks first", param="messages[0].role"
        )
    result: list[Turn] = []
    for turn in turns:
        if not accepts.caches:
            turn.content = without_cache_points(turn.content)
        result += [_results_first(turn)] if accepts.mixes_text_and_tools else _split_turn(turn)
    for turn in result:
        _ensure_text(turn)
    _name_documents(result)
    _trim(result[-1])
    return result


def without_cache_points(content: list[Block]) -> list[Block]:
    """The blocks without cache points, and without the line breaks that parts.marked adds."""
    blocks: list[Block] = []
    for block in content:
        if "cachePoint" not in block:
            blocks.append(block)
        elif blocks and blocks[-1] == BREAK:
            blocks.pop()
    return blocks


def _results_first(turn: Turn) -> Turn:
    """The results of a turn's calls come before anything else the user says."""
    if turn.role == "assistant":
        return turn
    results, others = _split(turn.content, "toolResult")
    return Turn(turn.role, results + others)


def _split_turn(turn: Turn) -> list[Turn]:
    """Text, then calls; results, then text: each a turn."""
    assistant = turn.role == "assistant"
    tools, others = _split(turn.content, "toolUse" if assistant else "toolResult")
    if not tools or not others:
        return [turn]
    first, second = (others, tools) if assistant else (tools, others)
    between = Turn(
        "user" if assistant else "assistant", [{"text": _GO_ON if assistant else _NOTED}]
    )
    return [Turn(turn.role, first), between, Turn(turn.role, second)]


def _split(content: list[Block], kind: str) -> tuple[list[Block], list[Block]]:
    """The blocks of a kind, with the cache points that follow them, and all others."""
    matching: list[Block] = []
    others: list[Block] = []
    last = others
    for block in content:
        if "cachePoint" not in block:
            last = matching if kind in block else others
        last.append(block)
    return matching, others


def _ensure_text(turn: Turn) -> None:
    """A turn with a document must have a text, too."""
    kinds = {kind for block in turn.content for kind in block}
    if "document" in kinds and not kinds & {"text", "toolResult"}:
        turn.content.insert(0, {"text": _SEE})


def _name_documents(turns: list[Turn]) -> None:
    """Every document has a name, and no two the same one: the API wants both."""
    taken: set[str] = set()
    for number, document in enumerate(_documents(turns), start=1):
        name = document.get("name") or f"Document {number}"
        document["name"] = f"{name} ({number})" if name in taken else name
        taken.add(document["name"])


def _documents(turns: list[Turn]) -> Iterator[Block]:
    for turn in turns:
        for block in turn.content:
            result = block.get("toolResult")
            for each in (block, *(result["content"] if result else ())):
                if isinstance(each.get("document"), dict):
                    yield each["document"]


def _trim(last: Turn) -> None:
    """An answer that is to be continued may not end in white space."""
    if last.role == "assistant" and "text" in last.content[-1]:
        last.content[-1]["text"] = last.content[-1]["text"].rstrip()
