"""Fields that a provider lacks: dropped and told, or refused by name."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.wire.unsupported import ESSENTIAL, dropped_fields, without_fields


def chat(**fields: Any) -> ChatRequest:
    fields = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return ChatRequest(msgspec.json.decode(msgspec.json.encode(fields), type=dict[str, Raw]), "m")


LACKED: list[tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]] = [
    # fields, what the provider lacks, what is missed
    ({"seed": 1}, (), ()),
    ({"seed": 1}, ("seed",), ("seed",)),
    ({"seed": None}, ("seed",), ()),
    ({"seed": 1, "user": "u", "top_k": 5}, ("user", "seed", "top_k"), ("seed", "top_k", "user")),
    ({"temperature": 1.0, "n": 1, "tool_choice": "auto"}, ("temperature", "n", "tool_choice"), ()),
    ({"parallel_tool_calls": True}, ("parallel_tool_calls",), ()),
    ({"parallel_tool_calls": False}, ("parallel_tool_calls",), ("parallel_tool_calls",)),
    ({}, ("model", "messages", "max_tokens", "stream"), ()),  # every call says these
]


@pytest.mark.parametrize(("fields", "lacks", "missed"), LACKED)
def test_what_is_lacked_is_not_sent(
    fields: dict[str, Any], lacks: tuple[str, ...], missed: tuple[str, ...]
) -> None:
    sent, told = without_fields(chat(**fields), lacks, "p")
    assert told == missed
    assert sent.fields.keys() == {"model", "messages"} | (fields.keys() - set(lacks))


@pytest.mark.parametrize(
    ("fields", "name"),
    [({"n": 2}, "n"), ({"logprobs": True}, "logprobs"), ({"stop": ["x"]}, "stop"),
     ({"tools": [{"type": "function"}]}, "tools"), ({"modalities": ["audio"]}, "modalities"),
     ({"seed": 1, "response_format": {"type": "json_object"}}, "response_format")],
)  # fmt: skip
def test_what_would_change_the_answer_is_refused_by_name(fields: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{name}: acme cannot do this") as caught:
        without_fields(chat(**fields), (*ESSENTIAL, "seed"), "acme")
    assert caught.value.param == name


def test_a_translation_tells_what_it_does_not_say() -> None:
    given = {"model": "m", "stream": True, "max_tokens": 5, "seed": 1, "n": 1, "top_p": 0.5}
    assert dropped_fields(given, {"top_p"}) == ("seed",)
    assert dropped_fields(given, ()) == ("seed", "top_p")
