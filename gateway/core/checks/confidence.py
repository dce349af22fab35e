"""The model's own word on its answer: a line CONFIDENCE: HIGH or CONFIDENCE: LOW.

A weak sign. What models say of their certainty tells right answers from wrong ones little better
than chance (AUROC 0.51 to 0.63 in Xiong et al., arXiv:2306.13063), so use it with other checks.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from gateway.core.chat import ChatRequest, Choice, Completion, add_text, with_messages
from gateway.core.checks.json_answer import asks_for_json
from gateway.core.checks.tools import all_calls
from gateway.core.mending import with_texts

INSTRUCTION: Final = (
    "After your whole answer, add a last line of its own that says how sure you are that the"
    " answer is right. It is exactly one of these two:\nCONFIDENCE: HIGH\nCONFIDENCE: LOW"
)
_CAPITALS: Final = "CONFIDENCE"
_MARK: Final = r"CONFIDENCE[*_` \t]*[:\uff1a][*_` \t]*(HIGH|LOW)\b[*_`.!)\]> \t\r\u3002]*+"
_LINE: Final = re.compile(
    rf"^[>#*_`(\[< \t-]*{_MARK}(?:\n[\r\n]*|\Z)", re.MULTILINE | re.IGNORECASE
)
_TAIL: Final = re.compile(rf"(?<=[ \t.!?\u3002\uff01\uff1f])[*_`(\[<]*{_MARK}\s*+\Z", re.IGNORECASE)
_ITEMS: Final = msgspec.json.Decoder(list[Raw])


class _Role(Struct):
    role: str = ""


_ROLE: Final = msgspec.json.Decoder(_Role)


def confidence(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    """The answer says CONFIDENCE: HIGH. Tool calls, and JSON if asked for, always pass."""
    if all_calls(choice) or asks_for_json(request):
        return None
    marks = _marks(choice.text or "")
    if not marks:
        return "it does not say how sure it is"
    return None if marks[-1][1].upper() == "HIGH" else "it is not sure of itself"


def _marks(text: str) -> list[re.Match[str]]:
    """Those in capitals, as the instruction has them; without any, the last one in other letters:
    in a list of findings each may have its own "Confidence: high".
    """
    found = list(_LINE.finditer(text))
    tail = _TAIL.search(text)
    if tail is not None and not (found and found[-1].end() == tail.end()):
        found.append(tail)
    return [mark for mark in found if _CAPITALS in mark[0]] or found[-1:]


def ask_confidence(request: ChatRequest) -> ChatRequest:
    """The request with the instruction at the end of its first system message, or with a system
    message of its own in front: some chat templates allow one system message only, and only there.
    Everything else stays as the client wrote it.
    """
    if asks_for_json(request) or "messages" not in request.fields:
        return request
    try:
        messages = [bytes(raw) for raw in _ITEMS.decode(request.fields["messages"])]
        system = messages and _ROLE.decode(messages[0]).role in ("system", "developer")
        if system:
            messages[0] = add_text(messages[0], INSTRUCTION)
    except (msgspec.DecodeError, RecursionError):
        return request
    if not system:
        own = {"role": "system", "content": INSTRUCTION}
        messages.insert(0, msgspec.json.encode(own))
    return with_messages(request, b"[" + b",".join(messages) + b"]")


def strip_confidence(completion: Completion) -> Completion:
    """The answer without its marks, and without the blank space before the last."""
    return with_texts(completion, [_stripped(choice.text) for choice in completion.choices])


def without_marker(choice: Choice) -> Choice:
    """The choice as the client will get it, which is what all other checks look at."""
    text = _stripped(choice.text)
    return choice if text is choice.text else msgspec.structs.replace(choice, text=text)


def _stripped(raw: str | None) -> str | None:
    if not raw:
        return raw
    text = raw
    for mark in reversed(_marks(raw)):
        text = text[: mark.start()] + text[mark.end() :]
    if text is raw:
        return raw
    tail = _TAIL.search(text)  # one more, in front of a line that was removed
    return (text[: tail.start()] if tail and _CAPITALS in tail[0] else text).rstrip()
