"""Tokens without a tokenizer: what is charged where nobody says, and what is held."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import media, tokens
from gateway.core.chat import ChatRequest, Choice, ToolCall
from tests.core.asked import request, user

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}}
SOUND = {"type": "input_audio", "input_audio": {"data": "A" * 400_000, "format": "wav"}}
FILE = {"type": "file", "file": {"file_data": "A" * 400_000, "filename": "a.pdf"}}


def bound_of(asked: ChatRequest) -> tokens.Bound:
    messages = bytes(asked.fields["messages"])
    return tokens.bound(asked, messages, media.media_of(asked, messages))


def bound(asked: ChatRequest) -> int:
    return bound_of(asked).tokens


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (1, 1), (4, 1), (5, 2), (400, 100)])
def test_four_bytes_are_a_token(size: int, expected: int) -> None:
    assert tokens.count(size) == expected


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], 0),
        (user("x" * 40), 10),
        (user("é" * 20), 10),
        (user([{"type": "text", "text": "x" * 39}, PICTURE, {"type": "text", "text": "y"}]), 10),
        ([*user("x" * 20), {"role": "assistant", "content": "y" * 20}], 10),
        ([{"role": "assistant", "content": None, "tool_calls": []}], 0),
        (user([{"type": "text", "text": 5}, 5, None]), 0),
        (["no message", 5], 0),
        ("no list", 0),
    ],
)
def test_the_text_of_messages_is_counted(messages: Any, expected: int) -> None:
    assert tokens.count_prompt(request(messages)) == expected


CALLED = {"role": "assistant", "content": None, "tool_calls": [{"id": "x" * 29}]}


@pytest.mark.parametrize(
    ("messages", "beside", "expected"),
    [
        (user("x" * 40), {}, 10),
        (user([{"type": "text", "text": "x" * 40}, PICTURE]), {}, 10 + 1_600),
        (user([FILE]), {}, 25_000),
        ([*user("x" * 40), CALLED], {}, 10 + 10),
        (user("x" * 40), {"tools": ["x" * 36], "response_format": {"x" * 34: 1}}, 10 + 10 + 10),
    ],
)
def test_what_is_paid_for_when_nobody_says(
    messages: Any, beside: dict[str, Any], expected: int
) -> None:
    """Not only the text: who sends much else and hangs up would pay for nothing."""
    assert tokens.count_input(request(messages, **beside)) == expected


def test_an_answer_is_its_text_its_thoughts_and_its_calls() -> None:
    call = ToolCall("c", "f", "a" * 4)
    first = Choice(0, "x" * 4, (call, call), refusal="y" * 4, reasoning="z" * 4)
    assert tokens.count_answer([first, Choice(1, "é" * 2)]) == 6
    assert tokens.count_answer([]) == 0


@given(st.lists(st.text(max_size=200), max_size=20))
def test_what_is_held_covers_what_is_counted(texts: list[str]) -> None:
    asked = request([message for text in texts for message in user(text)])
    assert bound(asked) >= tokens.count_input(asked) >= tokens.count_prompt(asked)


@pytest.mark.parametrize(
    "beside",
    [
        {"tools": [{"x": "a" * 4_000}]},
        {"functions": [{"x": "a" * 4_000}]},
        {"response_format": {"x": "a" * 4_000}},
    ],
)
def test_what_goes_beside_the_messages_is_held_for(beside: dict[str, Any]) -> None:
    assert bound(request(user("hi"), **beside)) - bound(request(user("hi"))) >= 1_000


@pytest.mark.parametrize(
    ("part", "each"),
    [(PICTURE, tokens.IMAGE_TOKENS), (SOUND, 3_200), (FILE, 25_000)],
    ids=["image", "audio", "file"],
)
def test_media_are_not_held_for_as_text(part: Any, each: int) -> None:
    one, two = bound(request(user([part]))), bound(request(user([part, part])))
    assert each <= two - one < each + 100


@pytest.mark.parametrize(
    "hidden",
    [
        {"role": "assistant", "tool_calls": [{"function": {"arguments": "x" * 40_000}}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "x" * 40_000}]},
        {"role": "assistant", "reasoning_content": "x" * 40_000, "content": ""},
        {"role": "user", "content": [{"type": "text", "text": "x" * 40_000}]},
        {"role": "user", "content": "x" * 40_000},
        {"role": "user", "content": [{"type": "other", "other": {"text": "x" * 40_000}}]},
    ],
)  # fmt: skip
def test_no_text_hides_behind_a_picture(hidden: Any) -> None:
    assert bound(request([hidden, *user([PICTURE])])) >= 10_000


@pytest.mark.parametrize(
    ("part", "size", "each"),
    [
        ({"type": "input_audio", "input_audio": {"format": "mp3"}}, 1_000_000, 8_000),
        ({"type": "file", "file": {"filename": "a.pdf"}}, 1_000_000, 62_500),
        ({"type": "image_url", "image_url": {}}, 1_000_000, tokens.IMAGE_TOKENS),
    ],
)
def test_long_recordings_and_documents_are_held_for(
    part: dict[str, Any], size: int, each: int
) -> None:
    field = {"input_audio": "data", "file": "file_data", "image_url": "url"}[part["type"]]
    whole = {"type": part["type"], part["type"]: {**part[part["type"]], field: "x" * size}}
    one, two = bound(request(user([whole]))), bound(request(user([whole, whole])))
    assert each <= two - one < each + 100


@pytest.mark.parametrize(
    ("upstream", "most"),
    [
        ("gpt-4o-mini", 48_169),
        ("openai/gpt-4o-mini-2024-07-18", 48_169),
        ("gpt-4o", 3_779),
        ("gpt-5-nano", 3_779),
        ("gpt-5.2", 3_779),
        ("gpt-5.4-nano", 3_779),
        ("gpt-5.4", 12_000),
        ("openai/gpt-5.5-2026-01-01", 12_000),
        ("gpt-5.6-luna", 36_000),
        ("gpt-6-astra", 36_000),
        ("Qwen/Qwen2.5-VL-72B-Instruct", 16_386),
        ("qwen.qwen3-vl-235b-a22b", 16_386),
        ("o3", 3_779),
        ("eu.anthropic.claude-opus-4-7-v1:0", 5_000),
        ("gemini-2.5-flash", 6_404),
        ("llama-o3-large", 6_404),
    ],
)
def test_the_most_that_an_image_is_billed_at(upstream: str, most: int) -> None:
    assert tokens.image_tokens(upstream) == most


def test_an_image_is_counted_at_what_its_model_takes_for_one() -> None:
    asked = request(user([PICTURE, PICTURE, SOUND]))
    more = tokens.count_input(asked, 5_000) - tokens.count_input(asked)
    assert more == 2 * (5_000 - tokens.IMAGE_TOKENS)
    found = bound_of(asked)
    assert (found.media, found.images, found.audio) == (3, 2, 3_200)


@pytest.mark.parametrize(
    ("content", "audio"),
    [
        ("hello", 0),
        ('they say "input_audio"', 0),
        ([PICTURE, FILE], 0),
        ([SOUND], 3_200),
        ([{**SOUND, "input_audio": {"data": "A", "format": "mp3"}}, PICTURE], 1_600),
        ([SOUND, PICTURE, SOUND], 6_400),
    ],
)
def test_what_of_it_is_sound(content: Any, audio: int) -> None:
    asked = request(user(content))
    assert tokens.count_audio(asked) == audio
    assert bound_of(asked).audio == audio


LONG = "A" * 400_000
PNG = {"type": "base64", "media_type": "image/png", "data": LONG}
PDF = {"type": "base64", "media_type": "application/pdf", "data": LONG}


@pytest.mark.parametrize(
    ("part", "beside", "needs", "images"),
    [
        (PICTURE, 1_600, "vision", 1),
        ({"type": "image_url", "image_url": {"url": "https://x/a.pdf"}}, 1_600, "vision", 1),
        # What comes as an image may be a document, or a film.
        ({"type": "image_url", "image_url": {"url": f"data:application/pdf;base64,{LONG}"}},
         25_001, "vision", 0),
        ({"type": "image_url", "image_url": {"url": f"DATA:video/mp4;base64,{LONG}"}},
         25_001, "vision", 0),
        (FILE, 25_000, "files", 0),
        ({"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{LONG}"}},
         25_001, "vision", 0),
        ({"type": "video_url", "video_url": {"url": "https://x/a.mp4"}}, 1_600, "vision", 0),
        ({"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{LONG}"}},
         3_200, "audio", 0),
        # Claude's own
        ({"type": "image", "source": PNG}, 1_600, "vision", 1),
        ({"type": "image", "source": {"type": "url", "url": "https://x/a.png"}}, 1_600, "vision",
         1),
        ({"type": "document", "source": PDF}, 25_001, "files", 0),
        ({"type": "document", "source": {"type": "file", "file_id": "file_1"}}, 1_600, "files", 0),
        # A URL without an object around it
        ({"type": "image_url", "image_url": f"data:image/png;base64,{LONG}"}, 1_600, "vision", 1),
        ({"type": "image_url", "image_url": f"data:application/pdf;base64,{LONG}"}, 25_001,
         "vision", 0),
    ],
)  # fmt: skip
def test_media_are_told_by_what_they_are(
    part: dict[str, Any], beside: int, needs: str, images: int
) -> None:
    asked = request(user([{"type": "text", "text": "hi"}, part]))
    found = bound_of(asked)
    assert (found.media, found.images) == (1, images)
    assert found.beside == pytest.approx(100 + beside, abs=2)
    assert found.counted < 100, "its bytes are no text"
    assert tokens.count_input(asked) == pytest.approx(beside, abs=3)
    assert found.audio == tokens.count_audio(asked) == (found.beside - 100) * (needs == "audio")
    assert media.needs_of(media.media_of(asked, bytes(asked.fields["messages"]))) == {needs}


@pytest.mark.parametrize(
    ("kind", "beside", "images"),
    [("image", 1_600, 1), ("document", 25_000, 0), ("audio", 3_200, 0)],
)
def test_blocks_of_converse_are_no_text(kind: str, beside: int, images: int) -> None:
    """A picture of 300 kB was held as 130,000 tokens: most models had no room for it."""
    block = {kind: {"format": "x", "source": {"bytes": LONG}}}
    asked = request(user([block, {"text": "hi"}]))
    found = bound_of(asked)
    assert (found.media, found.images, found.beside) == (1, images, 100 + beside)
    assert found.counted < 100
    assert tokens.count_input(asked) == beside + 1
    assert found.audio == tokens.count_audio(asked) == beside * (kind == "audio")
    assert tokens.text_of(asked) == ('\n{"text":"hi"}', 1)


def test_pictures_of_an_earlier_answer_are_no_text() -> None:
    """A chat that had drawn one was held as if it were hundreds of thousands of tokens of text."""
    drawn = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{LONG}"}}
    answer = {"role": "assistant", "content": "Here.", "images": [drawn, drawn]}
    asked = request([*user("a cat"), answer, *user("make it blue")])
    found = bound_of(asked)
    assert (found.media, found.images, found.beside) == (2, 2, 100 + 3_200)
    assert found.counted < 200
    assert media.needs_of(media.media_of(asked, bytes(asked.fields["messages"]))) == set()
    assert tokens.count_input(asked) < 10, "most models are not sent them"
    assert tokens.text_of(asked) == ("a cat\nHere.\nmake it blue", 3)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": LONG}},
        {"type": "document", "source": {"type": "content", "content": [{"text": LONG}]}},
        {"type": "text", "text": LONG, "name": "file"},
        {"type": "text", "text": LONG, "source": "image"},
        {"type": ["image"], "text": LONG},
    ],
)
def test_what_is_text_is_counted_as_such(part: dict[str, Any]) -> None:
    found = bound_of(request(user([part])))
    assert (found.media, found.beside) == (0, 100)
    assert found.counted == pytest.approx(100_000, rel=0.01)


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ({"type": "text", "text": "hi", "cache_control": {}}, "hi"),
        (PICTURE, ""),
        (FILE, ""),
        ({"type": "refusal", "refusal": "I will not"}, '{"type":"refusal","refusal":"I will not"}'),
        ({"type": "other", "text": "a", "more": "b"}, '{"type":"other","text":"a","more":"b"}'),
    ],
)
def test_an_exact_count_reads_all_that_is_no_media(part: dict[str, Any], text: str) -> None:
    """What it leaves out is not held, and is billed."""
    assert tokens.text_of(request(user([part]))) == (text, 1)
