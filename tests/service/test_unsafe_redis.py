"""A start on a server that can lose money: warned of, or refused."""

from pathlib import Path

import pytest
from msgspec import structs

from gateway.core.errors import LedgerDown
from gateway.core.events import Event
from gateway.core.snapshot import Ledger
from gateway.stores import open_ledger
from tests.config.texts import SOUND, snapshot
from tests.drivers.redis_fleet import Server, running


def ignore(event: Event) -> None:
    pass


async def start(url: str, on_unsafe: str) -> list[str]:
    """The warnings of a start."""
    warnings: list[str] = []
    found = structs.replace(snapshot(SOUND), ledger=Ledger(url=url, on_unsafe=on_unsafe))
    async with open_ledger(found, ignore, warnings.append):
        return warnings


@pytest.mark.parametrize(
    ("appendonly", "on_unsafe", "told"),
    [("yes", "refuse", []), ("yes", "warn", []), ("no", "warn", ["appendonly is no"])],
)
async def test_a_start(appendonly: str, on_unsafe: str, told: list[str], tmp_path: Path) -> None:
    server = Server(tmp_path, appendonly=appendonly)
    async with running(server):
        warnings = await start(server.url, on_unsafe)
    assert [each.partition(" at ")[0] for each in warnings] == told


async def test_a_refused_start(tmp_path: Path) -> None:
    server = Server(tmp_path, appendonly="no")
    async with running(server):
        with pytest.raises(LedgerDown, match=r"appendonly is no at .* wanted: yes"):
            await start(server.url, "refuse")


async def test_a_url_that_is_wrong_is_told_without_its_password() -> None:
    with pytest.raises(LedgerDown, match="tiemout") as error:
        await start("redis://:canary@localhost:1/0?tiemout=1", "warn")
    assert "canary" not in str(error.value)
