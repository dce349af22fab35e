"""What commands take from outside: the environment and the clock."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple


class Outside(NamedTuple):
    """`now` gives a time with its zone. Keep this module light: every --help imports it."""

    env: Mapping[str, str]
    now: Callable[[], datetime]
