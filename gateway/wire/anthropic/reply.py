"""A whole answer."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from gateway.core.chat import Choice, Completion, ToolCall
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.anthropic.faults import fault, read, stream_fault
from gateway.wire.anthropic.usage import usage
from gateway.wire.calls import told_arguments, told_name
from gateway.wire.citations import Annotation, cited
from gateway.wire.dialect import Target
from gateway.wire.faults import counted
from gateway.wire.kept import Kept, beside
from gateway.wire.thoughts import placed

FINISH: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""stop_reason to finish_reason; a reason that is not here reads as `stop`."""


class _Message(Struct):
    """Of a body: everything has a default, so that what is missing is told apart here."""

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
    """What was taken out of the context."""


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
    """What the blocks of one answer amount to."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.tools: list[ToolCall] = []
        self.kept = Kept()

    def add(self, raw: Raw) -> None:
        place = _PLACES.get(read(bytes(raw), _Kind).type)
        if place is None:
            # Tools that ran at the provider, and what is newer than this, are not the client's.
            self.kept.server.append(raw)
        else:
            place(self, read(bytes(raw), _Block), raw)

    def text(self, block: _Block, raw: Raw) -> None:
        kept, start = self.kept, self.kept.said
        self.texts.append(block.text)
        kept.said += len(block.text)
        for citation in block.citations or ():
            kept.citations.append(citation)
            kept.pages += page(citation, start, kept.said)

    def thinking(self, block: _Block, raw: Raw) -> None:
        self.thoughts.append(block.thinking)
        self.redacted(block, raw)

    def redacted(self, block: _Block, raw: Raw) -> None:
        self.kept.thinking.append(thought(raw, self.kept.said, self.kept.tools))

    def tool(self, block: _Block, raw: Raw) -> None:
        name = told_name(block.name)
        extra = of_call(block.toolset_name, block.caller)
        self.tools.append(ToolCall(block.id, name, told_arguments(block.input), extra))
        self.kept.tools += 1


_PLACES: Final[Mapping[str, Callable[[Parts, _Block, Raw], None]]] = {
    "text": Parts.text,
    "thinking": Parts.thinking,
    "redacted_thinking": Parts.redacted,
    "tool_use": Parts.tool,
}


def decode(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Completion:
    """The answer; raises UpstreamError for anything else."""
    if status != 200:
        raise fault(status, headers, body)
    message = read(body, _Message)
    told = usage(message.usage)
    try:
        choice = _choice(message)
    except UpstreamError as error:
        raise counted(error, told) from None
    extra = beside(container=message.container, context_management=message.context_management)
    return Completion(choices=(choice,), id=message.id, usage=told, extra=extra)


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
        extra=parts.kept.extras(),
    )


def finish(stop_reason: str | None, *, calls: bool) -> str:
    """OpenAI's reason. A client that reads `tool_calls` must find some."""
    found = FINISH.get(stop_reason or "", "stop")
    return "stop" if found == "tool_calls" and not calls else found


def refusal(stop_reason: str | None, details: Any) -> str | None:
    """Why the provider refused, where it says so in words."""
    said = details.get("explanation") if isinstance(details, Mapping) else None
    return said if stop_reason == "refusal" and isinstance(said, str) and said else None


def of_call(toolset: str | None, caller: Any) -> Mapping[str, Raw]:
    """Fields of a call with which it must be sent back: the set of Anthropic's tools that it is one
    of, and the code at the provider that made it.
    """
    told: dict[str, Any] = {"toolset_name": toolset} if toolset else {}
    if isinstance(caller, Mapping) and caller.get("type") != "direct":
        told["caller"] = caller
    return {name: Raw(msgspec.json.encode(value)) for name, value in told.items()}


def thought(raw: Raw, said: int, called: int) -> Raw:
    """A block of thoughts after so many characters and calls, with its place."""
    if not said and not called:
        return raw
    block = read(bytes(raw), dict[str, Any])
    return Raw(msgspec.json.encode(placed(block, said, called)))


def page(citation: Raw, start: int, end: int) -> list[Annotation]:
    """A citation of a page, of the text from `start` to `end`; none of any other source."""
    found: Any = read(bytes(citation), object)
    if not isinstance(found, Mapping):
        return []
    return cited(found.get("url"), found.get("title"), start, end)
