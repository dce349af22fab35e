"""Bodies of `invoke` for models that only continue a text: Titan, Llama, Mistral, Cohere, Claude 2.

They are read, because they are recorded, and never written: Converse asks all of these models.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.core.chat import Choice, ChoiceDelta, Completion, Delta, Usage
from gateway.core.errors import Broken
from gateway.wire.bedrock.usage import counted

TEXTS: Final = ("completion", "generation", "outputText", "text")
_LISTS: Final = ("generations", "outputs", "results")
SIGNS: Final = frozenset({*TEXTS, *_LISTS})
"""A body with one of these fields is a continued text."""
_REASONS: Final = ("completionReason", "finish_reason", "stop_reason")
_FINISH: Final[Mapping[str, str]] = {
    "length": "length",
    "max_tokens": "length",
    "content_filtered": "content_filter",
    "error_toxic": "content_filter",
}
"""By the model's reason in lower case; every other reads as `stop`."""
METRICS: Final = "amazon-bedrock-invocationMetrics"
_COUNTS: Final = (
    ("inputTokenCount", "outputTokenCount"),
    ("inputTextTokenCount", "totalOutputTextTokenCount"),
    ("prompt_token_count", "generation_token_count"),
)
_HEADERS: Final = ("x-amzn-bedrock-input-token-count", "x-amzn-bedrock-output-token-count")


class Piece(Struct, frozen=True):
    """A text, or a part of one. `finish` is None until the model has stopped."""

    text: str
    finish: str | None
    usage: Usage | None


def completion(said: Mapping[str, Any], headers: Mapping[str, str]) -> Completion:
    """A whole answer."""
    found = piece(said)
    told = [headers.get(name, "") for name in _HEADERS]
    usage = found.usage
    if usage is None and all(count.isascii() and count.isdigit() for count in told):
        usage = counted(*(int(count) for count in told))
    choice = Choice(text=found.text or None, finish=found.finish or "stop")
    return Completion(choices=(choice,), id=headers.get("x-amzn-requestid", ""), usage=usage)


def piece(said: Mapping[str, Any]) -> Piece:
    inner = said
    for name in _LISTS:
        listed = said.get(name)
        if isinstance(listed, list) and listed and isinstance(listed[0], Mapping):
            inner = listed[0]
    reason = _first(inner, _REASONS) or _first(said, _REASONS)
    finish = None if not reason else _FINISH.get(reason.lower(), "stop")
    if said.get("amazon-bedrock-guardrailAction") == "INTERVENED":
        finish = "content_filter"
    return Piece(_first(inner, TEXTS), finish, _usage(said))


class TextAnswer:
    """What the events of one streamed text amount to."""

    done = False

    def __init__(self) -> None:
        self._finish: str | None = None
        self._counted = False

    @property
    def complete(self) -> bool:
        """See StreamDecoder."""
        return self._finish is not None and self._counted

    def event(self, said: Mapping[str, Any]) -> list[Delta]:
        found = piece(said)
        first = self._finish is None
        self._finish = self._finish or found.finish
        self._counted = self._counted or found.usage is not None
        choice = ChoiceDelta(text=found.text, finish=found.finish if first else None)
        choices = (choice,) if choice.text or choice.finish else ()
        return [Delta(choices, found.usage)] if choices or found.usage else []

    def finish(self) -> list[Delta]:
        if self._finish is None:
            raise Broken("the stream ended before the answer did")
        return []


def _usage(said: Mapping[str, Any]) -> Usage | None:
    metrics = said.get(METRICS)
    for place in (metrics if isinstance(metrics, Mapping) else {}, said):
        for names in _COUNTS:
            found = counted(*(_whole(place.get(name)) for name in names))
            if found is not None:
                return found
    return None


def _whole(count: Any) -> Any:
    """Titan counts in fractions: 6.0 tokens."""
    return int(count) if type(count) is float and count.is_integer() else count


def _first(said: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((said[name] for name in names if isinstance(said.get(name), str)), "")
