"""An image is sent as what it is, not as what its data: URL says: Claude refuses it otherwise."""

import json
from base64 import b64encode
from typing import Any

import pytest

from gateway.wire import DIALECTS
from gateway.wire.dialect import Target
from tests.wire.chats import chat

IMAGES = {
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01",
    "gif": b"GIF89a\x01\x00\x01\x00",
    "webp": b"RIFF\x1a\x07\xfe\xffWEBPVP8L",
}


def sent(dialect: str, declared: str, data: bytes, *, file: bool = False) -> Any:
    url = f"data:image/{declared};base64,{b64encode(data).decode()}"
    part: dict[str, Any] = {"type": "image_url", "image_url": {"url": url}}
    if file:
        part = {"type": "file", "file": {"filename": "a", "file_data": url}}
    request = chat(messages=[{"role": "user", "content": [part]}])
    target = Target("us.anthropic.claude-opus-4-8", 90)
    body = json.loads(DIALECTS[dialect].encode(request, target, stream=False).body)
    block = body["messages"][0]["content"][0]
    return block["image"]["format"] if dialect == "bedrock" else block["source"]["media_type"]


@pytest.mark.parametrize("declared", ["png", "jpg", "webp"])
@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_has_the_type_of_its_bytes(kind: str, declared: str) -> None:
    for file in (False, True):
        assert sent("anthropic", declared, IMAGES[kind], file=file) == f"image/{kind}"
        assert sent("bedrock", declared, IMAGES[kind], file=file) == kind


def test_bytes_that_are_unknown_are_of_the_declared_type() -> None:
    for data in (b"", b"\x00\x01\x02\x03", b"RIFF\x1a\x07\x00\x00WAVEfmt "):
        assert sent("anthropic", "jpg", data) == "image/jpeg"
        assert sent("bedrock", "gif", data) == "gif"
