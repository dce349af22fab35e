"""Messages as turns: what stands together, what is told in words, what is marked for the cache."""

import json
import re
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import InvalidRequest
from gateway.wire import bedrock
from gateway.wire.dialect import Target
from tests.wire.bedrock_streams import CLAUDE, JSON, LLAMA, NOVA, PROPERTY, body, chat, turns

KIMI: Final = Target("moonshot.kimi-k2-thinking", 8_192)
CACHED: Final = {"type": "ephemeral"}
POINT: Final = {"cachePoint": {"type": "default"}}
TOOL: Final = {"type": "function", "function": {"name": "weather"}}
PIXEL: Final = "data:image/png;base64,iVBO"
IMAGE: Final = {"image": {"format": "png", "source": {"bytes": "iVBO"}}}


def user(content: Any = "Hi", **more: Any) -> JSON:
    return {"role": "user", "content": content, **more}


def call(id_: str = "c1", arguments: Any = "{}", **more: Any) -> JSON:
    function = {"name": "weather", "arguments": arguments}
    return {"id": id_, "type": "function", "function": function, **more}


def calls(*made: JSON, content: Any = None, **more: Any) -> JSON:
    return {"role": "assistant", "content": content, "tool_calls": list(made), **more}


def result(id_: str = "c1", content: Any = "sunny", **more: Any) -> JSON:
    return {"role": "tool", "tool_call_id": id_, "content": content, **more}


def text(said: str, **more: Any) -> JSON:
    return {"type": "text", "text": said, **more}


def used(id_: str = "c1", **arguments: Any) -> JSON:
    return {"toolUse": {"toolUseId": id_, "name": "weather", "input": arguments}}


def found(id_: str = "c1", *content: JSON, **more: Any) -> JSON:
    return {"toolResult": {"toolUseId": id_, "content": list(content or [SUNNY]), **more}}


SUNNY: Final = {"text": "sunny"}


def file(data: str, name: str | None = None) -> JSON:
    return {"type": "file", "file": {"file_data": data} | ({"filename": name} if name else {})}


def document(form: str, name: str, data: str = "QQ==") -> JSON:
    return {"document": {"name": name, "format": form, "source": {"bytes": data}}}


CONTENT: Final[list[tuple[Any, list[JSON]]]] = [
    ("Hi", [{"text": "Hi"}]),
    ([text("a"), text(" "), text("b")], [{"text": "a"}, {"text": "b"}]),
    ([text("a", cache_control=CACHED), text("b")], [{"text": "a"}, POINT, {"text": "b"}]),
    ([{"type": "image_url", "image_url": {"url": PIXEL}}], [IMAGE]),
    ([{"type": "image_url", "image_url": PIXEL}], [IMAGE]),
    ([{"guardContent": {"text": {"text": "a"}}}], [{"guardContent": {"text": {"text": "a"}}}]),
    ([text("a"), file("QQ==")], [{"text": "a"}, document("pdf", "Document 1")]),
    ([text("a"), file("data:text/csv;base64,QQ==", "C:\\x\\my_data.v2.csv")],
        [{"text": "a"}, document("csv", "my data v2")]),
    ([text("a"), file("QQ==", "a.pdf"), file("QQ==", "a.pdf"), file("QQ==")],
        [{"text": "a"}, document("pdf", "a"), document("pdf", "a (2)"),
         document("pdf", "Document 3")]),
    ([file("data:text/x-log;base64,QQ==", "häß/.txt")],
        [{"text": "See the document."}, document("txt", "txt")]),
    ([text("a"), file(PIXEL)], [{"text": "a"}, IMAGE]),
    ([text("a"), file("QQ==") | {"cache_control": CACHED}],
        [{"text": "a"}, document("pdf", "Document 1"), {"text": "\n"}, POINT]),
]  # fmt: skip


@pytest.mark.parametrize(("content", "blocks"), CONTENT)
def test_parts_become_blocks(content: Any, blocks: list[JSON]) -> None:
    assert turns(user(content)) == [{"role": "user", "content": blocks}]


TURNS: Final[dict[str, tuple[Target, list[JSON], list[tuple[str, list[JSON]]]]]] = {
    "one speaker has one turn": (
        CLAUDE,
        [user("a"), user("b"), {"role": "assistant", "content": ""}, user("c")],
        [("user", [{"text": "a"}, {"text": "b"}, {"text": "c"}])],
    ),
    "results stand together, before what the user says": (
        CLAUDE,
        [user("a"), calls(call(), call("c2", '{"city":"Rome"}')), result("c2"), result(), user()],
        [
            ("user", [{"text": "a"}]),
            ("assistant", [used(), used("c2", city="Rome")]),
            ("user", [found("c2"), found(), {"text": "Hi"}]),
        ],
    ),
    "text stands apart where it must": (
        LLAMA,
        [user("a"), calls(call(), content="Let me see."), result(), user("b")],
        [
            ("user", [{"text": "a"}]),
            ("assistant", [{"text": "Let me see."}]),
            ("user", [{"text": "Go on."}]),
            ("assistant", [used()]),
            ("user", [found()]),
            ("assistant", [{"text": "Noted."}]),
            ("user", [{"text": "b"}]),
        ],
    ),
    "a call alone needs no parting": (
        LLAMA,
        [user("a"), calls(call()), result()],
        [("user", [{"text": "a"}]), ("assistant", [used()]), ("user", [found()])],
    ),
    "results may be parts, empty, or failures": (
        NOVA,
        [
            user("a"),
            calls(call(), call("c2")),
            result(content=[text("x"), {"type": "image_url", "image_url": {"url": PIXEL}}]),
            result("c2", "", is_error=True),
        ],
        [
            ("user", [{"text": "a"}]),
            ("assistant", [used(), used("c2")]),
            ("user", [found("c1", {"text": "x"}, IMAGE),
                      found("c2", {"text": "(empty)"}, status="error")]),
        ],
    ),
    "a failure is not marked where it cannot be": (
        LLAMA,
        [user("a"), calls(call()), result(is_error=True)],
        [("user", [{"text": "a"}]), ("assistant", [used()]), ("user", [found()])],
    ),
    "marks for the cache follow what they mark": (
        CLAUDE,
        [
            user("a", cache_control=CACHED),
            calls(call(cache_control=CACHED)),
            result(content=[text("sunny", cache_control=CACHED)]),
            user("b"),
        ],
        [
            ("user", [{"text": "a"}, POINT]),
            ("assistant", [used(), POINT]),
            ("user", [found(), POINT, {"text": "b"}]),
        ],
    ),
    "marks are left out where nothing is cached": (
        LLAMA,
        [user([text("a", cache_control=CACHED), file("QQ==") | {"cache_control": CACHED}])],
        [("user", [{"text": "a"}, document("pdf", "Document 1")])],
    ),
    "an answer to be continued does not end in white space": (
        CLAUDE,
        [user("a"), {"role": "assistant", "content": "b \n"}],
        [("user", [{"text": "a"}]), ("assistant", [{"text": "b"}])],
    ),
    "a refusal was said, too": (
        CLAUDE,
        [user("a"), {"role": "assistant", "content": None, "refusal": "No."}, user("b")],
        [("user", [{"text": "a"}]), ("assistant", [{"text": "No."}]), ("user", [{"text": "b"}])],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TURNS)
def test_messages_become_turns(name: str) -> None:
    target, messages, expected = TURNS[name]
    made = turns(*messages, target=target, tools=[TOOL])
    assert [(turn["role"], turn["content"]) for turn in made] == expected


@pytest.mark.parametrize("fields", [{}, {"tools": [TOOL], "tool_choice": "none"}])
def test_without_tools_to_call_earlier_calls_are_told_in_words(fields: JSON) -> None:
    """Neither toolUse nor toolResult may be in a request without toolConfig."""
    messages = [
        user("a"),
        calls(call(arguments='{"n":1e400}')),
        result(),
        result("c9", is_error=True),
    ]
    sent = body(CLAUDE, messages=messages, **fields)
    assert "toolConfig" not in sent
    assert [block["text"] for turn in sent["messages"] for block in turn["content"]] == [
        "a",
        'I called the tool weather with {"n":1e400}',
        "The tool weather answered:",
        "sunny",
        "The tool  failed:",
        "sunny",
    ]


THOUGHT: Final = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
SEALED: Final = {"type": "redacted_thinking", "data": "EuoB"}
UNSIGNED: Final = {"type": "thinking", "thinking": "Hm."}


def test_thoughts_go_back_ahead_of_what_they_led_to() -> None:
    turn = calls(call(), content="So.", thinking_blocks=[THOUGHT, SEALED, UNSIGNED])
    _, answer, _ = turns(user(), turn, result(), tools=[TOOL])
    assert answer["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "RXVvQg=="}},
        {"text": "So."},
        used(),
    ]


@pytest.mark.parametrize(("thoughts", "thinks"), [([THOUGHT], True), ([], False)])
def test_thinking_goes_on_only_with_the_thoughts_of_the_last_call(
    thoughts: list[JSON], thinks: bool
) -> None:
    messages = [user(), calls(call(), thinking_blocks=thoughts), result()]
    sent = body(CLAUDE, messages=messages, tools=[TOOL], reasoning_effort="low")
    assert ("additionalModelRequestFields" in sent) is thinks


SYSTEM: Final[list[tuple[Target, list[JSON], list[JSON] | None]]] = [
    (CLAUDE, [user()], None),
    (CLAUDE, [{"role": "system", "content": "a"}, user(), {"role": "developer", "content": "b"}],
        [{"text": "a"}, {"text": "b"}]),
    (CLAUDE, [{"role": "system", "content": "a", "cache_control": CACHED}, user()],
        [{"text": "a"}, POINT]),
    (LLAMA, [{"role": "system", "content": "a", "cache_control": CACHED}, user()],
        [{"text": "a"}]),
]  # fmt: skip


@pytest.mark.parametrize(("target", "messages", "system"), SYSTEM)
def test_instructions_stand_by_themselves(
    target: Target, messages: list[JSON], system: list[JSON] | None
) -> None:
    assert body(target, messages=messages).get("system") == system


def test_instructions_alone_are_what_the_user_says() -> None:
    sent = body(messages=[{"role": "system", "content": "Sing."}])
    assert sent["messages"] == [{"role": "user", "content": [{"text": "Sing."}]}]
    assert "system" not in sent


IDS: Final = [
    (CLAUDE, "call_abc-1", False),
    (KIMI, "functions.weather:0", False),
    (CLAUDE, "functions.weather:0", True),
    (KIMI, "a b", True),
    (CLAUDE, "x" * 65, True),
]


@pytest.mark.parametrize(("target", "given", "replaced"), IDS)
def test_an_id_that_the_model_refuses_is_replaced_in_call_and_result(
    target: Target, given: str, replaced: bool
) -> None:
    _, asked, told = turns(user(), calls(call(given)), result(given), target=target, tools=[TOOL])
    made = asked["content"][0]["toolUse"]["toolUseId"]
    assert made == told["content"][0]["toolResult"]["toolUseId"]
    assert re.fullmatch(r"tooluse_[0-9a-f]{22}" if replaced else re.escape(given), made)


REFUSED: Final[list[tuple[list[Any], str]]] = [
    ([], "messages"),
    ([user(" ")], "messages"),
    ([5], "messages[0].role"),
    ([{"role": "cook", "content": ""}], "messages[0].role"),
    ([{"role": "assistant", "content": "a"}, user()], "messages[0].role"),
    ([user(5)], "messages[0].content"),
    ([user([5])], "messages[0].content[0]"),
    ([user([{"type": "input_audio"}])], "messages[0].content[0]"),
    ([user([{"type": "text"}])], "messages[0].content[0].text"),
    ([user([{"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}])],
        "messages[0].content[0].image_url.url"),
    ([user([{"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA"}}])],
        "messages[0].content[0].image_url.url"),
    ([user([{"type": "file", "file": {"file_id": "file-1"}}])],
        "messages[0].content[0].file.file_id"),
    ([user([{"type": "file", "file": 5}])], "messages[0].content[0].file"),
    ([user([file("data:video/mp4;base64,AA")])], "messages[0].content[0].file.file_data"),
    ([user([{"toolUse": {}}])], "messages[0].content[0]"),
    ([user(), calls({"id": "a"})], "messages[1].tool_calls[0]"),
    ([user(), calls(call(""))], "messages[1].tool_calls[0].id"),
    ([user(), calls(call(arguments="[1]"))], "messages[1].tool_calls[0].function.arguments"),
    ([user(), calls(call(arguments="{"))], "messages[1].tool_calls[0].function.arguments"),
    ([user(), calls(call()), {"role": "tool", "content": "a"}], "messages[2].tool_call_id"),
    ([user(), calls(call()), result(content=[{"guardContent": {}}])], "messages[2].content"),
    ([user(), {"role": "assistant", "audio": {"id": "a"}}], "messages[1].audio"),
    ([user(), calls(thinking_blocks=[5])], "messages[1].thinking_blocks"),
    ([user(), calls(thinking_blocks=[{"type": "redacted_thinking"}])],
        "messages[1].thinking_blocks"),
    ([{"role": "system", "content": [IMAGE]}, user()], "messages[0].content"),
]  # fmt: skip


@pytest.mark.parametrize(("messages", "param"), REFUSED)
def test_what_cannot_be_said_is_refused_by_place(messages: list[Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        body(messages=messages, tools=[TOOL])
    assert refused.value.param == param


NUMBERS: Final = ["1e400", "0.1000", "12345678901234567890123", "-0", "1E+2"]
ARGUMENTS: Final = st.dictionaries(
    st.text(max_size=4), st.sampled_from(NUMBERS) | st.text(max_size=4).map(json.dumps), max_size=4
).map(lambda fields: "{" + ", ".join(f"{json.dumps(k)}: {v}" for k, v in fields.items()) + "}")


@PROPERTY
@given(ARGUMENTS)
def test_arguments_are_sent_as_they_were_written(arguments: str) -> None:
    messages = [user(), calls(call(arguments=arguments)), result()]
    sent = bedrock.encode(chat(messages=messages, tools=[TOOL]), CLAUDE, stream=False)
    assert f'"input":{arguments}'.encode() in sent.body


@pytest.mark.parametrize("nothing", ["", " ", "null", '""', None])
def test_no_arguments_are_an_empty_object(nothing: str | None) -> None:
    _, asked, _ = turns(user(), calls(call(arguments=nothing)), result(), tools=[TOOL])
    assert asked["content"] == [used()]
