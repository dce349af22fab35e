"""`invoke` answers of text completion models: Titan, Llama, Mistral, Cohere, Claude 2.

Only decoded, since recordings have them. Requests to these models go through Converse.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.core.chat import Choice, ChoiceDelta, Completion, Delta, Usage
from gateway.core.errors import Broken
from gateway.wire.bedrock.usage import usage_from_counts

TEXTS: Final = ("completion", "generation", "outputText", "text")
_LISTS: Final = ("generations", "outputs", "results")
MARKER_FIELDS: Final = frozenset({*TEXTS, *_LISTS})
"""A body with one of these fields is a text completion."""
_REASONS: Final = ("completionReason", "finish_reason", "stop_reason")
_FINISH: Final[Mapping[str, str]] = {
    "length": "length",
    "max_tokens": "length",
    "content_filtered": "content_filter",
    "error_toxic": "content_filter",
}
"""finish_reason by the model's lower-case reason; any other becomes `stop`."""
GUARDRAIL: Final = "amazon-bedrock-guardrailAction"
METRICS: Final = "amazon-bedrock-invocationMetrics"
_COUNTS: Final = (
    ("inputTokenCount", "outputTokenCount"),
    ("inputTextTokenCount", "totalOutputTextTokenCount"),
    ("prompt_token_count", "generation_token_count"),
)
_HEADERS: Final = ("x-amzn-bedrock-input-token-count", "x-amzn-bedrock-output-token-count")


class Piece(Struct, frozen=True):
    """A completion, or a streamed part. `finish` is None until the model has stopped."""

    text: str
    finish: str | None
    usage: Usage | None


def parse_completion(body: Mapping[str, Any], headers: Mapping[str, str]) -> Completion:
    """Parses a whole answer."""
    answer = parse_piece(body)
    counts = [headers.get(name, "") for name in _HEADERS]
    usage = answer.usage
    if usage is None and all(count.isascii() and count.isdigit() for count in counts):
        usage = usage_from_counts(*(int(count) for count in counts))
    choice = Choice(text=answer.text or None, finish=answer.finish or "stop")
    return Completion(choices=(choice,), id=headers.get("x-amzn-requestid", ""), usage=usage)


def parse_piece(body: Mapping[str, Any]) -> Piece:
    inner = body
    for name in _LISTS:
        results = body.get(name)
        if isinstance(results, list) and results and isinstance(results[0], Mapping):
            inner = results[0]
    reason = _first_string(inner, _REASONS) or _first_string(body, _REASONS)
    finish = None if not reason else _FINISH.get(reason.lower(), "stop")
    if body.get(GUARDRAIL) == "INTERVENED":
        finish = "content_filter"
    return Piece(_first_string(inner, TEXTS), finish, _usage(body))


class TextAnswer:
    """Turns the events of one streamed completion into deltas."""

    done = False

    def __init__(self) -> None:
        self._finish: str | None = None
        self._counted = False

    @property
    def complete(self) -> bool:
        """See StreamDecoder."""
        return self._finish is not None and self._counted

    def event(self, body: Mapping[str, Any]) -> list[Delta]:
        new = parse_piece(body)
        first = self._finish is None
        self._finish = self._finish or new.finish
        self._counted = self._counted or new.usage is not None
        choice = ChoiceDelta(text=new.text, finish=new.finish if first else None)
        choices = (choice,) if choice.text or choice.finish else ()
        return [Delta(choices, new.usage)] if choices or new.usage else []

    def finish(self) -> list[Delta]:
        if self._finish is None:
            raise Broken("the stream ended before the answer did")
        return []


def _usage(body: Mapping[str, Any]) -> Usage | None:
    metrics = body.get(METRICS)
    for place in (metrics if isinstance(metrics, Mapping) else {}, body):
        for names in _COUNTS:
            usage = usage_from_counts(*(_as_int(place.get(name)) for name in names))
            if usage is not None:
                return usage
    return None


def _as_int(count: Any) -> Any:
    """Titan sends counts as floats: 6.0 tokens."""
    return int(count) if type(count) is float and count.is_integer() else count


def _first_string(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((fields[name] for name in names if isinstance(fields.get(name), str)), "")
