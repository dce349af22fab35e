"""What a provider says of a choice beside its message: Azure's content_filter_results, vLLM's
stop_reason, ...
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET, Raw, structs

from gateway.core.chat import Choice, Completion

NOT_BESIDE: Final = frozenset(
    {"delta", "error", "finish_reason", "index", "logprobs", "message", "text", "usage"}
)
"""Fields of a choice that are read, or are no part of the answer."""
_UNSET: Final = (b"null", b"[]", b"{}")


class _Choices(msgspec.Struct):
    choices: list[dict[str, Raw]]


_read: Final = msgspec.json.Decoder(_Choices).decode
_number: Final = msgspec.json.Decoder(int).decode


def beside_choices(raw: bytes) -> Mapping[int, Mapping[str, Raw]]:
    """By the index of a choice, of a provider's own answer or chunk that is strictly valid."""
    return {_number(choice["index"]): _beside(choice) for choice in _read(raw).choices}


def with_beside(answer: Completion) -> tuple[Choice, ...]:
    """The choices of an answer, with these fields wherever they are kept."""
    if answer.raw is UNSET:
        return answer.choices
    found = beside_choices(answer.raw)
    return tuple(
        structs.replace(choice, beside=found[choice.index]) if found.get(choice.index) else choice
        for choice in answer.choices
    )


def _beside(choice: Mapping[str, Raw]) -> Mapping[str, Raw]:
    return {
        name: raw
        for name, raw in choice.items()
        if name not in NOT_BESIDE and bytes(raw) not in _UNSET
    }
