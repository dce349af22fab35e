"""The content blocks of a streamed answer. Only those of tools have a start event."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

import msgspec
from msgspec import Raw, Struct

from gateway.core.chat import ChoiceDelta, ToolDelta
from gateway.core.errors import Broken
from gateway.wire.bedrock.faults import read
from gateway.wire.bedrock.reply import (
    SERVER_TOOL,
    decode_redacted,
    join_base64,
    page_citations,
    redacted_block,
    thinking,
)
from gateway.wire.calls import require_name
from gateway.wire.extra_fields import Collected
from gateway.wire.thoughts import with_position


class _Input(Struct):
    input: str = ""


class _Thought(Struct, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Source(Struct):
    """The source of an image piece; without bytes if the image is stored elsewhere (S3)."""

    bytes: str = ""


class Piece(Struct, rename="camel"):
    """The `delta` of a contentBlockDelta: exactly one of these fields, or an unknown one."""

    text: str | None = None
    tool_use: _Input | None = None
    tool_result: tuple[Raw, ...] | None = None
    reasoning_content: _Thought | None = None
    citation: Raw = Raw(b"")
    image: Mapping[str, Raw] | None = None


class Block(Protocol):
    """One open block. Each step returns the delta for the client, if any."""

    def begin(self) -> ChoiceDelta | None: ...
    def add(self, piece: Piece) -> ChoiceDelta | None: ...
    def end(self) -> ChoiceDelta | None: ...


class TextOrThinking:
    """A block without a start event: text or thinking, as its pieces show."""

    def __init__(self, collected: Collected, upstream: str) -> None:
        self._collected = collected
        self._upstream = upstream
        self._start = collected.text_length
        self._place = (collected.text_length, collected.tools)
        self._citations: list[Raw] = []
        self._thoughts: list[str] = []
        self._signature = ""
        self._redacted = b""

    def begin(self) -> None:
        return None

    def add(self, piece: Piece) -> ChoiceDelta | None:
        if piece.tool_use is not None:
            raise Broken("the stream adds to a tool call that it did not begin")
        if bytes(piece.citation):
            self._citations.append(piece.citation)
            self._collected.citations.append(piece.citation)
        if piece.reasoning_content is not None:
            return self._thought(piece.reasoning_content)
        if not piece.text:
            return None
        self._collected.text_length += len(piece.text)
        return ChoiceDelta(text=piece.text)

    def end(self) -> None:
        for citation in self._citations:
            self._collected.pages += page_citations(
                citation, self._start, self._collected.text_length
            )
        blocks: list[Mapping[str, Any]] = [*thinking("".join(self._thoughts), self._signature)]
        if self._redacted:
            blocks.append(redacted_block(self._redacted, self._upstream))
        self._collected.thinking += (with_position(block, *self._place) for block in blocks)

    def _thought(self, piece: _Thought) -> ChoiceDelta | None:
        self._signature += piece.signature or ""
        self._redacted += decode_redacted(piece.redacted_content or "")
        if not piece.text:
            return None
        self._thoughts.append(piece.text)
        return ChoiceDelta(reasoning=piece.text)


class _Started(Struct, rename="camel"):
    """The `toolUse` of a start event."""

    tool_use_id: str = ""
    name: str = ""
    type: str = ""


class _Tool:
    """A client tool call. Its index counts client tool calls, not blocks.

    A call without arguments streams nothing, "" or an encoded "": that becomes {}.
    """

    def __init__(self, started: _Started, collected: Collected) -> None:
        self._index = collected.tools
        collected.tools += 1
        self._started = started
        self._has_arguments = False
        self._unsent = ""

    def begin(self) -> ChoiceDelta:
        name = require_name(self._started.name)
        return self._delta(ToolDelta(self._index, self._started.tool_use_id, name))

    def add(self, piece: Piece) -> ChoiceDelta | None:
        text = piece.tool_use.input if piece.tool_use is not None else ""
        if not text:
            return None
        text, self._unsent = self._unsent + text, ""
        if text == '""' and not self._has_arguments:
            self._unsent = text
            return None
        self._has_arguments = True
        return self._delta(ToolDelta(self._index, arguments=text))

    def end(self) -> ChoiceDelta | None:
        return None if self._has_arguments else self._delta(ToolDelta(self._index, arguments="{}"))

    def _delta(self, delta: ToolDelta) -> ChoiceDelta:
        return ChoiceDelta(tool_calls=(delta,))


class _Server:
    """A tool that ran at the provider, its result, or an unknown type: collected whole."""

    def __init__(self, kind: str, started: Raw, collected: Collected) -> None:
        self._collected = collected
        self._kind = kind
        self._started = started
        self._input = ""
        self._content: list[Raw] = []
        self._image: dict[str, Raw] = {}
        self._image_pieces: list[str] = []

    def begin(self) -> None:
        return None

    def add(self, piece: Piece) -> None:
        self._input += piece.tool_use.input if piece.tool_use is not None else ""
        self._content += piece.tool_result or ()
        self._image |= piece.image or {}
        source = read(bytes((piece.image or {}).get("source", b"{}")), _Source)
        if source.bytes:
            self._image_pieces.append(source.bytes)

    def end(self) -> None:
        block = dict(read(bytes(self._started), dict[str, Raw]))
        if self._kind == "toolUse":
            # An input cut off at the output limit is not JSON: leave it out.
            with suppress(Broken):
                read((self._input or "{}").encode(), dict[str, Raw])
                block["input"] = Raw((self._input or "{}").encode())
        if self._kind == "toolResult":
            block["content"] = Raw(msgspec.json.encode(self._content))
        if self._kind == "image":
            block |= self._image
            if self._image_pieces:
                block["source"] = Raw(
                    msgspec.json.encode({"bytes": join_base64(self._image_pieces)})
                )
        self._collected.server.append(Raw(msgspec.json.encode({self._kind: block})))


def open_block(start: Mapping[str, Raw], collected: Collected, upstream: str) -> Block:
    """A new block for a contentBlockStart, whose `start` has a single member."""
    for kind, raw in start.items():
        if kind == "toolUse":
            started = read(bytes(raw), _Started)
            if started.type != SERVER_TOOL:
                return _Tool(started, collected)
        return _Server(kind, raw, collected)
    return TextOrThinking(collected, upstream)
