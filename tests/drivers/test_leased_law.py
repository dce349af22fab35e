"""Leases by their law, at small size; see tests/ledger_leases.py."""

from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.ledger_leases import run_lease_histories
from tests.promises import Reached

pytest_plugins = ("tests.redis_server",)

HISTORIES = 40


def test_no_history_of_leases_passes_a_cap_or_loses_a_charge(
    own_redis: EmbeddedRedis, reached: Reached
) -> None:
    served = run_lease_histories(own_redis, HISTORIES)
    assert served["leased"] > HISTORIES, "they are hardly tried"
    told = f"{HISTORIES:,} histories, {served['leased']:,} calls of {served['leases']:,} leases"
    reached("money", "leases: each call charged once, no cap passed", told, "all")
