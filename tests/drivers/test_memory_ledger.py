"""What only the ledger in memory has to do by itself: to forget."""

from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.money import Nanos
from gateway.drivers.ledger.memory_ledger import MemoryLedger
from tests.ledger_time import NOON

USERS = 3_000
ONE = Amounts(Nanos(1), 1, 1)


async def test_users_who_have_left_are_forgotten_with_their_places() -> None:
    now = [NOON]
    ledger = MemoryLedger(lambda: now[0])
    for number in range(USERS):
        user = Account("user", f"user {number}", (Budget(5, "total", "at_once"),), "acme")
        purse = Purse("acme", (Account("tenant", "acme", (), "acme"), user))
        hold = await ledger.reserve(purse, f"h{number}", ONE, f"l{number}")
        assert isinstance(hold, Hold)
        assert (await ledger.balances(purse))[0].held == 1
        await ledger.settle(hold, ONE)
        if number % 2:
            ledger.leave(purse, f"l{number}")
            assert (await ledger.balances(purse))[0].held == 0
    assert len(ledger._books["acme"].places) < USERS, "those who have left"
    now[0] += 3_600
    await ledger.counted("acme")
    assert not ledger._books["acme"].places
    assert not ledger._books["acme"]._places_of


async def test_who_was_warned_of_places_is_not_warned_again_when_they_were_forgotten() -> None:
    now = [NOON]
    ledger = MemoryLedger(lambda: now[0])
    places = (Budget(1, "total", "at_once"),)
    purse = Purse("acme", (Account("tenant", "acme", places, "acme"),))
    first = []
    for number in range(3):
        hold = await ledger.reserve(purse, f"h{number}", ONE, f"l{number}")
        assert isinstance(hold, Hold)
        first += [warned.first for warned in hold.warned]
        await ledger.settle(hold, ONE)
        ledger.leave(purse, f"l{number}")
        now[0] += 2_000
        await ledger.counted("acme")
    assert first == [True, False, True], "once in an hour"
