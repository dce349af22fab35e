"""Sends a leave when a request ends, which frees its place among concurrent requests.

A request that has no place, and can get none, owes no leave: while the server is unreachable, many
fail, and their leaves must not crowd out those that free a place.
"""

from gateway.drivers.ledger.debts import Debts
from gateway.drivers.ledger.homes import Home
from gateway.drivers.ledger.settles import Settles


def _owe_nothing() -> None:
    pass


class Leaves:
    """The leaves of one ledger; only for lives whose calls may take a place."""

    def __init__(self, settles: Settles, debts: Debts) -> None:
        self._settles = settles
        self._debts = debts
        self._reserves: dict[str, int] = {}
        """By life, until it leaves: how many of its reserves were sent."""
        self._unsure: set[str] = set()
        """Lives with a reserve that may still arrive, over a lost connection."""

    def reserve_sent(self, life: str) -> None:
        self._reserves[life] = self._reserves.get(life, 0) + 1

    def failed(self, home: Home, hold_id: str, life: str, *, sent: bool) -> None:
        """A reserve failed. If `sent`, it may have arrived, or still arrive: it is voided."""
        life = life or hold_id
        if sent:
            self._debts.add("void", home.commands.void(hold_id))
            if life in self._reserves:
                self._unsure.add(life)
            return
        remaining = self._reserves.pop(life, 0) - 1
        if remaining > 0:
            self._reserves[life] = remaining

    def cancelled(self, home: Home, hold_id: str, life: str) -> None:
        """Void a cancelled reserve at once, before its life leaves: its client may retry."""
        command = home.commands.void(hold_id)
        self._settles.send("void", command, lambda: self.failed(home, hold_id, life, sent=True))

    def leave(self, home: Home, life: str) -> None:
        command = home.commands.leave(life)
        reserves = self._reserves.pop(life, 0)
        if life in self._unsure:  # queued after the void, else a late reserve would take a place
            self._unsure.discard(life)
            self._debts.add("leave", command)
        else:
            self._settles.send("leave", command, None if reserves else _owe_nothing)
