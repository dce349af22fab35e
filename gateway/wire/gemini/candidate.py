"""Accumulates the parts of one candidate, of a whole answer or a stream."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from gateway.core.chat import ToolCall
from gateway.core.errors import Broken
from gateway.wire import citations
from gateway.wire.gemini import grounding
from gateway.wire.gemini.faults import read
from gateway.wire.signed_ids import sign_id

MAX_CANDIDATES: Final = 128
"""Most candidates per answer: OpenAI's limit for `n`, which is above Google's own."""
_ABSENT: Final = Raw(b"null")
_FILTERED: Final = frozenset({
    "BLOCKLIST", "ESCALATION", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_SAFETY",
    "LANGUAGE", "MODEL_ARMOR", "PROHIBITED_CONTENT", "RECITATION", "SAFETY", "SPII",
})  # fmt: skip
_NOTHING: Final = (b"null", b"{}", b"[]")
_FAILED: Final = frozenset({
    "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE", "NO_IMAGE",
    "PUP_LIMITED_DISABLED", "TOO_MANY_TOOL_CALLS", "UNEXPECTED_TOOL_CALL",
})  # fmt: skip
"""The model failed to generate, or its account was stopped; counts as an answer only if there was a
call."""
_CUT_OFF: Final = frozenset({"CONTINUATION", "MAX_TOKENS"})


class Content(Struct):
    parts: list[Raw] | None = None


class Candidate(Struct):
    """A candidate, or a streamed piece of one. All fields may be missing."""

    index: int | None = None
    content: Content | None = None
    finishReason: str | None = None  # noqa: N815
    logprobsResult: Raw = _ABSENT  # noqa: N815
    groundingMetadata: Raw = _ABSENT  # noqa: N815
    urlContextMetadata: Raw = _ABSENT  # noqa: N815
    citationMetadata: Raw = _ABSENT  # noqa: N815
    safetyRatings: Raw = _ABSENT  # noqa: N815


class _Call(Struct):
    name: str = ""
    id: str | None = None
    args: Raw = _ABSENT


class _Part(Struct):
    """Any part; fields that its type does not have stay None."""

    text: str | None = None
    thought: bool | None = None
    thoughtSignature: str | None = None  # noqa: N815
    functionCall: _Call | None = None  # noqa: N815
    inlineData: Any = None  # noqa: N815


class Piece(Struct):
    """New output of one candidate, in OpenAI's terms."""

    text: str = ""
    reasoning: str = ""
    calls: list[ToolCall] = []


class CandidateState:
    """The state of one candidate so far. `answer_id` is the responseId, or ""."""

    def __init__(self) -> None:
        self.calls = 0
        self.reason: str | None = None
        self._has_output = False
        self._text: list[str] = []
        self._images: list[Any] = []
        self._other_parts: list[Raw] = []
        self._google: dict[str, Any] = {}

    def add(self, candidate: Candidate, answer_id: str) -> Piece:
        """Adds the candidate, or its next piece; returns the new output."""
        piece = Piece(calls=[])
        self.reason = candidate.finishReason or self.reason
        for raw in (candidate.content and candidate.content.parts) or ():
            self._part(raw, piece, f"{answer_id}/{candidate.index or 0}")
        self._text.append(piece.text)
        self._has_output = self._has_output or bool(piece.text or piece.calls)
        metadata = {
            "grounding_metadata": candidate.groundingMetadata,
            "url_context_metadata": candidate.urlContextMetadata,
            "citation_metadata": candidate.citationMetadata,
        }
        if self.reason in _FILTERED:
            metadata["safety_ratings"] = candidate.safetyRatings
        self._google |= {name: raw for name, raw in metadata.items() if bytes(raw) not in _NOTHING}
        return piece

    def finish(self) -> str:
        """OpenAI's finish_reason. Raises Broken if the model did not finish its answer."""
        reason = self.reason or ""
        if reason in _FILTERED:
            return "content_filter"
        if reason in _CUT_OFF:
            return "length"
        if self.calls:
            return "tool_calls"
        if reason == "STOP" or (reason not in _FAILED and (self._has_output or self._images)):
            return "stop"
        raise Broken(f"the model broke off its answer: {reason[:80] or 'no reason given'}")

    def extra(self) -> Mapping[str, Raw]:
        """Message fields beyond OpenAI's; see the package docstring."""
        fields: dict[str, Raw] = {}
        if "grounding_metadata" in self._google:
            pages = grounding.annotations(self._google["grounding_metadata"], "".join(self._text))
            fields |= citations.annotations(pages)
        if self._images:
            fields["images"] = Raw(msgspec.json.encode(self._images))
        if self._google or self._other_parts:
            others = {"server_tool_parts": self._other_parts} if self._other_parts else {}
            fields["extra_content"] = _extra_content(self._google | others)
        return fields

    def _part(self, raw: Raw, piece: Piece, where: str) -> None:
        part = read(bytes(raw), _Part)
        if part.functionCall is not None:
            piece.calls.append(self._call(part.functionCall, part.thoughtSignature, where))
            return
        if part.text is None and (image := _image(part)) is not None:
            self._images.append(image)
            return
        if part.text is None and not _is_only_signature(raw):
            self._other_parts.append(raw)  # with its own signature
            return
        if part.thoughtSignature:
            self._google["thought_signature"] = part.thoughtSignature
        if part.text is not None:
            if part.thought:
                piece.reasoning += part.text
            else:
                piece.text += part.text

    def _call(self, call: _Call, signature: str | None, where: str) -> ToolCall:
        if not call.name:
            raise Broken("the provider's answer calls a function without a name")
        arguments = _arguments(call.args)
        call_id = call.id or _generate_id(f"{where}/{self.calls}/{call.name}/{arguments}")
        self.calls += 1
        if not signature:
            return ToolCall(call_id, call.name, arguments)
        extra = {"extra_content": _extra_content({"thought_signature": signature})}
        return ToolCall(sign_id(call_id, signature), call.name, arguments, extra)


def require_index(index: int) -> int:
    """A candidate's index. Raises Broken if it is out of range."""
    if not 0 <= index < MAX_CANDIDATES:
        raise Broken("the provider's answer has a candidate of an absurd index")
    return index


def logprobs(raw: Raw) -> Raw | None:
    """A logprobsResult as OpenAI's logprobs; None if absent or unreadable."""
    if bytes(raw) in _NOTHING:
        return None
    try:
        result = msgspec.json.decode(bytes(raw), type=_Logprobs)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if not result.chosenCandidates:
        return None
    tops: Iterable[_Top] = result.topCandidates or ()
    alternatives = [[_token(each) for each in top.candidates] for top in tops]
    content = [
        {**_token(each), "top_logprobs": alternatives[i] if i < len(alternatives) else []}
        for i, each in enumerate(result.chosenCandidates)
    ]
    return Raw(msgspec.json.encode({"content": content, "refusal": None}))


class _Token(Struct):
    token: str = ""
    logProbability: float = 0.0  # noqa: N815


class _Top(Struct):
    candidates: list[_Token] = []


class _Logprobs(Struct):
    chosenCandidates: list[_Token] = []  # noqa: N815
    topCandidates: list[_Top] = []  # noqa: N815


def _token(token: _Token) -> dict[str, Any]:
    encoded = list(token.token.encode())
    return {"token": token.token, "logprob": token.logProbability, "bytes": encoded}


def _arguments(args: Raw) -> str:
    """Compact JSON; numbers and strings stay as they were written."""
    if bytes(args) == b"null":
        return "{}"
    text = msgspec.json.format(bytes(args), indent=-1).decode()
    if not text.startswith("{"):
        raise Broken("the provider's answer calls a function with arguments that are no object")
    return text


def _generate_id(seed: str) -> str:
    """A deterministic id for a call that came without one."""
    return "call_" + hashlib.sha256(seed.encode()).hexdigest()[:24]


def _extra_content(google: Mapping[str, Any]) -> Raw:
    return Raw(msgspec.json.encode({"google": google}))


def _image(part: _Part) -> dict[str, Any] | None:
    """A picture, with its own signature; None for any other part."""
    inline = part.inlineData
    media = inline.get("mimeType") if isinstance(inline, Mapping) else None
    if not isinstance(media, str) or not media.startswith("image/"):
        return None
    image: dict[str, Any] = {
        "type": "image_url",
        "image_url": {"url": f"data:{media};base64,{inline.get('data') or ''}"},
    }
    if part.thoughtSignature:
        image["extra_content"] = {"google": {"thought_signature": part.thoughtSignature}}
    return image


def _is_only_signature(raw: Raw) -> bool:
    """Whether a part has nothing but a signature."""
    return read(bytes(raw), dict[str, Raw]).keys() <= {"thought", "thoughtSignature"}
