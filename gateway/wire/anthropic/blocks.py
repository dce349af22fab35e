"""The blocks of a streamed answer: each is begun, and added to, by events of its own."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

import msgspec
from msgspec import Raw, Struct

from gateway.core.chat import ChoiceDelta, ToolDelta
from gateway.core.errors import Broken
from gateway.wire.anthropic.faults import read
from gateway.wire.anthropic.reply import of_call, page, thought
from gateway.wire.calls import told_arguments, told_name
from gateway.wire.kept import Kept
from gateway.wire.thoughts import placed


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
    """The last two, and a signature, are what a compaction of the context came to."""


class Block(Protocol):
    """One open block. Each step gives what the client is to be told, if anything."""

    def begin(self) -> ChoiceDelta | None: ...
    def add(self, piece: Piece) -> ChoiceDelta | None: ...
    def end(self) -> ChoiceDelta | None: ...


class _Started(Struct):
    """Imitators write null for what is not there yet."""

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
    def __init__(self, started: _Started, raw: Raw, kept: Kept) -> None:
        self._kept = kept
        self._start = self._stop = kept.said
        self._first = started.text
        self._citations: list[Raw] = []

    def begin(self) -> ChoiceDelta | None:
        return self._tell(self._first)

    def add(self, piece: Piece) -> ChoiceDelta | None:
        if bytes(piece.citation):
            self._citations.append(piece.citation)
            self._kept.citations.append(piece.citation)
        return self._tell(piece.text)

    def end(self) -> None:
        for citation in self._citations:
            self._kept.pages += page(citation, self._start, self._stop)

    def _tell(self, text: str | None) -> ChoiceDelta | None:
        if not text:
            return None
        self._kept.said += len(text)
        self._stop = self._kept.said
        return ChoiceDelta(text=text)


class _Thinking:
    """Thoughts, and at last the signature without which they cannot be sent back."""

    def __init__(self, started: _Started, raw: Raw, kept: Kept) -> None:
        self._kept = kept
        self._place = (kept.said, kept.tools)
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
        self._kept.thinking.append(Raw(msgspec.json.encode(placed(block, *self._place))))


class _Redacted:
    """Thoughts in cipher: whole from the start."""

    def __init__(self, started: _Started, raw: Raw, kept: Kept) -> None:
        self._kept = kept
        self._thought = thought(raw, kept.said, kept.tools)

    def begin(self) -> None:
        return None

    def add(self, piece: Piece) -> None:
        return None

    def end(self) -> None:
        self._kept.thinking.append(self._thought)


class _Tool:
    """A tool for the client to run, counted among its like: not by its place in the answer."""

    def __init__(self, started: _Started, raw: Raw, kept: Kept) -> None:
        self._index = kept.tools
        kept.tools += 1
        self._started = started
        self._spoke = False

    def begin(self) -> ChoiceDelta:
        name = told_name(self._started.name or "")
        extra = of_call(self._started.toolset_name, self._started.caller)
        return self._tell(ToolDelta(self._index, self._started.id or "", name, extra=extra))

    def add(self, piece: Piece) -> ChoiceDelta | None:
        if not piece.partial_json:
            return None
        self._spoke = True
        return self._tell(ToolDelta(self._index, arguments=piece.partial_json))

    def end(self) -> ChoiceDelta | None:
        # A tool without arguments streams "": what it was begun with, `{}`, is its input.
        if self._spoke:
            return None
        return self._tell(ToolDelta(self._index, arguments=told_arguments(self._started.input)))

    def _tell(self, delta: ToolDelta) -> ChoiceDelta:
        return ChoiceDelta(tool_calls=(delta,))


class _Server:
    """A tool that runs at the provider, or what is newer than this: kept apart, whole."""

    def __init__(self, started: _Started, raw: Raw, kept: Kept) -> None:
        self._kept = kept
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
            # An input that was cut off at the output limit is not JSON: the start's stands.
            with suppress(Broken):
                block["input"] = read(self._input.encode(), dict[str, Any])
        self._kept.server.append(Raw(msgspec.json.encode(block)))


_KINDS: Final[Mapping[str, Callable[[_Started, Raw, Kept], Block]]] = {
    "text": _Text,
    "thinking": _Thinking,
    "redacted_thinking": _Redacted,
    "tool_use": _Tool,
}


class _Kind(Struct):
    type: str = ""


def opened(raw: Raw, kept: Kept) -> Block:
    """The block that a content_block_start begins."""
    kind = _KINDS.get(read(bytes(raw), _Kind).type)
    if kind is None:
        return _Server(_Started(), raw, kept)
    return kind(read(bytes(raw), _Started), raw, kept)
