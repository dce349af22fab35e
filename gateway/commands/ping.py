"""Whether the ledger that a configuration names can hold money: for `tollgate check`."""

import asyncio

from gateway.core.errors import LedgerDown
from gateway.core.events import Event
from gateway.core.snapshot import Snapshot
from gateway.stores import open_ledger, probe


def ping(snapshot: Snapshot) -> tuple[str | None, list[str]]:
    """What is wrong, None when it answers; and what is to be warned of."""
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
