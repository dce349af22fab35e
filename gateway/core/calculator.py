"""What a plan costs: a month of requests at a price, a mix of models, machines of one's own.

Shares and averages are exact fractions, and only a whole sum is rounded: once, upwards, to a
nano-dollar. (A ledger rounds each call: it may be up to a nano-dollar a call above.)
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Final

from msgspec import Struct

from gateway.core.chat import Usage
from gateway.core.money import Nanos, Price, for_an_hour

DAYS: Final = 30
HOURS: Final = DAYS * 24
"""Of a month, as whoever charges by the hour and by the day counts it here."""
_HOUR_S: Final = 3600
_MILLION: Final = 1_000_000
_NONE: Final = Fraction(0)
_ALL: Final = Fraction(1)


class Load(Struct, frozen=True):
    """Requests a month, all alike. `prompt` and `completion` are tokens of one request; `cached`
    and `cache_write` are shares of the prompts' tokens, together at most 1; `batch` is the share
    of requests that can wait for a batch.
    """

    requests: int
    prompt: int
    completion: int
    cached: Fraction = _NONE
    cache_write: Fraction = _NONE
    batch: Fraction = _NONE


class Rates(Struct, frozen=True):
    """Nano-dollars per million tokens, on average over the hours that count. A batch costs
    `batch` of it; 1 where there is no discount.
    """

    input: Fraction
    output: Fraction
    cached_input: Fraction
    cache_write: Fraction
    batch: Fraction = _ALL
    cache_write_1h: Fraction = _NONE
    """Of what is written for an hour."""


class Climb(Struct, frozen=True):
    """`share` of all requests ask these models one after the other, and pay each of them: what
    the last one answers was asked of those before it, and rejected.
    """

    models: tuple[str, ...]
    share: Fraction


class Machines(Struct, frozen=True):
    """A set of GPUs that serves one model. Amounts are nano-dollars.

    `tokens_per_second` is what all of the set write together when busy; they are busy for
    `utilisation` of the time. `people` is what a month costs besides, however many sets there are.
    """

    gpu_hour: int
    gpus: int
    tokens_per_second: Fraction
    utilisation: Fraction
    people: int

    @property
    def month(self) -> int:
        """What the GPUs of one set cost."""
        return self.gpu_hour * self.gpus * HOURS

    def room(self, completion: Fraction) -> int | None:
        """How many requests of so many answered tokens one set serves in a month; None is any."""
        written = self.tokens_per_second * self.utilisation * HOURS * _HOUR_S
        return floor(written / completion) if completion else None


def average(minutes: Mapping[Price, int], batch: Fraction = _ALL) -> Rates:
    """Prices, each with the number of minutes for which it holds, as one."""
    whole = sum(minutes.values())

    def mean(rates: Iterable[int]) -> Fraction:
        return Fraction(sum(r * n for r, n in zip(rates, minutes.values(), strict=True)), whole)

    return Rates(
        mean(p.input for p in minutes),
        mean(p.output for p in minutes),
        mean(p.cached_input for p in minutes),
        mean(p.cache_write for p in minutes),
        batch,
        mean(for_an_hour(p) for p in minutes),
    )


def one_request(rates: Rates, load: Load) -> Fraction:
    """In nano-dollars."""
    fresh = 1 - load.cached - load.cache_write
    token = (
        fresh * rates.input
        + load.cached * rates.cached_input
        + load.cache_write * rates.cache_write
    )
    whole = (load.prompt * token + load.completion * rates.output) / _MILLION
    return whole * (1 - load.batch + load.batch * rates.batch)


def one_call(rates: Rates, usage: Usage) -> Fraction:
    """What tokens that were counted would cost, in nano-dollars."""
    fresh = max(usage.prompt - usage.cached - usage.cache_write, 0)
    return (
        fresh * rates.input
        + usage.cached * rates.cached_input
        + (usage.cache_write - usage.cache_write_1h) * rates.cache_write
        + usage.cache_write_1h * rates.cache_write_1h
        + usage.completion * rates.output
    ) / _MILLION


def one_mixed(climbs: Sequence[Climb], each: Mapping[str, Fraction]) -> Fraction:
    """What a request of the mix costs on average; `each` is what it costs at each model."""
    return sum((c.share * sum(each[name] for name in c.models) for c in climbs), _NONE)


def spread(climbs: Sequence[Climb]) -> dict[str, Fraction]:
    """Calls of each model per request, in the order of the mix."""
    calls: dict[str, Fraction] = {}
    for climb in climbs:
        for name in climb.models:
            calls[name] = calls.get(name, _NONE) + climb.share
    return calls


def month(request: Fraction, requests: int) -> Nanos:
    """What all of them cost, rounded upwards to a nano-dollar."""
    return Nanos(ceil(request * requests))


def sets_for(room: int | None, requests: int) -> int:
    """How many sets of GPUs it takes; at least one."""
    return 1 if room is None else max(1, -(-requests // room))


def own_month(machines: Machines, sets: int) -> Nanos:
    return Nanos(machines.month * sets + machines.people)


def break_even(machines: Machines, room: int | None, request: Fraction) -> int | None:
    """The least number of requests a month for which machines of one's own cost no more than
    `request` nano-dollars each; None when there is none, however many sets are bought.

    k sets that are full earn k x (room x request - GPUs) towards the people. So the least k that
    can pay is known, and with it how many requests pay for that many sets. A volume just above
    what k sets can serve needs one more, and may cost more again.
    """
    if request <= 0:
        return None
    if room is None:
        return ceil((machines.month + machines.people) / request)
    margin = room * request - machines.month
    if margin < 0 or (margin == 0 and machines.people > 0):
        return None
    sets = max(1, ceil(machines.people / margin)) if margin else 1
    paid = ceil(own_month(machines, sets) / request)
    return max(paid, room * (sets - 1) + 1)
