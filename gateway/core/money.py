"""Money is a whole number of nano-dollars, and a price a whole number of them per million tokens.

So $0.0375 per million tokens is 37,500,000, every product is exact, and one call is rounded
once, upwards.
"""

from decimal import Decimal
from typing import Final, NewType

from msgspec import Struct, structs

from gateway.core.chat import Usage

Nanos = NewType("Nanos", int)

PER_USD: Final = 1_000_000_000
MAX_USD: Final = Decimal(9_000_000)
"""The largest amount that a Lua number in the ledger still counts to the nano-dollar (2^53)."""

_MILLION: Final = 1_000_000


class Audio(Struct, frozen=True):
    """What tokens of audio cost, in nano-dollars per million of them."""

    input: int
    output: int
    cached_input: int


class SearchFee(Struct, frozen=True):
    """What a search of the web by the provider itself costs, in nano-dollars, beside the tokens."""

    amount: int
    per_call: bool = False
    """Whether a call that searches costs it once, however often it does."""

    def of(self, searches: int) -> int:
        """What so many searches of one call cost, in nano-dollars."""
        return self.amount * (min(searches, 1) if self.per_call else searches)


class Price(Struct, frozen=True):
    """What a model charges, in nano-dollars per million tokens."""

    input: int
    output: int
    cached_input: int
    cache_write: int
    audio: Audio | None = None
    """None where audio costs what text does."""
    image_output: int | None = None
    """Of images in answers; None where they cost what text does."""
    search: SearchFee | None = None
    """None where searches cost nothing, or cannot be made."""
    text_alone: bool = True
    """Whether nothing has a price but text: told by the others."""

    def __post_init__(self) -> None:
        alone = self.audio is None and self.image_output is None and self.search is None
        structs.force_setattr(self, "text_alone", alone)


FREE: Final = Price(0, 0, 0, 0)


class Surcharges(Struct, frozen=True):
    """What a request may be charged for beside fresh text, at most."""

    an_hour: bool = False
    """Whether a prompt cache may be written that is kept for an hour."""
    audio: int = 0
    """Tokens of the prompt that may be audio."""
    searches: int = 0
    """Searches of the web that the provider may make."""


NO_SURCHARGES: Final = Surcharges()


def nanos(usd: Decimal | str | int) -> Nanos:
    """US dollars as nano-dollars. Finer than a nano-dollar is rounded up."""
    return Nanos(int((Decimal(usd) * PER_USD).to_integral_value("ROUND_CEILING")))


def usd(amount: int) -> str:
    """Nano-dollars as a decimal number of US dollars, exact: 1500 -> "0.0000015"."""
    if 0 < amount < PER_USD:  # as most are: 2/3 of what follows takes
        return "0." + str(amount).zfill(9).rstrip("0")
    if amount < 0:
        return f"-{usd(-amount)}"
    digits = str(amount).zfill(10)  # half of what divmod and an f-string take
    return f"{digits[:-9]}.{digits[-9:]}".rstrip("0").rstrip(".")


def cost(price: Price, usage: Usage) -> Nanos:
    """What a call with this usage costs: exact, then rounded up once to a nano-dollar."""
    total = usage.prompt * price.input + usage.completion * price.output
    if usage.cached or usage.cache_write or not price.text_alone:
        total += _beyond_fresh_text(price, usage)
    return -(-total // _MILLION)  # type: ignore[return-value]  # to call Nanos takes 0.1 us


def _beyond_fresh_text(price: Price, usage: Usage) -> int:
    """What caches, audio, images and searches cost more than all of the prompt and the answer as
    text, or less.
    """
    cached, written = usage.cached, usage.cache_write
    fresh = max(usage.prompt - cached - written, 0)
    total = cached * price.cached_input + written * price.cache_write
    total += (fresh - usage.prompt) * price.input
    if usage.cache_write_1h and (cached or written):
        total += usage.cache_write_1h * (for_an_hour(price) - price.cache_write)
    if price.audio is not None:
        total += _beyond_text(price, price.audio, usage, fresh)
    if price.image_output is not None:
        drawn = min(usage.image_completion, usage.completion - usage.audio_completion)
        total += max(drawn, 0) * (price.image_output - price.output)
    if price.search is not None:
        total += price.search.of(usage.searches) * _MILLION
    return total


def _beyond_text(price: Price, audio: Audio, usage: Usage, fresh: int) -> int:
    """What audio costs more than text, or less. Not all say how much of it came from a cache: what
    is not told is taken for what is dearer.
    """
    cached = min(usage.audio_cached, usage.audio_prompt, usage.cached)
    audio_in, more = min(usage.audio_prompt, usage.prompt) - cached, audio.input - price.input
    if more < 0:
        audio_in = min(audio_in, fresh)
    audio_out = min(usage.audio_completion, usage.completion)
    total = audio_in * more + audio_out * (audio.output - price.output)
    return total + cached * (audio.cached_input - price.cached_input)


def for_an_hour(price: Price) -> int:
    """What is written to a cache for an hour: Anthropic, its only host, says twice the input's
    price where five minutes are 1.25 times it.
    """
    return -(-price.cache_write * 8 // 5)


def ceiling(
    price: Price, prompt: int, output: int, surcharges: Surcharges = NO_SURCHARGES, *, caches: bool
) -> Nanos:
    """The most a call can cost: every input token at its dearest, every output token used, every
    search made.

    `caches` says whether the request asks its provider to write a prompt cache, which costs more.
    The answer of a model that has a price for audio, or for images, may be nothing else.
    """
    dearest = max(price.input, price.cached_input)
    if caches:
        dearest = max(dearest, for_an_hour(price) if surcharges.an_hour else price.cache_write)
    total = prompt * dearest + output * price.output
    if not price.text_alone:
        other = price.audio or Audio(price.input, price.output, price.cached_input)
        answer = max(price.output, other.output, price.image_output or 0)
        sound = max(other.input, other.cached_input)
        total += surcharges.audio * max(sound - price.input, 0) + output * (answer - price.output)
        if price.search is not None:
            total += price.search.of(surcharges.searches) * _MILLION
    return Nanos(-(-total // _MILLION))
