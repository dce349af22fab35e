"""What an answer is billed at: a whole one, and a streamed one wherever it ends."""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct, structs

from gateway.core import tokens
from gateway.core.catalog import Deployment
from gateway.core.chat import ChatRequest, Completion, Delta, Usage
from gateway.core.flow import Sink
from gateway.core.money import Nanos
from gateway.core.usage import NOT_BILLED

_ANY: Final = 2**53


class CountCap(Struct, frozen=True):
    """Of a call, in tokens: what is held of its `prompt` and its `answer`, and what its model takes
    for an image. What we count ourselves is no more than that: its model may be known to count
    less, and may not say more than its limit, however many bytes that is.
    """

    prompt: int = _ANY
    answer: int = _ANY
    each_image: int = tokens.IMAGE_TOKENS


def billed(
    answer: Completion, request: ChatRequest, most: Callable[[], CountCap] = CountCap
) -> tuple[Usage, bool]:
    """The usage of a whole answer, and whether we had to count some of it ourselves."""
    usage = answer.usage
    if usage is not None and usage.prompt and usage.completion:
        return usage, False
    return _believed(usage, tokens.count_answer(answer.choices), request, most())


def _believed(
    usage: Usage | None, counted: int, request: ChatRequest, most: CountCap
) -> tuple[Usage, bool]:
    """No prompt has no tokens, and no text: a provider that says so has not counted."""
    if usage is NOT_BILLED:
        return usage, False
    if usage is not None and usage.prompt and (usage.completion or not counted):
        return usage, False
    known = _with_input(usage or Usage(), request, most)
    return structs.replace(known, completion=known.completion or min(counted, most.answer)), True


def _with_input(known: Usage, request: ChatRequest, most: CountCap) -> Usage:
    """With a prompt that we counted, where none is known."""
    if known.prompt:
        return known
    prompt = min(tokens.count_input(request, most.each_image), most.prompt)
    audio = min(tokens.count_audio(request), prompt)
    return structs.replace(known, prompt=prompt, audio_prompt=audio)


def charge(computed: Nanos, usage: Usage, deployment: Deployment, *, counted: bool) -> Nanos:
    """What a call is charged whose price comes to `computed`, where its provider may say what it
    costs. A price that was written may be above the provider's, as for a markup; what is billed
    beyond it is charged all the same. One that is only listed is what the provider should charge,
    so what it did charge counts; unless it was `counted` here how long the answer is: then more may
    have come than the provider knew of when it said so.
    """
    reported = Nanos(usage.reported_cost)
    if reported and deployment.listed_price and not counted:
        return reported
    return max(computed, reported)


class Tally:
    """Counts the deltas of one call."""

    __slots__ = ("_begun", "_finished", "_most", "_reported_at", "_size", "usage")

    def __init__(self, most: CountCap | None = None) -> None:
        self._most = most or CountCap()
        self._begun = self._finished = False
        self._reported_at = -1
        """The size when the provider told its usage behind the end of its answer."""
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
        for choice in delta.choices:
            self._size += len(choice.text.encode())
            if choice.reasoning or choice.refusal:
                self._size += len(choice.reasoning.encode()) + len(choice.refusal.encode())
            for call in choice.tool_calls:
                self._size += len(call.arguments.encode())
            if choice.extra:
                self._size += tokens.function_size(choice.extra)
            if choice.finish is not None:
                self._finished = True
        if delta.usage is not None:
            self.usage = delta.usage
            self._reported_at = self._size if self._finished else -1

    def billed(self, request: ChatRequest) -> tuple[Usage, bool]:
        """Once the answer is whole: its usage, and whether we had to count some of it."""
        return _believed(self.usage, tokens.count(self._size), request, self._most)

    def counted(self, request: ChatRequest) -> Usage:
        """What the provider told, or as much as we counted where that is more and something was
        said after it had told.
        """
        if self.usage is NOT_BILLED:
            return self.usage
        known = _with_input(self.usage or Usage(), request, self._most)
        if known.completion and self._reported_at == self._size:
            return known
        counted = min(tokens.count(self._size), self._most.answer)
        return structs.replace(known, completion=max(known.completion, counted))
