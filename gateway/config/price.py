"""What a model costs, as it is written."""

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.config.scalars import (
    Text,
    Timezone,
    UsdPerMillion,
    amount,
    described,
    numbers,
    unshown,
    wrong,
)
from gateway.config.stanza import Stanza
from gateway.core import money
from gateway.core.money import FREE, nanos
from gateway.core.tariff import DAY, Tariff, Window

_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]|24):([0-5]\d)", re.ASCII)
_DAY_SHAPE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DEAREST_FACTOR: Final = 100


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
        return self

    def tariff(self) -> Tariff | None:
        """None when genai-prices is to say it."""
        if self.input is None or self.output is None:
            return None
        cached = self.input if self.cached_input is None else self.cached_input
        write = self.input if self.cache_write is None else self.cache_write
        rates = (self.input, self.output, cached, write)

        def times(factor: Decimal | int) -> money.Price:
            return money.Price(*(nanos(rate * factor) for rate in rates))

        windows = (Window(*each.hours, times(each.factor), each.zone) for each in self.windows)
        return Tariff(times(1), tuple(windows))

    @property
    def is_free(self) -> bool:
        tariff = self.tariff()
        return tariff is not None and tariff.dearest == FREE

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
