"""Wraps the ledger for local spending, where that is configured."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.core.errors import LedgerDown
from gateway.core.ports import Clock, LedgerDriver, Observer
from gateway.core.snapshot import Snapshot
from gateway.drivers.ledger.local_journal import journals
from gateway.drivers.ledger.local_ledger import LocalLedger
from gateway.drivers.ledger.local_payer import VoidingLedger


@asynccontextmanager
async def open_local(
    ledger: VoidingLedger,
    snapshot: Snapshot,
    observe: Observer,
    *,
    clock: Clock,
    wall: Callable[[], float],
) -> AsyncIterator[LedgerDriver]:
    """The ledger, closed at the end; wrapped if a tenant allows local spending, or if there are
    journals to charge. Raises LedgerDown where journals cannot be written.
    """
    wrapped: LedgerDriver = ledger
    folder = Path(snapshot.ledger.data_dir)
    tenants = snapshot.tenants.values()
    try:
        allowed = any(each.on_ledger_unavailable == "allow_local" for each in tenants)
        if allowed or journals(folder):
            replicas = snapshot.ledger.replicas
            local = LocalLedger(
                ledger, tenants, folder, replicas=replicas, observe=observe, clock=clock, wall=wall
            )
            try:
                await local.start()
            except OSError as error:
                raise LedgerDown(f"redis.data_dir cannot keep journals: {error}") from error
            wrapped = local
        yield wrapped
    finally:
        await wrapped.aclose()
