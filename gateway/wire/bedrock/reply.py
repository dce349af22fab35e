"""Decodes a whole answer of Converse."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Raw, Struct

from gateway.core.chat import Choice, Completion, ToolCall
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.bedrock.faults import fault, read
from gateway.wire.bedrock.models import vendor_of
from gateway.wire.bedrock.usage import parse_usage
from gateway.wire.calls import arguments_json, require_name
from gateway.wire.citations import Annotation, url_citation
from gateway.wire.dialect import Target
from gateway.wire.extra_fields import Collected, beside
from gateway.wire.faults import with_usage
from gateway.wire.thoughts import with_position

FINISH: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
"""stopReason to finish_reason; any other becomes `stop`."""
_MALFORMED: Final = frozenset({"malformed_model_output", "malformed_tool_use"})

REDACTED: Final = "redacted_content"
"""The `type` of a thinking block that only models of its `vendor` read."""
SERVER_TOOL: Final = "server_tool_use"
"""The `type` of a tool use that runs at the provider."""


class ToolUse(Struct, rename="camel"):
    tool_use_id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")
    type: str = ""


class _Thought(Struct):
    text: str = ""
    signature: str = ""


class _Reasoning(Struct, rename="camel"):
    reasoning_text: _Thought | None = None
    redacted_content: str | None = None


class _CitedText(Struct):
    text: str = ""


class _Citations(Struct):
    content: tuple[_CitedText, ...] = ()
    citations: tuple[Raw, ...] = ()


class _Block(Struct, rename="camel"):
    """One content block: exactly one of these fields, or an unknown one."""

    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Citations | None = None


class _Message(Struct):
    content: list[Raw] | None = None


class _Output(Struct):
    message: _Message | None = None


class _Answer(Struct, rename="camel"):
    """All fields have defaults; `_choice` checks what is missing."""

    output: _Output | None = None
    stop_reason: str = ""
    usage: Any = None
    additional_model_response_fields: Any = None
    """The fields requested by `additionalModelResponseFieldPaths`."""
    trace: Any = None
    """The findings of a guardrail, if its trace was requested."""


class Parts:
    """Accumulates the blocks of one answer of the model `upstream`."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.tools: list[ToolCall] = []
        self.collected = Collected()

    def add(self, raw: Raw) -> None:
        block = read(bytes(raw), _Block)
        if block.text is not None:
            self._add_text(block.text)
        elif block.reasoning_content is not None:
            self._add_reasoning(block.reasoning_content)
        elif block.citations_content is not None:
            self._add_cited(block.citations_content)
        elif block.tool_use is not None and block.tool_use.type != SERVER_TOOL:
            use = block.tool_use
            name = require_name(use.name)
            self.tools.append(ToolCall(use.tool_use_id, name, arguments_json(use.input)))
            self.collected.tools += 1
        else:
            # Tools that ran at the provider, and unknown types.
            self.collected.server.append(raw)

    def _add_text(self, text: str) -> None:
        self.texts.append(text)
        self.collected.text_length += len(text)

    def _add_cited(self, block: _Citations) -> None:
        collected, start = self.collected, self.collected.text_length
        for each in block.content:
            self._add_text(each.text)
        for citation in block.citations:
            collected.citations.append(citation)
            collected.pages += page_citations(citation, start, collected.text_length)

    def _add_reasoning(self, reasoning: _Reasoning) -> None:
        place = (self.collected.text_length, self.collected.tools)
        blocks: list[Mapping[str, Any]] = []
        if reasoning.reasoning_text is not None:
            self.thoughts.append(reasoning.reasoning_text.text)
            blocks += thinking(reasoning.reasoning_text.text, reasoning.reasoning_text.signature)
        if reasoning.redacted_content is not None:
            data = decode_redacted(reasoning.redacted_content)
            blocks.append(redacted_block(data, self._upstream))
        self.collected.thinking += (with_position(block, *place) for block in blocks)


def decode(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Completion:
    """A whole answer. Raises UpstreamError for anything else."""
    if status != 200:
        raise fault(status, headers, body)
    answer = read(body, _Answer)
    usage = parse_usage(answer.usage)
    try:
        choice = _choice(answer, target.upstream)
    except UpstreamError as error:
        raise with_usage(error, usage) from None
    fields = answer.additional_model_response_fields
    extra = beside(additionalModelResponseFields=fields, trace=answer.trace)
    request_id = headers.get("x-amzn-requestid", "")
    return Completion(choices=(choice,), id=request_id, usage=usage, extra=extra)


def _choice(answer: _Answer, upstream: str) -> Choice:
    message = answer.output.message if answer.output is not None else None
    if message is None or message.content is None:
        raise Broken("the provider's answer has no content")
    parts = Parts(upstream)
    for raw in message.content:
        parts.add(raw)
    return Choice(
        text="".join(parts.texts) or None,
        tool_calls=tuple(parts.tools),
        finish=finish(answer.stop_reason, calls=bool(parts.tools)),
        reasoning="".join(parts.thoughts) or None,
        extra=parts.collected.extras(),
    )


def finish(stop_reason: str, *, calls: bool) -> str:
    """OpenAI's finish_reason; `tool_calls` only if there are calls.

    Raises Broken if Bedrock itself could not parse the model's output.
    """
    if stop_reason in _MALFORMED:
        raise Broken(f"the model's answer was unreadable: {stop_reason}", upstream_code=stop_reason)
    reason = FINISH.get(stop_reason, "stop")
    return "stop" if reason == "tool_calls" and not calls else reason


def thinking(text: str, signature: str) -> list[Mapping[str, Any]]:
    """A thinking block in a list; [] without a signature: it could not be sent back."""
    if not signature:
        return []
    return [{"type": "thinking", "thinking": text, "signature": signature}]


def redacted_block(data: bytes, upstream: str) -> Mapping[str, Any]:
    """Encrypted thinking: Claude's as Anthropic's own API has it, which Bedrock encodes in base64
    once more; any other as a block that Claude is never sent, since it answers 400.
    """
    vendor = vendor_of(upstream)
    if vendor in {"", "anthropic"}:
        return {"type": "redacted_thinking", "data": data.decode("latin-1")}
    return {"type": REDACTED, "vendor": vendor, "data": base64.b64encode(data).decode()}


def decode_redacted(content: str) -> bytes:
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise Broken("the provider's redacted thoughts are not in base64") from None


def join_base64(pieces: Iterable[str]) -> str:
    """Joins base64 pieces into one base64 string."""
    try:
        whole = b"".join(base64.b64decode(piece, validate=True) for piece in pieces)
    except (binascii.Error, ValueError):
        raise Broken("the provider's image is not in base64") from None
    return base64.b64encode(whole).decode()


def page_citations(citation: Raw, start: int, end: int) -> list[Annotation]:
    """A web citation of the text from `start` to `end`; [] for other sources."""
    fields: Any = read(bytes(citation), object)
    location = fields.get("location") if isinstance(fields, Mapping) else None
    web = location.get("web") if isinstance(location, Mapping) else None
    return (
        url_citation(web.get("url"), fields.get("title"), start, end)
        if isinstance(web, Mapping)
        else []
    )
