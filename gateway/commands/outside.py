"""What commands know of the world: the environment, and what time it is."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple


class Outside(NamedTuple):
    """`now` has a time zone. Light: every --help imports it."""

    env: Mapping[str, str]
    now: Callable[[], datetime]
