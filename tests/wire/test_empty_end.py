"""A question without content is left out; the last one is not: its answer would be a prefill's."""

import json
from typing import Any

import pytest

from gateway.core.errors import InvalidRequest
from gateway.wire import DIALECTS
from gateway.wire.dialect import Target
from tests.wire.anthropic_messages import WEATHER, call, calls, result
from tests.wire.chats import chat

TARGETS = {
    "anthropic": Target("claude-haiku-4-5", 90),
    "bedrock": Target("us.anthropic.claude-haiku-4-5", 90),
    "gemini": Target("gemini-2.5-flash", 90),
}
HISTORY = [
    {"role": "user", "content": "Write a poem."},
    {"role": "assistant", "content": "Roses are red,"},
]
EMPTY: list[tuple[str, Any]] = [
    *((dialect, content) for dialect in TARGETS for content in ("", None)),
    *((dialect, []) for dialect in TARGETS),
    ("anthropic", "  "),
    ("bedrock", "  "),  # Gemini takes blanks
]


def last_role(dialect: str, *messages: Any) -> str:
    request = chat(messages=messages, tools=[WEATHER])
    sent = json.loads(DIALECTS[dialect].encode(request, TARGETS[dialect], stream=False).body)
    return str((sent.get("messages") or sent["contents"])[-1]["role"])


@pytest.mark.parametrize(("dialect", "content"), EMPTY)
def test_an_answer_is_not_continued_for_an_empty_question(dialect: str, content: Any) -> None:
    empty = {"role": "user", "content": content}
    for after in ([], [{"role": "system", "content": "Be brief."}]):
        with pytest.raises(InvalidRequest) as caught:
            last_role(dialect, *HISTORY, empty, *after)
        assert caught.value.param == "messages[2].content"


@pytest.mark.parametrize("dialect", TARGETS)
def test_what_else_ends_in_an_answer_is_continued(dialect: str) -> None:
    empty = {"role": "user", "content": ""}
    answers = {"assistant", "model"}
    assert last_role(dialect, *HISTORY) in answers
    assert last_role(dialect, *HISTORY, {"role": "system", "content": "Be brief."}) in answers
    assert last_role(dialect, HISTORY[0], empty, HISTORY[1]) in answers


@pytest.mark.parametrize("dialect", TARGETS)
def test_an_empty_question_after_a_question_or_a_result_is_left_out(dialect: str) -> None:
    empty = {"role": "user", "content": ""}
    assert last_role(dialect, HISTORY[0], empty) == "user"
    history = [HISTORY[0], calls(call("call_1")), result("call_1", "")]
    assert last_role(dialect, *history) == "user"
    assert last_role(dialect, *history, empty) == "user"
