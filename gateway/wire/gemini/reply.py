"""Decodes a whole answer."""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct

from gateway.core.chat import Choice, Completion
from gateway.core.errors import Broken, UpstreamError
from gateway.wire.dialect import Target
from gateway.wire.faults import with_usage
from gateway.wire.gemini import grounding
from gateway.wire.gemini.candidate import Candidate, CandidateState, logprobs, require_index
from gateway.wire.gemini.faults import fault, read, stream_fault
from gateway.wire.gemini.usage import parse_usage, with_searches


class Answer(Struct):
    """An answer's body, or a streamed piece. All fields may be missing."""

    candidates: list[Candidate] | None = None
    promptFeedback: Any = None  # noqa: N815
    usageMetadata: Any = None  # noqa: N815
    responseId: str | None = None  # noqa: N815
    error: Any = None


def decode(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> Completion:
    """A whole answer. Raises UpstreamError for anything else."""
    if status != 200:
        raise fault(status, headers, body)
    answer = parse_answer(body)
    queries = [grounding.queries(each.groundingMetadata) for each in answer.candidates or ()]
    usage = with_searches(parse_usage(answer.usageMetadata), set[str]().union(*queries))
    try:
        choices = _choices(answer)
    except UpstreamError as error:
        raise with_usage(error, usage) from None
    return Completion(choices=tuple(choices), id=answer.responseId or "", usage=usage)


def _choices(answer: Answer) -> list[Choice]:
    name = answer.responseId or ""
    choices = [_choice(each, at, name) for at, each in enumerate(answer.candidates or ())]
    choices.sort(key=lambda choice: choice.index)
    if not choices:
        return [blocked_choice(answer)]
    if len({choice.index for choice in choices}) < len(choices):
        raise Broken("the provider's answer has two candidates of one index")
    return choices


def parse_answer(body: bytes) -> Answer:
    """Parses a body or a streamed piece. Raises the error inside it, if any."""
    answer = read(body, Answer)
    if answer.error is not None:
        raise with_usage(stream_fault(answer.error), parse_usage(answer.usageMetadata))
    return answer


def blocked_choice(answer: Answer) -> Choice:
    """The choice for a blocked prompt. Raises Broken if the prompt was not blocked."""
    reason = block_reason(answer)
    if reason is None:
        raise Broken("the provider's answer has no candidates")
    message = answer.promptFeedback.get("blockReasonMessage")
    return Choice(
        finish="content_filter", refusal=message if isinstance(message, str) and message else None
    )


def block_reason(answer: Answer) -> str | None:
    """Why the prompt was blocked, or None."""
    feedback = answer.promptFeedback
    reason = feedback.get("blockReason") if isinstance(feedback, Mapping) else None
    return reason if isinstance(reason, str) and reason else None


def _choice(candidate: Candidate, at: int, answer_id: str) -> Choice:
    """The choice for a candidate; `at` is its index if it has none."""
    index = candidate.index = require_index(at if candidate.index is None else candidate.index)
    state = CandidateState()
    piece = state.add(candidate, answer_id)
    return Choice(
        index=index,
        text=piece.text or None,
        tool_calls=tuple(piece.calls),
        finish=state.finish(),
        reasoning=piece.reasoning or None,
        logprobs=logprobs(candidate.logprobsResult) or UNSET,
        extra=state.extra(),
    )
