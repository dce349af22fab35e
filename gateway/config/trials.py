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
    """The share of answers from below the last tier that must agree with the last tier. If the
    lower bound of the measured rate is less, only the last tier answers."""
    share: Share = 0.02
    """The share of answers from below the last tier to audit: the last tier answers them, too."""
    probe: Share = 0.1
    """While the lower tiers are off, the share of requests that they answer in the background."""
    cap: Share = 0.05
    """The most that audits may cost, as a share of all spending on this kind of requests."""
    least: Comparisons = 30
    """The number of comparisons after which it decides, or earlier if there is no doubt. Until then
    the last tier answers, and the lower tiers answer every request in the background."""
    memory: Comparisons = 500
    """The number of comparisons after which older ones lose weight."""
    agree: Annotated[str, BeforeValidator(one_of(MODES)), enum_schema(MODES)] | None = None
    """How answers are compared. Default: as in the route's vote, else `auto`."""
    pointers: tuple[Pointer, ...] = ()
    """With `agree: json`, the parts of the answers to compare. Default: the whole."""

    def settings(self) -> trials.GuardSettings:
        fields = self.model_dump(exclude={"agree", "pointers"})
        return trials.GuardSettings(**fields)

    def compares(self) -> Compares:
        return Compares(self.agree, self.pointers)


class Shadow(Stanza):
    route: Name
    """The other route. Clients neither see its answers nor wait for them."""
    share: PositiveShare = 0.01
    """The share of requests that it gets, too."""

    def shadow(self) -> trials.Shadow:
        return trials.Shadow(self.route, self.share)


class Canary(Stanza):
    route: Name
    """The other route. It answers instead of this one."""
    share: PositiveShare = 0.05
    """The share of tenants, always the same ones. A larger share includes those of a smaller."""

    def canary(self) -> trials.Canary:
        return trials.Canary(self.route, self.share)
