"""Trials of a route: audits of its answers, another route behind it (shadow) or for a few tenants.

Values only; guard.py decides by GuardSettings, gateway/background carries it out.
"""

from functools import lru_cache
from hashlib import blake2b

from msgspec import Struct


class GuardSettings(Struct, frozen=True):
    """What a route wants of its guard. All are shares but `least` and `memory`: comparisons."""

    threshold: float = 0.75
    """Of the answers that mean the same, as the lower bound. Below it the cheap ones are off."""
    share: float = 0.02
    """Of cheap answers that are audited."""
    probe: float = 0.1
    """Of smart answers that the cheap ones are asked for too, while they are off."""
    cap: float = 0.05
    """Audits cost at most this part of what is spent."""
    least: int = 30
    """After so many comparisons it is decided, and after fewer where they leave no doubt. Until
    then the smart one answers, the cheap ones are always asked too, and no cap holds."""
    memory: int = 500
    """After so many, older ones fade."""


class Compares(Struct, frozen=True):
    """How answers of a route are compared with others, see agree.py; None: as its strategy does."""

    mode: str | None = None
    pointers: tuple[str, ...] = ()


class Shadow(Struct, frozen=True):
    """Another route, asked as well for a share of requests; nobody sees what it answers."""

    route: str
    share: float


class Canary(Struct, frozen=True):
    """Another route, asked instead for a share of the tenants."""

    route: str
    share: float


@lru_cache(maxsize=65_536)
def chosen(share: float, route: str, tenant: str) -> bool:
    """Whether a tenant is in a share of all: on every replica the same ones, of each route others,
    and who is in a share is in every larger one.
    """
    digest = blake2b(f"{route}/{tenant}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64
