"""One part of an OpenAI message's content to one content block."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest
from gateway.wire import parts
from gateway.wire.media import guess
from gateway.wire.parts import Block, Write, string

_IMAGES: Final[Mapping[str, str]] = {
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/png": "image/png",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}
_PDF: Final = "application/pdf"
_NATIVE: Final = frozenset({
    "advisor_tool_result", "bash_code_execution_tool_result", "browser_state",
    "code_execution_tool_result", "compaction", "container_upload", "document", "image",
    "mcp_tool_result", "mcp_tool_use", "redacted_thinking", "search_result", "server_tool_use",
    "text_editor_code_execution_tool_result", "thinking", "tool_reference",
    "tool_search_tool_result", "web_fetch_tool_result", "web_search_tool_result",
})  # fmt: skip
"""Blocks of the Messages API itself, which a client may put among its parts."""


def blocks(content: Any, where: str) -> list[Block]:
    """A message's content: a text, a list of parts, or null. `where` names it in errors.

    The API refuses blocks of empty or white text, so they are left out.
    """
    return parts.blocks(content, where, text, _block)


def text(said: str) -> list[Block]:
    return [{"type": "text", "text": said}] if said.strip() else []


def marked(found: list[Block], cache_control: Any) -> list[Block]:
    """The blocks with the message's own cache_control on the last that can carry it."""
    if isinstance(cache_control, Mapping):
        for block in reversed(found):
            if block["type"] not in {"thinking", "redacted_thinking"}:
                block.setdefault("cache_control", cache_control)
                break
    return found


def _block(part: Any, where: str) -> list[Block]:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if isinstance(kind, str) and kind in _NATIVE:
        return [dict(part)]
    write = parts.writer(part, where, _PARTS, "Anthropic's models take")
    return marked(write(part, where), part.get("cache_control"))


def _text(part: Mapping[str, Any], where: str) -> list[Block]:
    return text(string(part.get("text"), f"{where}.text"))


def _refusal(part: Mapping[str, Any], where: str) -> list[Block]:
    return text(string(part.get("refusal"), f"{where}.refusal"))


def _image(part: Mapping[str, Any], where: str) -> list[Block]:
    url = parts.url(part, "image_url", where)
    if url[:8].lower() == "https://":
        return [{"type": "image", "source": {"type": "url", "url": url}}]
    media, data = _inline(url, f"{where}.image_url.url")
    if media == _PDF:
        return [_document(media, data)]
    if media not in _IMAGES:
        raise InvalidRequest(
            f"{where}: images may be JPEG, PNG, GIF or WebP, not {media[:80] or 'untyped'}",
            param=f"{where}.image_url.url",
        )
    return _picture(media, data)


def _file(part: Mapping[str, Any], where: str) -> list[Block]:
    file = parts.file(part, where)
    name = file.get("filename")
    title = {"title": name} if isinstance(name, str) and name.strip() else {}
    if file.get("file_data") is None:
        return [_uploaded(file, where) | title]
    data = string(file["file_data"], f"{where}.file.file_data")
    media = guess(name, _PDF)
    if parts.is_data(data):
        media, data = _inline(data, f"{where}.file.file_data")
    if media in _IMAGES:
        return _picture(media, data)
    if media == _PDF:
        return [_document(media, data) | title]
    if media.startswith("text/"):
        return [_document("text/plain", _plain(data, f"{where}.file.file_data")) | title]
    raise InvalidRequest(
        f"{where}: files may be PDF, plain text or images, not {media[:80] or 'untyped'}",
        param=f"{where}.file.file_data",
    )


def _uploaded(file: Mapping[str, Any], where: str) -> Block:
    """A file by its id: only one that was uploaded to Anthropic (ids begin with `file_`)."""
    known = file.get("file_id")
    if not isinstance(known, str) or not known.startswith("file_"):
        raise InvalidRequest(
            f"{where}: send the file itself as file_data; this provider cannot read an id "
            "that another one gave",
            param=f"{where}.file.file_id",
        )
    return {"type": "document", "source": {"type": "file", "file_id": known}}


def _picture(media: str, data: str) -> list[Block]:
    source = {"type": "base64", "media_type": _IMAGES[media], "data": data}
    return [{"type": "image", "source": source}]


def _document(media: str, data: str) -> Block:
    kind = "base64" if media == _PDF else "text"
    return {"type": "document", "source": {"type": kind, "media_type": media, "data": data}}


def _inline(url: str, where: str) -> tuple[str, str]:
    """Media type and base64 of a data: URL."""
    found = parts.inline(url)
    if found is None:
        raise InvalidRequest(f"{where} must be an https: or a base64 data: URL", param=where)
    return found


def _plain(data: str, where: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"{where} is not UTF-8 text in base64", param=where) from None


_PARTS: Final[Mapping[str, Write]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "file": _file,
}
