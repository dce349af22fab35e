"""Thought signatures of Google's OpenAI-compatible endpoint: `extra_content` of a call.

Gemini 3 refuses a turn whose first call comes back without one. Clients get the field unchanged and
the signature in the call's id too (wire/signed_ids.py), and may send back either.
Source: Google's pages on thought signatures and on OpenAI compatibility.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct, structs

from gateway.core.chat import ToolDelta
from gateway.wire.signed_ids import PLACEHOLDER_SIGNATURE, sign_id, split_id

_NO_EXTRA: Final[Mapping[str, Raw]] = {}


class _Google(Struct):
    thought_signature: str | None = None


class _Content(Struct):
    google: _Google | None = None


_encode: Final = msgspec.json.Encoder().encode
_content: Final = msgspec.json.Decoder(_Content | None).decode
_calls: Final = msgspec.json.Decoder(list[dict[str, Raw]] | None).decode
_id: Final = msgspec.json.Decoder(str | None).decode
_NULL: Final = Raw(b"null")


def extra_content_of(call: Mapping[str, Any]) -> Mapping[str, Raw]:
    """A decoded call's `extra_content`, which clients must send back; {} if there is none."""
    content = call.get("extra_content")
    if not (isinstance(content, Mapping) and content):
        return _NO_EXTRA
    return {"extra_content": Raw(_encode(content))}


def signed_id(call: Mapping[str, Any], name: str) -> str:
    """A decoded call's id with its signature embedded."""
    content = call.get("extra_content")
    google = content.get("google") if isinstance(content, Mapping) else None
    signature = google.get("thought_signature") if isinstance(google, Mapping) else None
    return sign_id(name, signature) if isinstance(signature, str) else name


def with_signature(piece: ToolDelta, call: Mapping[str, Any]) -> ToolDelta:
    """The delta with the signature of the decoded call, if it has one."""
    extra = extra_content_of(call)
    if not extra:
        return piece
    name = None if piece.id is None else signed_id(call, piece.id)
    return structs.replace(piece, id=name, extra=extra)


def restore_signatures(message: Mapping[str, Raw]) -> dict[str, Raw]:
    """A message for Google: original ids, and signatures in `extra_content`."""
    result = _with_signature(message, None)
    if "tool_call_id" in result:
        name, _ = split_id(_id(result["tool_call_id"]) or "")
        result["tool_call_id"] = Raw(_encode(name))
    calls = _calls(result.get("tool_calls", _NULL))
    if calls:
        result["tool_calls"] = Raw(_encode([_call(call, at) for at, call in enumerate(calls)]))
    return result


def _call(call: Mapping[str, Raw], at: int) -> dict[str, Raw]:
    name, signature = split_id(_id(call.get("id", _NULL)) or "")
    # Only the first of parallel calls is signed.
    result = _with_signature(call, signature or (None if at else PLACEHOLDER_SIGNATURE))
    return {**result, "id": Raw(_encode(name))} if "id" in result else result


def _with_signature(holder: Mapping[str, Raw], otherwise: str | None) -> dict[str, Raw]:
    """A copy whose `extra_content` has the signature and nothing else."""
    content = _content(holder.get("extra_content", _NULL))
    signature = (content and content.google and content.google.thought_signature) or otherwise
    result = {name: raw for name, raw in holder.items() if name != "extra_content"}
    if signature:
        result["extra_content"] = Raw(_encode({"google": {"thought_signature": signature}}))
    return result
