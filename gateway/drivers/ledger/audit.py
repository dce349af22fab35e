"""A home's counters against its entries: what differs, and what they were if the entries are right.

The entries come from the book, and from where usage is kept: an entry that is in both counts once.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.core.ledger_audit import Audit, Difference, Told
from gateway.core.ledger_entry import Counter
from gateway.core.periods import SLOTS
from gateway.core.ports import LedgerDriver
from gateway.drivers.ledger.plans import read_key

_PAGE: Final = 1_000
_LOOKS: Final = 5
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
    data was lost go on. Gives 0, or how many holds are open: then nothing was set.
    """
    for _ in range(_LOOKS):
        counted = await ledger.counted(home)
        keys = {key for key, _ in counted}
        kept = {
            counter: amount
            for counter, amount in told.sums.items()
            if counter[0] in keys or not forgotten(counter, now)
        }
        spent = {**dict.fromkeys(counted, 0), **kept}
        held = await ledger.load(
            home, spent, epoch=epoch, after=told.epochs, seq=told.seq, force=force
        )
        # What is settled between a look and a load, the load takes away again.
        if held or not (await audit(ledger, home, told, now)).differences:
            return held
    return 0


async def _read(
    ledger: LedgerDriver, home: str, told: Told, after: str, were: dict[Counter, set[int]]
) -> str:
    """Add what the book says after an entry: up to which. `were` gets what each counter was."""
    while page := await ledger.records(home, after, _PAGE):
        for entry in page:
            for counter in told.add(entry):
                were.setdefault(counter, set()).add(told.sums[counter])
        after = page[-1].at
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
