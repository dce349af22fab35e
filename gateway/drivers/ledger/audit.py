"""Compares a home's counters with the sums of its entries, and rebuilds them from these.

The entries come from the book, and from the usage store: an entry in both counts once.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.core.periods import SLOTS
from gateway.core.ports import Clock, LedgerDriver
from gateway.core.records.audit import Audit, Difference, Told, TooBusy
from gateway.core.records.entry import Counter
from gateway.drivers.ledger.plans import read_key

_PAGE: Final = 1_000
_MAX_LOOKS: Final = 5
_AT_ONCE: Final = 250
"""Buckets set per step: a short step is less likely to collide with a settle."""
_TRIES: Final = 1_000
"""Attempts per step: it fails if anything was settled since the book was read."""
_SURELY_S: Final = 86_400
"""How long the bucket of a minute or an hour is kept after its end, at least."""
_SURELY_DAYS_S: Final = 46 * 3_600
"""The same for a day, a week or a month, from its end in the last time zone."""


async def audit(ledger: LedgerDriver, home: str, tally: Told, now: Clock) -> Audit:
    """`tally` has the store's entries, and gets the book's. `now` gives Unix seconds, and is asked
    after the counters: what has left a rolling window by then may be in none.

    Requests may go on meanwhile: a counter is right if it was right at some time of the audit.
    """
    after = await _read_book(ledger, home, tally, "", {})
    counted: dict[Counter, int] = {}
    differences: tuple[Difference, ...] = ()
    for _ in range(_MAX_LOOKS):
        before = dict(tally.sums)
        counted = await ledger.counted(home)
        history: dict[Counter, set[int]] = {}
        last = await _read_book(ledger, home, tally, after, history)
        differences = tuple(_differences(counted, before, history, now()))
        if not differences or last == after:
            break
        after = last
    return Audit(home, len(counted), tally.entries, tally.missing, differences)


async def rebuild(
    ledger: LedgerDriver, home: str, tally: Told, now: Clock, epoch: str, force: bool
) -> int:
    """Set the counters to the sums in `tally`, which `audit` has filled. Gateways that stopped at a
    loss of data go on. Gives 0, or the number of open holds: then no more was set. Raises TooBusy
    if the book is written to all the time; what was set until then is right.

    A load would overwrite what was settled since the book was read. So it sets nothing if the book
    has an unread entry.
    """
    counted = await ledger.counted(home)
    newest = await _read_book(ledger, home, tally, "", {})
    keys, at = {key for key, _ in counted}, now()
    buckets: dict[str, set[int]] = {}  # buckets in neither are newer, and right
    for counter in (*counted, *tally.sums):
        if counter[0] in keys or not may_be_dropped(counter, at):
            buckets.setdefault(counter[0], set()).add(counter[1])
    names = [*buckets]
    for start in range(0, max(len(names), 1), _AT_ONCE):
        part = {key: buckets[key] for key in names[start : start + _AT_ONCE]}
        final_epoch = epoch if start + _AT_ONCE >= len(names) else ""
        for _ in range(_TRIES):
            open_holds = await ledger.load(
                home,
                {(key, slot): tally.sums.get((key, slot), 0) for key in part for slot in part[key]},
                epoch=final_epoch,
                after=tally.epochs if final_epoch else (),
                seq=tally.seq if final_epoch else 0,
                newest=newest,
                force=force,
            )
            if open_holds is not None:
                break
            newest = await _read_new(ledger, home, tally, newest, buckets)
        else:
            raise TooBusy
        if open_holds:
            return open_holds
    return 0


async def _read_new(
    ledger: LedgerDriver, home: str, tally: Told, after: str, buckets: Mapping[str, set[int]]
) -> str:
    """Add the book's new entries and their slots. Gives the id of the last one."""
    history: dict[Counter, set[int]] = {}
    newest = await _read_book(ledger, home, tally, after, history)
    if newest == after:  # another book: a replica's after a failover, with ids of another clock
        newest = await _read_book(ledger, home, tally, "", history)
    for key, slot in history:
        if key in buckets:
            buckets[key].add(slot)
    return newest


async def _read_book(
    ledger: LedgerDriver, home: str, tally: Told, after: str, history: dict[Counter, set[int]]
) -> str:
    """Add the book's entries after one; gives the id of the last. `history` gets each counter's
    values.
    """
    while page := await ledger.records(home, after, _PAGE):
        for entry in page:
            for counter in tally.add(entry):
                history.setdefault(counter, set()).add(tally.sums[counter])
        after = page[-1].at
        if len(page) < _PAGE:  # not until an empty page: in a busy book that may never come
            break
    return after


def _differences(
    counted: Mapping[Counter, int],
    sums: Mapping[Counter, int],
    history: Mapping[Counter, set[int]],
    now: float,
) -> Iterable[Difference]:
    for counter in sorted({*counted, *sums, *history}):
        actual, expected = counted.get(counter, 0), sums.get(counter, 0)
        if actual == expected or actual in history.get(counter, ()):
            continue
        if counter not in counted and may_be_dropped(counter, now):
            continue
        yield Difference(*counter, actual, expected)


def may_be_dropped(counter: Counter, now: float) -> bool:
    """Whether that bucket, or its slot, may have expired."""
    key, slot = counter
    parsed = read_key(key, 0)
    if parsed is None:
        return False
    if parsed.slot_ms:
        return slot <= now * 1_000 // parsed.slot_ms - SLOTS
    if not parsed.expires:
        return False
    days = "T" not in key.split(":", 7)[7]
    return now >= parsed.end + (_SURELY_DAYS_S if days else _SURELY_S)
