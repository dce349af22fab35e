"""What a model costs, as it is written."""

import re
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.config.scalars import (
    Text,
    Tokens,
    UsdPerMillion,
    amount,
    described,
    numbers,
    unshown,
    wrong,
)
from gateway.config.stanza import Stanza
from gateway.config.zones import Timezone
from gateway.core import money
from gateway.core.money import FREE, nanos
from gateway.core.tariff import DAY, Step, Tariff, Window

_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]|24):([0-5]\d)", re.ASCII)
_DAY_SHAPE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DEAREST_FACTOR: Final = 100
_AUDIO: Final = ("audio_input", "audio_output", "audio_cached_input")
_IMAGES: Final = "image_output"
_AS_IT_IS: Final = Decimal(1)


def _hours(value: object) -> tuple[int, int]:
    found = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if found:
        begin, end = (int(found[i]) * 60 + int(found[i + 1]) for i in (1, 3))
        if begin != end and end <= DAY:
            return begin, end
    raise wrong("must be hours of the day such as 16:30-00:30")


def _day(value: object) -> str:
    try:
        if isinstance(value, str) and _DAY_SHAPE.fullmatch(value):
            return date.fromisoformat(value).isoformat()
    except ValueError:
        pass
    raise wrong("must be a day such as 2026-01-31")


Hours = Annotated[tuple[int, int], BeforeValidator(_hours), described({
    "type": "string", "pattern": f"^{_HOURS.pattern}$",
})]  # fmt: skip
Day = Annotated[str, BeforeValidator(_day), described({"type": "string", "format": "date"})]
Factor = Annotated[
    Decimal,
    BeforeValidator(amount("a factor such as 0.5", lambda f: 0 < f <= _DEAREST_FACTOR)),
    numbers(exclusiveMinimum=0, maximum=_DEAREST_FACTOR),
]


class Hour(Stanza):
    hours: Hours
    """From and to, such as `16:30-00:30`."""
    zone: Timezone = "UTC"
    """On whose clock: an IANA name."""
    factor: Factor
    """What all rates are multiplied by in these hours."""


class LongPrompt(Stanza):
    above: Tokens
    """Prompts of more tokens than this, cached ones included, are charged so: the whole call."""
    input: UsdPerMillion
    """USD per million input tokens."""
    output: UsdPerMillion
    """USD per million output tokens."""
    cached_input: UsdPerMillion | None = None
    """Default: `input`, of this step."""
    cache_write: UsdPerMillion | None = None
    """Default: `input`, of this step."""
    audio_input: UsdPerMillion | None = None
    """Default: that of the price, or `input` of this step where it has none."""
    audio_output: UsdPerMillion | None = None
    """The same of `output`."""
    audio_cached_input: UsdPerMillion | None = None
    """Default: that of the price, or `audio_input` of this step."""
    image_output: UsdPerMillion | None = None
    """Default: that of the price, or `output` of this step."""


class Price(Stanza):
    short: ClassVar[dict[str, Any]] = {"const": "free"}

    input: UsdPerMillion | None = None
    """USD per million input tokens. Without it, genai-prices says the rates."""
    output: UsdPerMillion | None = None
    """USD per million output tokens, reasoning included."""
    cached_input: UsdPerMillion | None = None
    """Read from the provider's cache. Default: `input`."""
    cache_write: UsdPerMillion | None = None
    """Written to the provider's cache. Default: `input`."""
    audio_input: UsdPerMillion | None = None
    """USD per million tokens of sound that go in. Default: `input`."""
    audio_output: UsdPerMillion | None = None
    """The same of sound in answers. Default: `output`."""
    audio_cached_input: UsdPerMillion | None = None
    """The same of sound read from the provider's cache. Default: `audio_input`."""
    image_output: UsdPerMillion | None = None
    """USD per million tokens of images in answers. Default: `output`."""
    steps: tuple[LongPrompt, ...] = ()
    """What longer prompts cost, by rising `above`. The step that a prompt may reach is held; the
    one that the reported prompt did reach is charged."""
    windows: tuple[Hour, ...] = ()
    """Hours of the day with another price. The dearest is held; what holds at a call's begin or
    at its end, whichever is dearer, is charged."""
    batch: Factor | None = None
    """What a batch costs of the price. For information: batches are not sent yet."""
    source: Text | None = None
    """Where these rates were read."""
    as_of: Day | None = None
    """When they were read: `tollgate catalog --stale` lists those older than 90 days."""

    @classmethod
    def expand(cls, value: Any) -> Any:
        if value == "free":
            return {"input": "0", "output": "0"}
        if isinstance(value, str):
            raise unshown("must be free, or a mapping such as {input: 0.25, output: 2}")
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> "Price":
        if (self.input is None) != (self.output is None):
            raise unshown("needs both input and output, or neither")
        if self.input is None:
            given = [n for n, v in self if n not in ("batch", "input", "output") and v]
            if given or self.batch is None:
                raise unshown(f"needs input and output{f' with {given[0]}' if given else ''}")
        starts = [step.above for step in self.steps]
        if any(above <= before for before, above in pairwise(starts)):
            raise unshown("steps must rise: each above more tokens than the one before it")
        return self

    def tariff(self) -> Tariff | None:
        """None when genai-prices is to say it."""
        if self.input is None or self.output is None:
            return None
        usual = _Rates(self.input, self.output, self)
        steps = [(step.above, _Rates(step.input, step.output, step, self)) for step in self.steps]

        def rising(factor: Decimal) -> tuple[Step, ...]:
            return tuple(Step(above, rates.times(factor)) for above, rates in steps)

        windows = (
            Window(*each.hours, usual.times(each.factor), each.zone, rising(each.factor))
            for each in self.windows
        )
        return Tariff(usual.times(_AS_IT_IS), tuple(windows), rising(_AS_IT_IS))

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
        found = super().__get_pydantic_json_schema__(core, handler)
        mapping = handler.resolve_ref_schema(found)["anyOf"][1]
        stated = [n for n in cls.model_fields if n not in ("batch", "input", "output")]
        mapping["minProperties"] = 1
        mapping["dependentRequired"] = {
            "input": ["output"],
            "output": ["input"],
            **{name: ["input", "output"] for name in stated},
        }
        return found


class _Rates:
    """USD per million, each said by the first of `said` that does."""

    def __init__(self, fresh: Decimal, output: Decimal, *said: "LongPrompt | Price") -> None:
        here = said[0]
        self._text = (
            fresh,
            output,
            fresh if here.cached_input is None else here.cached_input,
            fresh if here.cache_write is None else here.cache_write,
        )
        heard, told, again, self._images = (
            next((rate for each in said if (rate := getattr(each, name)) is not None), None)
            for name in (*_AUDIO, _IMAGES)
        )
        self._audio: tuple[Decimal, ...] = ()
        if (heard, told, again) != (None, None, None):
            heard = fresh if heard is None else heard
            self._audio = (
                heard, output if told is None else told, heard if again is None else again,
            )  # fmt: skip

    def times(self, factor: Decimal) -> money.Price:
        audio = None
        if self._audio:
            audio = money.Audio(*(nanos(rate * factor) for rate in self._audio))
        fresh, output, cached, write = (nanos(rate * factor) for rate in self._text)
        images = None if self._images is None else nanos(self._images * factor)
        return money.Price(fresh, output, cached, write, audio, images)
