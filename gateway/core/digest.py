"""A digest of configured values, to tell two configurations apart."""

from hashlib import sha256
from typing import Final

import msgspec

_written: Final = msgspec.json.Encoder(order="sorted").encode


def digest(value: object) -> str:
    """The SHA-256, in hex, of a value made of structs and plain values: equal ones have one."""
    return sha256(_written(value)).hexdigest()
