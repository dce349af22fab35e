"""A whole answer of Converse."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Raw, Struct

from gateway.core.chat import Choice, Completion, ToolCall
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.bedrock.faults import fault, read
from gateway.wire.bedrock.usage import usage
from gateway.wire.calls import told_arguments, told_name
from gateway.wire.citations import Annotation, cited
from gateway.wire.dialect import Target
from gateway.wire.faults import counted
from gateway.wire.kept import Kept, beside
from gateway.wire.thoughts import placed

FINISH: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
"""stopReason to finish_reason; a reason that is not here reads as `stop`."""
_MALFORMED: Final = frozenset({"malformed_model_output", "malformed_tool_use"})

SERVER_TOOL: Final = "server_tool_use"
"""The `type` of a tool use that the provider carries out itself."""


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


class _Cited(Struct):
    text: str = ""


class _Citations(Struct):
    content: tuple[_Cited, ...] = ()
    citations: tuple[Raw, ...] = ()


class _Block(Struct, rename="camel"):
    """One content block: exactly one of these, or something newer."""

    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Citations | None = None


class _Message(Struct):
    content: list[Raw] | None = None


class _Output(Struct):
    message: _Message | None = None


class _Answer(Struct, rename="camel"):
    """Everything has a default, so that what is missing is told apart here."""

    output: _Output | None = None
    stop_reason: str = ""
    usage: Any = None
    additional_model_response_fields: Any = None
    """What `additionalModelResponseFieldPaths` asked for."""
    trace: Any = None
    """What a guardrail found, where it was asked to tell."""


class Parts:
    """What the blocks of one answer amount to."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.tools: list[ToolCall] = []
        self.kept = Kept()

    def add(self, raw: Raw) -> None:
        block = read(bytes(raw), _Block)
        if block.text is not None:
            self._say(block.text)
        elif block.reasoning_content is not None:
            self._reasoning(block.reasoning_content)
        elif block.citations_content is not None:
            self._cited(block.citations_content)
        elif block.tool_use is not None and block.tool_use.type != SERVER_TOOL:
            use = block.tool_use
            name = told_name(use.name)
            self.tools.append(ToolCall(use.tool_use_id, name, told_arguments(use.input)))
            self.kept.tools += 1
        else:
            # Tools that ran at the provider, and what is newer than this, are not the client's.
            self.kept.server.append(raw)

    def _say(self, text: str) -> None:
        self.texts.append(text)
        self.kept.said += len(text)

    def _cited(self, said: _Citations) -> None:
        kept, start = self.kept, self.kept.said
        for each in said.content:
            self._say(each.text)
        for citation in said.citations:
            kept.citations.append(citation)
            kept.pages += page(citation, start, kept.said)

    def _reasoning(self, said: _Reasoning) -> None:
        place = (self.kept.said, self.kept.tools)
        blocks: list[Mapping[str, Any]] = []
        if said.reasoning_text is not None:
            self.thoughts.append(said.reasoning_text.text)
            blocks += thinking(said.reasoning_text.text, said.reasoning_text.signature)
        if said.redacted_content is not None:
            blocks.append(redacted(unsealed(said.redacted_content)))
        self.kept.thinking += (placed(block, *place) for block in blocks)


def decode(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Completion:
    """The answer; raises UpstreamError for anything else."""
    if status != 200:
        raise fault(status, headers, body)
    answer = read(body, _Answer)
    told = usage(answer.usage)
    try:
        choice = _choice(answer)
    except UpstreamError as error:
        raise counted(error, told) from None
    fields = answer.additional_model_response_fields
    extra = beside(additionalModelResponseFields=fields, trace=answer.trace)
    name = headers.get("x-amzn-requestid", "")
    return Completion(choices=(choice,), id=name, usage=told, extra=extra)


def _choice(answer: _Answer) -> Choice:
    message = answer.output.message if answer.output is not None else None
    if message is None or message.content is None:
        raise Broken("the provider's answer has no content")
    parts = Parts()
    for raw in message.content:
        parts.add(raw)
    return Choice(
        text="".join(parts.texts) or None,
        tool_calls=tuple(parts.tools),
        finish=finish(answer.stop_reason, calls=bool(parts.tools)),
        reasoning="".join(parts.thoughts) or None,
        extra=parts.kept.extras(),
    )


def finish(stop_reason: str, *, calls: bool) -> str:
    """OpenAI's reason. A client that reads `tool_calls` must find some.

    Raises Broken where Bedrock itself could not read what the model wrote.
    """
    if stop_reason in _MALFORMED:
        raise Broken(f"the model's answer was unreadable: {stop_reason}", upstream_code=stop_reason)
    found = FINISH.get(stop_reason, "stop")
    return "stop" if found == "tool_calls" and not calls else found


def thinking(text: str, signature: str) -> list[Mapping[str, Any]]:
    """A thinking block, when it is signed: without a signature it cannot be sent back."""
    if not signature:
        return []
    return [{"type": "thinking", "thinking": text, "signature": signature}]


def redacted(data: str) -> Mapping[str, Any]:
    return {"type": "redacted_thinking", "data": data}


def unsealed(content: str) -> str:
    """The cipher as Anthropic's own API shows it; on this wire it is a blob, in base64 again."""
    try:
        return base64.b64decode(content, validate=True).decode("latin-1")
    except (binascii.Error, ValueError):
        raise Broken("the provider's redacted thoughts are not in base64") from None


def joined(pieces: Iterable[str]) -> str:
    """Pieces of a blob, each in base64, as one."""
    try:
        whole = b"".join(base64.b64decode(piece, validate=True) for piece in pieces)
    except (binascii.Error, ValueError):
        raise Broken("the provider's image is not in base64") from None
    return base64.b64encode(whole).decode()


def page(citation: Raw, start: int, end: int) -> list[Annotation]:
    """A citation of a page, of the text from `start` to `end`; none of any other source."""
    found: Any = read(bytes(citation), object)
    location = found.get("location") if isinstance(found, Mapping) else None
    web = location.get("web") if isinstance(location, Mapping) else None
    return cited(web.get("url"), found.get("title"), start, end) if isinstance(web, Mapping) else []
