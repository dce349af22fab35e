"""Translates a part of an OpenAI message's content to a Gemini part."""

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest
from gateway.wire import parts as given_parts
from gateway.wire.media import BY_SUFFIX, guess_media_type
from gateway.wire.parts import Block as Part
from gateway.wire.parts import Write, is_data_url, require_string

_YOUTUBE: Final = re.compile(r"https://(?:(?:www|m)\.)?(?:youtube\.com/|youtu\.be/)", re.IGNORECASE)


def parts(content: Any, where: str) -> list[Part]:
    """Translates a message's content. Empty texts are left out, since the API refuses them."""
    return given_parts.blocks(content, where, text, _part)


def text(value: str) -> list[Part]:
    return [{"text": value}] if value else []


def _part(part: Any, where: str) -> list[Part]:
    return given_parts.writer(part, where, _PARTS, "Google's models take")(part, where)


def _text(part: Mapping[str, Any], where: str) -> list[Part]:
    return text(require_string(part.get("text"), f"{where}.text"))


def _refusal(part: Mapping[str, Any], where: str) -> list[Part]:
    return text(require_string(part.get("refusal"), f"{where}.refusal"))


def _image(part: Mapping[str, Any], where: str) -> list[Part]:
    return _linked(part, "image_url", where, "image/jpeg")


def _video(part: Mapping[str, Any], where: str) -> list[Part]:
    return _linked(part, "video_url", where, "video/mp4")


def _linked(part: Mapping[str, Any], field: str, where: str, otherwise: str) -> list[Part]:
    url = given_parts.require_url(part, field, where)
    return [_link(url, f"{where}.{field}.url", otherwise)]


def _audio(part: Mapping[str, Any], where: str) -> list[Part]:
    audio = part.get("input_audio")
    if not isinstance(audio, Mapping):
        raise InvalidRequest(f"{where}.input_audio must be an object", param=where)
    kind = require_string(audio.get("format"), f"{where}.input_audio.format").lower()
    data = require_string(audio.get("data"), f"{where}.input_audio.data")
    return [_inline(BY_SUFFIX.get(kind, f"audio/{kind}"), data)]


def _file(part: Mapping[str, Any], where: str) -> list[Part]:
    """A file as data, or by its URI in `file_id` (uploaded to Google, or public).

    The media type is `format`, else that of the data: URL, else by the file name, else PDF.
    """
    file = given_parts.require_file(part, where)
    declared = file.get("format")
    filename = file.get("filename")
    media = (
        declared
        if isinstance(declared, str) and declared
        else guess_media_type(filename, "application/pdf")
    )
    if file.get("file_data") is None:
        file_id = file.get("file_id")
        if not isinstance(file_id, str) or not file_id.startswith(("https://", "gs://")):
            raise InvalidRequest(
                f"{where}: send the file itself as file_data, or its URI at Google as file_id; "
                "this provider cannot read an id that another one gave",
                param=f"{where}.file.file_id",
            )
        return [
            _uri(
                file_id,
                media
                if declared or guess_media_type(filename, "")
                else guess_media_type(file_id, media),
            )
        ]
    data = require_string(file["file_data"], f"{where}.file.file_data")
    if is_data_url(data):
        return [_link(data, f"{where}.file.file_data", media)]
    return [_inline(media, data)]


def _link(url: str, where: str, otherwise: str) -> Part:
    """A data: URL as inline data, another URL as a reference. `otherwise` is the default type."""
    if is_data_url(url):
        parsed = given_parts.parse_data_url(url)
        if parsed is not None:
            return _inline(parsed[0] or otherwise.lower(), parsed[1])
    elif url[:8].lower() == "https://" or url.startswith("gs://"):
        return _uri(url, "video/mp4" if _YOUTUBE.match(url) else guess_media_type(url, otherwise))
    raise InvalidRequest(f"{where} must be an https:, a gs: or a base64 data: URL", param=where)


def _inline(media: str, data: str) -> Part:
    return {"inlineData": {"mimeType": media, "data": data}}


def _uri(uri: str, media: str) -> Part:
    return {"fileData": {"mimeType": media, "fileUri": uri}}


_PARTS: Final[Mapping[str, Write]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "video_url": _video,
    "input_audio": _audio,
    "file": _file,
}
