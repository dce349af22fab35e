"""Requests that leave the ledger, so that the places they took are free again.

One that no reserve let in, nor may yet let in, is owed no leave: while the server is away, those
that it refuses are many, and the places of others are to be given back after it.
"""

from gateway.drivers.ledger.debts import Debts
from gateway.drivers.ledger.homes import Home
from gateway.drivers.ledger.settles import Settles


def _owe_nothing() -> None:
    pass


class Leaves:
    """Of one ledger, and only of those lives whose calls may take a place."""

    def __init__(self, settles: Settles, debts: Debts) -> None:
        self._settles = settles
        self._debts = debts
        self._asked: dict[str, int] = {}
        """Until it leaves, how many reserves of a life were sent, or may yet be."""
        self._unsure: set[str] = set()
        """Lives of which a reserve may be yet to arrive: over a connection that was lost."""

    def asks(self, life: str) -> None:
        self._asked[life] = self._asked.get(life, 0) + 1

    def failed(self, home: Home, hold_id: str, life: str, *, sent: bool) -> None:
        """A reserve: one that was sent did arrive, or is yet to, or never will."""
        life = life or hold_id
        if sent:
            self._debts.add("void", home.commands.void(hold_id))
            if life in self._asked:
                self._unsure.add(life)
            return
        others = self._asked.pop(life, 0) - 1
        if others > 0:
            self._asked[life] = others

    def cancelled(self, home: Home, hold_id: str, life: str) -> None:
        """Give it back before its life leaves, and now: its client may ask again at once."""
        command = home.commands.void(hold_id)
        self._settles.begin("void", command, lambda: self.failed(home, hold_id, life, sent=True))

    def leave(self, home: Home, life: str) -> None:
        command = home.commands.leave(life)
        asked = self._asked.pop(life, 0)
        if life in self._unsure:  # after what turns that reserve away: else it takes a place
            self._unsure.discard(life)
            self._debts.add("leave", command)
        else:
            self._settles.begin("leave", command, None if asked else _owe_nothing)
