"""Messages as turns: what stands together, what is marked for the cache."""

from typing import Any, Final

import pytest

from gateway.core.errors import InvalidRequest
from gateway.wire.dialect import Target
from tests.wire.bedrock_messages import (
    CACHED,
    IMAGE,
    PIXEL,
    POINT,
    TOOL,
    call,
    calls,
    document,
    file,
    found,
    result,
    text,
    used,
    user,
)
from tests.wire.bedrock_streams import CLAUDE, JSON, LLAMA, NOVA, body, turns

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
    "files in bare base64 are what their names say": (
        CLAUDE,
        [user([text("a"), file("QQ==", "a.docx"), file("QQ==", "b.csv"), file("QQ==", "c.png")])],
        [
            (
                "user",
                [
                    {"text": "a"},
                    document("docx", "a"),
                    document("csv", "b"),
                    {"image": {"format": "png", "source": {"bytes": "QQ=="}}},
                ],
            )
        ],
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


FILE: Final = {"s3Location": {"uri": "s3://bucket/a", "bucketOwner": "111122223333"}}
READS: Final = Target(CLAUDE.upstream, CLAUDE.max_output, frozenset({"s3_uris"}))


@pytest.mark.parametrize("kind", ["audio", "document", "image", "video"])
def test_a_file_in_s3_is_not_read_for_a_tenant_unless_its_provider_may(kind: str) -> None:
    """AWS would read it with our own rights."""
    part = {kind: {"name": "a", "format": "x", "source": FILE}}
    said = user([text("a"), part])
    with pytest.raises(InvalidRequest, match="reads no file in S3") as refused:
        turns(said)
    assert refused.value.param == f"messages[0].content[1].{kind}.source.s3Location"
    assert turns(said, target=READS)[0]["content"][1] == part


def test_nor_is_one_in_a_result_or_in_fields_of_the_models_own() -> None:
    part = {"image": {"format": "png", "source": FILE}}
    for asked, place in (
        ({"messages": [user(), calls(call()), result(content=[part])], "tools": [TOOL]},
         "messages[2].content[0].image.source.s3Location"),
        ({"additionalModelRequestFields": {"mediaSource": FILE}},
         "additionalModelRequestFields.mediaSource.s3Location"),
    ):  # fmt: skip
        with pytest.raises(InvalidRequest) as refused:
            body(**asked)
        assert refused.value.param == place
        body(READS, **asked)
