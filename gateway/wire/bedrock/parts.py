"""Translates a part of an OpenAI message's content to content blocks."""

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest
from gateway.wire import parts
from gateway.wire.media import guess_media_type, image_type
from gateway.wire.parts import Block, Write, require_string

BREAK: Final[Mapping[str, str]] = {"text": "\n"}
"""Inserted between a document and a cache point."""

NATIVE: Final = frozenset({
    "audio", "cachePoint", "document", "guardContent", "image", "searchResult", "text", "video",
})  # fmt: skip
"""Native blocks of Converse, maps of one member, which a client may send among its parts."""
IN_RESULTS: Final = frozenset({"document", "image", "json", "searchResult", "text", "video"})
"""Blocks that a tool result may contain."""

_IMAGES: Final[Mapping[str, str]] = {
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
}
_DOCUMENTS: Final[Mapping[str, str]] = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_NAMELESS: Final = re.compile(r"[^A-Za-z0-9 ()\[\]-]+")
_MAX_NAME: Final = 190


def blocks(content: Any, where: str) -> list[Block]:
    """Translates a message's content. Blank texts are left out, since the API refuses them."""
    return parts.blocks(content, where, text, _block)


def text(value: str) -> list[Block]:
    return [{"text": value}] if value.strip() else []


def with_cache_point(blocks: list[Block], cache_control: Any) -> list[Block]:
    """The blocks, with a cache point behind them if `cache_control` requests one.

    Thinking may not come right before a cache point (0xPlaygrounds/rig#1673), which goes before it
    then. Nor may a document (strands-agents/harness-sdk#1966): a line break, which the API accepts,
    is inserted.
    """
    end = len(blocks)
    while end and "reasoningContent" in blocks[end - 1]:
        end -= 1
    if not isinstance(cache_control, Mapping) or not end or "cachePoint" in blocks[end - 1]:
        return blocks
    point: Block = {"type": "default"}
    if cache_control.get("ttl") in {"5m", "1h"}:
        point["ttl"] = cache_control["ttl"]
    between = [dict(BREAK)] if "document" in blocks[end - 1] else []
    return [*blocks[:end], *between, {"cachePoint": point}, *blocks[end:]]


def _block(part: Any, where: str) -> list[Block]:
    if isinstance(part, Mapping) and len(part) == 1 and NATIVE.issuperset(part):
        return [dict(part)]
    write = parts.writer(part, where, _PARTS, "Bedrock takes")
    return with_cache_point(write(part, where), part.get("cache_control"))


def _text(part: Mapping[str, Any], where: str) -> list[Block]:
    return text(require_string(part.get("text"), f"{where}.text"))


def _refusal(part: Mapping[str, Any], where: str) -> list[Block]:
    return text(require_string(part.get("refusal"), f"{where}.refusal"))


def _image(part: Mapping[str, Any], where: str) -> list[Block]:
    place = f"{where}.image_url.url"
    media, data = _inline(parts.require_url(part, "image_url", where), place)
    if media in _DOCUMENTS:
        return [_document(_DOCUMENTS[media], data, None)]
    if media not in _IMAGES:
        raise InvalidRequest(
            f"{where}: images may be JPEG, PNG, GIF or WebP, not {media[:80] or 'untyped'}",
            param=place,
        )
    return _image_block(media, data)


def _file(part: Mapping[str, Any], where: str) -> list[Block]:
    file = parts.require_file(part, where)
    if file.get("file_data") is None:
        raise InvalidRequest(
            f"{where}: send the file itself as file_data; this provider cannot read an id "
            "that another one gave",
            param=f"{where}.file.file_id",
        )
    data = require_string(file["file_data"], f"{where}.file.file_data")
    media = guess_media_type(file.get("filename"), "application/pdf")
    if parts.is_data_url(data):
        media, data = _inline(data, f"{where}.file.file_data")
    if media in _IMAGES:
        return _image_block(media, data)
    doc_format = _DOCUMENTS.get(media) or ("txt" if media.startswith("text/") else None)
    if doc_format is None:
        raise InvalidRequest(
            f"{where}: files may be PDF, CSV, Word, Excel, HTML, plain text, Markdown or images, "
            f"not {media[:80] or 'untyped'}",
            param=f"{where}.file.file_data",
        )
    return [_document(doc_format, data, file.get("filename"))]


def _image_block(media: str, data: str) -> list[Block]:
    return [{"image": {"format": _IMAGES[image_type(media, data)], "source": {"bytes": data}}}]


def _document(doc_format: str, data: str, name: Any) -> Block:
    return {"document": {"name": _name(name), "format": doc_format, "source": {"bytes": data}}}


def _name(filename: Any) -> str:
    """A file name without the characters that the API refuses; "" if there is none."""
    if not isinstance(filename, str):
        return ""
    stem = filename.rpartition("/")[2].rpartition("\\")[2]
    stem = stem.rpartition(".")[0] or stem
    return " ".join(_NAMELESS.sub(" ", stem).split())[:_MAX_NAME]


def _inline(url: str, where: str) -> tuple[str, str]:
    """Media type and base64 of a data: URL."""
    parsed = parts.parse_data_url(url)
    if parsed is None:
        raise InvalidRequest(
            f"{where} must be a base64 data: URL; Bedrock fetches nothing", param=where
        )
    return parsed


_PARTS: Final[Mapping[str, Write]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "file": _file,
}
