"""One clear message that names the field and what is allowed."""

import re
from typing import Final, NoReturn

import msgspec

from gateway.core.errors import InvalidRequest

_PLACE: Final = re.compile(r" - at `\$\.?(.*)`$")
_MISSING: Final = re.compile(r"missing required field `(\w+)`")


def refuse(param: str, message: str) -> NoReturn:
    raise InvalidRequest(f"'{param}' {message}.", param=param)


def wrong_type(error: msgspec.ValidationError, prefix: str = "") -> NoReturn:
    """Tell a type error ("Expected `int`, got `str` - at `$.n`") by the field's name."""
    text = str(error)
    found = _PLACE.search(text)
    place = found[1] if found else ""
    if missing := _MISSING.search(text):
        param = prefix + f"{place}.{missing[1]}".lstrip(".")
        raise InvalidRequest(f"'{param}' is missing.", param=param) from None
    if found is None or not place:
        raise InvalidRequest(f"The body must be a JSON object: {text}") from None
    param = prefix + place
    message = text[: found.start()]
    raise InvalidRequest(f"'{param}' has the wrong type: {message}.", param=param) from None
