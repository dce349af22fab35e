"""What a deployment charges, by the time of day and the length of the prompt."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct, structs

from gateway.core.chat import Usage
from gateway.core.hours import minute_of, within
from gateway.core.money import Audio, Nanos, Price, SearchFee, cost

DAY: Final = 24 * 60


class Step(Struct, frozen=True):
    """The price of a call whose prompt has more than `above` tokens: of the whole call, not only
    of the tokens beyond. Cached tokens are part of the prompt.
    """

    above: int
    price: Price


class Window(Struct, frozen=True):
    """A part of every day with its own price: from `begin` up to but not including `end`, in
    minutes since midnight in `zone`, an IANA name. One that ends at or before its begin ends on
    the next day.
    """

    begin: int
    end: int
    price: Price
    zone: str = "UTC"
    steps: tuple[Step, ...] = ()
    """Of its own price, rising by `above`; the tariff's do not hold in it."""

    def holds(self, unix_seconds: float) -> bool:
        return within(self.begin, minute_of(unix_seconds, self.zone), self.end)


class Tariff(Struct, frozen=True, cache_hash=True):
    """A price with its steps, rising by `above`, and the parts of the day when others hold."""

    usual: Price
    windows: tuple[Window, ...] = ()
    steps: tuple[Step, ...] = ()

    def within(self, prompt: int) -> Price:
        """What must be held for while the prompt has at most so many tokens: each rate at its
        dearest, of all hours and of every step that may be reached.
        """
        if not (self.windows or self.steps):
            return self.usual
        return next(step.price for step in _bounds(self) if prompt > step.above)

    def at(self, unix_seconds: float, prompt: int = 0) -> Price:
        """The price of a call at that time with so many tokens of prompt."""
        here = next((w for w in self.windows if w.holds(unix_seconds)), None)
        if here is None:
            return _reached(self.usual, self.steps, prompt)
        return _reached(here.price, here.steps, prompt)

    def cost(self, usage: Usage, began: float, ended: float) -> Nanos:
        """What a call between two instants costs. Who bills by which of the two is not known for
        every provider: the dearer counts.
        """
        if not self.windows:
            return cost(_reached(self.usual, self.steps, usage.prompt), usage)
        return max(cost(self.at(each, usage.prompt), usage) for each in (began, ended))

    def for_prompt(self, prompt: int) -> "Tariff":
        """What a prompt of so many tokens is charged by: no steps any more."""
        if not any((self.steps, *(window.steps for window in self.windows))):
            return self
        windows = tuple(
            Window(w.begin, w.end, _reached(w.price, w.steps, prompt), w.zone) for w in self.windows
        )
        return Tariff(_reached(self.usual, self.steps, prompt), windows)

    def with_search_fee(self, fee: SearchFee) -> "Tariff":
        """The same, with this fee at all hours and for prompts of any length."""

        def charged(price: Price) -> Price:
            return structs.replace(price, search=fee)

        def all_charged(steps: Iterable[Step]) -> tuple[Step, ...]:
            return tuple(Step(step.above, charged(step.price)) for step in steps)

        windows = tuple(
            Window(w.begin, w.end, charged(w.price), w.zone, all_charged(w.steps))
            for w in self.windows
        )
        return Tariff(charged(self.usual), windows, all_charged(self.steps))

    def rises(self) -> tuple[Step, ...]:
        """The steps, each at its dearest hour."""
        scales = [(self.usual, self.steps), *((w.price, w.steps) for w in self.windows)]
        starts = sorted({step.above for _, steps in scales for step in steps})
        return tuple(
            Step(above, dearest(_reached(price, steps, above + 1) for price, steps in scales))
            for above in starts
        )


def dearest(prices: Iterable[Price]) -> Price:
    """Each rate at its dearest."""
    listed = tuple(prices)
    rates = zip(*((p.input, p.output, p.cached_input, p.cache_write) for p in listed), strict=True)
    fresh, output, cached, write = map(max, rates)
    audio, images, search = _dearest_audio(listed), _dearest_images(listed), _dearest_fee(listed)
    return Price(fresh, output, cached, write, audio, images, search)


def _dearest_images(prices: Sequence[Price]) -> int | None:
    if all(price.image_output is None for price in prices):
        return None
    return max(p.output if p.image_output is None else p.image_output for p in prices)


def _dearest_fee(prices: Sequence[Price]) -> SearchFee | None:
    fees = [price.search for price in prices if price.search is not None]
    if not fees:
        return None
    return SearchFee(max(fee.amount for fee in fees), all(fee.per_call for fee in fees))


def _dearest_audio(prices: Sequence[Price]) -> Audio | None:
    if all(price.audio is None for price in prices):
        return None
    each = [p.audio or Audio(p.input, p.output, p.cached_input) for p in prices]
    rates = zip(*((a.input, a.output, a.cached_input) for a in each), strict=True)
    return Audio(*map(max, rates))


def _reached(price: Price, steps: Sequence[Step], prompt: int) -> Price:
    for step in steps:
        if prompt <= step.above:
            break
        price = step.price
    return price


@lru_cache(maxsize=4096)
def _bounds(tariff: Tariff) -> tuple[Step, ...]:
    """From the longest prompts to the shortest: the dearest price up to the next step."""
    found = [Step(-1, dearest([tariff.usual, *(window.price for window in tariff.windows)]))]
    for step in tariff.rises():
        found.append(Step(step.above, dearest([found[-1].price, step.price])))
    return tuple(reversed(found))
