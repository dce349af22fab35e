"""What a route tries out, as it is written: a guard, a shadow, a canary."""

from typing import Annotated, Final

from pydantic import BeforeValidator

from gateway.config.scalars import (
    MAX_COUNT,
    Name,
    decimal,
    enum_schema,
    integer,
    integer_schema,
    invalid_hidden,
    json_schema,
    number_schema,
    one_of,
)
from gateway.config.stanza import Stanza
from gateway.core import trials
from gateway.core.agree import MODES
from gateway.core.trials import Compares

_share: Final = decimal("a share from 0 to 1, such as 0.05", lambda share: 0 <= share <= 1)
_positive_share: Final = decimal(
    "a share above 0 and at most 1, such as 0.05", lambda share: 0 < share <= 1
)
Share = Annotated[
    float, BeforeValidator(lambda value: float(_share(value))), number_schema(minimum=0, maximum=1)
]
PositiveShare = Annotated[
    float,
    BeforeValidator(lambda value: float(_positive_share(value))),
    number_schema(exclusiveMinimum=0, maximum=1),
]


Comparisons = Annotated[int, BeforeValidator(integer(10, MAX_COUNT)), integer_schema(10, MAX_COUNT)]


def _pointer(value: object) -> str:
    if not isinstance(value, str) or value[:1] != "/":
        raise invalid_hidden("must be a JSON pointer such as /answer")
    return value


Pointer = Annotated[
    str, BeforeValidator(_pointer), json_schema({"type": "string", "pattern": r"^(/|\$\{)"})
]


class Guard(Stanza):
    threshold: PositiveShare = 0.75
    """Of the answers from below the last tier, the part that must mean what the last tier says: as
    the lower bound of the rate. Below it the last tier answers."""
    share: Share = 0.02
    """Of the answers from below the last tier: how many are also asked of it."""
    probe: Share = 0.1
    """Of requests while those below are off: for how many they are asked all the same."""
    cap: Share = 0.05
    """What audits may cost, as a part of what is spent on the route's kind of requests."""
    least: Comparisons = 30
    """Comparisons after which it decides, and earlier where there is no doubt. Until then the last
    tier answers, and those below are always asked, too."""
    memory: Comparisons = 500
    """After so many comparisons the older ones fade."""
    agree: Annotated[str, BeforeValidator(one_of(MODES)), enum_schema(MODES)] | None = None
    """How answers are compared. Default: as the route's vote does, else `auto`."""
    pointers: tuple[Pointer, ...] = ()
    """With `agree: json`: what of the answers is compared. Default: the whole."""

    def settings(self) -> trials.GuardSettings:
        fields = self.model_dump(exclude={"agree", "pointers"})
        return trials.GuardSettings(**fields)

    def compares(self) -> Compares:
        return Compares(self.agree, self.pointers)


class Shadow(Stanza):
    route: Name
    """The other route. Who asks sees nothing of it, and waits for nothing."""
    share: PositiveShare = 0.01
    """Of requests that it is asked, too."""

    def shadow(self) -> trials.Shadow:
        return trials.Shadow(self.route, self.share)


class Canary(Stanza):
    route: Name
    """The other route. It answers in place of this one."""
    share: PositiveShare = 0.05
    """Of the tenants, always the same ones; a larger share has those of a smaller."""

    def canary(self) -> trials.Canary:
        return trials.Canary(self.route, self.share)
