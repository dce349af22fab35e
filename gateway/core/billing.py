"""What an answer is billed at: a whole one, and a streamed one wherever it ends."""

from collections.abc import Callable, Sequence

from msgspec import Struct, structs

from gateway.core import tokens
from gateway.core.chat import ChatRequest, Completion, Delta, Usage
from gateway.core.flow import Sink


class PromptCap(Struct, frozen=True):
    """Of a call, in tokens: what is held of its `prompt`, and what its model takes for an image. A
    prompt that we count ourselves is no more than that: its model may be known to count less.
    """

    prompt: int = 2**53
    each_image: int = tokens.IMAGE_TOKENS


def billed(
    answer: Completion, request: ChatRequest, most: Callable[[], PromptCap] = PromptCap
) -> tuple[Usage, bool]:
    """The usage of a whole answer, and whether we had to count some of it ourselves."""
    usage = answer.usage
    if usage is not None and usage.prompt and usage.completion:
        return usage, False
    return _believed(usage, tokens.count_answer(answer.choices), request, most())


def _believed(
    usage: Usage | None, counted: int, request: ChatRequest, most: PromptCap
) -> tuple[Usage, bool]:
    """No prompt has no tokens, and no text: a provider that says so has not counted."""
    if usage is not None and usage.prompt and (usage.completion or not counted):
        return usage, False
    known = _with_input(usage or Usage(), request, most)
    return structs.replace(known, completion=known.completion or counted), True


def _with_input(known: Usage, request: ChatRequest, most: PromptCap) -> Usage:
    """With a prompt that we counted, where none is known."""
    if known.prompt:
        return known
    prompt = min(tokens.count_input(request, most.each_image), most.prompt)
    audio = min(tokens.count_audio(request), prompt)
    return structs.replace(known, prompt=prompt, audio_prompt=audio)


class Tally:
    """Counts the deltas of one call."""

    __slots__ = ("_begun", "_most", "_size", "usage")

    def __init__(self, most: PromptCap | None = None) -> None:
        self._most = most or PromptCap()
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
            if choice.extra:
                self._size += tokens.function_size(choice.extra)

    def billed(self, request: ChatRequest) -> tuple[Usage, bool]:
        """Once the answer is whole: its usage, and whether we had to count some of it."""
        return _believed(self.usage, tokens.count(self._size), request, self._most)

    def counted(self, request: ChatRequest) -> Usage:
        """What the provider told, or as much as we counted where that is more."""
        known = _with_input(self.usage or Usage(), request, self._most)
        return structs.replace(known, completion=max(known.completion, tokens.count(self._size)))
