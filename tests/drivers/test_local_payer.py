"""Journals of which a part cannot be charged for long."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.core.accounts import Account, Amounts, Purse
from gateway.core.catalog import Budget
from gateway.core.errors import LedgerDown
from gateway.core.events import Event, HoldsExpired
from gateway.core.money import Nanos
from gateway.core.records.record import UsageRecord
from gateway.drivers.ledger.local_journal import Held, Journal, Spent, journals, make_journal
from gateway.drivers.ledger.local_payer import Payer
from gateway.drivers.ledger.memory_ledger import MemoryLedger
from tests.ledger_time import NOON

SOUND, BROKEN = (
    Purse(home, (Account("tenant", home, (Budget(100, "total"),), home),))
    for home in ("sound", "broken")
)
DAY_S = 86_400.0


class Half(MemoryLedger):
    """A ledger that cannot charge one of its homes."""

    def __init__(self) -> None:
        self.now = NOON
        self.breaks = True
        super().__init__(lambda: self.now)

    async def charge(
        self, purse: Purse, call: str, at: float, actual: Amounts, record: UsageRecord | None = None
    ) -> None:
        if self.breaks and purse == BROKEN:
            raise LedgerDown("the ledger is unavailable (wrongtype)")
        await super().charge(purse, call, at, actual, record)

    async def spent(self) -> list[int]:
        return [(await self.balances(purse))[0].spent for purse in (SOUND, BROKEN)]


@contextmanager
def written(folder: Path, *, open_still: bool) -> Iterator[Journal]:
    """What was spent, and what was under way when its process died, if it did."""
    journal = make_journal(folder)
    for number, purse in enumerate((SOUND, BROKEN, SOUND)):
        journal.write(Spent(f"c{number}", NOON, purse, Amounts(Nanos(10))))
    if open_still:
        yield journal
        journal.close(remove=True)
        return
    for purse in (SOUND, BROKEN):
        journal.write(Held(f"h{purse.home}", NOON, purse, Amounts(Nanos(5)), "life"))
    journal.close(remove=False)
    yield journal


@pytest.mark.parametrize("of_the_dead", [False, True])
async def test_what_is_charged_already_is_not_again_however_long_the_rest_takes(
    tmp_path: Path, *, of_the_dead: bool
) -> None:
    ledger = Half()
    told: list[Event] = []

    async def pay(journal: Journal) -> set[str]:
        """As whoever starts next does, too."""
        payer = Payer(ledger, told.append)
        if not of_the_dead:
            return (await payer.pay(journal, 0, ()))[1]
        return await payer.pay_orphaned(tmp_path)

    with written(tmp_path, open_still=not of_the_dead) as journal:
        more = 5 * of_the_dead
        for _ in range(3):
            assert await pay(journal) == {"broken"}
            assert await ledger.spent() == [20 + more, 0]
            ledger.now += DAY_S + 1
        ledger.breaks = False
        assert await pay(journal) == set()
        assert await ledger.spent() == [20 + more, 10 + more]
    assert journals(tmp_path) == []
    expired = [each.tenant for each in told if isinstance(each, HoldsExpired)]
    assert expired == (["sound", "broken"] if of_the_dead else [])


def there(folder: Path) -> list[Path]:
    return [*folder.iterdir()]


@pytest.mark.parametrize("size", [1, 100_000])
async def test_what_is_noted_behind_a_torn_line_is_read(tmp_path: Path, size: int) -> None:
    ledger = Half()
    payer = Payer(ledger, lambda _: None)
    with written(tmp_path, open_still=False) as journal, journal.path.open("ab") as file:
        file.write(b"{" * size)
    assert await payer.pay_orphaned(tmp_path) == {"broken"}
    ledger.breaks = False
    ledger.now += 2 * DAY_S
    assert await payer.pay_orphaned(tmp_path) == set()
    assert await ledger.spent() == [25, 15]
    assert there(tmp_path) == [], "nor is it damaged"


async def test_a_torn_line_that_cannot_be_taken_away_yet_is_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that has an error: nobody else could take over what we had locked."""
    ledger = Half()
    ledger.breaks = False
    payer = Payer(ledger, lambda _: None)
    with written(tmp_path, open_still=False) as journal, journal.path.open("ab") as file:
        file.write(b"{")
    with monkeypatch.context() as broken:
        broken.setattr(os, "ftruncate", fails)
        with pytest.raises(OSError, match="Input/output"):
            await payer.pay_orphaned(tmp_path)
    assert await payer.pay_orphaned(tmp_path) == set()
    assert there(tmp_path) == []


def fails(descriptor: int, length: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))
