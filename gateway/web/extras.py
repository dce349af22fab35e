"""What a client asks of the gateway itself: `extra_body={"gateway": {...}}`, or headers."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from gateway.core.chat import Extras
from gateway.core.checks import NAMED
from gateway.core.money import MAX_USD
from gateway.core.strategies import STRATEGIES
from gateway.core.tags import LONGEST, MOST
from gateway.web.refuse import refuse, wrong_type

EXTRAS: Final = tuple(Extras.__struct_fields__)
_LONGEST_MS: Final = 86_400_000
_LONGEST_REGION: Final = 128
"""Characters: more than any region's name has. Plans are kept by it."""
_MANY: Final = ("checks", "tags")
_WHOLE: Final = re.compile(r"[0-9]{1,40}")
"""A number in a header, or in a string: Python reads more than that as one, such as 1_000."""
_NUMBER: Final = re.compile(r"[0-9.eE+-]{1,40}")


def read_extras(body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Extras:
    """The gateway's own fields; the body's go before the headers', and null says nothing."""
    given: dict[str, Any] = {}
    for name, text in headers.items():
        key = name.replace("-", "_")
        if key in EXTRAS:
            given[key] = _from_header(key, text.strip())
    for key, value in (body or {}).items():
        if key not in EXTRAS:
            refuse(f"gateway.{key}", f"is unknown; allowed are {', '.join(EXTRAS)}")
        if value is not None:
            given[key] = value
    if isinstance(given.get("max_cost_usd"), int | float):
        given["max_cost_usd"] = repr(given["max_cost_usd"])
    try:
        extras = msgspec.convert(given, Extras)
    except msgspec.ValidationError as error:
        wrong_type(error, "gateway.")
    _allowed(extras)
    return extras


def _allowed(extras: Extras) -> None:
    if extras.region is not None and len(extras.region) > _LONGEST_REGION:
        refuse("gateway.region", f"must be at most {_LONGEST_REGION} characters")
    if extras.max_cost_usd is not None:
        _amount(extras.max_cost_usd)
    if extras.max_latency_ms is not None and not 1 <= extras.max_latency_ms <= _LONGEST_MS:
        refuse("gateway.max_latency_ms", f"must be from 1 to {_LONGEST_MS}")
    if extras.strategy is not None and extras.strategy not in STRATEGIES:
        named = f"is '{extras.strategy[:100]}'; allowed are {', '.join(STRATEGIES)}"
        refuse("gateway.strategy", named)
    checks = extras.checks or ()
    if len(set(checks)) < len(checks):
        refuse("gateway.checks", "names a check twice")
    _tags(extras.tags)
    for name in checks:
        if name not in NAMED:
            refuse("gateway.checks", f"has '{name[:100]}'; allowed are {', '.join(NAMED)}")


def _tags(tags: Mapping[str, str]) -> None:
    if len(tags) > MOST:
        refuse("gateway.tags", f"must be at most {MOST}")
    for text in (*tags, *tags.values()):
        if len(text) > LONGEST or not text.isprintable():
            refuse("gateway.tags", f"must be of at most {LONGEST} printable characters each")
    if "" in tags:
        refuse("gateway.tags", "has a tag without a name")


def _from_header(key: str, text: str) -> Any:
    """Lists and maps in the short form, or in JSON as in a body."""
    if key in _MANY and text.startswith(("[", "{")):
        return _json(key, text)
    if key == "checks":
        return tuple(name.strip() for name in text.split(",") if name.strip())
    if key == "tags":
        pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
        if not all(equals for _, equals, _ in pairs):
            refuse("x-gateway-tags", "must be names with values, such as team=red,app=chat")
        return {name.strip(): value.strip() for name, _, value in pairs}
    if key == "max_latency_ms":
        if not _WHOLE.fullmatch(text):
            refuse("x-gateway-max-latency-ms", "must be a whole number of milliseconds")
        return int(text)
    return text


def _json(key: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        refuse(f"x-gateway-{key}", "is not JSON, as which it begins")


def _amount(text: str) -> None:
    try:
        amount = Decimal(text) if _NUMBER.fullmatch(text.strip()) else Decimal(-1)
    except InvalidOperation:
        amount = Decimal(-1)
    if not 0 < amount <= MAX_USD:
        refuse("gateway.max_cost_usd", f"must be US dollars, above 0 and at most {MAX_USD:,}")
