"""Whole answers: what is not in the recordings, or only once."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from gateway.core.chat import Choice, Completion, Usage
from gateway.core.errors import Broken, UpstreamError
from gateway.wire import gemini
from tests.wire.anthropic_streams import PROPERTY
from tests.wire.gemini_answers import SIGNATURE, TARGET, answer, called, candidate

CALL = called()
CODE = {"executableCode": {"language": "PYTHON", "code": "1+1"}}
SIGNED_CODE = {**CODE, "thoughtSignature": "ofCode=="}


def decoded(body: Any) -> Completion:
    return gemini.decode(200, {}, json.dumps(body).encode(), TARGET)


def first(*parts: Any, **more: Any) -> Choice:
    return decoded(answer(candidate(*parts, **more))).first


@pytest.mark.parametrize(
    ("reason", "parts", "finish"),
    [
        ("STOP", ["Hi"], "stop"),
        ("STOP", [CALL], "tool_calls"),
        ("STOP", [], "stop"),
        ("MAX_TOKENS", ["Hi"], "length"),
        ("MAX_TOKENS", [CALL], "length"),
        ("SAFETY", ["Hi"], "content_filter"),
        ("RECITATION", [], "content_filter"),
        ("PROHIBITED_CONTENT", [], "content_filter"),
        ("BLOCKLIST", [CALL], "content_filter"),
        ("SPII", [], "content_filter"),
        ("IMAGE_SAFETY", [], "content_filter"),
        ("LANGUAGE", [], "content_filter"),
        ("ESCALATION", ["Hi"], "content_filter"),
        ("CONTINUATION", ["Hi"], "length"),
        ("PUP_LIMITED_DISABLED", ["Hi"], None),
        ("OTHER", ["Hi"], "stop"),
        ("OTHER", [], None),
        ("MALFORMED_FUNCTION_CALL", [], None),
        ("MALFORMED_FUNCTION_CALL", ["I shall call"], None),
        ("UNEXPECTED_TOOL_CALL", [CALL], "tool_calls"),
        ("UNEXPECTED_TOOL_CALL", [], None),
        ("SOMETHING_NEW", ["Hi"], "stop"),
        ("SOMETHING_NEW", [], None),
        (None, ["Hi"], "stop"),
        (None, [], None),
    ],
)
def test_why_it_ended(reason: str | None, parts: list[Any], finish: str | None) -> None:
    """None is an answer that the model did not bring to an end: another is asked."""
    if finish is None:
        with pytest.raises(Broken, match=reason or "no reason"):
            first(*parts, reason=reason)
    else:
        assert first(*parts, reason=reason).finish == finish


def test_thoughts_and_text_stay_apart() -> None:
    choice = first({"text": "Hm", "thought": True}, "A", {"text": "h.", "thought": True}, "B")
    assert (choice.reasoning, choice.text) == ("Hmh.", "AB")


def test_calls_without_an_id_get_one_that_stays_the_same() -> None:
    parts = [CALL, CALL, {"functionCall": {"name": "clock"}}]
    calls = first(*parts).tool_calls
    assert [(call.name, call.arguments) for call in calls] == [
        ("weather", '{"city":"Rome"}'),
        ("weather", '{"city":"Rome"}'),
        ("clock", "{}"),
    ]
    ids = [call.id for call in calls]
    assert len(set(ids)) == 3
    assert ids == [call.id for call in first(*parts).tool_calls]
    other = decoded(answer(candidate(*parts), responseId="r2")).first.tool_calls
    assert not set(ids) & {call.id for call in other}


def test_a_signature_is_on_its_call_and_in_its_id() -> None:
    signed, plain = first(called(thoughtSignature=SIGNATURE), CALL).tool_calls
    assert json.loads(bytes(signed.extra["extra_content"])) == {
        "google": {"thought_signature": SIGNATURE}
    }
    assert signed.id.endswith("__thought__c2lnbmVkIQ")
    assert (plain.extra, "__thought__" in plain.id) == ({}, False)


def test_a_long_signature_is_on_its_call_alone() -> None:
    (call,) = first(called(thoughtSignature="A" * 4_000)).tool_calls
    assert "__thought__" not in call.id
    assert b"A" * 4_000 in bytes(call.extra["extra_content"])


@pytest.mark.parametrize(
    ("parts", "more", "google"),
    [
        ([CODE, "2"], {}, {"server_tool_parts": [CODE]}),
        # A signature belongs to its own part: with the text it would sign what it is not of.
        ([SIGNED_CODE, "2"], {}, {"server_tool_parts": [SIGNED_CODE]}),
        ([{"text": "Hi", "thoughtSignature": SIGNATURE}], {}, {"thought_signature": SIGNATURE}),
        (["Hi", {"thoughtSignature": SIGNATURE}], {}, {"thought_signature": SIGNATURE}),
        (["Hi"], {"groundingMetadata": {"a": 1.50}}, {"grounding_metadata": {"a": 1.5}}),
        (["Hi"], {"citationMetadata": {"a": 1}}, {"citation_metadata": {"a": 1}}),
        (["Hi"], {"groundingMetadata": {}, "urlContextMetadata": None}, None),
        (["Hi"], {"safetyRatings": [{"category": "X"}]}, None),
        ([], {"safetyRatings": [{"c": 1}], "reason": "SAFETY"}, {"safety_ratings": [{"c": 1}]}),
    ],
)
def test_what_openai_has_no_place_for_is_kept(parts: Any, more: Any, google: Any) -> None:
    extra = first(*parts, **more).extra
    if google is None:
        assert extra == {}
    else:
        assert json.loads(bytes(extra["extra_content"])) == {"google": google}


def test_pictures_are_kept() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    choice = first(picture, reason="STOP")
    url = {"url": "data:image/png;base64,aGk="}
    assert json.loads(bytes(choice.extra["images"])) == [{"type": "image_url", "image_url": url}]


def test_every_candidate_is_a_choice() -> None:
    found = decoded(answer(candidate("B", index=1), candidate(CALL, index=0)))
    assert [(c.index, c.text, c.finish) for c in found.choices] == [
        (0, None, "tool_calls"),
        (1, "B", "stop"),
    ]
    found = decoded(answer(candidate("A"), candidate("B")))
    assert [(c.index, c.text) for c in found.choices] == [(0, "A"), (1, "B")]


def test_two_candidates_of_one_index_are_no_answer() -> None:
    with pytest.raises(Broken, match="two candidates"):
        decoded(answer(candidate("A", index=1), candidate("B", index=1)))


@pytest.mark.parametrize(
    ("feedback", "refusal"),
    [
        ({"blockReason": "SAFETY"}, None),
        ({"blockReason": "OTHER", "blockReasonMessage": "No."}, "No."),
    ],
)
def test_a_blocked_prompt_is_filtered(feedback: Any, refusal: str | None) -> None:
    body = {"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 9}}
    found = decoded(body)
    assert found.choices == (Choice(finish="content_filter", refusal=refusal),)
    assert found.usage == Usage(prompt=9)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"candidates": []}, {"candidates": None}, {"promptFeedback": {}}, [], "x", None,
        {"candidates": [None]}, {"candidates": [{"content": 5}]}, answer(candidate({"text": 5})),
        answer(candidate({"functionCall": {"args": {}}})),
        answer(candidate({"functionCall": {"name": "f", "args": [1]}})),
        answer(candidate({"functionCall": {"name": "f", "args": "{}"}})),
    ],
    ids=json.dumps,
)  # fmt: skip
def test_what_is_no_answer_is_broken(body: Any) -> None:
    with pytest.raises(Broken):
        decoded(body)


def details(**counts: Any) -> list[dict[str, Any]]:
    return [{"modality": kind.upper(), "tokenCount": count} for kind, count in counts.items()]


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        ({"promptTokenCount": 5}, Usage(5)),
        ({"promptTokenCount": 5, "candidatesTokenCount": None}, Usage(5)),
        ({"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 3},
         Usage(5, 5, reasoning=3)),
        ({"promptTokenCount": 5, "toolUsePromptTokenCount": 7}, Usage(12)),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 4}, Usage(5, cached=4)),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 9}, Usage(5, cached=5)),
        ({"promptTokenCount": 50, "candidatesTokenCount": 20, "cachedContentTokenCount": 9,
          "promptTokensDetails": details(text=8, audio=42),
          "candidatesTokensDetails": details(audio=6), "cacheTokensDetails": details(audio=5)},
         Usage(50, 20, 9, audio_prompt=42, audio_completion=6, audio_cached=5)),
        ({"promptTokenCount": 50, "promptTokensDetails": details(video=50)}, Usage(50)),
        ({"promptTokenCount": 5, "candidatesTokenCount": 1_300, "thoughtsTokenCount": 7,
          "candidatesTokensDetails": details(image=1_290)},
         Usage(5, 1_307, reasoning=7, image_completion=1_290)),
        ({"promptTokenCount": 5, "promptTokensDetails": details(image=5),
          "candidatesTokensDetails": details(image=9)}, Usage(5)),
        ({"promptTokenCount": 5, "promptTokensDetails": details(audio=99),
          "candidatesTokensDetails": details(audio=9), "cacheTokensDetails": details(audio=9)},
         Usage(5, audio_prompt=5)),
        ({"promptTokenCount": 5, "promptTokensDetails": details(audio=-1)}, Usage(5)),
        ({"promptTokenCount": 5, "promptTokensDetails": details(audio="5")}, Usage(5)),
        ({"promptTokenCount": 5, "promptTokensDetails": {"AUDIO": 5}}, Usage(5)),
        ({"promptTokenCount": 5, "promptTokensDetails": ["AUDIO", None]}, Usage(5)),
        ({"totalTokenCount": 5}, None), ({}, None), (None, None), ([], None), ("5", None),
        ({"promptTokenCount": -5}, None),
        ({"promptTokenCount": 5, "candidatesTokenCount": 10**12}, None),
        ({"promptTokenCount": 5, "thoughtsTokenCount": 2.5}, None),
        ({"promptTokenCount": True}, None),
    ],
)  # fmt: skip
def test_tokens(said: Any, usage: Usage | None) -> None:
    """None is charged as we count."""
    assert decoded(answer(candidate("Hi"), usageMetadata=said)).usage == usage


def test_chances_of_words() -> None:
    result = {
        "chosenCandidates": [{"token": "é", "logProbability": -0.5, "tokenId": 7}],
        "topCandidates": [{"candidates": [{"token": "é", "logProbability": -0.5}, {"token": "e"}]}],
    }
    found = first("é", logprobsResult=result).logprobs
    assert found is not UNSET
    assert json.loads(bytes(found)) == {
        "content": [
            {
                "token": "é",
                "logprob": -0.5,
                "bytes": [195, 169],
                "top_logprobs": [
                    {"token": "é", "logprob": -0.5, "bytes": [195, 169]},
                    {"token": "e", "logprob": 0.0, "bytes": [101]},
                ],
            }
        ],
        "refusal": None,
    }
    assert first("é", logprobsResult={"chosenCandidates": "?"}).logprobs is UNSET


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@PROPERTY
@given(st.dictionaries(st.text(max_size=6), VALUES, max_size=4), st.sampled_from([None, 0, 2]))
def test_no_argument_is_altered(args: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(
        answer(candidate({"functionCall": {"name": "f", "args": args}})), indent=indent
    )
    (call,) = gemini.decode(200, {}, text.encode(), TARGET).first.tool_calls
    assert json.loads(call.arguments) == args


def test_no_digit_of_an_argument_is_lost() -> None:
    args = b'{ "a": 12345678901234567890123, "b":1.10, "c":1e400, "d":"\\u00e9\\ud83d\\ude00" }'
    body = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":%b}}]}}]}'
    (call,) = gemini.decode(200, {}, body % args, TARGET).first.tool_calls
    assert call.arguments == (
        '{"a":12345678901234567890123,"b":1.10,"c":1e400,"d":"\\u00e9\\ud83d\\ude00"}'
    )


FIELDS = st.sampled_from(
    ("args", "blockReason", "candidates", "chosenCandidates", "code", "content", "details", "error",
     "finishReason", "functionCall", "id", "index", "inlineData", "logprobsResult", "message",
     "mimeType", "name", "parts", "promptFeedback", "promptTokenCount", "responseId", "status",
     "text", "thought", "thoughtSignature", "usageMetadata")
)  # fmt: skip
LIKELY = st.recursive(
    VALUES | st.sampled_from(["STOP", "SAFETY", "RESOURCE_EXHAUSTED", "image/png"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=20,
)
BODIES = st.binary(max_size=60) | LIKELY.map(lambda value: json.dumps(value).encode())


@PROPERTY
@given(st.sampled_from([200, 204, 302, 400, 403, 429, 500, 503]), BODIES)
def test_anything_at_all_raises_nothing_but_upstream_errors(status: int, body: bytes) -> None:
    try:
        found = gemini.decode(status, {"retry-after": body[:3].decode("latin-1")}, body, TARGET)
    except UpstreamError:
        return
    assert status == 200
    assert msgspec.json.decode(msgspec.json.encode(found))
