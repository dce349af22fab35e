"""Parse the options of `tollgate cost`. Each error names the option and what is allowed."""

import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

from gateway.commands.wrong_option import WrongOption, quoted_or_nothing
from gateway.core.calculator import Climb
from gateway.core.money import Nanos, Price, nanos

MAX_REQUESTS: Final = 10**12
MAX_TOKENS: Final = 10**8
MAX_PRICE: Final = 1_000_000
CACHED: Final = Fraction(1, 10)
BATCH: Final = Fraction(1, 2)
"""Rules of thumb, for a stated price without one for caches or batches."""

_WHOLE: Final = re.compile(r"\d{1,3}([_,]\d{3})*|\d+", re.ASCII)
_DECIMAL: Final = re.compile(r"(\d+|\d{1,3}([_,]\d{3})+)(\.\d+)?|\.\d+", re.ASCII)
_LONGEST: Final = 24


def parse_int(option: str, text: str, low: int, high: int) -> int:
    """`1000000`, `1_000_000` or `1,000,000`."""
    if len(text) <= _LONGEST and _WHOLE.fullmatch(text):
        number = int(_plain(text))
        if low <= number <= high:
            return number
    raise WrongOption(
        option, f"must be a whole number from {low:,} to {high:,}, not {quoted_or_nothing(text)}"
    )


def parse_share(option: str, text: str) -> Fraction:
    """`30%` or `0.3`."""
    number = _decimal(text.removesuffix("%"))
    if number is not None:
        share = Fraction(number) / (100 if text.endswith("%") else 1)
        if share <= 1:
            return share
    raise WrongOption(
        option, f"must be a share from 0 to 1, such as 30% or 0.3, not {quoted_or_nothing(text)}"
    )


def parse_usd(option: str, text: str, high: int) -> Nanos:
    number = _decimal(text)
    if number is None or number > high:
        raise WrongOption(
            option, f"must be USD from 0 to {high:,}, such as 2.50, not {quoted_or_nothing(text)}"
        )
    return nanos(number)


def parse_positive(option: str, text: str, what: str) -> Fraction:
    number = _decimal(text)
    if not number or number > MAX_REQUESTS:
        raise WrongOption(option, f"must be {what} above 0, not {quoted_or_nothing(text)}")
    return Fraction(number)


def parse_price(option: str, text: str) -> tuple[str, Price, bool]:
    """`model=3/15` or `model=3/15/0.30`: input, output, cached input, in USD per million tokens;
    and whether the last was given.
    """
    name, _, rates = text.rpartition("=")
    numbers = [_decimal(rate) for rate in rates.split("/")]
    known = [number for number in numbers if number is not None and number <= MAX_PRICE]
    if not name.strip() or not name.isprintable() or known != numbers or len(known) not in (2, 3):
        allowed = "model=input/output or model=input/output/cached in USD per million tokens"
        raise WrongOption(
            option, f"must be {allowed}, such as sonnet=3/15, not {quoted_or_nothing(text)}"
        )
    fresh, output = (nanos(rate) for rate in known[:2])
    cached = nanos(known[2] if known[2:] else known[0] * Decimal(CACHED.numerator) / 10)
    return name, Price(fresh, output, cached, fresh), len(known) == 3


def parse_mix(option: str, texts: Sequence[str]) -> list[Climb]:
    """`model=70%` and `model+better=30%`: shares that add up to 100%."""
    mix = []
    for text in texts:
        path, _, part = text.rpartition("=")
        names = tuple(path.split("+"))
        if not all(names):
            allowed = "model=share, or model+better=share where both are asked"
            raise WrongOption(
                option,
                f"must be {allowed}, such as haiku+sonnet=20%, not {quoted_or_nothing(text)}",
            )
        mix.append(Climb(names, parse_share(option, part)))
    if mix and (total := sum(climb.share for climb in mix)) != 1:
        raise WrongOption(option, f"the shares must make 100% together, not {percent(total)}")
    return mix


def percent(part: Fraction | int) -> str:
    """To a hundredth, and without needless zeros."""
    return f"{float(round(Fraction(part) * 100, 2)):.2f}".rstrip("0").rstrip(".") + "%"


def _plain(text: str) -> str:
    return text.replace("_", "").replace(",", "")


def _decimal(text: str) -> Decimal | None:
    if len(text) > _LONGEST or not _DECIMAL.fullmatch(text):
        return None
    return Decimal(_plain(text))
