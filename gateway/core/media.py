"""Media in messages: images, sound, documents and films, in all forms: OpenAI's parts, Claude's own
`image` and `document`, blocks of Converse, and the `images` of an earlier answer, which are sent to
few models again.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.core.chat import ChatRequest

_NEEDS: Final[Mapping[str, str]] = {
    "image_url": "vision", "input_audio": "audio", "file": "files",
    "video_url": "vision", "audio_url": "audio", "image": "vision", "document": "files",
}  # fmt: skip
"""What a model needs for a part of this type. `video_url` is Gemini's, and vLLM's, as `audio_url`;
the last two are Claude's own.
"""
_CLAUDES: Final = ("image", "document")
_NO_TEXT: Final = ("base64", "file", "url")
_BLOCKS: Final[Mapping[str, str]] = {
    "image": "vision", "audio": "audio", "document": "files", "video": "files",
}  # fmt: skip
"""By what the blocks of Converse are billed. They have one field, and no type."""
_MARKS: Final = (b'_url"', b'"image"', b'"input_audio"', b'"file"', b'"document"', b'"bytes"')
"""Where none of these is, there are no media."""
_BYTES: Final = b'"bytes"'
TYPED: Final = b'"type"'
"""Whatever is not plain text has a type, except for blocks of Converse: one search for this spares
the searches for each mark."""
_ANSWERED: Final = "images"
_FRAME: Final = ("role", "content")


class Medium(Struct, frozen=True, gc=False):
    """One of them: `kind` is what it is billed as, `vision`, `audio` or `files`; `size` is its
    bytes; `need` is what a model must be able to read, if the request is not understood without.
    """

    kind: str
    size: int
    need: str | None = None


def media_of(request: ChatRequest, messages: bytes) -> list[Medium]:
    """Those of its messages. `messages` is that field's undecoded JSON."""
    if (TYPED in messages or _BYTES in messages) and any(mark in messages for mark in _MARKS):
        decoded = request.json("messages")
        drawn = [medium for message in decoded for medium in _drawn(message)]
        return media_in(decoded) + drawn
    return []


def media_in(messages: Any) -> list[Medium]:
    """Those of decoded messages' contents."""
    return [medium for message in messages for medium in _media_of_message(message)]


def needs_of(media: Iterable[Medium]) -> set[str]:
    """What a model must be able to read for these."""
    return {medium.need for medium in media if medium.need is not None}


def medium_of(part: Mapping[str, Any]) -> Medium | None:
    """A part of a content as a medium; None for any other."""
    name = part.get("type")
    if name is None and len(part) == 1:
        return _block(part)
    if not isinstance(name, str) or name not in _NEEDS:
        return None
    content = part.get("source" if name in _CLAUDES else name)
    if name in _CLAUDES and not (isinstance(content, Mapping) and content.get("type") in _NO_TEXT):
        return None  # a document in words, or of parts
    return Medium(_billed_as(name, content), _size(content), _NEEDS[name])


def beside_media(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message's fields that are neither its content nor pictures of an earlier answer."""
    drawn = any(True for _ in _drawn(message))
    return {
        name: value
        for name, value in message.items()
        if name not in _FRAME and not (drawn and name == _ANSWERED)
    }


def _media_of_message(message: Any) -> Iterator[Medium]:
    if not isinstance(message, Mapping):
        return
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        medium = medium_of(part) if isinstance(part, Mapping) else None
        if medium is not None:
            yield medium


def _drawn(message: Any) -> Iterator[Medium]:
    """The pictures of an earlier answer, as we and OpenRouter give them."""
    images = message.get(_ANSWERED) if isinstance(message, Mapping) else None
    for part in images if isinstance(images, list) else ():
        if isinstance(part, Mapping) and part.get("type") == "image_url":
            yield Medium("vision", _size(part.get("image_url")))


def _block(part: Mapping[str, Any]) -> Medium | None:
    [(name, block)] = part.items()
    source = block.get("source") if isinstance(block, Mapping) else None
    data = source.get("bytes") if isinstance(source, Mapping) else None
    kind = _BLOCKS.get(name)
    return Medium(kind, len(data)) if kind is not None and isinstance(data, str) else None


def _billed_as(name: str, content: Any) -> str:
    """What comes as an image may be a document or a film."""
    if name == "image_url":
        url = content.get("url") if isinstance(content, Mapping) else content
        start = url[:11].lower() if isinstance(url, str) else ""
        return "files" if start.startswith("data:") and start != "data:image/" else "vision"
    return "files" if name == "video_url" else _NEEDS[name]


def _size(content: Any) -> int:
    """Bytes of a part that are an image, audio or a file, and no text."""
    values = content.values() if isinstance(content, Mapping) else [content]
    return sum(len(value) for value in values if isinstance(value, str))
