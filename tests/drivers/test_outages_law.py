"""`allow_local` by its law, at small size; see tests/ledger_outages.py."""

from tests.ledger_outages import run_outages
from tests.promises import Reached

HISTORIES = 300


async def test_no_outage_passes_a_cap_or_loses_a_charge(reached: Reached) -> None:
    seen = await run_outages(HISTORIES)
    assert min(seen.values()) > HISTORIES // 2, "they are hardly tried"
    told = f"{HISTORIES:,} histories, {seen['alone']:,} calls without it, {seen['killed']:,} kills"
    reached("money", "the ledger is away: each call charged once, no cap passed", told, "all")
