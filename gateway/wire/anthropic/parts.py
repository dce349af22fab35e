"""Translates a part of an OpenAI message's content to a content block."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest
from gateway.wire import parts
from gateway.wire.media import guess_media_type, image_type
from gateway.wire.parts import Block, Write, require_string

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
"""Native blocks of the Messages API, which a client may send among its parts."""


def blocks(content: Any, where: str) -> list[Block]:
    """Translates a message's content. Blank texts are left out, since the API refuses them."""
    return parts.blocks(content, where, text, _block)


def text(value: str) -> list[Block]:
    return [{"type": "text", "text": value}] if value.strip() else []


def with_cache_control(blocks: list[Block], cache_control: Any) -> list[Block]:
    """The blocks, with `cache_control` set on the last one that may have it."""
    if isinstance(cache_control, Mapping):
        for block in reversed(blocks):
            if block["type"] not in {"thinking", "redacted_thinking"}:
                block.setdefault("cache_control", cache_control)
                break
    return blocks


def _block(part: Any, where: str) -> list[Block]:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if isinstance(kind, str) and kind in _NATIVE:
        return [dict(part)]
    write = parts.writer(part, where, _PARTS, "Anthropic's models take")
    return with_cache_control(write(part, where), part.get("cache_control"))


def _text(part: Mapping[str, Any], where: str) -> list[Block]:
    return text(require_string(part.get("text"), f"{where}.text"))


def _refusal(part: Mapping[str, Any], where: str) -> list[Block]:
    return text(require_string(part.get("refusal"), f"{where}.refusal"))


def _image(part: Mapping[str, Any], where: str) -> list[Block]:
    url = parts.require_url(part, "image_url", where)
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
    return _image_block(media, data)


def _file(part: Mapping[str, Any], where: str) -> list[Block]:
    file = parts.require_file(part, where)
    name = file.get("filename")
    title = {"title": name} if isinstance(name, str) and name.strip() else {}
    if file.get("file_data") is None:
        return [_uploaded_file(file, where) | title]
    data = require_string(file["file_data"], f"{where}.file.file_data")
    media = guess_media_type(name, _PDF)
    if parts.is_data_url(data):
        media, data = _inline(data, f"{where}.file.file_data")
    if media in _IMAGES:
        return _image_block(media, data)
    if media == _PDF:
        return [_document(media, data) | title]
    if media.startswith("text/"):
        return [_document("text/plain", _decode_text(data, f"{where}.file.file_data")) | title]
    raise InvalidRequest(
        f"{where}: files may be PDF, plain text or images, not {media[:80] or 'untyped'}",
        param=f"{where}.file.file_data",
    )


def _uploaded_file(file: Mapping[str, Any], where: str) -> Block:
    """A file by its id, which must be one of Anthropic's (`file_...`)."""
    file_id = file.get("file_id")
    if not isinstance(file_id, str) or not file_id.startswith("file_"):
        raise InvalidRequest(
            f"{where}: send the file itself as file_data; this provider cannot read an id "
            "that another one gave",
            param=f"{where}.file.file_id",
        )
    return {"type": "document", "source": {"type": "file", "file_id": file_id}}


def _image_block(media: str, data: str) -> list[Block]:
    source = {"type": "base64", "media_type": image_type(_IMAGES[media], data), "data": data}
    return [{"type": "image", "source": source}]


def _document(media: str, data: str) -> Block:
    kind = "base64" if media == _PDF else "text"
    return {"type": "document", "source": {"type": kind, "media_type": media, "data": data}}


def _inline(url: str, where: str) -> tuple[str, str]:
    """Media type and base64 of a data: URL."""
    parsed = parts.parse_data_url(url)
    if parsed is None:
        raise InvalidRequest(f"{where} must be an https: or a base64 data: URL", param=where)
    return parsed


def _decode_text(data: str, where: str) -> str:
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
