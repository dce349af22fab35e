"""A folder of recorded answers: the queries, and what each model answered.

`queries.jsonl` has a line for each query, `answers.<model>.jsonl` one for each answer, and
`meta.json` the models with their prices.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.core.chat import ChatRequest, Choice, Completion, Extras, Usage
from gateway.core.money import Nanos, Price, cost, nanos
from gateway.replay.recorded_tools import as_tool, tool_calls

MARK: Final = "meta.json"
"""The file by which such a folder is known."""


class Unusable(Exception):
    """A folder that cannot be replayed. The text says which file and line, and why."""


class Answer(Struct, frozen=True):
    """`quality` is from 0 to 1. `seconds` is None where it was not recorded."""

    completion: Completion
    quality: float
    cost: Nanos
    usage: Usage
    seconds: float | None
    blank: bool
    """Nothing was recorded but whether it is right: there is nothing to judge or to compare."""


_NO_TAGS: Final[Mapping[str, str]] = {}


class Query(Struct, frozen=True):
    """`at` is its time in Unix seconds, for rules by the hour."""

    id: str
    request: ChatRequest
    tags: Mapping[str, str] = _NO_TAGS
    at: float = 0.0


class RecordedModel(Struct, frozen=True):
    """One model. `left_out` counts its lines that do not say whether the answer is right."""

    name: str
    price: Price
    answers: Mapping[str, Answer]
    left_out: int = 0


class Records(Struct, frozen=True):
    name: str
    queries: tuple[Query, ...]
    models: Mapping[str, RecordedModel]
    notes: tuple[str, ...] = ()
    """What was left out, and how it is known what is right."""

    def answered_by_all(self, pool: tuple[str, ...]) -> list[Query]:
        """The queries that every model of a pool has answered."""
        answers = [self.models[name].answers for name in pool]
        return [query for query in self.queries if all(query.id in each for each in answers)]


class _Model(Struct):
    file: str
    usd_per_mtok_in: float | None = None
    usd_per_mtok_out: float | None = None


class _Meta(Struct):
    models: dict[str, _Model]
    set: str = ""


class _Query(Struct):
    id: str
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    functions: list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    response_format: dict[str, Any] | None = None
    max_tokens: int | None = None
    region: str | None = None
    max_cost_usd: float | None = None
    max_latency_ms: int | None = None
    tags: dict[str, str] = {}
    time: datetime | None = None


class _Answer(Struct):
    """`correct` is a flag or a share; `finish` one of OpenAI's reasons."""

    id: str
    text: str | None = None
    tool_calls: Any = None
    final: Any = None
    correct: bool | float | None = None
    tokens_in: float | None = None
    tokens_out: float | None = None
    cost_usd: float | None = None
    finish: str = "stop"
    latency_s: float | None = None
    latency_ms: float | None = None


_LINE: Final = msgspec.json.Decoder(_Answer)
_QUERY: Final = msgspec.json.Decoder(_Query)
_META: Final = msgspec.json.Decoder(_Meta)
_FLAT: Final = Usage(prompt=1_000)
"""What an answer without tokens is taken to cost, as the recordings' scorer does."""


def read_set(folder: Path) -> Records:
    """Raises Unusable."""
    file = folder / MARK
    try:
        meta = _META.decode(_bytes(file))
    except msgspec.DecodeError as error:
        raise Unusable(f"{file}: {error}") from None
    queries = tuple(_queries(folder / "queries.jsonl"))
    if not queries:
        raise Unusable(f"{folder / 'queries.jsonl'}: no queries")
    models = {name: _model(name, folder, model) for name, model in meta.models.items()}
    if not models:
        raise Unusable(f"{file}: no model has answered these queries")
    unmarked = sum(model.left_out for model in models.values())
    text = f"left out, for they do not say whether they are right: {unmarked:,} answers"
    return Records(meta.set or folder.name, queries, models, (text,) if unmarked else ())


def _queries(file: Path) -> Iterator[Query]:
    for line in _lines(file, _QUERY):
        messages = line.messages
        if messages is None:
            if line.prompt is None:
                raise Unusable(f"{file}: {line.id} has neither prompt nor messages")
            messages = [{"role": "user", "content": line.prompt}]
        fields = {"messages": msgspec.Raw(msgspec.json.encode(messages))}
        tools = line.tools or [as_tool(function) for function in line.functions or ()]
        if tools:
            fields["tools"] = msgspec.Raw(msgspec.json.encode(tools))
        if line.response_format is not None:
            fields["response_format"] = msgspec.Raw(msgspec.json.encode(line.response_format))
        extras = Extras(
            region=line.region,
            max_cost_usd=None if line.max_cost_usd is None else str(_exact(line.max_cost_usd)),
            max_latency_ms=line.max_latency_ms,
        )
        request = ChatRequest(fields, "replay", max_tokens=line.max_tokens, extras=extras)
        at = line.time.timestamp() if line.time is not None else 0.0
        yield Query(line.id, request, line.tags, at)


def _model(name: str, folder: Path, meta: _Model) -> RecordedModel:
    price = Price(
        input=_rate(meta.usd_per_mtok_in),
        output=_rate(meta.usd_per_mtok_out),
        cached_input=_rate(meta.usd_per_mtok_in),
        cache_write=_rate(meta.usd_per_mtok_in),
    )
    lines = list(_lines(folder / meta.file, _LINE))
    answers = {line.id: _answer(line, price) for line in lines if line.correct is not None}
    return RecordedModel(name, price, answers, sum(line.correct is None for line in lines))


def _answer(line: _Answer, price: Price) -> Answer:
    calls = tool_calls(line.tool_calls)
    text = line.text if line.text is not None else _text(line.final)
    usage = _FLAT
    if line.tokens_out is not None:
        usage = Usage(int(line.tokens_in or 0), int(line.tokens_out))
    seconds = line.latency_s
    if seconds is None and line.latency_ms is not None:
        seconds = line.latency_ms / 1000
    finish = "tool_calls" if calls and line.finish == "stop" else line.finish
    return Answer(
        completion=Completion((Choice(text=text, tool_calls=calls, finish=finish),)),
        quality=float(line.correct or 0),
        cost=cost(price, usage) if line.cost_usd is None else nanos(_exact(line.cost_usd)),
        usage=usage,
        seconds=seconds,
        blank=text is None and not calls,
    )


def _text(final: Any) -> str | None:
    """The extracted answer, where the text it was extracted from is not recorded."""
    return None if final is None else str(final)


def _rate(usd: float | None) -> int:
    """Nano-dollars per million tokens."""
    return 0 if usd is None else int(nanos(_exact(usd)))


def _exact(usd: float) -> Decimal:
    return Decimal(str(usd))


def _lines(file: Path, decoder: Any) -> Iterator[Any]:
    for number, line in enumerate(_bytes(file).splitlines(), 1):
        if line.strip():
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError as error:
                raise Unusable(f"{file}:{number}: {error}") from None


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Unusable(f"{file}: {error.strerror or error}") from None
