"""What an answer is billed at: a whole one, and a streamed one wherever it ends."""

from collections.abc import Sequence

from msgspec import structs

from gateway.core import tokens
from gateway.core.chat import ChatRequest, Completion, Delta, Usage
from gateway.core.flow import Sink


def billed(
    answer: Completion, request: ChatRequest, each_image: int = tokens.IMAGE_TOKENS
) -> tuple[Usage, bool]:
    """The usage of a whole answer, and whether we had to count some of it ourselves. `each_image`
    is what its model takes for an image.
    """
    told = answer.usage
    if told is not None and told.prompt and told.completion:
        return told, False
    return _believed(told, tokens.count_answer(answer.choices), request, each_image)


def _believed(
    told: Usage | None, counted: int, request: ChatRequest, each_image: int
) -> tuple[Usage, bool]:
    """No prompt has no tokens, and no text: a provider that says so has not counted."""
    if told is not None and told.prompt and (told.completion or not counted):
        return told, False
    known = _with_input(told or Usage(), request, each_image)
    return structs.replace(known, completion=known.completion or counted), True


def _with_input(known: Usage, request: ChatRequest, each_image: int) -> Usage:
    """With a prompt that we counted, where none is known."""
    if known.prompt:
        return known
    prompt, sound = tokens.count_input(request, each_image), tokens.count_sound(request)
    return structs.replace(known, prompt=prompt, audio_prompt=sound)


class Tally:
    """Counts the deltas of one call, to a model that takes `each_image` tokens for an image."""

    __slots__ = ("_begun", "_each_image", "_size", "usage")

    def __init__(self, each_image: int = tokens.IMAGE_TOKENS) -> None:
        self._each_image = each_image
        self._begun = False
        self.usage: Usage | None = None
        """The last usage that the provider told."""
        self._size = 0

    @property
    def begun(self) -> bool:
        """Whether anything has come: what has a size goes on with what began without one."""
        return self._begun or self._size > 0

    def add(self, deltas: Sequence[Delta]) -> None:
        for delta in deltas:
            if delta.size is None:
                self._look(delta)
            else:
                self._size += delta.size

    def before(self, sink: Sink) -> Sink:
        """The same sink, and what goes there is counted."""

        def counted(deltas: Sequence[Delta]) -> bool:
            for delta in deltas:  # as `add` does, without its call: this is done for each event
                if delta.size is None:
                    self._look(delta)
                else:
                    self._size += delta.size
            return sink(deltas)

        return counted

    def _look(self, delta: Delta) -> None:
        """At one that may be more than text."""
        self._begun = True
        if delta.usage is not None:
            self.usage = delta.usage
        for choice in delta.choices:
            self._size += len(choice.text.encode())
            if choice.reasoning or choice.refusal:
                self._size += len(choice.reasoning.encode()) + len(choice.refusal.encode())
            for call in choice.tool_calls:
                self._size += len(call.arguments.encode())

    def billed(self, request: ChatRequest) -> tuple[Usage, bool]:
        """Once the answer is whole: its usage, and whether we had to count some of it."""
        return _believed(self.usage, tokens.count(self._size), request, self._each_image)

    def counted(self, request: ChatRequest) -> Usage:
        """What the provider told, or as much as we counted where that is more."""
        known = _with_input(self.usage or Usage(), request, self._each_image)
        return structs.replace(known, completion=max(known.completion, tokens.count(self._size)))
