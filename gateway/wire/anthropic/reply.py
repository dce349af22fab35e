"""Decodes a whole answer."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from gateway.core.chat import Choice, Completion, ToolCall
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.anthropic.faults import fault, read, stream_fault
from gateway.wire.anthropic.usage import billed_usage
from gateway.wire.calls import arguments_json, require_name
from gateway.wire.citations import Annotation, url_citation
from gateway.wire.dialect import Target
from gateway.wire.extra_fields import Collected, beside
from gateway.wire.faults import with_usage
from gateway.wire.thoughts import with_position

FINISH: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "guardrail_intervened": "content_filter",
}
"""stop_reason to finish_reason; any other becomes `stop`. `guardrail_intervened` is Bedrock's."""


class _Message(Struct):
    """An answer's body. All fields have defaults; `_choice` checks what is missing."""

    type: str = ""
    id: str = ""
    content: list[Raw] | None = None
    stop_reason: str | None = None
    stop_details: Any = None
    usage: Any = None
    error: Any = None
    container: Any = None
    """Where code ran, so that it can run there again."""
    context_management: Any = None
    """What was removed from the context."""


class _Block(Struct):
    """Any content block; a field that its type does not have stays empty."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")
    citations: list[Raw] | None = None
    toolset_name: str | None = None
    caller: Any = None


class _Kind(Struct):
    type: str = ""


class Parts:
    """Accumulates the blocks of one answer."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.tools: list[ToolCall] = []
        self.collected = Collected()

    def add(self, raw: Raw) -> None:
        handler = _HANDLERS.get(read(bytes(raw), _Kind).type)
        if handler is None:
            # Tools that ran at the provider, and unknown types.
            self.collected.server.append(raw)
        else:
            handler(self, read(bytes(raw), _Block), raw)

    def text(self, block: _Block, raw: Raw) -> None:
        collected, start = self.collected, self.collected.text_length
        self.texts.append(block.text)
        collected.text_length += len(block.text)
        for citation in block.citations or ():
            collected.citations.append(citation)
            collected.pages += page_citations(citation, start, collected.text_length)

    def thinking(self, block: _Block, raw: Raw) -> None:
        self.thoughts.append(block.thinking)
        self.redacted(block, raw)

    def redacted(self, block: _Block, raw: Raw) -> None:
        length, calls = self.collected.text_length, self.collected.tools
        self.collected.thinking.append(thinking_with_position(raw, length, calls))

    def tool(self, block: _Block, raw: Raw) -> None:
        name = require_name(block.name)
        extra = call_fields(block.toolset_name, block.caller)
        self.tools.append(ToolCall(block.id, name, arguments_json(block.input), extra))
        self.collected.tools += 1


_HANDLERS: Final[Mapping[str, Callable[[Parts, _Block, Raw], None]]] = {
    "text": Parts.text,
    "thinking": Parts.thinking,
    "redacted_thinking": Parts.redacted,
    "tool_use": Parts.tool,
}


def decode(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Completion:
    """A whole answer. Raises UpstreamError for anything else."""
    if status != 200:
        raise fault(status, headers, body)
    message = read(body, _Message)
    usage = billed_usage(
        message.usage, message.stop_reason, message.stop_details, empty=not message.content
    )
    try:
        choice = _choice(message)
    except UpstreamError as error:
        raise with_usage(error, usage) from None
    extra = beside(container=message.container, context_management=message.context_management)
    return Completion(choices=(choice,), id=message.id, usage=usage, extra=extra)


def _choice(message: _Message) -> Choice:
    if message.type == "error" or message.error is not None:
        raise stream_fault({"error": message.error})
    if message.content is None:
        raise Broken("the provider's answer has no content")
    parts = Parts()
    for raw in message.content:
        parts.add(raw)
    return Choice(
        text="".join(parts.texts) or None,
        tool_calls=tuple(parts.tools),
        finish=finish(message.stop_reason, calls=bool(parts.tools)),
        refusal=refusal(message.stop_reason, message.stop_details),
        reasoning="".join(parts.thoughts) or None,
        extra=parts.collected.extras(),
    )


def finish(stop_reason: str | None, *, calls: bool) -> str:
    """OpenAI's finish_reason; `tool_calls` only if there are calls."""
    reason = FINISH.get(stop_reason or "", "stop")
    return "stop" if reason == "tool_calls" and not calls else reason


def refusal(stop_reason: str | None, details: Any) -> str | None:
    """The provider's explanation of a refusal, if it gives one."""
    explanation = details.get("explanation") if isinstance(details, Mapping) else None
    return (
        explanation
        if stop_reason == "refusal" and isinstance(explanation, str) and explanation
        else None
    )


def call_fields(toolset: str | None, caller: Any) -> Mapping[str, Raw]:
    """Fields of a call that must be sent back with it: `toolset_name`, if it is one of a set of
    Anthropic's tools, and `caller`, if code at the provider made it.
    """
    fields: dict[str, Any] = {"toolset_name": toolset} if toolset else {}
    if isinstance(caller, Mapping) and caller.get("type") != "direct":
        fields["caller"] = caller
    return {name: Raw(msgspec.json.encode(value)) for name, value in fields.items()}


def thinking_with_position(raw: Raw, length: int, calls: int) -> Raw:
    """A thinking block with its position: characters of text and calls before it."""
    if not length and not calls:
        return raw
    block = read(bytes(raw), dict[str, Any])
    return Raw(msgspec.json.encode(with_position(block, length, calls)))


def page_citations(citation: Raw, start: int, end: int) -> list[Annotation]:
    """A web citation of the text from `start` to `end`; [] for other sources."""
    fields: Any = read(bytes(citation), object)
    if not isinstance(fields, Mapping):
        return []
    return url_citation(fields.get("url"), fields.get("title"), start, end)
