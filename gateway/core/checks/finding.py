"""What a check finds wrong with an answer."""

from msgspec import Struct


class Finding(Struct, frozen=True):
    """A check that an answer did not pass, and why."""

    check: str
    why: str
