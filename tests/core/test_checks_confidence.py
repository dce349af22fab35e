"""The marker line: asked for, read, stripped."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.core.catalog import Check
from gateway.core.chat import ChatRequest, Choice, ChoiceDelta, Completion, Delta
from gateway.core.checks.confidence import INSTRUCTION
from gateway.core.checks.early_checks import EarlyChecks
from tests.core.checked import MESSAGES, ask, call, judge, mend, request, whys

CHECKS = (Check("complete"), Check("confidence"))
OWN = {"role": "system", "content": INSTRUCTION}


def messages(asked: ChatRequest) -> Any:
    return json.loads(bytes(ask(CHECKS, asked).fields["messages"]))


@pytest.mark.parametrize(
    ("system", "becomes"),
    [
        ([], OWN),
        ("Be brief.", {"role": "system", "content": f"Be brief.\n\n{INSTRUCTION}"}),
        (
            [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            {
                "role": "system",
                "content": [
                    {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
                    {"type": "text", "text": INSTRUCTION},
                ],
            },
        ),
    ],
)
def test_the_first_system_message_asks(system: Any, becomes: dict[str, Any]) -> None:
    first = [{"role": "system", "content": system}] if system else []
    assert messages(request(messages=[*first, *MESSAGES])) == [becomes, *MESSAGES]


def test_a_developer_message_asks_too() -> None:
    first = {"role": "developer", "name": "d", "content": "Be brief."}
    assert messages(request(messages=[first, *MESSAGES]))[0] == {
        "role": "developer",
        "name": "d",
        "content": f"Be brief.\n\n{INSTRUCTION}",
    }


def test_other_bytes_stay_as_they_were_written() -> None:
    raw = b'[ {"role":"user", "content":"caf\\u00e9 1.0"} ,{"role" : "user","content":[]}]'
    asked = ChatRequest({"messages": Raw(raw), "seed": Raw(b"1.50")}, "auto")
    sent = ask(CHECKS, asked)
    assert bytes(sent.fields["seed"]) == b"1.50"
    for message in (
        b'{"role":"user", "content":"caf\\u00e9 1.0"}',
        b'{"role" : "user","content":[]}',
    ):
        assert message in bytes(sent.fields["messages"])
    assert bytes(asked.fields["messages"]) == raw


@pytest.mark.parametrize("raw", [b"{}", b"[1]", b'"x"', b"[", b"null"])
def test_messages_of_another_shape_are_left_alone(raw: bytes) -> None:
    asked = ChatRequest({"messages": Raw(raw)}, "auto")
    assert ask(CHECKS, asked) is asked


def test_json_is_neither_asked_nor_judged() -> None:
    asked = request(response_format={"type": "json_object"})
    assert ask(CHECKS, asked) is asked
    assert whys("confidence", '{"a": 1}', asked) == []


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        ("Paris.\n\nCONFIDENCE: HIGH", True),
        ("Paris.\nconfidence: high\n\n", True),
        ("Paris.\n\n**CONFIDENCE: HIGH**", True),
        ("Paris.\n\n**Confidence:** High.  \n", True),
        ("Paris.\r\n\r\nCONFIDENCE: HIGH\r\n", True),
        ("Paris. CONFIDENCE: HIGH", True),
        ("> CONFIDENCE: HIGH", True),
        ("CONFIDENCE: HIGH\n\nParis.", True),
        ("One.\n- Confidence: low\n\nCONFIDENCE: HIGH", True),
        ("CONFIDENCE: HIGH\nOne:\n* Confidence: low", True),
        ("One.\n- Confidence: high\n\nCONFIDENCE: LOW", False),
        ("Paris.\n\nCONFIDENCE: LOW", False),
        ("Paris.\n\n`CONFIDENCE: LOW`", False),
        ("CONFIDENCE: HIGH\nNo, wait.\nCONFIDENCE: LOW", False),
        ("Paris.", False),
        ("My confidence is high.", False),
        ("CONFIDENCE: HIGHER than before", False),
        ("CONFIDENCE: MEDIUM", False),
        ("", False),
        (None, False),
        (Choice(tool_calls=(call("search", {}),)), True),
    ],
)
def test_the_marker_is_read(answer: Choice | str | None, passes: bool) -> None:
    assert (not whys("confidence", answer)) is passes


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Paris.\n\nCONFIDENCE: HIGH", "Paris."),
        ("Paris.\n\n**CONFIDENCE: LOW**  \n\n", "Paris."),
        ("Paris.\r\n\r\n**Confidence:** high\r\n", "Paris."),
        ("Paris. CONFIDENCE: HIGH", "Paris."),
        ("CONFIDENCE: HIGH\n\nParis.", "Paris."),
        ("A.\nCONFIDENCE: LOW\n  - b\nCONFIDENCE: HIGH", "A.\n  - b"),
        ("CONFIDENCE: HIGH", ""),
        ("\u5df4\u9ece\u3002\n\nCONFIDENCE\uff1aHIGH\u3002", "\u5df4\u9ece\u3002"),
        ("\u5df4\u9ece\u3002CONFIDENCE: LOW", "\u5df4\u9ece\u3002"),
        ("Paris.\n\n[CONFIDENCE: HIGH]", "Paris."),
        ("Paris. (**CONFIDENCE: HIGH**)", "Paris."),
        ("Paris.CONFIDENCE: HIGH", "Paris."),
        ("Paris. CONFIDENCE: HIGH\nCONFIDENCE: HIGH", "Paris."),
        (
            "- A leak. Confidence: High\n- Confidence: Low\n\n**CONFIDENCE: HIGH**",
            "- A leak. Confidence: High\n- Confidence: Low",
        ),
        ("CONFIDENCE: HIGH\nOne:\n* Confidence: low", "One:\n* Confidence: low"),
        ("One:\n* Confidence: low. CONFIDENCE: HIGH", "One:\n* Confidence: low."),
        ("A.\n- Confidence: Low\n- Confidence: High", "A.\n- Confidence: Low"),
    ],
)
def test_the_marker_is_stripped(text: str, left: str) -> None:
    assert whys("confidence", text) != ["it does not say how sure it is"]
    answer = Completion((Choice(text=text),))
    assert mend(CHECKS, answer).first.text == left


@pytest.mark.parametrize(
    "choice",
    [
        Choice(text="I have every confidence: high hopes."),
        Choice(text="  Paris.  \n"),
        Choice(text=None, tool_calls=(call("search", {}),)),
        Choice(text='{"note": "CONFIDENCE: HIGH"}'),
    ],
)
def test_what_has_no_marker_is_the_same_value(choice: Choice) -> None:
    answer = Completion((choice,), raw=Raw(b'{"id":"x"}'))
    assert mend(CHECKS, answer) is answer


MARKERS = st.sampled_from(
    ["CONFIDENCE: HIGH", "**CONFIDENCE: LOW**", "confidence: high", "**Confidence:** Low"]
)


@given(st.text(), MARKERS, st.sampled_from(["\n", "\n\n", "\r\n"]), st.text(" \n", max_size=3))
def test_stripping_gives_the_text_back(text: str, marker: str, gap: str, tail: str) -> None:
    text = text.rstrip()
    answer = Completion((Choice(text=f"{text}{gap}{marker}{tail}"),))
    assert mend(CHECKS, answer).first.text == text


@pytest.mark.parametrize(
    ("check", "text", "passes"),
    [
        (Check("sql"), "SELECT a FROM b", True),
        (Check("length", {"max_words": 1}), "Paris.", True),
        (Check("regex", {"pattern": r"\.\Z"}), "Paris.", True),
        (Check("regex", {"pattern": "HIGH"}), "Paris.", False),
        (Check("not_empty"), "", False),
    ],
    ids=str,
)
def test_the_other_checks_see_what_the_client_gets(check: Check, text: str, passes: bool) -> None:
    answer = Completion((Choice(text=f"{text}\n\nCONFIDENCE: HIGH"),))
    found = judge((*CHECKS, check), answer, request())
    assert [finding.check for finding in found] == ([] if passes else [check.name])


def test_the_line_is_no_part_of_the_length_while_it_comes() -> None:
    early = EarlyChecks((*CHECKS, Check("length", {"max_words": 1})), request())
    for piece in ("Paris.", "\n\nCONFIDENCE:", " HIGH"):
        assert early.feed((Delta((ChoiceDelta(text=piece),)),)) is None


def test_what_is_behind_a_marker_is_read_once() -> None:
    """50,000 blanks took 8 s."""
    started = time.process_time()
    assert whys("confidence", "So. CONFIDENCE: HIGH" + " " * 50_000 + "or not")
    assert time.process_time() - started < 1
