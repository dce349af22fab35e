"""What a client asks of the gateway itself: `extra_body={"gateway": {...}}`, or headers."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from gateway.core.chat import Extras
from gateway.core.checks import CHECKS
from gateway.core.strategy import STRATEGIES
from gateway.web.refuse import refuse, wrong_type

EXTRAS: Final = tuple(Extras.__struct_fields__)
_NEEDS_OPTIONS: Final = ("regex",)


def read_extras(body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Extras:
    """The gateway's own fields; the body's go before the headers'."""
    given: dict[str, Any] = {}
    for name, text in headers.items():
        key = name.replace("-", "_")
        if key in EXTRAS:
            given[key] = _from_header(key, text)
    given.update(body or {})
    for key in given:
        if key not in EXTRAS:
            refuse(f"gateway.{key}", f"is unknown; allowed are {', '.join(EXTRAS)}")
    if isinstance(given.get("max_cost_usd"), int | float):
        given["max_cost_usd"] = repr(given["max_cost_usd"])
    try:
        extras = msgspec.convert(given, Extras)
    except msgspec.ValidationError as error:
        wrong_type(error, "gateway.")
    _allowed(extras)
    return extras


def _allowed(extras: Extras) -> None:
    if extras.max_cost_usd is not None:
        _amount(extras.max_cost_usd)
    if extras.max_latency_ms is not None and extras.max_latency_ms < 1:
        refuse("gateway.max_latency_ms", "must be at least 1")
    if extras.strategy is not None and extras.strategy not in STRATEGIES:
        refuse("gateway.strategy", f"is unknown; allowed are {', '.join(STRATEGIES)}")
    for name in extras.checks or ():
        allowed = [check for check in CHECKS if check not in _NEEDS_OPTIONS]
        if name not in allowed:
            refuse("gateway.checks", f"has '{name}'; allowed are {', '.join(allowed)}")


def _from_header(key: str, text: str) -> Any:
    if key == "checks":
        return tuple(name.strip() for name in text.split(",") if name.strip())
    if key == "tags":
        pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
        return {name.strip(): value.strip() for name, _, value in pairs}
    if key == "max_latency_ms":
        if not text.strip().isdecimal():
            refuse("x-gateway-max-latency-ms", "must be a whole number of milliseconds")
        return int(text)
    return text.strip()


def _amount(text: str) -> None:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount <= 0:
        refuse("gateway.max_cost_usd", "must be a number of US dollars above 0")
