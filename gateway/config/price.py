"""What a model costs, as it is written."""

import re
from datetime import date
from decimal import Decimal
from itertools import combinations, pairwise
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.config.scalars import (
    FROM_ENV,
    Text,
    Tokens,
    UsdPerMillion,
    decimal,
    enum_schema,
    invalid,
    invalid_hidden,
    json_schema,
    number_schema,
    one_of,
    pattern_schema,
)
from gateway.config.stanza import Stanza
from gateway.config.zones import Timezone
from gateway.core import money
from gateway.core.hours import within
from gateway.core.money import FREE, nanos
from gateway.core.tariff import DAY, Step, Tariff, Window

_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]|24):([0-5]\d)", re.ASCII)
_DAY_SHAPE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DEAREST_FACTOR: Final = 100
_AUDIO: Final = ("audio_input", "audio_output", "audio_cached_input")
_IMAGES: Final = "image_output"
_BESIDE_RATES: Final = ("batch", "search", "search_per")
"""What may be given where genai-prices says the rates."""
_THOUSAND: Final = 1_000
_DEAREST_FEE: Final = 10_000
_SEARCH_UNITS: Final = ("search", "call")
_AS_IT_IS: Final = Decimal(1)


def _hours(value: object) -> tuple[int, int]:
    match = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if match:
        begin, end = (int(match[i]) * 60 + int(match[i + 1]) for i in (1, 3))
        if begin != end and end <= DAY:
            return begin, end
    raise invalid("must be hours of the day such as 16:30-00:30")


def _day(value: object) -> str:
    try:
        if isinstance(value, str) and _DAY_SHAPE.fullmatch(value):
            return date.fromisoformat(value).isoformat()
    except ValueError:
        pass
    raise invalid("must be a day such as 2026-01-31")


Hours = Annotated[tuple[int, int], BeforeValidator(_hours), pattern_schema(f"^{_HOURS.pattern}$")]
Day = Annotated[
    str,
    BeforeValidator(_day),
    json_schema({"anyOf": [{"type": "string", "format": "date"}, FROM_ENV]}),
]
Factor = Annotated[
    Decimal,
    BeforeValidator(decimal("a factor such as 0.5", lambda f: 0 < f <= _DEAREST_FACTOR)),
    number_schema(exclusiveMinimum=0, maximum=_DEAREST_FACTOR),
]
UsdPerThousand = Annotated[
    Decimal,
    BeforeValidator(
        decimal(
            f"USD per thousand, 0 to {_DEAREST_FEE:,}, such as 10", lambda a: 0 <= a <= _DEAREST_FEE
        )
    ),
    number_schema(minimum=0, maximum=_DEAREST_FEE),
]
SearchUnit = Annotated[str, BeforeValidator(one_of(_SEARCH_UNITS)), enum_schema(_SEARCH_UNITS)]


class Hour(Stanza):
    hours: Hours
    """Start and end, such as `16:30-00:30`."""
    zone: Timezone = "UTC"
    """The time zone of `hours`: an IANA name."""
    factor: Factor
    """The factor for all rates in these hours."""


def _overlap(one: Hour, other: Hour) -> bool:
    """Whether a minute of one clock is in both."""
    (begin, end), (others_begin, others_end) = one.hours, other.hours
    meet = within(begin, others_begin, end) or within(others_begin, begin, others_end)
    return meet and one.zone == other.zone


class LongPrompt(Stanza):
    above: Tokens
    """Calls whose prompt has more tokens than this, cached ones included, are charged entirely at
    these rates."""
    input: UsdPerMillion
    """USD per million input tokens."""
    output: UsdPerMillion
    """USD per million output tokens."""
    cached_input: UsdPerMillion | None = None
    """Default: `input`, of this step."""
    cache_write: UsdPerMillion | None = None
    """Default: `input`, of this step."""
    audio_input: UsdPerMillion | None = None
    """Default: that of the price, else `input` of this step."""
    audio_output: UsdPerMillion | None = None
    """Default: that of the price, else `output` of this step."""
    audio_cached_input: UsdPerMillion | None = None
    """Default: that of the price, else `audio_input` of this step."""
    image_output: UsdPerMillion | None = None
    """Default: that of the price, else `output` of this step."""


class Price(Stanza):
    short: ClassVar[dict[str, Any]] = {"const": "free"}

    input: UsdPerMillion | None = None
    """USD per million input tokens. Without it, the rates are those of genai-prices."""
    output: UsdPerMillion | None = None
    """USD per million output tokens, reasoning tokens included."""
    cached_input: UsdPerMillion | None = None
    """USD per million tokens read from the provider's cache. Default: `input`."""
    cache_write: UsdPerMillion | None = None
    """USD per million tokens written to the provider's cache. Default: `input`."""
    audio_input: UsdPerMillion | None = None
    """USD per million audio input tokens. Default: `input`."""
    audio_output: UsdPerMillion | None = None
    """USD per million audio output tokens. Default: `output`."""
    audio_cached_input: UsdPerMillion | None = None
    """USD per million audio tokens read from the provider's cache. Default: `audio_input`."""
    image_output: UsdPerMillion | None = None
    """USD per million image output tokens. Default: `output`."""
    search: UsdPerThousand | None = None
    """USD per thousand web searches by the provider, in addition to their tokens. The searches that
    it reports are charged, at the same rate at all hours. Default: none."""
    search_per: SearchUnit = "search"
    """What `search` is charged for: each `search`, or each `call` that searches at all."""
    steps: tuple[LongPrompt, ...] = ()
    """Rates for longer prompts, in rising order of `above`. The step that the prompt may reach is
    held; the step that the reported prompt did reach is charged."""
    windows: tuple[Hour, ...] = ()
    """Hours of the day with other rates. The highest rates are held. Those at the start or at the
    end of the call, whichever are higher, are charged."""
    batch: Factor | None = None
    """The factor for the price of batches. For information: requests are not sent in batches."""
    source: Text | None = None
    """The source of these rates."""
    as_of: Day | None = None
    """The day they were read. `tollgate catalog --stale` lists prices older than 90 days."""

    @classmethod
    def expand(cls, value: Any) -> Any:
        if value == "free":
            return {"input": "0", "output": "0"}
        if isinstance(value, str):
            raise invalid_hidden("must be free, or a mapping such as {input: 0.25, output: 2}")
        return value

    @model_validator(mode="after")
    def _is_complete(self) -> "Price":
        if self.search is None and self.search_per != "search":
            raise invalid_hidden("needs search with search_per")
        if (self.input is None) != (self.output is None):
            raise invalid_hidden("needs both input and output, or neither")
        if self.input is None:
            own = ("input", "output", *_BESIDE_RATES)
            given = [name for name, value in self if name not in own and value]
            if given or (self.batch is None and self.search is None):
                raise invalid_hidden(
                    f"needs input and output{f' with {given[0]}' if given else ''}"
                )
        starts = [step.above for step in self.steps]
        if any(above <= before for before, above in pairwise(starts)):
            raise invalid_hidden("steps must rise: each above more tokens than the one before it")
        if any(_overlap(one, other) for one, other in combinations(self.windows, 2)):
            raise invalid_hidden("windows of one zone must not overlap: a minute has one price")
        return self

    def tariff(self) -> Tariff | None:
        """None when genai-prices is to say it."""
        if self.input is None or self.output is None:
            return None
        usual = _Rates(self.input, self.output, self)
        steps = [(step.above, _Rates(step.input, step.output, step, self)) for step in self.steps]

        def rising(factor: Decimal) -> tuple[Step, ...]:
            return tuple(Step(above, rates.scaled(factor)) for above, rates in steps)

        windows = (
            Window(*each.hours, usual.scaled(each.factor), each.zone, rising(each.factor))
            for each in self.windows
        )
        return self.with_search_fee(
            Tariff(usual.scaled(_AS_IT_IS), tuple(windows), rising(_AS_IT_IS))
        )

    def with_search_fee(self, tariff: Tariff) -> Tariff:
        """A tariff with the fee for searches that is stated here."""
        if not self.search:
            return tariff
        fee = money.SearchFee(nanos(self.search / _THOUSAND), self.search_per == "call")
        return tariff.with_search_fee(fee)

    @property
    def is_free(self) -> bool:
        tariff = self.tariff()
        return tariff is not None and all(
            price == FREE for price in (tariff.usual, *(step.price for step in tariff.steps))
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = super().__get_pydantic_json_schema__(core, handler)
        mapping = handler.resolve_ref_schema(schema)["anyOf"][1]
        stated = [n for n in cls.model_fields if n not in ("input", "output", *_BESIDE_RATES)]
        mapping["minProperties"] = 1
        mapping["dependentRequired"] = {
            "input": ["output"],
            "output": ["input"],
            "search_per": ["search"],
            **{name: ["input", "output"] for name in stated},
        }
        return schema


class _Rates:
    """USD per million; those of audio are from the first of `sources` that has them."""

    def __init__(self, fresh: Decimal, output: Decimal, *sources: "LongPrompt | Price") -> None:
        own = sources[0]
        self._text = (
            fresh,
            output,
            fresh if own.cached_input is None else own.cached_input,
            fresh if own.cache_write is None else own.cache_write,
        )
        audio_input, audio_output, audio_cached, self._images = (
            next((rate for each in sources if (rate := getattr(each, name)) is not None), None)
            for name in (*_AUDIO, _IMAGES)
        )
        self._audio: tuple[Decimal, ...] = ()
        if (audio_input, audio_output, audio_cached) != (None, None, None):
            audio_input = fresh if audio_input is None else audio_input
            self._audio = (
                audio_input,
                output if audio_output is None else audio_output,
                audio_input if audio_cached is None else audio_cached,
            )

    def scaled(self, factor: Decimal) -> money.Price:
        audio = None
        if self._audio:
            audio = money.Audio(*(nanos(rate * factor) for rate in self._audio))
        fresh, output, cached, write = (nanos(rate * factor) for rate in self._text)
        images = None if self._images is None else nanos(self._images * factor)
        return money.Price(fresh, output, cached, write, audio, images)
