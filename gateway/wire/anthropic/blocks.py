"""The content blocks of a streamed answer. Each has its own start and delta events."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

import msgspec
from msgspec import Raw, Struct

from gateway.core.chat import ChoiceDelta, ToolDelta
from gateway.core.errors import Broken
from gateway.wire.anthropic.faults import read
from gateway.wire.anthropic.reply import call_fields, page_citations, thinking_with_position
from gateway.wire.calls import arguments_json, require_name
from gateway.wire.extra_fields import Collected
from gateway.wire.thoughts import with_position


class Piece(Struct):
    """The `delta` of a content_block_delta; a field that its type does not have is None."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: Raw = Raw(b"")
    content: str | None = None
    encrypted_content: str | None = None
    """The last two, and a signature, are the result of a context compaction."""


class Block(Protocol):
    """One open block. Each step returns the delta for the client, if any."""

    def begin(self) -> ChoiceDelta | None: ...
    def add(self, piece: Piece) -> ChoiceDelta | None: ...
    def end(self) -> ChoiceDelta | None: ...


class _Started(Struct):
    """The `content_block` of a start event. Imitators send null for fields not known yet."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = Raw(b"{}")
    toolset_name: str | None = None
    caller: Any = None


class _Text:
    def __init__(self, started: _Started, raw: Raw, collected: Collected) -> None:
        self._collected = collected
        self._start = self._stop = collected.text_length
        self._first = started.text
        self._citations: list[Raw] = []

    def begin(self) -> ChoiceDelta | None:
        return self._delta(self._first)

    def add(self, piece: Piece) -> ChoiceDelta | None:
        if bytes(piece.citation):
            self._citations.append(piece.citation)
            self._collected.citations.append(piece.citation)
        return self._delta(piece.text)

    def end(self) -> None:
        for citation in self._citations:
            self._collected.pages += page_citations(citation, self._start, self._stop)

    def _delta(self, text: str | None) -> ChoiceDelta | None:
        if not text:
            return None
        self._collected.text_length += len(text)
        self._stop = self._collected.text_length
        return ChoiceDelta(text=text)


class _Thinking:
    """Thinking text, then its signature, without which it cannot be sent back."""

    def __init__(self, started: _Started, raw: Raw, collected: Collected) -> None:
        self._collected = collected
        self._place = (collected.text_length, collected.tools)
        self._thoughts = [started.thinking or ""]
        self._signature = started.signature or ""

    def begin(self) -> ChoiceDelta | None:
        return ChoiceDelta(reasoning=self._thoughts[0]) if self._thoughts[0] else None

    def add(self, piece: Piece) -> ChoiceDelta | None:
        self._signature += piece.signature or ""
        if not piece.thinking:
            return None
        self._thoughts.append(piece.thinking)
        return ChoiceDelta(reasoning=piece.thinking)

    def end(self) -> None:
        block = {
            "type": "thinking",
            "thinking": "".join(self._thoughts),
            "signature": self._signature,
        }
        self._collected.thinking.append(
            Raw(msgspec.json.encode(with_position(block, *self._place)))
        )


class _Redacted:
    """Encrypted thinking, complete in the start event."""

    def __init__(self, started: _Started, raw: Raw, collected: Collected) -> None:
        self._collected = collected
        self._thought = thinking_with_position(raw, collected.text_length, collected.tools)

    def begin(self) -> None:
        return None

    def add(self, piece: Piece) -> None:
        return None

    def end(self) -> None:
        self._collected.thinking.append(self._thought)


class _Tool:
    """A client tool call. Its index counts client tool calls, not blocks."""

    def __init__(self, started: _Started, raw: Raw, collected: Collected) -> None:
        self._index = collected.tools
        collected.tools += 1
        self._started = started
        self._has_arguments = False

    def begin(self) -> ChoiceDelta:
        name = require_name(self._started.name or "")
        extra = call_fields(self._started.toolset_name, self._started.caller)
        return self._delta(ToolDelta(self._index, self._started.id or "", name, extra=extra))

    def add(self, piece: Piece) -> ChoiceDelta | None:
        if not piece.partial_json:
            return None
        self._has_arguments = True
        return self._delta(ToolDelta(self._index, arguments=piece.partial_json))

    def end(self) -> ChoiceDelta | None:
        # A tool without arguments streams "": then its input is the start event's `{}`.
        if self._has_arguments:
            return None
        return self._delta(ToolDelta(self._index, arguments=arguments_json(self._started.input)))

    def _delta(self, delta: ToolDelta) -> ChoiceDelta:
        return ChoiceDelta(tool_calls=(delta,))


class _Server:
    """A tool that ran at the provider, or an unknown type: collected whole for the end."""

    def __init__(self, started: _Started, raw: Raw, collected: Collected) -> None:
        self._collected = collected
        self._raw = raw
        self._input = ""
        self._compacted: dict[str, str] = {}

    def begin(self) -> None:
        return None

    def add(self, piece: Piece) -> None:
        self._input += piece.partial_json or ""
        for name in ("content", "encrypted_content", "signature"):
            value = getattr(piece, name)
            if value is not None:
                self._compacted[name] = value

    def end(self) -> None:
        block: dict[str, Any] = read(bytes(self._raw), dict[str, Any])
        block |= self._compacted
        if self._input:
            # An input cut off at the output limit is not JSON: keep the start event's.
            with suppress(Broken):
                block["input"] = read(self._input.encode(), dict[str, Any])
        self._collected.server.append(Raw(msgspec.json.encode(block)))


_BLOCK_TYPES: Final[Mapping[str, Callable[[_Started, Raw, Collected], Block]]] = {
    "text": _Text,
    "thinking": _Thinking,
    "redacted_thinking": _Redacted,
    "tool_use": _Tool,
}


class _Kind(Struct):
    type: str = ""


def open_block(raw: Raw, collected: Collected) -> Block:
    """A new block for a content_block_start."""
    factory = _BLOCK_TYPES.get(read(bytes(raw), _Kind).type)
    if factory is None:
        return _Server(_Started(), raw, collected)
    return factory(read(bytes(raw), _Started), raw, collected)
