"""Pictures that Gemini drew: what is given of them, and what is sent again."""

import json
from typing import Any

import pytest

from gateway.wire import DIALECTS, gemini
from gateway.wire.dialect import Target
from tests.wire.chats import assembled, chat
from tests.wire.gemini_answers import JSON, answer, as_sse, candidate, contents, read, user

DRAWS = Target("gemini-3-pro-image", 8_192)
SECOND = Target("gemini-2.5-flash-image", 8_192)
PART = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
URL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
TEXT = {"text": "Here.", "thoughtSignature": "dGV4dA=="}
SIGNED = PART | {"thoughtSignature": "cGljdHVyZQ=="}


def message(*parts: JSON, stream: bool) -> dict[str, Any]:
    """What a client has of an answer of these parts, and sends back."""
    said = answer(candidate(*parts))
    if stream:
        choice = assembled(read([as_sse(said)])).first
    else:
        choice = gemini.decode(200, {}, json.dumps(said).encode(), DRAWS).first
    extra = {name: json.loads(bytes(raw)) for name, raw in choice.extra.items()}
    return {"role": "assistant", "content": choice.text, **extra}


@pytest.mark.parametrize("stream", [False, True])
def test_pictures_go_back_as_they_came(stream: bool) -> None:
    """They did not, so that none could be changed. The signature of the last stood for the text's,
    and one without its own is refused with 400 (langchain-ai/langchain-google#1431).
    """
    made = message(TEXT, SIGNED, SIGNED, stream=stream)
    signed = URL | {"extra_content": {"google": {"thought_signature": "cGljdHVyZQ=="}}}
    assert made["images"] == [signed, signed]
    assert made["extra_content"] == {"google": {"thought_signature": "dGV4dA=="}}
    sent = contents(user("a cat"), made, user("make it blue"), target=DRAWS)
    assert sent[1] == {"role": "model", "parts": [TEXT, SIGNED, SIGNED]}


def test_a_picture_alone_is_an_answer() -> None:
    made = message(SIGNED, stream=False)
    assert (made["content"], "extra_content" in made) == (None, False)
    assert contents(user(), made, user(), target=DRAWS)[1]["parts"] == [SIGNED]


@pytest.mark.parametrize(
    ("target", "image", "parts"),
    [
        (SECOND, URL, [PART]),  # which signs none
        (DRAWS, URL, []),  # as of another provider: refused
        (Target("gemini-3.1-pro", 9), URL | {"extra_content": {}}, []),
        (Target("gemini-2.5-flash", 9), URL, []),
    ],
)
def test_who_takes_none_is_sent_none(target: Target, image: JSON, parts: list[JSON]) -> None:
    made = {"role": "assistant", "content": "Here.", "images": [image]}
    sent = contents(user(), made, user(), target=target)
    assert sent[1]["parts"] == [{"text": "Here."}, *parts]


@pytest.mark.parametrize("dialect", ["anthropic", "bedrock", "ollama", "openai"])
def test_other_formats_have_no_place_for_them(dialect: str) -> None:
    made = message(TEXT, SIGNED, stream=False)
    call = DIALECTS[dialect].encode(
        chat(messages=[user(), made, user()]), Target("m", 9), stream=False
    )
    assert b"aGk=" not in call.body
