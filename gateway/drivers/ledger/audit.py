"""A home's counters against its entries: what differs, and what they were if the entries are right.

The entries come from the book, and from where usage is kept: an entry that is in both counts once.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.core.ledger_audit import Audit, Difference, Told, TooBusy
from gateway.core.ledger_entry import Counter
from gateway.core.periods import SLOTS
from gateway.core.ports import LedgerDriver
from gateway.drivers.ledger.plans import read_key

_PAGE: Final = 1_000
_LOOKS: Final = 5
_AT_ONCE: Final = 250
"""Buckets that are set in one step: the less time it takes, the less is settled meanwhile."""
_TRIES: Final = 1_000
"""For each of them: nothing may be settled between a look and the step."""
_LONGEST_KEPT: Final = 40 * 86_400
_SURELY_S: Final = 86_400
"""For how long a bucket of a minute or an hour outlives it."""
_SURELY_DAYS_S: Final = 46 * 3_600
"""The same of a day, a week or a month, from the last second that it may end anywhere."""


async def audit(ledger: LedgerDriver, home: str, told: Told, now: float) -> Audit:
    """`told` has what is kept elsewhere, and gets what the book says. `now` is in Unix seconds.

    Requests may go on meanwhile: a counter is right when it was right at some time of the look.
    """
    after = await _read(ledger, home, told, "", {})
    counted: dict[Counter, int] = {}
    wrong: tuple[Difference, ...] = ()
    for _ in range(_LOOKS):
        before = dict(told.sums)
        counted = await ledger.counted(home)
        were: dict[Counter, set[int]] = {}
        last = await _read(ledger, home, told, after, were)
        wrong = tuple(_differences(counted, before, were, now))
        if not wrong or last == after:
            break
        after = last
    return Audit(home, len(counted), told.entries, told.missing, wrong)


async def rebuild(
    ledger: LedgerDriver, home: str, told: Told, now: float, epoch: str, force: bool
) -> int:
    """Set the counters to what `told` says, which `audit` has filled. Gateways that stopped when
    data was lost go on. Gives 0, or how many holds are open: then no more was set. Raises TooBusy
    where something is written to the book at each moment; what was set until then is right.

    What is settled between a look and a load, the load would take away again. So it sets nothing
    where the book has an entry that was not read.
    """
    counted = await ledger.counted(home)
    newest = await _read(ledger, home, told, "", {})
    keys = {key for key, _ in counted}
    buckets: dict[str, set[int]] = {}  # what is in neither is new since, and right by itself
    for counter in (*counted, *told.sums):
        if counter[0] in keys or not forgotten(counter, now):
            buckets.setdefault(counter[0], set()).add(counter[1])
    names = [*buckets]
    for start in range(0, max(len(names), 1), _AT_ONCE):
        part = {key: buckets[key] for key in names[start : start + _AT_ONCE]}
        last = epoch if start + _AT_ONCE >= len(names) else ""
        for _ in range(_TRIES):
            held = await ledger.load(
                home,
                {(key, slot): told.sums.get((key, slot), 0) for key in part for slot in part[key]},
                epoch=last,
                after=told.epochs if last else (),
                seq=told.seq if last else 0,
                newest=newest,
                force=force,
            )
            if held is not None:
                break
            newest = await _read_on(ledger, home, told, newest, buckets)
        else:
            raise TooBusy
        if held:
            return held
    return 0


async def _read_on(
    ledger: LedgerDriver, home: str, told: Told, after: str, buckets: Mapping[str, set[int]]
) -> str:
    """Add what is new in the book: up to which entry. New slots are added to the buckets."""
    were: dict[Counter, set[int]] = {}
    newest = await _read(ledger, home, told, after, were)
    if newest == after:  # it is not the book that was read: a replica's, with a clock of its own
        newest = await _read(ledger, home, told, "", were)
    for key, slot in were:
        if key in buckets:
            buckets[key].add(slot)
    return newest


async def _read(
    ledger: LedgerDriver, home: str, told: Told, after: str, were: dict[Counter, set[int]]
) -> str:
    """Add what the book says after an entry: up to which. `were` gets what each counter was."""
    while page := await ledger.records(home, after, _PAGE):
        for entry in page:
            for counter in told.add(entry):
                were.setdefault(counter, set()).add(told.sums[counter])
        after = page[-1].at
        if len(page) < _PAGE:  # to go on until nothing comes might never end
            break
    return after


def _differences(
    counted: Mapping[Counter, int],
    before: Mapping[Counter, int],
    were: Mapping[Counter, set[int]],
    now: float,
) -> Iterable[Difference]:
    for counter in sorted({*counted, *before, *were}):
        have, should = counted.get(counter, 0), before.get(counter, 0)
        if have == should or have in were.get(counter, ()):
            continue
        if counter not in counted and forgotten(counter, now):
            continue
        yield Difference(*counter, have, should)


def forgotten(counter: Counter, now: float) -> bool:
    """Whether that bucket, or its slot, may be kept no longer."""
    key, slot = counter
    known = read_key(key, 0)
    if known is None:
        return False
    if known.slot_ms:
        return slot <= now * 1_000 // known.slot_ms - SLOTS
    if not known.expires:
        return False
    days = "T" not in key.split(":", 7)[7]
    end = known.expires - _LONGEST_KEPT
    return now >= end + (_SURELY_DAYS_S if days else _SURELY_S)
