"""Prices and windows from genai-prices, when the catalog gives none.

Looked up once, at load. The package takes most of a second to import, so only when needed.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from gateway.core.money import Price, nanos
from gateway.core.tariff import DAY, Tariff, Window

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

_NEWEST: Final = datetime(9999, 12, 30, tzinfo=UTC)
_UNITS: Final = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
_STEP: Final = 30
"""Minutes: off-peak hours begin and end on the half hour."""


class Listing(Struct, frozen=True):
    """What is known of a model; the window is in tokens. `leaving` says that its provider takes
    it out of service.
    """

    tariff: Tariff | None = None
    context: int | None = None
    leaving: bool = False


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

    The dearest of that day is the usual price; cheaper hours are windows. Prices that begin on a
    later day come with the next load.
    """
    if isinstance(model.prices, list) and not model.prices:
        return None
    midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    steps = range(0, DAY, _STEP)
    listed = [model.get_prices(midnight + timedelta(minutes=step)) for step in steps]
    dearest = _dearest(listed)
    if dearest is None:
        return None
    hours = [(step, _dearest([each]) or dearest) for step, each in zip(steps, listed, strict=True)]
    windows = []
    for price, run in groupby(hours, key=lambda hour: hour[1]):
        begins = [begin for begin, _ in run]
        if price != dearest:
            windows.append(Window(begins[0], begins[-1] + _STEP, price))
    return Tariff(dearest, tuple(windows))


def _dearest(listed: "Sequence[ModelPrice]") -> Price | None:
    rates = {unit: [r for p in listed if (r := _rate(p, unit)) is not None] for unit in _UNITS}
    if not rates["input_mtok"] or not rates["output_mtok"]:
        return None
    fresh, output = max(rates["input_mtok"]), max(rates["output_mtok"])
    read = max(rates["cache_read_mtok"], default=fresh)
    write = max(rates["cache_write_mtok"], default=fresh)
    return Price(nanos(fresh), nanos(output), nanos(read), nanos(write))


def _rate(price: "ModelPrice", unit: str) -> Decimal | None:
    """USD per million. Of a price that rises with the prompt's length, the dearest step: a hold
    must bound the bill, and the ledger's price is one number.
    """
    from genai_prices.types import TieredPrices  # noqa: PLC0415

    rate = getattr(price, unit)
    if isinstance(rate, TieredPrices):
        return max([rate.base, *(step.price for step in rate.tiers)])
    return rate if isinstance(rate, Decimal) else None
