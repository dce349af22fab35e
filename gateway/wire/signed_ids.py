"""Ids of tool calls that carry what a provider must be given back with the call.

A thought signature of Google's has a place of its own in an answer, but many clients keep nothing
of a call but its id, name and arguments. So the id carries it too, where it is short enough:
`call_1__thought__<base64url>`. Whoever speaks to another provider takes it off with `unsigned`,
in the call and in its result alike.
"""

import re
from typing import Final

from msgspec import Raw

MAX_SIGNATURE: Final = 2_048
"""Characters of a signature that an id will carry: it comes back twice with each request. Of 88
recorded signatures 78 are shorter."""

PLACEHOLDER_SIGNATURE: Final = "Y29udGV4dF9lbmdpbmVlcmluZ19pc190aGVfd2F5X3RvX2dv"
"""What Google's page on thought signatures has for a call that Gemini did not make itself:
"context_engineering_is_the_way_to_go" in base64, as the recordings send it and Gemini 3 accepts."""

_MARK: Final = "__thought__"
_SIGNATURE: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_SIGNED: Final = re.compile(rb'("[A-Za-z0-9_.:-]+)__thought__[A-Za-z0-9_-]+(?=")')
_URL_SAFE: Final = str.maketrans("+/", "-_", "=")
_PLAIN: Final = str.maketrans("-_", "+/")


def sign_id(call_id: str, signature: str) -> str:
    """The id with a base64 signature in it; as it was where that would be too long, or is none."""
    if len(signature) > MAX_SIGNATURE or not _SIGNATURE.fullmatch(signature):
        return call_id
    return call_id + _MARK + signature.translate(_URL_SAFE)


def split_id(call_id: str) -> tuple[str, str | None]:
    """The id as it was, and the signature in it (standard base64, padded), if any."""
    name, mark, signature = call_id.partition(_MARK)
    if not (name and mark and _SIGNATURE.fullmatch(signature)):
        return call_id, None
    return name, signature.translate(_PLAIN) + "=" * (-len(signature) % 4)


def strip_signatures(messages: Raw) -> Raw:
    """The JSON of `messages`, with no id in it that carries a signature; else as it was."""
    text = bytes(messages)
    return Raw(_SIGNED.sub(rb"\1", text)) if _MARK.encode() in text else messages
