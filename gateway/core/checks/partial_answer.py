"""The part of a streamed answer that has come so far. It has one choice."""

from collections.abc import Sequence
from typing import Final

from gateway.core.chat import Delta

HEAD: Final = 2_048
"""Characters of the beginning that are kept at hand."""


class PartialAnswer:
    """`more` is the text that came last."""

    def __init__(self) -> None:
        self.head = ""
        """The first HEAD characters of the text."""
        self.more = ""
        self.size = 0
        """Characters of text."""
        self.called: list[str] = []
        """The names of tools, in the order in which the calls began."""
        self.refused = False
        self.ended = False
        self._parts: list[str] = []

    def add(self, deltas: Sequence[Delta]) -> bool:
        """Returns whether they hold any piece of the choice."""
        texts = []
        for delta in deltas:
            for piece in delta.choices:
                texts.append(piece.text)
                if delta.size is None:
                    self.ended = self.ended or piece.finish is not None
                    self.refused = self.refused or bool(piece.refusal)
                    self.called += [call.name for call in piece.tool_calls if call.name is not None]
        self.more = more = "".join(texts)
        if more:
            self._parts.append(more)
            self.size += len(more)
            if len(self.head) < HEAD:
                self.head = (self.head + more)[:HEAD]
        return bool(texts)

    @property
    def text(self) -> str:
        """All of it so far, joined anew: not to be used for every delta."""
        self._parts = ["".join(self._parts)]
        return self._parts[0]
