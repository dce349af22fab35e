"""What of a streamed answer has come so far, and what it will be billed at if it ends here."""

from collections.abc import Sequence

from gateway.core import tokens
from gateway.core.chat import ChatRequest, Delta, Usage


class Tally:
    """Counts the deltas of one call."""

    __slots__ = ("_size", "begun", "usage")

    def __init__(self) -> None:
        self.begun = False
        self.usage: Usage | None = None
        """The last usage that the provider told."""
        self._size = 0

    def add(self, deltas: Sequence[Delta]) -> None:
        self.begun = True
        for delta in deltas:
            if delta.usage is not None:
                self.usage = delta.usage
            for choice in delta.choices:
                self._size += len(choice.text.encode())
                if choice.reasoning or choice.refusal:
                    self._size += len(choice.reasoning.encode()) + len(choice.refusal.encode())
                for call in choice.tool_calls:
                    self._size += len(call.arguments.encode())

    def counted(self, request: ChatRequest) -> Usage:
        """What the provider told, or as much as we counted where that is more."""
        told = self.usage or Usage()
        return Usage(
            prompt=told.prompt or tokens.count_prompt(request),
            completion=max(told.completion, tokens.count(self._size)),
            cached=told.cached,
            cache_write=told.cache_write,
            reasoning=told.reasoning,
        )
