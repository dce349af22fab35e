"""Media types by file suffix, as plain base64 has none, and of images by how they begin."""

import re
from collections.abc import Mapping
from typing import Any, Final

_SUFFIX: Final = re.compile(r"\.([A-Za-z0-9]{2,4})(?:[?#].*)?$", re.DOTALL)
_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
BY_SUFFIX: Final[Mapping[str, str]] = {
    "aac": "audio/aac", "aiff": "audio/aiff", "avi": "video/avi", "avif": "image/avif",
    "bmp": "image/bmp", "csv": "text/csv", "doc": "application/msword",
    "docx": f"{_OFFICE}wordprocessingml.document", "flac": "audio/flac", "gif": "image/gif",
    "heic": "image/heic", "heif": "image/heif", "html": "text/html", "jpeg": "image/jpeg",
    "jpg": "image/jpeg", "json": "application/json", "m4a": "audio/m4a", "md": "text/markdown",
    "mov": "video/mov", "mp3": "audio/mp3", "mp4": "video/mp4", "mpeg": "video/mpeg",
    "mpg": "video/mpg", "ogg": "audio/ogg", "opus": "audio/opus", "pdf": "application/pdf",
    "png": "image/png", "txt": "text/plain", "wav": "audio/wav", "webm": "video/webm",
    "webp": "image/webp", "wmv": "video/wmv", "xls": "application/vnd.ms-excel",
    "xlsx": f"{_OFFICE}spreadsheetml.sheet", "xml": "text/xml",
}  # fmt: skip


def guess_media_type(name: Any, otherwise: str) -> str:
    """The media type by the suffix of a file name or URL; `otherwise` if it is unknown."""
    match = _SUFFIX.search(name) if isinstance(name, str) else None
    return BY_SUFFIX.get(match[1].lower(), otherwise) if match else otherwise


def image_type(media_type: str, data: str) -> str:
    """The media type of an image in base64, by its first bytes; `media_type` if they are unknown.
    OpenAI takes an image of another type than was declared; Claude answers 400.
    """
    if data.startswith("iVBORw0KGg"):
        return "image/png"
    if data.startswith("/9j/"):
        return "image/jpeg"
    if data.startswith("R0lGOD"):
        return "image/gif"
    if data.startswith("UklGR") and data[11:16] == "XRUJQ":  # RIFF, its size, WEBP
        return "image/webp"
    return media_type
