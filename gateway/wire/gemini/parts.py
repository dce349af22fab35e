"""One part of an OpenAI message's content to one part of a turn."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest

Part = dict[str, Any]

_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[^;,]*)*?);base64,", re.IGNORECASE)
_SUFFIX: Final = re.compile(r"\.([A-Za-z0-9]{2,4})(?:[?#].*)?$", re.DOTALL)
_YOUTUBE: Final = re.compile(r"https://(?:(?:www|m)\.)?(?:youtube\.com/|youtu\.be/)", re.IGNORECASE)
_MEDIA: Final[Mapping[str, str]] = {
    "aac": "audio/aac", "aiff": "audio/aiff", "avi": "video/avi", "avif": "image/avif",
    "bmp": "image/bmp", "csv": "text/csv", "flac": "audio/flac", "gif": "image/gif",
    "heic": "image/heic", "heif": "image/heif", "html": "text/html", "jpeg": "image/jpeg",
    "jpg": "image/jpeg", "json": "application/json", "m4a": "audio/m4a", "md": "text/markdown",
    "mov": "video/mov", "mp3": "audio/mp3", "mp4": "video/mp4", "mpeg": "video/mpeg",
    "mpg": "video/mpg", "ogg": "audio/ogg", "opus": "audio/opus", "pdf": "application/pdf",
    "png": "image/png", "txt": "text/plain", "wav": "audio/wav", "webm": "video/webm",
    "webp": "image/webp", "wmv": "video/wmv", "xml": "text/xml",
}  # fmt: skip
"""Media types by suffix: the API wants to be told, and a URL does not."""


def parts(content: Any, where: str) -> list[Part]:
    """A message's content: a text, a list of parts, or null. `where` names it in errors.

    The API refuses empty texts, so they are left out.
    """
    if content is None:
        return []
    if isinstance(content, str):
        return text(content)
    if not isinstance(content, list):
        raise InvalidRequest(f"{where} must be a string or a list of parts", param=where)
    found: list[Part] = []
    for i, part in enumerate(content):
        found += _part(part, f"{where}[{i}]")
    return found


def text(said: str) -> list[Part]:
    return [{"text": said}] if said else []


def _part(part: Any, where: str) -> list[Part]:
    kind = part.get("type") if isinstance(part, Mapping) else None
    write = _PARTS.get(kind) if isinstance(kind, str) else None
    if write is None:
        raise InvalidRequest(
            f"{where}: Google's models take no part of type {kind!r}; "
            f"they take {', '.join(sorted(_PARTS))}",
            param=where,
        )
    return write(part, where)


def _text(part: Mapping[str, Any], where: str) -> list[Part]:
    return text(_string(part.get("text"), f"{where}.text"))


def _refusal(part: Mapping[str, Any], where: str) -> list[Part]:
    return text(_string(part.get("refusal"), f"{where}.refusal"))


def _image(part: Mapping[str, Any], where: str) -> list[Part]:
    return _linked(part, "image_url", where, "image/jpeg")


def _video(part: Mapping[str, Any], where: str) -> list[Part]:
    return _linked(part, "video_url", where, "video/mp4")


def _linked(part: Mapping[str, Any], field: str, where: str, otherwise: str) -> list[Part]:
    given = part.get(field)
    place = f"{where}.{field}.url"
    url = _string(given.get("url") if isinstance(given, Mapping) else given, place)
    return [_link(url, place, otherwise)]


def _audio(part: Mapping[str, Any], where: str) -> list[Part]:
    audio = part.get("input_audio")
    if not isinstance(audio, Mapping):
        raise InvalidRequest(f"{where}.input_audio must be an object", param=where)
    kind = _string(audio.get("format"), f"{where}.input_audio.format").lower()
    data = _string(audio.get("data"), f"{where}.input_audio.data")
    return [_inline(_MEDIA.get(kind, f"audio/{kind}"), data)]


def _file(part: Mapping[str, Any], where: str) -> list[Part]:
    """A file in the request, or one by its URI in `file_id`: uploaded to Google, or public.

    Its media type is `format`, that of its data: URL, or what its name tells, else PDF.
    """
    file = part.get("file")
    if not isinstance(file, Mapping):
        raise InvalidRequest(f"{where}.file must be an object", param=f"{where}.file")
    told = file.get("format")
    named = file.get("filename")
    media = told if isinstance(told, str) and told else _guess(named, "application/pdf")
    if file.get("file_data") is None:
        known = file.get("file_id")
        if not isinstance(known, str) or not known.startswith(("https://", "gs://")):
            raise InvalidRequest(
                f"{where}: send the file itself as file_data, or its URI at Google as file_id; "
                "this provider cannot read an id that another one gave",
                param=f"{where}.file.file_id",
            )
        return [_uri(known, media if told or _guess(named, "") else _guess(known, media))]
    data = _string(file["file_data"], f"{where}.file.file_data")
    if data[:5].lower() == "data:":
        return [_link(data, f"{where}.file.file_data", media)]
    return [_inline(media, data)]


def _link(url: str, where: str, otherwise: str) -> Part:
    """A data: URL as the data in it, another as a reference. `otherwise` is its media type."""
    if url[:5].lower() == "data:":
        found = _DATA_URL.match(url)
        if found is not None:
            return _inline((found[1] or otherwise).lower(), url[found.end() :])
    elif url[:8].lower() == "https://" or url.startswith("gs://"):
        return _uri(url, "video/mp4" if _YOUTUBE.match(url) else _guess(url, otherwise))
    raise InvalidRequest(f"{where} must be an https:, a gs: or a base64 data: URL", param=where)


def _guess(name: Any, otherwise: str) -> str:
    found = _SUFFIX.search(name) if isinstance(name, str) else None
    return _MEDIA.get(found[1].lower(), otherwise) if found else otherwise


def _inline(media: str, data: str) -> Part:
    return {"inlineData": {"mimeType": media, "data": data}}


def _uri(uri: str, media: str) -> Part:
    return {"fileData": {"mimeType": media, "fileUri": uri}}


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"{where} must be a string", param=where)
    return value


_PARTS: Final[Mapping[str, Callable[[Mapping[str, Any], str], list[Part]]]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "video_url": _video,
    "input_audio": _audio,
    "file": _file,
}
