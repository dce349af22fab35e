"""Changes the text of an answer: everything else stays as the provider gave it.

Except for logprobs, which are of tokens: where the new text is a beginning of the old one, those of
its tokens stay; else none do.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType, structs

from gateway.core.chat import Choice, Completion

_encode: Final = msgspec.json.encode
_fields: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_items: Final = msgspec.json.Decoder(list[Raw]).decode
_any: Final = msgspec.json.Decoder().decode


def with_texts(answer: Completion, texts: Sequence[str | None]) -> Completion:
    """The answer with these texts, one for each of its choices."""
    choices = tuple(map(_with_text, answer.choices, texts))
    if all(new is old for new, old in zip(choices, answer.choices, strict=True)):
        return answer
    raw = answer.raw if answer.raw is UNSET else _rewritten(answer.raw, answer.choices, choices)
    return structs.replace(answer, choices=choices, raw=raw)


def _with_text(choice: Choice, text: str | None) -> Choice:
    if text == choice.text:
        return choice
    kept = _of_beginning(choice.logprobs, choice.text or "", text or "")
    return structs.replace(choice, text=text, logprobs=kept)


def _rewritten(raw: Raw, old: Sequence[Choice], new: Sequence[Choice]) -> Raw:
    """The provider's own JSON, which has its choices in the same order."""
    answer = _fields(raw)
    choices = _items(answer["choices"])
    for at, choice in enumerate(new):
        if choice is not old[at]:
            fields = _fields(choices[at])
            message = _fields(fields["message"])
            message["content"] = Raw(_encode(choice.text))
            fields["message"] = Raw(_encode(message))
            fields["logprobs"] = choice.logprobs or Raw(b"null")
            choices[at] = Raw(_encode(fields))
    answer["choices"] = Raw(_encode(choices))
    return Raw(_encode(answer))


def _of_beginning(logprobs: Raw | UnsetType, old: str, new: str) -> Raw | UnsetType:
    if logprobs is UNSET or not new or not old.startswith(new):
        return UNSET
    fields: dict[str, Any] = _any(logprobs)
    tokens = fields.get("content") or ()
    room = len(new.encode())
    ends = accumulate(map(_size, tokens))
    kept = [token for token, end in zip(tokens, ends, strict=True) if end <= room]
    return Raw(_encode({**fields, "content": kept})) if kept else UNSET


def _size(token: dict[str, Any]) -> int:
    """In bytes: a token may be a part of a letter."""
    written = token.get("bytes")
    return len(token["token"].encode() if written is None else written)
