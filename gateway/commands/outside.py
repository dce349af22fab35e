"""What commands know of the world: the environment, and what time it is."""

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec


class Outside(msgspec.Struct, frozen=True):
    """`now` has a time zone."""

    env: Mapping[str, str]
    now: Callable[[], datetime]
