"""Prices as JSON: exact, in US dollars."""

from typing import Any, Final

from msgspec import Raw

from gateway.core.money import Audio, Price, usd

_TEXT_RATES: Final = ("input", "output", "cached_input", "cache_write")


def dollars(amount: int) -> Raw:
    """Nano-dollars as an exact JSON number of US dollars."""
    return Raw(usd(amount).encode())


def rates(price: Price) -> dict[str, Raw]:
    """A price in US dollars per million tokens, by the name of each rate."""
    found = {name: dollars(getattr(price, name)) for name in _TEXT_RATES}
    if price.audio is not None:
        for name in Audio.__struct_fields__:
            found[f"audio_{name}"] = dollars(getattr(price.audio, name))
    if price.image_output is not None:
        found["image_output"] = dollars(price.image_output)
    return found


def search_fee(price: Price) -> dict[str, Any]:
    """What the provider's own searches of the web cost beside the tokens; {} where nothing."""
    fee = price.search
    if fee is None:
        return {}
    unit = "call" if fee.per_call else "search"
    return {"search_fee": {"usd_per_thousand": dollars(fee.amount * 1_000), "per": unit}}
