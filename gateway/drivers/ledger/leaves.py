"""Sends a leave when a request ends, which frees its place among concurrent requests. Until then
its place is renewed: it lasts as long as the request, and for its time to live after a crash.

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

    def __init__(self, settles: Settles, debts: Debts, ttl_ms: int) -> None:
        self._settles = settles
        self._debts = debts
        self._ttl_ms = ttl_ms
        self._reserves: dict[str, tuple[Home, int]] = {}
        """By life, until it leaves: its home, and how many of its reserves were sent."""
        self._long: set[str] = set()
        """Lives that were there already at the last `renew`."""
        self._unsure: set[str] = set()
        """Lives with a reserve that may still arrive, over a lost connection."""

    def reserve_sent(self, home: Home, life: str) -> None:
        known = self._reserves.get(life)
        self._reserves[life] = home, 1 if known is None else known[1] + 1

    def renew(self) -> None:
        """Renew the places of all lives that had theirs at the last call. To be called several
        times within a place's time to live. What fails is tried at the next call.
        """
        for life in self._long & self._reserves.keys():
            home, _ = self._reserves[life]
            self._settles.send("renew", home.commands.renew(life, self._ttl_ms), _owe_nothing)
        self._long = {*self._reserves}

    def failed(self, home: Home, hold_id: str, life: str, *, sent: bool) -> None:
        """A reserve failed. If `sent`, it may have arrived, or still arrive: it is voided."""
        life = life or hold_id
        if sent:
            self._debts.add("void", home.commands.void(hold_id))
            if life in self._reserves:
                self._unsure.add(life)
            return
        known = self._reserves.pop(life, None)
        if known is not None and known[1] > 1:
            self._reserves[life] = home, known[1] - 1

    def cancelled(self, home: Home, hold_id: str, life: str) -> None:
        """Void a cancelled reserve at once, before its life leaves: its client may retry."""
        command = home.commands.void(hold_id)
        self._settles.send("void", command, lambda: self.failed(home, hold_id, life, sent=True))

    def leave(self, home: Home, life: str) -> None:
        command = home.commands.leave(life)
        reserves = self._reserves.pop(life, None)
        if life in self._unsure:  # queued after the void, else a late reserve would take a place
            self._unsure.discard(life)
            self._debts.add("leave", command)
        else:
            self._settles.send("leave", command, None if reserves else _owe_nothing)
