"""From what was asked, the catalog, health and headroom to an ordered plan.

A plan is a ladder: a failure moves sideways within a rung, a poor answer up to the next.
`Plan.skipped` says why each other model is out.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from gateway.core.catalog import Check, Deployment, Model
from gateway.core.money import Nanos

Draw = Callable[[], float]
"""A random number in [0, 1)."""


class Candidate(Struct, frozen=True):
    """A call that could be made: the most it can cost, and the output limit that bounds it."""

    model: Model
    deployment: Deployment
    tier: str
    max_output: int
    ceiling: Nanos


class Rung(Struct, frozen=True):
    """Candidates tried in order until one answers; the answer is held against the checks."""

    tier: str
    candidates: tuple[Candidate, ...]
    checks: tuple[Check, ...]


class Skipped(Struct, frozen=True):
    """A deployment that is out, or a whole model, and why."""

    name: str
    tier: str
    why: str


class Plan(Struct, frozen=True):
    rungs: tuple[Rung, ...]
    skipped: tuple[Skipped, ...] = ()


class Step(Struct, frozen=True):
    """One rung before anything is ruled out."""

    tier: str
    models: tuple[tuple[Model, int | None], ...]
    checks: tuple[Check, ...]
    provider: str | None = None
    """Only deployments at this provider."""


class Ladder(Struct, frozen=True):
    """What a name in `model` stands for, before anything is ruled out."""

    name: str
    steps: tuple[Step, ...]
    strategy: str
    timeout_s: float


DEFAULT_TIMEOUT_S: Final = 120.0
