"""The one choice of an answer that is still coming, as far as it has come."""

from collections.abc import Sequence
from typing import Final

from gateway.core.chat import ChoiceDelta

HEAD: Final = 2_048
"""Characters of the beginning that are kept at hand."""


class Heard:
    """`more` is the text that came last."""

    def __init__(self) -> None:
        self.head = ""
        """The first HEAD characters of the text."""
        self.more = ""
        self.size = 0
        """Characters of text."""
        self.bytes = 0
        self.called: list[str] = []
        """The names of tools, in the order in which the calls began."""
        self.refused = False
        self.ended = False
        self._parts: list[str] = []

    def add(self, pieces: Sequence[ChoiceDelta]) -> None:
        more = pieces[0].text if len(pieces) == 1 else "".join(piece.text for piece in pieces)
        for piece in pieces:
            self.ended = self.ended or piece.finish is not None
            self.refused = self.refused or bool(piece.refusal)
            self.called += [call.name for call in piece.tool_calls if call.name is not None]
        self.more = more
        if more:
            self._parts.append(more)
            self.size += len(more)
            self.bytes += len(more.encode("utf-8", "surrogatepass"))
            if len(self.head) < HEAD:
                self.head = (self.head + more)[:HEAD]

    @property
    def text(self) -> str:
        """All of it. Takes time that grows with it."""
        self._parts = ["".join(self._parts)]
        return self._parts[0]
