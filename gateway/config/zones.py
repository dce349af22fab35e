"""Time zones, by whose clocks days and hours begin."""

import re
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator

from gateway.config.scalars import invalid, json_schema

# Any other text could be a path in the zone database's folder, where those left out here are no
# zones of IANA: the machine's own, and clocks that count leap seconds.
_ZONE: Final = (
    r"(?!(localtime|posixrules|Factory)$|(right|posix)/)[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*"
)


def _timezone(value: object) -> str:
    message = "must be an IANA time zone such as Europe/Berlin"
    if not isinstance(value, str):
        raise invalid(message)
    try:
        if re.fullmatch(_ZONE, value, re.ASCII):
            return ZoneInfo(value).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise invalid(message)


Timezone = Annotated[
    str, BeforeValidator(_timezone), json_schema({"type": "string", "minLength": 1})
]
