"""Converse's rules for turns: who begins, what may be combined, how the last may end."""

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


def without_final_thoughts(turns: list[Turn]) -> list[Turn]:
    """Claude refuses an assistant turn that ends in thinking, as an answer that is nothing else
    does (tailcallhq/forgecode#3073).
    """
    result: list[Turn] = []
    for turn in turns:
        content = turn.content
        while turn.role == "assistant" and content and "reasoningContent" in content[-1]:
            content.pop()
        if content and result and result[-1].role == turn.role:
            result[-1].content += content
        elif content:
            result.append(turn)
    return result


def valid_turns(turns: list[Turn], accepts: Model) -> list[Turn]:
    """The turns as the API accepts them. Raises InvalidRequest if the assistant speaks first.

    If the model does not accept text together with tool calls or results, they get turns of their
    own, with a short filler turn of the other role between them: roles must alternate.
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
    """The blocks without cache points and the line breaks that with_cache_point inserts."""
    blocks: list[Block] = []
    for block in content:
        if "cachePoint" not in block:
            blocks.append(block)
        elif blocks and blocks[-1] == BREAK:
            blocks.pop()
    return blocks


def _results_first(turn: Turn) -> Turn:
    """Moves tool results to the front of a user turn."""
    if turn.role == "assistant":
        return turn
    results, others = _split(turn.content, "toolResult")
    return Turn(turn.role, results + others)


def _split_turn(turn: Turn) -> list[Turn]:
    """Splits text from tool calls or results, with a filler turn between."""
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
    """(blocks of this kind, all others); cache points stay with the block before them, thoughts
    with the one after them.
    """
    matching: list[Block] = []
    others: list[Block] = []
    thoughts: list[Block] = []
    last = others
    for block in content:
        if "reasoningContent" in block:
            thoughts.append(block)
            continue
        if "cachePoint" not in block:
            last = matching if kind in block else others
        last += [*thoughts, block]
        thoughts.clear()
    return matching, [*others, *thoughts]


def _ensure_text(turn: Turn) -> None:
    """Adds a text to a turn with a document: the API requires one."""
    kinds = {kind for block in turn.content for kind in block}
    if "document" in kinds and not kinds & {"text", "toolResult"}:
        turn.content.insert(0, {"text": _SEE})


def _name_documents(turns: list[Turn]) -> None:
    """Gives every document a unique name: the API requires one."""
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
    """The API refuses a final assistant turn (a prefill) that ends in white space."""
    if last.role == "assistant" and "text" in last.content[-1]:
        last.content[-1]["text"] = last.content[-1]["text"].rstrip()
