"""Prices and windows from genai-prices, when the catalog gives none.

Looked up once, at load. The package takes most of a second to import, so only when needed.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from gateway.core.money import Audio, Price, nanos
from gateway.core.tariff import DAY, Step, Tariff, Window

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Tier

_NEWEST: Final = datetime(9999, 12, 30, tzinfo=UTC)
_AUDIO: Final = ("input_audio_mtok", "output_audio_mtok", "cache_audio_read_mtok")
_IMAGES: Final = "output_image_mtok"
_TEXT: Final = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
_UNITS: Final = (*_TEXT, *_AUDIO, _IMAGES)
_HALF_HOUR: Final = 30
"""Minutes: off-peak hours begin and end on the half hour."""
_SHORT: Final = 0
"""Tokens of a prompt that no step is below: a tier holds from the token after its `start`."""


class Listing(Struct, frozen=True):
    """What is known of a model; the window is in tokens. `retiring` says that its provider takes
    it out of service.
    """

    tariff: Tariff | None = None
    context: int | None = None
    retiring: bool = False


class _SteppedPrice(Struct, frozen=True):
    """A price and its steps."""

    price: Price
    steps: tuple[Step, ...]


def look_up(base_url: str, upstream: str, at: datetime | None = None) -> Listing:
    """What genai-prices lists for a model at the provider that serves `base_url`.

    `at` chooses among dated prices; None is the newest. A provider is only known by its URL:
    a host of one's own may serve a model of a famous name at another price.
    """
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    try:
        _, model = get_snapshot().find_provider_model(upstream, None, None, base_url)
    except LookupError:
        return Listing()
    return Listing(tariff_of(model, at or _NEWEST), model.context_window, bool(model.deprecated))


def tariff_of(model: "ModelInfo", at: datetime) -> Tariff | None:
    """Its prices on the day of `at`; None when they are not by the token.

    The highest of that day is the usual price; cheaper hours are windows. Prices that begin on a
    later day come with the next load.
    """
    if isinstance(model.prices, list) and not model.prices:
        return None
    midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    begins = range(0, DAY, _HALF_HOUR)
    listed = [model.get_prices(midnight + timedelta(minutes=begin)) for begin in begins]
    usual = _dearest(listed)
    if usual is None:
        return None
    hours = [(b, _dearest([each]) or usual) for b, each in zip(begins, listed, strict=True)]
    windows = []
    for scale, run in groupby(hours, key=lambda hour: hour[1]):
        starts = [begin for begin, _ in run]
        if scale != usual:
            end = starts[-1] + _HALF_HOUR
            windows.append(Window(starts[0], end, scale.price, steps=scale.steps))
    return Tariff(usual.price, tuple(windows), usual.steps)


def _dearest(listed: "Sequence[ModelPrice]") -> _SteppedPrice | None:
    """Each rate at its highest, for short prompts and from each step on."""
    price = _for_prompt(listed, _SHORT)
    if price is None:
        return None
    starts = {tier.start for each in listed for unit in _UNITS for tier in _tiers(each, unit)}
    steps = tuple(Step(start, _for_prompt(listed, start + 1) or price) for start in sorted(starts))
    return _SteppedPrice(price, steps)


def _for_prompt(listed: "Sequence[ModelPrice]", prompt: int) -> Price | None:
    """The highest rates for a prompt of so many tokens."""
    rates = {
        unit: [r for p in listed if (r := _rate(p, unit, prompt)) is not None] for unit in _UNITS
    }
    if not rates["input_mtok"] or not rates["output_mtok"]:
        return None
    fresh, output = max(rates["input_mtok"]), max(rates["output_mtok"])
    read = max(rates["cache_read_mtok"], default=fresh)
    write = max(rates["cache_write_mtok"], default=fresh)
    audio = None
    if any(rates[unit] for unit in _AUDIO):
        audio_input = max(rates["input_audio_mtok"], default=fresh)
        audio_output = max(rates["output_audio_mtok"], default=output)
        audio_cached = max(rates["cache_audio_read_mtok"], default=audio_input)
        audio = Audio(nanos(audio_input), nanos(audio_output), nanos(audio_cached))
    images = nanos(max(rates[_IMAGES])) if rates[_IMAGES] else None
    return Price(nanos(fresh), nanos(output), nanos(read), nanos(write), audio, images)


def _rate(price: "ModelPrice", unit: str, prompt: int) -> Decimal | None:
    """USD per million. A prompt of more tokens than a tier's start is charged by that tier, all
    of it: so genai-prices' own calc_unit_price.
    """
    from genai_prices.types import TieredPrices  # noqa: PLC0415

    rate = getattr(price, unit)
    if isinstance(rate, TieredPrices):
        reached = [tier.price for tier in rate.tiers if prompt > tier.start]
        return reached[-1] if reached else rate.base
    return rate if isinstance(rate, Decimal) else None


def _tiers(price: "ModelPrice", unit: str) -> "Sequence[Tier]":
    from genai_prices.types import TieredPrices  # noqa: PLC0415

    rate = getattr(price, unit)
    return rate.tiers if isinstance(rate, TieredPrices) else ()
