"""The gateway's own log of lives, with their content, as recorded answers.

A life is a line: the request, and the answer of each model that was called. Votes, climbs, audits
and shadows make several models answer the same request. Mostly these answers have no mark: then
one is right when it means the same as the smart model's.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct, structs

from gateway.core.agree import Agreement, key_of
from gateway.core.agree.groups import same
from gateway.core.chat import ChatRequest, Choice, Completion, Usage
from gateway.core.money import Nanos, Price
from gateway.core.records.record import BEHIND
from gateway.replay.recorded_tools import tool_calls
from gateway.replay.records import Answer, Query, RecordedModel, Records, Unusable

MARK: Final = "lives.jsonl"
_REQUEST_FIELDS: Final = ("messages", "tools", "functions", "tool_choice", "response_format")
_PER_TOKENS: Final = 1_000_000
_AUTO: Final = Agreement()


class _Choice(Struct):
    """One choice of an answer."""

    text: str | None = None
    tool_calls: Any = None
    finish: str = "stop"
    refusal: str | None = None


class _Attempt(Struct):
    """One call. `cost` is in nano-dollars; `failed` names the checks that it failed;
    `correct` is the owner's mark, a flag or a share, where there is one.
    """

    model: str
    outcome: str = "ok"
    cost: int | None = None
    usage: Usage | None = None
    seconds: float | None = None
    failed: tuple[str, ...] = ()
    answer: tuple[_Choice, ...] | None = None
    correct: bool | float | None = None


class _Life(Struct):
    """`asked` is the client's JSON; `time` is when it came, as "2026-11-22T03:14:39.123Z"."""

    request: str
    time: str = ""
    tags: dict[str, str] = {}
    asked: dict[str, Raw] | None = None
    attempts: tuple[_Attempt, ...] = ()


_LINE: Final = msgspec.json.Decoder(_Life)


def read_lives(file: Path, smart: str | None = None) -> Records:
    """Raises Unusable. `smart` says whose answers are taken for right; the dearest model's where
    it is not said.
    """
    lives = _join_behind(_lives(file))
    whole = [life for life in lives.values() if life.asked and "messages" in life.asked]
    if not whole:
        raise Unusable(f"{file}: no life with its content (log_content was not full)")
    answers, marked = _answers(whole)
    if not answers:
        raise Unusable(f"{file}: no call has an answer and its cost")
    models = {name: RecordedModel(name, _mean_price(each), each) for name, each in answers.items()}
    notes = []
    if len(whole) < len(lives):
        notes.append(f"left out, for their content was not kept: {len(lives) - len(whole):,} lives")
    if not marked:
        smart = smart if smart in models else max(models, key=lambda name: _mean_cost(models[name]))
        models, lost = _mark_against(models, smart)
        notes.append(f"these answers are not marked: right is what means the same as {smart}'s")
        if lost:
            notes.append(f"left out, for they cannot be compared with it: {lost:,} answers")
    return Records(file.absolute().parent.name, tuple(map(_query, whole)), models, tuple(notes))


def _join_behind(lives: Iterable[_Life]) -> dict[str, _Life]:
    """Calls behind an answer are a line of their own: they are added to the request's life."""
    joined: dict[str, _Life] = {}
    for life in lives:
        seen, mark, _ = life.request.partition(BEHIND)
        known = joined.get(seen)
        if known is not None and (mark or BEHIND in known.request):
            first, other = (known, life) if mark else (life, known)
            attempts = (*first.attempts, *other.attempts)
            life = structs.replace(first, attempts=attempts)  # noqa: PLW2901
        joined[seen] = life
    return joined


def _answers(lives: Iterable[_Life]) -> tuple[dict[str, dict[str, Answer]], bool]:
    """By model and request, and whether anybody marked them; then only the marked ones count.

    Of a model that was called twice its first answer counts: later it had seen more messages.
    """
    answers: dict[str, dict[str, Answer]] = {}
    calls = [(life, call) for life in lives for call in life.attempts if _is_answer(call)]
    marked = any(call.correct is not None for _, call in calls)
    for life, call in calls:
        if not (marked and call.correct is None):
            answers.setdefault(call.model, {}).setdefault(life.request, _answer(call))
    return answers, marked


def _is_answer(call: _Attempt) -> bool:
    return call.outcome == "ok" and bool(call.answer) and call.cost is not None


def _answer(call: _Attempt) -> Answer:
    raw_choices = call.answer or ()
    choices = tuple(
        Choice(number, each.text, tool_calls(each.tool_calls), each.finish, each.refusal)
        for number, each in enumerate(raw_choices)
    )
    return Answer(
        completion=Completion(choices),
        quality=float(call.correct or 0),
        cost=Nanos(call.cost or 0),
        usage=call.usage or Usage(),
        seconds=call.seconds,
        blank=False,
    )


def _mark_against(
    models: Mapping[str, RecordedModel], smart: str
) -> tuple[dict[str, RecordedModel], int]:
    """With a quality of 1 for what means the same as the smart model's answer; and how many
    answers cannot be compared, and are left out.
    """
    keys = {request: key_of(a.completion, _AUTO) for request, a in models[smart].answers.items()}
    lost = 0
    marked = {}
    for name, model in models.items():
        answers = {}
        for request, answer in model.answers.items():
            key = key_of(answer.completion, _AUTO)
            theirs = keys.get(request)
            if key is None or theirs is None:
                lost += 1
            else:
                answers[request] = structs.replace(answer, quality=float(same(key, theirs)))
        marked[name] = structs.replace(model, answers=answers)
    return marked, lost


def _query(life: _Life) -> Query:
    body = life.asked or {}
    fields = {name: raw for name, raw in body.items() if name in _REQUEST_FIELDS}
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    max_tokens = msgspec.json.decode(limit, type=int | None) if limit is not None else None
    at = datetime.fromisoformat(life.time).timestamp() if life.time else 0.0
    return Query(life.request, ChatRequest(fields, "replay", max_tokens=max_tokens), life.tags, at)


def _mean_price(answers: Mapping[str, Answer]) -> Price:
    """The mean cost of a million tokens, in and out alike: the log has costs, not prices."""
    tokens = sum(each.usage.prompt + each.usage.completion for each in answers.values())
    paid = sum(each.cost for each in answers.values())
    rate = int(Decimal(paid) * _PER_TOKENS / tokens) if tokens else 0
    return Price(input=rate, output=rate, cached_input=rate, cache_write=rate)


def _mean_cost(model: RecordedModel) -> tuple[float, str]:
    return sum(each.cost for each in model.answers.values()) / len(model.answers), model.name


def _lives(file: Path) -> Iterator[_Life]:
    """A last line without a line end is incomplete after a crash, and is left out."""
    try:
        lines = file.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise Unusable(f"{file}: {error.strerror or error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            life = _LINE.decode(line)
            datetime.fromisoformat(life.time or "2026-01-01T00:00:00Z")
        except (msgspec.DecodeError, ValueError) as error:
            if number == len(lines) and not line.endswith(b"\n"):
                return
            raise Unusable(f"{file}:{number}: {error}") from None
        yield life
