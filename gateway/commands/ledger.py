"""`tollgate ledger`: its counters against its records, and made anew from them."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from gateway.commands.progress import steps
from gateway.commands.wrong_option import Wrong
from gateway.config.load import load
from gateway.core.ledger_audit import Audit, TooBusy
from gateway.core.money import usd
from gateway.core.snapshot import Snapshot
from gateway.stores import open_books

_SHOWN: Final = 50
"""Differences of a home; of more the number is told."""


def verify(
    config: Sequence[Path], env: Mapping[str, str], now: datetime, homes: Sequence[str]
) -> tuple[list[str], int]:
    """Lines for a person, and the exit code: 0 when each counter is what the records sum up to.

    Raises Wrong, ConfigError, StoreError and LedgerDown.
    """
    return asyncio.run(_verify(_known(config, env, now), homes))


def rebuild(
    config: Sequence[Path],
    env: Mapping[str, str],
    now: datetime,
    homes: Sequence[str],
    *,
    write: bool,
    force: bool,
) -> tuple[list[str], int]:
    """The same, of making the counters what the records sum up to. Only tells, unless `write`."""
    return asyncio.run(_rebuild(_known(config, env, now), homes, write=write, force=force))


def _known(config: Sequence[Path], env: Mapping[str, str], now: datetime) -> Snapshot:
    snapshot = load(config, env, at=now)
    if snapshot.ledger.url == "memory":
        raise Wrong("redis.url", "is memory: there is nothing that outlives a gateway")
    return snapshot


async def _verify(snapshot: Snapshot, homes: Sequence[str]) -> tuple[list[str], int]:
    lines: list[str] = []
    code = 0
    async with open_books(snapshot, homes) as books:
        for home in steps(books.homes, "homes looked at"):
            audit = await books.audit(home)
            lines += _report(audit)
            code = code or int(bool(audit.differences))
    return lines, code


async def _rebuild(
    snapshot: Snapshot, homes: Sequence[str], *, write: bool, force: bool
) -> tuple[list[str], int]:
    lines: list[str] = []
    code = 0
    async with open_books(snapshot, homes) as books:
        for home in steps(books.homes, "homes looked at"):
            audit = await books.audit(home)
            lines += _report(audit)
            if not write:
                continue
            less = sum(each.told < each.counted for each in audit.differences)
            if audit.missing and less and not force:
                code = 1
                lines.append(
                    f"{home}: not set: some records are missing, and {less:,} of the counters "
                    "would be lowered for want of them; --force lowers them"
                )
                continue
            try:
                held = await books.rebuild(home, force=force)
            except TooBusy:
                code = 1
                lines.append(
                    f"{home}: not all is set: it is too busy, something is settled at each moment; "
                    "stop the gateways, or try again when less goes on"
                )
                continue
            if held:
                code = 1
                lines.append(
                    f"{home}: not set: {held:,} holds are open; wait until they end, stop the "
                    "gateways, or --force"
                )
                continue
            after = await books.audit(home)
            code = code or int(bool(after.differences))
            lines.append(f"{home}: set" if not after.differences else f"{home}: set, and yet:")
            lines += _report(after) if after.differences else []
    if not write:
        lines.append("nothing was changed: --yes sets the counters to what the records say")
    return lines, code


def _report(audit: Audit) -> Iterator[str]:
    found = len(audit.differences)
    state = f"{found:,} differ" if found else "all as the records say"
    yield f"{audit.home}: {audit.counters:,} counters, {audit.entries:,} records: {state}"
    if audit.missing:
        yield (
            f"{audit.home}: {audit.missing:,} records are missing: the ledger dropped them before "
            "they were kept elsewhere (usage.sink)"
        )
    for each in audit.differences[:_SHOWN]:
        slot = f" slot {each.slot}" if each.slot else ""
        more = each.counted - each.told
        money = f" ({usd(more)} USD)" if ":usd:" in each.key else ""
        yield f"  {each.key}{slot}: has {each.counted}, records say {each.told}: {more:+d}{money}"
    if found > _SHOWN:
        yield f"  and {found - _SHOWN:,} more"
