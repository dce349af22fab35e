"""The blocks of a streamed answer. Only those of tools are begun by an event of their own."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

import msgspec
from msgspec import Raw, Struct

from gateway.core.chat import ChoiceDelta, ToolDelta
from gateway.core.errors import Broken
from gateway.wire.bedrock.faults import read
from gateway.wire.bedrock.reply import SERVER_TOOL, joined, page, redacted, thinking, unsealed
from gateway.wire.calls import told_name
from gateway.wire.kept import Kept
from gateway.wire.thoughts import placed


class _Input(Struct):
    input: str = ""


class _Thought(Struct, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Source(Struct):
    """Of a piece of an image; one that is kept elsewhere has no bytes."""

    bytes: str = ""


class Piece(Struct, rename="camel"):
    """The `delta` of a contentBlockDelta: one of these, or something newer."""

    text: str | None = None
    tool_use: _Input | None = None
    tool_result: tuple[Raw, ...] | None = None
    reasoning_content: _Thought | None = None
    citation: Raw = Raw(b"")
    image: Mapping[str, Raw] | None = None


class Block(Protocol):
    """One open block. Each step gives what the client is to be told, if anything."""

    def begin(self) -> ChoiceDelta | None: ...
    def add(self, piece: Piece) -> ChoiceDelta | None: ...
    def end(self) -> ChoiceDelta | None: ...


class Spoken:
    """Text or thoughts: which of them, its pieces tell."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._start = kept.said
        self._place = (kept.said, kept.tools)
        self._citations: list[Raw] = []
        self._thoughts: list[str] = []
        self._signature = ""
        self._sealed = ""

    def begin(self) -> None:
        return None

    def add(self, piece: Piece) -> ChoiceDelta | None:
        if piece.tool_use is not None:
            raise Broken("the stream adds to a tool call that it did not begin")
        if bytes(piece.citation):
            self._citations.append(piece.citation)
            self._kept.citations.append(piece.citation)
        if piece.reasoning_content is not None:
            return self._thought(piece.reasoning_content)
        if not piece.text:
            return None
        self._kept.said += len(piece.text)
        return ChoiceDelta(text=piece.text)

    def end(self) -> None:
        for citation in self._citations:
            self._kept.pages += page(citation, self._start, self._kept.said)
        blocks: list[Mapping[str, Any]] = [*thinking("".join(self._thoughts), self._signature)]
        if self._sealed:
            blocks.append(redacted(self._sealed))
        self._kept.thinking += (placed(block, *self._place) for block in blocks)

    def _thought(self, said: _Thought) -> ChoiceDelta | None:
        self._signature += said.signature or ""
        self._sealed += unsealed(said.redacted_content or "")
        if not said.text:
            return None
        self._thoughts.append(said.text)
        return ChoiceDelta(reasoning=said.text)


class _Started(Struct, rename="camel"):
    """The `toolUse` that a block is begun with."""

    tool_use_id: str = ""
    name: str = ""
    type: str = ""


class _Tool:
    """A tool for the client to run, counted among its like: not by its place in the answer.

    A tool without arguments streams nothing, "" or an encoded "": its arguments are `{}`.
    """

    def __init__(self, started: _Started, kept: Kept) -> None:
        self._index = kept.tools
        kept.tools += 1
        self._started = started
        self._spoke = False
        self._held = ""

    def begin(self) -> ChoiceDelta:
        name = told_name(self._started.name)
        return self._tell(ToolDelta(self._index, self._started.tool_use_id, name))

    def add(self, piece: Piece) -> ChoiceDelta | None:
        said = piece.tool_use.input if piece.tool_use is not None else ""
        if not said:
            return None
        said, self._held = self._held + said, ""
        if said == '""' and not self._spoke:
            self._held = said
            return None
        self._spoke = True
        return self._tell(ToolDelta(self._index, arguments=said))

    def end(self) -> ChoiceDelta | None:
        return None if self._spoke else self._tell(ToolDelta(self._index, arguments="{}"))

    def _tell(self, delta: ToolDelta) -> ChoiceDelta:
        return ChoiceDelta(tool_calls=(delta,))


class _Server:
    """A tool that runs at the provider, its result, or what is newer: kept apart, whole."""

    def __init__(self, kind: str, started: Raw, kept: Kept) -> None:
        self._kept = kept
        self._kind = kind
        self._started = started
        self._input = ""
        self._content: list[Raw] = []
        self._image: dict[str, Raw] = {}
        self._octets: list[str] = []

    def begin(self) -> None:
        return None

    def add(self, piece: Piece) -> None:
        self._input += piece.tool_use.input if piece.tool_use is not None else ""
        self._content += piece.tool_result or ()
        self._image |= piece.image or {}
        source = read(bytes((piece.image or {}).get("source", b"{}")), _Source)
        if source.bytes:
            self._octets.append(source.bytes)

    def end(self) -> None:
        block = dict(read(bytes(self._started), dict[str, Raw]))
        if self._kind == "toolUse":
            # An input that was cut off at the output limit is not JSON: it is left out.
            with suppress(Broken):
                read((self._input or "{}").encode(), dict[str, Raw])
                block["input"] = Raw((self._input or "{}").encode())
        if self._kind == "toolResult":
            block["content"] = Raw(msgspec.json.encode(self._content))
        if self._kind == "image":
            block |= self._image
            if self._octets:
                block["source"] = Raw(msgspec.json.encode({"bytes": joined(self._octets)}))
        self._kept.server.append(Raw(msgspec.json.encode({self._kind: block})))


def opened(start: Mapping[str, Raw], kept: Kept) -> Block:
    """The block that a contentBlockStart begins with `start`: a map of one member."""
    for kind, raw in start.items():
        if kind == "toolUse":
            started = read(bytes(raw), _Started)
            if started.type != SERVER_TOOL:
                return _Tool(started, kept)
        return _Server(kind, raw, kept)
    return Spoken(kept)
