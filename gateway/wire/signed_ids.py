"""Tool call ids with an embedded thought signature.

Google requires that a call comes back with its thought signature. It has a field of its own, but
many clients keep only a call's id, name and arguments. So a short enough signature is also put into
the id: `call_1__thought__<base64url>`. Dialects of other providers remove it with
`strip_signatures`, from the call and from its result.
"""

import re
from typing import Final

from msgspec import Raw

MAX_SIGNATURE: Final = 2_048
"""Longest signature, in characters, that goes into an id: clients send it back twice per request.
Of 88 recorded signatures 78 are shorter."""

PLACEHOLDER_SIGNATURE: Final = "Y29udGV4dF9lbmdpbmVlcmluZ19pc190aGVfd2F5X3RvX2dv"
"""The signature that Google's documentation gives for calls that Gemini did not make itself:
"context_engineering_is_the_way_to_go" in base64, as the recordings send it and Gemini 3 accepts."""

_MARK: Final = "__thought__"
_SIGNATURE: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_SIGNED: Final = re.compile(
    rb'("(?:tool_call_)?id"\s*:\s*"[A-Za-z0-9_.:-]+)__thought__[A-Za-z0-9_-]+(?=")'
)
"""In an id only: a tool may be called mcp__thought__save."""
_URL_SAFE: Final = str.maketrans("+/", "-_", "=")
_PLAIN: Final = str.maketrans("-_", "+/")


def sign_id(call_id: str, signature: str) -> str:
    """The id with the signature appended; unchanged if that is too long or not base64."""
    if len(signature) > MAX_SIGNATURE or not _SIGNATURE.fullmatch(signature):
        return call_id
    return call_id + _MARK + signature.translate(_URL_SAFE)


def split_id(call_id: str) -> tuple[str, str | None]:
    """The original id, and the signature in it (standard base64, padded) or None."""
    name, mark, signature = call_id.partition(_MARK)
    if not (name and mark and _SIGNATURE.fullmatch(signature)):
        return call_id, None
    return name, signature.translate(_PLAIN) + "=" * (-len(signature) % 4)


def strip_signatures(messages: Raw) -> Raw:
    """The JSON of `messages` with the signatures removed from all ids."""
    text = bytes(messages)
    return Raw(_SIGNED.sub(rb"\1", text)) if _MARK.encode() in text else messages
