"""Whether the ledger that a configuration names can hold money: for `tollgate check`."""

import asyncio

from gateway.core.errors import LedgerDown
from gateway.core.events import Event
from gateway.core.snapshot import Ledger, Snapshot
from gateway.stores import look_at, open_ledger, probe


def ping(snapshot: Snapshot) -> tuple[str | None, list[str]]:
    """The fault, None when it answers; and warnings."""
    warnings: list[str] = []

    def ignore(event: Event) -> None:
        pass

    async def ask() -> str | None:
        async with open_ledger(snapshot, ignore, warnings.append) as ledger:
            return await probe(ledger, next(iter(snapshot.tenants)))

    try:
        return asyncio.run(ask()), warnings
    except LedgerDown as error:
        return str(error), warnings


def look(ledger: Ledger) -> str | None:
    """The fault of a ledger, None when it answers. For a configuration with other faults."""
    try:
        asyncio.run(look_at(ledger))
    except LedgerDown as error:
        return str(error)
    return None
