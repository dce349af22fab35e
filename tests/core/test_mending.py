"""A check that mends a text changes the text, and what is said of its tokens: nothing else."""

import json
from typing import Any, Final

import pytest
from msgspec import UNSET, Raw

from gateway.core.catalog import Check
from gateway.core.chat import Completion
from gateway.core.mending import with_texts
from gateway.wire.dialect import Target
from gateway.wire.openai.reply import decode
from tests.core.checked import mend, request

SURE: Final = (Check("confidence"),)
CLEAN: Final = (Check("schema", {"schema": '{"type":"object"}', "fix": True}),)
SOURCE: Final = {
    "type": "url_citation",
    "url_citation": {"start_index": 0, "end_index": 1, "title": "t", "url": "u"},
}


def provided(*texts: str | None, **logprobs: Any) -> dict[str, Any]:
    """What a provider says, with all that it may say beside the texts."""
    message = {
        "role": "assistant",
        "refusal": None,
        "annotations": [SOURCE],
        "reasoning_content": "Hm.",
        "their_own": {"a": [1.50]},
    }
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "choices": [
            {
                "index": index,
                "message": {**message, "content": text},
                "finish_reason": "stop",
                "logprobs": logprobs or None,
                "content_filter_results": {"hate": {"filtered": False}},
            }
            for index, text in enumerate(texts)
        ],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "total_tokens": 7,
            "completion_tokens_details": {"accepted_prediction_tokens": 1},
        },
        "system_fingerprint": "fp_1",
        "service_tier": "default",
        "search_results": [{"url": "u"}],
    }


def answer(told: dict[str, Any]) -> Completion:
    found = decode(200, {}, json.dumps(told).encode(), Target("m", 100))
    assert found.raw is not UNSET
    return found


def said(completion: Completion) -> Any:
    assert completion.raw is not UNSET
    return json.loads(bytes(completion.raw))


@pytest.mark.parametrize(
    ("checks", "text", "becomes"),
    [
        (SURE, "Paris.\n\nCONFIDENCE: HIGH", "Paris."),
        (CLEAN, '```json\n{"a": "é"}\n```', '{"a":"é"}'),
    ],
)
def test_only_the_text_is_another(checks: tuple[Check, ...], text: str, becomes: str) -> None:
    mended = mend(checks, answer(provided(text, None, "{}")), request())
    assert [choice.text for choice in mended.choices] == [becomes, None, "{}"]
    assert said(mended) == provided(becomes, None, "{}")
    again = answer(said(mended))
    assert again.choices == mended.choices, "what is relayed is what was read"


def test_the_same_texts_are_the_same_answer() -> None:
    whole = answer(provided("Paris.", None))
    assert with_texts(whole, ["Paris.", None]) is whole


def token(text: str | bytes) -> dict[str, Any]:
    told = text if isinstance(text, str) else repr(text)
    data = text.encode() if isinstance(text, str) else text
    return {"token": told, "logprob": -0.5, "bytes": list(data), "top_logprobs": []}


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        (["Par", "is", "\n\n", "CONFIDENCE", ": HIGH"], 2),
        (["Par", "is\n", "\nCONFIDENCE: HIGH"], 1),
        (["Paris\n\nCONFIDENCE: HIGH"], 0),
    ],
)
def test_of_a_beginning_its_own_tokens_stay(tokens: list[str], kept: int) -> None:
    told = [token(each) for each in tokens]
    mended = mend(SURE, answer(provided("".join(tokens), content=told, refusal=None)), request())
    left = {"content": told[:kept], "refusal": None} if kept else None
    assert said(mended)["choices"][0]["logprobs"] == left
    assert (mended.first.logprobs is UNSET) is not kept
    if isinstance(mended.first.logprobs, Raw):
        assert json.loads(bytes(mended.first.logprobs)) == left


def test_tokens_are_counted_in_bytes() -> None:
    told = [token("Caf"), token(b"\xc3"), token(b"\xa9"), token("\n"), token("CONFIDENCE: HIGH")]
    told[0]["bytes"] = None
    text = "Café\nCONFIDENCE: HIGH"
    mended = mend(SURE, answer(provided(text, content=told, refusal=None)), request())
    assert said(mended)["choices"][0]["logprobs"]["content"] == told[:3]


@pytest.mark.parametrize(
    ("checks", "text"),
    [(SURE, "CONFIDENCE: HIGH\n\nParis."), (CLEAN, 'So:\n{"a": 1}')],
)
def test_of_another_text_nothing_is_said_of_tokens(checks: tuple[Check, ...], text: str) -> None:
    whole = answer(provided(text, content=[token(text)], refusal=None))
    mended = mend(checks, whole, request())
    assert mended.first.text != text
    assert mended.first.logprobs is UNSET
    assert said(mended)["choices"][0]["logprobs"] is None
