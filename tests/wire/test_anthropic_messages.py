"""Messages and their parts as turns and blocks: values in, values out."""

import time
from typing import Any, Final

import pytest

from gateway.wire.anthropic.messages import conversation
from tests.wire.anthropic_messages import (
    CACHED,
    JSON,
    SEALED,
    THOUGHT,
    WEATHER,
    call,
    calls,
    found,
    result,
    said,
    used,
    user,
)
from tests.wire.anthropic_streams import body, turns

TURNS: Final[dict[str, tuple[list[JSON], list[JSON]]]] = {
    "same role, one turn": (
        [user("a"), user("b"), {"role": "assistant", "content": "c"}],
        [
            {"role": "user", "content": [said("a"), said("b")]},
            {"role": "assistant", "content": [said("c")]},
        ],
    ),
    "tool results make one user turn": (
        [user(), calls(call("c1"), call("c2")), result("c1"), result("c2"), user("and?")],
        [
            {"role": "user", "content": [said("Hi")]},
            {"role": "assistant", "content": [used("c1"), used("c2")]},
            {"role": "user", "content": [found("c1"), found("c2"), said("and?")]},
        ],
    ),
    "tool results come first, also after text": (
        [user(), calls(call()), user("wait"), result()],
        [
            {"role": "user", "content": [said("Hi")]},
            {"role": "assistant", "content": [used()]},
            {"role": "user", "content": [found(), said("wait")]},
        ],
    ),
    "empty and white text is never sent": (
        [
            user([said(""), said(" \n"), said("x")]),
            {"role": "assistant", "content": "  "},
            user("\t"),
            user("y"),
        ],
        [{"role": "user", "content": [said("x"), said("y")]}],
    ),
    "text before a call, empty text beside it": (
        [user(), calls(call(), content="Let me see"), result(), calls(call("c2"), content="")],
        [
            {"role": "user", "content": [said("Hi")]},
            {"role": "assistant", "content": [said("Let me see"), used()]},
            {"role": "user", "content": [found()]},
            {"role": "assistant", "content": [used("c2")]},
        ],
    ),
    "thinking comes back as it went, first": (
        [user(), calls(call(), content="So", thinking_blocks=[THOUGHT, SEALED]), result()],
        [
            {"role": "user", "content": [said("Hi")]},
            {"role": "assistant", "content": [THOUGHT, SEALED, said("So"), used()]},
            {"role": "user", "content": [found()]},
        ],
    ),
    "a signature without thoughts is kept, thoughts without a signature are not": (
        [
            user(),
            calls(
                call(),
                reasoning_content="Hm.",
                thinking_blocks=[
                    {"type": "thinking", "thinking": "", "signature": "c2ln"},
                    {"type": "thinking", "thinking": "unsigned", "signature": ""},
                ],
            ),
            result(),
        ],
        [
            {"role": "user", "content": [said("Hi")]},
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "", "signature": "c2ln"}, used()],
            },
            {"role": "user", "content": [found()]},
        ],
    ),
    "refusals are words": (
        [
            user(),
            {"role": "assistant", "content": None, "refusal": "No."},
            user(),
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "Never."}]},
            user(),
        ],
        [
            {"role": "user", "content": [said("Hi")]},
            {"role": "assistant", "content": [said("No.")]},
            {"role": "user", "content": [said("Hi")]},
            {"role": "assistant", "content": [said("Never.")]},
            {"role": "user", "content": [said("Hi")]},
        ],
    ),
    "results as parts, empty, failed": (
        [
            user(),
            calls(call("c1"), call("c2"), call("c3")),
            result("c1", [said("a"), said("")]),
            result("c2", ""),
            result("c3", "boom", is_error=True),
        ],
        [
            {"role": "user", "content": [said("Hi")]},
            {"role": "assistant", "content": [used("c1"), used("c2"), used("c3")]},
            {
                "role": "user",
                "content": [
                    found("c1", [said("a")]),
                    {"type": "tool_result", "tool_use_id": "c2"},
                    found("c3", "boom", is_error=True),
                ],
            },
        ],
    ),
    "cache marks stay where they were put": (
        [
            user([said("a", cache_control=CACHED), said("b")]),
            calls(call(), cache_control=CACHED),
            result(cache_control=CACHED),
            user("c", cache_control=CACHED),
        ],
        [
            {"role": "user", "content": [said("a", cache_control=CACHED), said("b")]},
            {"role": "assistant", "content": [{**used(), "cache_control": CACHED}]},
            {
                "role": "user",
                "content": [found(cache_control=CACHED), said("c", cache_control=CACHED)],
            },
        ],
    ),
    "instructions alone are asked": (
        [{"role": "system", "content": "Sing."}],
        [{"role": "user", "content": [said("Sing.")]}],
    ),
    "an answer to go on with ends in no white space": (
        [user(), {"role": "assistant", "content": "So: \n"}],
        [
            {"role": "user", "content": [said("Hi")]},
            {"role": "assistant", "content": [said("So:")]},
        ],
    ),
}


@pytest.mark.parametrize("case", TURNS)
def test_turns(case: str) -> None:
    messages, expected = TURNS[case]
    assert turns(*messages, tools=[WEATHER]) == expected


SYSTEM: Final[dict[str, tuple[list[JSON], Any]]] = {
    "none": ([user()], None),
    "both roles, in order, wherever they stand": (
        [{"role": "system", "content": "a"}, user(), {"role": "developer", "content": "b"}],
        "a\n\nb",
    ),
    "parts": ([{"role": "system", "content": [said("a"), said(" ")]}, user()], "a"),
    "white": ([{"role": "system", "content": " "}, user()], None),
    "marked part": (
        [{"role": "system", "content": [said("a", cache_control=CACHED), said("b")]}, user()],
        [said("a", cache_control=CACHED), said("b")],
    ),
    "marked message": (
        [{"role": "system", "content": "a", "cache_control": CACHED}, user()],
        [said("a", cache_control=CACHED)],
    ),
}


@pytest.mark.parametrize("case", SYSTEM)
def test_system(case: str) -> None:
    messages, expected = SYSTEM[case]
    assert body(messages=messages).get("system") == expected


PNG: Final = "data:image/png;base64,iVBORw0KGgo="
PDF: Final = "data:application/pdf;base64,JVBERi0="
PARTS: Final[dict[str, tuple[JSON, JSON]]] = {
    "inline image": (
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
        },
    ),
    "jpg is jpeg": (
        {"type": "image_url", "image_url": {"url": "data:image/JPG;base64,/9g="}},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9g="},
        },
    ),
    "image by address, marked": (
        {
            "type": "image_url",
            "image_url": {"url": "https://example.com/a.png"},
            "cache_control": CACHED,
        },
        {
            "type": "image",
            "source": {"type": "url", "url": "https://example.com/a.png"},
            "cache_control": CACHED,
        },
    ),
    "PDF": (
        {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            "title": "a.pdf",
        },
    ),
    "PDF in bare base64": (
        {"type": "file", "file": {"file_data": "JVBERi0="}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
        },
    ),
    "text in bare base64, by its name": (
        {"type": "file", "file": {"file_data": "w6k=", "filename": "a.txt"}},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "é"},
            "title": "a.txt",
        },
    ),
    "image in bare base64, by its name": (
        {"type": "file", "file": {"file_data": "iVBORw0KGgo=", "filename": "a.PNG"}},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
        },
    ),
    "plain text": (
        {"type": "file", "file": {"file_data": "data:text/markdown;base64,w6k="}},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "é"},
        },
    ),
    "uploaded to Anthropic": (
        {"type": "file", "file": {"file_id": "file_011C"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_011C"}},
    ),
    "Anthropic's own block": (
        {"type": "container_upload", "file_id": "file_1"},
        {"type": "container_upload", "file_id": "file_1"},
    ),
}


@pytest.mark.parametrize("case", PARTS)
def test_parts(case: str) -> None:
    part, expected = PARTS[case]
    assert turns(user([part])) == [{"role": "user", "content": [expected]}]


def test_many_messages_of_the_user_make_one_turn_in_little_time() -> None:
    """100,000 took minutes, in which a worker does nothing else."""
    started = time.process_time()
    (turn,) = conversation([{"role": "user", "content": "x"}] * 20_000).turns
    assert time.process_time() - started < 2
    assert len(turn.content) == 20_000
